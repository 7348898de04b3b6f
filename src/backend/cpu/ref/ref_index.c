/* ref_index: the one check of ids against what they index, shared by every row that looks something up. */
#include "backend/cpu/ref/ref_index.h"

enum status ref_index_check(struct ctx *c, enum op op, const struct array *ids, int64_t limit)
{
    BUG_ON(c, ids->dtype != DTYPE_I32 || ids->ndim != 1, "%s: ids must be an i32 vector", op_name(op));
    for (int64_t i = 0; i < ids->shape[0]; i++) {
        int32_t id = id_at(ids, i);
        if (id < 0 || id >= limit) {
            return ctx_fail(c, E_INPUT, "%s: id %d at position %lld is outside [0, %lld)", op_name(op), id, (long long)i,
                            (long long)limit);
        }
    }
    return OK;
}
