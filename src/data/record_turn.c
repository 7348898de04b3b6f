/* record_turn: see record_turn.h. Roles keep the names that chat templates know; the names that ShareGPT and others have for
 * them are translated. What would change training and is not understood is refused by name: a turn that is silently trained
 * although its row says otherwise, or that is trained without the half of its text, would be worse than an error. */
#include "data/record_turn.h"

#include <string.h>

const json_t *record_member(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? v : NULL;
}

const char *record_type_name(const json_t *v)
{
    if (json_is_string(v)) return "a string";
    if (json_is_object(v)) return "an object";
    if (json_is_array(v)) return "an array";
    if (json_is_number(v)) return "a number";
    return json_is_boolean(v) ? "a boolean" : "null";
}

bool record_is_empty(const json_t *v)
{
    if (!v || json_is_null(v)) return true;
    if (json_is_string(v)) return json_string_length(v) == 0;
    if (json_is_array(v)) return json_array_size(v) == 0;
    return json_is_object(v) && json_object_size(v) == 0;
}

/* The value of a turn under one of two names; NULL when neither is there. Both may be there when they agree. */
static const json_t *either(struct ctx *c, const char *what, const json_t *turn, const char *a, const char *b)
{
    const json_t *first = record_member(turn, a), *second = record_member(turn, b);
    if (first && second && !json_equal((json_t *)first, (json_t *)second)) {
        ctx_fail(c, E_INPUT, "%s: a message has '%s' and '%s', and they differ", what, a, b);
        return NULL;
    }
    return first ? first : second;
}

/* ---- role ---- */

static const char *find_role(const char *name)
{
    static const char *const roles[][2] = {
        {"system", "system"},     {"user", "user"},           {"human", "user"},     {"assistant", "assistant"},
        {"gpt", "assistant"},     {"chatgpt", "assistant"},   {"bing", "assistant"}, {"bard", "assistant"},
        {"model", "assistant"},   {"developer", "developer"}, {"tool", "tool"},      {"observation", "tool"},
        {"function", "function"}, {"ipython", "ipython"},
    };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(name, roles[i][0]) == 0) return roles[i][1];
    return NULL;
}

static const char *read_role(struct ctx *c, const char *what, const json_t *turn)
{
    const json_t *v = either(c, what, turn, "role", "from");
    if (!ctx_ok(c)) return NULL;
    if (!v) return ctx_fail(c, E_INPUT, "%s: a message has no 'role' (or 'from')", what), NULL;
    if (!json_is_string(v)) return ctx_fail(c, E_INPUT, "%s: a role is %s, not a string", what, record_type_name(v)), NULL;
    const char *name = json_string_value(v), *role = find_role(name);
    if (strcmp(name, "function_call") == 0)
        ctx_fail(c, E_INPUT, "%s: role 'function_call': calls of tools are not rendered by the chat templates known here",
                 what);
    else if (!role)
        ctx_fail(c, E_INPUT, "%s: unknown role '%.40s': want system, user, assistant, developer or tool", what, name);
    return role;
}

/* ---- content ---- */

static bool append_part(struct ctx *c, const char *what, const json_t *part, struct buf *joined)
{
    const json_t *type = record_member(part, "type"), *text = json_is_string(part) ? part : record_member(part, "text");
    const char *name = json_is_string(type) ? json_string_value(type) : "";
    if (!json_is_string(text) ||
        (*name && strcmp(name, "text") != 0 && strcmp(name, "input_text") != 0 && strcmp(name, "output_text") != 0)) {
        ctx_fail(c, E_INPUT, "%s: a part of a message's content is %s%.40s: only text can be trained", what,
                 *name ? "of type " : "no text", name);
        return false;
    }
    buf_append(joined, json_string_value(text), json_string_length(text));
    return buf_ok(joined);
}

/* A string, or a list of parts, whose texts are joined as they stand. */
static bool read_content(struct ctx *c, const char *what, const json_t *turn, struct buf *joined, struct chat_message *out)
{
    const json_t *v = either(c, what, turn, "content", "value");
    if (!ctx_ok(c)) return false;
    if (!v) return ctx_fail(c, E_INPUT, "%s: a message has no 'content' (or 'value')", what), false;
    if (json_is_string(v)) {
        out->content = json_string_value(v);
        out->content_bytes = json_string_length(v);
        return true;
    }
    if (!json_is_array(v) || json_array_size(v) == 0) {
        ctx_fail(c, E_INPUT, "%s: the content of a message is %s, not a string or a list of parts", what,
                 json_is_array(v) ? "an empty array" : record_type_name(v));
        return false;
    }
    size_t start = joined->len;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!append_part(c, what, json_array_get(v, i), joined)) return false;
    out->content = buf_str(joined) + start;
    out->content_bytes = joined->len - start;
    return true;
}

/* ---- whether it is trained ---- */

/* One of the members that mask a turn: 0 or false, 1 or true. */
static bool read_mask(struct ctx *c, const char *what, const json_t *turn, const char *key, double *weight)
{
    const json_t *v = record_member(turn, key);
    if (!v) return true;
    double mask = json_is_boolean(v) ? json_boolean_value(v) : json_is_number(v) ? json_number_value(v) : -1;
    if (mask != 0 && mask != 1) {
        ctx_fail(c, E_INPUT, "%s: '%s' of a message is neither 0 nor 1 (use loss_weight for the weight of a row)", what,
                 key);
        return false;
    }
    *weight *= mask;
    return true;
}

static bool read_masks(struct ctx *c, const char *what, const json_t *turn, struct chat_message *out)
{
    static const char *const keys[] = {"weight", "train", "loss", "trainable", "training"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (!read_mask(c, what, turn, keys[i], &out->weight)) return false;
        if (i > 0 && json_is_true(record_member(turn, keys[i])) && strcmp(out->role, "assistant") != 0) {
            ctx_fail(c, E_INPUT, "%s: '%s' is true on a message of role %s: only those of the assistant are trained", what,
                     keys[i], out->role);
            return false;
        }
    }
    return true;
}

/* ---- the rest ---- */

/* Members that hold text, pictures or masks which would be left out without a word. */
static bool refuse_lost(struct ctx *c, const char *what, const json_t *turn)
{
    static const char *const lost[] = {
        "tool_calls", "function_call", "reasoning_content", "reasoning", "thinking", "images", "image", "audio", "audios",
        "videos",     "video",         "train_detail"};
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        if (record_is_empty(json_object_get(turn, lost[i]))) continue;
        ctx_fail(c, E_INPUT,
                 "%s: a message has '%s', which is not rendered here and would be lost: remove it or leave the row out",
                 what, lost[i]);
        return false;
    }
    return true;
}

static void list_unused(const json_t *turn, struct member_list *unused)
{
    static const char *const used[] = {"role",  "from", "content",   "value",   "weight",
                                       "train", "loss", "trainable", "training"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)turn, key, value)
    {
        bool known = record_is_empty(value);
        for (size_t i = 0; i < sizeof used / sizeof used[0] && !known; i++) known = strcmp(key, used[i]) == 0;
        if (!known) member_list_add(unused, key);
    }
}

bool record_turn_read(struct ctx *c, const char *what, const json_t *turn, bool trained, struct buf *joined,
                      struct member_list *unused, struct chat_message *out)
{
    if (!json_is_object(turn)) {
        ctx_fail(c, E_INPUT, "%s: a message is %s, not an object", what, record_type_name(turn));
        return false;
    }
    *out = (struct chat_message){.weight = 1};
    out->role = read_role(c, what, turn);
    if (!ctx_ok(c) || !refuse_lost(c, what, turn)) return false;
    if (!read_content(c, what, turn, joined, out) || !read_masks(c, what, turn, out)) return false;
    if (!trained) out->weight = 0;
    list_unused(turn, unused);
    return true;
}
