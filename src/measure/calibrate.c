/* calibrate: see calibrate.h. The steps are those of bench.h, on the shapes of step_model.h. */
#include "measure/calibrate.h"

#include <math.h>

#include "array/array.h"
#include "array/backend.h"
#include "backend/backend_open.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/temporary.h"
#include "base/threads.h"
#include "measure/bench.h"
#include "measure/machine.h"
#include "model/random_model.h"

/* Steps are timed in pairs, the first of which reads the weights for the first time: several where they are short, since
 * what disturbs a short one disturbs all of it. */
enum { CALIBRATE_RUNS = 2, CALIBRATE_PAIRS = 6 };
static const double CALIBRATE_SECONDS = 0.25;

/* Whether steps by this arithmetic are worth measuring here. */
static bool is_chosen(const struct backend *b, enum compute k)
{
    if (b->activations == DTYPE_BF16) return k == COMPUTE_BF16;
    if (k == COMPUTE_F32) return true;
    return k == COMPUTE_INT8X2 ? b->fast_integers : k == COMPUTE_BF16 && b->fast_bf16;
}

/* Which part of a step a row of ops.def belongs to. */
static enum step_part calibrate_part(int op)
{
    switch (op) {
    case OP_LINEAR:
        return STEP_LINEAR;
    case OP_LINEAR_BWD:
        return STEP_LINEAR_BACKWARD;
    case OP_ATTENTION:
        return STEP_ATTENTION;
    case OP_ATTENTION_BWD:
        return STEP_ATTENTION_BACKWARD;
    case OP_LINEAR_CROSS_ENTROPY:
        return STEP_LOSS;
    case OP_ADAMW:
    case OP_SUM_SQUARES:
    case OP_FILL:
        return STEP_UPDATE;
    default:
        return STEP_ROWS;
    }
}

/* Lowers each part's time to that of this step, as if the machine did nothing else; what no row has is between kernels. */
static void keep_parts(const struct bench_phase *step, double quiet, double parts[STEP_PARTS])
{
    double rows = 0, mine[STEP_PARTS] = {0};
    for (int op = 0; op < OP_COUNT; op++) {
        mine[calibrate_part(op)] += step->row[op].seconds * quiet / step->seconds;
        rows += step->row[op].seconds;
    }
    if (rows < step->seconds) mine[STEP_ROWS] += (step->seconds - rows) * quiet / step->seconds;
    for (int i = 0; i < STEP_PARTS; i++)
        if (parts[i] == 0 || mine[i] < parts[i]) parts[i] = mine[i];
}

/* Steps of the open model with one document of n tokens. */
static enum status calibrate_model(struct model *m, struct profile *p, int size, int length, enum compute compute,
                                   struct machine_profile *out)
{
    int32_t text[] = {10, 200, 31, 4, 77};
    const struct ids ids = {.data = text, .n = sizeof text / sizeof text[0]};
    const struct known_model *shape = &step_model_sizes[size];
    const int64_t n = step_model_tokens[length];
    const struct bench_options o = {1, n, STEP_RANK, 2, CALIBRATE_RUNS};
    double least = INFINITY, spent = 0;
    for (int i = 0; i < CALIBRATE_PAIRS && spent < CALIBRATE_SECONDS; i++) {
        struct bench b = {.n_kernels = 0};
        TRY(bench_step_run(m, p, &o, &ids, &b));
        double quiet = machine_quiet_seconds(m->c, b.step.seconds, b.step.cpu_seconds);
        if (array_backend(m->c)->synchronous) keep_parts(&b.step, quiet, out->parts[compute][size][length]);
        least = fmin(least, quiet);
        spent += CALIBRATE_RUNS * quiet;
    }
    out->step[compute] = (double)n * step_cost_flops(shape, STEP_RANK, shape->layers, n, 0) / least;
    return OK;
}

/* Models of one size by each arithmetic. The rate that stays in out->step is that of the widest and longest, which is last.
 */
static enum status calibrate_size(struct ctx *c, struct profile *p, int size, const char *folder,
                                  struct machine_profile *out)
{
    const struct random_model what = {.shape = &step_model_sizes[size], .seed = 1};
    TRY(random_model_write(c, folder, &what));
    for (int k = 0; k < COMPUTES && ctx_ok(c); k++) {
        const struct model_options form = {.compute = (enum compute)k};
        if (!is_chosen(array_backend(c), (enum compute)k)) continue;
        struct model *m = model_open_with(c, folder, &form);
        for (int i = 0; m && i < STEP_LENGTHS && ctx_ok(c); i++) calibrate_model(m, p, size, i, (enum compute)k, out);
        model_free(m);
    }
    return c->status;
}

enum status calibrate_open(struct ctx *c, const char *device, int64_t threads, struct profile *p)
{
    TRY(ctx_set_threads(c, (int)threads));
    struct backend *b = backend_open(c, device);
    return array_env_new(c, b && b->synchronous ? profile_open(p, b) : b);
}

enum status calibrate_run(struct ctx *c, struct profile *p, struct machine_profile *out)
{
    struct bench b = {.n_kernels = 0};
    TRY(bench_machine_run(c, &b));
    out->threads = threads_count(c);
    out->fma_one = b.machine.fma_one * 1e9;
    out->fma = b.machine.fma * 1e9;
    out->read = b.machine.read * 1e9;
    struct temporary_folder folder;
    TRY(temporary_folder_open(c, &folder));
    for (int size = 0; size < STEP_SIZES && ctx_ok(c); size++) {
        char name[] = {(char)('0' + size), '\0'}, *inner = path_join(c, folder.path, name);
        if (inner && calibrate_size(c, p, size, inner, out) == OK) dir_remove(c, inner);
        mem_free(c, inner);
    }
    temporary_folder_close(c, &folder);
    return c->status;
}
