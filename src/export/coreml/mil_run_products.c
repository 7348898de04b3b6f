/* mil_run_products: products with stored weights, whose rows are widened one at a time, and of two tensors. Sums are f32. */
#include <string.h>

#include "base/mem.h"
#include "base/threads.h"
#include "export/coreml/mil_run_internal.h"

enum { ROWS_A_BLOCK = 16, LANES = 8 };

static float mil_run_products_dot(const float *x, const float *y, int64_t n)
{
    float sums[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) sums[k] += x[i + k] * y[i + k];
    for (; i < n; i++) sum += x[i] * y[i];
    for (int k = 0; k < LANES; k++) sum += sums[k];
    return sum;
}

/* ---- with weights ----------------------------------------------------------------------------------------------------- */

/* y = w x + bias, for x (n, K) to y (n, M), or with `channels` for x (K, n) to y (M, n). */
struct mil_run_products_weighted {
    const struct mil_stored *w;
    const float *x, *bias; /* bias may be NULL */
    float *y, *rows;       /* rows: a row of w for each worker */
    int64_t n;
    bool channels;
};

static void weighted_row(const struct mil_run_products_weighted *p, int64_t m, float *row)
{
    int64_t k_all = p->w->cols;
    float bias = p->bias ? p->bias[m] : 0;
    mil_run_row(p->w, m, row);
    if (!p->channels) {
        for (int64_t i = 0; i < p->n; i++)
            p->y[i * p->w->rows + m] = bias + mil_run_products_dot(p->x + i * k_all, row, k_all);
        return;
    }
    float *y = p->y + m * p->n;
    for (int64_t i = 0; i < p->n; i++) y[i] = 0;
    for (int64_t k = 0; k < k_all; k++)
        for (int64_t i = 0; i < p->n; i++) y[i] += row[k] * p->x[k * p->n + i];
    for (int64_t i = 0; i < p->n; i++) y[i] += bias;
}

static void weighted_block(void *arg, int64_t block, int worker)
{
    const struct mil_run_products_weighted *p = arg;
    int64_t end = (block + 1) * ROWS_A_BLOCK < p->w->rows ? (block + 1) * ROWS_A_BLOCK : p->w->rows;
    for (int64_t m = block * ROWS_A_BLOCK; m < end; m++) weighted_row(p, m, p->rows + worker * p->w->cols);
}

/* The product of x with weights (M, K), whose result has the size M on `axis`. */
static enum status weighted_product(struct mil_run *r, const struct mil_tensor *x, const struct mil_tensor *w, int axis)
{
    const struct mil_tensor *bias = mil_arg_of(r->op, "bias") ? mil_run_in(r, "bias") : NULL;
    struct mil_type type = x->type;
    if (!ctx_ok(r->c)) return r->c->status;
    if (w->stored.form == MIL_STORE_NONE || w->stored.cols != x->type.dim[axis] ||
        (bias && bias->cells->n != w->stored.rows))
        return mil_run_refuse(r, "weights, bias and operand do not go together");
    type.dim[axis] = w->stored.rows;
    struct mil_tensor *y = mil_run_make(r, &type);
    struct mil_run_products_weighted p = {
        .w = &w->stored, .x = x->cells->f, .bias = bias ? bias->cells->f : NULL, .channels = axis == 1};
    p.rows = y ? mem_alloc(r->c, (size_t)(threads_count(r->c) * w->stored.cols), sizeof *p.rows) : NULL;
    if (!p.rows) return r->c->status;
    p.y = y->cells->f;
    p.n = w->stored.cols ? x->cells->n / w->stored.cols : 0;
    threads_run(r->c, (w->stored.rows + ROWS_A_BLOCK - 1) / ROWS_A_BLOCK, weighted_block, &p);
    mem_free(r->c, p.rows);
    return OK;
}

enum status mil_run_linear(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x"), *w = x ? mil_run_weight(r, "weight") : NULL;
    if (!w) return r->c->status;
    if (x->type.dtype != MIL_F16 || x->type.rank < 2 || w->type.rank != 2) return mil_run_refuse(r, "wrong ranks or types");
    return weighted_product(r, x, w, x->type.rank - 1);
}

/* x (1, K, 1, S), weights (M, K, 1, 1): a product for each of S places. */
enum status mil_run_conv(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x"), *w = x ? mil_run_weight(r, "weight") : NULL;
    if (!w) return r->c->status;
    if (x->type.dtype != MIL_F16 || x->type.rank != 4 || x->type.dim[0] != 1 || x->type.dim[2] != 1 || w->type.rank != 4 ||
        w->type.dim[2] != 1 || w->type.dim[3] != 1 || mil_run_int(r, "groups", 1) != 1)
        return mil_run_refuse(r, "is not one of 1 x 1 over (1, channels, 1, places)");
    return weighted_product(r, x, w, 1);
}

enum status mil_run_gather(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_weight(r, "x"), *at = x ? mil_run_in(r, "indices") : NULL;
    if (!at) return r->c->status;
    if (at->type.dtype != MIL_I32 || x->stored.form == MIL_STORE_NONE || mil_run_int(r, "axis", 0) != 0 ||
        at->type.rank + x->type.rank - 1 > MIL_RANK_MAX)
        return mil_run_refuse(r, "takes rows of weights by i32");
    struct mil_type type = at->type;
    type.dtype = x->type.dtype;
    for (int i = 1; i < x->type.rank; i++) type.dim[type.rank++] = x->type.dim[i];
    for (int64_t i = 0; i < at->cells->n; i++)
        if (at->cells->i[i] < 0 || at->cells->i[i] >= x->stored.rows)
            return mil_run_refuse(r, "an index outside of the table");
    struct mil_tensor *y = mil_run_make(r, &type);
    for (int64_t i = 0; y && i < at->cells->n; i++)
        mil_run_row(&x->stored, at->cells->i[i], y->cells->f + i * x->stored.cols);
    return r->c->status;
}

/* ---- stored forms ----------------------------------------------------------------------------------------------------- */

/* The bytes of a constant that an argument holds in place, of this type and shape up to the first dimension. */
static const void *in_place(struct mil_run *r, const char *key, enum mil_dtype dtype, int64_t elements)
{
    const struct mil_arg *a = mil_arg_of(r->op, key);
    const struct mil_value *v = a ? a->value : NULL;
    if (!v || v->type.dtype != dtype || mil_elements(&v->type) != elements || !v->in_file)
        return mil_run_refuse(r, "stored weights of another type or size"), NULL;
    return mil_run_blob(r, v);
}

static enum status stored_weight(struct mil_run *r, enum mil_store form, const char *data, enum mil_dtype dtype,
                                 const char *with, int64_t each)
{
    const struct mil_type *type = r->op->out >= 0 ? &r->p->vars[r->op->out].type : NULL;
    int64_t all = type ? mil_elements(type) : -1;
    if (all <= 0 || type->dtype != MIL_F16 || type->rank < 2) return mil_run_refuse(r, "a shape that is not known");
    struct mil_stored s = {.form = form, .rows = type->dim[0], .cols = all / type->dim[0]};
    s.data = in_place(r, data, dtype, all);
    s.with = s.data ? in_place(r, with, MIL_F16, s.rows * each) : NULL;
    if (s.with) r->values[r->op->out] = (struct mil_tensor){.type = *type, .stored = s};
    return r->c->status;
}

enum status mil_run_int8(struct mil_run *r)
{
    return stored_weight(r, MIL_STORE_I8, "data", MIL_I8, "scale", 1);
}

enum status mil_run_lut4(struct mil_run *r)
{
    return stored_weight(r, MIL_STORE_LUT4, "indices", MIL_U4, "lut", 16);
}

/* ---- two tensors ------------------------------------------------------------------------------------------------------ */

/* out (m, n) = x (m, k) y (k, n) for each matrix of a batch; x_step: elements from a row to the next and from a column to
 * the next, likewise of y. */
struct matrices {
    const float *x, *y;
    float *out;
    int64_t m, n, k, x_step[2], y_step[2];
};

static void mil_run_products_matmul_row(void *arg, int64_t block, int worker)
{
    const struct matrices *p = arg;
    int64_t batch = block / p->m, i = block % p->m;
    const float *x = p->x + batch * p->m * p->k + i * p->x_step[0], *y = p->y + batch * p->k * p->n;
    float *out = p->out + block * p->n;
    (void)worker;
    if (p->x_step[1] == 1 && p->y_step[0] == 1) {
        for (int64_t j = 0; j < p->n; j++) out[j] = mil_run_products_dot(x, y + j * p->y_step[1], p->k);
        return;
    }
    for (int64_t j = 0; j < p->n; j++) out[j] = 0;
    for (int64_t k = 0; k < p->k; k++)
        for (int64_t j = 0; j < p->n; j++) out[j] += x[k * p->x_step[1]] * y[k * p->y_step[0] + j * p->y_step[1]];
}

enum status mil_run_matmul(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x"), *y = x ? mil_run_in(r, "y") : NULL;
    if (!y) return r->c->status;
    int n = x->type.rank;
    bool tx = mil_run_int(r, "transpose_x", 0), ty = mil_run_int(r, "transpose_y", 0);
    if (n < 2 || y->type.rank != n || x->type.dtype != MIL_F16 || y->type.dtype != MIL_F16)
        return mil_run_refuse(r, "takes two f16 tensors of one rank");
    const int64_t *a = x->type.dim + n - 2, *b = y->type.dim + n - 2;
    struct mil_type type = x->type;
    struct matrices p = {.x = x->cells->f, .y = y->cells->f, .m = a[tx], .k = a[!tx], .n = b[!ty]};
    bool same = b[ty] == p.k;
    for (int i = 0; i < n - 2; i++) same &= x->type.dim[i] == y->type.dim[i];
    if (!same) return mil_run_refuse(r, "its operands do not go together");
    p.x_step[tx] = a[1], p.x_step[!tx] = 1;
    p.y_step[ty] = b[1], p.y_step[!ty] = 1;
    type.dim[n - 2] = p.m;
    type.dim[n - 1] = p.n;
    struct mil_tensor *out = mil_run_make(r, &type);
    if (!out || p.n == 0) return r->c->status;
    p.out = out->cells->f;
    threads_run(r->c, out->cells->n / p.n, mil_run_products_matmul_row, &p);
    return OK;
}
