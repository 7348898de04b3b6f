/* bench_base: LoRA training steps on a model in one of the forms of its base: time, memory, share of the machine's peak.
 *
 * usage: bench_base MODEL FORM STEPS THREADS [BATCH [LENGTH [checkpoint]]]: FORM is as-is, nf4 or int8, and behind int8 a
 * colon and f32, int8x2 or int8 for how it is computed on; rank 16 on all linear layers, AdamW, random tokens that are the
 * same in every run. One JSON object a run. FLOPs are counted: 2 a weight, token and direction (forward, dx), 6 a weight
 * of the adapter, attention's lower triangle; with `checkpoint` the blocks' second forward is counted apart. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "backend/backend_open.h"
#include "base/mem.h"
#include "base/threads.h"
#include "measure/machine.h"
#include "model/llama.h"
#include "engine/engine.h"
#include "train/optim.h"

struct setting {
    const char *model;
    struct model_options form;
    int steps, threads;
    int64_t batch, length;
    bool checkpoint;
};

struct result {
    double open_seconds, step_seconds, cpu_seconds; /* steps: the least of those after the first */
    double loss[64], norm[64];
};

static double clock_seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A line of VmRSS or VmHWM of this process in bytes: ru_maxrss also counts what the shell was before exec. */
static long long status_bytes(const char *key)
{
    char line[256];
    long long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) kib = atoll(line + strlen(key));
    if (f) fclose(f);
    return kib * 1024;
}

/* Weights of all blocks' linear layers: q, o and k, v of the attention, and the three of the MLP. */
static double block_weights(const struct model_config *m)
{
    double hd = (double)(m->n_heads * m->head_dim), gd = (double)(m->n_kv_heads * m->head_dim), c = (double)m->hidden;
    return (double)m->n_layers * (c * (2 * hd + 2 * gd) + 3 * c * (double)m->ffn);
}

/* Of one token: forward of the blocks, and everything. */
static void count_flops(const struct model *m, const struct lora *l, int64_t length, double *blocks, double *all)
{
    const struct model_config *k = &m->config;
    double attention = 2.0 * (double)(k->n_layers * k->n_heads * k->head_dim * (length + 1)); /* of the lower triangle */
    double adapter = (double)lora_parameter_count(l), head = (double)(k->vocab * k->hidden);
    *blocks = 2 * block_weights(k) + attention + 2 * adapter;
    *all = 4 * block_weights(k) + 3.5 * attention + 6 * adapter + 4 * head;
}

/* One optimizer step of one micro-batch, timed with its wait. */
static enum status one_step(struct engine *e, const struct setting *s, const struct batch *b, int step, struct result *r)
{
    const struct optim optim = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    const struct engine_micro micro = {.step = step + 1,
                                       .count = 1,
                                       .inv_n = 1.0 / (double)(s->batch * (s->length - 1)),
                                       .recomputed_blocks = s->checkpoint ? INT64_MAX : 0};
    const struct engine_update update = optim_step(&optim, step + 1, 1e-4, INFINITY);
    struct engine_result result;
    double wall = clock_seconds(CLOCK_MONOTONIC), cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
    TRY(e->ops->step(e, b, &micro));
    TRY(e->ops->update(e, &update));
    TRY(e->ops->result(e, step + 1, &result, NULL));
    r->loss[step] = result.loss.weighted * micro.inv_n;
    r->norm[step] = result.norm;
    wall = clock_seconds(CLOCK_MONOTONIC) - wall;
    cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (step < 2 || wall < r->step_seconds) r->step_seconds = wall;
    if (step < 2 || cpu < r->cpu_seconds) r->cpu_seconds = cpu;
    return OK;
}

/* One JSON object with times, rates and the share of the machine's peak. */
static void report(const struct setting *s, const struct model *m, const struct lora *l, const struct result *r, double peak)
{
    double blocks, all, tokens = (double)(s->batch * s->length);
    count_flops(m, l, s->length, &blocks, &all);
    printf("{\"base\": \"%s\", \"compute\": \"%s\", \"backend\": \"%s\", \"threads\": %d, \"tokens_a_step\": %.0f, "
           "\"checkpoint\": %s,\n",
           base_type_name[s->form.base], compute_name[s->form.compute], array_backend(m->c)->name, s->threads, tokens,
           s->checkpoint ? "true" : "false");
    printf(" \"weights_bytes\": %zu, \"made_bytes\": %zu, \"alloc_peak_bytes\": %zu, \"peak_rss_bytes\": %lld,\n",
           model_weight_bytes(m), model_made_bytes(m), m->c->alloc_peak, status_bytes("VmHWM:"));
    printf(" \"open_seconds\": %.3f, \"tokens_per_second\": %.2f, \"cpu_ms_per_token\": %.3f, \"mflop_per_token\": %.1f,\n",
           r->open_seconds, tokens / r->step_seconds, r->cpu_seconds / tokens * 1e3, all * 1e-6);
    printf(" \"peak_gflops_a_thread\": %.1f, \"share_of_peak_by_cpu_time\": %.4f, \"with_recomputation\": %.4f,\n", peak,
           all * tokens / r->cpu_seconds * 1e-9 / peak,
           (all + (s->checkpoint ? blocks : 0)) * tokens / r->cpu_seconds * 1e-9 / peak);
    printf(" \"loss\": [");
    for (int i = 0; i < s->steps; i++) printf("%s%.7g", i ? ", " : "", r->loss[i]);
    printf("], \"grad_norm\": [");
    for (int i = 0; i < s->steps; i++) printf("%s%.7g", i ? ", " : "", r->norm[i]);
    printf("]}\n");
}

/* Random tokens; the last of each document has nothing to predict. */
static enum status fill(struct ctx *c, const struct setting *s, int64_t vocab, struct batch *b)
{
    int64_t n = s->batch * s->length;
    int32_t *ints = mem_alloc(c, (size_t)(3 * n + s->batch + 1), sizeof *ints), *cu = ints + 3 * n;
    float *weights = mem_alloc(c, (size_t)n, sizeof *weights);
    if (!ints || !weights) return c->status;
    uint32_t x = 1;
    for (int64_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        ints[i] = (int32_t)((x >> 8) % (uint32_t)vocab);
        ints[n + i] = (int32_t)(i % s->length);
    }
    for (int64_t i = 0; i + 1 < n; i++) ints[2 * n + i] = ints[i + 1];
    for (int64_t i = 0; i < n; i++) weights[i] = i % s->length == s->length - 1 ? 0.0f : 1.0f;
    for (int64_t i = 0; i <= s->batch; i++) cu[i] = (int32_t)(i * s->length);
    *b = (struct batch){.n = n, .tokens = ints, .positions = ints + n, .n_seg = (int32_t)s->batch, .cu = cu};
    b->targets = ints + 2 * n;
    b->weights = weights;
    return OK;
}

/* Opens the model in the form that is asked for and runs the steps. */
static enum status run(struct ctx *c, const struct setting *s, double peak)
{
    static struct result r;
    struct batch b = {0};
    double start = clock_seconds(CLOCK_MONOTONIC);
    struct model *m = model_open_with(c, s->model, &s->form);
    r.open_seconds = clock_seconds(CLOCK_MONOTONIC) - start;
    fprintf(stderr, "open: %.2f s, resident %.3f GiB, most %.3f GiB\n", r.open_seconds,
            (double)status_bytes("VmRSS:") * 0x1p-30, (double)status_bytes("VmHWM:") * 0x1p-30);
    const struct lora_config config = {.rank = 16, .alpha = 32, .targets = LORA_ALL};
    struct lora *l = m ? lora_new(c, &m->config, &config) : NULL;
    if (l) model_attach_lora(m, l);
    struct engine *e = l && fill(c, s, m->config.vocab, &b) == OK ? engine_native_new(c, m, l) : NULL;
    for (int step = 0; e && step < s->steps && ctx_ok(c); step++) one_step(e, s, &b, step, &r);
    if (e && ctx_ok(c)) report(s, m, l, &r, peak);
    if (e) e->ops->free(e);
    mem_free(c, (void *)b.tokens);
    mem_free(c, (void *)b.weights);
    lora_free(l);
    model_free(m);
    return c->status;
}

/* One of n names; the length of it when text begins with one that ends there or at a colon, else 0. */
static size_t find_name(const char *text, const char *const *names, int n, int *found)
{
    for (*found = 0; *found < n; ++*found) {
        size_t length = strlen(names[*found]);
        if (strncmp(text, names[*found], length) == 0 && (text[length] == '\0' || text[length] == ':')) return length;
    }
    return 0;
}

/* "int8:int8x2" as a base type and a compute. */
static bool read_form(const char *text, struct model_options *form)
{
    int base = 0, compute = 0;
    size_t n = find_name(text, base_type_name, BASE_TYPES, &base);
    if (n && text[n] == ':') n = find_name(text + n + 1, compute_name, COMPUTES, &compute);
    *form = (struct model_options){.base = (enum base_type)base, .compute = (enum compute)compute};
    return n > 0;
}

int main(int argc, char **argv)
{
    struct setting s = {.batch = 1, .length = 512};
    s.steps = argc > 4 ? atoi(argv[3]) : 0;
    if (s.steps < 1 || s.steps > 64 || !read_form(argv[2], &s.form)) {
        fprintf(stderr,
                "usage: bench_base MODEL as-is|nf4|int8[:f32|int8x2|int8] STEPS THREADS [BATCH [LENGTH [checkpoint]]]\n");
        return 2;
    }
    s.model = argv[1];
    s.threads = atoi(argv[4]);
    if (argc > 5) s.batch = atoi(argv[5]);
    if (argc > 6) s.length = atoi(argv[6]);
    s.checkpoint = argc > 7 && strcmp(argv[7], "checkpoint") == 0;
    struct ctx *c = ctx_new(NULL);
    double peak = 0;
    if (c && array_env_new(c, backend_open(c, "cpu")) == OK) {
        peak = machine_fma(c, 1);
        if (ctx_set_threads(c, s.threads) == OK) run(c, &s, peak);
    }
    if (!c || !ctx_ok(c)) fprintf(stderr, "bench_base: %s\n", c ? c->message : "out of memory");
    bool failed = !c || !ctx_ok(c);
    if (c) array_env_free(c);
    ctx_free(c);
    return failed;
}
