/* tokenizer: byte-level BPE, text to ids and back. Made from a tokenizer.json or from GGUF metadata; the ids equal those of
 * the reference implementations (Hugging Face tokenizers, llama.cpp). Immutable after opening: safe for concurrent readers.
 */
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
void ids_release(struct ctx *c, struct ids *ids);
enum status ids_push(struct ctx *c, struct ids *ids, int32_t id);

/* `path` is a tokenizer.json; a tokenizer_config.json (and special_tokens_map.json, generation_config.json) beside it is
 * read for BOS, EOS, pad and the chat template when it exists. Errors: E_INPUT naming file and field, E_UNSUPPORTED naming
 * what is not supported (model type, pre-tokenizer pattern, normalizer). */
struct tokenizer *tokenizer_open_json(struct ctx *c, const char *path);
struct tokenizer *tokenizer_open_gguf(struct ctx *c, const struct gguf *g);
/* A model folder or a .gguf file. */
struct tokenizer *tokenizer_open(struct ctx *c, const char *model_path);
void tokenizer_free(struct tokenizer *t);

/* Appends the ids of n bytes of text (any bytes) to *out. No BOS or EOS is added. With `special` the text of special tokens
 * ("<|im_start|>") becomes their ids; without, it is plain text (data from outside must not speak as a role). Added tokens
 * that are not special are always recognised, as the reference does. Linear time. */
enum status tokenizer_encode(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special,
                             struct ids *out);

/* Appends the bytes of the ids; special tokens are written as their text, or left out with skip_special. */
enum status tokenizer_decode(struct ctx *c, const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                             struct buf *out);

int64_t tokenizer_vocab_size(const struct tokenizer *t); /* largest id + 1 */
/* The text of one token as stored (byte-level alphabet), or NULL when the id is a hole or out of range. */
const char *tokenizer_token(const struct tokenizer *t, int32_t id);
int32_t tokenizer_find(const struct tokenizer *t, const char *token); /* id of an added/special token's text, or -1 */
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);
int32_t tokenizer_bos(const struct tokenizer *t); /* -1: none */
int32_t tokenizer_eos(const struct tokenizer *t);
bool tokenizer_is_stop(const struct tokenizer *t, int32_t id); /* any end-of-generation id (EOS, <|im_end|>, <|eot_id|>) */
bool tokenizer_adds_bos(const struct tokenizer *t); /* whether a document starts with BOS by the model's own rule */
const char *tokenizer_chat_template(const struct tokenizer *t); /* Jinja source, or NULL */

#endif
