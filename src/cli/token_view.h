/* token_view: tokens of a document as text on a terminal, with what is trained marked: in colours (green; what is masked is
 * dim), or between [[ and ]]. A control token is shown by its name (in bold, with colours); text that spells the name of
 * one, and is trained as plain characters, has a backslash in front of it. */
#ifndef YA_CLI_TOKEN_VIEW_H
#define YA_CLI_TOKEN_VIEW_H

#include "io/tokenizer/tokenizer.h"

struct token_view {
    struct ctx *c;
    const struct tokenizer *tokenizer;
    bool color;
    size_t most; /* bytes shown of a document; the rest is "..." */
};

/* Prints n tokens on one line, without a line end. trained (n): whether each is a target. Bytes that no terminal should get
 * are written as \xNN. E_MEMORY, or E_INPUT for a document whose text is too large. */
enum status token_view_print(const struct token_view *v, const int32_t *ids, const uint8_t *trained, size_t n);

#endif
