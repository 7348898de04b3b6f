/* Benchmarks of multiple choice against lm-evaluation-harness (tools/golden_lm_eval.py): each log-likelihood within 1e-4,
 * the same accuracies, from every form in which the rows are published; contexts longer than the model's; scores by hand;
 * what is refused by file and row; the files that the harness's tools read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "eval/choice_text.h"
#include "eval/choice_write.h"
#include "model/model.h"
#include "train/support_tiny.h"

#define DATA TEST_DATA "/lm_eval"

static struct ctx *c;
static struct model *model;
static struct tokenizer *tokenizer;
static struct engine *engine;
static json_t *expected;

static int group_setup(void **state)
{
    (void)state;
    c = tiny_ctx(2);
    model = model_open(c, DATA "/model");
    tokenizer = tokenizer_open(c, DATA "/model");
    engine = model ? engine_native_new(c, model, NULL) : NULL;
    expected = json_parse_file(c, DATA "/expected.json", 1 << 20);
    if (!engine || !tokenizer || !expected) fail_msg("%s", c->message);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    json_decref(expected);
    engine->ops->free(engine);
    tokenizer_free(tokenizer);
    model_free(model);
    tiny_ctx_free(c);
    tiny_cleanup();
    return 0;
}

static struct choice_set *open_set(enum choice_task task, const char *name, int64_t shots)
{
    const char *path = tiny_path("%s/%s", DATA, name);
    const struct choice_options o = {.paths = &path, .n_paths = 1, .shots = shots, .shots_path = DATA "/mmlu_dev.jsonl"};
    struct choice_set *s = choice_open(c, task, &o);
    if (!s) fail_msg("%s", c->message);
    return s;
}

static void sha256_text(const char *text, char hex[65])
{
    struct sha256 s;
    uint8_t digest[32];
    sha256_init(&s);
    sha256_update(&s, text, strlen(text));
    sha256_final(&s, digest);
    sha256_hex(digest, hex);
}

/* The contexts have the hashes that the harness's have, the log-likelihoods are within 1e-4, and the means are the same. */
static void compare(enum choice_task task, const char *name, const char *key, int64_t shots)
{
    const json_t *want = json_object_get(expected, key), *lists = json_object_get(want, "loglik");
    struct choice_set *s = open_set(task, name, shots);
    struct choice_scores got;
    assert_int_equal(s->n, json_array_size(lists));
    if (choice_measure(engine, tokenizer, s, &got) != OK) fail_msg("%s", c->message);
    for (size_t i = 0; i < s->n; i++) {
        char hex[65];
        const json_t *list = json_array_get(lists, i);
        sha256_text(s->items[i].context, hex);
        if (strcmp(hex, json_string_value(json_array_get(json_object_get(want, "prompt_hash"), i))) != 0)
            fail_msg("%s, item %zu: another context: '%s'", name, i, s->items[i].context);
        assert_int_equal(s->items[i].n, json_array_size(list));
        for (size_t k = 0; k < s->items[i].n; k++) {
            double theirs = json_number_value(json_array_get(list, k));
            if (!(fabs(got.items[i].loglik[k] - theirs) <= 1e-4))
                fail_msg("%s, item %zu, choice %zu: %.6f, want %.6f", name, i, k, got.items[i].loglik[k], theirs);
        }
    }
    assert_true(fabs(choice_acc(&got).mean - json_number_value(json_object_get(want, "acc"))) < 1e-6);
    const json_t *error = json_object_get(want, "acc_stderr"), *norm = json_object_get(want, "acc_norm");
    if (error) assert_true(fabs(choice_acc(&got).error - json_number_value(error)) < 1e-6);
    assert_true((norm != NULL) == choice_has_norm(task));
    if (norm) assert_true(fabs(choice_acc_norm(&got).mean - json_number_value(norm)) < 1e-9);
    choice_scores_release(&got);
    choice_close(s);
}

static void hub_rows(void **state)
{
    (void)state;
    compare(CHOICE_TRUTHFULQA_MC1, "truthfulqa.jsonl", "truthfulqa_mc1", 0);
    compare(CHOICE_TRUTHFULQA_MC2, "truthfulqa.jsonl", "truthfulqa_mc2", 0);
    compare(CHOICE_ARC, "arc.jsonl", "arc", 0);
    compare(CHOICE_HELLASWAG, "hellaswag.jsonl", "hellaswag", 0);
    compare(CHOICE_HELLASWAG, "hellaswag.parquet", "hellaswag", 0);
    compare(CHOICE_MMLU, "mmlu.jsonl", "mmlu", 0);
}

static void authors_files(void **state)
{
    (void)state;
    compare(CHOICE_TRUTHFULQA_MC1, "mc_task.json", "truthfulqa_mc1", 0);
    compare(CHOICE_TRUTHFULQA_MC2, "mc_task.json", "truthfulqa_mc2", 0);
    compare(CHOICE_TRUTHFULQA_MC1, "TruthfulQA.csv", "truthfulqa_mc1", 0);
    compare(CHOICE_TRUTHFULQA_MC2, "TruthfulQA.csv", "truthfulqa_mc2", 0);
    compare(CHOICE_ARC, "arc_authors.jsonl", "arc", 0);
}

/* Two examples in front make contexts longer than the model's 320 tokens, so this is about cutting, too. */
static void shots(void **state)
{
    (void)state;
    compare(CHOICE_MMLU, "mmlu.jsonl", "mmlu_shots", 2);
}

/* MMLU's CSV has a file a subject; both files are the rows of the hub's form. */
static void csv_of_mmlu(void **state)
{
    (void)state;
    const char *paths[] = {DATA "/abstract_algebra_test.csv", DATA "/us_foreign_policy_test.csv"};
    const struct choice_options o = {.paths = paths, .n_paths = 2};
    struct choice_set *hub = open_set(CHOICE_MMLU, "mmlu.jsonl", 0), *csv = choice_open(c, CHOICE_MMLU, &o);
    if (!csv) fail_msg("%s", c->message);
    assert_int_equal(hub->n, csv->n);
    for (size_t i = 0; i < hub->n; i++) {
        assert_string_equal(hub->items[i].context, csv->items[i].context);
        assert_string_equal(hub->items[i].subject, csv->items[i].subject);
        assert_int_equal(hub->items[i].gold, csv->items[i].gold);
    }
    choice_close(hub);
    choice_close(csv);
}

static void texts(void **state)
{
    (void)state;
    static const char *const clean[][2] = {{"  a [title] b  ", "a. b"},
                                           {"x [a] y", "x y"},
                                           {"[a][b] x", " x"},
                                           {"a [b\nc] d", "a [b\nc] d"},
                                           {"a   b", "a  b"},
                                           {"[x", "[x"},
                                           {"\xc2\xa0"
                                            "a\xe2\x80\x83",
                                            "a"},
                                           {"", ""}};
    static const char *const capital[][2] = {{"hELLO Ä", "Hello ä"}, {"élan", "Élan"}, {" aB", " ab"}, {"", ""}};
    struct buf out;
    buf_init(&out, c, 1024);
    for (size_t i = 0; i < sizeof(clean) / sizeof(clean[0]); i++) {
        buf_clear(&out);
        choice_clean(clean[i][0], &out);
        assert_string_equal(buf_str(&out), clean[i][1]);
    }
    for (size_t i = 0; i < sizeof(capital) / sizeof(capital[0]); i++) {
        buf_clear(&out);
        choice_capitalize(capital[i][0], &out);
        assert_string_equal(buf_str(&out), capital[i][1]);
    }
    buf_release(&out);
}

static void scores_by_hand(void **state)
{
    (void)state;
    char *choices[] = {"a", "bbbb", "\xc3\xa9\xc3\xa9"};
    bool is_true[] = {true, false, true};
    double loglik[] = {-2, -4, -2};
    struct choice_item item = {.choices = choices, .is_true = is_true, .n = 3, .gold = 0};
    struct choice_score score = {.loglik = loglik};
    choice_score_item(CHOICE_ARC, &item, &score);
    assert_true(score.acc == 1 && score.acc_norm == 0); /* a tie: the first; per character -2, -1, -1: the second */
    item.gold = 1;
    choice_score_item(CHOICE_ARC, &item, &score);
    assert_true(score.acc == 0 && score.acc_norm == 1);
    choice_score_item(CHOICE_TRUTHFULQA_MC2, &item, &score);
    assert_true(fabs(score.acc - 2 / (2 + exp(-2))) < 1e-12);
    loglik[0] = -2000, loglik[1] = -2001, loglik[2] = -3000;
    choice_score_item(CHOICE_TRUTHFULQA_MC2, &item, &score);
    assert_true(fabs(score.acc - 1 / (1 + exp(-1))) < 1e-12); /* exp(-2000) is 0 */
    struct choice_score a[3] = {{.acc = 1}, {.acc = 0}, {.acc = 1}}, b[3] = {{.acc = 1}, {.acc = 1}, {.acc = 1}};
    struct choice_scores sa = {.items = a, .n = 3}, sb = {.items = b, .n = 3};
    assert_true(fabs(choice_acc(&sa).mean - 2.0 / 3) < 1e-12 && fabs(choice_acc(&sa).error - 1.0 / 3) < 1e-12);
    assert_true(fabs(choice_difference(&sa, &sb).mean + 1.0 / 3) < 1e-12);
    assert_true(fabs(choice_difference(&sa, &sb).error - 1.0 / 3) < 1e-12 && choice_acc(&sb).error == 0);
}

static void refused(enum choice_task task, const char *name, const char *text, int64_t shots_of, const char *says)
{
    static const char *folder;
    if (!folder) folder = strdup(tiny_folder());
    const char *path = tiny_path("%s/%s", folder, name);
    tiny_write(path, text);
    const struct choice_options o = {.paths = &path, .n_paths = 1, .shots = shots_of, .shots_path = DATA "/mmlu_dev.jsonl"};
    size_t before = c->alloc_bytes;
    assert_null(choice_open(c, task, &o));
    if (!strstr(c->message, says)) fail_msg("'%s' lacks '%s'", c->message, says);
    ctx_clear(c);
    assert_int_equal(c->alloc_bytes, before);
}

#define ROW_OF_MMLU(CHOICES, ANSWER)                                                                                        \
    "{\"question\": \"q\", \"subject\": \"s\", \"choices\": " CHOICES ", \"answer\": " ANSWER "}\n"

static void refusals(void **state)
{
    (void)state;
    refused(CHOICE_ARC, "a.jsonl", "\n", 0, "holds no item");
    refused(CHOICE_ARC, "a.jsonl", "{\"question\": \"q\", \"answerKey\": \"A\"}", 0, "a.jsonl:1: \"text\" must be a list");
    refused(
        CHOICE_ARC, "a.jsonl",
        "{\"question\": \"q\", \"answerKey\": \"C\", \"choices\": {\"text\": [\"x\", \"y\"], \"label\": [\"A\", \"B\"]}}", 0,
        "a.jsonl:1: answerKey is the label of no choice");
    refused(CHOICE_ARC, "a.csv", "x\n", 0, "not from CSV");
    refused(CHOICE_ARC, "a.jsonl", "{}", 2, "--shots");
    refused(CHOICE_MMLU, "m.jsonl", ROW_OF_MMLU("[\"a\", \"b\", \"c\", \"d\"]", "4"), 0,
            "m.jsonl:1: the answer is the number");
    refused(CHOICE_MMLU, "m.jsonl", ROW_OF_MMLU("[\"a\", \"b\", \"c\"]", "1"), 0, "four strings");
    refused(CHOICE_MMLU, "m.jsonl", ROW_OF_MMLU("[\"a\", \"\", \"c\", \"d\"]", "1"), 0, "\"choices\"[1]");
    refused(CHOICE_MMLU, "m.jsonl", ROW_OF_MMLU("[\"a\", \"b\", \"c\", \"d\"]", "1"), 1, "only 0 rows of 's'");
    refused(CHOICE_MMLU, "s_test.csv", "q,a,b,c,d,A\nq,a,b,c,d,E\n", 0, "s_test.csv:2: must have six fields");
    refused(CHOICE_HELLASWAG, "h.jsonl",
            "{\"activity_label\": \"a\", \"ctx_a\": \"b\", \"ctx_b\": \"c\", \"endings\": [\"x\", \"y\"], \"label\": \"\"}",
            0, "rows without answers");
    refused(CHOICE_TRUTHFULQA_MC1, "t.jsonl",
            "{\"question\": \"q\", \"mc1_targets\": {\"choices\": [\"a\", \"b\"], \"labels\": [0, 1]}}", 0,
            "the first choice");
    refused(CHOICE_TRUTHFULQA_MC2, "t.jsonl",
            "{\"question\": \"q\", \"mc2_targets\": {\"choices\": [\"a\", \"b\"], \"labels\": [1, 1]}}", 0,
            "true and false");
    refused(CHOICE_TRUTHFULQA_MC2, "t.csv", "Question,x\nq,y\n", 0, "t.csv:2: must have the columns");
}

/* The members that the harness's readers ask for. */
static void files(void **state)
{
    (void)state;
    struct choice_set *s = open_set(CHOICE_ARC, "arc.jsonl", 0);
    struct choice_scores got;
    assert_int_equal(choice_measure(engine, tokenizer, s, &got), OK);
    const struct choice_report r = {.set = s, .scores = &got, .model = "some/model", .adapter = "runs/a", .time = "T"};
    char *dir = strdup(tiny_folder());
    if (choice_write(c, &r, 1, dir) != OK) fail_msg("%s", c->message);
    json_t *doc = json_parse_file(c, tiny_path("%s/some__model__runs__a/results_T.json", dir), 1 << 20);
    if (!doc) fail_msg("%s", c->message);
    const json_t *arc = json_object_get(json_object_get(doc, "results"), "arc");
    assert_true(json_number_value(json_object_get(arc, "acc,none")) == choice_acc(&got).mean);
    assert_true(json_number_value(json_object_get(arc, "acc_norm_stderr,none")) == choice_acc_norm(&got).error);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(json_object_get(doc, "n-samples"), "arc"), "effective")), s->n);
    json_decref(doc);
    char *text = tiny_read(tiny_path("%s/some__model__runs__a/samples_arc_T.jsonl", dir), &(size_t){0});
    size_t n = 0;
    for (const char *p = text; *p; p = strchr(p, '\n') + 1, n++) {
        json_t *row = json_parse(c, "sample", p, strcspn(p, "\n"));
        const json_t *resp = json_array_get(json_array_get(json_array_get(json_object_get(row, "resps"), 1), 0), 0);
        assert_true(atof(json_string_value(resp)) == got.items[n].loglik[1]);
        assert_string_equal(
            json_string_value(json_object_get(row, "prompt_hash")),
            json_string_value(json_array_get(json_object_get(json_object_get(expected, "arc"), "prompt_hash"), n)));
        json_decref(row);
    }
    assert_int_equal(n, s->n);
    free(text);
    free(dir);
    choice_scores_release(&got);
    choice_close(s);
}

/* MMLU: a task a subject, and the group of them with the mean over all items and the harness's pooled error. */
static void subjects_are_tasks_of_a_group(void **state)
{
    (void)state;
    struct choice_set *s = open_set(CHOICE_MMLU, "mmlu.jsonl", 0);
    struct choice_scores got;
    assert_int_equal(choice_measure(engine, tokenizer, s, &got), OK);
    const struct choice_report r = {.set = s, .scores = &got, .model = "m", .time = "T"};
    char *dir = strdup(tiny_folder());
    if (choice_write(c, &r, 1, dir) != OK) fail_msg("%s", c->message);
    json_t *doc = json_parse_file(c, tiny_path("%s/m/results_T.json", dir), 1 << 20);
    const json_t *results = json_object_get(doc, "results"),
                 *group = json_object_get(json_object_get(doc, "groups"), "mmlu");
    const json_t *tasks = json_object_get(json_object_get(doc, "group_subtasks"), "mmlu");
    double sum = 0, pooled = 0, items = 0;
    assert_int_equal(json_array_size(tasks), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *task = json_object_get(results, json_string_value(json_array_get(tasks, i)));
        double n = (double)json_integer_value(json_object_get(task, "sample_len"));
        double error = json_number_value(json_object_get(task, "acc_stderr,none"));
        sum += n * json_number_value(json_object_get(task, "acc,none"));
        pooled += (n - 1) * n * error * error;
        items += n;
        assert_true(n > 1 && error > 0);
        assert_true(file_exists(tiny_path("%s/m/samples_%s_T.jsonl", dir, json_string_value(json_array_get(tasks, i)))));
    }
    assert_true(items == (double)s->n && fabs(sum / items - choice_acc(&got).mean) < 1e-12);
    assert_true(fabs(json_number_value(json_object_get(group, "acc,none")) - sum / items) < 1e-12);
    assert_true(fabs(json_number_value(json_object_get(group, "acc_stderr,none")) - sqrt(pooled / (items - 2) / items)) <
                1e-12);
    assert_true(json_equal(group, json_object_get(results, "mmlu")));
    json_decref(doc);
    free(dir);
    choice_scores_release(&got);
    choice_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),         cmocka_unit_test(scores_by_hand), cmocka_unit_test(hub_rows),
        cmocka_unit_test(authors_files), cmocka_unit_test(csv_of_mmlu),    cmocka_unit_test(shots),
        cmocka_unit_test(refusals),      cmocka_unit_test(files),          cmocka_unit_test(subjects_are_tasks_of_a_group),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
