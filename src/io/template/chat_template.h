/* chat_template: a conversation as the model's own chat template (Jinja, jinja.h) renders it, as text and as ids. The ids
 * are those of transformers' apply_chat_template with sanitize_control_tokens: one tokenisation of the whole text, in which
 * control tokens that the template writes are control tokens, and what rows hold is plain text. */
#ifndef YA_IO_CHAT_TEMPLATE_H
#define YA_IO_CHAT_TEMPLATE_H

#include <jansson.h>

#include "io/template/jinja.h"
#include "io/tokenizer/tokenizer.h"

/* Which template: the model's own, or one of two that come with the program, for models without one. */
enum chat_choice { CHAT_OWN, CHAT_CHATML, CHAT_LLAMA3 };

struct chat_template; /* opaque */

/* `date` is "YYYY-MM-DD", what templates that ask for the date are told; NULL: 2024-07-26, so that the same rows give the
 * same ids on any day. The tokenizer is borrowed. NULL with E_UNSUPPORTED (no template, or one with a construct that is not
 * supported, by line) or E_INPUT (no valid Jinja, not a date). */
struct chat_template *chat_template_open(struct ctx *c, const struct tokenizer *t, enum chat_choice choice,
                                         const char *date);
void chat_template_close(struct chat_template *ct); /* accepts NULL */

/* Messages are JSON objects with role, content and what else the template reads; `tools` is a list or NULL, `more` an object
 * of further variables or NULL. All borrowed. */
struct chat_conversation {
    const json_t *messages, *tools, *more;
};

/* The first n messages, and with `prompt` the beginning of an assistant turn behind them. Lists of text parts are joined for
 * templates that cannot read them, and calls of tools whose arguments are JSON in a string are parsed for templates that
 * want objects. E_INPUT when the template refuses the conversation. *out as of jinja_render. */
enum status chat_template_render(struct ctx *c, struct chat_template *ct, const struct chat_conversation *talk, size_t n,
                                 bool prompt, struct jinja_output *out);

/* The ids of a rendered text and, unless NULL, their places in it. */
enum status chat_template_encode(struct ctx *c, const struct chat_template *ct, const struct jinja_output *text,
                                 struct ids *ids, struct token_spans *spans);

/* Appends the ids that the model is to continue: all messages and the beginning of an assistant turn. */
enum status chat_template_prompt(struct ctx *c, struct chat_template *ct, const struct chat_conversation *talk,
                                 struct ids *ids);

/* The tokenizer that it was opened with. */
const struct tokenizer *chat_template_tokenizer(const struct chat_template *ct);
/* Whether the template marks what is trained, asks for the date. */
bool chat_template_has_marks(const struct chat_template *ct);
bool chat_template_reads_clock(const struct chat_template *ct);

/* {"role": role, "content": content} at the end of a list. */
enum status chat_template_add(struct ctx *c, json_t *messages, const char *role, const char *content, size_t n);

#endif
