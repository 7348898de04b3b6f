/* mil_run_math: ops element by element, and along one axis. */
#include <math.h>
#include <string.h>

#include "export/coreml/mil_run_internal.h"

static bool is_float(const struct mil_tensor *t)
{
    return t->type.dtype == MIL_F16 || t->type.dtype == MIL_F32;
}

enum status mil_run_unary(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x");
    if (!x) return r->c->status;
    if (!is_float(x)) return mil_run_refuse(r, "takes floats");
    bool silu = strcmp(r->op->kind, "silu") == 0;
    struct mil_tensor *y = mil_run_make(r, &x->type);
    for (int64_t i = 0; y && i < y->cells->n; i++) {
        float v = x->cells->f[i];
        y->cells->f[i] = silu ? v / (1 + expf(-v)) : fabsf(v);
    }
    return r->c->status;
}

/* ---- two operands ----------------------------------------------------------------------------------------------------- */

typedef float float_fn(float x, float y);
static float mil_run_math_add(float x, float y)
{
    return x + y;
}
static float subtract(float x, float y)
{
    return x - y;
}
static float multiply(float x, float y)
{
    return x * y;
}
static float mil_run_math_divide(float x, float y)
{
    return x / y;
}

static float_fn *float_of(const char *kind)
{
    if (strcmp(kind, "add") == 0) return mil_run_math_add;
    if (strcmp(kind, "sub") == 0) return subtract;
    if (strcmp(kind, "mul") == 0) return multiply;
    if (strcmp(kind, "real_div") == 0) return mil_run_math_divide;
    if (strcmp(kind, "maximum") == 0) return fmaxf;
    return NULL;
}

static bool int_of(const char *kind, int32_t x, int32_t y, int32_t *out)
{
    if (strcmp(kind, "add") == 0)
        *out = (int32_t)((uint32_t)x + (uint32_t)y);
    else if (strcmp(kind, "sub") == 0)
        *out = (int32_t)((uint32_t)x - (uint32_t)y);
    else if (strcmp(kind, "greater_equal") == 0)
        *out = x >= y;
    else if (strcmp(kind, "less") == 0)
        *out = x < y;
    else if (strcmp(kind, "logical_and") == 0)
        *out = x && y;
    else
        return false;
    return true;
}

/* The shape that two shapes spread to, and for each operand how many elements one step along an axis is (0 where it is
 * spread). */
static bool spread_shapes(const struct mil_type *x, const struct mil_type *y, struct mil_type *out,
                          int64_t steps[2][MIL_RANK_MAX])
{
    const struct mil_type *of[2] = {x, y};
    out->rank = x->rank > y->rank ? x->rank : y->rank;
    for (int i = 0; i < out->rank; i++) out->dim[i] = 1;
    for (int k = 0; k < 2; k++) {
        int64_t step = 1;
        for (int i = out->rank - 1, at = of[k]->rank - 1; i >= 0; i--, at--) {
            int64_t size = at >= 0 ? of[k]->dim[at] : 1;
            steps[k][i] = size == 1 ? 0 : step;
            if (size != 1 && out->dim[i] != 1 && out->dim[i] != size) return false;
            if (size != 1) out->dim[i] = size;
            step *= size;
        }
    }
    return true;
}

/* One run along the last axis. */
static bool binary_run(const char *kind, float_fn *fn, const struct mil_cells *x, const struct mil_cells *y,
                       struct mil_cells *out, int64_t n, const int64_t at[3], const int64_t step[2])
{
    for (int64_t j = 0; j < n; j++) {
        int64_t i = at[0] + j * step[0], k = at[1] + j * step[1];
        if (fn)
            out->f[at[2] + j] = fn(x->f[i], y->f[k]);
        else if (!int_of(kind, x->i[i], y->i[k], &out->i[at[2] + j]))
            return false;
    }
    return true;
}

enum status mil_run_binary(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x"), *y = x ? mil_run_in(r, "y") : NULL;
    const char *kind = r->op->kind;
    int64_t steps[2][MIL_RANK_MAX];
    if (!y) return r->c->status;
    struct mil_type type = {.dtype = x->type.dtype};
    if (x->type.dtype != y->type.dtype || !spread_shapes(&x->type, &y->type, &type, steps))
        return mil_run_refuse(r, "its operands do not go together");
    float_fn *fn = is_float(x) ? float_of(kind) : NULL;
    if (is_float(x) && !fn) return mil_run_refuse(r, "takes whole numbers");
    if (strcmp(kind, "greater_equal") == 0 || strcmp(kind, "less") == 0) type.dtype = MIL_BOOL;
    struct mil_tensor *out = mil_run_make(r, &type);
    if (!out) return r->c->status;
    int last = type.rank - 1;
    int64_t n = type.rank ? type.dim[last] : 1, zero[2] = {0}, index[MIL_RANK_MAX] = {0};
    int64_t run[2] = {type.rank ? steps[0][last] : 0, type.rank ? steps[1][last] : zero[1]};
    for (int64_t first = 0; n > 0 && first < out->cells->n; first += n) {
        int64_t at[3] = {0, 0, first};
        for (int i = 0; i < last; i++)
            for (int k = 0; k < 2; k++) at[k] += index[i] * steps[k][i];
        if (!binary_run(kind, fn, x->cells, y->cells, out->cells, n, at, run)) return mil_run_refuse(r, "takes floats");
        for (int i = last - 1; i >= 0 && ++index[i] == type.dim[i]; i--) index[i] = 0;
    }
    return OK;
}

/* ---- types ------------------------------------------------------------------------------------------------------------ */

enum status mil_run_cast(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x");
    if (!x) return r->c->status;
    struct mil_type type = x->type;
    type.dtype = r->op->out >= 0 ? r->p->vars[r->op->out].type.dtype : MIL_F32;
    if (type.dtype != MIL_F16 && type.dtype != MIL_F32) return mil_run_refuse(r, "gives floats only");
    bool from_float = is_float(x);
    struct mil_tensor *y = mil_run_make(r, &type);
    for (int64_t i = 0; y && i < y->cells->n; i++) y->cells->f[i] = from_float ? x->cells->f[i] : (float)x->cells->i[i];
    return r->c->status;
}

enum status mil_run_rsqrt(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x"), *epsilon = x ? mil_run_in(r, "epsilon") : NULL;
    if (!epsilon) return r->c->status;
    if (!is_float(x) || !is_float(epsilon) || epsilon->cells->n != 1) return mil_run_refuse(r, "takes floats");
    struct mil_tensor *y = mil_run_make(r, &x->type);
    for (int64_t i = 0; y && i < y->cells->n; i++) y->cells->f[i] = 1 / sqrtf(x->cells->f[i] + epsilon->cells->f[0]);
    return r->c->status;
}

/* ---- along an axis ---------------------------------------------------------------------------------------------------- */

/* Elements in front of an axis, on it and behind it. */
static void split_axis(const struct mil_type *t, int axis, int64_t n[3])
{
    n[0] = n[2] = 1;
    n[1] = t->dim[axis];
    for (int i = 0; i < t->rank; i++)
        if (i != axis) n[i < axis ? 0 : 2] *= t->dim[i];
}

/* An axis that may be counted from behind; -1 when there is none. */
static int axis_of(struct mil_run *r, const struct mil_tensor *x, int64_t axis)
{
    if (axis < 0) axis += x->type.rank;
    if (axis >= 0 && axis < x->type.rank && is_float(x)) return (int)axis;
    mil_run_refuse(r, "takes floats, along an axis that is there");
    return -1;
}

enum status mil_run_reduce(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x");
    int64_t axes[MIL_RANK_MAX] = {0}, n[3];
    if (!x || mil_run_ints(r, "axes", axes) < 0) return r->c->status;
    int axis = axis_of(r, x, axes[0]);
    if (axis < 0) return r->c->status;
    if (mil_run_ints(r, "axes", axes) != 1 || mil_run_int(r, "keep_dims", 0) != 1)
        return mil_run_refuse(r, "goes along one axis, which stays");
    bool most = strcmp(r->op->kind, "reduce_max") == 0;
    struct mil_type type = x->type;
    split_axis(&x->type, axis, n);
    type.dim[axis] = 1;
    struct mil_tensor *y = mil_run_make(r, &type);
    for (int64_t i = 0; y && i < n[0] * n[2]; i++) {
        const float *from = x->cells->f + i / n[2] * n[1] * n[2] + i % n[2];
        float sum = most ? -INFINITY : 0;
        for (int64_t j = 0; j < n[1]; j++) sum = most ? fmaxf(sum, from[j * n[2]]) : sum + from[j * n[2]];
        y->cells->f[i] = most ? sum : sum / (float)n[1];
    }
    return r->c->status;
}

enum status mil_run_softmax(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x");
    int axis = x ? axis_of(r, x, mil_run_int(r, "axis", -1)) : -1;
    if (axis < 0) return r->c->status;
    if (axis != x->type.rank - 1) return mil_run_refuse(r, "goes along the last axis");
    int64_t n = x->type.dim[axis];
    struct mil_tensor *y = mil_run_make(r, &x->type);
    for (int64_t first = 0; y && n > 0 && first < y->cells->n; first += n) {
        const float *from = x->cells->f + first;
        float *to = y->cells->f + first, most = -INFINITY, sum = 0;
        for (int64_t j = 0; j < n; j++) most = fmaxf(most, from[j]);
        for (int64_t j = 0; j < n; j++) sum += to[j] = expf(from[j] - most);
        for (int64_t j = 0; j < n; j++) to[j] /= sum;
    }
    return r->c->status;
}
