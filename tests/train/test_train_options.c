/* train_options: config.json keeps its bytes, and the library alone starts, stops and resumes a run by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "train/support_tiny.h"
#include "train/train_options.h"

static struct tiny_files tiny;

/* Sets option by option through options_give, as a host program does. */
static void give(struct ctx *c, struct train_values *v, const char *const (*pairs)[2], size_t n)
{
    bool given[OPTION_MAX_SPECS] = {false};
    *v = (struct train_values){0};
    assert_int_equal(options_default(c, &train_table, v), OK);
    for (size_t i = 0; i < n; i++) assert_int_equal(options_give(c, &train_table, pairs[i][0], pairs[i][1], v, given), OK);
    assert_int_equal(options_check_required(c, &train_table, given), OK);
    assert_int_equal(train_options_settle(c, v), OK);
}
#define GIVE(c, v, ...)                                                                                                     \
    give(c, v, (const char *const[][2]){__VA_ARGS__}, sizeof((const char *const[][2]){__VA_ARGS__}) / sizeof(char *[2]))

/* The bytes were written by the program before its options moved here, and options that are newer were added by hand: runs
 * that lie on disks must stay resumable. */
static void config_json_keeps_its_bytes(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(1);
    struct train_values v;
    GIVE(c, &v, {"model", "m.gguf"}, {"data", "d.jsonl"}, {"data", "v.jsonl"}, {"valid", "v.jsonl"}, {"output", "run"},
         {"lr", "3e-5"}, {"max-length", "16"}, {"max-steps", "1"}, {"base-type", "int8"}, {"compute", "int8x2"},
         {"distrust", "published"}, {"packing", "false"}, {"targets", "q_proj,v_proj"}, {"threads", "2"}, {"rslora", "true"},
         {"seed", "9007199254740992"});
    char *text = train_options_text(c, &v);
    assert_non_null(text);
    size_t n;
    char *golden = tiny_read(TEST_DATA "/train/config_golden.json", &n);
    assert_int_equal(strlen(text), n);
    assert_memory_equal(text, golden, n);
    mem_free(c, text);
    free(golden);
    tiny_ctx_free(c);
}

static bool after_two(void *user)
{
    return *(int *)user >= 2;
}

static void count_step(void *user, const struct train_progress *p)
{
    (void)p;
    ++*(int *)user;
}

/* Starts a run of 5 steps; with `stop` only 2 of them. Nothing but its folder is left. */
static void start(const char *run, bool stop)
{
    struct ctx *c = tiny_ctx(2);
    struct train_values v;
    int steps = 0;
    GIVE(c, &v, {"model", tiny.model}, {"data", tiny.rows}, {"output", run}, {"rank", "4"}, {"max-length", "48"},
         {"batch", "2"}, {"max-steps", "5"}, {"lr", "1e-2"}, {"dropout", "0.1"});
    struct trainer_hooks hooks = {.user = &steps, .step = count_step, .interrupted = stop ? after_two : NULL};
    char *text = train_options_text(c, &v);
    struct trainer *t = trainer_new(c, &v.config, &hooks, text);
    if (!t) fail_msg("%s", c->message);
    assert_int_equal(trainer_run(t), stop ? E_INTERRUPTED : OK);
    assert_int_equal(steps, stop ? 2 : 5);
    trainer_free(t);
    mem_free(c, text);
    tiny_ctx_free(c);
}

static void the_library_resumes_by_config_json(void **state)
{
    (void)state;
    const char *whole = strdup(tiny_path("%s/run", tiny_folder())), *cut = strdup(tiny_path("%s/run", tiny_folder()));
    start(whole, false);
    start(cut, true);
    struct ctx *c = tiny_ctx(1);
    struct train_values v = {0};
    json_t *doc;
    assert_int_equal(train_options_read(c, cut, &v, &doc), OK);
    assert_int_equal(v.config.max_steps, 5);
    struct trainer *t = trainer_resume(c, &v.config, NULL);
    assert_non_null(t);
    assert_int_equal(t->state.step, 2);
    assert_int_equal(trainer_run(t), OK);
    trainer_free(t);
    json_decref(doc);
    tiny_ctx_free(c);
    tiny_assert_same_file(tiny_path("%s/adapter/adapter_model.safetensors", whole),
                          tiny_path("%s/adapter/adapter_model.safetensors", cut));
    free((char *)whole);
    free((char *)cut);
}

static void bad_names_and_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *says;
    } cases[] = {
        {"rnak", "8", "unknown option 'rnak'; did you mean rank"},
        {"zzzzzzzz", "8", "unknown option 'zzzzzzzz'"},
        {"rank", "0", "rank: 0 is outside 1 to 1024"},
        {"rank", "four", "rank: 'four' is not a whole number"},
        {"packing", "yes", "packing: 'yes' is neither true nor false"},
        {"lr", "3", "lr is given twice"},
    };
    struct ctx *c = tiny_ctx(1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct train_values v = {0};
        bool given[OPTION_MAX_SPECS] = {false};
        assert_int_equal(options_default(c, &train_table, &v), OK);
        assert_int_equal(options_give(c, &train_table, "lr", "1", &v, given), OK);
        assert_int_equal(options_give(c, &train_table, cases[i].name, cases[i].text, &v, given), E_INPUT);
        if (!strstr(c->message, cases[i].says)) fail_msg("case %zu: '%s' lacks '%s'", i, c->message, cases[i].says);
        ctx_clear(c);
        assert_int_equal(options_check_required(c, &train_table, given), E_INPUT);
        assert_non_null(strstr(c->message, "--model MODEL is needed"));
        ctx_clear(c);
    }
    tiny_ctx_free(c);
}

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 40, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_json_keeps_its_bytes),
        cmocka_unit_test(the_library_resumes_by_config_json),
        cmocka_unit_test(bad_names_and_values_are_refused),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
