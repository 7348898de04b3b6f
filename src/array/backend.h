/* backend: the interface that a device fills. Ops reach kernels only through this table, found in the ctx's array_env.
 *
 * A backend says at start what it does with each row: KERNEL (has one), COMPOSED (built from other rows by its own function
 * in the same slot) or REFUSED (E_UNSUPPORTED, with the row's name). Nothing is decided silently per call. */
#ifndef YA_ARRAY_BACKEND_H
#define YA_ARRAY_BACKEND_H

#include "array/op.h"

/* One call of a row, validated by the front end. in[] and out[] entries are NULL where the row's params say absent. What a
 * kernel may rely on:
 *  - Dtypes. COPY and CAST see every dtype. All other generic rows see operands of one dtype among f32, f64, i32 and i64
 *    (front ends widen f16 and bf16 to f32, bool and u8 to i32, and narrow the result); DIV, EXP, LOG, SQRT, SIGMOID,
 *    SOFTMAX, LOGSUMEXP, MATMUL and the fused rows see f32 and f64 only. EQUAL .. LESS_EQUAL write bool; WHERE's condition
 *    is bool; ids, targets and positions are i32. Elsewhere outputs have the operands' dtype.
 *  - Strides. COPY's operand and output have any strides (0 on broadcast axes of the operand). Everything else has unit last
 *    stride (array_has_unit_last) and any strides before it, 0 on broadcast axes; 1-D helpers (ids, gain, targets, weights,
 *    rstd, lse, bias) have unit stride by that. Outputs are contiguous, but for COPY, and for ROPE and SWIGLU_BWD, which may
 *    be told to write into columns of a wider array (any row stride). In place rows: unit last stride.
 *  - Sizes. No operand and no output has zero elements; axes are normalised to [0, ndim).
 *  - Values. Ids of EMBED, TAKE, TAKE_ALONG are in range; so are targets where the weight is not 0; offsets of ATTENTION are
 *    ascending, start at 0, and no segment has more queries than keys.
 *  - Outputs never overlap operands, except RMS_NORM without residual: out[1] is in[0] itself then and is not written. */
struct op_call {
    enum op op;
    struct array *in[OP_MAX_IN];
    struct array *out[OP_MAX_OUT];
    const void *params;
};

typedef enum status (*op_kernel)(struct ctx *c, const struct op_call *call);

enum backend_support { BACKEND_REFUSED, BACKEND_KERNEL, BACKEND_COMPOSED };

struct backend {
    const char *name; /* "cpu-avx2", "cpu-neon", "cpu-reference", "cuda"; cpu.h lists the CPU's */
    op_kernel kernel[OP_COUNT];
    uint8_t support[OP_COUNT];
    bool fast_integers; /* products by COMPUTE_INT8X2 take less time than those of numbers */
};

#endif
