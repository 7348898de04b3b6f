/* bench_step: LoRA training steps on the weights, adapter and tokens that a peer saved (bench/peers), timed one by one.
 *
 * usage: bench_step FOLDER STEPS THREADS [checkpoint] [layout]
 * [f32|f32-on-int8|int8x2|int8|bf16|bf16-on-int8|nf4|bf16-on-nf4] [BxT] [profile]: FOLDER/model, FOLDER/adapter,
 * FOLDER/tokens.i32 of (STEPS, B, T); B documents of T tokens in a step, 4x512 if not said. profile: seconds of each
 * primitive in the last step, on stderr. layout: weights are laid out first, as a training does where memory is plenty.
 * Prints one JSON line like the peer's: AdamW, no clipping, no dropout, mean loss over the B * (T - 1) targets of a step. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "backend/backend_open.h"
#include "backend/profile.h"
#include "base/threads.h"
#include "model/llama.h"
#include "engine/engine.h"
#include "train/optim.h"

enum { TOKENS_MAX = 1 << 16, DOCUMENTS_MAX = 64, STEPS_MAX = 64 };

/* B documents of T tokens in a step. */
struct shape {
    int b, t;
};

struct results {
    double seconds[STEPS_MAX], cpu[STEPS_MAX], losses[STEPS_MAX], norms[STEPS_MAX];
};

struct documents {
    int32_t tokens[TOKENS_MAX], positions[TOKENS_MAX], targets[TOKENS_MAX], cu[DOCUMENTS_MAX + 1];
    float weights[TOKENS_MAX];
};

static double clock_seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The documents of a step; the last token of each has nothing to predict. */
static bool read_documents(FILE *file, struct shape s, struct documents *d)
{
    size_t n = (size_t)(s.b * s.t);
    if (fread(d->tokens, sizeof(int32_t), n, file) != n) return false;
    for (int i = 0; i < s.b * s.t; i++) {
        bool last = i % s.t == s.t - 1;
        d->positions[i] = i % s.t;
        d->targets[i] = last ? 0 : d->tokens[i + 1];
        d->weights[i] = last ? 0.0f : 1.0f;
    }
    for (int i = 0; i <= s.b; i++) d->cu[i] = i * s.t;
    return true;
}

/* One optimizer step of one micro-batch, timed with its wait for the result. */
static enum status one_step(struct engine *e, const struct documents *d, struct shape s, int step, int64_t recomputed,
                            struct results *r)
{
    const double targets = (double)s.b * (s.t - 1);
    struct batch batch = {.n = s.b * s.t,
                          .tokens = d->tokens,
                          .positions = d->positions,
                          .n_seg = s.b,
                          .cu = d->cu,
                          .targets = d->targets,
                          .weights = d->weights};
    const struct optim optim = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    const struct engine_micro micro = {
        .step = step + 1, .count = 1, .inv_n = 1.0 / targets, .recomputed_blocks = recomputed};
    const struct engine_update update = optim_step(&optim, step + 1, 1e-4, INFINITY);
    struct engine_result result;
    double start = clock_seconds(CLOCK_MONOTONIC), cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
    TRY(e->ops->step(e, &batch, &micro));
    TRY(e->ops->update(e, &update));
    TRY(e->ops->result(e, step + 1, &result, NULL));
    r->seconds[step] = clock_seconds(CLOCK_MONOTONIC) - start;
    r->cpu[step] = clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    r->losses[step] = result.loss.weighted / targets;
    r->norms[step] = result.norm;
    return OK;
}

static void print_numbers(const char *name, const double *x, int n)
{
    printf(", \"%s\": [", name);
    for (int i = 0; i < n; i++) printf("%s%.9g", i ? ", " : "", x[i]);
    printf("]");
}

/* The peer's JSON line: the rate is that of the fastest step after the first. */
static void report(const struct ctx *c, const char *name, const struct results *r, int steps, struct shape s)
{
    struct rusage usage;
    double best = r->seconds[steps > 1 ? 1 : 0];
    for (int i = 1; i < steps; i++) best = r->seconds[i] < best ? r->seconds[i] : best;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"peer\": \"%s\", \"backend\": \"%s\", \"threads\": %d, \"tokens_per_step\": %d", name, array_backend(c)->name,
           threads_count(c), s.b * s.t);
    printf(", \"tokens_per_second\": %.2f, \"peak_rss_bytes\": %lld, \"alloc_peak_bytes\": %zu", s.b * s.t / best,
           (long long)usage.ru_maxrss * 1024, c->alloc_peak);
    print_numbers("seconds", r->seconds, steps);
    print_numbers("cpu_seconds", steps > 1 ? r->cpu + 1 : r->cpu, steps > 1 ? steps - 1 : 1);
    print_numbers("losses", r->losses, steps);
    print_numbers("grad_norms", r->norms, steps);
    printf("}\n");
}

/* A base type and a compute by one name. */
struct variant {
    const char *name;
    struct model_options options;
};
static const struct variant variants[] = {{"f32", {.base = BASE_AS_IS, .compute = COMPUTE_F32}},
                                          {"f32-on-int8", {.base = BASE_INT8, .compute = COMPUTE_F32}},
                                          {"int8x2", {.base = BASE_INT8, .compute = COMPUTE_INT8X2}},
                                          {"int8", {.base = BASE_INT8, .compute = COMPUTE_INT8}},
                                          {"bf16", {.base = BASE_AS_IS, .compute = COMPUTE_BF16}},
                                          {"bf16-on-int8", {.base = BASE_INT8, .compute = COMPUTE_BF16}},
                                          {"nf4", {.base = BASE_NF4, .compute = COMPUTE_F32}},
                                          {"bf16-on-nf4", {.base = BASE_NF4, .compute = COMPUTE_BF16}}};

/* Opens model and adapter and runs the steps of the file. */
static enum status run(struct ctx *c, const char *folder, int steps, struct shape shape, bool checkpoint, bool layout,
                       const struct variant *variant, struct profile *profile, struct results *r)
{
    static struct documents documents;
    char path[4096];
    snprintf(path, sizeof path, "%s/tokens.i32", folder);
    FILE *file = fopen(path, "rb");
    if (!file) return ctx_fail(c, E_IO, "%s: cannot be opened: run the peer's prepare first", path);
    snprintf(path, sizeof path, "%s/model", folder);
    struct model *model = model_open_with(c, path, &variant->options);
    snprintf(path, sizeof path, "%s/adapter", folder);
    struct lora *lora = model ? lora_load_peft(c, &model->config, path) : NULL;
    if (lora) model_attach_lora(model, lora);
    struct engine *e = lora ? engine_native_new(c, model, lora) : NULL;
    if (e && layout) e->ops->lay_out(e);
    for (int step = 0; e && step < steps && ctx_ok(c); step++) {
        if (!read_documents(file, shape, &documents)) ctx_fail(c, E_INPUT, "%s: ends in step %d", path, step);
        if (profile) profile_reset(profile);
        if (ctx_ok(c)) one_step(e, &documents, shape, step, checkpoint ? model->config.n_layers - 1 : 0, r);
    }
    if (e) e->ops->free(e);
    lora_free(lora);
    model_free(model);
    fclose(file);
    return c->status;
}

static void print_profile(const struct profile *p)
{
    for (int op = 0; op < OP_COUNT; op++)
        if (p->row[op].calls > 0)
            fprintf(stderr, "%-24s %6lld %9.4f s\n", op_name((enum op)op), (long long)p->row[op].calls, p->row[op].seconds);
}

/* "BxT"; false for anything else, and for more than fits. */
static bool read_shape(const char *text, struct shape *s)
{
    return sscanf(text, "%dx%d", &s->b, &s->t) == 2 && s->b >= 1 && s->b <= DOCUMENTS_MAX && s->t >= 2 &&
           s->t <= TOKENS_MAX / s->b;
}

int main(int argc, char **argv)
{
    static struct results r;
    int steps = argc > 3 ? atoi(argv[2]) : 0;
    struct shape shape = {4, 512};
    struct profile profile;
    bool checkpoint = false, profiled = false, layout = false, known = steps >= 1 && steps <= STEPS_MAX;
    const struct variant *variant = &variants[0];
    for (int i = 4; i < argc; i++) {
        bool found = strcmp(argv[i], "checkpoint") == 0, timed = strcmp(argv[i], "profile") == 0;
        checkpoint = checkpoint || found;
        profiled = profiled || timed;
        if (strcmp(argv[i], "layout") == 0) layout = found = true;
        found = found || timed;
        for (size_t k = 0; k < sizeof variants / sizeof *variants; k++)
            if (strcmp(argv[i], variants[k].name) == 0) variant = &variants[k], found = true;
        if (!found) found = read_shape(argv[i], &shape);
        known = known && found;
    }
    if (!known) {
        fprintf(stderr, "usage: bench_step FOLDER STEPS THREADS [checkpoint] [layout] "
                        "[f32|f32-on-int8|int8x2|int8|bf16|bf16-on-int8|nf4|bf16-on-nf4] "
                        "[BxT] [profile]\n");
        return 2;
    }
    struct ctx *c = ctx_new(NULL);
    struct backend *backend = c ? backend_open(c, "cpu") : NULL;
    if (backend && profiled) backend = profile_open(&profile, backend);
    if (!c || array_env_new(c, backend) != OK || ctx_set_threads(c, atoi(argv[3])) != OK ||
        run(c, argv[1], steps, shape, checkpoint, layout, variant, profiled ? &profile : NULL, &r) != OK) {
        fprintf(stderr, "bench_step: %s\n", c ? c->message : "out of memory");
        return 1;
    }
    char name[64];
    snprintf(name, sizeof name, "your_ai %s%s%s", variant->name, checkpoint ? " checkpoint" : "", layout ? " layout" : "");
    report(c, name, &r, steps, shape);
    if (profiled) print_profile(&profile);
    array_env_free(c);
    ctx_free(c);
    return 0;
}
