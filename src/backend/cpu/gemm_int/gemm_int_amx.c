/* gemm_int_amx: products of bytes in AMX's tile registers, 16 x 32 sums a tile. An instruction (tdpbssd and its kin) adds
 * products of 16 rows of 64 codes with 64 codes of 16 columns to 16 x 16 sums of 32 bits.
 *
 * 16-bit codes (int8x2) are two bytes, code = 256 high + low with high signed and low not, and lie in two planes: for each
 * group of 64 codes, 64 high bytes and then 64 low ones. Both planes are multiplied with the same bytes of B, into sums of
 * their own, and 256 sum(high) + sum(low) is the sum of the codes. None of them leaves 32 bits (256 * 128 * 127 * 512 <
 * 2^31), so the bits are those of every other instruction set. Registers: 0 and 1 the high plane's sums of 16 columns each,
 * 2 and 3 the low plane's, 4 and 5 rows of A, 6 and 7 columns of B: as many instructions as loads of 1 KiB, which AMX
 * overlaps as long as they come from L1.
 *
 * 8-bit codes (int8) have runs of 64, one group: after every two instructions a tile's 512 sums are scaled in vector
 * registers, which takes longer than the products. */
#include "backend/cpu/gemm/tiles_amx.h"
#include "backend/cpu/gemm_int/gemm_int_avx512.h"
#include "backend/cpu/gemm_int/gemm_int_loops.h"

enum { MR = TILE_ROWS, NR = GEMM_AVX512_NR, GROUP = TILE_ROW_BYTES, GROUP_STEPS = GROUP / 4 };

/* The sums of a tile as the registers are stored. */
struct int_amx_sums {
    int32_t at[MR][NR];
} __attribute__((aligned(64)));

/* 16 rows x 32 columns of a run. A group of A is its high plane, then its low one; register 4 or 5 has it while both halves
 * of B's columns pass by. */
static void int_amx_tile_16(const struct int_tile *t)
{
    struct int_amx_sums high, low;
    const char *a = t->a, *b = t->b;
    const int64_t a_stride = t->rs * 4, b_stride = NR * 4;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t s = t->steps; s > 0; s -= GROUP_STEPS) {
        _tile_loadd(4, a, a_stride);
        _tile_loadd(6, b, b_stride);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(5, a + GROUP, a_stride);
        _tile_dpbusd(2, 5, 6);
        _tile_loadd(7, b + TILE_ROW_BYTES, b_stride);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbusd(3, 5, 7);
        a += 2 * GROUP;
        b += GROUP_STEPS * b_stride;
    }
    _tile_stored(0, high.at[0], b_stride);
    _tile_stored(1, high.at[0] + 16, b_stride);
    _tile_stored(2, low.at[0], b_stride);
    _tile_stored(3, low.at[0] + 16, b_stride);
    for (int i = 0; i < t->rows; i++) {
        __m512i h0 = _mm512_load_si512(high.at[i]), h1 = _mm512_load_si512(high.at[i] + 16);
        h0 = _mm512_add_epi32(_mm512_slli_epi32(h0, 8), _mm512_load_si512(low.at[i]));
        h1 = _mm512_add_epi32(_mm512_slli_epi32(h1, 8), _mm512_load_si512(low.at[i] + 16));
        int_avx512_store_row(t, i, h0, h1);
    }
}

/* The same with one plane, whose codes are signed bytes. */
static void int_amx_tile_8(const struct int_tile *t)
{
    struct int_amx_sums sums;
    const char *a = t->a, *b = t->b;
    const int64_t a_stride = t->rs * 4, b_stride = NR * 4;
    _tile_zero(0);
    _tile_zero(1);
    for (int64_t s = t->steps; s > 0; s -= GROUP_STEPS) {
        _tile_loadd(4, a, a_stride);
        _tile_loadd(6, b, b_stride);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(7, b + TILE_ROW_BYTES, b_stride);
        _tile_dpbssd(1, 4, 7);
        a += GROUP;
        b += GROUP_STEPS * b_stride;
    }
    _tile_stored(0, sums.at[0], b_stride);
    _tile_stored(1, sums.at[0] + 16, b_stride);
    for (int i = 0; i < t->rows; i++)
        int_avx512_store_row(t, i, _mm512_load_si512(sums.at[i]), _mm512_load_si512(sums.at[i] + 16));
}

/* ---- packing and quantising ------------------------------------------------------------------------------------------- */

/* Rows of B behind the k that were packed, up to a whole group. */
static void gemm_int_amx_fill_group(int32_t *run, int64_t k)
{
    int64_t steps = (k + 3) / 4, whole = (k + GROUP - 1) / GROUP * GROUP_STEPS;
    memset(run + steps * NR, 0, (size_t)((whole - steps) * NR) * sizeof *run);
}

static void int_amx_pack_columns(void *run, const int8_t *const *rows, int n, int64_t k)
{
    int_avx512_pack_columns_bytes(run, rows, n, k);
    gemm_int_amx_fill_group(run, k);
}

static void int_amx_pack_rows(void *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n)
{
    int_avx512_pack_rows_bytes(run, panel_stride, rows, k, n);
    for (int64_t j = 0; j < n; j += NR) gemm_int_amx_fill_group((int32_t *)run + j / NR * panel_stride, k);
}

/* The planes of 16-bit codes: an arithmetic shift gives the high byte, rounded down, and what is left is not negative. */
static float int_amx_quantise_16(void *codes, const float *x, const float *fold, int64_t n, int limit)
{
    int16_t wide[INT_RUN + GROUP];
    int8_t *out = codes;
    int64_t whole = (n + GROUP - 1) / GROUP * GROUP;
    float scale = int_quantise_16(wide, x, fold, n, limit);
    memset(wide + n, 0, (size_t)(whole - n) * sizeof *wide);
    for (int64_t at = 0; at < whole; at += GROUP, out += 2 * GROUP)
        for (int i = 0; i < GROUP; i++) {
            out[i] = (int8_t)(wide[at + i] >> 8);
            out[GROUP + i] = (int8_t)(wide[at + i] & 0xff);
        }
    return scale;
}

static float int_amx_quantise_8(void *codes, const float *x, const float *fold, int64_t n, int limit)
{
    int16_t wide[INT_RUN + GROUP];
    int8_t *out = codes;
    int64_t whole = (n + GROUP - 1) / GROUP * GROUP;
    float scale = int_quantise_16(wide, x, fold, n, limit);
    memset(wide + n, 0, (size_t)(whole - n) * sizeof *wide);
    for (int64_t i = 0; i < whole; i++) out[i] = (int8_t)wide[i];
    return scale;
}

#define KERNELS(CODES, LIMIT, BITS)                                                                                         \
    {                                                                                                                       \
        .mr = MR, .codes = CODES, .panel_codes = 4, .group = GROUP, .limit = LIMIT, .open = tiles_open,                     \
        .close = tiles_close, .tile = int_amx_tile_##BITS, .quantise = int_amx_quantise_##BITS,                             \
        .pack_columns = int_amx_pack_columns, .pack_rows = int_amx_pack_rows                                                \
    }
const struct int_kernels int_kernels_amx_16 = KERNELS(2, 32767, 16);
const struct int_kernels int_kernels_amx_8 = KERNELS(4, 127, 8);
