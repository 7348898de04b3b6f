/* ref_backend: the oracle backend. Every row of ops.def that is not a view has a kernel here, in f32 and in f64; the generic
 * rows also take the integer and bool dtypes. It is slow on purpose where speed would cost clarity: tuned backends are
 * tested against it and fall back to it, row by row, in cpu_dispatch.c.
 *
 * One function serves every slot: the table is found by op and dtype. A kernel set of its own for each dtype (as slots of
 * struct backend) was rejected, because callers would then have to know which rows exist for which dtype. */
#include "backend/cpu/cpu.h"
#include "backend/cpu/ref/ref_backend.h"

/* The array whose dtype decides. Ids and masks come first nowhere else: embed's only array operand is its ids. */
static const struct array *leading(const struct op_call *call)
{
    return call->op == OP_EMBED ? call->out[0] : call->in[0];
}

static op_kernel find(enum op op, enum dtype dtype)
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

static enum status run(struct ctx *c, const struct op_call *call)
{
    const struct array *a = leading(call);
    BUG_ON(c, !a, "%s: leading operand is missing", op_name(call->op));
    op_kernel kernel = find(call->op, a->dtype);
    if (!kernel) {
        return ctx_fail(c, E_DTYPE, "%s does not take %s arrays; cast to f32 first", op_name(call->op),
                        dtype_name(a->dtype));
    }
    return kernel(c, call);
}

static const struct backend reference = {
    .name = "cpu-reference",
    .kernel =
        {
#define OP(NAME, name, n_in, n_out, params, diff, saves) [OP_##NAME] = run,
#define VIEW(NAME, name, n_in, n_out, params, diff, saves)
#include "array/ops.def"
        },
    .support =
        {
#define OP(NAME, name, n_in, n_out, params, diff, saves) [OP_##NAME] = BACKEND_KERNEL,
#define VIEW(NAME, name, n_in, n_out, params, diff, saves)
#include "array/ops.def"
        },
};

const struct backend *backend_cpu_reference(void)
{
    return &reference;
}
