/* bench_forms: the product with one frozen matrix by the form that it is stored in.
 *
 * usage: bench_forms [runs]: one thread, processor time; JSON on stdout, a table on stderr. T = 512 tokens; y = x W^T and
 * dx = dy W through the backend's rows, without adapters. Forms alternate within a round, so that a disturbance of the
 * machine does not fall on one; the best of `runs` counts. Several copies of W in turn keep it out of the caches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/backend.h"
#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "eval/machine.h"

enum { T = 512, COPIES = 8, SHAPES = 4 };
enum form { F32, BF16, Q4_1, NF4, INT8, INT8X2_COMPUTE, INT8_COMPUTE, FORMS };
static const char *const form_name[FORMS] = {"f32", "bf16", "q4_1", "nf4", "int8", "int8 by int8x2", "int8 by int8"};
static const struct {
    int64_t k, n;
} shapes[SHAPES] = {{576, 576}, {576, 1536}, {2048, 2048}, {2048, 5632}};

static void *must(struct ctx *c, void *p)
{
    if (p) return p;
    fprintf(stderr, "bench_forms: %s\n", c->message);
    exit(1);
}

/* Random bits that are tame numbers in every form: bf16 and f32 near 1/64, blocks with small scales. */
static struct weight weight(struct ctx *c, enum form form, int64_t rows, int64_t cols, uint32_t x)
{
    static const enum tensor_type types[FORMS] = {TENSOR_F32,  TENSOR_BF16, TENSOR_Q4_1, TENSOR_BF16,
                                                  TENSOR_BF16, TENSOR_BF16, TENSOR_BF16};
    const struct tensor_type_info *info = tensor_type_info(types[form]);
    struct weight w = {.name = form_name[form], .type = types[form], .rows = rows, .cols = cols};
    w.row_bytes = (size_t)(cols / info->block * info->bytes);
    size_t bytes = (size_t)rows * w.row_bytes;
    uint8_t *data = must(c, mem_alloc_aligned(c, bytes));
    for (size_t i = 0; i < bytes; i++) {
        size_t at = i % (size_t)info->bytes;
        x = x * 1664525u + 1013904223u;
        data[i] = (uint8_t)(x >> 24);
        if (info->block == 1 && at == (size_t)info->bytes - 1) data[i] = 0x3c;
        if (info->block > 1 && (at == 1 || at == 3)) data[i] = 0x24;
    }
    w.data = data;
    if (form < NF4) return w;
    enum weight_form made = form == NF4 ? WEIGHT_NF4 : WEIGHT_INT8;
    void *codes = must(c, mem_alloc_aligned(c, weight_form_bytes(&w, made)));
    if (weight_to_form(c, &w, made, codes) != OK) must(c, NULL);
    w.compute = form == INT8X2_COMPUTE ? COMPUTE_INT8X2 : form == INT8_COMPUTE ? COMPUTE_INT8 : COMPUTE_F32;
    mem_free(c, data);
    return w;
}

static double seconds(struct ctx *c, const struct op_call *call)
{
    double start = machine_cpu_seconds();
    if (array_backend(c)->kernel[call->op](c, call) != OK) must(c, NULL);
    return machine_cpu_seconds() - start;
}

static void shape(struct ctx *c, int s, int runs, double peak)
{
    int64_t k = shapes[s].k, n = shapes[s].n;
    struct weight w[FORMS][COPIES];
    double best[FORMS][2];
    int mark = scope_open(c);
    struct array *x = must(c, array_full(c, DTYPE_F32, 2, (int64_t[]){T, k}, 0.5)),
                 *dx = must(c, array_empty(c, DTYPE_F32, 2, x->shape));
    struct array *dy = must(c, array_full(c, DTYPE_F32, 2, (int64_t[]){T, n}, 0.5)),
                 *y = must(c, array_empty(c, DTYPE_F32, 2, dy->shape));
    for (int f = 0; f < FORMS; f++) {
        best[f][0] = best[f][1] = 1e9;
        for (int i = 0; i < COPIES; i++) w[f][i] = weight(c, (enum form)f, n, k, (uint32_t)(i + 1));
    }
    for (int run = 0; run < runs; run++)
        for (int f = 0; f < FORMS; f++) {
            struct linear_params p = {.n = 1, .w = {&w[f][run % COPIES]}, .want_dx = true};
            struct op_call calls[2] = {{.op = OP_LINEAR, .in = {x}, .out = {y}, .params = &p},
                                       {.op = OP_LINEAR_BWD, .in = {dy, x}, .out = {dx}, .params = &p}};
            for (int d = 0; d < 2; d++) {
                double t = seconds(c, &calls[d]);
                best[f][d] = t < best[f][d] ? t : best[f][d];
            }
        }
    for (int f = 0; f < FORMS; f++) {
        double flops = 2.0 * T * (double)(k * n) * 1e-9, forward = flops / best[f][0], backward = flops / best[f][1];
        fprintf(stderr, "%5lld x %5lld  %-5s  y %6.1f GFLOP/s %5.1f %%   dx %6.1f %5.1f %%\n", (long long)k, (long long)n,
                form_name[f], forward, 100 * forward / peak, backward, 100 * backward / peak);
        printf("  {\"k\": %lld, \"n\": %lld, \"form\": \"%s\", \"y_gflops\": %.1f, \"dx_gflops\": %.1f}%s\n", (long long)k,
               (long long)n, form_name[f], forward, backward, s + 1 < SHAPES || f + 1 < FORMS ? "," : "");
        for (int i = 0; i < COPIES; i++) mem_free(c, (void *)w[f][i].data);
    }
    scope_close(c, mark);
}

int main(int argc, char **argv)
{
    struct ctx *c = ctx_new(NULL);
    const struct backend *backend = c ? backend_cpu(c) : NULL;
    if (!backend || array_env_new(c, backend) != OK) {
        fprintf(stderr, "bench_forms: %s\n", c ? c->message : "out of memory");
        return 1;
    }
    double peak = machine_fma(c, 1);
    printf("{\"backend\": \"%s\", \"threads\": 1, \"tokens\": %d, \"peak_gflops\": %.1f, \"products\": [\n", backend->name,
           T, peak);
    for (int s = 0; s < SHAPES; s++) shape(c, s, argc > 1 ? atoi(argv[1]) : 16, peak);
    printf("]}\n");
    array_env_free(c);
    ctx_free(c);
    return 0;
}
