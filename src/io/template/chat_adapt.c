/* chat_adapt: messages in the spelling that a template can read. Templates differ in what they take: one adds the content of
 * a message to a string and fails on a list of parts, another writes the arguments of a call with `tojson` and would quote a
 * string twice. Whether a template does the one or the other cannot be read off its source, so a small conversation with a
 * marker in it is rendered and the output is searched for the marker. The answer is kept in struct chat_abilities and asked
 * for once. */
#include "io/template/chat_adapt.h"

#include <string.h>

#include "base/buf.h"
#include "io/json.h"
#include "io/template/chat_variables.h"

/* Whether the template renders these messages and the text has `word` in it, and not `bad`. */
static bool probe(struct ctx *c, const struct jinja_template *t, const json_t *fixed, const char *messages, const char *word,
                  const char *bad)
{
    struct jinja_output out = {0};
    json_t *list = json_parse(c, "probe", messages, strlen(messages));
    json_t *variables = list ? chat_variables_new(c, list, NULL, NULL, false) : NULL;
    const struct jinja_input in = {variables, fixed, {.tm_mday = 1, .tm_year = 126}};
    bool yes = false;
    if (variables && jinja_render(c, t, &in, &out) == OK)
        yes = strstr(out.text, word) != NULL && strstr(out.text, bad) == NULL;
    if (c->status == E_INPUT || c->status == E_UNSUPPORTED) ctx_clear(c);
    jinja_output_release(c, &out);
    json_decref(variables);
    json_decref(list);
    return yes;
}

/* Whether the template writes the text of a content that is a list of parts. */
static bool reads_parts(struct ctx *c, const struct jinja_template *t, const json_t *fixed, struct chat_abilities *a)
{
    static const char messages[] = "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Xprobe\"}]}]";
    if (a->parts == ABILITY_UNKNOWN) a->parts = probe(c, t, fixed, messages, "Xprobe", "type") ? ABILITY_YES : ABILITY_NO;
    return a->parts == ABILITY_YES;
}

/* A template that writes a string of JSON as JSON puts backslashes in front of its quotes. One that fails wants an object.
 */
static bool takes_strings(struct ctx *c, const struct jinja_template *t, const json_t *fixed, struct chat_abilities *a)
{
    static const char messages[] =
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":"
        "\"abcdefghi\","
        "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"Xprobe\\\": 1}\"}}]}]";
    if (a->strings == ABILITY_UNKNOWN)
        a->strings = probe(c, t, fixed, messages, "{\"Xprobe\": 1}", "\\\"Xprobe") ? ABILITY_YES : ABILITY_NO;
    return a->strings == ABILITY_YES;
}

/* Whether the template renders a turn that calls a tool and has no content. */
static bool takes_absent(struct ctx *c, const struct jinja_template *t, const json_t *fixed, struct chat_abilities *a)
{
    static const char messages[] =
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"abcdefghi\",\"type\":"
        "\"function\",\"function\":{\"name\":\"Xprobe\",\"arguments\":{\"a\":1}}}]}]";
    if (a->absent == ABILITY_UNKNOWN) a->absent = probe(c, t, fixed, messages, "Xprobe", "None") ? ABILITY_YES : ABILITY_NO;
    return a->absent == ABILITY_YES;
}

/* ---- contents ---- */

/* The texts of a list of parts, or NULL when a part is something else (the template then gets the list). */
static json_t *join_parts(struct ctx *c, const json_t *parts)
{
    struct buf text;
    bool texts = true;
    buf_init(&text, c, SIZE_MAX / 4);
    for (size_t i = 0; i < json_array_size(parts) && texts; i++) {
        const json_t *part = json_array_get(parts, i), *v = json_is_string(part) ? part : json_object_get(part, "text");
        texts = json_is_string(v);
        if (texts) buf_append(&text, json_string_value(v), json_string_length(v));
    }
    json_t *joined = texts && buf_ok(&text) ? json_stringn(buf_str(&text), text.len) : NULL;
    if (texts && !joined) ctx_fail(c, E_MEMORY, "out of memory for a message");
    buf_release(&text);
    return joined;
}

/* ---- calls of tools ---- */

/* Whether any call has its arguments as a string. */
static bool has_strings(const json_t *calls)
{
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *f = json_object_get(json_array_get(calls, i), "function");
        if (json_is_string(json_object_get(f ? f : json_array_get(calls, i), "arguments"))) return true;
    }
    return false;
}

/* Calls with arguments as objects; a string that is no object of JSON stays. */
static json_t *adapt_parse_arguments(struct ctx *c, const json_t *calls)
{
    json_t *copy = json_deep_copy(calls);
    if (!copy) ctx_fail(c, E_MEMORY, "out of memory for a message");
    for (size_t i = 0; i < json_array_size(copy); i++) {
        json_t *call = json_array_get(copy, i), *f = json_object_get(call, "function");
        json_t *owner = f ? f : call, *text = json_object_get(owner, "arguments");
        if (!json_is_string(text)) continue;
        json_t *parsed = json_parse(c, "arguments", json_string_value(text), json_string_length(text));
        if (c->status == E_INPUT) ctx_clear(c);
        if (json_is_object(parsed)) json_object_set(owner, "arguments", parsed);
        json_decref(parsed);
    }
    return copy;
}

/* ---- messages ---- */

/* The message with one member replaced; takes `value` over. */
static json_t *replaced(struct ctx *c, json_t *message, const char *key, json_t *value)
{
    json_t *copy = json_copy(message);
    if (!copy || json_object_set(copy, key, value) != 0) ctx_fail(c, E_MEMORY, "out of memory for a message");
    json_decref(message);
    json_decref(value);
    return copy;
}

json_t *chat_adapt_messages(struct ctx *c, const struct jinja_template *t, const json_t *fixed,
                            struct chat_abilities *abilities, const json_t *messages, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n && ctx_ok(c); i++) {
        json_t *m = json_incref(json_array_get(messages, i));
        const json_t *content = json_object_get(m, "content"), *calls = json_object_get(m, "tool_calls");
        json_t *joined = json_is_array(content) && !reads_parts(c, t, fixed, abilities) ? join_parts(c, content) : NULL;
        json_t *parsed =
            has_strings(calls) && !takes_strings(c, t, fixed, abilities) ? adapt_parse_arguments(c, calls) : NULL;
        if (calls && (!content || json_is_null(content)) && !takes_absent(c, t, fixed, abilities)) joined = json_string("");
        if (joined) m = replaced(c, m, "content", joined);
        if (parsed) m = replaced(c, m, "tool_calls", parsed);
        if (!m || json_array_append_new(list, m) != 0) ctx_fail(c, E_MEMORY, "out of memory for messages");
    }
    if (!list) ctx_fail(c, E_MEMORY, "out of memory for messages");
    if (list && ctx_ok(c)) return list;
    json_decref(list);
    return NULL;
}
