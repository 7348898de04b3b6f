/* bit_run: see bit_run.h. apache/parquet-format, Encodings.md. */
#include "io/parquet/bit_run.h"

#include "io/parquet/thrift.h"

/* Bits [bit, bit + width) of bytes, least significant first; the caller knows that they are there. */
static uint64_t take_bits(const uint8_t *bytes, uint64_t bit, int width)
{
    uint64_t v = 0;
    for (int got = 0; got < width;) {
        uint64_t byte = bytes[(bit + (uint64_t)got) / 8];
        int skip = (int)((bit + (uint64_t)got) % 8), n = 8 - skip < width - got ? 8 - skip : width - got;
        v |= (byte >> skip & ((1u << n) - 1)) << got;
        got += n;
    }
    return v;
}

/* An unsigned number in groups of 7 bits, lowest first; thrift.h has its reader. */
static bool take_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    struct thrift t = {.at = *at, .end = end};
    *out = thrift_varint(&t);
    *at = t.at;
    return !t.failed;
}

/* ---- runs ---- */

void bit_run_init(struct bit_run *r, const uint8_t *bytes, size_t n, int width)
{
    *r = (struct bit_run){.at = bytes, .end = n ? bytes + n : bytes, .width = width};
}

/* A header: an even number is a run of half its count, an odd one half its count of groups of 8 packed numbers. */
static bool next_run(struct bit_run *r)
{
    uint64_t head;
    if (!take_varint(&r->at, r->end, &head) || head < 2) return false;
    size_t left = (size_t)(r->end - r->at);
    r->packed = head & 1;
    if (r->packed) {
        uint64_t groups = head >> 1, room = r->width ? left / (size_t)r->width : groups;
        if (groups > room) groups = room; /* the last group may be cut */
        bool cut = groups < head >> 1;
        r->left = cut && r->width ? left * 8 / (uint64_t)r->width : groups * 8;
        if (r->left == 0 || groups > INT64_MAX / 8) return false;
        r->start = r->at;
        r->bit = 0;
        r->at += cut ? left : groups * (uint64_t)r->width;
        return true;
    }
    size_t bytes = (size_t)(r->width + 7) / 8;
    if (bytes > left) return false;
    r->value = (uint32_t)take_bits(r->at, 0, 8 * (int)bytes);
    r->at += bytes;
    r->left = head >> 1;
    return r->width == 32 || r->value < 1ull << r->width;
}

bool bit_run_next(struct bit_run *r, uint32_t *out)
{
    *out = 0;
    if (r->width == 0 && r->left == 0 && r->at == r->end) return true;
    if (r->left == 0 && !next_run(r)) return false;
    r->left--;
    *out = r->value;
    if (!r->packed) return true;
    *out = (uint32_t)take_bits(r->start, r->bit, r->width);
    r->bit += (uint64_t)r->width;
    return true;
}

/* ---- differences ---- */

/* A signed number as a varint: 0, -1, 1, -2, 2, ... are stored as 0, 1, 2, 3, 4, so small ones of either sign stay short. */
static bool take_zigzag(const uint8_t **at, const uint8_t *end, int64_t *out)
{
    uint64_t v;
    if (!take_varint(at, end, &v)) return false;
    *out = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
    return true;
}

bool bit_delta_init(struct bit_delta *d, const uint8_t *bytes, size_t n, uint64_t most)
{
    uint64_t block;
    *d = (struct bit_delta){.at = bytes, .end = bytes + n};
    if (!take_varint(&d->at, d->end, &block) || !take_varint(&d->at, d->end, &d->minis) ||
        !take_varint(&d->at, d->end, &d->total) || !take_zigzag(&d->at, d->end, &d->last))
        return false;
    if (d->minis == 0 || d->minis > 1 << 16 || block == 0 || block > 1 << 24 || block % d->minis != 0) return false;
    d->per_mini = block / d->minis;
    d->mini = d->minis;
    return d->per_mini % 8 == 0 && d->total <= most;
}

/* Moves to the next miniblock, over the end of the block. */
static bool next_mini(struct bit_delta *d)
{
    if (d->mini < d->minis) { /* behind the one that was read */
        d->at += d->per_mini * (uint64_t)d->width / 8;
        d->mini++;
    }
    if (d->mini == d->minis) {
        if (!take_zigzag(&d->at, d->end, &d->least) || (uint64_t)(d->end - d->at) < d->minis) return false;
        d->widths = d->at;
        d->at += d->minis;
        d->mini = 0;
    }
    d->width = d->widths[d->mini];
    d->in_mini = 0;
    return d->width <= 64 && d->per_mini * (uint64_t)d->width / 8 <= (uint64_t)(d->end - d->at);
}

bool bit_delta_next(struct bit_delta *d, int64_t *out)
{
    if (d->given == d->total) return false;
    if (d->given++ == 0) return *out = d->last, true;
    if ((d->mini == d->minis || d->in_mini == d->per_mini) && !next_mini(d)) return false;
    uint64_t difference = take_bits(d->at, d->in_mini++ * (uint64_t)d->width, d->width) + (uint64_t)d->least;
    d->last = (int64_t)((uint64_t)d->last + difference); /* wraps, as the format has it */
    *out = d->last;
    return true;
}

bool bit_delta_end(struct bit_delta *d)
{
    int64_t v;
    while (d->given < d->total)
        if (!bit_delta_next(d, &v)) return false;
    if (d->mini < d->minis) d->at += d->per_mini * (uint64_t)d->width / 8;
    d->mini = d->minis;
    return true;
}
