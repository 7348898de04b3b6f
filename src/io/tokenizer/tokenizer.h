/* tokenizer: byte-level BPE and SentencePiece's BPE with byte fallback, text to ids and back. Made from a tokenizer.json, a
 * tokenizer.model or GGUF metadata; the ids equal those of the reference implementations (Hugging Face tokenizers,
 * sentencepiece, llama.cpp). Immutable after opening: safe for concurrent readers. */
#ifndef YA_IO_TOKENIZER_H
#define YA_IO_TOKENIZER_H

#include "base/buf.h"
#include "base/ctx.h"

struct gguf;      /* io/gguf.h */
struct tokenizer; /* opaque */

/* A growable list of token ids. */
struct ids {
    int32_t *data; /* owned */
    size_t n, room;
};
/* Frees the list, which is empty then; appends one id (E_MEMORY). */
void ids_release(struct ctx *c, struct ids *ids);
enum status ids_push(struct ctx *c, struct ids *ids, int32_t id);
/* E_INPUT naming the first of n ids that is not in [0, vocab), for ids that come from outside: the embedding table is read
 * by them. */
enum status ids_check(struct ctx *c, const int32_t *ids, size_t n, int64_t vocab);

/* Where the text of each token stands in the text that was tokenized: bytes [start, end). Starts never fall. What has no
 * token of its own lies between tokens; a character that became several tokens belongs to the last; what the tokenizer put
 * in front has no bytes. */
struct token_span {
    size_t start, end;
};
struct token_spans {
    struct token_span *data; /* owned */
    size_t n, room;
};
/* Frees the list, which is empty then. */
void token_spans_release(struct ctx *c, struct token_spans *spans);

/* `path` is a tokenizer.json; a tokenizer_config.json (and special_tokens_map.json, generation_config.json) beside it is
 * read for BOS, EOS, pad and the chat template when it exists. Errors: E_INPUT naming file and field, E_UNSUPPORTED naming
 * what is not supported (model type, pre-tokenizer pattern, normalizer). */
struct tokenizer *tokenizer_open_json(struct ctx *c, const char *path);
/* The tokenizer in a GGUF file's metadata. Same errors. */
struct tokenizer *tokenizer_open_gguf(struct ctx *c, const struct gguf *g);
/* `path` is a tokenizer.model of SentencePiece (model type BPE); beside it the same files, and added tokens in
 * tokenizer_config.json and added_tokens.json. */
struct tokenizer *tokenizer_open_proto(struct ctx *c, const char *path);
/* A model folder (tokenizer.json, else tokenizer.model), one of these files, or a GGUF file whatever its name. */
struct tokenizer *tokenizer_open(struct ctx *c, const char *model_path);
void tokenizer_free(struct tokenizer *t); /* accepts NULL */

/* Appends the ids of n bytes of text (any bytes) to *out. No BOS or EOS is added. With `special` the text of special tokens
 * ("<|im_start|>") becomes their ids; without, it is plain text (data from outside must not speak as a role). Added tokens
 * that are not special are always recognised, as the reference does. Linear time. */
enum status tokenizer_encode(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special,
                             struct ids *out);
/* The same, and appends the place of each token to *spans. n must be below 2^32 - 1. */
enum status tokenizer_encode_spans(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special,
                                   struct ids *out, struct token_spans *spans);

/* With special tokens, but where all bytes of one are marked in outside (n) its text stays plain text: the rest of the text
 * may speak as a role, what comes from outside may not. `spans` may be NULL. */
enum status tokenizer_encode_marked(struct ctx *c, const struct tokenizer *t, const char *text, size_t n,
                                    const uint8_t *outside, struct ids *out, struct token_spans *spans);

/* A sequence as the model is to see it, begun in an empty list: tokenizer_begin puts BOS there when the model's own rule
 * says so, tokenizer_encode_text does that and appends a text (with `special`, a BOS that the text spells itself is not
 * doubled), tokenizer_close appends EOS unless it stands there already or there is none. */
enum status tokenizer_begin(struct ctx *c, const struct tokenizer *t, struct ids *ids);
enum status tokenizer_encode_text(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special,
                                  struct ids *ids);
enum status tokenizer_close(struct ctx *c, const struct tokenizer *t, struct ids *ids);

/* E_INPUT naming the first id that is not below `rows`, the rows of a model's embedding table: a tokenizer may know more
 * tokens than the model, as long as none of them is used. */
enum status tokenizer_check_ids(struct ctx *c, const struct tokenizer *t, const int32_t *ids, size_t n, int64_t rows);

/* The first special token that the text spells out, or -1; *count is how many there are. Encoding without `special` makes
 * plain characters of them. */
int32_t tokenizer_find_spelled(const struct tokenizer *t, const char *text, size_t n, size_t *count);

/* The next special token that the text spells from byte `from` on: bytes [*start, *end). False when there is none. */
bool tokenizer_next_special(const struct tokenizer *t, const char *text, size_t n, size_t from, size_t *start, size_t *end,
                            int32_t *id);

/* Appends the bytes of the ids; special tokens are written as their text, or left out with skip_special. */
enum status tokenizer_decode(struct ctx *c, const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                             struct buf *out);
/* The same for the beginning of a text: the space that the tokenizer put in front is left out. */
enum status tokenizer_decode_text(struct ctx *c, const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                                  struct buf *out);

/* The largest id + 1. */
int64_t tokenizer_vocab_size(const struct tokenizer *t);
/* The text of one token as stored (byte-level alphabet), or NULL when the id is a hole or out of range. */
const char *tokenizer_token(const struct tokenizer *t, int32_t id);
int32_t tokenizer_find(const struct tokenizer *t, const char *token); /* id of an added/special token's text, or -1 */
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);
bool tokenizer_is_added(const struct tokenizer *t, int32_t id); /* recognised in text as a whole */
/* Whether tokens are spelled in characters, a space as U+2581 (SentencePiece), and not in the byte-level alphabet; and
 * whether a text then gets a space in front. */
bool tokenizer_has_pieces(const struct tokenizer *t);
bool tokenizer_prepends_space(const struct tokenizer *t);
int32_t tokenizer_bos(const struct tokenizer *t); /* -1: none */
int32_t tokenizer_eos(const struct tokenizer *t);
bool tokenizer_is_stop(const struct tokenizer *t, int32_t id); /* any end-of-generation id (EOS, <|im_end|>, <|eot_id|>) */
bool tokenizer_adds_bos(const struct tokenizer *t); /* whether a document starts with BOS by the model's own rule */
bool tokenizer_adds_eos(const struct tokenizer *t); /* whether it ends with EOS by that rule */
/* Merge number `i`, as ids, of a tokenizer whose merges follow from its scores (SentencePiece); false past the last one. */
bool tokenizer_scored_merge(const struct tokenizer *t, size_t i, int32_t *left, int32_t *right);
const char *tokenizer_chat_template(const struct tokenizer *t); /* Jinja source, or NULL */
const char *tokenizer_tool_template(const struct tokenizer *t); /* the one for conversations with tools, if it is another */
/* The text of a token that chat templates are given by name; NULL when the model does not name one. */
enum tokenizer_name { TOKENIZER_BOS, TOKENIZER_EOS, TOKENIZER_UNK, TOKENIZER_PAD };
const char *tokenizer_named(const struct tokenizer *t, enum tokenizer_name which);

#endif
