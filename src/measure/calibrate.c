/* calibrate: see calibrate.h. The steps are those of bench.h, on the shapes "calibration" of known_models.def: large enough
 * that products take most of the time, as they do in the models that people train. */
#include "measure/calibrate.h"

#include "array/backend.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/temporary.h"
#include "base/threads.h"
#include "measure/bench.h"
#include "measure/step_cost.h"
#include "model/random_model.h"

/* Of the steps that are measured. */
enum { CALIBRATE_DOCUMENTS = 1, CALIBRATE_LENGTH = 256, CALIBRATE_RANK = 16, CALIBRATE_RUNS = 3 };

/* Whether steps by this arithmetic are worth measuring here. */
static bool is_chosen(const struct backend *b, enum compute k)
{
    if (b->activations == DTYPE_BF16) return k == COMPUTE_BF16;
    if (k == COMPUTE_F32) return true;
    return k == COMPUTE_INT8X2 ? b->fast_integers : k == COMPUTE_BF16 && b->fast_bf16;
}

/* Seconds of a step on a machine that does nothing else: processor time divided among the threads, which wait for each other
 * in loops; what others take of the clock is not in it. A card is waited for, so there the clock tells. */
static double quiet_seconds(struct ctx *c, const struct bench_phase *step)
{
    double busy = step->cpu_seconds / threads_count(c);
    return array_backend(c)->free_bytes || busy > step->seconds ? step->seconds : busy;
}

static enum status calibrate_step(struct ctx *c, struct profile *p, const struct known_model *shape, const char *folder,
                                  enum compute compute, struct machine_profile *out)
{
    struct bench_options o = {CALIBRATE_DOCUMENTS, CALIBRATE_LENGTH, CALIBRATE_RANK, 2, CALIBRATE_RUNS};
    const struct model_options form = {.compute = compute};
    int32_t text[] = {10, 200, 31, 4, 77};
    const struct ids ids = {.data = text, .n = sizeof text / sizeof text[0]};
    struct bench b = {.n_kernels = 0};
    struct model *m = model_open_with(c, folder, &form);
    if (m && bench_step_run(m, p, &o, &ids, &b) == OK)
        out->step[compute] = step_cost_flops(shape, CALIBRATE_RANK, shape->layers, CALIBRATE_LENGTH, 0) *
                             (double)b.step.tokens / quiet_seconds(c, &b.step);
    model_free(m);
    return c->status;
}

/* A second array environment would need a second backend: the profile only reads clocks, so bench_step_run gets one that
 * nothing calls through. */
static enum status calibrate_steps(struct ctx *c, const char *folder, struct machine_profile *out)
{
    const struct known_model *shape = &known_models[known_model_find("calibration")];
    const struct random_model what = {.shape = shape, .seed = 1};
    struct profile *p = mem_alloc(c, 1, sizeof *p);
    if (p) random_model_write(c, folder, &what);
    for (int k = 0; k < COMPUTES && ctx_ok(c); k++)
        if (is_chosen(array_backend(c), (enum compute)k)) calibrate_step(c, p, shape, folder, (enum compute)k, out);
    mem_free(c, p);
    return c->status;
}

enum status calibrate_run(struct ctx *c, struct machine_profile *out)
{
    struct bench b = {.n_kernels = 0};
    TRY(bench_machine_run(c, &b));
    out->threads = threads_count(c);
    out->fma_one = b.machine.fma_one * 1e9;
    out->fma = b.machine.fma * 1e9;
    out->read = b.machine.read * 1e9;
    char *folder = temporary_new(c, NULL);
    if (!folder) return c->status;
    calibrate_steps(c, folder, out);
    dir_remove(c, folder);
    mem_free(c, folder);
    return c->status;
}
