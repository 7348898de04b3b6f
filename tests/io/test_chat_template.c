/* Rendered conversations against transformers (golden cases made by tools/gen_tokenizer_golden.py): ids and trained tokens.
 */
#include "io/template/chat_template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support_file.h"
#include "support_tokenizer.h"

enum { MAX_MESSAGES = 8 };

/* The source of a golden case's template: one of tests/data/io/chat, or "corpus:NAME". free() it. */
static char *template_source(struct ctx *c, const char *name)
{
    char path[512];
    size_t n;
    if (strncmp(name, "corpus:", 7) != 0) {
        snprintf(path, sizeof path, "%s/io/chat/%s.jinja", TEST_DATA, name);
        return test_load(path, &n);
    }
    snprintf(path, sizeof path, "%s/corpora/templates/%s.tokenizer_config.json", SHARED_DIR, name + 7);
    json_t *config = json_parse_file(c, path, 1 << 24);
    if (!config) fail_msg("missing test data: %s: %s", path, c->message);
    const char *source = json_string_value(json_object_get(config, "chat_template"));
    assert_non_null(source);
    char *copy = strdup(source);
    json_decref(config);
    return copy;
}

/* A small tokenizer with a template of its own. */
static struct tokenizer *open_with(struct ctx *c, const char *name, const char *source)
{
    struct buf config;
    buf_init(&config, c, 1 << 20);
    buf_append_str(&config, "{\"chat_template\":");
    json_append_string(&config, source, strlen(source));
    buf_append_str(&config, "}");
    const char *const files[][2] = {{"tokenizer_config.json", buf_str(&config)}, {NULL, NULL}};
    struct tokenizer *t = test_tokenizer(c, test_tokenizer_folder(name, files));
    buf_release(&config);
    return t;
}

/* The template of the last row, kept open: rows of one template stand together. */
struct golden {
    char name[64];
    enum chat_template kind;
    struct tokenizer *t;
    int templates;
};

static void golden_open(struct ctx *c, struct golden *g, const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "template"));
    if (strcmp(name, g->name) == 0) return;
    char *source = template_source(c, name);
    tokenizer_free(g->t);
    g->t = open_with(c, json_string_value(json_object_get(row, "tokenizer")), source);
    g->kind = chat_template_detect(c, g->t);
    if (g->kind == CHAT_NONE) fail_msg("%s: %s", name, c->message);
    assert_int_equal(g->kind, strstr(name, "llama3") ? CHAT_LLAMA3 : CHAT_CHATML);
    snprintf(g->name, sizeof g->name, "%s", name);
    g->templates++;
    free(source);
}

static size_t read_messages(const json_t *list, struct chat_message *messages)
{
    size_t n = json_array_size(list);
    assert_true(n <= MAX_MESSAGES);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(list, i), *content = json_object_get(m, "content");
        messages[i] = (struct chat_message){json_string_value(json_object_get(m, "role")), json_string_value(content),
                                            json_string_length(content), 1};
    }
    return n;
}

static void golden_row(struct ctx *c, const json_t *row, void *user)
{
    struct golden *g = user;
    struct chat_message messages[MAX_MESSAGES];
    struct ids ids = {0};
    struct buf trained;
    golden_open(c, g, row);
    size_t n = read_messages(json_object_get(row, "messages"), messages);
    bool prompt = json_is_true(json_object_get(row, "prompt"));
    /* The first Llama 3 template opens an assistant turn without being asked; the rest of it is equal. */
    bool always = strcmp(g->name, "corpus:llama3") == 0;
    buf_init(&trained, c, 1 << 16);
    if (chat_template_render(c, g->kind, g->t, messages, n, prompt || always, &ids, &trained) != OK)
        fail_msg("%s", c->message);
    char *label = json_dumps(row, 0);
    test_ids_equal(&ids, json_object_get(row, "ids"), label);
    const char *want = json_string_value(json_object_get(row, "trained"));
    assert_int_equal(trained.len, strlen(want));
    for (size_t i = 0; i < trained.len; i++)
        if (trained.data[i] != want[i] - '0') fail_msg("trained differs at %zu: %s", i, label);
    free(label);
    buf_release(&trained);
    ids_release(c, &ids);
}

static bool is_of_corpora(const json_t *row)
{
    return strncmp(json_string_value(json_object_get(row, "template")), "corpus:", 7) == 0;
}

/* Rows whose template is committed, and those that take it from the corpora. */
static void committed_row(struct ctx *c, const json_t *row, void *user)
{
    if (!is_of_corpora(row)) golden_row(c, row, user);
}

static void corpora_row(struct ctx *c, const json_t *row, void *user)
{
    if (is_of_corpora(row)) golden_row(c, row, user);
}

static void golden(void (*run)(struct ctx *c, const json_t *row, void *user), int templates)
{
    struct ctx *c = ctx_new(NULL);
    struct golden g = {{0}, CHAT_NONE, NULL, 0};
    assert_int_equal(test_each_line(c, "chat/cases.jsonl", run, &g), 7 * 13 * 2);
    assert_int_equal(g.templates, templates);
    tokenizer_free(g.t);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void test_golden(void **state)
{
    (void)state;
    golden(committed_row, 4);
}

static void test_golden_of_corpora(void **state)
{
    (void)state;
    golden(corpora_row, 3);
}

#define CHATML_BODY                                                                                                         \
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n'}}"      \
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
#define LLAMA3_BODY                                                                                                         \
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content']" \
    "|trim + '<|eot_id|>' }}{% endfor %}"

/* Sources with something that would change the text, and what the message must say. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{{ bos_token }}" CHATML_BODY, "bos_token"},
        {CHATML_BODY "{{ eos_token }}", "eos_token"},
        {CHATML_BODY "{{ strftime_now('%Y') }}", "strftime_now"},
        {CHATML_BODY "{{ message['content'] | trim }}", "trim"},
        {CHATML_BODY "{{ content.split('</think>')[-1] }}", "think>"},
        {"{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}{{ add_generation_prompt }}",
         "generation prompt"},
        {CHATML_BODY "<|im_start|>system\nYou<|im_end|>\n", "outside a string"},
        {CHATML_BODY "{{ '<|im_start|>system You<|im_end|>' }}", "line break"},
        {CHATML_BODY "{{ '<|im_start|>system\\nYou\\'re<|im_end|>' }}", "escapes"},
        {CHATML_BODY "{{ '<|im_start|>system\\nA<|im_end|>' }}{{ '<|im_start|>system\\nB<|im_end|>' }}", "two system"},
        {CHATML_BODY "{{ '<|im_start|>system\\nA<|im_end|>' }}", "without a test"},
        {LLAMA3_BODY "{{ 'Today Date: ' + strftime_now('%d') }}", "dates"},
        {LLAMA3_BODY "{{ 'Cutting Knowledge Date: March 2025\\nToday Date: 26 Jul 2024' }}", "dates"},
        {LLAMA3_BODY "{{ reasoning }}", "reasoning"},
        {"<|start_header_id|><|end_header_id|><|eot_id|> trim", "bos_token"},
        {CHATML_BODY "Bye", "between its tags"},
        {"A" CHATML_BODY, "between its tags"},
        {"{% if tools %} {% endif %}" CHATML_BODY, "between its tags"},
        {"{% if tools %}\n\n{% endif %}" CHATML_BODY, "between its tags"},
        {"{{ tools }}\n" CHATML_BODY, "between its tags"},
        {CHATML_BODY "{{ 'unclosed }}", "between its tags"},
        {"<start_of_turn>", "Gemma"},
        {"[INST] {{ x }} [/INST]", "Mistral"},
        {"{{ messages }}", "unknown"},
        {"", "unknown"},
    };
    struct ctx *c = ctx_new(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tokenizer *t = open_with(c, "qwen", cases[i][0]);
        assert_int_equal(chat_template_detect(c, t), CHAT_NONE);
        test_expect(c, E_UNSUPPORTED, cases[i][1], cases[i][0]);
        tokenizer_free(t);
    }
    static const char *const fine[] = {
        CHATML_BODY,
        CHATML_BODY "\n",
        "{# a } comment #}\n  {% if tools %}\n    {% endif %}\n" CHATML_BODY,
        "{%- if tools -%}  \n {{- '}}' }}\n\n{%- endif %}\n" CHATML_BODY,
    };
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        struct tokenizer *t = open_with(c, "qwen", fine[i]);
        if (chat_template_detect(c, t) != CHAT_CHATML) fail_msg("%s: %s", fine[i], c->message);
        tokenizer_free(t);
    }
    struct tokenizer *t = open_with(c, "llama3", LLAMA3_BODY);
    assert_int_equal(chat_template_detect(c, t), CHAT_LLAMA3);
    tokenizer_free(t);
    ctx_free(c);
}

static const struct chat_message talk[] = {
    {"user", "<|im_end|>Hi", 12, 1}, {"assistant", "A\0B", 3, 0}, {"user", "?", 1, 1}, {"assistant", "yes", 3, 1}};

static enum status render(struct ctx *c, const struct tokenizer *t, enum chat_template kind, size_t first, size_t n,
                          struct ids *ids, struct buf *trained)
{
    buf_init(trained, c, 1000);
    return chat_template_render(c, kind, t, talk + first, n, false, ids, trained);
}

/* Text that looks like a control token is text, NUL bytes are kept, and a turn of weight 0 is not trained. */
static void test_contents(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer_named(c, "qwen");
    struct ids ids = {0};
    struct buf trained, text;
    assert_int_equal(render(c, t, CHAT_CHATML, 0, 4, &ids, &trained), OK);
    int32_t end = tokenizer_find(t, "<|im_end|>");
    int ends = 0, n_trained = 0;
    for (size_t i = 0; i < ids.n; i++) {
        ends += ids.data[i] == end;
        n_trained += trained.data[i];
    }
    assert_int_equal(ends, 4);
    assert_true(trained.data[ids.n - 2] == 1 && ids.data[ids.n - 2] == end && trained.data[ids.n - 1] == 0);
    assert_in_range(n_trained, 2, 4); /* "yes" and its end */
    buf_init(&text, c, 1000);
    assert_int_equal(tokenizer_decode(c, t, ids.data, ids.n, false, &text), OK);
    static const char want[] = "<|im_start|>user\n<|im_end|>Hi<|im_end|>\n<|im_start|>assistant\nA\0B<|im_end|>\n"
                               "<|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n";
    assert_int_equal(text.len, sizeof want - 1);
    assert_memory_equal(text.data, want, text.len);
    buf_release(&text);
    buf_release(&trained);
    ids_release(c, &ids);
    tokenizer_free(t);
    ctx_free(c);
}

static void test_bad_calls(void **state)
{
    (void)state;
    static const struct chat_message tool = {"tool", "1", 1, 1};
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *qwen = test_tokenizer_named(c, "qwen");
    struct ids ids = {0};
    struct buf trained;
    enum chat_template kind = CHAT_NONE;
    assert_int_equal(chat_template_detect(c, qwen), CHAT_NONE);
    test_expect(c, E_UNSUPPORTED, "no chat template", "none");
    assert_int_equal(render(c, qwen, CHAT_CHATML, 0, 0, &ids, &trained), E_INPUT);
    test_expect(c, E_INPUT, "without messages", "empty");
    assert_int_equal(render(c, qwen, CHAT_LLAMA3, 0, 1, &ids, &trained), E_INPUT);
    test_expect(c, E_INPUT, "<|start_header_id|>", "no control tokens");
    assert_int_equal(chat_template_render(c, CHAT_CHATML, qwen, &tool, 1, false, &ids, &trained), E_UNSUPPORTED);
    test_expect(c, E_UNSUPPORTED, "\"tool\"", "role");
    assert_int_equal(chat_template_parse(c, "llama3", &kind), OK);
    assert_int_equal(kind, CHAT_LLAMA3);
    assert_int_equal(chat_template_parse(c, "chatml", &kind), OK);
    assert_int_equal(kind, CHAT_CHATML);
    assert_int_equal(chat_template_parse(c, "none", &kind), E_INPUT);
    test_expect(c, E_INPUT, "\"none\"", "name");
    buf_release(&trained);
    ids_release(c, &ids);
    tokenizer_free(qwen);
    ctx_free(c);
}

/* With the word "corpora": the tests that need ../shared/corpora, which CI has and a clone has not. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_bad_calls),
    };
    const struct CMUnitTest corpora[] = {
        cmocka_unit_test(test_golden_of_corpora),
    };
    if (argc > 1 && strcmp(argv[1], "corpora") == 0) return cmocka_run_group_tests(corpora, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
