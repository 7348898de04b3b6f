/* Memory that runs out at any allocation of a training (open, tokenise, three steps with validation, saves): one E_MEMORY or
 * E_IO, nothing leaked, nothing crashed, and what is on disk resumes to the bytes of an undisturbed run. The sweep samples
 * the allocations, because each one is a training of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend_open.h"
#include "base/file.h"
#include "base/threads.h"
#include "support_oom.h"
#include "train/support_tiny.h"

enum { SAMPLES = 60 };

static const char *model, *data, *valid;
static enum compute compute;

static struct train_config config_of(const char *run)
{
    struct train_config k = tiny_config(model, run, &data, valid);
    k.max_steps = 3;
    k.form.compute = compute;
    return k;
}

/* Trains, or goes on where that is possible, under `oom`. */
static enum status journey(struct oom *oom, const char *run)
{
    struct ctx *c = oom_ctx(oom);
    if (!c) return E_MEMORY;
    struct train_config k = config_of(run);
    enum status status = array_env_new(c, backend_open(c, NULL));
    if (status == OK) {
        bool begun = file_exists(tiny_path("%s/config.json", run));
        status = begun ? tiny_resume(c, &k, NULL) : tiny_train(c, &k, NULL);
        if (status != OK) assert_true(strlen(c->message) > 0);
    }
    ctx_clear(c);
    if (c->array_env) array_env_free(c);
    ctx_free(c);
    return status;
}

/* A sample of so many allocations. Without `once` all that follow are refused as well. */
static void sweep(const char *folder, const char *want, long total, int samples, bool once)
{
    int failures = 0;
    for (int i = 0; i < samples; i++) {
        const char *run = tiny_path("%s/run", folder);
        struct oom oom = {.fail_at = (total * i + i * 7 % 13) / samples, .once = once};
        enum status status = journey(&oom, run);
        if (status != OK && status != E_MEMORY && status != E_IO) fail_msg("allocation %ld: status %d", oom.fail_at, status);
        failures += status != OK;
        if (oom.live) fail_msg("allocation %ld: %ld blocks leaked", oom.fail_at, oom.live);
        struct oom none = {.fail_at = -1};
        assert_int_equal(journey(&none, run), OK);
        assert_int_equal(none.live, 0);
        tiny_assert_same_file(tiny_path("%s/adapter/adapter_model.safetensors", run),
                              tiny_path("%s/adapter/adapter_model.safetensors", want));
        tiny_assert_same_file(tiny_path("%s/metrics.jsonl", run), tiny_path("%s/metrics.jsonl", want));
        struct ctx *c = ctx_new(NULL);
        assert_int_equal(dir_remove(c, run), OK);
        ctx_free(c);
    }
    assert_true(failures > samples / 2);
}

/* Memory for weights laid out that is refused half-way: none stays laid out, and the run goes on. */
static void a_run_does_without_layout(const char *run)
{
    struct oom oom = {.fail_at = -1, .once = true};
    struct ctx *c = oom_ctx(&oom);
    struct train_config k = config_of(run);
    assert_int_equal(array_env_new(c, backend_open(c, "cpu")), OK);
    struct trainer *t = trainer_new(c, &k, NULL, "{}\n");
    assert_true(t && t->plan.lays_out);
    oom.fail_at = oom.calls + 5;
    assert_int_equal(trainer_lay_out(t), OK);
    assert_true(oom.calls > oom.fail_at && ctx_ok(c));
    assert_null(t->model->blocks[0].q.laid_out[WEIGHT_FOR_Y]);
    assert_int_equal(trainer_lay_out(t), OK);
    assert_non_null(t->model->blocks[0].q.laid_out[WEIGHT_FOR_Y]);
    assert_non_null(t->model->head.laid_out[WEIGHT_FOR_DX]);
    trainer_free(t);
    array_env_free(c);
    ctx_free(c);
    assert_int_equal(oom.live, 0);
}

static void every_sampled_allocation(void **state)
{
    (void)state;
    char folder[64], paths[4][128];
    strcpy(folder, tiny_folder());
    for (int i = 0; i < 4; i++)
        snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder,
                 (const char *const[]){"model", "train.jsonl", "valid.jsonl", "want"}[i]);
    model = paths[0];
    data = paths[1];
    valid = paths[2];
    struct ctx *c = tiny_ctx(1);
    tiny_model(c, model, false);
    tiny_rows(data, 12, 1);
    tiny_rows(valid, 3, 2);
    tiny_ctx_free(c);
    struct oom none = {.fail_at = -1};
    assert_int_equal(journey(&none, paths[3]), OK);
    assert_int_equal(none.live, 0);
    assert_true(none.calls > SAMPLES);
    sweep(folder, paths[3], none.calls, SAMPLES, false);
    sweep(folder, paths[3], none.calls, SAMPLES, true);

    compute = COMPUTE_BF16; /* with weights laid out, which a run can do without */
    snprintf(paths[3], sizeof(paths[3]), "%s/want-bf16", folder);
    none = (struct oom){.fail_at = -1};
    assert_int_equal(journey(&none, paths[3]), OK);
    sweep(folder, paths[3], none.calls, SAMPLES / 2, false);
    sweep(folder, paths[3], none.calls, SAMPLES / 2, true);
    a_run_does_without_layout(tiny_path("%s/run-without", folder));
}

static int teardown(void **state)
{
    (void)state;
    tiny_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_sampled_allocation)};
    return cmocka_run_group_tests(tests, NULL, teardown);
}
