/* gemm_bf16_amx: the tile of bf16 products by AMX (Advanced Matrix Extensions). Its eight tile registers hold 1 KiB each:
 * 16 rows of 64 bytes. A tile of C is 32 x 32 sums in four of them; the other four hold two tiles of A and two of B, so
 * that four instructions of 16 x 16 x 32 multiply-adds need four loads. More sums do not fit, and fewer need more loads
 * for each instruction. The tile configuration, which says how registers are shaped, belongs to the thread: it is loaded
 * when a work item starts (open) and released at its end (close). */
#include <string.h>

#include "backend/cpu/gemm/tiles_amx.h"
#include "backend/cpu/gemm_bf16/bf16_nf4_avx512.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"
#include "backend/cpu/gemm_bf16/gemm_bf16_avx512bf16.h"

#define INLINE static inline __attribute__((always_inline))

enum { MR = 32, NR = 32, ROWS = TILE_ROWS, ROW_BYTES = TILE_ROW_BYTES };

/* Requests made with one group: lines of what follows, and two rows of C, to be written. */
INLINE void fetch(struct bf16_ahead *ahead, int *c_rows, int64_t ldc)
{
    for (int64_t i = 0; i < ahead->lines; i++, ahead->next += ROW_BYTES) _mm_prefetch(ahead->next, _MM_HINT_T1);
    for (int end = *c_rows + 2; ahead->c && *c_rows < end && end <= MR; ++*c_rows)
        for (int j = 0; j < NR; j += 16) __asm__ volatile("prefetchw (%0)" : : "r"(ahead->c + *c_rows * ldc + j));
}

/* Adds one part to the sums. */
INLINE void add_part(const struct bf16_tile_part *part, struct bf16_ahead *ahead, int *c_rows, int64_t ldc, const bool lower,
                     const bool right)
{
    const char *a = (const char *)part->a, *b = (const char *)part->b;
    const int64_t a_stride = part->rs * 4, b_stride = NR * 4;
    for (int64_t s = part->steps; s > 0; s -= BF16_GROUP_STEPS) {
        fetch(ahead, c_rows, ldc);
        _tile_loadd(4, a, a_stride);
        _tile_loadd(6, b, b_stride);
        _tile_dpbf16ps(0, 4, 6);
        if (right) {
            _tile_loadd(7, b + ROW_BYTES, b_stride);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (lower) {
            _tile_loadd(5, a + ROWS * a_stride, a_stride);
            _tile_dpbf16ps(2, 5, 6);
            if (right) _tile_dpbf16ps(3, 5, 7);
        }
        a += ROW_BYTES;
        b += BF16_GROUP_STEPS * b_stride;
    }
}

/* Sums of registers 0 and 1 (first 16 rows), 2 and 3 (the others) of 16 columns each; `lower` and `right` say which of
 * them are wanted and are constants where this is expanded. */
INLINE void tile_product(const struct bf16_tile *t, float *c, int64_t ldc, const bool lower, const bool right)
{
    const int64_t c_stride = ldc * 4;
    if (!t->accumulate) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, c, c_stride);
        if (right) _tile_loadd(1, c + 16, c_stride);
        if (lower) _tile_loadd(2, c + ROWS * ldc, c_stride);
        if (lower && right) _tile_loadd(3, c + ROWS * ldc + 16, c_stride);
    }
    struct bf16_ahead ahead = t->ahead;
    int c_rows = 0;
    for (int p = 0; p < t->n_parts; p++) add_part(&t->part[p], &ahead, &c_rows, t->ldc, lower, right);
    _tile_stored(0, c, c_stride);
    if (right) _tile_stored(1, c + 16, c_stride);
    if (lower) _tile_stored(2, c + ROWS * ldc, c_stride);
    if (lower && right) _tile_stored(3, c + ROWS * ldc + 16, c_stride);
}

/* Full tiles use all four sums; at the edges of C only those that have rows and columns. */
static void tile_at(const struct bf16_tile *t, float *c, int64_t ldc)
{
    if (t->rows > ROWS) {
        if (t->columns > 16)
            tile_product(t, c, ldc, true, true);
        else
            tile_product(t, c, ldc, true, false);
    } else if (t->columns > 16) {
        tile_product(t, c, ldc, false, true);
    } else {
        tile_product(t, c, ldc, false, false);
    }
}

/* Registers hold whole tiles: one that C ends in is computed beside it. */
static void bf16_amx_tile(const struct bf16_tile *t)
{
    if (t->rows % ROWS == 0 && t->columns % 16 == 0) {
        tile_at(t, t->c, t->ldc);
        return;
    }
    float beside[MR * NR] __attribute__((aligned(64)));
    size_t bytes = (size_t)t->columns * sizeof(float);
    if (t->accumulate) memset(beside, 0, sizeof beside);
    for (int i = 0; t->accumulate && i < t->rows; i++) memcpy(beside + i * NR, t->c + i * t->ldc, bytes);
    tile_at(t, beside, NR);
    for (int i = 0; i < t->rows; i++) memcpy(t->c + i * t->ldc, beside + i * NR, bytes);
}

const struct bf16_kernels bf16_kernels_amx = {.mr = MR,
                                              .block_rows = 256,
                                              .run = 0,
                                              .thread_bytes = 3 << 20,
                                              .fast = true,
                                              .open = tiles_open,
                                              .close = tiles_close,
                                              .tile = bf16_amx_tile,
                                              .round = bf16_avx512bf16_round,
                                              .widen_nf4 = bf16_avx512_widen_nf4,
                                              .pack_columns = bf16_avx512bf16_pack_columns,
                                              .pack_rows = bf16_avx512bf16_pack_rows};
