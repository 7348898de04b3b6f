/* parquet_value: the decoders of a page's values (apache/parquet-format, Encodings.md).
 *
 *   PLAIN                     numbers little-endian one after the other; byte strings behind their length of 4 bytes;
 *                             booleans a bit each
 *   RLE_DICTIONARY            indices into the dictionary page, as runs of bit_run.h
 *   RLE                       booleans as such runs
 *   DELTA_BINARY_PACKED       integers as differences (bit_run.h)
 *   DELTA_LENGTH_BYTE_ARRAY   lengths of all strings as differences, then all bytes
 *   DELTA_BYTE_ARRAY          for each string how much of the one before it keeps, and its own end: sorted strings get short
 *   BYTE_STREAM_SPLIT         first bytes of all values, then all second bytes, ...: compresses floats better
 *
 * DELTA_BYTE_ARRAY makes "axis" and "axle" the prefix lengths 0 2, the lengths 4 2, and the bytes "axisle".
 * parquet_values_init finds where the parts of a page begin, and each parquet_values_next then reads one value by
 * next_value. */
#include "io/parquet/parquet_value.h"

#include <string.h>

#include "base/le.h"

bool parquet_encoding_is_known(int64_t encoding)
{
    return encoding == PARQUET_PLAIN || encoding == PARQUET_PLAIN_DICTIONARY || encoding == PARQUET_RLE ||
           (encoding >= PARQUET_DELTA_BINARY_PACKED && encoding <= PARQUET_BYTE_STREAM_SPLIT);
}

/* Bytes of a value of a type that has always as many; 0 for the others. */
static size_t value_bytes(const struct parquet_node *leaf)
{
    switch (leaf->type) {
    case PARQUET_INT32:
    case PARQUET_FLOAT:
        return 4;
    case PARQUET_INT64:
    case PARQUET_DOUBLE:
        return 8;
    case PARQUET_INT96:
        return 12;
    case PARQUET_FIXED:
        return (size_t)leaf->fixed_bytes;
    default:
        return 0;
    }
}

/* A 32-bit length, little-endian, and as many bytes behind it. */
static bool take_sized(const uint8_t **at, const uint8_t *end, struct parquet_value *out)
{
    const uint8_t *p = *at;
    if (end - p < 4) return false;
    size_t n = le_u32(p);
    if (n > (size_t)(end - p) - 4) return false;
    *out = (struct parquet_value){p + 4, n};
    *at = p + 4 + n;
    return true;
}

/* The next n bytes as a value. */
static bool value_take(struct parquet_values *v, size_t n, struct parquet_value *out)
{
    if (n > (size_t)(v->end - v->at)) return false;
    *out = (struct parquet_value){v->at, n};
    v->at += n;
    return true;
}

/* ---- beginning ---- */

/* Lengths as differences, and behind them the bytes. Where those begin is known only when all lengths were passed over,
 * which a copy of the reader does. */
static bool init_lengths(struct parquet_values *v, struct bit_delta *lengths)
{
    if (!bit_delta_init(lengths, v->at, (size_t)(v->end - v->at), v->most)) return false;
    struct bit_delta over = *lengths;
    if (!bit_delta_end(&over)) return false;
    v->at = over.at;
    return true;
}

/* The rest of the page is runs of `width` bits. */
static bool init_runs(struct parquet_values *v, int width)
{
    bit_run_init(&v->run, v->at, (size_t)(v->end - v->at), width);
    return true;
}

/* Whether the column's values are integers of 4 or 8 bytes. */
static bool value_is_integer(const struct parquet_node *leaf)
{
    return leaf->type == PARQUET_INT32 || leaf->type == PARQUET_INT64;
}

bool parquet_values_init(struct parquet_values *v, const struct parquet_node *leaf, int encoding, const uint8_t *bytes,
                         size_t n, uint64_t most, const struct parquet_dictionary *dictionary, struct buf *whole)
{
    *v = (struct parquet_values){.leaf = leaf, .encoding = encoding, .at = bytes, .end = bytes + n, .most = most};
    v->dictionary = dictionary;
    v->whole = whole;
    bool sized = leaf->type == PARQUET_BYTES || leaf->type == PARQUET_FIXED;
    struct parquet_value size;
    buf_clear(whole);
    switch (encoding) {
    case PARQUET_PLAIN:
        return true;
    case PARQUET_PLAIN_DICTIONARY:
    case PARQUET_RLE_DICTIONARY:
        v->encoding = PARQUET_RLE_DICTIONARY;
        if (n == 0) return dictionary != NULL; /* a page of nulls */
        if (!dictionary || *v->at > 32) return false;
        return init_runs(v, *v->at++);
    case PARQUET_RLE:
        if (leaf->type != PARQUET_BOOLEAN || !take_sized(&v->at, v->end, &size)) return false;
        bit_run_init(&v->run, size.bytes, size.n, 1);
        return true;
    case PARQUET_DELTA_BINARY_PACKED:
        return value_is_integer(leaf) && bit_delta_init(&v->lengths, bytes, n, most);
    case PARQUET_DELTA_LENGTH_BYTE_ARRAY:
        return leaf->type == PARQUET_BYTES && init_lengths(v, &v->lengths);
    case PARQUET_DELTA_BYTE_ARRAY:
        return sized && init_lengths(v, &v->prefixes) && init_lengths(v, &v->lengths);
    case PARQUET_BYTE_STREAM_SPLIT:
        return value_bytes(leaf) > 0 && leaf->type != PARQUET_INT96 && n % value_bytes(leaf) == 0 &&
               value_bytes(leaf) <= sizeof v->number;
    default:
        return false;
    }
}

/* ---- one value ---- */

/* A number of `n` bytes from an integer. */
static bool give_number(struct parquet_values *v, int64_t number, size_t n, struct parquet_value *out)
{
    for (size_t i = 0; i < n; i++) v->number[i] = (uint8_t)((uint64_t)number >> 8 * i);
    *out = (struct parquet_value){v->number, n};
    return true;
}

/* A boolean as a byte. */
static bool next_boolean(struct parquet_values *v, struct parquet_value *out)
{
    uint32_t bit;
    if (v->encoding == PARQUET_PLAIN) { /* a bit each, without runs */
        uint64_t at = v->given;
        if (at / 8 >= (uint64_t)(v->end - v->at)) return false;
        return give_number(v, v->at[at / 8] >> at % 8 & 1, 1, out);
    }
    return bit_run_next(&v->run, &bit) && give_number(v, bit, 1, out);
}

/* The next value in PLAIN. */
static bool next_plain(struct parquet_values *v, struct parquet_value *out)
{
    if (v->leaf->type == PARQUET_BOOLEAN) return next_boolean(v, out);
    if (v->leaf->type == PARQUET_BYTES) return take_sized(&v->at, v->end, out);
    return value_take(v, value_bytes(v->leaf), out);
}

/* The next value of the dictionary. */
static bool next_index(struct parquet_values *v, struct parquet_value *out)
{
    uint32_t i;
    /* A page of nulls has no indices and its run was never begun, and such a run would give index 0 for ever. */
    if (v->at == v->end && v->run.left == 0 && v->run.width == 0 && v->run.end == NULL) return false;
    if (!bit_run_next(&v->run, &i) || i >= v->dictionary->n) return false;
    *out = v->dictionary->values[i];
    return true;
}

/* The first `prefix` bytes of the value before, and a new end. */
static bool next_prefixed(struct parquet_values *v, struct parquet_value *out)
{
    int64_t prefix, n;
    struct parquet_value end;
    if (!bit_delta_next(&v->prefixes, &prefix) || !bit_delta_next(&v->lengths, &n)) return false;
    if (prefix < 0 || (uint64_t)prefix > v->whole->len || n < 0 || !value_take(v, (size_t)n, &end)) return false;
    if (end.n > v->whole->cap_bytes - (size_t)prefix) return false;
    v->whole->len = (size_t)prefix;
    buf_append(v->whole, end.bytes, end.n);
    *out = (struct parquet_value){(const uint8_t *)buf_str(v->whole), v->whole->len};
    return buf_ok(v->whole) && (v->leaf->type == PARQUET_BYTES || out->n == value_bytes(v->leaf));
}

/* Byte k of every value stands in the kth of as many streams as a value has bytes. */
static bool next_split(struct parquet_values *v, struct parquet_value *out)
{
    size_t n = value_bytes(v->leaf), each = (size_t)(v->end - v->at) / n;
    if (v->given >= each) return false;
    for (size_t k = 0; k < n; k++) v->number[k] = v->at[k * each + v->given];
    *out = (struct parquet_value){v->number, n};
    return true;
}

/* The next value, by the page's encoding. */
static bool next_value(struct parquet_values *v, struct parquet_value *out)
{
    int64_t n;
    switch (v->encoding) {
    case PARQUET_PLAIN:
        return next_plain(v, out);
    case PARQUET_RLE_DICTIONARY:
        return next_index(v, out);
    case PARQUET_RLE:
        return next_boolean(v, out);
    case PARQUET_DELTA_BINARY_PACKED:
        return bit_delta_next(&v->lengths, &n) && give_number(v, n, value_bytes(v->leaf), out);
    case PARQUET_DELTA_LENGTH_BYTE_ARRAY:
        return bit_delta_next(&v->lengths, &n) && n >= 0 && value_take(v, (size_t)n, out);
    case PARQUET_DELTA_BYTE_ARRAY:
        return next_prefixed(v, out);
    default:
        return next_split(v, out);
    }
}

bool parquet_values_next(struct parquet_values *v, struct parquet_value *out)
{
    if (v->given == v->most || !next_value(v, out)) return false;
    v->given++;
    return true;
}
