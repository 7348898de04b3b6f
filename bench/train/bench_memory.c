/* bench_memory: what one LoRA training step holds at its peak, by kind, at any batch and length.
 *
 * usage: bench_memory MODEL BATCH LENGTH THREADS plain|checkpoint|N [LAST_LAYERS]: MODEL is a folder or a .gguf file; N:
 * the first N blocks are computed again, checkpoint: all but the last. BATCH documents of LENGTH pseudo-random tokens,
 * rank 16 on the seven linear layers of the last LAST_LAYERS (0: all), forward, backward and update once. Prints one JSON
 * line. Resident figures are the kernel's (/proc/self/status) and count what is mapped. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend_open.h"
#include "base/mem.h"
#include "base/threads.h"
#include "model/llama.h"
#include "engine/engine.h"
#include "train/optim.h"

struct request {
    const char *model;
    int batch, length, last_layers;
    int64_t recomputed; /* negative: all blocks but the last */
};

struct arrays {
    int32_t *tokens, *positions, *targets, *cu;
    float *weights;
};

/* A line of /proc/self/status in bytes; 0 when it is not there. */
static long long status_bytes(const char *name)
{
    char line[256];
    long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') kib = atoll(line + strlen(name) + 1);
    }
    if (file) fclose(file);
    return kib * 1024;
}

/* Documents of pseudo-random tokens, the same in every run. */
static bool fill(struct ctx *c, const struct request *r, int64_t vocab, struct arrays *a)
{
    size_t n = (size_t)r->batch * (size_t)r->length;
    uint32_t seed = 1;
    a->tokens = mem_alloc(c, n, sizeof *a->tokens);
    a->positions = mem_alloc(c, n, sizeof *a->positions);
    a->targets = mem_alloc(c, n, sizeof *a->targets);
    a->weights = mem_alloc(c, n, sizeof *a->weights);
    a->cu = mem_alloc(c, (size_t)r->batch + 1, sizeof *a->cu);
    if (!ctx_ok(c)) return false;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        a->tokens[i] = (int32_t)((seed >> 8) % (uint32_t)vocab);
        a->positions[i] = (int32_t)(i % (size_t)r->length);
    }
    for (size_t i = 0; i + 1 < n; i++) {
        a->targets[i] = a->tokens[i + 1];
        a->weights[i] = a->positions[i + 1] != 0;
    }
    for (int i = 0; i <= r->batch; i++) a->cu[i] = i * r->length;
    return true;
}

/* The arrays as a batch. */
static struct batch batch_of(const struct request *r, const struct arrays *a)
{
    struct batch b = {.n = (int64_t)r->batch * r->length, .tokens = a->tokens, .positions = a->positions};
    b.n_seg = r->batch;
    b.cu = a->cu;
    b.targets = a->targets;
    b.weights = a->weights;
    return b;
}

/* One step with its update. */
static enum status step(struct engine *e, const struct request *r, const struct arrays *a)
{
    struct batch b = batch_of(r, a);
    const struct optim optim = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    struct engine_micro micro = {.step = 1, .count = 1, .inv_n = 1.0 / (double)b.n, .recomputed_blocks = r->recomputed};
    struct engine_update update = optim_step(&optim, 1, 1e-4, INFINITY);
    TRY(e->ops->step(e, &b, &micro));
    return e->ops->update(e, &update);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Planned and measured bytes as JSON. */
static void report(struct ctx *c, const struct request *r, const struct model *m, const struct engine_need *need,
                   long long anon_before, double seconds)
{
    struct pool_stats pool = array_pool_stats(c);
    long long anon = status_bytes("RssAnon"), planned = anon_before + (long long)need->touched_bytes;
    printf("{\"batch\": %d, \"length\": %d, \"recomputed_blocks\": %lld, \"last_layers\": %d, \"threads\": %d", r->batch,
           r->length, (long long)r->recomputed, r->last_layers, threads_count(c));
    printf(", \"cpu_seconds\": %.2f, \"peak_rss_bytes\": %lld, \"rss_file_bytes\": %lld", seconds, status_bytes("VmHWM"),
           status_bytes("RssFile"));
    printf(", \"planned_anon_bytes\": %lld, \"anon_bytes\": %lld, \"planned_over_anon\": %.4f", planned, anon,
           (double)planned / (double)anon);
    printf(", \"weights_bytes\": %zu, \"anon_before_step_bytes\": %lld", model_weight_bytes(m), anon_before);
    printf(", \"alloc_peak_bytes\": %zu, \"pool_peak_bytes\": %zu, \"pool_held_bytes\": %zu}\n", c->alloc_peak,
           pool.peak_bytes, pool.held_bytes);
}

/* Plans the step, runs it, and reports both. */
static enum status run(struct ctx *c, struct request *r)
{
    struct arrays a = {0};
    struct model *m = model_open(c, r->model);
    struct lora_config config = {.rank = 16, .alpha = 32, .targets = 0x7f, .last_layers = r->last_layers};
    if (m && r->recomputed < 0) r->recomputed = m->config.n_layers - 1;
    struct lora *lora = m ? lora_new(c, &m->config, &config) : NULL;
    if (lora) model_attach_lora(m, lora);
    struct engine *e = lora ? engine_native_new(c, m, lora) : NULL;
    if (e && fill(c, r, m->config.vocab, &a)) {
        struct engine_need need;
        struct batch b = batch_of(r, &a);
        enum status counted = e->ops->count(e, &b, r->recomputed, 0, &need);
        long long before = status_bytes("RssAnon");
        double start = cpu_seconds();
        if (counted == OK && step(e, r, &a) == OK) report(c, r, m, &need, before, cpu_seconds() - start);
    }
    if (e) e->ops->free(e);
    lora_free(lora);
    model_free(m);
    void *all[] = {a.tokens, a.positions, a.targets, a.weights, a.cu};
    for (int i = 0; i < 5; i++) mem_free(c, all[i]);
    return c->status;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: bench_memory MODEL BATCH LENGTH THREADS plain|checkpoint|N [LAST_LAYERS]\n");
        return 2;
    }
    struct request r = {.model = argv[1], .batch = atoi(argv[2]), .length = atoi(argv[3])};
    r.recomputed = strcmp(argv[5], "checkpoint") == 0 ? -1 : atoi(argv[5]); /* plain is no number: 0 */
    r.last_layers = argc > 6 ? atoi(argv[6]) : 0;
    struct ctx *c = ctx_new(NULL);
    if (!c || array_env_new(c, backend_open(c, "cpu")) != OK || ctx_set_threads(c, atoi(argv[4])) != OK ||
        run(c, &r) != OK) {
        fprintf(stderr, "bench_memory: %s\n", c ? c->message : "out of memory");
        return 1;
    }
    array_env_free(c);
    ctx_free(c);
    return 0;
}
