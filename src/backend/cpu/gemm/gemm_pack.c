/* gemm_pack: panels of the B operand. A panel is nr columns wide and stores them row by row, so that a tile loads each of
 * its rows with whole vectors. Weights are widened while they are packed, a strip of a row at a time, in a scratch that
 * stays in L1: what is read from memory is the stored form, so packing from bf16 or 4 bits costs no more than from f32. */
#include <string.h>

#include "array/codec/int8.h"
#include "array/codec/nf4.h"
#include "array/codec/quant.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm/gemm.h"

enum { STRIP = 256 /* columns widened at a time: a multiple of every block length, and not of a page */ };

/* Whole blocks of stored elements, and anything of types without blocks. */
static void gemm_widen(const struct cpu_kernels *kernels, enum tensor_type type, const void *src, float *out, int64_t n)
{
    if (!kernels->widen(type, src, out, n)) quant_to_f32(type, src, out, n);
}

/* Elements [first, first + n) of a stored row, which may begin and end inside blocks. */
static void widen_piece(const struct cpu_kernels *kernels, enum tensor_type type, const char *row, int64_t first, int64_t n,
                        float *out)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    float block[TENSOR_MAX_BLOCK];
    for (int64_t m; n > 0; first += m, out += m, n -= m) {
        const char *at = row + first / info->block * info->bytes;
        int64_t inside = first % info->block;
        if (inside == 0 && n >= info->block) {
            m = n - n % info->block;
            gemm_widen(kernels, type, at, out, m);
        } else {
            m = cpu_min(info->block - inside, n);
            gemm_widen(kernels, type, at, block, info->block);
            memcpy(out, block + inside, (size_t)m * sizeof *out);
        }
    }
}

/* Columns from `first` to the end of its strip, or to `end`. */
int64_t gemm_strip(int64_t first, int64_t end)
{
    return cpu_min(STRIP - first % STRIP, end - first);
}

/* Where elements [first, first + n) of a row of the weight's form lie, in whole blocks: [*begin, *end) bytes. */
static void piece_of_row(const struct weight *w, int64_t first, int64_t n, size_t *begin, size_t *end)
{
    const struct tensor_type_info *info = tensor_type_info(w->type);
    int shift = __builtin_ctz((unsigned)info->block); /* a power of two: this runs for every strip of every row */
    size_t bytes = (size_t)info->bytes, from = (size_t)(first >> shift), to = (size_t)((first + n - 1) >> shift) + 1;
    *begin = from * bytes;
    *end = to * bytes;
    if (w->form == WEIGHT_INT8) *begin = sizeof(float) + (size_t)first, *end = *begin + (size_t)n;
    if (w->form == WEIGHT_NF4) *begin = nf4_block_place(first), *end = nf4_block_place(first + n - 1) + NF4_BLOCK_BYTES;
    if (*end > w->row_bytes) *end = w->row_bytes; /* the last block of NF4 may be shorter */
}

void gemm_source_ahead(const struct gemm_source *s, int64_t r, int64_t first, int64_t n)
{
    size_t at, end;
    if (!s->weight || n <= 0) return;
    const char *row = weight_row(s->weight, r);
    piece_of_row(s->weight, first, n, &at, &end);
    for (; at < end; at += 64) __builtin_prefetch(row + at, 0, 2);
}

/* Rows that are f32 already are returned where they lie; everything else is widened into `out`. */
const float *gemm_source_row(const struct cpu_kernels *kernels, const struct gemm_source *s, int64_t r, int64_t first,
                             int64_t n, float *out)
{
    const struct weight *w = s->weight;
    if (!w) return s->data + r * s->ld + first;
    if (w->form == WEIGHT_NF4) {
        kernels->widen_nf4(weight_row(w, r), w->cols, first, n, out);
        return out;
    }
    if (w->form == WEIGHT_INT8) {
        int8_to_f32(weight_row(w, r), first, n, out);
        return out;
    }
    const char *row = weight_row(w, r);
    if (weight_is_f32(w) && (uintptr_t)row % sizeof(float) == 0) return (const float *)(const void *)row + first;
    widen_piece(kernels, w->type, row, first, n, out);
    return out;
}

int64_t gemm_pack_scratch(const struct cpu_kernels *kernels)
{
    return (int64_t)kernels->nr * (STRIP + 16);
}

/* Rows of the source are rows of B: each strip of a row is split over the panels that its columns belong to. */
static void gemm_pack_rows(const struct cpu_kernels *kernels, const struct gemm_pack *p, float *scratch)
{
    int64_t nr = kernels->nr, first = p->panel * nr, last = cpu_min(first + p->n_panels * nr, p->n);
    for (int64_t r = 0; r < p->k; r++) {
        for (int64_t column = first, n; column < last; column += n) {
            n = gemm_strip(column, last);
            const float *row = gemm_source_row(kernels, &p->source, p->from + r, column, n, scratch);
            for (int64_t j = 0; j < n; j += nr) {
                float *dst = p->dst + (column - first + j) / nr * p->panel_stride + r * nr;
                int64_t m = cpu_min(nr, n - j);
                kernels->scale(dst, p->source.scale, row + j, m);
                for (int64_t i = m; i < nr; i++) dst[i] = 0;
            }
        }
    }
}

/* Asks for the strip of row r that follows the one of k that ends at `done`; behind the last, for the first strip of the
 * row's counterpart in the next panel. A strip of int8 is four whole lines, which was slower with it. */
static void gemm_pack_ahead(const struct gemm_pack *p, int64_t nr, int64_t r, int64_t done)
{
    int64_t last = cpu_min((p->panel + p->n_panels) * nr, p->n);
    if (p->source.weight->form == WEIGHT_INT8) return;
    if (done < p->k)
        gemm_source_ahead(&p->source, r, p->from + done, cpu_min(STRIP, p->k - done));
    else if (r + nr < last)
        gemm_source_ahead(&p->source, r + nr, p->from, cpu_min(STRIP, p->k));
}

/* Rows of the source are columns of B: nr of them are transposed, a strip of 256 elements at a time. */
static void gemm_pack_transposed(const struct cpu_kernels *kernels, const struct gemm_pack *p, int64_t panel, float *scratch)
{
    int64_t nr = kernels->nr, first = (p->panel + panel) * nr, rows = cpu_min(nr, p->n - first);
    float *dst = p->dst + panel * p->panel_stride;
    if (rows < nr) memset(dst, 0, (size_t)(p->k * nr) * sizeof(float));
    for (int64_t k = 0, n; k < p->k; k += n) {
        n = gemm_strip(p->from + k, p->from + p->k);
        int64_t ld = STRIP + 16;
        const float *src = scratch;
        if (!p->source.weight) {
            src = p->source.data + first * p->source.ld + p->from + k;
            ld = p->source.ld;
        } else {
            for (int64_t i = 0; i < rows; i++) {
                gemm_pack_ahead(p, nr, first + i, k + n);
                const float *row = gemm_source_row(kernels, &p->source, first + i, p->from + k, n, scratch + i * ld);
                if (row != scratch + i * ld) memcpy(scratch + i * ld, row, (size_t)n * sizeof(float));
            }
        }
        kernels->transpose(dst + k * nr, nr, src, ld, rows, n, p->source.scale);
    }
}

void gemm_pack_panels(const struct cpu_kernels *kernels, const struct gemm_pack *p, float *scratch)
{
    if (p->source.form == GEMM_ROWS) {
        gemm_pack_rows(kernels, p, scratch);
        return;
    }
    for (int64_t i = 0; i < p->n_panels; i++) gemm_pack_transposed(kernels, p, i, scratch);
}

enum { SET_ELEMENTS = 1024 / 4 /* rows a multiple of this apart share at most 4 of 64 cache sets */ };

/* Rows of n elements padded to whole panels, and a little more where the stride would put all rows into few sets of the
 * cache. */
int64_t gemm_direct_ld(int64_t n)
{
    int64_t ld = cpu_round_up(n, CPU_MAX_NR);
    return ld % SET_ELEMENTS == 0 ? ld + 16 : ld;
}

const float *gemm_direct_rows(const struct cpu_kernels *kernels, const float *src, int64_t *ld, int64_t rows, int64_t n,
                              float *copy)
{
    if (n % kernels->nr == 0 && *ld % SET_ELEMENTS != 0) return src;
    int64_t to = gemm_direct_ld(n), padded = cpu_round_up(n, kernels->nr);
    for (int64_t i = 0; i < rows; i++) {
        memcpy(copy + i * to, src + i * *ld, (size_t)n * sizeof(float));
        memset(copy + i * to + n, 0, (size_t)(padded - n) * sizeof(float));
    }
    *ld = to;
    return copy;
}
