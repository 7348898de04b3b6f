/* ref_elementwise: part of ref_real.h. Rows of equal shapes, element by element, any strides. */

/* What an element becomes. Kernels load elements as double, call one of these and round once. */
typedef double (*unary_fn)(double x);
typedef double (*binary_fn)(double a, double b);
typedef bool (*compare_fn)(double a, double b);

/* out = f(a), element by element, row by row. */
static enum status map_unary(struct ctx *c, const struct op_call *call, unary_fn f)
{
    const struct array *a = call->in[0], *out = call->out[0];
    ref_check_real(c, call->op, out);
    BUG_ON(c, !array_same_shape(a, out), "%s: shapes differ", op_name(call->op));
    struct axes ax = axes_rows(a), ox = axes_rows(out);
    int64_t n = last_size(a), as = last_stride(a), os = last_stride(out);
    for (int64_t r = 0; r < ox.size; r++) {
        const REAL *from = real_at(a, axes_offset(&ax, r));
        REAL *to = real_at(out, axes_offset(&ox, r));
        for (int64_t j = 0; j < n; j++) to[j * os] = (REAL)f((double)from[j * as]);
    }
    return OK;
}

/* Both operands and the result have one shape; operands have this file's dtype. */
static void check_binary(struct ctx *c, const struct op_call *call)
{
    const struct array *a = call->in[0], *b = call->in[1], *out = call->out[0];
    ref_check_real(c, call->op, b);
    BUG_ON(c, !array_same_shape(a, out) || !array_same_shape(b, out), "%s: shapes differ", op_name(call->op));
}

/* out = f(a, b). */
static enum status map_binary(struct ctx *c, const struct op_call *call, binary_fn f)
{
    const struct array *a = call->in[0], *b = call->in[1], *out = call->out[0];
    check_binary(c, call);
    ref_check_real(c, call->op, out);
    struct axes ax = axes_rows(a), bx = axes_rows(b), ox = axes_rows(out);
    int64_t n = last_size(a), as = last_stride(a), bs = last_stride(b), os = last_stride(out);
    for (int64_t r = 0; r < ox.size; r++) {
        const REAL *x = real_at(a, axes_offset(&ax, r)), *y = real_at(b, axes_offset(&bx, r));
        REAL *to = real_at(out, axes_offset(&ox, r));
        for (int64_t j = 0; j < n; j++) to[j * os] = (REAL)f((double)x[j * as], (double)y[j * bs]);
    }
    return OK;
}

/* out, bool, = f(a, b). */
static enum status map_compare(struct ctx *c, const struct op_call *call, compare_fn f)
{
    const struct array *a = call->in[0], *b = call->in[1], *out = call->out[0];
    check_binary(c, call);
    BUG_ON(c, out->dtype != DTYPE_BOOL, "%s: the result must be bool", op_name(call->op));
    struct axes ax = axes_rows(a), bx = axes_rows(b), ox = axes_rows(out);
    int64_t n = last_size(a), as = last_stride(a), bs = last_stride(b), os = last_stride(out);
    for (int64_t r = 0; r < ox.size; r++) {
        const REAL *x = real_at(a, axes_offset(&ax, r)), *y = real_at(b, axes_offset(&bx, r));
        uint8_t *to = (uint8_t *)out->data + axes_offset(&ox, r);
        for (int64_t j = 0; j < n; j++) to[j * os] = f((double)x[j * as], (double)y[j * bs]);
    }
    return OK;
}

/* ---- the functions ---------------------------------------------------------------------------------------------------- */

static double elementwise_add(double a, double b)
{
    return a + b;
}
static double sub(double a, double b)
{
    return a - b;
}
static double mul(double a, double b)
{
    return a * b;
}
static double elementwise_divide(double a, double b)
{
    return a / b;
}
/* NaN wins from either side, as in NumPy (fmax would drop it). */
static double maximum(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}
static double neg(double x)
{
    return -x;
}
/* exp is only taken of what is not positive, so it cannot overflow. */
static double sigmoid(double x)
{
    double e = exp(-fabs(x));
    return (x >= 0 ? 1.0 : e) / (1.0 + e);
}
static bool equal(double a, double b)
{
    return a == b;
}
static bool not_equal(double a, double b)
{
    return a != b;
}
static bool less(double a, double b)
{
    return a < b;
}
static bool less_equal(double a, double b)
{
    return a <= b;
}

static enum status run_add(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, elementwise_add);
}
static enum status run_sub(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, sub);
}
static enum status run_mul(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, mul);
}
static enum status run_div(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, elementwise_divide);
}
static enum status run_maximum(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, maximum);
}
static enum status run_neg(struct ctx *c, const struct op_call *call)
{
    return map_unary(c, call, neg);
}
static enum status run_exp(struct ctx *c, const struct op_call *call)
{
    return map_unary(c, call, exp);
}
static enum status run_log(struct ctx *c, const struct op_call *call)
{
    return map_unary(c, call, log);
}
static enum status run_sqrt(struct ctx *c, const struct op_call *call)
{
    return map_unary(c, call, sqrt);
}
static enum status run_sigmoid(struct ctx *c, const struct op_call *call)
{
    return map_unary(c, call, sigmoid);
}
static enum status run_equal(struct ctx *c, const struct op_call *call)
{
    return map_compare(c, call, equal);
}
static enum status run_not_equal(struct ctx *c, const struct op_call *call)
{
    return map_compare(c, call, not_equal);
}
static enum status run_less(struct ctx *c, const struct op_call *call)
{
    return map_compare(c, call, less);
}
static enum status run_less_equal(struct ctx *c, const struct op_call *call)
{
    return map_compare(c, call, less_equal);
}

/* ---- SwiGLU (Shazeer 2020): y = silu(gate) * up, silu(x) = x sigmoid(x) ---------------------------------------------- */

static double swiglu(double gate, double up)
{
    return gate * sigmoid(gate) * up;
}

static enum status run_swiglu(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, swiglu);
}

/* Inputs dy, gate, up; outputs dgate = dy up silu'(gate), dup = dy silu(gate); silu'(x) = s (1 + x (1 - s)). */
static enum status run_swiglu_bwd(struct ctx *c, const struct op_call *call)
{
    const struct array *dy = call->in[0], *gate = call->in[1], *up = call->in[2];
    const struct array *dgate = call->out[0], *dup = call->out[1];
    ref_check_real(c, call->op, gate);
    ref_check_real(c, call->op, up);
    BUG_ON(c, !array_same_shape(dy, gate) || !array_same_shape(dy, up), "swiglu_bwd: shapes differ");
    BUG_ON(c, !array_same_shape(dy, dgate) || !array_same_shape(dy, dup), "swiglu_bwd: shapes differ");
    struct axes yx = axes_all(dy), gx = axes_all(gate), ux = axes_all(up), dgx = axes_all(dgate), dux = axes_all(dup);
    for (int64_t i = 0; i < yx.size; i++) {
        double d = (double)*real_at(dy, axes_offset(&yx, i));
        double g = (double)*real_at(gate, axes_offset(&gx, i)), u = (double)*real_at(up, axes_offset(&ux, i));
        double s = sigmoid(g);
        *real_at(dgate, axes_offset(&dgx, i)) = (REAL)(d * u * s * (1.0 + g * (1.0 - s)));
        *real_at(dup, axes_offset(&dux, i)) = (REAL)(d * g * s);
    }
    return OK;
}
