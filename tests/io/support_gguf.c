/* A file is built from random pairs and tensors; at one random pair or tensor the wanted defect is put instead. */
#include "support_gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEFECTS(X)                                                                                                          \
    X(NONE, OK, "")                                                                                                         \
    X(NO_TENSORS, OK, "")                                                                                                   \
    X(NO_PAIRS, OK, "")                                                                                                     \
    X(EMPTY, OK, "")                                                                                                        \
    X(VERSION_2, OK, "")                                                                                                    \
    X(ALIGNMENT_8, OK, "")                                                                                                  \
    X(ALIGNMENT_1024, OK, "")                                                                                               \
    X(TENSORS_REVERSED, OK, "")                                                                                             \
    X(TRAILING_BYTES, OK, "")                                                                                               \
    X(MAGIC, E_INPUT, "not a GGUF file")                                                                                    \
    X(MAGIC_LOWER_CASE, E_INPUT, "not a GGUF file")                                                                         \
    X(VERSION_0, E_INPUT, "version: is 0")                                                                                  \
    X(VERSION_1, E_UNSUPPORTED, "version 1")                                                                                \
    X(VERSION_4, E_UNSUPPORTED, "version 4")                                                                                \
    X(VERSION_SWAPPED, E_UNSUPPORTED, "big-endian")                                                                         \
    X(TENSOR_COUNT_MAX, E_INPUT, "tensor count")                                                                            \
    X(TENSOR_COUNT_2_63, E_INPUT, "tensor count")                                                                           \
    X(TENSOR_COUNT_2_59, E_INPUT, "tensor count")                                                                           \
    X(TENSOR_COUNT_MORE, E_INPUT, "tensor")                                                                                 \
    X(PAIR_COUNT_MAX, E_INPUT, "key count")                                                                                 \
    X(PAIR_COUNT_2_63, E_INPUT, "key count")                                                                                \
    X(PAIR_COUNT_2_59, E_INPUT, "key count")                                                                                \
    X(KEY_EMPTY, E_INPUT, "key: empty")                                                                                     \
    X(KEY_LONG, E_INPUT, "longer than 65535")                                                                               \
    X(KEY_NUL, E_INPUT, "NUL")                                                                                              \
    X(KEY_LENGTH_MAX, E_INPUT, "beyond the end")                                                                            \
    X(KEY_LENGTH_WRAPS, E_INPUT, "beyond the end")                                                                          \
    X(KEY_DUPLICATE, E_INPUT, "duplicate key \"twice\"")                                                                    \
    X(KIND_13, E_INPUT, "unknown value type")                                                                               \
    X(KIND_MAX, E_INPUT, "unknown value type")                                                                              \
    X(BOOL_2, E_INPUT, "neither 0 nor 1")                                                                                   \
    X(STRING_LENGTH_MAX, E_INPUT, "beyond the end")                                                                         \
    X(STRING_LENGTH_2_31, E_INPUT, "beyond the end")                                                                        \
    X(ITEM_KIND_13, E_INPUT, "unknown value type")                                                                          \
    X(ARRAY_OF_ARRAYS, E_INPUT, "arrays of arrays")                                                                         \
    X(ARRAY_COUNT_MAX, E_INPUT, "array length overflows")                                                                   \
    X(ARRAY_COUNT_2_61, E_INPUT, "array length overflows")                                                                  \
    X(ARRAY_COUNT_2_40, E_INPUT, "the file ends inside it")                                                                 \
    X(STRINGS_COUNT_MAX, E_INPUT, "more strings than")                                                                      \
    X(STRINGS_COUNT_2_60, E_INPUT, "more strings than")                                                                     \
    X(STRINGS_ITEM_LENGTH, E_INPUT, "beyond the end")                                                                       \
    X(ARRAY_BOOL_255, E_INPUT, "neither 0 nor 1")                                                                           \
    X(ALIGNMENT_0, E_INPUT, "power of two")                                                                                 \
    X(ALIGNMENT_4, E_INPUT, "power of two")                                                                                 \
    X(ALIGNMENT_13, E_INPUT, "power of two")                                                                                \
    X(ALIGNMENT_2_21, E_INPUT, "power of two")                                                                              \
    X(ALIGNMENT_2_31, E_INPUT, "power of two")                                                                              \
    X(ALIGNMENT_U64, E_INPUT, "not of type uint32")                                                                         \
    X(ALIGNMENT_STRING, E_INPUT, "not of type uint32")                                                                      \
    X(NAME_EMPTY, E_INPUT, "tensor name: empty")                                                                            \
    X(NAME_NUL, E_INPUT, "NUL")                                                                                             \
    X(NAME_LENGTH_MAX, E_INPUT, "beyond the end")                                                                           \
    X(NAME_DUPLICATE, E_INPUT, "duplicate tensor \"t0\"")                                                                   \
    X(NDIM_0, E_INPUT, "number of dimensions")                                                                              \
    X(NDIM_5, E_INPUT, "number of dimensions")                                                                              \
    X(NDIM_MAX, E_INPUT, "number of dimensions")                                                                            \
    X(DIM_0, E_INPUT, "dimension outside")                                                                                  \
    X(DIM_2_63, E_INPUT, "dimension outside")                                                                               \
    X(DIM_MINUS_1, E_INPUT, "dimension outside")                                                                            \
    X(SHAPE_WRAPS, E_INPUT, "shape overflows")                                                                              \
    X(SHAPE_BYTES_WRAP, E_INPUT, "shape overflows")                                                                         \
    X(SHAPE_BLOCKS_WRAP, E_INPUT, "shape overflows")                                                                        \
    X(SHAPE_EXABYTES, E_INPUT, "beyond the end")                                                                            \
    X(ROW_NOT_IN_BLOCKS, E_INPUT, "whole blocks")                                                                           \
    X(TYPE_REMOVED, E_INPUT, "unknown type 4")                                                                              \
    X(TYPE_NEXT, E_INPUT, "unknown type")                                                                                   \
    X(TYPE_MAX, E_INPUT, "unknown type 4294967295")                                                                         \
    X(TYPE_Q8_K, E_UNSUPPORTED, "stored as Q8_K")                                                                           \
    X(OFFSET_UNALIGNED, E_INPUT, "not aligned")                                                                             \
    X(OFFSET_BEYOND, E_INPUT, "beyond the end")                                                                             \
    X(OFFSET_WRAPS, E_INPUT, "beyond the end")                                                                              \
    X(OFFSET_SAME, E_INPUT, "overlap")                                                                                      \
    X(OFFSET_INSIDE, E_INPUT, "overlap")                                                                                    \
    X(DATA_SHORT_BY_ONE, E_INPUT, "beyond the end")                                                                         \
    X(DATA_MISSING, E_INPUT, "beyond the end")

#define AS_ENUM(name, status, message) name,
#define AS_ROW(name, status, message)  {#name, status, message},
enum defect { DEFECTS(AS_ENUM) DEFECT_COUNT };
const struct gguf_defect gguf_defects[] = {DEFECTS(AS_ROW)};
const int n_gguf_defects = DEFECT_COUNT;

struct out {
    uint8_t *data;
    size_t n, room;
};

static void put(struct out *o, const void *bytes, size_t n)
{
    while (o->n + n >= o->room) {
        o->room = o->room ? 2 * o->room : 256;
        o->data = realloc(o->data, o->room);
        assert_non_null(o->data);
    }
    memcpy(o->data + o->n, bytes, n);
    o->n += n;
}

static void put_uint(struct out *o, uint64_t v, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(v >> (8 * i));
    put(o, bytes, n);
}

static void put_zeros(struct out *o, size_t n)
{
    for (size_t i = 0; i < n; i++) put_uint(o, 0, 1);
}

static void put_string(struct out *o, const char *s)
{
    put_uint(o, strlen(s), 8);
    put(o, s, strlen(s));
}

static size_t kind_bytes(uint64_t kind)
{
    static const size_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return bytes[kind];
}

static void put_random_item(struct out *o, struct rng *r, uint64_t kind)
{
    static const char *const words[] = {"", "a", "word", "a rather longer string with spaces"};
    if (kind == GGUF_STRING)
        put_string(o, words[rng_below(r, 4)]);
    else
        put_uint(o, kind == GGUF_BOOL ? rng_below(r, 2) : rng_u64(r), kind_bytes(kind));
}

static void put_random_pair(struct out *o, struct rng *r, int i)
{
    char key[24];
    snprintf(key, sizeof key, "key.%d", i);
    put_string(o, key);
    uint64_t kind = rng_below(r, 13);
    put_uint(o, kind, 4);
    if (kind != GGUF_ARRAY) {
        put_random_item(o, r, kind);
        return;
    }
    do kind = rng_below(r, 13);
    while (kind == GGUF_ARRAY);
    uint64_t n = rng_below(r, 20);
    put_uint(o, kind, 4);
    put_uint(o, n, 8);
    while (n-- > 0) put_random_item(o, r, kind);
}

static void put_key(struct out *o, const char *key, uint64_t kind)
{
    put_string(o, key);
    put_uint(o, kind, 4);
}

static void put_array(struct out *o, uint64_t kind, uint64_t n)
{
    put_key(o, "array", GGUF_ARRAY);
    put_uint(o, kind, 4);
    put_uint(o, n, 8);
}

static void put_alignment(struct out *o, uint64_t alignment)
{
    put_key(o, "general.alignment", GGUF_U32);
    put_uint(o, alignment, 4);
}

/* The pair of a key defect; false when the defect is not one of pairs. */
static bool put_bad_key(struct out *o, enum defect d)
{
    switch (d) {
    case KEY_EMPTY:
        put_key(o, "", GGUF_U8);
        break;
    case KEY_LONG:
        put_uint(o, 65536, 8);
        put_zeros(o, 65536);
        break;
    case KEY_NUL:
        put_uint(o, 3, 8);
        put(o, "a\0b", 3);
        break;
    case KEY_LENGTH_MAX:
        put_uint(o, UINT64_MAX, 8);
        break;
    case KEY_LENGTH_WRAPS:
        put_uint(o, UINT64_MAX - 7, 8);
        break;
    case KEY_DUPLICATE:
        put_key(o, "twice", GGUF_U8);
        put_uint(o, 1, 1);
        put_key(o, "twice", GGUF_I8);
        put_uint(o, 2, 1);
        break;
    case KIND_13:
        put_key(o, "kind", 13);
        break;
    case KIND_MAX:
        put_key(o, "kind", UINT32_MAX);
        break;
    case BOOL_2:
        put_key(o, "bool", GGUF_BOOL);
        put_uint(o, 2, 1);
        break;
    case STRING_LENGTH_MAX:
        put_key(o, "string", GGUF_STRING);
        put_uint(o, UINT64_MAX, 8);
        break;
    case STRING_LENGTH_2_31:
        put_key(o, "string", GGUF_STRING);
        put_uint(o, 1ull << 31, 8);
        break;
    default:
        return false;
    }
    return true;
}

static bool put_bad_array(struct out *o, enum defect d)
{
    switch (d) {
    case ITEM_KIND_13:
        put_array(o, 13, 1);
        break;
    case ARRAY_OF_ARRAYS:
        put_array(o, GGUF_ARRAY, 1);
        break;
    case ARRAY_COUNT_MAX:
        put_array(o, GGUF_I32, UINT64_MAX);
        break;
    case ARRAY_COUNT_2_61:
        put_array(o, GGUF_F64, 1ull << 61);
        break; /* times 8 is 0 */
    case ARRAY_COUNT_2_40:
        put_array(o, GGUF_U8, 1ull << 40);
        break;
    case STRINGS_COUNT_MAX:
        put_array(o, GGUF_STRING, UINT64_MAX);
        break;
    case STRINGS_COUNT_2_60:
        put_array(o, GGUF_STRING, 1ull << 60);
        break; /* times sizeof(struct gguf_string) is 0 */
    case STRINGS_ITEM_LENGTH:
        put_array(o, GGUF_STRING, 2);
        put_string(o, "first");
        put_uint(o, UINT64_MAX - 3, 8);
        break;
    case ARRAY_BOOL_255:
        put_array(o, GGUF_BOOL, 2);
        put_uint(o, 0xff01, 2);
        break;
    default:
        return false;
    }
    return true;
}

static bool put_special_alignment(struct out *o, enum defect d)
{
    switch (d) {
    case ALIGNMENT_0:
        put_alignment(o, 0);
        break;
    case ALIGNMENT_4:
        put_alignment(o, 4);
        break;
    case ALIGNMENT_8:
        put_alignment(o, 8);
        break;
    case ALIGNMENT_13:
        put_alignment(o, 13);
        break;
    case ALIGNMENT_1024:
        put_alignment(o, 1024);
        break;
    case ALIGNMENT_2_21:
        put_alignment(o, 1 << 21);
        break;
    case ALIGNMENT_2_31:
        put_alignment(o, 1u << 31);
        break;
    case ALIGNMENT_U64:
        put_key(o, "general.alignment", GGUF_U64);
        put_uint(o, 32, 8);
        break;
    case ALIGNMENT_STRING:
        put_key(o, "general.alignment", GGUF_STRING);
        put_string(o, "32");
        break;
    default:
        return false;
    }
    return true;
}

/* Tensor i of the file, valid unless it is the bad one. */
struct info {
    char name[16];
    uint64_t ndim, dims[4], type, offset, bytes;
};

static struct info random_info(struct rng *r, int i)
{
    static const struct {
        uint64_t type, block, bytes;
    } types[] = {{0, 1, 4},  {1, 1, 2},  {2, 32, 18}, {3, 32, 20},    {8, 32, 34},
                 {24, 1, 1}, {28, 1, 8}, {30, 1, 2},  {14, 256, 210}, {39, 32, 17}};
    struct info t = {.ndim = 1 + rng_below(r, 4), .bytes = 1};
    uint64_t k = rng_below(r, sizeof types / sizeof *types);
    snprintf(t.name, sizeof t.name, "t%d", i);
    t.type = types[k].type;
    for (uint64_t j = 0; j < t.ndim; j++) {
        t.dims[j] = (1 + rng_below(r, 3)) * (j == 0 ? types[k].block : 1);
        t.bytes *= t.dims[j];
    }
    t.bytes = t.bytes / types[k].block * types[k].bytes;
    return t;
}

static void set_shape(struct info *t, uint64_t type, uint64_t a, uint64_t b)
{
    t->type = type;
    t->ndim = 2;
    t->dims[0] = a;
    t->dims[1] = b;
}

static void spoil_info(struct info *t, enum defect d, uint64_t data_bytes)
{
    switch (d) {
    case NAME_DUPLICATE:
        strcpy(t->name, "t0");
        break;
    case NAME_EMPTY:
        t->name[0] = 0;
        break;
    case NDIM_0:
        t->ndim = 0;
        break;
    case NDIM_5:
        t->ndim = 5;
        break;
    case NDIM_MAX:
        t->ndim = UINT32_MAX;
        break;
    case DIM_0:
        t->dims[t->ndim - 1] = 0;
        break;
    case DIM_2_63:
        t->dims[t->ndim - 1] = 1ull << 63;
        break;
    case DIM_MINUS_1:
        t->dims[0] = UINT64_MAX;
        break;
    case SHAPE_WRAPS:
        set_shape(t, 24, 1ull << 32, 1ull << 32);
        break;
    case SHAPE_BYTES_WRAP:
        set_shape(t, 28, 1ull << 31, 1ull << 30);
        break;
    case SHAPE_BLOCKS_WRAP:
        set_shape(t, 8, (1ull << 32) - 32, (1ull << 32) - 1);
        break;
    case SHAPE_EXABYTES:
        set_shape(t, 2, 1ull << 61, 1);
        break;
    case ROW_NOT_IN_BLOCKS:
        set_shape(t, 8, 33, 32);
        break;
    case TYPE_REMOVED:
        t->type = 4;
        break;
    case TYPE_NEXT:
        t->type = 42;
        break;
    case TYPE_MAX:
        t->type = UINT32_MAX;
        break;
    case TYPE_Q8_K:
        t->type = 15;
        break;
    case OFFSET_UNALIGNED:
        t->offset += 1;
        break;
    case OFFSET_BEYOND:
        t->offset = (data_bytes + 127) / 64 * 64;
        break;
    case OFFSET_WRAPS:
        t->offset = UINT64_MAX - 31;
        break;
    default:
        break;
    }
}

static void put_info(struct out *o, const struct info *t, enum defect d)
{
    if (d == NAME_NUL) {
        put_uint(o, 3, 8);
        put(o, "t\0x", 3);
    } else if (d == NAME_LENGTH_MAX) {
        put_uint(o, UINT64_MAX, 8);
    } else {
        put_string(o, t->name);
    }
    put_uint(o, t->ndim, 4);
    for (uint64_t j = 0; j < t->ndim && j < 4; j++) put_uint(o, t->dims[j], 8);
    put_uint(o, t->type, 4);
    put_uint(o, t->offset, 8);
}

static void put_header(struct out *o, enum defect d, uint64_t n_tensors, uint64_t n_pairs)
{
    uint64_t version = d == VERSION_0         ? 0
                       : d == VERSION_1       ? 1
                       : d == VERSION_2       ? 2
                       : d == VERSION_4       ? 4
                       : d == VERSION_SWAPPED ? 0x03000000
                                              : 3;
    if (d == TENSOR_COUNT_MAX) n_tensors = UINT64_MAX;
    if (d == TENSOR_COUNT_2_63) n_tensors = 1ull << 63;
    if (d == TENSOR_COUNT_2_59) n_tensors = 1ull << 59;
    if (d == TENSOR_COUNT_MORE) n_tensors += 1;
    if (d == PAIR_COUNT_MAX) n_pairs = UINT64_MAX;
    if (d == PAIR_COUNT_2_63) n_pairs = 1ull << 63;
    if (d == PAIR_COUNT_2_59) n_pairs = 1ull << 59;
    put(o, d == MAGIC ? "GGML" : d == MAGIC_LOWER_CASE ? "gguf" : "GGUF", 4);
    put_uint(o, version, 4);
    put_uint(o, n_tensors, 8);
    put_uint(o, n_pairs, 8);
}

/* n random pairs with the defect's own among them; returns how many stand there. */
static uint64_t put_pairs(struct out *o, struct rng *r, enum defect d, uint64_t n)
{
    uint64_t special_at = rng_below(r, n + 1), count = n;
    for (uint64_t i = 0; i <= n; i++) {
        if (i == special_at && (put_bad_key(o, d) || put_bad_array(o, d) || put_special_alignment(o, d))) count++;
        if (i < n) put_random_pair(o, r, (int)i);
    }
    return count + (d == KEY_DUPLICATE);
}

static uint64_t round_up(uint64_t v, uint64_t alignment)
{
    return (v + alignment - 1) / alignment * alignment;
}

enum { MAX_TENSORS = 8 };

/* Gives every tensor its place: in order, or backwards. */
static uint64_t place(struct info *t, int n, enum defect d, uint64_t alignment)
{
    uint64_t at = 0;
    for (int i = 0; i < n; i++) {
        struct info *x = &t[d == TENSORS_REVERSED ? n - 1 - i : i];
        x->offset = at;
        at = round_up(at + x->bytes, alignment);
    }
    return at;
}

uint8_t *gguf_make(struct rng *r, int defect, size_t *size)
{
    enum defect d = (enum defect)defect;
    struct out o = {0}, pairs = {0};
    struct info t[MAX_TENSORS];
    uint64_t alignment = d == ALIGNMENT_8 ? 8 : d == ALIGNMENT_1024 ? 1024 : 32;
    int n = d == NO_TENSORS || d == EMPTY ? 0 : 2 + (int)rng_below(r, MAX_TENSORS - 1);

    for (int i = 0; i < n; i++) t[i] = random_info(r, i);
    uint64_t data_bytes = place(t, n, d, alignment);
    uint64_t used_bytes = n ? t[n - 1].offset + t[n - 1].bytes : 0; /* without the last padding */
    if (d == OFFSET_SAME) t[n - 1].offset = t[0].offset;
    if (d == OFFSET_INSIDE) { /* the first reaches into the second, whatever their sizes were */
        set_shape(&t[0], 24, 33, 1);
        t[1].offset = 32;
    }
    if (n) spoil_info(&t[1 + rng_below(r, (uint64_t)n - 1)], d, data_bytes);

    uint64_t n_pairs = put_pairs(&pairs, r, d, d == NO_PAIRS || d == EMPTY ? 0 : 1 + rng_below(r, 10));
    put_header(&o, d, (uint64_t)n, n_pairs);
    put(&o, pairs.data ? (const void *)pairs.data : "", pairs.n);
    free(pairs.data);
    for (int i = 0; i < n; i++) put_info(&o, &t[i], i == 0 ? d : NONE);
    if (n && d != DATA_MISSING) {
        put_zeros(&o, round_up(o.n, alignment) - o.n);
        put_zeros(&o, d == DATA_SHORT_BY_ONE ? used_bytes - 1 : data_bytes);
    }
    if (d == TRAILING_BYTES) put_zeros(&o, 77);
    *size = o.n;
    return o.data;
}
