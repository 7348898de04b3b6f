/* bit_run: Parquet's hybrid of runs and bit-packed numbers (levels, indices into a dictionary, booleans), and its delta
 * encoding of integers. Both are read number by number from bytes that are checked as they are used.
 *
 * The hybrid is a sequence of runs, each behind a varint. An even varint 2 c is c times one number, which follows in as few
 * whole bytes as hold `width` bits; an odd one 2 g + 1 is g groups of 8 numbers of `width` bits each, packed from the lowest
 * bit up. With width 1, the bytes 08 01 03 05 are four ones (08 = 2 * 4, then 01) and one group (03 = 2 * 1 + 1) of the bits
 * of 05: 1 0 1 0 0 0 0 0.
 *
 * The delta encoding stores the first integer, then the differences between neighbours. A block has the smallest difference
 * of its numbers once, and what the others exceed it by in miniblocks, each packed with as many bits as its largest needs.
 */
#ifndef YA_IO_PARQUET_BIT_RUN_H
#define YA_IO_PARQUET_BIT_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of `width` bits (0 to 32). With width 0 and no bytes every number is 0, and there is no end of them: the levels of
 * a column that has none, where the caller counts. */
struct bit_run {
    const uint8_t *at, *end;
    int width;
    uint64_t left; /* numbers left in the run */
    bool packed;
    uint32_t value; /* of a run of equals */
    uint64_t bit;   /* of a packed run: bits used from `start` */
    const uint8_t *start;
};

/* Starts on n bytes, which must outlive *r. Cannot fail: the first bit_run_next finds out. */
void bit_run_init(struct bit_run *r, const uint8_t *bytes, size_t n, int width);
/* False when the bytes end before. */
bool bit_run_next(struct bit_run *r, uint32_t *out);

/* DELTA_BINARY_PACKED: blocks of miniblocks of differences. */
struct bit_delta {
    const uint8_t *at, *end;
    uint64_t total, given;    /* numbers in all; handed out */
    uint64_t per_mini, minis; /* numbers of a miniblock; miniblocks of a block */
    int64_t last, least;      /* the number before; the least difference of the block */
    const uint8_t *widths;    /* (minis) of the block */
    uint64_t mini, in_mini;   /* which miniblock of the block is read; numbers read of it */
    int width;                /* bits of a number of this miniblock */
};

/* Reads the header. False when it is corrupt or has more than `most` numbers. */
bool bit_delta_init(struct bit_delta *d, const uint8_t *bytes, size_t n, uint64_t most);
/* False past the last number, and when the bytes are corrupt. */
bool bit_delta_next(struct bit_delta *d, int64_t *out);
/* Reads over all numbers; d->at is then behind the last byte. False when the bytes are corrupt. */
bool bit_delta_end(struct bit_delta *d);

#endif
