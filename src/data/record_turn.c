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

/* The role's name in chat templates for one of the names that data sets use. */
static const char *find_role(const char *name)
{
    static const char *const roles[][2] = {
        {"system", "system"},       {"user", "user"},       {"human", "user"},
        {"assistant", "assistant"}, {"gpt", "assistant"},   {"chatgpt", "assistant"},
        {"bing", "assistant"},      {"bard", "assistant"},  {"model", "assistant"},
        {"developer", "developer"}, {"tool", "tool"},       {"observation", "tool"},
        {"function", "function"},   {"ipython", "ipython"}, {"function_call", "assistant"},
    };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(name, roles[i][0]) == 0) return roles[i][1];
    return NULL;
}

/* The role of a turn, from "role" or "from". */
static const char *read_role(struct ctx *c, const char *what, const json_t *turn)
{
    const json_t *v = either(c, what, turn, "role", "from");
    if (!ctx_ok(c)) return NULL;
    if (!v) return ctx_fail(c, E_INPUT, "%s: a message has no 'role' (or 'from')", what), NULL;
    if (!json_is_string(v)) return ctx_fail(c, E_INPUT, "%s: a role is %s, not a string", what, record_type_name(v)), NULL;
    const char *name = json_string_value(v), *role = find_role(name);
    if (!role) ctx_fail(c, E_INPUT, "%s: unknown role '%.40s': want system, user, assistant, developer or tool", what, name);
    return role;
}

/* ---- content ---- */

/* Whether a part of a content is text. */
static bool check_part(struct ctx *c, const char *what, const json_t *part)
{
    const json_t *type = record_member(part, "type"), *text = json_is_string(part) ? part : record_member(part, "text");
    const char *name = json_is_string(type) ? json_string_value(type) : "";
    if (json_is_string(text) &&
        (!*name || strcmp(name, "text") == 0 || strcmp(name, "input_text") == 0 || strcmp(name, "output_text") == 0))
        return true;
    ctx_fail(c, E_INPUT, "%s: a part of a message's content is %s%.40s: only text can be trained", what,
             *name ? "of type " : "no text", name);
    return false;
}

/* A list of parts as templates know it: {"type": "text", "text": ...} each. */
static json_t *read_parts(struct ctx *c, const char *what, const json_t *v)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < json_array_size(v) && ctx_ok(c); i++) {
        const json_t *part = json_array_get(v, i);
        if (!check_part(c, what, part)) break;
        json_t *text = json_is_string(part) ? (json_t *)part : json_object_get(part, "text");
        if (json_array_append_new(list, json_pack("{s:s, s:O}", "type", "text", "text", text)) != 0)
            ctx_fail(c, E_MEMORY, "out of memory for a message");
    }
    if (!list) ctx_fail(c, E_MEMORY, "out of memory for a message");
    return list;
}

/* A string, a list of text parts, or nothing where the turn calls a tool. */
static bool read_content(struct ctx *c, const char *what, const json_t *turn, json_t *message)
{
    const json_t *v = either(c, what, turn, "content", "value");
    if (!ctx_ok(c)) return false;
    if (!v && json_object_get(message, "tool_calls")) return true;
    if (!v)
        return ctx_fail(c, E_INPUT,
                        json_object_get(turn, "content") ? "%s: the 'content' of a message is null, and it calls no tool"
                                                         : "%s: a message has no 'content' (or 'value')",
                        what),
               false;
    if (!json_is_string(v) && (!json_is_array(v) || json_array_size(v) == 0)) {
        ctx_fail(c, E_INPUT, "%s: the content of a message is %s, not a string or a list of parts", what,
                 json_is_array(v) ? "an empty array" : record_type_name(v));
        return false;
    }
    json_t *content = json_is_string(v) ? json_incref((json_t *)v) : read_parts(c, what, v);
    if (ctx_ok(c) && json_object_set(message, "content", content) != 0) ctx_fail(c, E_MEMORY, "out of memory for a message");
    json_decref(content);
    return ctx_ok(c);
}

/* ---- calls of tools ---- */

/* {"name", "arguments"} as the one call of the message; takes it over. */
static bool set_call(struct ctx *c, json_t *message, json_t *function)
{
    json_t *calls = json_pack("[{s:s, s:o}]", "type", "function", "function", function);
    if (calls && json_object_set_new(message, "tool_calls", calls) == 0) return true;
    return ctx_fail(c, E_MEMORY, "out of memory for a message"), false;
}

/* The role function_call: its text is the JSON of a call. */
static bool read_call_text(struct ctx *c, const char *what, const json_t *turn, json_t *message)
{
    const json_t *v = either(c, what, turn, "content", "value");
    if (!json_is_string(v)) return ctx_fail(c, E_INPUT, "%s: a function_call is no string", what), false;
    json_t *function = json_parse(c, what, json_string_value(v), json_string_length(v));
    if (!function) return false;
    if (json_is_string(json_object_get(function, "name"))) return set_call(c, message, function);
    json_decref(function);
    return ctx_fail(c, E_INPUT, "%s: a function_call is no JSON object with a 'name'", what), false;
}

/* The member function_call, which tool_calls has replaced. */
static bool read_call(struct ctx *c, const char *what, const json_t *turn, json_t *message)
{
    const json_t *call = json_object_get(turn, "function_call");
    if (record_is_empty(call)) return true;
    if (!json_is_object(call) || !record_is_empty(json_object_get(turn, "tool_calls"))) {
        ctx_fail(c, E_INPUT, "%s: 'function_call' of a message is %s", what,
                 json_is_object(call) ? "there beside 'tool_calls': which is meant?" : record_type_name(call));
        return false;
    }
    return set_call(c, message, json_incref((json_t *)call));
}

/* ---- whether it is trained ---- */

/* A member that masks a turn (0 or false, 1 or true), or its weight. */
static bool read_mask(struct ctx *c, const char *what, const json_t *turn, const char *key, bool fraction, double *weight)
{
    const json_t *v = record_member(turn, key);
    if (!v) return true;
    double mask = json_is_boolean(v) ? json_boolean_value(v) : json_is_number(v) ? json_number_value(v) : -1;
    if (mask != 0 && mask != 1 && (!fraction || !(mask > 0 && mask < 1))) {
        ctx_fail(c, E_INPUT, "%s: '%s' of a message is %s%s (loss_weight is the weight of a row)", what, key,
                 json_is_number(v) ? "" : record_type_name(v),
                 !json_is_number(v) ? fraction ? ", not a number" : ", neither true nor false"
                 : fraction         ? "not between 0 and 1"
                                    : "neither 0 nor 1");
        return false;
    }
    *weight *= mask;
    return true;
}

/* All members that say whether or how much a turn is trained; their product is its weight, which becomes the code. */
static bool read_masks(struct ctx *c, const char *what, const json_t *turn, const char *role, uint8_t *code)
{
    static const char *const keys[] = {"weight", "train", "loss", "trainable", "training"};
    const char *yes = NULL, *no = NULL; /* members that say that the turn is trained, and that it is not */
    double weight = 1;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (!read_mask(c, what, turn, keys[i], i == 0, &weight)) return false;
        if (i > 0 && json_is_true(record_member(turn, keys[i])) && strcmp(role, "assistant") != 0) {
            ctx_fail(c, E_INPUT, "%s: '%s' is true on a message of role %s: only those of the assistant are trained", what,
                     keys[i], role);
            return false;
        }
        const json_t *v = i > 0 ? record_member(turn, keys[i]) : NULL;
        if (v) *(json_is_true(v) || json_number_value(v) == 1 ? &yes : &no) = keys[i];
    }
    if (yes && no) {
        ctx_fail(c, E_INPUT, "%s: a message has '%s' and '%s', and they differ: is it trained or not?", what, yes, no);
        return false;
    }
    int found = chat_weight_code(weight);
    if (found < 0)
        ctx_fail(c, E_INPUT, "%s: the weight %g of a message is no multiple of %g", what, weight, 1.0 / CHAT_WEIGHT_STEPS);
    *code = (uint8_t)found;
    return found >= 0;
}

/* ---- the rest ---- */

/* Members that hold pictures or masks which would be left out without a word. */
static bool turn_refuse_lost(struct ctx *c, const char *what, const json_t *turn)
{
    static const char *const lost[] = {"images", "image", "audio", "audios", "videos", "video", "train_detail"};
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        if (record_is_empty(json_object_get(turn, lost[i]))) continue;
        ctx_fail(c, E_INPUT,
                 "%s: a message has '%s', which is not rendered here and would be lost: remove it or leave the row out",
                 what, lost[i]);
        return false;
    }
    return true;
}

/* Names of members: those that are read here and do not reach the template, and those that templates are known to read. */
static const char *const turn_read[] = {"role",  "from", "content",   "value",    "weight",
                                        "train", "loss", "trainable", "training", "function_call"};
static const char *const turn_known[] = {"name", "tool_calls", "tool_call_id", "reasoning_content", "reasoning", "thinking"};

/* Whether a name is one of n. */
static bool turn_is_listed(const char *const *names, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(key, names[i]) == 0) return true;
    return false;
}

/* Everything else that the message has comes along: the template may read it. */
static bool copy_members(struct ctx *c, const json_t *turn, struct member_list *unused, json_t *message)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)turn, key, value)
    {
        if (record_is_empty(value) || turn_is_listed(turn_read, sizeof turn_read / sizeof turn_read[0], key)) continue;
        if (!turn_is_listed(turn_known, sizeof turn_known / sizeof turn_known[0], key)) member_list_add(unused, key);
        if (json_object_set(message, key, value) != 0) ctx_fail(c, E_MEMORY, "out of memory for a message");
    }
    return ctx_ok(c);
}

json_t *record_turn_read(struct ctx *c, const char *what, const json_t *turn, struct member_list *unused, uint8_t *code)
{
    if (!json_is_object(turn)) {
        ctx_fail(c, E_INPUT, "%s: a message is %s, not an object", what, record_type_name(turn));
        return NULL;
    }
    const char *role = read_role(c, what, turn), *given;
    if (!role || !turn_refuse_lost(c, what, turn) || !read_masks(c, what, turn, role, code)) return NULL;
    json_t *message = json_pack("{s:s}", "role", role);
    if (!message) return ctx_fail(c, E_MEMORY, "out of memory for a message"), NULL;
    given = json_string_value(either(c, what, turn, "role", "from"));
    bool call = strcmp(given, "function_call") == 0;
    bool ok = call ? read_call_text(c, what, turn, message) && copy_members(c, turn, unused, message)
                   : copy_members(c, turn, unused, message) && read_call(c, what, turn, message) &&
                         read_content(c, what, turn, message);
    if (ok) return message;
    json_decref(message);
    return NULL;
}
