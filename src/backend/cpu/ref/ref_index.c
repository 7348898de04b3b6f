/* ref_index: the one check of ids against what they index, shared by CHECK_IDS and every row that looks something up. */
#include "backend/cpu/ref/ref_index.h"

enum status ref_ids_check(struct ctx *c, const char *op, const struct array *ids, const struct array *weights, int64_t limit)
{
    const char *data = ids->data;
    for (int64_t i = 0; i < ids->shape[0]; i++) {
        int64_t id;
        if (weights && ((const float *)weights->data)[i * weights->stride[0]] == 0) continue;
        dtype_convert(DTYPE_I64, &id, 1, ids->dtype, data + i * ids->stride[0] * (int64_t)dtype_size(ids->dtype), 1, 1);
        if (id < 0 || id >= limit)
            return ctx_fail(c, E_SHAPE, "%s: ids[%lld] = %lld is not in [0, %lld)", op, (long long)i, (long long)id,
                            (long long)limit);
    }
    return OK;
}

enum status ref_index_check(struct ctx *c, enum op op, const struct array *ids, int64_t limit)
{
    BUG_ON(c, ids->dtype != DTYPE_I32 || ids->ndim != 1, "%s: ids must be an i32 vector", op_name(op));
    return ref_ids_check(c, op_name(op), ids, NULL, limit);
}
