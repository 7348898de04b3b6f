/* bench_cuda: time of each CUDA kernel against its floor on the card at hand: the bytes that it must move over the
 * measured rate of a copy, or its operations over the measured rate of a large product. Shapes of Llama-3.1-8B at 4,096
 * tokens and of SmolLM2-135M at 16 sequences of 2,048. Random data; sets of operands rotate through an arena larger than
 * the cache; medians.
 *
 *   bench_cuda [--short] [WORDS]      --short: few repeats, for a check that everything runs; WORDS: only lines that have
 * them */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/codec/int8.h"
#include "array/codec/nf4.h"
#include "backend/cuda/cuda_gemm.h"
#include "backend/cuda/cuda_kernels.h"

enum { MOST_REPEATS = 15 };
static const size_t ARENA = (size_t)5 << 30;

static struct cuda *d;
static CUdeviceptr arena, pattern, positions, frequencies, bounds, cells, partial;
static int repeats = MOST_REPEATS;
static const char *only;               /* NULL: all lines */
static double copy_rate, product_rate; /* bytes/s, FLOP/s */

struct model_shape {
    const char *name;
    int tokens, length, width, ffn, heads, groups, dim, vocab, chunk;
    int64_t adapter;
};

static const struct model_shape SHAPES[] = {
    {"llama-3.1-8b", 4096, 4096, 4096, 14336, 32, 8, 128, 128256, 1024, 41943040},
    {"smollm2-135m", 32768, 2048, 576, 1536, 9, 3, 64, 49152, 4096, 4884480},
};

/* One measurement: `run` queues the work on operands that start at `base`, `bytes` of them. */
struct bench {
    const struct model_shape *m;
    enum status (*run)(const struct bench *b, CUdeviceptr base);
    size_t bytes;
    int n, k, extra; /* of a product */
    bool backward;
    int parts, column[CUDA_ADAPTERS + 1]; /* adapters of rank 16 that share x: their columns of y */
};

static const size_t PATTERN = (size_t)32 << 20;

/* Random bf16 between 1/8 and 2 in size, both signs, on the card. */
static void make_pattern(void)
{
    uint16_t *bits = malloc(PATTERN);
    uint64_t state = 1;
    for (size_t i = 0; i < PATTERN / 2; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        bits[i] = (uint16_t)(state >> 63 << 15 | (0x3e00 + (state >> 40 & 0x1ff)));
    }
    arena = cuda_alloc(d, ARENA);
    pattern = cuda_alloc(d, PATTERN);
    cuda_upload(d, pattern, bits, PATTERN);
    cuda_wait(d);
    free(bits);
}

/* Before every measurement: what one bench writes (products that grow, gradients that are mostly zero) must not be what
 * the next one reads: a card multiplies zeros and infinities faster than ordinary values. */
static void fill_arena(void)
{
    for (size_t at = 0; at < ARENA; at += PATTERN) d->driver.cuMemcpyDtoDAsync(arena + at, pattern, PATTERN, d->stream);
    cuda_wait(d);
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Median seconds of one run. */
static double bench_time(const struct bench *b)
{
    float times[MOST_REPEATS];
    CUevent from, to;
    size_t step = (b->bytes + 4095) / 4096 * 4096, sets = ARENA / step;
    BUG_ON(d->c, sets == 0, "operands of %zu bytes", b->bytes);
    fill_arena();
    d->driver.cuEventCreate(&from, 0);
    d->driver.cuEventCreate(&to, 0);
    for (int i = 0; i < 2; i++) b->run(b, arena + (size_t)i % sets * step);
    for (int i = 0; i < repeats; i++) {
        d->driver.cuEventRecord(from, d->stream);
        b->run(b, arena + (size_t)(i + 2) % sets * step);
        d->driver.cuEventRecord(to, d->stream);
        d->driver.cuEventSynchronize(to);
        d->driver.cuEventElapsedTime(&times[i], from, to);
    }
    d->driver.cuEventDestroy(from);
    d->driver.cuEventDestroy(to);
    if (!ctx_ok(d->c)) {
        printf("FAILED: %s\n", d->c->message);
        exit(1);
    }
    qsort(times, (size_t)repeats, sizeof(*times), compare_floats);
    return times[repeats / 2] * 1e-3;
}

/* Prints one line: the time, the floor (the larger of the time to move its bytes and the time of its operations), their
 * ratio, and the rates that were reached. */
static void report(const char *what, const struct bench *b, double bytes, double operations)
{
    if (only && !strstr(what, only)) return;
    double time = bench_time(b), moved = bytes / copy_rate, computed = operations / product_rate;
    double floor = fmax(moved, computed);
    printf("%-13s %-34s %9.1f us  floor %9.1f us  %3.0f %%", b->m ? b->m->name : "", what, time * 1e6, floor * 1e6,
           100 * floor / time);
    if (operations > 0) printf("  %6.1f TFLOP/s", operations / time * 1e-12);
    if (bytes > 0) printf("  %6.2f TB/s", bytes / time * 1e-12);
    printf("\n");
    fflush(stdout);
}

/* ---- ceilings -------------------------------------------------------------------------------------------------------- */

static enum status run_copy(const struct bench *b, CUdeviceptr base)
{
    return cuda_check(d, d->driver.cuMemcpyDtoDAsync(base, base + b->bytes / 2, b->bytes / 2, d->stream), "a copy");
}

/* y (T, n) = x (T, k) W^T, or backward dx (T, k) = dy (T, n) W. Rows of x and W are `extra` elements wider. */
static enum status run_product(const struct bench *b, CUdeviceptr base)
{
    int t = b->m ? b->m->tokens : 8192, k = b->k + b->extra;
    CUdeviceptr y = base + (size_t)t * (size_t)k * 2, w = y + (size_t)t * (size_t)b->n * 2;
    struct cuda_matrix mx = {base, t, k, k, false, false}, my = {y, t, b->n, b->n, false, false};
    struct cuda_matrix mw = {w, b->n, k, k, !b->backward, false};
    return b->backward ? cuda_gemm(d, &my, &mw, &mx, 1, 0) : cuda_gemm(d, &mx, &mw, &my, 1, 0);
}

/* A product of all tokens (or of 8,192 rows without a model), `extra` columns of the reduction for an adapter. */
static struct bench product_bench(const struct model_shape *m, int n, int k, int extra, bool backward)
{
    size_t t = m ? (size_t)m->tokens : 8192, wide = (size_t)(k + extra);
    return (struct bench){m, run_product, 2 * (t * wide + t * (size_t)n + (size_t)n * wide), n, k, extra, backward, 0, {0}};
}

/* The rates that floors are computed from: a copy of 1 GiB, which reads and writes, and a large square product. */
static void measure_ceilings(void)
{
    struct bench copy = {.run = run_copy, .bytes = (size_t)2 << 30}, product = product_bench(NULL, 8192, 8192, 0, false);
    copy_rate = (double)copy.bytes / bench_time(&copy);
    product_rate = 2 * 8192.0 * 8192.0 * 8192.0 / bench_time(&product);
    printf("%s: copy %.2f TB/s (read + written), product 8192^3 %.1f TFLOP/s\n", d->name, copy_rate * 1e-12,
           product_rate * 1e-12);
}

/* ---- kernels that move bytes ----------------------------------------------------------------------------------------- */

/* The i-th array of (tokens, cols) bf16 from `base` on. */
static bf16_bits *nth(CUdeviceptr base, const struct model_shape *m, int cols, int i)
{
    return (bf16_bits *)base + (size_t)m->tokens * (size_t)cols * (size_t)i;
}

/* RMS_NORM with a residual, or its backward. */
static enum status run_norm(const struct bench *b, CUdeviceptr base)
{
    int c = b->m->width;
    struct cuda_rms_norm_args a = {nth(base, b->m, c, 0),
                                   nth(base, b->m, c, 1),
                                   (void *)frequencies,
                                   nth(base, b->m, c, 2),
                                   nth(base, b->m, c, 3),
                                   (void *)cells,
                                   c,
                                   c,
                                   c,
                                   c,
                                   b->m->tokens,
                                   c,
                                   1e-5f};
    struct cuda_rms_norm_bwd_args w = {nth(base, b->m, c, 0),
                                       nth(base, b->m, c, 1),
                                       nth(base, b->m, c, 2),
                                       (void *)frequencies,
                                       (void *)cells,
                                       nth(base, b->m, c, 3),
                                       c,
                                       c,
                                       c,
                                       c,
                                       b->m->tokens,
                                       c};
    return b->backward ? cuda_rms_norm_bwd(d, &w) : cuda_rms_norm(d, &a);
}

/* The sum of two activations, as of a residual. */
static enum status run_add(const struct bench *b, CUdeviceptr base)
{
    int c = b->m->width;
    struct cuda_add_args a = {nth(base, b->m, c, 0), nth(base, b->m, c, 1), nth(base, b->m, c, 2), c, c, c, b->m->tokens, c};
    return cuda_add(d, &a);
}

/* Copies of narrow rows, as of the gradients of k and v into those of all three. */
static enum status run_copy_rows(const struct bench *b, CUdeviceptr base)
{
    int kv = b->m->groups * b->m->dim, all = (b->m->heads + 2 * b->m->groups) * b->m->dim;
    struct cuda_move_args a = {(void *)base, nth(base, b->m, kv, 1), kv, all, b->m->tokens, kv, 0};
    return cuda_move(d, &a, false, false);
}

/* ROPE in place on the q and k columns of one array. */
static enum status run_rope(const struct bench *b, CUdeviceptr base)
{
    int heads = b->m->heads + b->m->groups, c = (heads + b->m->groups) * b->m->dim;
    struct cuda_rope_args a = {
        (void *)base, (void *)base, (void *)positions, (void *)frequencies, c, c, b->m->tokens, heads, b->m->dim, 1, 1};
    return cuda_rope(d, &a);
}

/* SWIGLU on two halves of one array, or its backward. */
static enum status run_swiglu(const struct bench *b, CUdeviceptr base)
{
    int f = b->m->ffn;
    bf16_bits *gate = (void *)base, *dgate = nth(base, b->m, f, 2);
    struct cuda_swiglu_args a = {gate,
                                 gate + f,
                                 nth(base, b->m, f, 4),
                                 nth(base, b->m, f, 5),
                                 dgate,
                                 dgate + f,
                                 2 * f,
                                 2 * f,
                                 f,
                                 f,
                                 2 * f,
                                 2 * f,
                                 b->m->tokens,
                                 f};
    return cuda_swiglu(d, &a, b->backward);
}

/* Look-up of one embedding row for each token. */
static enum status run_rows(const struct bench *b, CUdeviceptr base)
{
    int c = b->m->width;
    struct cuda_rows_args a = {
        (void *)base, (void *)positions, nth(base, b->m, c, 1), (void *)cells, c, c, 1 << 20, b->m->tokens, c, 0};
    return cuda_rows(d, &a);
}

/* The squared norm and AdamW, over as many values as an adapter of rank 16 on all linear layers has. */
static enum status run_optim(const struct bench *b, CUdeviceptr base)
{
    float *p = (void *)base;
    int64_t n = b->m->adapter;
    struct cuda_sum_squares_args s = {p, (void *)cells, (void *)(cells + 4096), n};
    struct cuda_adamw_args a = {
        p,    p + n,  p + 2 * n, p + 3 * n, (void *)(p + 4 * n), NULL, NULL, (void *)(cells + 8192), n,
        0.9f, 0.999f, 1e-8f,     0.1f};
    return b->backward ? cuda_sum_squares(d, &s) : cuda_adamw(d, &a);
}

/* The kernels whose floor is memory. */
static void bench_bytes(const struct model_shape *m)
{
    double rows = 2.0 * m->tokens * m->width, ffn = 2.0 * m->tokens * m->ffn, adapter = (double)m->adapter;
    double qk = 2.0 * m->tokens * (m->heads + m->groups) * m->dim;
    size_t qkv = (size_t)m->tokens * (size_t)((m->heads + 2 * m->groups) * m->dim) * 2;
    report("rms_norm + residual", &(struct bench){.m = m, .run = run_norm, .bytes = (size_t)(4 * rows)}, 4 * rows, 0);
    report("rms_norm_bwd", &(struct bench){.m = m, .run = run_norm, .bytes = (size_t)(4 * rows), .backward = true}, 4 * rows,
           0);
    double kv = 2.0 * m->tokens * m->groups * m->dim;
    report("add", &(struct bench){.m = m, .run = run_add, .bytes = (size_t)(3 * rows)}, 3 * rows, 0);
    report("copy of k's gradient", &(struct bench){.m = m, .run = run_copy_rows, .bytes = (size_t)kv + qkv}, 2 * kv, 0);
    report("rope of q and k", &(struct bench){.m = m, .run = run_rope, .bytes = qkv}, 2 * qk, 0);
    report("swiglu", &(struct bench){.m = m, .run = run_swiglu, .bytes = (size_t)(6 * ffn)}, 3 * ffn, 0);
    report("swiglu_bwd + y again", &(struct bench){.m = m, .run = run_swiglu, .bytes = (size_t)(6 * ffn), .backward = true},
           6 * ffn, 0);
    report("embed", &(struct bench){.m = m, .run = run_rows, .bytes = (size_t)(2 * rows)}, 2 * rows, 0);
    report("adamw", &(struct bench){.m = m, .run = run_optim, .bytes = (size_t)(18 * adapter)}, 30 * adapter, 0);
    report("sum_squares", &(struct bench){.m = m, .run = run_optim, .bytes = (size_t)(18 * adapter), .backward = true},
           4 * adapter, 0);
}

/* A frozen matrix (n, k) in the code `extra` as bf16, as ahead of a product. */
static enum status run_widen(const struct bench *b, CUdeviceptr base)
{
    const struct cuda_widen_args a = {.from = (void *)base,
                                      .to = (bf16_bits *)(base + (size_t)b->n * (size_t)b->k),
                                      .fault = (void *)cells,
                                      .row_bytes = b->column[0],
                                      .to_stride = b->k,
                                      .limit = b->n,
                                      .rows = b->n,
                                      .cols = b->k};
    return cuda_widen(d, &a, (enum cuda_code)b->extra);
}

static void bench_widen(const struct model_shape *m, const char *name, int n, int k)
{
    const struct {
        const char *name;
        enum cuda_code code;
        size_t row_bytes;
    } CODES[] = {{"nf4", CODE_NF4, nf4_row_bytes(k)},
                 {"int8", CODE_INT8, int8_row_bytes(k)},
                 {"Q4_K", CODE_Q4_K, (size_t)k / 256 * 144},
                 {"Q6_K", CODE_Q6_K, (size_t)k / 256 * 210}};
    char what[64];
    for (size_t i = 0; i < sizeof(CODES) / sizeof(*CODES); i++) {
        struct bench b = {
            .m = m, .run = run_widen, .n = n, .k = k, .extra = (int)CODES[i].code, .bytes = (size_t)n * (size_t)k * 3};
        b.column[0] = (int)CODES[i].row_bytes;
        snprintf(what, sizeof(what), "%s from %s", name, CODES[i].name);
        report(what, &b, (double)n * ((double)CODES[i].row_bytes + 2.0 * k), 0);
    }
}

/* ---- products and adapters ------------------------------------------------------------------------------------------- */

/* h = x A^T and y += h B^T, or backward dh = dy B and dx += dh A, r = 16. */
static enum status run_branch(const struct bench *b, CUdeviceptr base)
{
    int t = b->m->tokens, r = 16;
    CUdeviceptr y = base + (size_t)t * (size_t)b->k * 2, h = y + (size_t)t * (size_t)b->n * 2, low = h + (size_t)t * 32;
    struct cuda_matrix mx = {base, t, b->k, b->k, false, false}, my = {y, t, b->n, b->n, false, false};
    struct cuda_matrix mh = {h, t, r, r, false, false};
    struct cuda_matrix ma = {low, r, b->k, b->k, !b->backward, false};
    struct cuda_matrix mb = {low + (size_t)b->k * 32, b->n, r, r, !b->backward, false};
    TRY(b->backward ? cuda_gemm(d, &my, &mb, &mh, 1, 0) : cuda_gemm(d, &mx, &ma, &mh, 1, 0));
    return b->backward ? cuda_gemm(d, &mh, &ma, &mx, 1, 1) : cuda_gemm(d, &mh, &mb, &my, 1, 1);
}

/* Operands of the adapters of a call, one behind the other: x (T, k), y (T, n), z (T, r), A (r, k), B (n, r), gradients in
 * f32. */
struct branch {
    bf16_bits *x, *y, *z, *a, *b;
    float *out;
    int t, r;
};

static struct branch branch_at(const struct bench *b, CUdeviceptr base)
{
    int t = b->m->tokens, r = 16 * b->parts;
    bf16_bits *x = (void *)base, *y = x + (size_t)t * (size_t)b->k, *z = y + (size_t)t * (size_t)b->n;
    bf16_bits *a = z + (size_t)t * (size_t)r, *w = a + (size_t)r * (size_t)b->k;
    return (struct branch){x, y, z, a, w, (void *)(w + (size_t)r * (size_t)b->n), t, r};
}

static size_t branch_bytes(const struct bench *b)
{
    size_t t = (size_t)b->m->tokens, n = (size_t)b->n, k = (size_t)b->k, r = 16 * (size_t)b->parts;
    return 2 * (t * (n + k + r) + r * (n + k)) + 4 * r * (n > k ? n : k);
}

/* A thin product, its partial sums in `partial`, behind what others have there. */
static enum status thin_at(struct cuda_thin_args *a, enum cuda_thin_kind kind)
{
    cuda_thin_plan(d, a);
    a->partial_out = (float *)(partial + ((size_t)64 << 20));
    a->partial_db = a->partial_out + a->partial;
    return cuda_thin(d, a, kind);
}

/* z = x A^T. */
static enum status run_thin(const struct bench *b, CUdeviceptr base)
{
    struct branch o = branch_at(b, base);
    struct cuda_thin_args a = {.wide = o.x,
                               .thin = o.a,
                               .out = o.z,
                               .wide_stride = b->k,
                               .thin_stride = b->k,
                               .out_stride = o.r,
                               .first = {0, o.r},
                               .column = {0, b->k},
                               .rows = o.t,
                               .r = o.r,
                               .parts = 1};
    return thin_at(&a, THIN_BY_ROWS);
}

/* y = z B^T, or backward dx = u A. */
static enum status run_spread(const struct bench *b, CUdeviceptr base)
{
    struct branch o = branch_at(b, base);
    struct cuda_spread_args y = {o.z, o.b, o.y, o.r, o.r, b->n, o.t, b->n}, x = {o.z, o.a, o.x, o.r, b->k, b->k, o.t, b->k};
    return cuda_spread(d, b->backward ? &x : &y, o.r, b->backward);
}

/* u = dy B and dB += dy^T z. */
static enum status run_pass(const struct bench *b, CUdeviceptr base)
{
    struct branch o = branch_at(b, base);
    struct cuda_thin_args a = {.wide = o.y,
                               .thin = o.b,
                               .out = (void *)partial,
                               .wide_stride = b->n,
                               .thin_stride = o.r,
                               .z_stride = o.r,
                               .out_stride = o.r,
                               .rows = o.t,
                               .r = 16,
                               .parts = b->parts};
    for (int i = 0; i < b->parts; i++) {
        a.z[i] = o.z + 16 * i, a.db[i] = o.out + 16 * b->column[i], a.alpha[i] = 2;
        a.first[i + 1] = 16 * (i + 1), a.column[i + 1] = b->column[i + 1];
    }
    return thin_at(&a, THIN_GRADIENT);
}

/* dA (r, k) += u^T x. */
static enum status run_gradient(const struct bench *b, CUdeviceptr base)
{
    struct branch o = branch_at(b, base);
    struct cuda_tall_args a = {.a = o.x,
                               .b = o.z,
                               .partial = (void *)partial,
                               .a_stride = b->k,
                               .b_stride = o.r,
                               .out_stride = b->k,
                               .rows = o.t,
                               .n = b->k,
                               .r = o.r,
                               .slices = cuda_tall_slices(d, o.t, b->k),
                               .transposed = 1,
                               .parts = b->parts};
    for (int i = 0; i < b->parts; i++) {
        a.out[i] = o.out + 16 * i * b->k, a.alpha[i] = 1, a.first[i + 1] = 16 * (i + 1);
    }
    return cuda_tall_product(d, &a);
}

/* The kernels of the adapters that share an input, beside what they must move: one side of x or y, once. */
static void bench_branch(const char *name, struct bench b)
{
    static const struct {
        const char *what;
        enum status (*run)(const struct bench *b, CUdeviceptr base);
        bool backward, of_y;
    } KERNELS[] = {{"z = x A^T", run_thin, false, false},
                   {"y = z B^T", run_spread, false, true},
                   {"u = dy B, dB", run_pass, true, true},
                   {"dx = u A", run_spread, true, false},
                   {"dA", run_gradient, true, false}};
    char what[64];
    b.bytes = branch_bytes(&b);
    for (size_t i = 0; i < sizeof(KERNELS) / sizeof(*KERNELS); i++) {
        b.run = KERNELS[i].run, b.backward = KERNELS[i].backward;
        snprintf(what, sizeof(what), "%s %s", name, KERNELS[i].what);
        report(what, &b, 2.0 * b.m->tokens * (KERNELS[i].of_y ? b.n : b.k), 0);
    }
}

/* One linear layer forward and backward, alone and with the adapter's columns in the reduction. */
static void bench_linear(const struct model_shape *m, const char *name, int n, int k)
{
    static const int EXTRA[] = {0, 16};
    char what[64];
    double t = m->tokens, operations = 2.0 * t * n * k;
    for (int back = 0; back < 2; back++) {
        for (int i = 0; i < 2; i++) {
            struct bench b = product_bench(m, n, k, EXTRA[i], back);
            snprintf(what, sizeof(what), "%s %s K+%d", name, back ? "dx" : "y", EXTRA[i]);
            report(what, &b, 0, operations);
        }
        struct bench side = {
            m, run_branch, 2 * ((size_t)m->tokens * (size_t)(n + k + 16) + (size_t)(n + k) * 16), n, k, 0, back, 0, {0}};
        snprintf(what, sizeof(what), "%s %s branch by products", name, back ? "dx" : "y");
        report(what, &side, 2 * t * (k + 2.0 * n), 0);
    }
}

/* Cross-entropy with its gradient. */
static enum status run_loss(const struct bench *b, CUdeviceptr base)
{
    const struct model_shape *m = b->m;
    bf16_bits *h = (void *)base, *dh = nth(base, m, m->width, 1), *table = nth(base, m, m->width, 2);
    struct cuda_cross_entropy a = {.h = h,
                                   .table = table,
                                   .targets = (void *)positions,
                                   .weights = (void *)frequencies,
                                   .logits = table + (size_t)m->vocab * (size_t)m->width,
                                   .dh = dh,
                                   .nll = (void *)cells,
                                   .stats = (void *)(cells + (1 << 20)),
                                   .fault = (void *)(cells + (1 << 20) + 64),
                                   .h_stride = m->width,
                                   .table_stride = m->width,
                                   .dh_stride = m->width,
                                   .rows = m->tokens,
                                   .cols = m->width,
                                   .vocab = m->vocab,
                                   .padded = m->vocab,
                                   .chunk = b->extra};
    return cuda_cross_entropy(d, &a);
}

/* The loss head with chunks of this many rows of logits. */
static void bench_loss(const struct model_shape *m, int chunk)
{
    char what[64];
    size_t bytes = 2 * ((size_t)m->tokens * (size_t)m->width * 2 + (size_t)m->vocab * (size_t)(m->width + chunk));
    struct bench b = {.m = m, .run = run_loss, .bytes = bytes, .extra = chunk, .backward = true};
    snprintf(what, sizeof(what), "cross_entropy + dh, chunks of %d", chunk);
    report(what, &b, 0, 4.0 * m->tokens * m->width * m->vocab);
}

/* ---- attention ------------------------------------------------------------------------------------------------------- */

/* Attention over packed segments, q, k and v in one array; or its backward. */
static enum status run_attention(const struct bench *b, CUdeviceptr base)
{
    const struct model_shape *m = b->m;
    int n = m->tokens, q = m->heads * m->dim, kv = m->groups * m->dim, row = q + 2 * kv;
    bf16_bits *qkv = (void *)base, *dqkv = qkv + (size_t)n * (size_t)row, *o = dqkv + (size_t)n * (size_t)row;
    bf16_bits *go = o + (size_t)n * (size_t)q;
    float *lse = (void *)(go + (size_t)n * (size_t)q);
    int32_t *limits = (void *)bounds;
    struct cuda_attention_args a = {.q = qkv,
                                    .k = qkv + q,
                                    .v = qkv + q + kv,
                                    .o = o,
                                    .lse = lse,
                                    .grad_o = go,
                                    .delta = lse + (size_t)n * (size_t)m->heads,
                                    .dq = dqkv,
                                    .dk = dqkv + q,
                                    .dv = dqkv + q + kv,
                                    .first_key = limits,
                                    .last_key = limits + n,
                                    .first_query = limits + 2 * n,
                                    .last_query = limits + 3 * n,
                                    .q_stride = row,
                                    .k_stride = row,
                                    .v_stride = row,
                                    .o_stride = q,
                                    .grad_o_stride = q,
                                    .dq_stride = row,
                                    .dk_stride = row,
                                    .dv_stride = row,
                                    .queries = n,
                                    .keys = n,
                                    .heads = m->heads,
                                    .groups = m->groups,
                                    .dim = m->dim,
                                    .scale = (float)(1 / sqrt(m->dim))};
    return b->backward ? cuda_attention_bwd(d, &a) : cuda_attention(d, &a);
}

/* Both directions; operations are those of the causal half. */
static void bench_attention(const struct model_shape *m)
{
    int32_t offsets[65], segments = m->tokens / m->length, n = m->tokens;
    for (int i = 0; i <= segments; i++) offsets[i] = i * m->length;
    cuda_upload(d, cells, offsets, (size_t)(segments + 1) * 4);
    int32_t *limits = (void *)bounds;
    struct cuda_attention_bounds_args a = {(void *)cells,  (void *)cells, limits, limits + n, limits + 2 * n,
                                           limits + 3 * n, segments,      n,      n,          0};
    cuda_attention_bounds(d, &a);
    size_t bytes = 2 * (size_t)n * (size_t)((4 * m->heads + 4 * m->groups) * m->dim) + 8 * (size_t)n * (size_t)m->heads;
    /* Half of the square, two products of 2 * dim operations a score. */
    double operations = 2.0 * n * m->length * m->heads * m->dim;
    report("attention", &(struct bench){.m = m, .run = run_attention, .bytes = bytes}, 0, operations);
    report("attention_bwd", &(struct bench){.m = m, .run = run_attention, .bytes = bytes, .backward = true}, 0,
           2.5 * operations);
}

/* ---- main ------------------------------------------------------------------------------------------------------------ */

/* Positions, frequencies and bounds that all measurements share. */
static void make_helpers(void)
{
    enum { MOST = 32768 };
    int32_t *p = malloc(MOST * 4);
    float *f = malloc(MOST * 4);
    for (int i = 0; i < MOST; i++) p[i] = i % 4096, f[i] = 1.0f / (float)(1 + i % 64);
    positions = cuda_alloc(d, MOST * 4), frequencies = cuda_alloc(d, MOST * 4), bounds = cuda_alloc(d, MOST * 16);
    cells = cuda_alloc(d, 4 << 20), partial = cuda_alloc(d, (size_t)256 << 20);
    struct cuda_adamw_step step = {1e-4, 0.1, 0.001, 1, INFINITY};
    cuda_upload(d, positions, p, MOST * 4), cuda_upload(d, frequencies, f, MOST * 4);
    d->driver.cuMemsetD8Async(cells, 0, 4 << 20, d->stream);
    cuda_upload(d, cells + 8192, &step, sizeof(step));
    cuda_wait(d);
    free(p), free(f);
}

int main(int argc, char **argv)
{
    struct ctx *c = ctx_new(NULL);
    d = cuda_open(c, 0);
    if (!d) {
        printf("%s\n", c->message);
        return 77;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--short") == 0)
            repeats = 3;
        else
            only = argv[i];
    }
    make_pattern();
    make_helpers();
    if (!ctx_ok(c)) {
        printf("%s\n", c->message);
        return 1;
    }
    measure_ceilings();
    for (size_t i = 0; i < sizeof(SHAPES) / sizeof(*SHAPES); i++) {
        const struct model_shape *m = &SHAPES[i];
        int q = m->heads * m->dim, kv = m->groups * m->dim;
        bench_bytes(m);
        if (m->width % 256 == 0) bench_widen(m, "gate+up", 2 * m->ffn, m->width);
        if (m->width % 256 == 0) bench_widen(m, "o", m->width, q);
        bench_linear(m, "qkv", q + 2 * kv, m->width);
        bench_linear(m, "o", m->width, q);
        bench_linear(m, "gate+up", 2 * m->ffn, m->width);
        bench_linear(m, "down", m->width, m->ffn);
        bench_branch(
            "qkv", (struct bench){.m = m, .n = q + 2 * kv, .k = m->width, .parts = 3, .column = {0, q, q + kv, q + 2 * kv}});
        bench_branch("o", (struct bench){.m = m, .n = m->width, .k = q, .parts = 1, .column = {0, m->width}});
        bench_branch("gate+up",
                     (struct bench){.m = m, .n = 2 * m->ffn, .k = m->width, .parts = 2, .column = {0, m->ffn, 2 * m->ffn}});
        bench_branch("down", (struct bench){.m = m, .n = m->width, .k = m->ffn, .parts = 1, .column = {0, m->width}});
        bench_loss(m, m->chunk);
        bench_loss(m, m->chunk * 2);
        bench_attention(m);
    }
    cuda_close(d);
    ctx_free(c);
    return 0;
}
