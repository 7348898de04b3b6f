/* train_choice: what the trainer chooses where the rows are few, what it leaves alone, and that a run which chose resumes
 * like any other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "train/support_tiny.h"
#include "train/train_choice.h"
#include "train/train_options.h"

static struct tiny_files tiny;

/* A trainer for the option and value pairs, started as the program does it. The caller frees it before the ctx. */
static struct trainer *start(struct ctx *c, struct train_values *v, const struct trainer_hooks *hooks, const char *rows,
                             const char *run, const char *const (*pairs)[2])
{
    static const char *const names[] = {"model", "data", "valid", "output", "max-length", "rank"};
    const char *const values[] = {tiny.model, rows, tiny.valid, run, "48", "4"};
    bool given[OPTION_MAX_SPECS] = {false};
    *v = (struct train_values){0};
    assert_int_equal(options_default(c, &train_table, v), OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(options_give(c, &train_table, names[i], values[i], v, given), OK);
    for (size_t i = 0; pairs && pairs[i][0]; i++)
        assert_int_equal(options_give(c, &train_table, pairs[i][0], pairs[i][1], v, given), OK);
    assert_int_equal(train_options_settle(c, v), OK);
    train_choice_allow(&v->config, given);
    char *text = train_options_text(c, v);
    struct trainer *t = trainer_new(c, &v->config, hooks, text);
    if (!t) fail_msg("%s", c->message);
    mem_free(c, text);
    return t;
}

/* Asserts the length that a run of `n_rows` rows gets, and that its config.json says the same. */
static void expect(int n_rows, const char *const (*pairs)[2], bool made, bool packing, int64_t epochs, double lr)
{
    struct ctx *c = tiny_ctx(1);
    struct train_values v, read = {0};
    json_t *doc;
    const char *rows = tiny_path("%s/rows-%d.jsonl", tiny.folder, n_rows), *run = tiny_run();
    tiny_rows(rows, n_rows, 7);
    struct trainer *t = start(c, &v, NULL, rows, run, pairs);
    assert_int_equal(t->choice.made, made);
    assert_int_equal(t->config.packs.packing, packing);
    assert_int_equal(t->config.epochs, epochs);
    assert_true(t->config.schedule.peak == lr);
    assert_int_equal(train_options_read(c, run, &read, &doc), OK);
    assert_int_equal(read.config.packs.packing, packing);
    assert_int_equal(read.config.epochs, epochs);
    assert_true(read.config.schedule.peak == lr);
    json_decref(doc);
    trainer_free(t);
    tiny_ctx_free(c);
}
#define GIVEN(...)                                                                                                          \
    (const char *const[][2])                                                                                                \
    {                                                                                                                       \
        __VA_ARGS__,                                                                                                        \
        {                                                                                                                   \
            NULL, NULL                                                                                                      \
        }                                                                                                                   \
    }

static void few_rows_get_enough_steps(void **state)
{
    (void)state;
    expect(40, NULL, true, false, 10, 1e-3); /* 10 steps an epoch without packing: 10 epochs are 100 steps */
    expect(3, NULL, true, false, 30, 1e-3);  /* a step an epoch, and no more epochs than 30 */
}

static void what_was_asked_for_stays(void **state)
{
    (void)state;
    expect(40, GIVEN({"epochs", "3"}), false, true, 3, 2e-4);
    expect(40, GIVEN({"max-steps", "5"}), false, true, 3, 2e-4);
    expect(40, GIVEN({"lr", "3e-4"}), true, false, 10, 3e-4);
    expect(8, GIVEN({"packing", "true"}), true, true, 30, 1e-3);
}

static void many_rows_keep_the_defaults(void **state)
{
    (void)state;
    expect(400, NULL, false, true, 3, 2e-4);
}

static bool after_two(void *user)
{
    return ++*(int *)user > 2;
}

static void a_run_that_chose_resumes_to_the_same_bytes(void **state)
{
    (void)state;
    const char *whole = strdup(tiny_run()), *cut = strdup(tiny_run());
    const char *rows = tiny_path("%s/few.jsonl", tiny.folder);
    tiny_rows(rows, 6, 3);
    for (int i = 0; i < 2; i++) {
        struct ctx *c = tiny_ctx(1);
        struct train_values v;
        int asked = 0;
        struct trainer_hooks hooks = {.user = &asked, .interrupted = i ? after_two : NULL};
        struct trainer *t = start(c, &v, &hooks, rows, i ? cut : whole, GIVEN({"eval-every", "7"}));
        assert_int_equal(trainer_run(t), i ? E_INTERRUPTED : OK);
        trainer_free(t);
        tiny_ctx_free(c);
    }
    struct ctx *c = tiny_ctx(1);
    struct train_values v = {0};
    json_t *doc;
    assert_int_equal(train_options_read(c, cut, &v, &doc), OK);
    struct trainer *t = trainer_resume(c, &v.config, NULL);
    assert_non_null(t);
    assert_false(t->choice.made);
    assert_int_equal(trainer_run(t), OK);
    trainer_free(t);
    json_decref(doc);
    tiny_ctx_free(c);
    tiny_assert_same_files(whole, cut, (const char *const[]){"adapter/adapter_model.safetensors", "metrics.jsonl", NULL});
    free((char *)whole);
    free((char *)cut);
}

static int setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 5, 5);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_rows_get_enough_steps),
        cmocka_unit_test(what_was_asked_for_stays),
        cmocka_unit_test(many_rows_keep_the_defaults),
        cmocka_unit_test(a_run_that_chose_resumes_to_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, setup, tiny_files_remove);
}
