/* chat_template: a conversation through the model's chat template to ids.
 *
 *   [{"role": "user", "content": "Hi"}]    rendered by ChatML:
 *   "<|im_start|>user\nHi<|im_end|>\n"     then tokenised as one text
 *
 * Jinja's output says of each byte whether the template wrote it or a message did. So a user who types "<|im_end|>" gets its
 * nine characters as plain text, while the same characters from the template become the control token. */
#include "io/template/chat_template.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/template/chat_adapt.h"
#include "io/template/chat_variables.h"

struct chat_template {
    struct ctx *c; /* used only to free it */
    const struct tokenizer *tokenizer;
    struct jinja_template *plain, *with_tools; /* the second is NULL when the first does for both */
    json_t *fixed;                             /* the tokenizer's special tokens */
    struct tm now;
    struct chat_abilities abilities; /* of `plain`; of the template that conversations with tools take */
    struct chat_abilities tool_abilities;
};

/* Our own, for models that come without a template. The system message is the conversation's or none. */
static const char chatml_source[] = "{% for message in messages %}{{ '<|im_start|>' ~ message.role ~ '\\n' ~ "
                                    "message.content ~ '<|im_end|>\\n' }}{% endfor %}"
                                    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
static const char llama3_source[] =
    "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\\n\\n' ~ "
    "message.content | trim ~ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}";

/* ---- opening ---- */

/* A special token as a variable of the template, if the model has it. */
static enum status add_token(struct ctx *c, json_t *o, const char *name, const char *text)
{
    if (!text || json_object_set_new(o, name, json_string(text)) == 0) return OK;
    return ctx_fail(c, E_MEMORY, "out of memory for special tokens");
}

/* The variables bos_token, eos_token, unk_token and pad_token. */
static enum status template_read_tokens(struct ctx *c, struct chat_template *ct)
{
    const struct tokenizer *t = ct->tokenizer;
    ct->fixed = json_object();
    if (!ct->fixed) return ctx_fail(c, E_MEMORY, "out of memory for special tokens");
    TRY(add_token(c, ct->fixed, "bos_token", tokenizer_named(t, TOKENIZER_BOS)));
    TRY(add_token(c, ct->fixed, "eos_token", tokenizer_named(t, TOKENIZER_EOS)));
    TRY(add_token(c, ct->fixed, "unk_token", tokenizer_named(t, TOKENIZER_UNK)));
    return add_token(c, ct->fixed, "pad_token", tokenizer_named(t, TOKENIZER_PAD));
}

/* The day that the template takes for today. */
static enum status read_date(struct ctx *c, const char *date, struct tm *now)
{
    int year, month, day, used = 0;
    if (!date || !*date) date = "2024-07-26";
    if (sscanf(date, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || date[used] || year < 1000 || month < 1 ||
        month > 12 || day < 1 || day > 31)
        return ctx_fail(c, E_INPUT, "\"%.40s\" is not a date of the form 2024-07-26", date);
    *now = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = 12};
    const struct tm given = *now;
    timegm(now); /* the day of the week and of the year */
    return now->tm_mday == given.tm_mday ? OK : ctx_fail(c, E_INPUT, "%s is not a day of the calendar", date);
}

/* A template that comes with the program needs its control tokens. */
static enum status check_tokens(struct ctx *c, const struct tokenizer *t, enum chat_choice choice)
{
    static const char *const chatml[] = {"<|im_start|>", "<|im_end|>", NULL};
    static const char *const llama3[] = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", NULL};
    for (const char *const *k = choice == CHAT_CHATML ? chatml : llama3; choice != CHAT_OWN && *k; k++)
        if (tokenizer_find(t, *k) < 0)
            return ctx_fail(c, E_INPUT, "the template %s needs the token \"%s\", which the tokenizer lacks",
                            choice == CHAT_CHATML ? "chatml" : "llama3", *k);
    return OK;
}

/* Opens one template. */
static struct jinja_template *open_source(struct ctx *c, const char *source)
{
    return jinja_open(c, "the chat template", source, strlen(source));
}

/* The template and, where the model has another one for conversations with tools, that too. */
static enum status open_templates(struct ctx *c, struct chat_template *ct, enum chat_choice choice)
{
    const char *source = choice == CHAT_CHATML   ? chatml_source
                         : choice == CHAT_LLAMA3 ? llama3_source
                                                 : tokenizer_chat_template(ct->tokenizer);
    const char *tools = choice == CHAT_OWN ? tokenizer_tool_template(ct->tokenizer) : NULL;
    if (!source)
        return ctx_fail(c, E_UNSUPPORTED,
                        "the model has no chat template: give it a chat_template.jinja, or name one with --template "
                        "(chatml or llama3)");
    TRY(check_tokens(c, ct->tokenizer, choice));
    ct->plain = open_source(c, source);
    if (ct->plain && tools) ct->with_tools = open_source(c, tools);
    return c->status;
}

struct chat_template *chat_template_open(struct ctx *c, const struct tokenizer *t, enum chat_choice choice, const char *date)
{
    struct chat_template *ct = mem_alloc(c, 1, sizeof *ct);
    if (!ct) return NULL;
    ct->c = c;
    ct->tokenizer = t;
    if (read_date(c, date, &ct->now) == OK && open_templates(c, ct, choice) == OK && template_read_tokens(c, ct) == OK)
        return ct;
    chat_template_close(ct);
    return NULL;
}

void chat_template_close(struct chat_template *ct)
{
    if (!ct) return;
    jinja_free(ct->plain);
    jinja_free(ct->with_tools);
    json_decref(ct->fixed);
    mem_free(ct->c, ct);
}

const struct tokenizer *chat_template_tokenizer(const struct chat_template *ct)
{
    return ct->tokenizer;
}

bool chat_template_has_marks(const struct chat_template *ct)
{
    return jinja_marks_generation(ct->plain);
}

bool chat_template_reads_clock(const struct chat_template *ct)
{
    return jinja_reads_clock(ct->plain);
}

/* ---- rendering ---- */

/* Whether a member holds something that a template should show. */
static bool is_filled(const json_t *v)
{
    return v && !json_is_null(v) && !(json_is_string(v) && json_string_length(v) == 0) &&
           !(json_is_array(v) && json_array_size(v) == 0);
}

/* What a conversation holds and the template has no word for would be lost without anybody noticing. */
static enum status check_read(struct ctx *c, const struct jinja_template *t, const struct chat_conversation *talk)
{
    static const char *const names[] = {"tool_calls", "reasoning_content", "thinking", "reasoning"};
    bool reasoning =
        jinja_mentions(t, "reasoning_content") || jinja_mentions(t, "thinking") || jinja_mentions(t, "reasoning");
    if (talk->tools && !jinja_mentions(t, "tools"))
        return ctx_fail(c, E_INPUT,
                        "the conversation has tools, which the model's chat template does not show to the model");
    for (size_t i = 0; i < json_array_size(talk->messages); i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            if (!is_filled(json_object_get(json_array_get(talk->messages, i), names[k]))) continue;
            if (k == 0 ? jinja_mentions(t, "tool_calls") : reasoning) continue;
            return ctx_fail(c, E_INPUT,
                            "message %zu has '%s', which the model's chat template does not read, so that it would be lost: "
                            "remove it or leave the row out",
                            i, names[k]);
        }
    return OK;
}

enum status chat_template_render(struct ctx *c, struct chat_template *ct, const struct chat_conversation *talk, size_t n,
                                 bool prompt, struct jinja_output *out)
{
    bool tools = talk->tools && ct->with_tools;
    const struct jinja_template *t = tools ? ct->with_tools : ct->plain;
    struct chat_abilities *abilities = tools ? &ct->tool_abilities : &ct->abilities;
    TRY(check_read(c, t, talk));
    json_t *messages = chat_adapt_messages(c, t, ct->fixed, abilities, talk->messages, n);
    json_t *variables = messages ? chat_variables_new(c, messages, talk->tools, talk->more, prompt) : NULL;
    const struct jinja_input in = {variables, ct->fixed, ct->now};
    if (variables) jinja_render(c, t, &in, out);
    json_decref(variables);
    json_decref(messages);
    return c->status;
}

enum status chat_template_encode(struct ctx *c, const struct chat_template *ct, const struct jinja_output *text,
                                 struct ids *ids, struct token_spans *spans)
{
    return tokenizer_encode_marked(c, ct->tokenizer, text->text, text->n, text->outside, ids, spans);
}

enum status chat_template_prompt(struct ctx *c, struct chat_template *ct, const struct chat_conversation *talk,
                                 struct ids *ids)
{
    struct jinja_output text = {0};
    if (json_array_size(talk->messages) == 0) return ctx_fail(c, E_INPUT, "a conversation without messages");
    enum status status = chat_template_render(c, ct, talk, json_array_size(talk->messages), true, &text);
    if (status == OK) status = chat_template_encode(c, ct, &text, ids, NULL);
    jinja_output_release(c, &text);
    return status;
}

enum status chat_template_add(struct ctx *c, json_t *messages, const char *role, const char *content, size_t n)
{
    json_t *message = json_pack("{s:s, s:s%}", "role", role, "content", content, n);
    if (message && json_array_append_new(messages, message) == 0) return OK;
    return ctx_fail(c, message ? E_MEMORY : E_INPUT, "a message is not valid UTF-8, or there is no memory for it");
}
