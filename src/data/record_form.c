/* record_form: which form a row has, and its texts.
 *
 * A form is recognised by its keys alone, and a row must have the keys of exactly one: a program that silently preferred
 * "text" over "messages" would train on something that the user did not mean. What a form does not know is refused where it
 * would change what is trained (roles, fractional weights of messages) and ignored where it would not. Strings are not
 * copied: they stay in the JSON document, which lives until the next row. */
#include "data/record_form.h"

#include <string.h>

#include "base/mem.h"

void record_form_init(struct record_form *f, struct ctx *c)
{
    *f = (struct record_form){.c = c};
    buf_init(&f->joined, c, 2 * (size_t)RECORDS_LINE_MAX_BYTES);
}

void record_form_release(struct record_form *f)
{
    mem_free(f->c, f->messages);
    f->messages = NULL;
    f->n_messages = f->room = 0;
    buf_release(&f->joined);
}

static const char *type_name(const json_t *v)
{
    if (json_is_string(v)) return "a string";
    if (json_is_object(v)) return "an object";
    if (json_is_array(v)) return "an array";
    if (json_is_number(v)) return "a number";
    return json_is_boolean(v) ? "a boolean" : "null";
}

/* A member; null counts as absent, because tables exported as JSONL fill unused columns with it. */
static const json_t *member(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? v : NULL;
}

/* A string member with its length; absent leaves *s NULL unless required. */
static bool text_member(struct ctx *c, const char *what, const json_t *o, const char *key, bool required, const char **s,
                        size_t *n)
{
    const json_t *v = member(o, key);
    *s = NULL;
    *n = 0;
    if (!v && !required) return true;
    if (!v) {
        ctx_fail(c, E_INPUT, "%s: '%s' is missing", what, key);
    } else if (!json_is_string(v)) {
        ctx_fail(c, E_INPUT, "%s: '%s' is %s, not a string", what, key, type_name(v));
    } else {
        *s = json_string_value(v);
        *n = json_string_length(v);
        return true;
    }
    return false;
}

static bool filled_member(struct ctx *c, const char *what, const json_t *o, const char *key, const char **s, size_t *n)
{
    if (!text_member(c, what, o, key, true, s, n)) return false;
    if (*n == 0) ctx_fail(c, E_INPUT, "%s: '%s' is empty", what, key);
    return *n > 0;
}

/* ---- messages ---- */

static bool push(struct record_form *f, const char *role, const char *content, size_t n, double weight)
{
    if (f->n_messages == f->room) {
        size_t room = f->room ? 2 * f->room : 16;
        struct chat_message *m = mem_resize(f->c, f->messages, f->room, room, sizeof *m);
        if (!m) return false;
        f->messages = m;
        f->room = room;
    }
    f->messages[f->n_messages++] = (struct chat_message){role, content, n, weight};
    return true;
}

/* The role as templates know it; NULL for an unknown one. ShareGPT has names of its own for two of them. */
static const char *role_of(const char *name, bool sharegpt)
{
    static const char *const known[] = {"system", "user", "assistant"};
    if (sharegpt && strcmp(name, "human") == 0) return "user";
    if (sharegpt && strcmp(name, "gpt") == 0) return "assistant";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i]) == 0) return known[i];
    return NULL;
}

/* One turn. Its weight may only be 0 or 1: a fraction that was then ignored would be worse than an error. */
static bool read_turn(struct record_form *f, const char *what, const json_t *turn, bool sharegpt, bool trained)
{
    const char *name, *content;
    size_t n;
    double weight = 1;
    if (!json_is_object(turn)) {
        ctx_fail(f->c, E_INPUT, "%s: a message is %s, not an object", what, type_name(turn));
        return false;
    }
    if (!text_member(f->c, what, turn, sharegpt ? "from" : "role", true, &name, &n) ||
        !text_member(f->c, what, turn, sharegpt ? "value" : "content", true, &content, &n) ||
        !json_member_f64(f->c, what, turn, "weight", false, 0, 1, &weight))
        return false;
    if (weight != 0 && weight != 1) {
        ctx_fail(f->c, E_INPUT, "%s: the weight of a message is 0 or 1, not %g; use loss_weight for the row", what, weight);
        return false;
    }
    const char *role = role_of(name, sharegpt);
    if (!role) return ctx_fail(f->c, E_INPUT, "%s: unknown role '%.40s': want system, user or assistant", what, name), false;
    return push(f, role, content, n, trained ? weight : 0);
}

static bool read_turns(struct record_form *f, const char *what, const json_t *o, const char *key, bool trained)
{
    const json_t *turns = member(o, key);
    if (!turns) return ctx_fail(f->c, E_INPUT, "%s: '%s' is missing", what, key), false;
    if (!json_is_array(turns)) {
        ctx_fail(f->c, E_INPUT, "%s: '%s' is %s, not an array", what, key, type_name(turns));
        return false;
    }
    if (json_array_size(turns) == 0) return ctx_fail(f->c, E_INPUT, "%s: '%s' is empty", what, key), false;
    bool sharegpt = strcmp(key, "conversations") == 0;
    for (size_t i = 0; i < json_array_size(turns); i++)
        if (!read_turn(f, what, json_array_get(turns, i), sharegpt, trained)) return false;
    return true;
}

static bool push_system(struct record_form *f, const char *what, const json_t *row)
{
    const char *s;
    size_t n;
    if (!text_member(f->c, what, row, "system", false, &s, &n)) return false;
    return n == 0 || push(f, "system", s, n, 0);
}

static bool read_pair(struct record_form *f, const char *what, const json_t *pair)
{
    const json_t *q = json_array_get(pair, 0), *a = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_string(q) || !json_is_string(a)) {
        ctx_fail(f->c, E_INPUT, "%s: 'history' is not an array of [user, assistant] pairs of strings", what);
        return false;
    }
    return push(f, "user", json_string_value(q), json_string_length(q), 0) &&
           push(f, "assistant", json_string_value(a), json_string_length(a), 1);
}

static bool read_history(struct record_form *f, const char *what, const json_t *row)
{
    const json_t *history = member(row, "history");
    if (history && !json_is_array(history)) {
        ctx_fail(f->c, E_INPUT, "%s: 'history' is %s, not an array", what, type_name(history));
        return false;
    }
    for (size_t i = 0; i < json_array_size(history); i++)
        if (!read_pair(f, what, json_array_get(history, i))) return false;
    return true;
}

/* ---- forms ---- */

static bool read_text(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    out->kind = RECORD_TEXT;
    return filled_member(f->c, what, row, "text", &out->text, &out->text_bytes);
}

static bool read_completion(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    if (json_is_array(member(row, "prompt"))) {
        out->kind = RECORD_MESSAGES;
        return read_turns(f, what, row, "prompt", false) && read_turns(f, what, row, "completion", true);
    }
    out->kind = RECORD_COMPLETION;
    return text_member(f->c, what, row, "prompt", true, &out->prompt, &out->prompt_bytes) &&
           filled_member(f->c, what, row, "completion", &out->text, &out->text_bytes);
}

static bool read_messages(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    out->kind = RECORD_MESSAGES;
    return read_turns(f, what, row, "messages", true);
}

static bool read_sharegpt(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    out->kind = RECORD_MESSAGES;
    return push_system(f, what, row) && read_turns(f, what, row, "conversations", true);
}

static bool read_alpaca(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    const char *instruction, *input, *output;
    size_t n, n_input, n_output;
    out->kind = RECORD_MESSAGES;
    if (!push_system(f, what, row) || !read_history(f, what, row) ||
        !filled_member(f->c, what, row, "instruction", &instruction, &n) ||
        !text_member(f->c, what, row, "input", false, &input, &n_input) ||
        !filled_member(f->c, what, row, "output", &output, &n_output))
        return false;
    buf_clear(&f->joined);
    buf_append(&f->joined, instruction, n);
    if (n_input > 0) buf_append_char(&f->joined, '\n');
    buf_append(&f->joined, input, n_input);
    return buf_ok(&f->joined) && push(f, "user", buf_str(&f->joined), f->joined.len, 0) &&
           push(f, "assistant", output, n_output, 1);
}

/* A form is recognised by either of its keys, so that a row with half of one is told what is missing. */
static const struct form {
    const char *key, *other;
    bool (*read)(struct record_form *, const char *, const json_t *, struct record *);
} forms[] = {
    {"text", "text", read_text},
    {"prompt", "completion", read_completion},
    {"messages", "messages", read_messages},
    {"conversations", "conversations", read_sharegpt},
    {"instruction", "output", read_alpaca},
};

bool record_form_read(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    const struct form *found = NULL;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (!member(row, forms[i].key) && !member(row, forms[i].other)) continue;
        if (found) {
            ctx_fail(f->c, E_INPUT, "%s: both '%s' and '%s': which is meant?", what, found->key, forms[i].key);
            return false;
        }
        found = &forms[i];
    }
    if (!found) {
        ctx_fail(f->c, E_INPUT,
                 "%s: no text: want text, prompt and completion, messages, conversations, or instruction and output", what);
        return false;
    }
    f->n_messages = 0;
    if (!found->read(f, what, row, out)) return false;
    out->messages = f->messages;
    out->n_messages = f->n_messages;
    return true;
}
