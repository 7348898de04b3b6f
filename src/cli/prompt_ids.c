/* prompt_ids: see prompt_ids.h. */
#include "cli/prompt_ids.h"

#include <string.h>

#include "io/template/chat_template.h"

static enum status encode_chat(const struct loaded *l, const struct prompt_options *o, const char *prompt, struct ids *ids)
{
    struct ctx *c = l->c;
    json_t *messages = json_array();
    struct chat_template *ct = chat_template_open(c, l->tokenizer, (enum chat_choice)o->chat_template, o->date);
    const struct chat_conversation talk = {.messages = messages};
    if (!messages) ctx_fail(c, E_MEMORY, "out of memory for messages");
    if (ctx_ok(c) && o->system) chat_template_add(c, messages, "system", o->system, strlen(o->system));
    if (ctx_ok(c)) chat_template_add(c, messages, "user", prompt, strlen(prompt));
    if (ctx_ok(c)) chat_template_prompt(c, ct, &talk, ids);
    chat_template_close(ct);
    json_decref(messages);
    return c->status;
}

enum status prompt_ids_encode(const struct loaded *l, const struct prompt_options *o, const char *prompt, struct ids *ids)
{
    if (o->chat) return encode_chat(l, o, prompt, ids);
    if (o->system) return ctx_fail(l->c, E_INPUT, "--system means something only with --chat");
    return tokenizer_encode_text(l->c, l->tokenizer, prompt, strlen(prompt), false, ids);
}
