/* tensor: what a model file says about one tensor, as a view on the mapped bytes. Knows no arrays. */
#ifndef YA_IO_TENSOR_H
#define YA_IO_TENSOR_H

#include "base/ctx.h"

/* Element or block type of stored tensors: TENSOR_F32, TENSOR_Q4_K and so on, the rows of tensor_types.def. Block types
 * store `block` elements in `bytes` bytes (tensor_type_info). */
enum tensor_type {
#define NUMBER(name, gguf, bytes)               TENSOR_##name,
#define COUNT(name, gguf, bytes)                TENSOR_##name,
#define BLOCK(name, gguf, block, bytes, decode) TENSOR_##name,
#include "io/tensor_types.def"
    TENSOR_TYPE_COUNT
};

struct tensor_type_info {
    const char *name; /* "F32", "Q4_1", ... as safetensors and GGUF spell it */
    int block;        /* elements a block: 1, or a power of two from 32 to TENSOR_MAX_BLOCK */
    int bytes;        /* bytes a block */
    int gguf;         /* its number in GGUF files, -1: none */
};
/* The row of a type in tensor_types.def. Static. */
const struct tensor_type_info *tensor_type_info(enum tensor_type type);

enum { TENSOR_MAX_DIMS = 8, TENSOR_MAX_BLOCK = 256 };

/* Shape is row-major, slowest axis first (GGUF's order is reversed while reading). data points into the owner's mapping.
 * GGUF data is always aligned to at least 8 bytes. Safetensors data may lie at any byte (old writers did not pad the
 * header): a reader that wants to use it in place asks tensor_is_aligned first and copies otherwise. */
struct tensor_view {
    const char *name;
    enum tensor_type type;
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
    const void *data;
    size_t bytes;
};

/* Bytes of a tensor of this type and shape by checked arithmetic; false on overflow, negative dims or a last dim that is not
 * a multiple of the block. */
bool tensor_bytes(enum tensor_type type, int ndim, const int64_t *shape, size_t *bytes);

/* Whether data may be read in place as its element type (block types: as the 16-bit scales inside). */
bool tensor_is_aligned(const struct tensor_view *view);

#endif
