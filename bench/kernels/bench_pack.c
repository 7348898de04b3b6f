/* bench_pack: what it costs one thread to pack a frozen weight into the panels that products read, by the form in which the
 * weight lies in memory. A product spreads this over its tokens; where they are few it is a good part of the time.
 *
 * usage: bench_pack [ROWS COLS] (5632 2048, TinyLlama's feed-forward; multiples of 256): a line for each form with
 * nanoseconds of processor time an element, the best of four passes over so many copies of the weight that no cache holds
 * them: panels of y = x W^T in f32, the same in bf16, and panels of dx = dy W in bf16. YA_CPU names other kernels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "array/codec/int8.h"
#include "array/codec/nf4.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"

enum { PASSES = 4, COLUMNS = 128 /* of a panel's row, or rows, packed at a time */, RUN = 640 /* k of an f32 panel */ };
static const size_t total_bytes = (size_t)200 << 20;

/* Packs the whole weight of a source, COLUMNS of it at a time, over and over into the same memory. */
typedef void pack_fn(const struct cpu_kernels *kernels, const struct gemm_source *s, void *panels, float *scratch);

static void pack_f32(const struct cpu_kernels *kernels, const struct gemm_source *s, void *panels, float *scratch)
{
    int64_t nr = kernels->nr, rows = s->weight->rows, cols = s->weight->cols;
    for (int64_t j = 0; j < rows; j += COLUMNS)
        for (int64_t k = 0; k < cols; k += RUN) {
            const struct gemm_pack p = {.source = *s,
                                        .from = k,
                                        .k = cols - k < RUN ? cols - k : RUN,
                                        .n = rows,
                                        .panel = j / nr,
                                        .n_panels = COLUMNS / nr,
                                        .dst = panels,
                                        .panel_stride = RUN * nr};
            gemm_pack_panels(kernels, &p, scratch);
        }
}

/* Rows of the weight become columns of panels, or stay rows, by the source's form. */
static void pack_bf16(const struct cpu_kernels *kernels, const struct gemm_source *s, void *panels, float *scratch)
{
    bool columns = s->form == GEMM_TRANSPOSED;
    int64_t rows = s->weight->rows, cols = s->weight->cols, k = columns ? cols : COLUMNS, n = columns ? COLUMNS : cols;
    for (int64_t j = 0; j < rows; j += COLUMNS) {
        const struct bf16_pack p = {.source = *s,
                                    .from = columns ? 0 : j,
                                    .k = k,
                                    .first = columns ? j : 0,
                                    .n = n,
                                    .dst = panels,
                                    .panel_stride = bf16_steps(k) * kernels->nr};
        bf16_pack_panels(kernels, kernels->bf16, &p, scratch);
    }
}

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Nanoseconds an element, of `copies` weights that lie one behind the other. */
static double best_pass(const struct cpu_kernels *kernels, struct weight w, int copies, pack_fn *pack, enum gemm_form form)
{
    float *scratch = aligned_alloc(64, 1 << 20), *panels = aligned_alloc(64, (size_t)64 << 20);
    const char *data = w.data;
    double best = 1e30;
    for (int pass = 0; pass < PASSES && scratch && panels; pass++) {
        double begin = processor_seconds();
        for (int i = 0; i < copies; i++) {
            w.data = data + (size_t)i * (size_t)w.rows * w.row_bytes;
            pack(kernels, &(struct gemm_source){.form = form, .weight = &w, .scale = 1}, panels, scratch);
        }
        double ns = 1e9 * (processor_seconds() - begin) / ((double)w.rows * (double)w.cols * copies);
        if (ns < best) best = ns;
    }
    free(scratch);
    free(panels);
    return best;
}

/* One line of the page. Any bytes do, as the time does not depend on them; these are small finite numbers in every form. */
static void print_form(const struct cpu_kernels *kernels, const char *name, struct weight w)
{
    const struct tensor_type_info *info = tensor_type_info(w.type);
    w.row_bytes = (size_t)(w.cols / info->block) * (size_t)info->bytes;
    if (w.form == WEIGHT_NF4) w.row_bytes = nf4_row_bytes(w.cols);
    if (w.form == WEIGHT_INT8) w.row_bytes = int8_row_bytes(w.cols);
    size_t bytes = (size_t)w.rows * w.row_bytes;
    int copies = (int)(total_bytes / bytes) + 1;
    char *data = malloc(bytes * (size_t)copies);
    if (!data) return;
    memset(data, 0x35, bytes * (size_t)copies);
    w.data = data;
    printf("%-6s y in f32 %.3f", name, best_pass(kernels, w, copies, pack_f32, GEMM_TRANSPOSED));
    w.compute = COMPUTE_BF16;
    printf("  y in bf16 %.3f  dx in bf16 %.3f  ns\n", best_pass(kernels, w, copies, pack_bf16, GEMM_TRANSPOSED),
           best_pass(kernels, w, copies, pack_bf16, GEMM_ROWS));
    free(data);
}

int main(int argc, char **argv)
{
    struct weight w = {.name = "w", .rows = argc > 2 ? atoll(argv[1]) : 5632, .cols = argc > 2 ? atoll(argv[2]) : 2048};
    static const enum tensor_type stored[] = {TENSOR_F32, TENSOR_BF16, TENSOR_Q4_1, TENSOR_Q4_K};
    struct ctx *c = ctx_new(NULL);
    struct backend *b = c ? cpu_backend_open(c, NULL, false) : NULL;
    const struct cpu_kernels *kernels = b ? ((struct cpu_backend *)b)->kernels : NULL;
    if (!kernels || w.rows < 256 || w.cols < 256 || w.rows > 65536 || w.cols > 65536 || w.rows % 256 || w.cols % 256) {
        fprintf(stderr, "usage: bench_pack [ROWS COLS], multiples of 256 up to 65536; with kernels that pack (YA_CPU)\n");
        return 2;
    }
    printf("%s, %lld x %lld\n", b->name, (long long)w.rows, (long long)w.cols);
    for (int i = 0; i < 4; i++) {
        w.type = stored[i];
        print_form(kernels, tensor_type_info(w.type)->name, w);
    }
    w.type = TENSOR_BF16;
    w.form = WEIGHT_NF4;
    print_form(kernels, "NF4", w);
    w.form = WEIGHT_INT8;
    print_form(kernels, "INT8", w);
    b->close(b);
    ctx_free(c);
    return 0;
}
