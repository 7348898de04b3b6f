/* nf4: the 4-bit NormalFloat of Dettmers et al. 2023 (QLoRA), to which a frozen matrix is quantised when it is loaded.
 *
 * A row is a thing of its own: 64 elements are a block with one scale s, the largest absolute value of the block; an
 * element is s times the nearest of 16 levels, quantiles of the normal distribution. The scales of 256 blocks are a group:
 * they are 8-bit numbers q between the group's smallest and largest scale ("double quantisation"). Bytes of a row, little
 * endian:
 *
 *   group: f32 offset; f32 step; blocks (256, in the last group the rest)     s = offset + step * q
 *   block: u8 q; codes: byte i holds element i in its low and element i + h in its high half; h = 32
 *
 * The last block of a row may be shorter: with n elements it has h = (n + 1) / 2 bytes of codes. Groups do not cross rows.
 * That is 33 bytes for 64 elements and 8 for each row: 4.14 bits for an element at 2048 columns, 4.24 at 576.
 *
 * Different from bitsandbytes, where blocks and groups run through the flattened matrix: there the 8 bits choose from a
 * floating table around the mean scale, here they are equal steps from the group's smallest scale, so that no scale is
 * ever negative; and there an element's level is chosen by the scale before it was rounded to 8 bits, here by the one that
 * it will be read with, which is never further off. Codes of one are no codes of the other; the levels are the same.
 *
 * step has 16 significant bits, so that step * q is exact and a scale is the same number with and without fused
 * multiply-add. */
#ifndef YA_ARRAY_NF4_H
#define YA_ARRAY_NF4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    NF4_BLOCK = 64,
    NF4_BLOCK_BYTES = 1 + NF4_BLOCK / 2,
    NF4_GROUP = 256 * NF4_BLOCK, /* elements */
    NF4_GROUP_HEADER_BYTES = 2 * sizeof(float),
    NF4_GROUP_BYTES = NF4_GROUP_HEADER_BYTES + NF4_GROUP / NF4_BLOCK * NF4_BLOCK_BYTES,
};

extern const float nf4_level[16];

/* Bytes of a row of `cols` >= 1 elements. */
size_t nf4_row_bytes(int64_t cols);

/* Writes the row of x (cols). False when an element is not finite or above 1e30 in size: no scale would hold it. The bytes
 * of the row are then undefined. */
bool nf4_quantise_row(const float *x, int64_t cols, void *row);

/* Elements [first, first + n) of a row of `cols` elements widened to f32 or f64; the f64 form takes scale and product in
 * double. */
void nf4_to_f32(const void *row, int64_t cols, int64_t first, int64_t n, float *out);
void nf4_to_f64(const void *row, int64_t cols, int64_t first, int64_t n, double *out);

/* Where a block lies and how to read it; for loops that widen whole blocks. */
struct nf4_block {
    const uint8_t *codes;
    float offset, step;
    uint8_t q;
    int64_t n; /* elements */
};

/* Where in a row the block of element `at` begins, in bytes. */
static inline size_t nf4_block_place(int64_t at)
{
    return (size_t)(at / NF4_GROUP * NF4_GROUP_BYTES + NF4_GROUP_HEADER_BYTES +
                    at % NF4_GROUP / NF4_BLOCK * NF4_BLOCK_BYTES);
}

/* The block that element `at` of the row belongs to. */
static inline struct nf4_block nf4_block_at(const void *row, int64_t cols, int64_t at)
{
    struct nf4_block b;
    const uint8_t *group = (const uint8_t *)row + at / NF4_GROUP * NF4_GROUP_BYTES;
    const uint8_t *block = (const uint8_t *)row + nf4_block_place(at);
    int64_t left = cols - at / NF4_BLOCK * NF4_BLOCK;
    memcpy(&b.offset, group, sizeof b.offset);
    memcpy(&b.step, group + sizeof b.offset, sizeof b.step);
    b.q = block[0];
    b.codes = block + 1;
    b.n = left < NF4_BLOCK ? left : NF4_BLOCK;
    return b;
}

/* The scale of a block: s = offset + step * q, exact to f32's rounding of the sum. */
static inline float nf4_block_scale(const struct nf4_block *b)
{
    return b->offset + b->step * (float)b->q;
}

#endif
