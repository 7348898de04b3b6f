/* ref_real: the floating-point reference kernels, as a source that is compiled twice: ref_f32.c and ref_f64.c define
 *
 *   REAL             the element type, float or double
 *   REAL_DTYPE       its dtype
 *   REAL_WEIGHT_ROW  weight_row_f32 or weight_row_f64
 *   REAL_KERNELS     the name of the table, ref_kernels_f32 or ref_kernels_f64
 *
 * and include this file, which includes the parts. Everything is static but the table. A template by inclusion was chosen
 * over one file compiled with two sets of flags, because every tool that reads the sources then sees both forms.
 *
 * Arithmetic is in double throughout, and rounded once when an element is stored: for float that makes the oracle better
 * than what it judges, and +, -, *, / and sqrt come out exactly as in float arithmetic (a double has more than twice the
 * bits). Sums run in index order, or, in dot products, in four interleaved chains that are added in a fixed order. Threads
 * take blocks of fixed size and each result is computed whole by one of them, so nothing depends on the thread count. */
#ifndef REAL
#error "define REAL, REAL_DTYPE, REAL_WEIGHT_ROW and REAL_KERNELS first"
#endif

#include <math.h>
#include <string.h>

#include "array/linear_view.h"
#include "backend/cpu/attention/cpu_segments.h"
#include "backend/cpu/cpu_adamw.h"
#include "backend/cpu/ref/ref_backend.h"
#include "backend/cpu/ref/ref_index.h"
#include "base/mem.h"
#include "base/threads.h"

/* Element `offset` of an array of REAL. */
static REAL *real_at(const struct array *a, int64_t offset)
{
    return (REAL *)a->data + offset;
}

/* Row i of an array of two dims. */
static REAL *real_row(const struct array *a, int64_t i)
{
    return real_at(a, i * a->stride[0]);
}

/* Row i of head h of an (N, H, D) array. */
static REAL *real_head(const struct array *a, int64_t i, int64_t h)
{
    return real_at(a, i * a->stride[0] + h * a->stride[1]);
}

/* Front ends give operands of one dtype; another one here is a bug of ours. */
static void ref_check_real(struct ctx *c, enum op op, const struct array *a)
{
    BUG_ON(c, a->dtype != REAL_DTYPE, "%s: an operand is %s, not %s", op_name(op), dtype_name(a->dtype),
           dtype_name(REAL_DTYPE));
}

/* What the fused rows need of every operand: this dtype, this many dims, unit last stride. */
static void check_operand(struct ctx *c, enum op op, const struct array *a, int ndim)
{
    BUG_ON(c, !a, "%s: an operand is missing", op_name(op));
    ref_check_real(c, op, a);
    BUG_ON(c, a->ndim != ndim || !array_has_unit_last(a), "%s: an operand has the wrong rank or stride", op_name(op));
}

/* sum a_i b_i; the four chains let the processor overlap the additions. */
static double dot(const REAL *a, const REAL *b, int64_t n)
{
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += (double)a[i] * (double)b[i];
        s1 += (double)a[i + 1] * (double)b[i + 1];
        s2 += (double)a[i + 2] * (double)b[i + 2];
        s3 += (double)a[i + 3] * (double)b[i + 3];
    }
    for (; i < n; i++) s0 += (double)a[i] * (double)b[i];
    return (s0 + s1) + (s2 + s3);
}

/* y += a x */
static void axpy(double a, const REAL *x, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += a * (double)x[i];
}

/* Rounds a row of sums to elements; with `accumulate` they are added to what is there. */
static void store_row(const double *from, REAL *to, int64_t n, bool accumulate)
{
    for (int64_t i = 0; i < n; i++) to[i] = (REAL)(accumulate ? (double)to[i] + from[i] : from[i]);
}

#include "backend/cpu/ref/ref_elementwise.h"
#include "backend/cpu/ref/ref_reduce.h"
#include "backend/cpu/ref/ref_matmul.h"
#include "backend/cpu/ref/ref_norm.h"
#include "backend/cpu/ref/ref_rope.h"
#include "backend/cpu/ref/ref_linear.h"
#include "backend/cpu/ref/ref_linear_bwd.h"
#include "backend/cpu/ref/ref_attention.h"
#include "backend/cpu/ref/ref_attention_bwd.h"
#include "backend/cpu/ref/ref_loss.h"
#include "backend/cpu/ref/ref_lookup.h"
#include "backend/cpu/ref/ref_optim.h"

const ref_row REAL_KERNELS[OP_COUNT] = {
    [OP_ADD] = run_add,
    [OP_SUB] = run_sub,
    [OP_MUL] = run_mul,
    [OP_DIV] = run_div,
    [OP_MAXIMUM] = run_maximum,
    [OP_NEG] = run_neg,
    [OP_EXP] = run_exp,
    [OP_LOG] = run_log,
    [OP_SQRT] = run_sqrt,
    [OP_SIGMOID] = run_sigmoid,
    [OP_EQUAL] = run_equal,
    [OP_NOT_EQUAL] = run_not_equal,
    [OP_LESS] = run_less,
    [OP_LESS_EQUAL] = run_less_equal,
    [OP_SWIGLU] = run_swiglu,
    [OP_SWIGLU_BWD] = run_swiglu_bwd,
    [OP_SUM] = run_sum,
    [OP_MAX] = run_max,
    [OP_SOFTMAX] = run_softmax,
    [OP_LOGSUMEXP] = run_logsumexp,
    [OP_SUM_SQUARES] = run_sum_squares,
    [OP_ACCUMULATE] = run_accumulate,
    [OP_MATMUL] = run_matmul,
    [OP_RMS_NORM] = run_rms_norm,
    [OP_RMS_NORM_BWD] = run_rms_norm_bwd,
    [OP_ROPE] = run_rope,
    [OP_LINEAR] = ref_run_linear,
    [OP_LINEAR_BWD] = run_linear_bwd,
    [OP_ATTENTION] = run_attention,
    [OP_ATTENTION_BWD] = run_attention_bwd,
    [OP_LINEAR_CROSS_ENTROPY] = run_linear_cross_entropy,
    [OP_EMBED] = run_embed,
    [OP_TAKE_BWD] = run_take_bwd,
    [OP_TAKE_ALONG_BWD] = run_take_along_bwd,
    [OP_ADAMW] = run_adamw,
};
