/* tensor: what a model file says about one tensor, as a view on the mapped bytes. Knows no arrays. */
#ifndef YA_IO_TENSOR_H
#define YA_IO_TENSOR_H

#include "base/ctx.h"

/* Element or block type of stored tensors. Block types store `block` elements in `bytes` bytes (tensor_type_info). */
enum tensor_type {
    TENSOR_F32,
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_F64,
    TENSOR_I64,
    TENSOR_I32,
    TENSOR_I16,
    TENSOR_I8,
    TENSOR_U8,
    TENSOR_BOOL,
    TENSOR_Q4_0,
    TENSOR_Q4_1,
    TENSOR_Q8_0, /* GGUF blocks of 32 along the last (fastest) axis */
    TENSOR_TYPE_COUNT
};

struct tensor_type_info {
    const char *name; /* "F32", "Q4_1", ... as safetensors and GGUF spell it */
    int block;        /* elements a block: 1 or 32 */
    int bytes;        /* bytes a block */
};
const struct tensor_type_info *tensor_type_info(enum tensor_type type);

enum { TENSOR_MAX_DIMS = 8 };

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
