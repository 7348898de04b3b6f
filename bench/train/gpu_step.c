/* gpu_step: LoRA training steps on a card, timed one by one, on what the peer (gpu_peer.py) is given too.
 *
 * gpu_step make MODEL FOLDER BATCH LENGTH STEPS: writes FOLDER/adapter (r = 16 on all seven linear layers, B not zero) and
 * FOLDER/tokens.i32, random ids, (STEPS, BATCH, LENGTH).
 *
 * gpu_step run MODEL FOLDER BATCH LENGTH STEPS [RECOMPUTED_BLOCKS]: prints one JSON line like the peer's. RECOMPUTED_BLOCKS
 * as in engine.h, -1 for none and no norms either (default 0).
 *
 * gpu_step profile, with the same words: with the time of each primitive; each waits for the card, so a step takes longer.
 *
 * gpu_step decode MODEL FOLDER 1 LENGTH TOKENS: tokens/s of generation behind a prompt of LENGTH tokens, without sampling;
 * decode_profile: the last token's time by primitive.
 *
 * The device is YA_DEVICE's, the base GPU_STEP_BASE's (nf4, int8; else as it is stored), the learning rate GPU_STEP_LR's
 * (1e-4); of the recomputed blocks GPU_STEP_OFFLOADED keep their input in the host's memory (0). AdamW, no clipping, no
 * dropout, mean loss over the BATCH * (LENGTH - 1) targets of a step. With GPU_STEP_GRADIENTS=FILE the gradients of the
 * first step are written there, f32, in the order of the adapter's parameters.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "array/array.h"
#include "array/backend.h"
#include "backend/backend_open.h"
#include "backend/profile.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"
#include "engine/engine.h"
#include "model/llama.h"
#include "train/optim.h"
#ifdef YA_HAVE_CUDA
#include "backend/cuda/cuda_backend.h"
#endif

enum { STEPS_MAX = 128 };

struct work {
    const char *model, *folder;
    int64_t batch, length, recomputed, offloaded;
    double lr;
    int steps;
    struct profile *profile;
    struct backend *backend; /* itself, not what measures it */
    double seconds[STEPS_MAX], losses[STEPS_MAX], norms[STEPS_MAX];
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static enum base_type base_wanted(void)
{
    const char *word = getenv("GPU_STEP_BASE");
    for (int i = 0; word && i < BASE_TYPES; i++)
        if (strcmp(word, base_type_name[i]) == 0) return (enum base_type)i;
    return BASE_AS_IS;
}

/* All that the driver reports as taken. */
static double used_gib(const struct backend *b)
{
#ifdef YA_HAVE_CUDA
    size_t available = 0, total = 0;
    if (strncmp(b->device, "cuda", 4) == 0) cuda_backend_of(b)->d->driver.cuMemGetInfo(&available, &total);
    return (double)(total - available) / 0x1p30;
#else
    (void)b;
    return 0;
#endif
}

/* ---- making what both sides read ------------------------------------------------------------------------------------- */

/* Random tokens for every step, for this program and the peer to read. */
static enum status write_tokens(struct ctx *c, const struct work *w, int64_t vocab)
{
    char path[4096];
    struct rng r;
    snprintf(path, sizeof path, "%s/tokens.i32", w->folder);
    FILE *f = fopen(path, "wb");
    if (!f) return ctx_fail(c, E_IO, "%s cannot be written", path);
    rng_init(&r, 1, RNG_TEST, 0);
    for (int64_t i = 0; i < w->steps * w->batch * w->length; i++) {
        int32_t id = (int32_t)(3 + rng_below(&r, (uint64_t)vocab - 3));
        fwrite(&id, sizeof id, 1, f);
    }
    return fclose(f) == 0 ? OK : ctx_fail(c, E_IO, "%s cannot be written", path);
}

/* N(0, 0.02) into every B. */
static enum status fill_b(struct ctx *c, struct engine *e)
{
    struct rng r;
    rng_init(&r, 2, RNG_TEST, 0);
    for (size_t i = 1; i < e->parameters->n; i += 2) {
        const struct parameter *p = &e->parameters->list[i];
        float *values = mem_alloc(c, (size_t)(p->rows * p->cols), sizeof *values);
        if (!values) return c->status;
        for (int64_t k = 0; k < p->rows * p->cols; k++) values[k] = (float)(rng_normal(&r) * 0.02);
        e->ops->write(e, ENGINE_PARAMETERS, i, values);
        mem_free(c, values);
    }
    return c->status;
}

/* For parameters_save: a parameter out of the engine. */
static enum status read_parameter(void *user, int which, size_t i, float *out)
{
    struct engine *e = user;
    return e->ops->read(e, (enum engine_values)which, i, out);
}

static enum status make(struct ctx *c, const struct work *w, struct model *m)
{
    char path[4096];
    const struct lora_config config = {.rank = 16, .alpha = 32, .targets = (1u << LORA_PLACES) - 1, .seed = 1};
    const struct parameter_set set = {ENGINE_PARAMETERS, "base_model.model.model.", ".weight"};
    struct lora *lora = lora_new(c, &m->config, &config);
    if (lora) model_attach_lora(m, lora);
    struct engine *e = lora ? engine_native_new(c, m, lora) : NULL;
    if (e && fill_b(c, e) == OK && write_tokens(c, w, e->vocab) == OK) {
        snprintf(path, sizeof path, "%s/adapter", w->folder);
        mkdir(path, 0777);
        e->ops->save_config(e, path, w->model);
        snprintf(path, sizeof path, "%s/adapter/adapter_model.safetensors", w->folder);
        parameters_save(c, path, e->parameters->list, e->parameters->n, &set, 1, read_parameter, e);
    }
    if (e) e->ops->free(e);
    lora_free(lora);
    return c->status;
}

/* ---- steps ----------------------------------------------------------------------------------------------------------- */

struct documents {
    int32_t *tokens, *positions, *targets, *cu;
    float *weights;
};

static enum status documents_new(struct ctx *c, const struct work *w, struct documents *d)
{
    size_t n = (size_t)(w->batch * w->length);
    d->tokens = mem_alloc(c, n, 4);
    d->positions = mem_alloc(c, n, 4);
    d->targets = mem_alloc(c, n, 4);
    d->weights = mem_alloc(c, n, 4);
    d->cu = mem_alloc(c, (size_t)w->batch + 1, 4);
    for (int64_t i = 0; ctx_ok(c) && i <= w->batch; i++) d->cu[i] = (int32_t)(i * w->length);
    return c->status;
}

static void documents_free(struct ctx *c, struct documents *d)
{
    mem_free(c, d->tokens), mem_free(c, d->positions), mem_free(c, d->targets), mem_free(c, d->weights), mem_free(c, d->cu);
}

/* The last token of each document has nothing to predict. */
static bool documents_read(FILE *f, const struct work *w, struct documents *d)
{
    int64_t n = w->batch * w->length;
    if (fread(d->tokens, 4, (size_t)n, f) != (size_t)n) return false;
    for (int64_t i = 0; i < n; i++) {
        bool last = i % w->length == w->length - 1;
        d->positions[i] = (int32_t)(i % w->length);
        d->targets[i] = last ? 0 : d->tokens[i + 1];
        d->weights[i] = last ? 0.0f : 1.0f;
    }
    return true;
}

static enum status save_gradients(struct ctx *c, struct engine *e)
{
    const char *path = getenv("GPU_STEP_GRADIENTS");
    FILE *f = path ? fopen(path, "wb") : NULL;
    for (size_t i = 0; f && i < e->parameters->n; i++) {
        const struct parameter *p = &e->parameters->list[i];
        size_t n = (size_t)(p->rows * p->cols);
        float *values = mem_alloc(c, n, sizeof *values);
        if (values && e->ops->read(e, ENGINE_GRADIENTS, i, values) == OK) fwrite(values, sizeof *values, n, f);
        mem_free(c, values);
    }
    if (f) fclose(f);
    return c->status;
}

static enum status one_step(struct engine *e, struct work *w, const struct documents *d, int step)
{
    int64_t targets = w->batch * (w->length - 1);
    const struct batch batch = {.n = w->batch * w->length,
                                .tokens = d->tokens,
                                .positions = d->positions,
                                .n_seg = (int)w->batch,
                                .cu = d->cu,
                                .targets = d->targets,
                                .weights = d->weights};
    const struct optim optim = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    const struct engine_micro micro = {.step = step + 1,
                                       .count = 1,
                                       .inv_n = 1.0 / (double)targets,
                                       .recomputed_blocks = w->recomputed,
                                       .offloaded_blocks = w->offloaded};
    const struct engine_update update = optim_step(&optim, step + 1, w->lr, INFINITY);
    struct engine_result result;
    double start = now();
    TRY(e->ops->step(e, &batch, &micro));
    if (step == 0) TRY(save_gradients(e->c, e));
    TRY(e->ops->update(e, &update));
    TRY(e->ops->result(e, step + 1, &result, NULL));
    w->seconds[step] = now() - start;
    w->losses[step] = result.loss.weighted / (double)targets;
    w->norms[step] = result.norm;
    return OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_numbers(const char *name, const double *x, int n)
{
    printf(", \"%s\": [", name);
    for (int i = 0; i < n; i++) printf("%s%.9g", i ? ", " : "", x[i]);
    printf("]");
}

static void print_profile(const struct profile *p)
{
    printf(", \"milliseconds\": {");
    for (int op = 0, some = 0; op < OP_COUNT; op++) {
        if (p->row[op].calls == 0) continue;
        printf("%s\"%s\": [%.3f, %lld]", some++ ? ", " : "", op_name((enum op)op), p->row[op].seconds * 1e3,
               (long long)p->row[op].calls);
    }
    printf("}");
}

/* Median of the steps after the third, as the peer's. */
static void report(struct ctx *c, const struct work *w)
{
    double steady[STEPS_MAX];
    int first = w->steps > 3 ? 3 : w->steps - 1, n = w->steps - first;
    memcpy(steady, w->seconds + first, (size_t)n * sizeof *steady);
    qsort(steady, (size_t)n, sizeof *steady, ascending);
    double median = n % 2 ? steady[n / 2] : (steady[n / 2 - 1] + steady[n / 2]) / 2;
    printf("{\"peer\": \"your_ai\", \"base\": \"%s\", \"device\": \"%s\", \"batch\": %lld, \"length\": %lld, "
           "\"recomputed_blocks\": %lld, \"offloaded_blocks\": %lld",
           base_type_name[base_wanted()], array_backend(c)->name, (long long)w->batch, (long long)w->length,
           (long long)w->recomputed, (long long)w->offloaded);
    printf(", \"tokens_per_second\": %.2f, \"step_seconds\": %.6f, \"peak_gib\": %.3f",
           (double)(w->batch * w->length) / median, median, used_gib(w->backend));
    print_numbers("seconds", w->seconds, w->steps);
    print_numbers("losses", w->losses, w->steps);
    print_numbers("grad_norms", w->norms, w->steps);
    if (w->profile) print_profile(w->profile);
    printf("}\n");
}

static enum status run(struct ctx *c, struct work *w, struct model *m)
{
    char path[4096];
    struct documents d = {0};
    snprintf(path, sizeof path, "%s/adapter", w->folder);
    struct lora *lora = lora_load_peft(c, &m->config, path);
    if (!lora) return c->status;
    model_attach_lora(m, lora);
    struct engine *e = engine_native_new(c, m, lora);
    snprintf(path, sizeof path, "%s/tokens.i32", w->folder);
    FILE *f = fopen(path, "rb");
    if (!f) ctx_fail(c, E_IO, "%s cannot be opened", path);
    if (e && f) documents_new(c, w, &d);
    for (int step = 0; e && step < w->steps && ctx_ok(c); step++) {
        if (w->profile) profile_reset(w->profile); /* what is reported is the last step's */
        if (!documents_read(f, w, &d)) ctx_fail(c, E_INPUT, "%s ends in step %d", path, step);
        if (ctx_ok(c)) one_step(e, w, &d, step);
    }
    if (ctx_ok(c)) report(c, w);
    if (f) fclose(f);
    documents_free(c, &d);
    if (e) e->ops->free(e);
    lora_free(lora);
    return c->status;
}

/* A prompt in one pass, then tokens one by one, each with its logits on the host; the first eight are not timed. */
static enum status decode(struct ctx *c, const struct work *w, struct model *m)
{
    enum { WARM = 8 };
    struct documents d = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/tokens.i32", w->folder);
    FILE *f = fopen(path, "rb");
    if (!f || documents_new(c, w, &d) != OK || !documents_read(f, w, &d))
        return ctx_fail(c, E_IO, "%s cannot be read", path);
    struct engine *e = engine_native_new(c, m, NULL);
    float *logits = mem_alloc(c, (size_t)m->config.vocab, sizeof *logits);
    struct engine_sequence *s = e && logits ? e->ops->sequence_new(e, w->length + WARM + w->steps) : NULL;
    double prompt = now(), start = 0;
    if (s) e->ops->extend(s, d.tokens, w->length, 1, logits);
    prompt = now() - prompt;
    for (int i = 0; s && ctx_ok(c) && i < WARM + w->steps; i++) {
        if (i == WARM) start = now();
        if (w->profile) profile_reset(w->profile);
        e->ops->extend(s, d.tokens + i % w->length, 1, 1, logits);
    }
    double seconds = now() - start, bytes = (double)model_weight_bytes(m);
    if (ctx_ok(c))
        printf(
            "{\"decode\": \"%s\", \"prompt\": %lld, \"prompt_seconds\": %.4f, \"tokens\": %d, \"tokens_per_second\": %.2f, "
            "\"weight_bytes\": %.0f, \"gigabytes_per_second\": %.1f",
            array_backend(c)->name, (long long)w->length, prompt, w->steps, w->steps / seconds, bytes,
            bytes * w->steps / seconds * 1e-9);
    if (ctx_ok(c) && w->profile) print_profile(w->profile);
    if (ctx_ok(c)) printf("}\n");
    if (s) e->ops->sequence_free(s);
    if (e) e->ops->free(e);
    fclose(f);
    mem_free(c, logits);
    documents_free(c, &d);
    return c->status;
}

int main(int argc, char **argv)
{
    static struct profile profile;
    const char *what = argc > 1 ? argv[1] : "";
    const struct model_options options = {.base = base_wanted()};
    bool makes = strcmp(what, "make") == 0, decodes = strncmp(what, "decode", 6) == 0;
    bool profiles = strcmp(what, "profile") == 0 || strcmp(what, "decode_profile") == 0;
    if (argc < 7 || !(makes || profiles || decodes || strcmp(what, "run") == 0)) {
        fprintf(
            stderr,
            "usage: gpu_step make|run|profile|decode|decode_profile MODEL FOLDER BATCH LENGTH STEPS [RECOMPUTED_BLOCKS]\n");
        return 2;
    }
    struct work w = {.model = argv[2],
                     .folder = argv[3],
                     .batch = atoll(argv[4]),
                     .length = atoll(argv[5]),
                     .steps = atoi(argv[6]),
                     .recomputed = argc > 7 ? atoll(argv[7]) : 0,
                     .offloaded = getenv("GPU_STEP_OFFLOADED") ? atoll(getenv("GPU_STEP_OFFLOADED")) : 0,
                     .lr = getenv("GPU_STEP_LR") ? atof(getenv("GPU_STEP_LR")) : 1e-4,
                     .profile = profiles ? &profile : NULL};
    if (w.steps < 1 || (w.steps > STEPS_MAX && !decodes) || w.batch < 1 || w.length < 2) return 2;
    struct ctx *c = ctx_new(NULL);
    if (!c || ctx_set_threads(c, 0) != OK) return 1;
    struct backend *b = backend_open(c, makes ? "cpu" : NULL);
    double start = now();
    w.backend = b;
    struct model *m =
        array_env_new(c, b && profiles ? profile_open(&profile, b) : b) == OK ? model_open_with(c, w.model, &options) : NULL;
    fprintf(stderr, "gpu_step: %s opened in %.2f s\n", w.model, now() - start);
    if (m) makes ? make(c, &w, m) : decodes ? decode(c, &w, m) : run(c, &w, m);
    if (!ctx_ok(c)) fprintf(stderr, "gpu_step: %s\n", c->message);
    int failed = !ctx_ok(c);
    if (m) model_attach_lora(m, NULL);
    model_free(m);
    array_env_free(c);
    ctx_free(c);
    return failed;
}
