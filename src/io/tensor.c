/* tensor: the table of stored element types and the one place where a shape becomes a number of bytes. Both model formats
 * go through tensor_bytes, so an overflow in shape x size is checked once, here. */
#include "io/tensor.h"

#include "base/checked.h"

static const struct tensor_type_info types[TENSOR_TYPE_COUNT] = {
    [TENSOR_F32] = {"F32", 1, 4},     [TENSOR_F16] = {"F16", 1, 2},     [TENSOR_BF16] = {"BF16", 1, 2},
    [TENSOR_F64] = {"F64", 1, 8},     [TENSOR_I64] = {"I64", 1, 8},     [TENSOR_I32] = {"I32", 1, 4},
    [TENSOR_I16] = {"I16", 1, 2},     [TENSOR_I8] = {"I8", 1, 1},       [TENSOR_U8] = {"U8", 1, 1},
    [TENSOR_BOOL] = {"BOOL", 1, 1},   [TENSOR_Q4_0] = {"Q4_0", 32, 18}, /* f16 scale, 16 bytes of nibbles */
    [TENSOR_Q4_1] = {"Q4_1", 32, 20},                                   /* f16 scale, f16 minimum, 16 bytes of nibbles */
    [TENSOR_Q8_0] = {"Q8_0", 32, 34},                                   /* f16 scale, 32 int8 */
};

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
