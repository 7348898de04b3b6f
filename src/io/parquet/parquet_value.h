/* parquet_value: the values of a page, one after the other, in each encoding. */
#ifndef YA_IO_PARQUET_VALUE_H
#define YA_IO_PARQUET_VALUE_H

#include "base/buf.h"
#include "io/parquet/bit_run.h"
#include "io/parquet/parquet_meta.h"

enum parquet_encoding {
    PARQUET_PLAIN = 0,
    PARQUET_PLAIN_DICTIONARY = 2,
    PARQUET_RLE = 3,
    PARQUET_DELTA_BINARY_PACKED = 5,
    PARQUET_DELTA_LENGTH_BYTE_ARRAY = 6,
    PARQUET_DELTA_BYTE_ARRAY = 7,
    PARQUET_RLE_DICTIONARY = 8,
    PARQUET_BYTE_STREAM_SPLIT = 9
};

/* One value. Its bytes lie in the page, in the dictionary or in the decoder itself: valid until the next one is read. */
struct parquet_value {
    const uint8_t *bytes; /* BYTES, FIXED, INT96; of the others the number's own bytes, little-endian */
    size_t n;
};

/* The values of a dictionary page, kept while its column chunk is read. */
struct parquet_dictionary {
    uint8_t *page; /* unpacked, owned; NULL when the page lies in the file as it is */
    size_t page_bytes;
    struct parquet_value *values; /* owned */
    size_t n;
};

/* A reader of a page's values. It owns nothing; leaf, dictionary, bytes and `whole` must stay while it is used. */
struct parquet_values {
    const struct parquet_node *leaf;
    const struct parquet_dictionary *dictionary;
    int encoding;
    const uint8_t *at, *end;   /* what is not read yet; BYTE_STREAM_SPLIT and plain booleans: all of it */
    uint64_t given, most;      /* values handed out; of the page, nulls included */
    struct bit_run run;        /* indices into the dictionary, booleans */
    struct bit_delta lengths;  /* of strings; DELTA_BINARY_PACKED: the integers themselves */
    struct bit_delta prefixes; /* DELTA_BYTE_ARRAY: how many bytes of the value before are kept */
    struct buf *whole;         /* DELTA_BYTE_ARRAY: the value before */
    uint8_t number[16];        /* a value that stands nowhere in the page as its bytes: integers, booleans, split ones */
};

/* Prepares the n bytes of a page's values, at most `most` of them. `whole` is memory that is used again from page to page;
 * its cap bounds a value. False when they are corrupt, or the encoding does not go with the column's type. */
bool parquet_values_init(struct parquet_values *v, const struct parquet_node *leaf, int encoding, const uint8_t *bytes,
                         size_t n, uint64_t most, const struct parquet_dictionary *dictionary, struct buf *whole);
/* False when the bytes are corrupt. */
bool parquet_values_next(struct parquet_values *v, struct parquet_value *out);

/* Whether an encoding is one of those above, by its number in the file. */
bool parquet_encoding_is_known(int64_t encoding);

#endif
