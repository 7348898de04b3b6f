/* tensor: the table of stored element types and the one place where a shape becomes a number of bytes. Both model formats
 * go through tensor_bytes, so an overflow in shape x size is checked once, here. */
#include "io/tensor.h"

#include "base/checked.h"

static const struct tensor_type_info types[TENSOR_TYPE_COUNT] = {
#define NUMBER(name, gguf, bytes)               [TENSOR_##name] = {#name, 1, bytes, gguf},
#define COUNT(name, gguf, bytes)                [TENSOR_##name] = {#name, 1, bytes, gguf},
#define BLOCK(name, gguf, block, bytes, decode) [TENSOR_##name] = {#name, block, bytes, gguf},
#include "io/tensor_types.def"
};

/* Shifts stand for divisions by the length of a block. */
#define NUMBER(name, gguf, bytes)
#define COUNT(name, gguf, bytes)
#define BLOCK(name, gguf, block, bytes, decode)                                                                             \
    _Static_assert((block) >= 32 && (block) <= TENSOR_MAX_BLOCK && ((block) & ((block)-1)) == 0, #name);
#include "io/tensor_types.def"

const struct tensor_type_info *tensor_type_info(enum tensor_type type)
{
    BUG_ON(NULL, (unsigned)type >= TENSOR_TYPE_COUNT, "tensor type %d", (int)type);
    return &types[type];
}

bool tensor_bytes(enum tensor_type type, int ndim, const int64_t *shape, size_t *bytes)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    size_t n = 1;
    /* A zero dimension makes the product zero but must not hide an overflow in the others: the reference readers multiply
     * from the left and refuse, so every dimension is multiplied as if zeros were ones. */
    bool empty = false;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0) return false;
        if (shape[i] == 0)
            empty = true;
        else if (!checked_mul(n, (size_t)shape[i], &n))
            return false;
    }
    if (info->block > 1 && (ndim == 0 || shape[ndim - 1] % info->block != 0)) return false;
    if (!checked_mul(n / (size_t)info->block, (size_t)info->bytes, &n)) return false;
    *bytes = empty ? 0 : n;
    return true;
}

bool tensor_is_aligned(const struct tensor_view *view)
{
    const struct tensor_type_info *info = tensor_type_info(view->type);
    size_t align = info->block > 1 ? 2 : (size_t)info->bytes;
    return (uintptr_t)view->data % align == 0;
}
