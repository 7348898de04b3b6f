/* ref_backend: the oracle. Every row of ops.def that is not a view has a kernel here, in f32 and in f64; the generic rows
 * also take the integer and bool dtypes. It is slow on purpose where speed would cost clarity: tuned rows are tested against
 * it, and what they do not do falls back to it, in cpu_dispatch.c.
 *
 * One function serves every row: the table is found by op and dtype. A kernel table of its own for each dtype was rejected,
 * because callers would then have to know which rows exist for which dtype. */
#include "backend/cpu/ref/ref_backend.h"

/* The array whose dtype decides. Ids and masks come first nowhere else: embed's only array operand is its ids. */
static const struct array *leading(const struct op_call *call)
{
    return call->op == OP_EMBED ? call->out[0] : call->in[0];
}

/* The kernel of a row for a dtype, or NULL. */
static ref_row ref_backend_find(enum op op, enum dtype dtype)
{
    if (ref_kernels_move[op]) return ref_kernels_move[op];
    switch (dtype) {
    case DTYPE_F32:
        return ref_kernels_f32[op];
    case DTYPE_F64:
        return ref_kernels_f64[op];
    case DTYPE_BOOL:
    case DTYPE_U8:
    case DTYPE_I32:
    case DTYPE_I64:
        return ref_kernels_int[op];
    default:
        return NULL; /* f16 and bf16 are storage: only cast and the moving rows take them */
    }
}

enum status ref_backend_run(struct ctx *c, const struct op_call *call)
{
    const struct array *a = leading(call);
    BUG_ON(c, !a, "%s: leading operand is missing", op_name(call->op));
    ref_row row = ref_backend_find(call->op, a->dtype);
    if (!row) {
        return ctx_fail(c, E_DTYPE, "%s does not take %s arrays; cast to f32 first", op_name(call->op),
                        dtype_name(a->dtype));
    }
    return row(c, call);
}
