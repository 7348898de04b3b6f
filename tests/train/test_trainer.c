/* trainer: the promises that hold for whole runs: same bytes for any number of threads, for a rerun and for an interrupted
 * and resumed run; what stops a run and what survives it; what each knob of the objective does to the gradient. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "io/safetensors.h"
#include "train/support_tiny.h"

enum { STEPS = 30 };

/* One model and data set for all tests of the file. */
static struct tiny_files tiny;
static const char *const data_files[] = {tiny.rows};
static char poisoned_dir[128];
static char logged[4096];

static void keep_log(void *user, enum log_level level, const char *message)
{
    (void)user;
    if (level == LOG_WARN) snprintf(logged, sizeof(logged), "%s", message);
}

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 60, 7);
    struct ctx *c = tiny_ctx(1);
    strcpy(poisoned_dir, tiny_path("%s/poisoned", tiny.folder));
    tiny_model(c, poisoned_dir, true);
    tiny_ctx_free(c);
    return 0;
}

/* What the promises of bytes are held to: every form of the base and every way of computing on it. */
static const struct mode {
    enum base_type base;
    enum compute compute;
} modes[] = {{BASE_AS_IS, COMPUTE_F32},  {BASE_NF4, COMPUTE_F32},    {BASE_INT8, COMPUTE_F32}, {BASE_AS_IS, COMPUTE_INT8X2},
             {BASE_AS_IS, COMPUTE_INT8}, {BASE_AS_IS, COMPUTE_BF16}, {BASE_NF4, COMPUTE_BF16}};
enum { N_MODES = sizeof(modes) / sizeof(modes[0]) };

static struct train_config config_of(const char *run)
{
    return tiny_config(tiny.model, run, data_files, tiny.valid);
}

static struct train_config config_in(const struct mode *mode)
{
    struct train_config k = config_of(tiny_run());
    k.form.base = mode->base;
    k.form.compute = mode->compute;
    return k;
}

/* Trains in a ctx of its own and wants the status. */
static const char *train(const struct train_config *config, int threads, enum status want)
{
    static char message[CTX_MESSAGE_BYTES];
    struct ctx *c = tiny_ctx(threads);
    enum status got = tiny_train(c, config, NULL);
    if (got != want) fail_msg("train: %s: %s", status_name(got), c->message);
    snprintf(message, sizeof(message), "%s", c->message);
    tiny_ctx_free(c);
    return message;
}

static const char *last_checkpoint(const char *run, int64_t step, const char *file)
{
    return tiny_path("%s/checkpoints/step-%06lld/%s", run, (long long)step, file);
}

static void assert_same_run(const char *a, const char *b, int64_t step)
{
    static const char *const names[] = {"adapter/adapter_model.safetensors", "adapter/adapter_config.json", "metrics.jsonl",
                                        NULL};
    static const char *const saved[] = {"adapter_model.safetensors", "adapter_optimizer.safetensors", "state.json", NULL};
    tiny_assert_same_files(a, b, names);
    tiny_assert_same_files(last_checkpoint(a, step, ""), last_checkpoint(b, step, ""), saved);
}

/* Members of the metrics line of a step (or of its validation, when key starts with valid_). */
static double metric(const char *run, int64_t step, const char *key)
{
    size_t n;
    char *text = tiny_read(tiny_path("%s/metrics.jsonl", run), &n), *line = strtok(text, "\n");
    double value = NAN;
    for (; line; line = strtok(NULL, "\n")) {
        json_t *o = json_loads(line, 0, NULL);
        if (!o) fail_msg("metrics.jsonl: %s", line);
        const json_t *v = json_object_get(o, key);
        if (v && json_integer_value(json_object_get(o, "step")) == step) value = json_number_value(v);
        json_decref(o);
    }
    free(text);
    return value;
}

/* ---- determinism ----------------------------------------------------------------------------------------------------- */

/* The unbroken run of a mode that others are compared with; made once. */
static const char *reference_in(const struct mode *mode)
{
    static const char *runs[N_MODES];
    const char **run = &runs[mode - modes];
    if (*run) return *run;
    struct train_config k = config_in(mode);
    k.max_steps = STEPS;
    train(&k, 1, OK);
    return *run = k.run;
}

static const char *reference_run(void)
{
    return reference_in(&modes[0]);
}

/* Behind the wall every access to device memory is an upload or a download, and neither knows modes, threads or steps: a few
 * of them do there. */
static bool walled(void)
{
    const char *device = getenv("YA_DEVICE");
    return device && strcmp(device, "walled") == 0;
}

static void same_bytes_for_any_number_of_threads(void **state)
{
    (void)state;
    const int threads[] = {2, 3, 7};
    for (int m = 0; m < N_MODES; m += walled() ? N_MODES - 1 : 1) {
        for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
            struct train_config k = config_in(&modes[m]);
            k.max_steps = STEPS;
            train(&k, threads[i], OK);
            assert_same_run(reference_in(&modes[m]), k.run, STEPS);
        }
        for (int other = 0; other < m && !walled(); other++) /* or the mode was not heard */
            assert_true(metric(reference_in(&modes[m]), 1, "loss") != metric(reference_in(&modes[other]), 1, "loss"));
    }
}

/* Asks to stop at the call with number `at`; there are accumulation + 1 calls a step. */
struct stopper {
    int calls, at;
};
static bool stop_at(void *user)
{
    struct stopper *s = user;
    return s->calls++ == s->at;
}

/* Stops in every step, in turn in each mode, before it, between its micro-batches and after it, and goes on with other
 * threads. */
static void same_bytes_when_interrupted_and_resumed(void **state)
{
    (void)state;
    int stops = 0, runs = 0;
    for (int step = 0; step < STEPS; step += walled() ? 5 : 1, runs++) {
        struct stopper s = {0, 3 * step + step % 3};
        struct trainer_hooks hooks = {.user = &s, .interrupted = stop_at};
        const struct mode *mode = &modes[step % N_MODES];
        struct train_config k = config_in(mode);
        k.max_steps = STEPS;
        k.save_every = step % 2 ? 7 : 1;
        struct ctx *c = tiny_ctx(1 + step % 2);
        enum status status = tiny_train(c, &k, &hooks);
        if (status != E_INTERRUPTED && status != OK) fail_msg("train: %s", c->message);
        stops += status == E_INTERRUPTED;
        ctx_clear(c);
        if (status == E_INTERRUPTED && tiny_resume(c, &k, NULL) != OK) fail_msg("resume: %s", c->message);
        tiny_ctx_free(c);
        assert_same_run(reference_in(mode), k.run, STEPS);
    }
    assert_true(stops >= runs - 1);
}

static void resume_of_a_finished_run_changes_nothing(void **state)
{
    (void)state;
    struct train_config k = config_of(tiny_run());
    k.max_steps = STEPS;
    train(&k, 1, OK);
    struct ctx *c = tiny_ctx(1);
    if (tiny_resume(c, &k, NULL) != OK) fail_msg("%s", c->message);
    assert_same_run(reference_run(), k.run, STEPS);
    tiny_ctx_free(c);
}

/* The newest checkpoint is damaged: the one before is used, and the run still ends with the same bytes. */
static void resume_falls_back_to_a_complete_checkpoint(void **state)
{
    (void)state;
    struct stopper s = {0, 41};
    struct trainer_hooks hooks = {.user = &s, .interrupted = stop_at};
    struct train_config k = config_of(tiny_run());
    k.max_steps = STEPS;
    struct ctx *c = tiny_ctx(1);
    c->hooks.log = keep_log;
    assert_int_equal(tiny_train(c, &k, &hooks), E_INTERRUPTED);
    ctx_clear(c);
    char *newest = checkpoint_last(c, k.run);
    assert_non_null(newest);
    assert_int_equal(truncate(tiny_path("%s/adapter_model.safetensors", newest), 100), 0);
    mem_free(c, newest);
    if (tiny_resume(c, &k, NULL) != OK) fail_msg("%s", c->message);
    assert_non_null(strstr(logged, "is skipped"));
    assert_non_null(strstr(logged, "adapter_model.safetensors"));
    assert_same_run(reference_run(), k.run, STEPS);
    tiny_ctx_free(c);
}

/* ---- losses of tensors ----------------------------------------------------------------------------------------------- */

/* Largest relative difference, |a - b| / |b| a tensor, between two safetensors files. */
static double tensor_difference(const char *a, const char *b)
{
    struct ctx *c = ctx_new(NULL);
    struct safetensors *x = safetensors_open(c, a), *y = safetensors_open(c, b);
    double worst = 0.0;
    if (!x || !y) fail_msg("%s", c->message);
    assert_int_equal(safetensors_count(x), safetensors_count(y));
    for (size_t i = 0; i < safetensors_count(x); i++) {
        const struct tensor_view *p = safetensors_tensor(x, i), *q = safetensors_find(y, p->name);
        assert_non_null(q);
        const float *u = p->data, *v = q->data;
        double d = 0, n = 0;
        for (size_t k = 0; k < p->bytes / sizeof(float); k++) {
            d += ((double)u[k] - v[k]) * ((double)u[k] - v[k]);
            n += (double)v[k] * v[k];
        }
        if (n > 0) worst = fmax(worst, sqrt(d / n));
    }
    safetensors_close(x);
    safetensors_close(y);
    ctx_free(c);
    return worst;
}

static double difference_at(const char *a, const char *b, int64_t step, const char *file)
{
    return tensor_difference(last_checkpoint(a, step, file), last_checkpoint(b, step, file));
}

static void one_by_eight_is_eight_by_one(void **state)
{
    (void)state;
    struct train_config a = config_of(tiny_run()), b = config_of(tiny_run());
    a.max_steps = b.max_steps = 5;
    a.keep = b.keep = 9;
    a.packs.batch = 1;
    a.packs.accumulation = 8;
    b.packs.batch = 8;
    b.packs.accumulation = 1;
    train(&a, 2, OK);
    train(&b, 2, OK);
    for (int64_t step = 1; step <= 5; step++) {
        double adapter = difference_at(a.run, b.run, step, "adapter_model.safetensors");
        if (!(adapter < 1e-5)) fail_msg("step %d: adapters differ by %g", (int)step, adapter);
    }
    double moments = difference_at(a.run, b.run, 1, "adapter_optimizer.safetensors");
    if (!(moments < 1e-5)) fail_msg("gradients differ by %g", moments);
}

static void recomputed_blocks_give_the_same_bytes(void **state)
{
    (void)state;
    for (int m = 0; m < N_MODES; m++) {
        struct train_config a = config_in(&modes[m]), b = config_in(&modes[m]), all = config_in(&modes[m]);
        b.grad_checkpoint = PLAN_CHECKPOINT_ON;
        all.recomputed_blocks = 2;
        train(&a, 1, OK);
        train(&b, 2, OK);
        train(&all, 1, OK);
        tiny_assert_same_file(last_checkpoint(a.run, 6, "adapter_model.safetensors"),
                              last_checkpoint(b.run, 6, "adapter_model.safetensors"));
        tiny_assert_same_file(last_checkpoint(a.run, 6, "adapter_model.safetensors"),
                              last_checkpoint(all.run, 6, "adapter_model.safetensors"));
    }
}

/* ---- the objective's knobs ------------------------------------------------------------------------------------------- */

/* First moments after one step are a tenth of the gradient: the gradient as a file. */
static const char *gradient_run(void (*change)(struct train_config *))
{
    struct train_config k = config_of(tiny_run());
    k.max_steps = 1;
    k.clip_mode = CLIP_OFF;
    if (change) change(&k);
    train(&k, 1, OK);
    return k.run;
}

static void half_lambda(struct train_config *k)
{
    k->objective.lambda = 0.5;
}
static void no_lambda(struct train_config *k)
{
    k->objective.lambda = 0;
}
static void power_one(struct train_config *k)
{
    k->objective.power = 1;
}
static void ratio_two(struct train_config *k)
{
    k->objective.ratio = 2;
}
static void other_alpha(struct train_config *k)
{
    k->objective.alpha = 2.3;
}
static void published(struct train_config *k)
{
    k->objective.mode = DISTRUST_PUBLISHED;
}
static void off(struct train_config *k)
{
    k->objective.mode = DISTRUST_OFF;
}
static void additive(struct train_config *k)
{
    k->objective.mode = DISTRUST_ADDITIVE;
}

static double gradient_difference(const char *a, const char *b)
{
    return difference_at(a, b, 1, "adapter_optimizer.safetensors");
}

static void knobs_change_the_gradient(void **state)
{
    (void)state;
    const char *base = gradient_run(NULL);
    assert_true(gradient_difference(gradient_run(half_lambda), base) > 1e-3);
    assert_true(gradient_difference(gradient_run(power_one), base) > 1e-3);
    assert_true(gradient_difference(gradient_run(ratio_two), base) > 1e-3);
    assert_true(gradient_difference(gradient_run(published), base) > 1e-3);
    assert_true(gradient_difference(gradient_run(off), base) > 1e-3);
    /* lambda 0 is plain cross-entropy, and alpha is documented to act in the log only */
    assert_true(gradient_difference(gradient_run(no_lambda), gradient_run(off)) == 0.0);
    assert_true(gradient_difference(gradient_run(other_alpha), base) == 0.0);
}

static void additive_trains_like_off(void **state)
{
    (void)state;
    struct train_config a = config_of(tiny_run()), b = config_of(tiny_run());
    a.objective.mode = DISTRUST_ADDITIVE;
    a.objective.lambda = 0.3;
    b.objective.mode = DISTRUST_OFF;
    train(&a, 1, OK);
    train(&b, 1, OK);
    tiny_assert_same_file(tiny_path("%s/adapter/adapter_model.safetensors", a.run),
                          tiny_path("%s/adapter/adapter_model.safetensors", b.run));
    double d = metric(a.run, 3, "distrust"), loss = metric(a.run, 3, "weighted_loss");
    assert_true(d > 0.1);
    assert_true(fabs(metric(a.run, 3, "total") - (loss + 0.3 * d)) < 1e-12);
    assert_true(metric(b.run, 3, "total") == metric(b.run, 3, "weighted_loss"));
    assert_true(metric(b.run, 3, "weighted_loss") == metric(b.run, 3, "loss"));
    assert_true(gradient_difference(gradient_run(additive), gradient_run(off)) == 0.0);
}

/* Validation uses the weights of the training set, and the best step is by the weighted loss. */
static void best_is_by_weighted_validation_loss(void **state)
{
    (void)state;
    const char *run = reference_run();
    double best = INFINITY;
    int64_t best_step = 0;
    for (int64_t step = 2; step <= STEPS; step += 2) {
        double weighted = metric(run, step, "valid_weighted_loss");
        assert_true(isfinite(weighted) && isfinite(metric(run, step, "valid_loss")));
        assert_true(weighted != metric(run, step, "valid_loss"));
        if (weighted < best) {
            best = weighted;
            best_step = step;
        }
    }
    assert_true(isnan(metric(run, 3, "valid_loss")));
    struct ctx *c = ctx_new(NULL);
    struct train_state s;
    assert_int_equal(state_load(c, tiny_path("%s/checkpoints/step-%06d", run, STEPS), &s), OK);
    assert_true(s.best_step == best_step && s.best_loss == best);
    tiny_assert_same_file(tiny_path("%s/adapter/adapter_model.safetensors", run),
                          last_checkpoint(run, best_step, "adapter_model.safetensors"));
    ctx_free(c);
    /* it learns: the tiny random model begins worse than a uniform guess, ln 257 = 5.55 */
    double first = metric(run, 1, "loss"), last = metric(run, STEPS, "valid_loss");
    if (!(first > 5.55 && last < 4.0)) fail_msg("from %g to %g", first, last);
}

/* ---- what stops a run ------------------------------------------------------------------------------------------------ */

static void infinite_loss_stops_before_saving(void **state)
{
    (void)state;
    struct train_config k = config_of(tiny_run());
    k.model = poisoned_dir;
    const char *message = train(&k, 1, E_NUMERIC); /* the validation before step 1 meets it first */
    assert_non_null(strstr(message, "before step 1: the validation loss is"));
    assert_non_null(strstr(message, "valid.jsonl:"));
    k.run = tiny_run();
    k.valid = NULL;
    message = train(&k, 1, E_NUMERIC);
    assert_non_null(strstr(message, "step 1: the loss is"));
    assert_non_null(strstr(message, "No weight has been changed yet")); /* no learning rate has had an effect */
    assert_non_null(strstr(message, "train.jsonl:"));
    assert_false(dir_exists(tiny_path("%s/checkpoints/step-000001", k.run)));
    assert_false(dir_exists(tiny_path("%s/adapter", k.run)));
    size_t n;
    free(tiny_read(tiny_path("%s/metrics.jsonl", k.run), &n));
    assert_int_equal(n, 0);
}

/* A rate that throws the adapter into infinity: what was saved before stays. */
static void divergence_keeps_the_last_good_step(void **state)
{
    (void)state;
    struct train_config k = config_of(tiny_run());
    k.schedule.peak = 1e25;
    k.schedule.warmup = 0;
    k.schedule.kind = SCHEDULE_CONSTANT;
    k.optim.weight_decay = 0;
    k.valid = NULL;
    k.max_steps = 20;
    const char *message = train(&k, 1, E_NUMERIC);
    assert_non_null(strstr(message, "Nothing of this step was saved"));
    assert_non_null(strstr(message, "A lower --lr may help"));
    struct ctx *c = ctx_new(NULL);
    char *last = checkpoint_last(c, k.run);
    assert_non_null(last);
    mem_free(c, last);
    ctx_free(c);
}

/* A limit on file sizes stands for a full disk: writes beyond it fail with EFBIG. */
static void limit_files(void *user, const struct train_progress *p)
{
    struct rlimit limit;
    (void)user;
    if (p->step.step != 3) return;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 12000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void full_disk_keeps_the_previous_checkpoint(void **state)
{
    (void)state;
    struct rlimit before;
    struct train_config k = config_of(tiny_run());
    struct trainer_hooks hooks = {.step = limit_files};
    struct ctx *c = tiny_ctx(1);
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    enum status status = tiny_train(c, &k, &hooks);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, E_IO);
    assert_int_equal(status_exit_code(status), 1);
    assert_non_null(strstr(c->message, "saving step 3 failed (earlier checkpoints are intact)"));
    ctx_clear(c);
    char *last = checkpoint_last(c, k.run);
    assert_non_null(last);
    assert_non_null(strstr(last, "step-000002"));
    mem_free(c, last);
    /* with room again the run goes on to the same bytes as one that never stopped */
    struct train_config whole = config_of(tiny_run());
    train(&whole, 1, OK);
    if (tiny_resume(c, &k, NULL) != OK) fail_msg("%s", c->message);
    assert_same_run(whole.run, k.run, 6);
    tiny_ctx_free(c);
}

static void refused(struct train_config k, const char *says)
{
    const char *message = train(&k, 1, E_INPUT);
    if (!strstr(message, says)) fail_msg("'%s' lacks '%s'", message, says);
    assert_false(dir_exists(k.run));
}

static void bad_options_leave_no_folder(void **state)
{
    (void)state;
    struct train_config k = config_of(tiny_run());
    k.targets = "q_proj,w_proj";
    refused(k, "'w_proj' is no linear");
    k = config_of(tiny_run());
    k.adapter.last_layers = 3;
    refused(k, "--last-layers: 3 is more than the model's 2");
    k = config_of(tiny_run());
    k.rows.max_length = 513;
    refused(k, "--max-length: 513 is more than the model's 512 positions");
    k = config_of(tiny_run());
    tiny_write(tiny_path("%s.jsonl", k.run), "{\"text\":\"good\"}\n{\"text\":1}\n");
    const char *bad = strdup(tiny_path("%s.jsonl", k.run));
    k.rows.paths = &bad;
    refused(k, ":2");
    free((void *)(uintptr_t)bad);
    k = config_of(reference_run());
    assert_non_null(strstr(train(&k, 1, E_INPUT), "your_ai resume"));
}

static void resume_refuses_other_data_and_settings(void **state)
{
    (void)state;
    struct stopper s = {0, 8};
    struct trainer_hooks hooks = {.user = &s, .interrupted = stop_at};
    const char *copy = strdup(tiny_path("%s.jsonl", tiny_run()));
    struct train_config k = config_of(tiny_run());
    struct ctx *c = tiny_ctx(1);
    tiny_rows(copy, 60, 1);
    k.rows.paths = &copy;
    assert_int_equal(tiny_train(c, &k, &hooks), E_INTERRUPTED);
    ctx_clear(c);
    tiny_rows(copy, 60, 3);
    assert_int_equal(tiny_resume(c, &k, NULL), E_INPUT);
    assert_non_null(strstr(c->message, "is not the file that the run began with"));
    ctx_clear(c);
    tiny_rows(copy, 60, 1);
    tiny_write(tiny_path("%s/config.json", k.run), "{ }\n");
    assert_int_equal(tiny_resume(c, &k, NULL), E_INPUT);
    assert_non_null(strstr(c->message, "another config.json"));
    ctx_clear(c);
    tiny_write(tiny_path("%s/config.json", k.run), "{}\n");
    k.form.compute = COMPUTE_INT8X2;
    assert_int_equal(tiny_resume(c, &k, NULL), E_INPUT);
    assert_non_null(strstr(c->message, "another --compute"));
    ctx_clear(c);
    k.form.compute = COMPUTE_F32;
    if (tiny_resume(c, &k, NULL) != OK) fail_msg("%s", c->message);
    tiny_ctx_free(c);
    free((void *)(uintptr_t)copy);
}

/* What a kill in the middle of a setup leaves is no obstacle; a folder with anything else in it is. */
static void aborted_setup_is_cleared_away(void **state)
{
    (void)state;
    struct train_config k = config_of(tiny_run());
    struct ctx *c = tiny_ctx(1);
    assert_int_equal(dir_make(c, tiny_path("%s/checkpoints", k.run)), OK);
    tiny_write(tiny_path("%s/data.cache.12-0.tmp", k.run), "half");
    tiny_write(tiny_path("%s/environment.json", k.run), "{}");
    tiny_write(tiny_path("%s/notes.txt", k.run), "mine");
    assert_int_equal(tiny_train(c, &k, NULL), E_INPUT);
    ctx_clear(c);
    assert_true(file_exists(tiny_path("%s/notes.txt", k.run)));
    assert_int_equal(unlink(tiny_path("%s/notes.txt", k.run)), 0);
    if (tiny_train(c, &k, NULL) != OK) fail_msg("%s", c->message);
    assert_false(file_exists(tiny_path("%s/data.cache.12-0.tmp", k.run)));
    tiny_ctx_free(c);
}

/* A run can start from an adapter, which brings its own rank; its first loss is the last one of where it came from. */
static void starts_from_an_adapter(void **state)
{
    (void)state;
    const char *start = strdup(tiny_path("%s/adapter", reference_run()));
    struct train_config k = config_of(tiny_run());
    k.start = start;
    k.adapter.rank = 2;
    k.adapter.dropout = 0;
    k.max_steps = 2;
    train(&k, 1, OK);
    assert_true(metric(k.run, 1, "loss") < 0.8 * metric(reference_run(), 1, "loss"));
    free((void *)(uintptr_t)start);
}

/* One row again and again at rate 0: without dropout every step has the same loss, with it no two have. */
static void dropout_is_new_in_every_step(void **state)
{
    (void)state;
    char *start = strdup(tiny_path("%s/adapter", reference_run())), *one = strdup(tiny_path("%s.jsonl", tiny_run()));
    const char *files[] = {one};
    tiny_rows(one, 1, 4);
    for (int on = 0; on <= 1; on++) {
        struct train_config k = tiny_config(tiny.model, tiny_run(), files, NULL);
        k.start = start;
        k.schedule.peak = 0;
        k.adapter.dropout = on ? 0.5 : 0;
        k.max_steps = 3;
        train(&k, 1, OK);
        double first = metric(k.run, 1, "loss"), second = metric(k.run, 2, "loss"), third = metric(k.run, 3, "loss");
        assert_true((first != second) == on && (second != third) == on && (first != third) == on);
    }
    free(start);
    free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_for_any_number_of_threads),
        cmocka_unit_test(same_bytes_when_interrupted_and_resumed),
        cmocka_unit_test(resume_of_a_finished_run_changes_nothing),
        cmocka_unit_test(resume_falls_back_to_a_complete_checkpoint),
        cmocka_unit_test(one_by_eight_is_eight_by_one),
        cmocka_unit_test(recomputed_blocks_give_the_same_bytes),
        cmocka_unit_test(knobs_change_the_gradient),
        cmocka_unit_test(additive_trains_like_off),
        cmocka_unit_test(best_is_by_weighted_validation_loss),
        cmocka_unit_test(infinite_loss_stops_before_saving),
        cmocka_unit_test(divergence_keeps_the_last_good_step),
        cmocka_unit_test(full_disk_keeps_the_previous_checkpoint),
        cmocka_unit_test(bad_options_leave_no_folder),
        cmocka_unit_test(resume_refuses_other_data_and_settings),
        cmocka_unit_test(aborted_setup_is_cleared_away),
        cmocka_unit_test(starts_from_an_adapter),
        cmocka_unit_test(dropout_is_new_in_every_step),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
