/* nf4: quantising and reading rows; the format is described in nf4.h. Tables are printed by tools/gen_nf4.py. */
#include "array/codec/nf4.h"

#include <math.h>

/* Appendix E of the paper. */
const float nf4_level[16] = {
#include "array/codec/nf4_levels.def"
};

/* x is nearer to level i + 1 than to level i exactly when it is above this: the middle, rounded down to an f32. */
static const float threshold[15] = {-0.84809643f,  -0.610632956f,  -0.45999527f,  -0.33967945f, -0.234607413f,
                                    -0.137911737f, -0.0455250181f, 0.0397901498f, 0.120255247f, 0.203521252f,
                                    0.292013764f,  0.389312536f,   0.501663387f,  0.64278692f,  0.861478388f};

static const float largest = 1e30f;

size_t nf4_row_bytes(int64_t cols)
{
    size_t n = (size_t)cols, groups = (n + NF4_GROUP - 1) / NF4_GROUP, blocks = (n + NF4_BLOCK - 1) / NF4_BLOCK;
    return groups * NF4_GROUP_HEADER_BYTES + blocks + n / NF4_BLOCK * (NF4_BLOCK / 2) + (n % NF4_BLOCK + 1) / 2;
}

/* Quantising a model of a billion weights is what a user waits for, so blocks go through vectors of four, which every
 * processor has. */
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));

enum { LANES = 4 };

/* x in every lane; x - 0 is x with its sign, also where x is -0. */
static inline vf nf4_splat(float x)
{
    return x - (vf){0};
}

/* A block as a whole one: zeros behind its last element. */
static void block_load(vf *to, const float *x, int64_t n)
{
    if (n < NF4_BLOCK) memset(to, 0, NF4_BLOCK * sizeof(float));
    memcpy(to, x, (size_t)n * sizeof(float));
}

/* Largest absolute value of n elements; false when one is too large or no number. */
static bool block_scale(const float *x, int64_t n, float *scale)
{
    vf v[NF4_BLOCK / LANES], most = {0};
    vi fits = {-1, -1, -1, -1};
    block_load(v, x, n);
    for (int i = 0; i < NF4_BLOCK / LANES; i++) {
        vf size = (vf)((vi)v[i] & 0x7fffffff);
        vi larger = size > most;
        fits &= size <= nf4_splat(largest);
        most = (vf)((larger & (vi)size) | (~larger & (vi)most));
    }
    *scale = 0;
    for (int i = 0; i < LANES; i++) *scale = most[i] > *scale ? most[i] : *scale;
    return fits[0] && fits[1] && fits[2] && fits[3];
}

/* (high - low) / 255, rounded up to 16 significant bits: a product of it with an 8-bit q then has at most 24 bits and is
 * exact in f32. Rounded up, so that 255 steps still reach the largest scale of the group. Clearing the low 8 bits of the
 * 24 of an f32's significand, after adding 255, does that; a carry into the exponent gives the next power of two, which is
 * right too. */
static float scale_step(float low, float high)
{
    float step = (high - low) / 255.0f;
    uint32_t bits;
    memcpy(&bits, &step, sizeof bits);
    bits = (bits + 0xffu) & 0xffffff00u;
    memcpy(&step, &bits, sizeof bits);
    return step;
}

/* The nearest of 16 levels for each element: the number of thresholds below its ratio to the scale, counted without
 * branches in four lanes at a time. */
static void block_codes(const float *x, int64_t n, float scale, uint8_t *out)
{
    vf v[NF4_BLOCK / LANES], divisor = nf4_splat(scale > 0 ? scale : 1.0f); /* where it is 0, so is every element */
    vi code[NF4_BLOCK / LANES];
    int32_t codes[NF4_BLOCK];
    int64_t half = (n + 1) / 2;
    block_load(v, x, n);
    for (int i = 0; i < NF4_BLOCK / LANES; i++) {
        vf ratio = v[i] / divisor;
        code[i] = (vi){0};
        for (int t = 0; t < 15; t++) code[i] -= ratio > nf4_splat(threshold[t]); /* a true comparison is -1 */
    }
    memcpy(codes, code, sizeof codes);
    for (int64_t i = 0; i < half; i++) {
        int32_t high = half + i < n ? codes[half + i] : 0;
        out[i] = (uint8_t)(codes[i] | high << 4);
    }
}

/* Two passes over a group: the scales of all blocks, from which the group's offset and step follow; then each block's
 * 8-bit scale and its codes, which are chosen by the scale as it will be read. */
static bool quantise_group(const float *x, int64_t n, uint8_t *row)
{
    float scale[NF4_GROUP / NF4_BLOCK], low = INFINITY, high = 0;
    bool fits = true;
    for (int64_t at = 0; at < n; at += NF4_BLOCK) {
        float *s = &scale[at / NF4_BLOCK];
        fits &= block_scale(x + at, n - at < NF4_BLOCK ? n - at : NF4_BLOCK, s);
        low = *s < low ? *s : low;
        high = *s > high ? *s : high;
    }
    if (!fits) return false;
    float step = scale_step(low, high);
    memcpy(row, &low, sizeof low);
    memcpy(row + sizeof low, &step, sizeof step);
    row += NF4_GROUP_HEADER_BYTES;
    for (int64_t at = 0; at < n; at += NF4_BLOCK, row += NF4_BLOCK_BYTES) {
        float q = step > 0 ? floorf((scale[at / NF4_BLOCK] - low) / step + 0.5f) : 0.0f;
        row[0] = (uint8_t)(q < 255.0f ? q : 255.0f);
        block_codes(x + at, n - at < NF4_BLOCK ? n - at : NF4_BLOCK, low + step * (float)row[0], row + 1);
    }
    return true;
}

bool nf4_quantise_row(const float *x, int64_t cols, void *row)
{
    uint8_t *to = row;
    for (int64_t at = 0; at < cols; at += NF4_GROUP, to += NF4_GROUP_BYTES)
        if (!quantise_group(x + at, cols - at < NF4_GROUP ? cols - at : NF4_GROUP, to)) return false;
    return true;
}

/* Element i of a block. */
static int code_at(const struct nf4_block *b, int64_t i)
{
    int64_t half = (b->n + 1) / 2;
    return i < half ? b->codes[i] & 15 : b->codes[i - half] >> 4;
}

void nf4_to_f32(const void *row, int64_t cols, int64_t first, int64_t n, float *out)
{
    for (int64_t at = first, end = first + n; at < end;) {
        struct nf4_block b = nf4_block_at(row, cols, at);
        float value[16], scale = nf4_block_scale(&b);
        for (int k = 0; k < 16; k++) value[k] = scale * nf4_level[k];
        for (int64_t i = at % NF4_BLOCK; i < b.n && at < end; i++, at++) *out++ = value[code_at(&b, i)];
    }
}

void nf4_to_f64(const void *row, int64_t cols, int64_t first, int64_t n, double *out)
{
    for (int64_t at = first, end = first + n; at < end;) {
        struct nf4_block b = nf4_block_at(row, cols, at);
        double scale = (double)b.offset + (double)b.step * b.q;
        for (int64_t i = at % NF4_BLOCK; i < b.n && at < end; i++, at++) *out++ = scale * (double)nf4_level[code_at(&b, i)];
    }
}
