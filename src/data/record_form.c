/* record_form: which form a row has, and its texts.
 *
 * A form is recognised by its keys alone. Rows that hold several (a conversation and its first prompt; Alpaca's members and
 * the text made of them) are read in the form that says most about what is to be trained, which is the order of the table
 * below, and this is said; --row-form chooses another. What a form does not know is refused where it would change what is
 * trained and listed where it would not. Texts are not copied: they stay in the JSON document, which lives until the next
 * row; messages become a list of objects as chat templates know them, which shares its values with the document. */
#include "data/record_form.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "data/record_turn.h"

void record_form_init(struct record_form *f, struct ctx *c, enum row_form choice)
{
    *f = (struct record_form){.c = c, .choice = choice};
    buf_init(&f->joined, c, 2 * (size_t)RECORDS_LINE_MAX_BYTES);
    buf_init(&f->codes, c, RECORDS_LINE_MAX_BYTES);
}

/* Gives back what belongs to the row before. */
static void forget_row(struct record_form *f)
{
    json_decref(f->messages);
    json_decref(f->tools);
    json_decref(f->more);
    f->messages = f->tools = f->more = NULL;
    buf_clear(&f->codes);
    buf_clear(&f->joined);
}

void record_form_release(struct record_form *f)
{
    forget_row(f);
    mem_free(f->c, f->mixed_row);
    f->mixed_row = NULL;
    buf_release(&f->codes);
    buf_release(&f->joined);
}

/* Appends "; this row has id, question, answer", names and number bounded. */
static void append_members(struct buf *out, const json_t *row)
{
    struct member_list members = {.n = 0};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)row, key, value) member_list_add(&members, key);
    for (size_t i = 0; i < members.n; i++)
        buf_printf(out, "%s%.40s%s", i ? ", " : "; this row has ", members.items[i].name,
                   json_is_null(json_object_get(row, members.items[i].name)) ? " (null)" : "");
}

/* Says of a needed member whether it is null or not there at all, and then what the row has in its place. */
static void refuse_absent(struct ctx *c, const char *what, const json_t *row, const char *key)
{
    struct buf names;
    buf_init(&names, c, 1 << 12);
    append_members(&names, row);
    if (json_object_get(row, key))
        ctx_fail(c, E_INPUT, "%s: '%s' is null", what, key);
    else
        ctx_fail(c, E_INPUT, "%s: '%s' is missing%s", what, key, buf_str(&names));
    buf_release(&names);
}

/* A string member with its length; absent leaves *s NULL unless required. */
static bool text_member(struct ctx *c, const char *what, const json_t *o, const char *key, bool required, const char **s,
                        size_t *n)
{
    const json_t *v = record_member(o, key);
    *s = NULL;
    *n = 0;
    if (!v && !required) return true;
    if (!v) {
        refuse_absent(c, what, o, key);
    } else if (!json_is_string(v)) {
        ctx_fail(c, E_INPUT, "%s: '%s' is %s, not a string", what, key, record_type_name(v));
    } else {
        *s = json_string_value(v);
        *n = json_string_length(v);
        return true;
    }
    return false;
}

/* A required string that is not empty. */
static bool filled_member(struct ctx *c, const char *what, const json_t *o, const char *key, const char **s, size_t *n)
{
    if (!text_member(c, what, o, key, true, s, n)) return false;
    if (*n == 0) ctx_fail(c, E_INPUT, "%s: '%s' is empty", what, key);
    return *n > 0;
}

/* ---- messages ---- */

/* Takes the message over. */
static bool push(struct record_form *f, json_t *message, uint8_t code)
{
    if (!f->messages) f->messages = json_array();
    buf_append_char(&f->codes, (char)code);
    if (f->messages && message && json_array_append_new(f->messages, message) == 0) return buf_ok(&f->codes);
    return ctx_fail(f->c, E_MEMORY, "out of memory for a message"), false;
}

/* A message of a role and a text. */
static bool push_text(struct record_form *f, const char *role, const char *content, size_t n, uint8_t code)
{
    return push(f, json_pack("{s:s, s:s%}", "role", role, "content", content, n), code);
}

/* The messages of a list. Where `trained` is false they are context, whatever their roles. */
static bool read_turns(struct record_form *f, const char *what, const json_t *o, const char *key, bool trained)
{
    const json_t *turns = record_member(o, key);
    if (!turns) return refuse_absent(f->c, what, o, key), false;
    if (!json_is_array(turns)) {
        ctx_fail(f->c, E_INPUT, "%s: '%s' is %s, not an array", what, key, record_type_name(turns));
        return false;
    }
    if (json_array_size(turns) == 0) return ctx_fail(f->c, E_INPUT, "%s: '%s' is empty", what, key), false;
    for (size_t i = 0; i < json_array_size(turns); i++) {
        uint8_t code;
        json_t *message = record_turn_read(f->c, what, json_array_get(turns, i), &f->unused_turn, &code);
        if (!message || !push(f, message, trained ? code : 0)) return false;
    }
    return true;
}

/* The row's own system prompt, if it has one, as the first message. */
static bool push_system(struct record_form *f, const char *what, const json_t *row)
{
    const char *s;
    size_t n;
    if (!text_member(f->c, what, row, "system", false, &s, &n)) return false;
    return n == 0 || push_text(f, "system", s, n, 0);
}

/* One pair of Alpaca's history, [user, assistant]. */
static bool read_pair(struct record_form *f, const char *what, const json_t *pair)
{
    const json_t *q = json_array_get(pair, 0), *a = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_string(q) || !json_is_string(a)) {
        ctx_fail(f->c, E_INPUT, "%s: 'history' is not an array of [user, assistant] pairs of strings", what);
        return false;
    }
    return push_text(f, "user", json_string_value(q), json_string_length(q), 0) &&
           push_text(f, "assistant", json_string_value(a), json_string_length(a), 1);
}

/* Alpaca's earlier turns, which stand before the instruction. */
static bool read_history(struct record_form *f, const char *what, const json_t *row)
{
    const json_t *history = record_member(row, "history");
    if (history && !json_is_array(history)) {
        ctx_fail(f->c, E_INPUT, "%s: 'history' is %s, not an array", what, record_type_name(history));
        return false;
    }
    for (size_t i = 0; i < json_array_size(history); i++)
        if (!read_pair(f, what, json_array_get(history, i))) return false;
    return true;
}

/* ---- forms ---- */

static bool record_read_text(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    out->kind = RECORD_TEXT;
    return filled_member(f->c, what, row, "text", &out->text, &out->text_bytes);
}

/* A row with a system prompt is a conversation: raw text has no place for one. */
static bool read_completion(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    bool system = !record_is_empty(json_object_get(row, "system"));
    if (json_is_false(json_object_get(row, "label"))) {
        ctx_fail(f->c, E_INPUT, "%s: 'label' is false: the completion is a bad example, which must not be trained", what);
        return false;
    }
    out->kind = RECORD_MESSAGES;
    if (system && !push_system(f, what, row)) return false;
    if (json_is_array(record_member(row, "prompt")))
        return read_turns(f, what, row, "prompt", false) && read_turns(f, what, row, "completion", true);
    if (!text_member(f->c, what, row, "prompt", true, &out->prompt, &out->prompt_bytes) ||
        !filled_member(f->c, what, row, "completion", &out->text, &out->text_bytes))
        return false;
    if (!system) return out->kind = RECORD_COMPLETION, true;
    return push_text(f, "user", out->prompt, out->prompt_bytes, 0) &&
           push_text(f, "assistant", out->text, out->text_bytes, 1);
}

/* A list of messages under `key`, behind the row's system prompt. */
static bool read_conversation(struct record_form *f, const char *what, const json_t *row, const char *key,
                              struct record *out)
{
    out->kind = RECORD_MESSAGES;
    if (!push_system(f, what, row)) return false;
    size_t first = json_array_size(f->messages);
    if (!read_turns(f, what, row, key, true)) return false;
    const json_t *role = json_object_get(json_array_get(f->messages, first), "role");
    if (first == 0 || strcmp(json_string_value(role), "system") != 0) return true;
    ctx_fail(f->c, E_INPUT, "%s: 'system' of the row and a system message: which is meant?", what);
    return false;
}

static bool read_messages(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    return read_conversation(f, what, row, "messages", out);
}

static bool read_sharegpt(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    return read_conversation(f, what, row, "conversations", out);
}

/* Alpaca's {"instruction", "input", "output"} as a conversation: instruction and input, on a line of its own, are what the
 * user says, after "system" and "history" where the row has them. */
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
    buf_append(&f->joined, instruction, n);
    if (n_input > 0) buf_append_char(&f->joined, '\n');
    buf_append(&f->joined, input, n_input);
    return buf_ok(&f->joined) && push_text(f, "user", buf_str(&f->joined), f->joined.len, 0) &&
           push_text(f, "assistant", output, n_output, 1);
}

/* In the order in which they win. A form is recognised by either of its keys, so that a row with half of one is told what is
 * missing; it is whole when `target`, the member that holds what is trained, is there and not empty, and `key` is there. */
static const struct form {
    enum row_form form;
    const char *key, *target;
    bool (*read)(struct record_form *, const char *, const json_t *, struct record *);
} forms[] = {
    {ROW_FORM_MESSAGES, "messages", "messages", read_messages},
    {ROW_FORM_CONVERSATIONS, "conversations", "conversations", read_sharegpt},
    {ROW_FORM_INSTRUCTION, "instruction", "output", read_alpaca},
    {ROW_FORM_PROMPT, "prompt", "completion", read_completion},
    {ROW_FORM_TEXT, "text", "text", record_read_text},
};
enum { N_FORMS = sizeof forms / sizeof forms[0] };

/* Whether a row has all that a form needs. */
static bool is_whole(const json_t *row, const struct form *form)
{
    return record_member(row, form->key) && !record_is_empty(json_object_get(row, form->target));
}

/* The member by which a row shows a form, or NULL. */
static const char *present_key(const json_t *row, const struct form *form)
{
    if (!record_is_empty(json_object_get(row, form->key))) return form->key;
    return record_is_empty(json_object_get(row, form->target)) ? NULL : form->target;
}

/* Remembers that a row holds more than the form that is read. */
static bool note_mixed(struct record_form *f, const char *what, const json_t *row, const struct form *found)
{
    for (size_t i = 0; i < N_FORMS; i++) {
        const char *key = &forms[i] == found ? NULL : present_key(row, &forms[i]);
        if (!key) continue;
        if (f->n_mixed++ > 0) return true;
        snprintf(f->mixed, sizeof f->mixed, "'%s' is read, and not '%s'", found->key, key);
        f->mixed_row = mem_strdup(f->c, what);
        return f->mixed_row != NULL;
    }
    return true;
}

/* Two forms that other trainers read are refused by name. A row of prompt, chosen and rejected is one of preferences, and
 * not one whose completion was forgotten. */
static bool is_foreign_form(struct record_form *f, const char *what, const json_t *row)
{
    if (record_member(row, "chosen") && record_member(row, "rejected"))
        ctx_fail(f->c, E_INPUT,
                 "%s: a pair of answers ('chosen', 'rejected'): training on preferences is not done here; name the better "
                 "answer 'completion' to train on it",
                 what);
    else if (record_member(row, "input_ids"))
        ctx_fail(f->c, E_INPUT, "%s: a row of token ids ('input_ids'): rows are given as text here", what);
    return !ctx_ok(f->c);
}

/* Says what is wanted and what the row has. */
static void fail_no_form(struct record_form *f, const char *what, const json_t *row)
{
    struct buf names;
    buf_init(&names, f->c, 1 << 12);
    append_members(&names, row);
    ctx_fail(f->c, E_INPUT,
             "%s: no text: want text, prompt and completion, messages, conversations, or instruction and output%s", what,
             buf_str(&names));
    buf_release(&names);
}

/* The form that is read: the one that was chosen, else the first that is whole, else the first of which a part is there,
 * which then fails with what is missing. */
static const struct form *find_form(struct record_form *f, const char *what, const json_t *row)
{
    for (size_t i = 0; i < N_FORMS; i++)
        if (f->choice == forms[i].form) return &forms[i];
    for (size_t i = 0; i < N_FORMS; i++)
        if (is_whole(row, &forms[i])) return note_mixed(f, what, row, &forms[i]) ? &forms[i] : NULL;
    if (is_foreign_form(f, what, row)) return NULL;
    for (size_t i = 0; i < N_FORMS; i++)
        if (record_member(row, forms[i].key) || record_member(row, forms[i].target)) return &forms[i];
    fail_no_form(f, what, row);
    return NULL;
}

/* ---- members that no form reads ---- */

/* What would be lost although it belongs to what the model is to see. */
static bool refuse_lost(struct ctx *c, const char *what, const json_t *row, const struct record *out)
{
    static const char *const lost[] = {"images", "image", "audio", "audios", "video", "videos", "functions"};
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        const json_t *v = json_object_get(row, lost[i]);
        bool empty = record_is_empty(v) || (json_is_string(v) && strcmp(json_string_value(v), "[]") == 0);
        if (empty || (i >= 6 && out->kind != RECORD_MESSAGES)) continue;
        ctx_fail(c, E_INPUT,
                 "%s: the row has '%s', which is not rendered here and would be lost: remove it or leave the row out", what,
                 lost[i]);
        return false;
    }
    return true;
}

static const char *const used[] = {"text",
                                   "prompt",
                                   "completion",
                                   "messages",
                                   "conversations",
                                   "instruction",
                                   "input",
                                   "output",
                                   "system",
                                   "history",
                                   "auth_weight",
                                   "loss_weight",
                                   "prov_entropy",
                                   "weight",
                                   "source_type",
                                   "metadata",
                                   "tools",
                                   "chat_template_kwargs",
                                   "provenance_score"}; /* the last is what `data score` explains its scores with: training
                                                           has no use for it, and no loss */

/* Counts members that nobody reads, so that they can be listed at the end. */
static void list_unused(struct record_form *f, const json_t *row)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)row, key, value)
    {
        bool known = record_is_empty(value);
        for (size_t i = 0; i < sizeof used / sizeof used[0] && !known; i++) known = strcmp(key, used[i]) == 0;
        if (!known) member_list_add(&f->unused_row, key);
    }
}

/* A member that is nearly called like one that is read is most likely meant to be it. */
static void report_typos(const struct record_form *f)
{
    for (size_t i = 0; i < f->unused_row.n; i++)
        for (size_t k = 0; k < sizeof used / sizeof used[0]; k++) {
            const char *name = f->unused_row.items[i].name;
            if (strlen(used[k]) < 6 || options_distance(name, used[k]) > 2) continue;
            ctx_log(f->c, LOG_WARN, "'%s' is not read: is '%s' meant?", name, used[k]);
        }
}

void record_form_report(const struct record_form *f)
{
    struct buf names;
    if (!ctx_ok(f->c)) return;
    if (f->n_mixed)
        ctx_log(f->c, LOG_WARN, "%s: the row has more than one form: %s (%lld rows like it; --row-form chooses)",
                f->mixed_row, f->mixed, (long long)f->n_mixed);
    report_typos(f);
    buf_init(&names, f->c, 1 << 14);
    member_list_print(&f->unused_row, &names);
    if (names.len > 0) ctx_log(f->c, LOG_INFO, "members of rows that are not read, with their number: %s", buf_str(&names));
    buf_clear(&names);
    member_list_print(&f->unused_turn, &names);
    if (names.len > 0)
        ctx_log(f->c, LOG_INFO, "members of messages that are not read, with their number: %s", buf_str(&names));
    buf_release(&names);
}

/* ---- what a conversation has beside its messages ---- */

/* `tools`: a list, or the JSON of one in a string. */
static bool read_tools(struct record_form *f, const char *what, const json_t *row)
{
    const json_t *v = record_member(row, "tools");
    if (json_is_string(v) && json_string_length(v) > 0) {
        f->tools = json_parse(f->c, what, json_string_value(v), json_string_length(v));
        ctx_prefix(f->c, "'tools' of the row is a string that is not JSON");
        if (!f->tools) return false;
    } else if (!record_is_empty(v)) {
        f->tools = json_incref((json_t *)v);
    }
    if (f->tools && !json_is_array(f->tools)) {
        ctx_fail(f->c, E_INPUT, "%s: 'tools' is %s, not a list", what, record_type_name(f->tools));
        return false;
    }
    if (f->tools && json_array_size(f->tools) == 0) {
        json_decref(f->tools);
        f->tools = NULL;
    }
    return true;
}

/* What a conversation has beside its messages: tools, and variables of the chat template. */
static bool read_beside(struct record_form *f, const char *what, const json_t *row)
{
    const json_t *more = record_member(row, "chat_template_kwargs");
    if (!read_tools(f, what, row)) return false;
    if (more && !json_is_object(more)) {
        ctx_fail(f->c, E_INPUT, "%s: 'chat_template_kwargs' is %s, not an object", what, record_type_name(more));
        return false;
    }
    f->more = json_incref((json_t *)more);
    return true;
}

bool record_form_read(struct record_form *f, const char *what, const json_t *row, struct record *out)
{
    forget_row(f);
    const struct form *found = find_form(f, what, row);
    if (!found || !found->read(f, what, row, out) || !refuse_lost(f->c, what, row, out)) return false;
    if (out->kind == RECORD_MESSAGES && !read_beside(f, what, row)) return false;
    list_unused(f, row);
    out->messages = f->messages;
    out->tools = f->tools;
    out->more = f->more;
    out->codes = (const uint8_t *)buf_str(&f->codes);
    out->n_messages = json_array_size(f->messages);
    return true;
}
