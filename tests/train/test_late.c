/* The trainer reads the result of a step after it has queued the micro-batches of the next one when its engine is not
 * synchronous. Files and adapters are the same bytes as when it reads at once, also across an interrupt, and a loss that is
 * not finite is found before anything of its step is saved. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "support_tiny.h"

enum { STEPS = 7 };

static struct tiny_files tiny;
static char poisoned_dir[128];

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 30, 6);
    struct ctx *c = tiny_ctx(1);
    strcpy(poisoned_dir, tiny_path("%s/poisoned", tiny.folder));
    tiny_model(c, poisoned_dir, true);
    tiny_ctx_free(c);
    return 0;
}

static struct train_config config_of(const char *run)
{
    static const char *const data[] = {tiny.rows};
    struct train_config k = tiny_config(tiny.model, run, data, tiny.valid);
    k.max_steps = STEPS; /* more than one epoch */
    k.eval_every = 3;
    k.save_every = 2;
    k.clip = 0.1; /* so low that some steps are clipped, by thresholds that depend on the steps before */
    return k;
}

/* Steps whose hooks were called, and the step at whose hook the run is asked to stop. */
struct watcher {
    int64_t last, stop_at;
};

static void see_step(void *user, const struct train_progress *p)
{
    struct watcher *w = user;
    assert_int_equal(p->step.step, w->last + 1);
    w->last = p->step.step;
}

static bool is_stopped(void *user)
{
    struct watcher *w = user;
    return w->stop_at && w->last == w->stop_at;
}

static enum status run(struct ctx *c, const struct train_config *k, bool resume, bool late, struct watcher *w)
{
    const struct trainer_hooks hooks = {.user = w, .step = see_step, .interrupted = is_stopped};
    struct trainer *t = resume ? trainer_resume(c, k, &hooks) : trainer_new(c, k, &hooks, "{}");
    if (!t) fail_msg("%s", c->message);
    assert_true(t->engine->synchronous);
    t->engine->synchronous = !late;
    w->last = t->state.step;
    enum status status = trainer_run(t);
    trainer_free(t);
    return status;
}

static void assert_same_run(const char *a, const char *b)
{
    static const char *const names[] = {"metrics.jsonl", "adapter/adapter_model.safetensors",
                                        "checkpoints/step-000007/adapter_optimizer.safetensors",
                                        "checkpoints/step-000007/state.json", NULL};
    tiny_assert_same_files(a, b, names);
}

static void late_results_change_no_byte(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(2);
    struct train_config at_once = config_of(tiny_run()), late = config_of(tiny_run());
    struct watcher w = {0};
    assert_int_equal(run(c, &at_once, false, false, &w), OK);
    assert_int_equal(run(c, &late, false, true, &w), OK);
    assert_int_equal(w.last, STEPS);
    assert_same_run(at_once.run, late.run);
    for (int64_t stop = 1; stop < STEPS; stop++) { /* asked to stop by the hook of this step: nothing behind it is saved */
        struct train_config k = config_of(tiny_run());
        w = (struct watcher){.stop_at = stop};
        assert_int_equal(run(c, &k, false, true, &w), E_INTERRUPTED);
        assert_true(dir_exists(tiny_path("%s/checkpoints/step-%06d", k.run, (int)stop)));
        assert_false(dir_exists(tiny_path("%s/checkpoints/step-%06d", k.run, (int)stop + 1)));
        ctx_clear(c);
        w = (struct watcher){0};
        assert_int_equal(run(c, &k, true, stop % 2, &w), OK);
        assert_same_run(at_once.run, k.run);
    }
    tiny_ctx_free(c);
}

static void late_loss_that_is_not_finite_saves_nothing(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(1);
    struct train_config k = config_of(tiny_run());
    struct watcher w = {0};
    size_t n;
    k.model = poisoned_dir;
    k.save_every = 1;
    k.valid = NULL;
    assert_int_equal(run(c, &k, false, true, &w), E_NUMERIC);
    assert_non_null(strstr(c->message, "step 1: the loss is"));
    assert_non_null(strstr(c->message, "train.jsonl:"));
    assert_false(dir_exists(tiny_path("%s/checkpoints/step-000001", k.run)));
    free(tiny_read(tiny_path("%s/metrics.jsonl", k.run), &n));
    assert_int_equal(n, 0);
    k = config_of(tiny_run()); /* the second step is queued before the first one is read */
    k.model = poisoned_dir;
    k.save_every = k.eval_every = STEPS;
    ctx_clear(c);
    k.valid = NULL;
    assert_int_equal(run(c, &k, false, true, &w), E_NUMERIC);
    assert_non_null(strstr(c->message, "step 1: the loss is"));
    tiny_ctx_free(c);
}

/* No update after a gradient that was not finite changes anything, whatever its own gradient is. */
static void an_update_that_is_refused_stays_refused(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(1);
    struct train_config k = config_of(tiny_run());
    struct trainer *t = trainer_new(c, &k, NULL, "{}");
    if (!t) fail_msg("%s", c->message);
    struct engine *e = t->engine;
    int32_t tokens[4] = {1, 2, 3, 4}, positions[4] = {0, 1, 2, 3}, targets[4] = {2, 3, 4, 5}, cu[2] = {0, 4};
    float good[4] = {1, 1, 1, 1}, bad[4] = {1, INFINITY, 1, 1};
    for (int64_t step = 1; step <= 3; step++) {
        const struct batch b = {4, tokens, positions, 1, cu, targets, step == 2 ? bad : good, 0};
        const struct engine_micro micro = {.step = step, .count = 1, .inv_n = 0.25};
        const struct engine_update update = optim_step(&k.optim, step, 1e-3, 1);
        struct engine_result r;
        float *before = tiny_values(e, ENGINE_PARAMETERS, 1);
        assert_int_equal(e->ops->step(e, &b, &micro), OK);
        assert_int_equal(e->ops->update(e, &update), OK);
        assert_int_equal(e->ops->result(e, step, &r, NULL), OK);
        assert_true(isfinite(r.norm) == (step != 2) && r.bad_micro == (step == 2 ? 0 : -1));
        float *after = tiny_values(e, ENGINE_PARAMETERS, 1), *moment = tiny_values(e, ENGINE_SECOND_MOMENTS, 1);
        size_t bytes = (size_t)tiny_size(e, 1) * sizeof *after;
        assert_true((memcmp(before, after, bytes) != 0) == (step == 1));
        for (int64_t i = 0; i < tiny_size(e, 1); i++) assert_true(isfinite(moment[i]));
        free(before);
        free(after);
        free(moment);
    }
    trainer_free(t);
    tiny_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_results_change_no_byte),
        cmocka_unit_test(late_loss_that_is_not_finite_saves_nothing),
        cmocka_unit_test(an_update_that_is_refused_stays_refused),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
