/* chat_template: renders messages to ids, with the trained tokens marked. The template is recognised from the model's own
 * Jinja source by what it must contain; only ChatML and Llama 3 are known, another is refused by name (E_UNSUPPORTED). */
#ifndef YA_IO_CHAT_TEMPLATE_H
#define YA_IO_CHAT_TEMPLATE_H

#include "io/tokenizer/tokenizer.h"

enum chat_template { CHAT_NONE, CHAT_CHATML, CHAT_LLAMA3 };
const char *chat_template_name(enum chat_template t);

/* Recognises the tokenizer's template. CHAT_NONE with E_UNSUPPORTED when it has one that is not known, or none at all. */
enum chat_template chat_template_detect(struct ctx *c, const struct tokenizer *t);
/* "chatml" or "llama3" from the command line. */
enum status chat_template_parse(struct ctx *c, const char *name, enum chat_template *out);

struct chat_message {
    const char *role, *content; /* content may hold NUL bytes: length below */
    size_t content_bytes;
    double weight; /* 0: this assistant turn is not trained; 1 otherwise */
};

/* Appends ids of the whole conversation and, for each, whether it is trained (every assistant turn with weight != 0, its
 * closing token included; header tokens are not). Contents are encoded as plain text, control tokens by id. With
 * `add_generation_prompt` the header of an assistant turn is opened at the end. The model's default system message (ChatML
 * templates of SmolLM2 and Qwen2.5 add one) is added as the template would. */
enum status chat_template_render(struct ctx *c, enum chat_template kind, const struct tokenizer *t,
                                 const struct chat_message *messages, size_t n, bool add_generation_prompt, struct ids *ids,
                                 struct buf *trained); /* one byte an id: 0 or 1 */

#endif
