/* bench_kernels: every kernel of a training step at the shapes of SmolLM2-135M, against what the machine can do.
 *
 * usage: bench_kernels [threads [runs [cpu]]]: a table on stderr, JSON on stdout; "cpu" measures processor time (1 thread).
 * B = 4 documents of T = 512 tokens, LoRA r = 16 on all linears. Times are the best of `runs`, which other work on the
 * machine disturbs least; "a step" adds them up as often as a step of the model has them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/backend.h"
#include "backend/cpu/cpu.h"
#include "base/threads.h"
#include "bench_peak.h"

enum { N = 2048, T = 512, C = 576, H = 9, G = 3, D = 64, F = 1536, V = 49152, R = 16, LAYERS = 30, ROWS_MAX = 32 };

struct row {
    const char *name;
    double flops;
    int times; /* a step has it */
    struct op_call call;
    double seconds;
};

struct bench {
    struct ctx *c;
    const struct backend *backend;
    struct row rows[ROWS_MAX];
    int n_rows, runs;
    struct weight weights[ROWS_MAX];
    int n_weights;
    struct linear_params linear[ROWS_MAX];
    int n_linear;
};

static struct array *noise(struct bench *b, int64_t rows, int64_t columns)
{
    struct array *a = array_empty(b->c, DTYPE_F32, 2, (int64_t[]){rows, columns});
    if (!a) {
        fprintf(stderr, "%s\n", b->c->message);
        exit(1);
    }
    uint32_t x = 12345;
    for (int64_t i = 0; i < rows * columns; i++) {
        x = x * 1664525u + 1013904223u;
        ((float *)a->data)[i] = ((float)(x >> 8) / (1 << 23) - 1.0f) * 0.1f;
    }
    return a;
}

static struct array *shaped(struct array *a, int64_t n, int64_t heads, int64_t d)
{
    int64_t row = a->stride[0];
    return array_view(a, 3, (int64_t[]){n, heads, d}, (int64_t[]){row, d, 1}, 0);
}

static struct weight *weight(struct bench *b, int64_t rows, int64_t cols)
{
    struct weight *w = &b->weights[b->n_weights++];
    struct array *a = noise(b, rows, cols);
    *w = (struct weight){.name = "w", .type = TENSOR_F32, .rows = rows, .cols = cols, .data = a->data};
    w->row_bytes = (size_t)cols * sizeof(float);
    return w;
}

static void add_row(struct bench *b, const char *name, double flops, int times, const struct op_call *call)
{
    b->rows[b->n_rows++] = (struct row){.name = name, .flops = flops, .times = times, .call = *call, .seconds = 1e9};
}

/* Forward and backward of n linears with adapters that share x. */
static void add_linear(struct bench *b, const char *forward, const char *backward, int64_t k, const int64_t *m, int n)
{
    struct linear_params *p = &b->linear[b->n_linear++];
    int64_t total = 0;
    *p = (struct linear_params){.n = n, .want_dx = true, .accumulate = true};
    struct op_call y = {.op = OP_LINEAR, .params = p}, d = {.op = OP_LINEAR_BWD, .params = p};
    y.in[0] = d.in[1] = noise(b, N, k);
    double flops = 0, grad_flops = 0;
    for (int i = 0; i < n; i++) {
        p->w[i] = weight(b, m[i], k);
        p->scale[i] = 2;
        y.in[1 + 2 * i] = d.in[2 + 2 * i] = noise(b, R, k);
        y.in[2 + 2 * i] = d.in[3 + 2 * i] = noise(b, m[i], R);
        y.out[1 + i] = d.in[8 + i] = noise(b, N, R);
        d.out[1 + 2 * i] = noise(b, R, k);
        d.out[2 + 2 * i] = noise(b, m[i], R);
        flops += 2.0 * N * ((double)k * (double)m[i] + R * (double)(k + m[i]));
        grad_flops += 2.0 * N * R * (double)(k + m[i]);
        total += m[i];
    }
    y.out[0] = noise(b, N, total);
    d.in[0] = noise(b, N, total);
    d.out[0] = noise(b, N, k);
    add_row(b, forward, flops, LAYERS, &y);
    add_row(b, backward, flops + grad_flops, LAYERS, &d);
}

static void add_attention(struct bench *b)
{
    static const int32_t cu[] = {0, T, 2 * T, 3 * T, 4 * T};
    static const struct attention_params p = {.scale = 0.125, .n_seg = N / T, .cu_q = cu, .cu_k = cu};
    struct array *q = shaped(noise(b, N, H * D), N, H, D), *k = shaped(noise(b, N, G * D), N, G, D);
    struct array *v = shaped(noise(b, N, (H + 2 * G) * D), N, G, D), *o = shaped(noise(b, N, H * D), N, H, D);
    struct array *lse = noise(b, N, H);
    double flops = 4.0 * N * (T + 1) / 2 * H * D; /* of the lower triangle */
    add_row(b, "attention", flops, LAYERS, &(struct op_call){OP_ATTENTION, {q, k, v}, {o, lse}, &p});
    struct op_call d = {OP_ATTENTION_BWD, {q, k, v, o, lse, shaped(noise(b, N, H * D), N, H, D)}, {NULL}, &p};
    d.out[0] = shaped(noise(b, N, H * D), N, H, D);
    d.out[1] = shaped(noise(b, N, G * D), N, G, D);
    d.out[2] = shaped(noise(b, N, G * D), N, G, D);
    add_row(b, "attention backward", 2.5 * flops, LAYERS, &d);
}

static void add_loss(struct bench *b)
{
    static struct linear_cross_entropy_params p = {.want_dh = true};
    p.w = weight(b, V, C);
    struct array *targets = array_zeros(b->c, DTYPE_I32, 1, (int64_t[]){N});
    struct array *weights = array_full(b->c, DTYPE_F32, 1, (int64_t[]){N}, 1);
    struct array *loss = array_scalar(b->c, DTYPE_F32, 0), *stats = array_zeros(b->c, DTYPE_F64, 1, (int64_t[]){3});
    struct op_call call = {
        OP_LINEAR_CROSS_ENTROPY, {noise(b, N, C), targets, weights}, {loss, stats, NULL, noise(b, N, C)}, &p};
    add_row(b, "loss with gradient", 4.0 * N * V * C, 1, &call);
}

static void add_small(struct bench *b)
{
    static const struct rms_norm_params norm = {.eps = 1e-5, .residual = true};
    static const struct rope_params rope = {.scale = 1};
    struct array *x = noise(b, N, C), *gain = noise(b, 1, C), *rstd = noise(b, 1, N), *wide = noise(b, N, 2 * F);
    struct array *dwide = noise(b, N, 2 * F);
    add_row(b, "rms_norm", 6.0 * N * C, 2 * LAYERS,
            &(struct op_call){OP_RMS_NORM, {x, gain, noise(b, N, C)}, {noise(b, N, C), noise(b, N, C), rstd}, &norm});
    add_row(b, "rms_norm backward", 10.0 * N * C, 2 * LAYERS,
            &(struct op_call){OP_RMS_NORM_BWD, {noise(b, N, C), noise(b, N, C), x, gain, rstd}, {noise(b, N, C)}, &norm});
    struct array *positions = array_zeros(b->c, DTYPE_I32, 1, (int64_t[]){N}), *heads = shaped(x, N, H, D);
    for (int i = 0; i < N; i++) ((int32_t *)positions->data)[i] = i % T;
    add_row(b, "rope of q", 3.0 * N * C, 2 * LAYERS,
            &(struct op_call){OP_ROPE, {heads, positions, noise(b, 1, D / 2)}, {shaped(noise(b, N, C), N, H, D)}, &rope});
    struct array *gate = array_view(wide, 2, (int64_t[]){N, F}, (int64_t[]){2 * F, 1}, 0);
    struct array *up = array_view(wide, 2, (int64_t[]){N, F}, (int64_t[]){2 * F, 1}, F);
    struct array *dgate = array_view(dwide, 2, (int64_t[]){N, F}, (int64_t[]){2 * F, 1}, 0);
    struct array *dup = array_view(dwide, 2, (int64_t[]){N, F}, (int64_t[]){2 * F, 1}, F);
    struct array *y = noise(b, N, F);
    add_row(b, "swiglu", 20.0 * N * F, LAYERS, &(struct op_call){OP_SWIGLU, {gate, up}, {y}, NULL});
    add_row(b, "swiglu backward", 25.0 * N * F, LAYERS, &(struct op_call){OP_SWIGLU_BWD, {y, gate, up}, {dgate, dup}, NULL});
    static const struct adamw_params adamw = {
        .lr = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .correction1 = 1, .correction2 = 1, .grad_scale = 1};
    int64_t parameters = 4884480;
    struct array *m = noise(b, 1, parameters), *v = array_zeros(b->c, DTYPE_F32, 2, (int64_t[]){1, parameters});
    add_row(b, "adamw", 12.0 * (double)parameters, 1,
            &(struct op_call){OP_ADAMW, {noise(b, 1, parameters), noise(b, 1, parameters), m, v}, {NULL}, &adamw});
}

/* Rounds go over all rows, so that a disturbance does not fall on one. */
static void measure(struct bench *b)
{
    for (int run = 0; run < b->runs; run++) {
        for (int i = 0; i < b->n_rows; i++) {
            struct row *r = &b->rows[i];
            double start = bench_seconds();
            if (b->backend->kernel[r->call.op](b->c, &r->call) != OK) {
                fprintf(stderr, "%s: %s\n", r->name, b->c->message);
                exit(1);
            }
            double seconds = bench_seconds() - start;
            r->seconds = seconds < r->seconds ? seconds : r->seconds;
        }
    }
}

static void report(const struct bench *b, int threads, double peak_one, double peak, double read)
{
    double step = 0, flops = 0;
    fprintf(stderr, "%s, %d threads; f32 multiply-add peak %.1f GFLOP/s on one thread, %.1f on all; read %.1f GB/s\n\n",
            b->backend->name, threads, peak_one, peak, read);
    fprintf(stderr, "%-24s %10s %10s %7s %10s\n", "kernel", "ms", "GFLOP/s", "% peak", "ms a step");
    printf("{\"backend\": \"%s\", \"threads\": %d, \"peak_gflops_one\": %.1f, \"peak_gflops\": %.1f, \"read_gbps\": %.1f,\n"
           " \"kernels\": [\n",
           b->backend->name, threads, peak_one, peak, read);
    for (int i = 0; i < b->n_rows; i++) {
        const struct row *r = &b->rows[i];
        double rate = r->flops / r->seconds * 1e-9;
        fprintf(stderr, "%-24s %10.3f %10.1f %7.1f %10.1f\n", r->name, r->seconds * 1e3, rate,
                peak > 0 ? rate / peak * 100 : 0, r->seconds * r->times * 1e3);
        printf("  {\"name\": \"%s\", \"ms\": %.4f, \"gflops\": %.2f, \"times_a_step\": %d}%s\n", r->name, r->seconds * 1e3,
               rate, r->times, i + 1 < b->n_rows ? "," : "");
        step += r->seconds * r->times;
        flops += r->flops * r->times;
    }
    printf(" ], \"sum_ms\": %.1f, \"sum_tokens_per_second\": %.1f}\n", step * 1e3, N / step);
    fprintf(stderr, "\nsum of a step: %.0f ms, %.1f GFLOP/s (%.1f %% of peak), %.1f tokens/s\n", step * 1e3,
            flops / step * 1e-9, peak > 0 ? flops / step * 1e-7 / peak : 0, N / step);
}

int main(int argc, char **argv)
{
    struct bench b = {.c = ctx_new(NULL), .runs = argc > 2 ? atoi(argv[2]) : 7};
    if (!b.c || !(b.backend = backend_cpu(b.c)) || array_env_new(b.c, b.backend) != OK) {
        fprintf(stderr, "%s\n", b.c ? b.c->message : "out of memory");
        return 1;
    }
    if (argc > 3 && strcmp(argv[3], "cpu") == 0) bench_use_cpu_time();
    double peak_one = bench_peak_fma(b.c);
    if (ctx_set_threads(b.c, argc > 1 ? atoi(argv[1]) : 0) != OK) {
        fprintf(stderr, "%s\n", b.c->message);
        return 1;
    }
    double peak = bench_peak_fma(b.c), read = bench_peak_read(b.c, (size_t)256 << 20);
    add_linear(&b, "q, k, v", "q, k, v backward", C, (int64_t[]){H * D, G * D, G * D}, 3);
    add_linear(&b, "o", "o backward", H * D, (int64_t[]){C}, 1);
    add_linear(&b, "gate, up", "gate, up backward", C, (int64_t[]){F, F}, 2);
    add_linear(&b, "down", "down backward", F, (int64_t[]){C}, 1);
    add_attention(&b);
    add_loss(&b);
    add_small(&b);
    measure(&b);
    report(&b, threads_count(b.c), peak_one, peak, read);
    array_env_free(b.c);
    ctx_free(b.c);
    return 0;
}
