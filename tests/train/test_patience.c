/* Early stopping: the run ends after --patience validations without a better one, at the same step and with the same bytes
 * when it was stopped and resumed at any step; what it has nothing to go by is refused. The learning rate of the schedule
 * that rises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/support_tiny.h"

enum { MOST = 60, EVERY = 2, PATIENCE = 2 };

static struct tiny_files tiny;
static const char *data_files[1];

static struct train_config config_in(const char *run)
{
    struct train_config k = tiny_config(tiny.model, run, data_files, tiny.valid);
    k.max_steps = MOST;
    k.eval_every = EVERY;
    k.save_every = 0;
    k.patience = PATIENCE;
    k.schedule.peak = 0.03;
    k.schedule.kind = SCHEDULE_CONSTANT;
    return k;
}

/* The state that a run ended with. */
static struct train_state end_of(struct ctx *c, const char *run)
{
    struct train_state s;
    char *dir = checkpoint_last(c, run);
    assert_non_null(dir);
    assert_int_equal(state_load(c, dir, &s), OK);
    mem_free(c, dir);
    return s;
}

static bool asked_to_stop(void *user)
{
    int *steps_left = user;
    return *steps_left == 0;
}

static void count_down(void *user, const struct train_progress *p)
{
    (void)p;
    if (*(int *)user > 0) --*(int *)user;
}

static void ends_at_the_same_step(void **state)
{
    (void)state;
    static const char *const files[] = {"metrics.jsonl", "adapter/adapter_model.safetensors", NULL};
    struct ctx *c = tiny_ctx(1);
    struct train_config whole = config_in(tiny_run());
    assert_int_equal(tiny_train(c, &whole, NULL), OK);
    struct train_state s = end_of(c, whole.run);
    assert_true(s.step < MOST && s.best_step > 0 && s.step - s.best_step == PATIENCE * EVERY);
    for (int cut = 1; cut <= (int)s.step; cut++) {
        int left = cut;
        struct train_config k = config_in(tiny_run());
        const struct trainer_hooks hooks = {.user = &left, .interrupted = asked_to_stop, .step = count_down};
        enum status first = tiny_train(c, &k, &hooks);
        assert_int_equal(first, cut == s.step ? OK : E_INTERRUPTED);
        ctx_clear(c);
        assert_int_equal(tiny_resume(c, &k, NULL), OK);
        assert_int_equal(end_of(c, k.run).step, s.step);
        tiny_assert_same_files(whole.run, k.run, files);
    }
    tiny_ctx_free(c);
}

static void needs_validations(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(1);
    struct train_config k = config_in(tiny_run());
    k.valid = NULL;
    assert_int_equal(tiny_train(c, &k, NULL), E_INPUT);
    assert_non_null(strstr(c->message, "--patience: early stopping needs validation rows"));
    ctx_clear(c);
    k = config_in(tiny_run());
    k.eval_every = 0;
    assert_int_equal(tiny_train(c, &k, NULL), E_INPUT);
    assert_non_null(strstr(c->message, "--eval-every is 0"));
    assert_false(dir_exists(k.run));
    ctx_clear(c);
    tiny_ctx_free(c);
}

static void rising_rate(void **state)
{
    (void)state;
    const struct schedule s = {.kind = SCHEDULE_RISING, .peak = 1, .min_ratio = 1e-6, .total = 61};
    assert_true(fabs(schedule_lr(&s, 1) / 1e-6 - 1) < 1e-12 && schedule_lr(&s, 61) == 1);
    for (int64_t k = 1; k < 61; k++) assert_true(fabs(schedule_lr(&s, k + 1) / schedule_lr(&s, k) - pow(10, 0.1)) < 1e-12);
}

static int setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 12, 8);
    data_files[0] = tiny.rows;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ends_at_the_same_step), cmocka_unit_test(needs_validations),
                                       cmocka_unit_test(rising_rate)};
    return cmocka_run_group_tests(tests, setup, tiny_files_remove);
}
