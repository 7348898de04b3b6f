/* gguf: reader of GGUF v2 and v3 files (little-endian; ggml-org/ggml, docs/gguf.md). Everything is validated when the file
 * is opened: counts against the bytes left, names, types, alignment, offsets inside the file, no overlap, no duplicate keys
 * or names. Views point into the mapping.
 *
 *   "GGUF"  version u32  tensors u64  pairs u64
 *   pairs   key (length u64, bytes), kind u32, value: "general.architecture" 8 "llama"
 *   infos   name, n_dims u32, dims u64[n_dims] with the fastest axis first, type u32, offset u64 into the data
 *   zeros up to general.alignment (32 unless a pair says otherwise), then the data
 */
#ifndef YA_IO_GGUF_H
#define YA_IO_GGUF_H

#include "base/file.h"
#include "io/tensor.h"

struct gguf;

/* Errors: E_INPUT with path, offset and field; E_UNSUPPORTED for version 1, big-endian files and tensors in a block format
 * that this program does not read (the message names tensor and type). */
struct gguf *gguf_open(struct ctx *c, const char *path);
void gguf_close(struct gguf *g); /* accepts NULL */
/* The mapped file (for file_check), its path, and its version, 2 or 3. */
const struct file_map *gguf_file(const struct gguf *g);
const char *gguf_path(const struct gguf *g);
int gguf_version(const struct gguf *g);

/* Tensors: how many, number i in the file's order, and the one of a name (NULL when there is none). Views are owned by g. */
size_t gguf_tensor_count(const struct gguf *g);
const struct tensor_view *gguf_tensor(const struct gguf *g, size_t i);
const struct tensor_view *gguf_find(const struct gguf *g, const char *name);

/* Metadata. The kinds follow the format's numbering. */
enum gguf_kind {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};
/* Bytes of one value of a kind; 0 for strings and arrays. */
size_t gguf_kind_bytes(enum gguf_kind kind);
struct gguf_string {
    const char *data; /* not NUL-terminated, any bytes; points into the mapping */
    size_t n;
};
struct gguf_value {
    const char *key;
    enum gguf_kind kind, item_kind; /* item_kind: of an array's items */
    uint64_t n;                     /* array: items; string: bytes; scalar: 1 */
    const void *data; /* Bytes as they stand in the file (unaligned: use the getters); for an array of strings an owned
                         index of struct gguf_string, made while opening. */
};
/* Values: how many, number i in the file's order, and the one of a key (NULL when there is none). Owned by g. */
size_t gguf_value_count(const struct gguf *g);
const struct gguf_value *gguf_value(const struct gguf *g, size_t i);
const struct gguf_value *gguf_get(const struct gguf *g, const char *key);

/* Typed getters: false when the key is absent; E_INPUT in the ctx (and false) when its type is another one. Integer getters
 * take any integer kind that fits. */
bool gguf_get_i64(struct ctx *c, const struct gguf *g, const char *key, int64_t *out);
bool gguf_get_f64(struct ctx *c, const struct gguf *g, const char *key, double *out);
bool gguf_get_bool(struct ctx *c, const struct gguf *g, const char *key, bool *out);
bool gguf_get_string(struct ctx *c, const struct gguf *g, const char *key, struct gguf_string *out);
/* An array value whose items are strings (`like` GGUF_STRING), integers of any width (GGUF_I64) or any numbers (GGUF_F64).
 * NULL when the key is absent; NULL with E_INPUT when it is something else. */
const struct gguf_value *gguf_get_array(struct ctx *c, const struct gguf *g, const char *key, enum gguf_kind like);
/* Item i of an array value; an unsigned integer above 2^63-1 reads as 2^63-1. The caller has checked the kind, as
 * gguf_get_array does (BUG_ON when it is not an array, i is out of range, or items are of another kind). */
struct gguf_string gguf_array_string(const struct gguf_value *v, uint64_t i); /* O(1): offsets are indexed while opening */
int64_t gguf_array_i64(const struct gguf_value *v, uint64_t i);
double gguf_array_f64(const struct gguf_value *v, uint64_t i);

#endif
