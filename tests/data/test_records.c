#include "support_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/row_path.h"

static struct records *open_rows(struct ctx *c, const char *rows, bool skip)
{
    static const char *path;
    path = write_rows("rows.jsonl", rows);
    struct records *r = records_open(c, &path, 1, skip, ROW_FORM_AUTO);
    assert_non_null(r);
    return r;
}

static void assert_text(const char *s, size_t n, const char *expected)
{
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(s, expected, n);
}

static void plain_forms(void **state)
{
    struct ctx *c = *state;
    struct record row;
    struct records *r = open_rows(c,
                                  "\xEF\xBB\xBF{\"text\":\"one\",\"messages\":null}\r\n"
                                  "\n  \t\r\n"
                                  "{\"text\":\"t\\u0000wo\",\"auth_weight\":0.99,\"prov_entropy\":3,\"loss_weight\":2.5,"
                                  "\"source_type\":\"patent\",\"metadata\":{\"text\":[1,{}]}}\n"
                                  "{\"prompt\":\"\",\"completion\":\"c\",\"weight\":0,\"loss_weight\":null}\n"
                                  "{\"prompt\":\"p \",\"completion\":\" c\",\"auth_weight\":0,\"prov_entropy\":0}",
                                  false);
    assert_true(records_next(r, &row));
    assert_int_equal(row.kind, RECORD_TEXT);
    assert_int_equal(row.row, 1);
    assert_text(row.text, row.text_bytes, "one");
    assert_true(isnan(row.auth_weight) && isnan(row.prov_entropy) && row.loss_weight == 1 && !row.source_type);
    assert_true(records_next(r, &row));
    assert_int_equal(row.row, 4); /* lines 2 and 3 are blank */
    assert_int_equal(row.text_bytes, 4);
    assert_memory_equal(row.text, "t\0wo", 4);
    assert_true(row.auth_weight == 0.99 && row.prov_entropy == 3 && row.loss_weight == 2.5);
    assert_string_equal(row.source_type, "patent");
    assert_true(records_next(r, &row));
    assert_int_equal(row.kind, RECORD_COMPLETION);
    assert_text(row.prompt, row.prompt_bytes, "");
    assert_text(row.text, row.text_bytes, "c");
    assert_true(row.loss_weight == 0);
    assert_true(records_next(r, &row));
    assert_text(row.prompt, row.prompt_bytes, "p ");
    assert_text(row.text, row.text_bytes, " c");
    assert_true(row.auth_weight == 0 && row.prov_entropy == 0);
    assert_false(records_next(r, &row));
    assert_true(ctx_ok(c));
    assert_int_equal(records_rows(r), 4);
    records_close(r);
}

static void assert_message(const struct record *row, size_t i, const char *role, const char *content, double weight)
{
    const json_t *m = json_array_get(row->messages, i), *text = json_object_get(m, "content");
    assert_true(i < row->n_messages);
    assert_string_equal(json_string_value(json_object_get(m, "role")), role);
    char joined[64] = "";
    for (size_t k = 0; k < json_array_size(text); k++)
        strcat(joined, json_string_value(json_object_get(json_array_get(text, k), "text")));
    if (json_is_array(text))
        assert_string_equal(joined, content);
    else
        assert_text(json_string_value(text), json_string_length(text), content);
    if (strcmp(role, "assistant") == 0) assert_true(chat_weight(row->codes[i]) == weight);
}

static void conversations(void **state)
{
    struct ctx *c = *state;
    struct record row;
    struct records *r = open_rows(
        c,
        "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\",\"name\":\"x\"},"
        "{\"role\":\"assistant\",\"content\":\"a\",\"weight\":0},{\"role\":\"user\",\"content\":\"t\"},"
        "{\"role\":\"assistant\",\"content\":\"\",\"weight\":1}]}\n"
        "{\"conversations\":[{\"from\":\"human\",\"value\":\"h\"},{\"from\":\"gpt\",\"value\":\"g\"},"
        "{\"from\":\"user\",\"value\":\"h2\"},{\"from\":\"assistant\",\"value\":\"g2\"}],\"system\":\"sys\"}\n"
        "{\"instruction\":\"do\",\"input\":\"this\",\"output\":\"done\",\"history\":[[\"q\",\"a\"]],\"system\":\"\"}\n"
        "{\"instruction\":\"do\",\"input\":\"\",\"output\":\"done\",\"system\":\"sys\"}\n"
        "{\"prompt\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":\"old\"},"
        "{\"role\":\"user\",\"content\":\"v\"}],\"completion\":[{\"role\":\"assistant\",\"content\":\"new\"}]}\n",
        false);
    assert_true(records_next(r, &row));
    assert_int_equal(row.kind, RECORD_MESSAGES);
    assert_int_equal(row.n_messages, 5);
    assert_message(&row, 0, "system", "s", 0);
    assert_message(&row, 1, "user", "u", 0);
    assert_message(&row, 2, "assistant", "a", 0);
    assert_message(&row, 3, "user", "t", 0);
    assert_message(&row, 4, "assistant", "", 1);
    assert_true(records_next(r, &row));
    assert_int_equal(row.n_messages, 5);
    assert_message(&row, 0, "system", "sys", 0);
    assert_message(&row, 1, "user", "h", 0);
    assert_message(&row, 2, "assistant", "g", 1);
    assert_message(&row, 3, "user", "h2", 0);
    assert_message(&row, 4, "assistant", "g2", 1);
    assert_true(records_next(r, &row));
    assert_int_equal(row.n_messages, 4);
    assert_message(&row, 0, "user", "q", 0);
    assert_message(&row, 1, "assistant", "a", 1);
    assert_message(&row, 2, "user", "do\nthis", 0);
    assert_message(&row, 3, "assistant", "done", 1);
    assert_true(records_next(r, &row));
    assert_int_equal(row.n_messages, 3);
    assert_message(&row, 0, "system", "sys", 0);
    assert_message(&row, 1, "user", "do", 0);
    assert_true(records_next(r, &row));
    assert_int_equal(row.n_messages, 4);
    assert_message(&row, 1, "assistant", "old", 0); /* part of the prompt: context only */
    assert_message(&row, 3, "assistant", "new", 1);
    assert_false(records_next(r, &row));
    assert_true(ctx_ok(c));
    records_close(r);
}

static const struct {
    enum record_fault why;
    const char *row, *message;
} bad_rows[] = {
    {FAULT_JSON, "{\"text\":\"a\"", "rows.jsonl:2"},
    {FAULT_JSON, "{\"text\":\"a\",\"text\":\"b\"}", "text"},
    {FAULT_JSON, "{\"text\":\"\\ud800\"}", "rows.jsonl:2"},
    {FAULT_JSON, "{\"text\":\"a\",\"prov_entropy\":NaN}", "NaN is no JSON value: write null"},
    {FAULT_JSON, "{\"text\":\"a\",\"prov_entropy\":1e999}", "rows.jsonl:2"},
    {FAULT_JSON, "{\"text\":\"a\",}", "rows.jsonl:2"},
    {FAULT_JSON, "{\"text\":\"a\" \"b\"}", "rows.jsonl:2"},
    {FAULT_JSON, ", ", "a comma between two rows"},
    {FAULT_JSON, "{'text':'a'}", "rows.jsonl:2"},
    {FAULT_JSON, "{\"text\":'a'}", "double quotes"},
    {FAULT_JSON, "{\"text\":None}", "write null"},
    {FAULT_UTF8, "{\"text\":\"a\xff\"}", "invalid UTF-8 at byte 10"},
    {FAULT_UTF8, "{\"text\":\"\xc0\x80\"}", "invalid UTF-8 at byte 9"},
    {FAULT_FORM, "[{\"role\":\"user\",\"content\":\"a\"}]", "this one is a list: a conversation is {\"messages\": [...]}"},
    {FAULT_JSON, "# Title", "begins with '#': a text is {\"text\": \"...\"}, or a file of its own whose name ends in .txt"},
    {FAULT_FORM, "[\"text\"]", "must be a JSON object"},
    {FAULT_FORM, "\"text\"", "must be a JSON object"},
    {FAULT_FORM, "{}", "no text"},
    {FAULT_FORM, "{\"body\":\"a\"}", "no text"},
    {FAULT_FORM, "{\"text\":null}", "instruction and output; this row has text (null)"},
    {FAULT_FORM, "{\"text\":\"\"}", "'text' is empty"},
    {FAULT_FORM, "{\"text\":7}", "'text' is a number"},
    {FAULT_FORM, "{\"id\":1,\"question\":\"a\",\"answer\":\"b\"}", "this row has id, question, answer"},
    {FAULT_FORM, "{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"b\"}", "training on preferences is not done here"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"weight\":\"1\"}]}", "a string, not a number"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"train\":\"no\"}]}", "neither true nor false"},
    {FAULT_FORM, "{\"prompt\":null,\"completion\":\"a\"}", "'prompt' is null"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":null}]}",
     "the 'content' of a message is null, and it calls"},
    {FAULT_FORM, "{\"chosen\":\"a\",\"rejected\":\"b\"}", "preferences"},
    {FAULT_FORM, "{\"input_ids\":[1,2],\"labels\":[1,2]}", "token ids"},
    {FAULT_FORM, "{\"prompt\":\"p\",\"completion\":\"c\",\"label\":false}", "'label' is false"},
    {FAULT_FORM, "{\"text\":\"a\",\"images\":[\"x.png\"]}", "'images', which is not rendered"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"tools\":7}", "'tools' is a number, not a list"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"tools\":\"x\"}", "'tools' of the row is a string"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"chat_template_kwargs\":1}", "not an object"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"system\",\"content\":\"u\"}],\"system\":\"s\"}", "which is meant?"},
    {FAULT_FORM, "{\"prompt\":\"a\"}", "'completion' is missing"},
    {FAULT_FORM, "{\"completion\":\"a\"}", "'prompt' is missing"},
    {FAULT_FORM, "{\"prompt\":\"a\",\"completion\":\"\"}", "'completion' is empty"},
    {FAULT_FORM, "{\"prompt\":{},\"completion\":\"a\"}", "'prompt' is an object"},
    {FAULT_FORM, "{\"prompt\":[{\"role\":\"user\",\"content\":\"u\"}],\"completion\":\"a\"}", "'completion' is a string"},
    {FAULT_FORM, "{\"messages\":[]}", "'messages' is empty"},
    {FAULT_FORM, "{\"messages\":\"a\"}", "'messages' is a string"},
    {FAULT_FORM, "{\"messages\":[\"a\"]}", "a message is a string"},
    {FAULT_FORM, "{\"messages\":[{\"content\":\"a\"}]}", "no 'role'"},
    {FAULT_FORM, "{\"messages\":[{\"role\":7,\"content\":\"a\"}]}", "a role is a number"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":null}]}", "the 'content' of a message is null"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "an empty array"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":{}}]}", "is an object"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\"}]}]}", "of type image"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"text\":\"a\"}]}]}", "of type image"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":[7]}]}", "no text"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"value\":\"b\"}]}",
     "'content' and 'value', and they differ"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"asistant\",\"content\":\"a\"}]}", "unknown role 'asistant'"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"weight\":0.333}]}", "no multiple of 0.005"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"loss\":\"no\"}]}", "'loss' of a message"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"train\":true}]}", "only those of the assistant"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"image\":\"x\"}]}", "'image'"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"function_call\":\"f\"}]}", "'function_call'"},
    {FAULT_FORM, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"weight\":2}]}", "weight"},
    {FAULT_FORM, "{\"conversations\":[{\"from\":\"function_call\",\"value\":\"a\"}]}", "rows.jsonl:2"},
    {FAULT_FORM, "{\"conversations\":[{\"from\":\"function_call\",\"value\":\"{}\"}]}", "with a 'name'"},
    {FAULT_FORM, "{\"conversations\":[{\"from\":\"human\"}]}", "no 'content' (or 'value')"},
    {FAULT_FORM, "{\"instruction\":\"a\",\"response\":\"b\"}", "'output' is missing; this row has instruction, response"},
    {FAULT_FORM, "{\"instruction\":\"a\",\"output\":\"b\",\"history\":[[\"q\"]]}", "'history'"},
    {FAULT_FORM, "{\"instruction\":\"a\",\"output\":\"b\",\"history\":\"q\"}", "'history' is a string"},
    {FAULT_SCORE, "{\"text\":\"a\",\"auth_weight\":0.991}", "auth_weight"},
    {FAULT_SCORE, "{\"text\":\"a\",\"auth_weight\":-0.01}", "auth_weight"},
    {FAULT_SCORE, "{\"text\":\"a\",\"auth_weight\":\"0.5\"}", "auth_weight"},
    {FAULT_SCORE, "{\"text\":\"a\",\"prov_entropy\":-1}", "prov_entropy"},
    {FAULT_SCORE, "{\"text\":\"a\",\"loss_weight\":-1}", "loss_weight"},
    {FAULT_SCORE, "{\"text\":\"a\",\"loss_weight\":1000001}", "loss_weight"},
    {FAULT_SCORE, "{\"text\":\"a\",\"weight\":-1}", "weight"},
    {FAULT_SCORE, "{\"text\":\"a\",\"weight\":true}", "weight"},
    {FAULT_FORM,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\",\"train\":false,"
     "\"loss\":true}]}",
     "a message has 'loss' and 'train', and they differ"},
    {FAULT_FORM,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\",\"training\":1,"
     "\"trainable\":0}]}",
     "a message has 'training' and 'trainable', and they differ"},
    {FAULT_SCORE, "{\"text\":\"a\",\"weight\":1,\"loss_weight\":1}", "both loss_weight and weight, which mean the same"},
    {FAULT_SCORE, "{\"text\":\"a\",\"source_type\":3}", "source_type"},
    {FAULT_FORM, "{\"prompt\":\"p\",\"completion\":\"c\",\"system\":5}", "'system' is a number"},
};
enum { N_BAD = sizeof bad_rows / sizeof bad_rows[0] };

static void bad_rows_are_named(void **state)
{
    struct ctx *c = *state;
    for (int i = 0; i < N_BAD; i++) {
        char rows[512];
        struct record row;
        snprintf(rows, sizeof rows, "{\"text\":\"good\"}\n%s\n{\"text\":\"good\"}\n", bad_rows[i].row);
        struct records *r = open_rows(c, rows, false);
        assert_true(records_next(r, &row));
        if (records_next(r, &row)) fail_msg("accepted: %s", bad_rows[i].row);
        assert_non_null(strstr(c->message, "rows.jsonl:2"));
        assert_failed(c, E_INPUT, bad_rows[i].message);
        records_close(r);
    }
}

/* Spellings of a conversation that all mean: Hello, fine. */
static const char *const hello_fine[] = {
    "{\"conversations\":[{\"role\":\"user\",\"content\":\"Hello\"},{\"role\":\"assistant\",\"content\":\"fine\"}]}",
    "{\"messages\":[{\"from\":\"human\",\"value\":\"Hello\"},{\"from\":\"gpt\",\"value\":\"fine\"}]}",
    "{\"conversations\":[{\"from\":\"human\",\"value\":\"Hello\"},{\"from\":\"chatgpt\",\"value\":\"fine\"}]}",
    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Hel\"},{\"text\":\"l\"},\"o\"]},"
    "{\"role\":\"model\",\"content\":[{\"type\":\"text\",\"text\":\"fine\"}],\"tool_calls\":[],\"thinking\":null}],"
    "\"tools\":\"[]\"}",
    "{\"messages\":[{\"role\":\"user\",\"from\":\"user\",\"content\":\"Hello\",\"name\":\"Al\"},"
    "{\"role\":\"assistant\",\"content\":\"fine\",\"value\":\"fine\",\"train\":true,\"weight\":1}]}",
    /* several forms: what says most of what is trained wins */
    "{\"prompt\":\"Hello\",\"prompt_id\":\"ab12\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"},"
    "{\"role\":\"assistant\",\"content\":\"fine\"}]}",
    "{\"instruction\":\"Hello\",\"input\":\"\",\"output\":\"fine\",\"text\":\"Below is a task.\"}",
    "{\"text\":\"\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"},{\"role\":\"assistant\",\"content\":\"fine\"}]}",
    "{\"chosen\":[{}],\"rejected\":[{}],\"prompt\":\"x\",\"instruction\":\"Hello\",\"output\":\"fine\"}",
};

static void spellings_of_a_conversation(void **state)
{
    struct ctx *c = *state;
    for (size_t i = 0; i < sizeof hello_fine / sizeof hello_fine[0]; i++) {
        struct record row;
        struct records *r = open_rows(c, hello_fine[i], false);
        if (!records_next(r, &row)) fail_msg("%s: %s", hello_fine[i], c->message);
        assert_int_equal(row.kind, RECORD_MESSAGES);
        assert_int_equal(row.n_messages, 2);
        assert_message(&row, 0, "user", "Hello", 0);
        assert_message(&row, 1, "assistant", "fine", 1);
        assert_false(records_next(r, &row));
        assert_true(ctx_ok(c));
        records_close(r);
    }
}

static void other_roles_keep_their_names(void **state)
{
    struct ctx *c = *state;
    struct record row;
    struct records *r = open_rows(c,
                                  "{\"messages\":[{\"role\":\"developer\",\"content\":\"Be brief\"},"
                                  "{\"role\":\"tool\",\"content\":\"15\"},{\"from\":\"observation\",\"value\":\"16\"}]}\n"
                                  "{\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}\n"
                                  "{\"system\":\"s\",\"prompt\":\"p\",\"completion\":\"c\"}\n",
                                  false);
    assert_true(records_next(r, &row));
    assert_message(&row, 0, "developer", "Be brief", 0);
    assert_message(&row, 1, "tool", "15", 0);
    assert_message(&row, 2, "tool", "16", 0);
    assert_true(records_next(r, &row));
    assert_message(&row, 0, "system", "s", 0);
    assert_message(&row, 1, "user", "u", 0);
    assert_true(records_next(r, &row)); /* a system prompt makes a conversation of it */
    assert_int_equal(row.kind, RECORD_MESSAGES);
    assert_message(&row, 0, "system", "s", 0);
    assert_message(&row, 1, "user", "p", 0);
    assert_message(&row, 2, "assistant", "c", 1);
    records_close(r);
}

static void masked_turns_are_not_trained(void **state)
{
    struct ctx *c = *state;
    static const char *const masks[] = {"\"train\":false", "\"loss\":false", "\"trainable\":false", "\"training\":0",
                                        "\"weight\":0,\"train\":true"};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        char rows[512];
        struct record row;
        snprintf(rows, sizeof rows,
                 "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\",\"train\":false},"
                 "{\"from\":\"gpt\",\"value\":\"bad\",%s},{\"from\":\"gpt\",\"value\":\"good\",\"train\":true}]}",
                 masks[i]);
        struct records *r = open_rows(c, rows, false);
        assert_true(records_next(r, &row));
        assert_message(&row, 1, "assistant", "bad", 0);
        assert_message(&row, 2, "assistant", "good", 1);
        records_close(r);
    }
}

/* All that a template may read comes along; older spellings of calls become tool_calls. */
static void what_templates_read_comes_along(void **state)
{
    struct ctx *c = *state;
    struct record row;
    struct records *r = open_rows(
        c,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"u\",\"name\":\"ann\"},{\"role\":\"assistant\",\"content\":null,"
        "\"reasoning_content\":\"r\",\"tool_calls\":[{\"id\":\"1\"}],\"weight\":0.25,\"x\":[1]}],"
        "\"tools\":\"[{\\\"name\\\": 1}]\",\"chat_template_kwargs\":{\"enable_thinking\":false}}\n"
        "{\"messages\":[{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
        "{\"from\":\"function_call\",\"value\":\"{\\\"name\\\": \\\"g\\\"}\"}],\"tools\":[]}\n",
        false);
    static const char *const want[] = {"[{\"role\": \"user\", \"name\": \"ann\", \"content\": \"u\"}, {\"role\": "
                                       "\"assistant\", \"reasoning_content\": \"r\", "
                                       "\"tool_calls\": [{\"id\": \"1\"}], \"x\": [1]}]",
                                       "[{\"role\": \"assistant\", \"tool_calls\": [{\"type\": \"function\", \"function\": "
                                       "{\"name\": \"f\", \"arguments\": "
                                       "\"{}\"}}]}, {\"role\": \"assistant\", \"tool_calls\": [{\"type\": \"function\", "
                                       "\"function\": {\"name\": \"g\"}}]}]"};
    for (int i = 0; i < 2; i++) {
        if (!records_next(r, &row)) fail_msg("%s", c->message);
        char *text = json_dumps(row.messages, 0);
        assert_string_equal(text, want[i]);
        free(text);
        assert_true(i == 0 ? json_array_size(row.tools) == 1 && json_object_size(row.more) == 1 : !row.tools && !row.more);
        if (i == 0) assert_true(chat_weight(row.codes[1]) == 0.25);
    }
    assert_false(records_next(r, &row));
    records_close(r);
}

static char log_text[4096];
static void keep_log(void *user, enum log_level level, const char *message)
{
    (void)user;
    size_t n = strlen(log_text);
    snprintf(log_text + n, sizeof log_text - n, "%s%s\n", level == LOG_WARN ? "warning: " : "", message);
}

static void what_is_not_read_is_said_once(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(&(struct ctx_hooks){.log = keep_log});
    struct record row;
    *log_text = '\0';
    struct records *r = open_rows(c,
                                  "{\"text\":\"a\",\"id\":1,\"url\":\"\",\"auth_wieght\":0.5}\n"
                                  "{\"prompt\":\"p\",\"completion\":\"c\",\"text\":\"t\",\"id\":2,\"metadata\":{\"x\":1},"
                                  "\"provenance_score\":{\"year\":1911}}\n"
                                  "{\"messages\":[{\"role\":\"user\",\"content\":\"u\",\"mood\":\"n\"}],\"text\":\"t\"}\n",
                                  false);
    while (records_next(r, &row)) continue;
    records_close(r);
    assert_true(ctx_ok(c));
    assert_string_equal(strstr(log_text, "rows.jsonl"),
                        "rows.jsonl:2: the row has more than one form: 'prompt' is read, and not 'text' (2 rows like it; "
                        "--row-form chooses)\n"
                        "warning: 'auth_wieght' is not read: is 'auth_weight' meant?\n"
                        "members of rows that are not read, with their number: id (2), auth_wieght (1)\n"
                        "members of messages that are not read, with their number: mood (1)\n");
    *log_text = '\0';
    r = open_rows(c, "", false);
    assert_false(records_next(r, &row));
    records_close(r);
    assert_non_null(strstr(log_text, "rows.jsonl: holds no rows (0 bytes)"));
    ctx_free(c);
}

static void the_form_can_be_chosen(void **state)
{
    struct ctx *c = *state;
    static const char rows[] = "{\"instruction\":\"Hello\",\"output\":\"fine\",\"text\":\"Below\",\"prompt\":\"p\","
                               "\"completion\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],"
                               "\"conversations\":[{\"from\":\"gpt\",\"value\":\"g\"}]}";
    static const char *const texts[] = {"u", "Below", "p", "u", "g", "Hello"}; /* the first text of each enum row_form */
    const char *path = write_rows("rows.jsonl", rows);
    for (int form = ROW_FORM_AUTO; form <= ROW_FORM_INSTRUCTION; form++) {
        struct record row;
        struct records *r = records_open(c, &path, 1, false, (enum row_form)form);
        assert_true(records_next(r, &row));
        const char *text = row.kind == RECORD_MESSAGES
                               ? json_string_value(json_object_get(json_array_get(row.messages, 0), "content"))
                           : row.kind == RECORD_COMPLETION ? row.prompt
                                                           : row.text;
        assert_string_equal(text, texts[form]);
        records_close(r);
    }
    path = write_rows("rows.jsonl", "{\"text\":\"a\"}");
    struct record row;
    struct records *r = records_open(c, &path, 1, false, ROW_FORM_MESSAGES);
    assert_false(records_next(r, &row));
    assert_failed(c, E_INPUT, "rows.jsonl:1: 'messages' is missing");
    records_close(r);
}

/* FILE:WEIGHT multiplies the loss_weight of its rows. */
static void files_have_weights(void **state)
{
    struct ctx *c = *state;
    char weighted[300], heavy[300];
    const char *plain =
        write_rows("a.jsonl", "{\"text\":\"1\"}\n{\"text\":\"2\",\"weight\":3}\n{\"text\":\"3\",\"weight\":0}");
    snprintf(weighted, sizeof weighted, "%s:0.5", write_rows("b.jsonl", "{\"text\":\"1\"}\n{\"text\":\"2\",\"weight\":3}"));
    const char *paths[] = {plain, weighted};
    static const double expected[] = {1, 3, 0, 0.5, 1.5};
    struct records *r = records_open(c, paths, 2, false, ROW_FORM_AUTO);
    struct record row;
    for (int i = 0; i < 5; i++) {
        assert_true(records_next(r, &row));
        assert_true(row.loss_weight == expected[i]);
    }
    assert_false(records_next(r, &row));
    assert_string_equal(strrchr(records_name(r, 1), '/'), "/b.jsonl");
    records_close(r);
    snprintf(heavy, sizeof heavy, "%s:1e6", plain);
    const char *path = heavy;
    r = records_open(c, &path, 1, false, ROW_FORM_AUTO);
    assert_true(records_next(r, &row));
    assert_false(records_next(r, &row));
    assert_failed(c, E_INPUT, "a.jsonl:2: its weight times that of its file is 3e+06");
    records_close(r);
}

static void paths_with_colons(void **state)
{
    struct ctx *c = *state;
    struct row_path p;
    static const struct {
        const char *text, *path;
        double weight;
    } good[] = {{"a.jsonl", "a.jsonl", 1},
                {"a.jsonl:2", "a.jsonl", 2},
                {"a.jsonl:.25", "a.jsonl", 0.25},
                {"a:b.jsonl", "a:b.jsonl", 1},
                {"a:1:3e2", "a:1", 300},
                {"a.jsonl:", "a.jsonl:", 1},
                {"a.jsonl:x", "a.jsonl:x", 1},
                {"a.jsonl:inf", "a.jsonl:inf", 1},
                {"-", "-", 1},
                {"-:2", "-", 2},
                {":2", ":2", 1},
                {"a:1.2.3", "a:1.2.3", 1}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(row_path_parse(c, good[i].text, &p), OK);
        assert_string_equal(p.path, good[i].path);
        assert_true(p.weight == good[i].weight);
        assert_int_equal(row_path_is_stdin(&p), strcmp(p.path, "-") == 0);
        row_path_release(c, &p);
    }
    static const char *const bad[] = {"a:0", "a:-1", "a:1e7", "a:1e999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(row_path_parse(c, bad[i], &p), E_INPUT);
        assert_failed(c, E_INPUT, "the weight of a file is above 0");
    }
    const char *named = write_rows("rows:2", "{}"); /* a file that is called so */
    assert_int_equal(row_path_parse(c, named, &p), OK);
    assert_true(p.weight == 1 && strcmp(p.path, named) == 0);
    row_path_release(c, &p);
    write_rows("rows", "{}");
    assert_int_equal(row_path_parse(c, named, &p), E_INPUT);
    assert_failed(c, E_INPUT, "which is meant?");
    const char *twice[] = {"-", "-:2"};
    assert_null(records_open(c, twice, 2, false, ROW_FORM_AUTO));
    assert_failed(c, E_INPUT, "standard input (-) can be read once only");
}

static int n_logged;
static void count_log(void *user, enum log_level level, const char *message)
{
    (void)user;
    (void)level;
    n_logged += strstr(message, "skipped") != NULL;
}

static void bad_rows_are_skipped_and_counted(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(&(struct ctx_hooks){.log = count_log});
    char rows[1 << 15];
    size_t n = 0;
    int64_t expected[FAULT_COUNT] = {0};
    for (int i = 0; i < N_BAD; i++) {
        n += (size_t)snprintf(rows + n, sizeof rows - n, "%s\n{\"text\":\"good %d\"}\n", bad_rows[i].row, i);
        expected[bad_rows[i].why]++;
    }
    struct records *r = open_rows(c, rows, true);
    struct record row;
    for (int i = 0; i < N_BAD; i++) {
        char text[32];
        snprintf(text, sizeof text, "good %d", i);
        assert_true(records_next(r, &row));
        assert_int_equal(row.row, 2 * i + 2);
        assert_text(row.text, row.text_bytes, text);
    }
    assert_false(records_next(r, &row));
    assert_true(ctx_ok(c));
    assert_int_equal(records_rows(r), 2 * N_BAD);
    for (int i = 0; i < FAULT_COUNT; i++) assert_int_equal(records_faults(r, (enum record_fault)i), expected[i]);
    assert_int_equal(n_logged, 11); /* ten rows, and that there are more */
    records_close(r);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void rejected_rows_follow_the_same_rule(void **state)
{
    struct ctx *c = *state;
    struct record row;
    struct records *r = open_rows(c, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n", true);
    assert_true(records_next(r, &row));
    assert_int_equal(records_reject(r, FAULT_UNTRAINED, "none of %d", 3), OK);
    assert_true(records_next(r, &row));
    assert_int_equal(row.row, 2);
    assert_int_equal(records_faults(r, FAULT_UNTRAINED), 1);
    records_close(r);
    r = open_rows(c, "{\"text\":\"a\"}\n", false);
    assert_true(records_next(r, &row));
    assert_int_equal(records_reject(r, FAULT_UNTRAINED, "none of %d", 3), E_INPUT);
    assert_failed(c, E_INPUT, "rows.jsonl:1: none of 3");
    records_close(r);
}

/* 100 MB in one line: named or skipped, and never held. */
static void a_huge_line_is_not_held(void **state)
{
    struct ctx *c = *state;
    FILE *f = fopen(scratch_path("huge.jsonl"), "wb");
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    fputs("{\"text\":\"", f);
    for (int i = 0; i < 100; i++) assert_int_equal(fwrite(block, 1, sizeof block, f), sizeof block);
    fputs("\"}\n{\"text\":\"after\"}\n", f);
    fclose(f);
    const char *path = scratch_path("huge.jsonl");
    struct record row;
    struct records *r = records_open(c, &path, 1, false, ROW_FORM_AUTO);
    assert_false(records_next(r, &row));
    assert_failed(c, E_INPUT, "huge.jsonl:1: longer than 67108864 bytes");
    records_close(r);
    r = records_open(c, &path, 1, true, ROW_FORM_AUTO);
    assert_true(records_next(r, &row));
    assert_int_equal(row.row, 2);
    assert_text(row.text, row.text_bytes, "after");
    assert_false(records_next(r, &row));
    assert_int_equal(records_faults(r, FAULT_LONG_LINE), 1);
    records_close(r);
    assert_true(c->alloc_peak < RECORDS_LINE_MAX_BYTES + (1 << 20));
}

static void several_files_and_their_digests(void **state)
{
    struct ctx *c = *state;
    const char *paths[] = {write_rows("a.jsonl", "{\"text\":\"1\"}\n{\"text\":\"2\"}\n"),
                           write_rows("b.txt", "\xEF\xBB\xBF"
                                               "one\n\ntwo\n"),
                           write_rows("empty.jsonl", ""), write_rows("blank.txt", " \n\n"),
                           write_rows("c.jsonl", "{\"text\":\"3\"}")};
    static const struct {
        int file;
        int64_t row;
        const char *text;
    } expected[] = {{0, 1, "1"}, {0, 2, "2"}, {1, 1, "one\n\ntwo\n"}, {4, 1, "3"}};
    struct records *r = records_open(c, paths, 5, false, ROW_FORM_AUTO);
    struct record row;
    for (int i = 0; i < 4; i++) {
        assert_true(records_next(r, &row));
        assert_int_equal(row.file, expected[i].file);
        assert_int_equal(row.row, expected[i].row);
        assert_text(row.text, row.text_bytes, expected[i].text);
    }
    assert_false(records_next(r, &row));
    assert_true(ctx_ok(c));
    for (size_t i = 0; i < 5; i++) {
        char hex[65], other[65];
        uint64_t bytes, other_bytes;
        records_digest(r, i, &bytes, hex);
        assert_int_equal(file_sha256(c, paths[i], other, &other_bytes), OK);
        assert_int_equal(bytes, other_bytes);
        assert_string_equal(hex, other);
    }
    records_close(r);
}

static void missing_file(void **state)
{
    struct ctx *c = *state;
    const char *path = scratch_path("none.jsonl");
    struct record row;
    struct records *r = records_open(c, &path, 1, true, ROW_FORM_AUTO); /* skipping is for rows, not for files */
    assert_false(records_next(r, &row));
    assert_failed(c, E_INPUT, "none.jsonl: No such file");
    records_close(r);
    records_close(NULL);
}

static void text_files_are_checked(void **state)
{
    struct ctx *c = *state;
    const char *path = write_rows("bad.txt", "abc\n\xff");
    struct record row;
    struct records *r = records_open(c, &path, 1, false, ROW_FORM_AUTO);
    assert_false(records_next(r, &row));
    assert_failed(c, E_INPUT, "bad.txt:1: invalid UTF-8 at byte 4");
    records_close(r);
}

/* Rows longer than the read chunk, cut by it at every place. */
static void rows_across_chunks(void **state)
{
    struct ctx *c = *state;
    enum { ROWS = 200 };
    char *rows = malloc(ROWS * 4096);
    size_t n = 0;
    for (int i = 0; i < ROWS; i++) n += (size_t)sprintf(rows + n, "{\"text\":\"%0*d\"}\n", 1 + i * 17 % 3000, i);
    struct records *r = open_rows(c, rows, false);
    struct record row;
    for (int i = 0; i < ROWS; i++) {
        assert_true(records_next(r, &row));
        assert_int_equal(row.text_bytes, i * 17 % 3000 + 1 > 3 ? i * 17 % 3000 + 1 : i >= 100 ? 3 : i >= 10 ? 2 : 1);
        assert_int_equal(atoi(row.text), i);
    }
    assert_false(records_next(r, &row));
    records_close(r);
    free(rows);
}

static void names(void **state)
{
    (void)state;
    for (int i = 0; i < FAULT_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(record_fault_name((enum record_fault)i), record_fault_name((enum record_fault)j));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(plain_forms),
        DATA_TEST(conversations),
        DATA_TEST(spellings_of_a_conversation),
        DATA_TEST(other_roles_keep_their_names),
        DATA_TEST(masked_turns_are_not_trained),
        DATA_TEST(what_templates_read_comes_along),
        DATA_TEST(what_is_not_read_is_said_once),
        DATA_TEST(the_form_can_be_chosen),
        DATA_TEST(files_have_weights),
        DATA_TEST(paths_with_colons),
        DATA_TEST(bad_rows_are_named),
        DATA_TEST(bad_rows_are_skipped_and_counted),
        DATA_TEST(rejected_rows_follow_the_same_rule),
        DATA_TEST(a_huge_line_is_not_held),
        DATA_TEST(several_files_and_their_digests),
        DATA_TEST(missing_file),
        DATA_TEST(text_files_are_checked),
        DATA_TEST(rows_across_chunks),
        DATA_TEST(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
