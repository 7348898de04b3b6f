/* mil_run_shapes: ops that move elements. */
#include <string.h>

#include "export/coreml/mil_run_internal.h"

enum status mil_run_reshape(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x");
    struct mil_type type = {.rank = 0};
    int64_t known = 1;
    int open = -1;
    if (!x || (type.rank = mil_run_ints(r, "shape", type.dim)) < 0) return r->c->status;
    type.dtype = x->type.dtype;
    for (int i = 0; i < type.rank; i++)
        if (type.dim[i] == -1 && open < 0)
            open = i;
        else if (type.dim[i] < 0 || __builtin_mul_overflow(known, type.dim[i], &known))
            return mil_run_refuse(r, "two dimensions are left open, or one is wrong");
    if (open >= 0) type.dim[open] = known > 0 && x->cells->n % known == 0 ? x->cells->n / known : 0;
    mil_run_share(r, x, &type);
    return r->c->status;
}

enum status mil_run_expand(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x");
    int64_t axes[MIL_RANK_MAX] = {0};
    if (!x || mil_run_ints(r, "axes", axes) < 0) return r->c->status;
    if (mil_run_ints(r, "axes", axes) != 1 || axes[0] < 0 || axes[0] > x->type.rank || x->type.rank == MIL_RANK_MAX)
        return mil_run_refuse(r, "adds one axis, which must fit");
    struct mil_type type = x->type;
    type.rank++;
    for (int i = type.rank - 1; i > axes[0]; i--) type.dim[i] = x->type.dim[i - 1];
    type.dim[axes[0]] = 1;
    mil_run_share(r, x, &type);
    return r->c->status;
}

/* Elements from one place to the next along each axis. */
static void steps_of(const struct mil_type *t, int64_t step[MIL_RANK_MAX])
{
    for (int64_t i = t->rank - 1, n = 1; i >= 0; i--) {
        step[i] = n;
        n *= t->dim[i];
    }
}

/* Copies a box of this shape element by element; from and to: where it begins there; steps along each axis. Elements are
 * moved as bits, whatever their type. */
static void copy_box(const struct mil_type *box, const int32_t *from, const int64_t *from_step, int32_t *to,
                     const int64_t *to_step)
{
    int64_t index[MIL_RANK_MAX] = {0}, n = mil_elements(box);
    for (int64_t k = 0; k < n; k++) {
        int64_t a = 0, b = 0;
        for (int i = 0; i < box->rank; i++) {
            a += index[i] * from_step[i];
            b += index[i] * to_step[i];
        }
        to[b] = from[a];
        for (int i = box->rank - 1; i >= 0 && ++index[i] == box->dim[i]; i--) index[i] = 0;
    }
}

enum status mil_run_transpose(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x");
    int64_t order[MIL_RANK_MAX], step[MIL_RANK_MAX], from[MIL_RANK_MAX], to[MIL_RANK_MAX];
    unsigned seen = 0;
    int n = x ? mil_run_ints(r, "perm", order) : -1;
    if (n < 0) return r->c->status;
    if (n != x->type.rank) return mil_run_refuse(r, "an order of another rank");
    struct mil_type type = x->type;
    steps_of(&x->type, step);
    for (int i = 0; i < n; i++) {
        if (order[i] < 0 || order[i] >= n) return mil_run_refuse(r, "an axis that is not there");
        seen |= 1u << order[i];
        type.dim[i] = x->type.dim[order[i]];
        from[i] = step[order[i]];
    }
    if (seen != (1u << n) - 1) return mil_run_refuse(r, "an axis twice");
    struct mil_tensor *y = mil_run_make(r, &type);
    if (!y) return r->c->status;
    steps_of(&y->type, to);
    copy_box(&type, x->cells->i, from, y->cells->i, to);
    return OK;
}

/* Where a box of `x` begins and its shape, from arguments begin, end and their masks (of what is taken whole). */
static enum status read_box(struct mil_run *r, const struct mil_tensor *x, int64_t begin[MIL_RANK_MAX], struct mil_type *box)
{
    int64_t end[MIL_RANK_MAX];
    bool from_start[MIL_RANK_MAX], to_end[MIL_RANK_MAX];
    int n = mil_run_ints(r, "begin", begin);
    if (n < 0 || mil_run_ints(r, "end", end) != n || n != x->type.rank)
        return mil_run_refuse(r, "begin and end have another rank");
    TRY(mil_run_flags(r, "begin_mask", n, from_start));
    TRY(mil_run_flags(r, "end_mask", n, to_end));
    *box = x->type;
    for (int i = 0; i < n; i++) {
        if (from_start[i]) begin[i] = 0;
        if (to_end[i]) end[i] = x->type.dim[i];
        if (begin[i] < 0 || end[i] > x->type.dim[i] || begin[i] > end[i]) return mil_run_refuse(r, "reaches outside");
        box->dim[i] = end[i] - begin[i];
    }
    return OK;
}

static int64_t mil_run_shapes_place_of(const int64_t *at, const int64_t *step, int rank)
{
    int64_t n = 0;
    for (int i = 0; i < rank; i++) n += at[i] * step[i];
    return n;
}

enum status mil_run_slice(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x");
    int64_t begin[MIL_RANK_MAX], from[MIL_RANK_MAX], to[MIL_RANK_MAX];
    struct mil_type box, type;
    bool dropped[MIL_RANK_MAX];
    if (!x || read_box(r, x, begin, &box) != OK) return r->c->status;
    TRY(mil_run_flags(r, "squeeze_mask", box.rank, dropped));
    type = (struct mil_type){.dtype = box.dtype};
    for (int i = 0; i < box.rank; i++)
        if (!dropped[i])
            type.dim[type.rank++] = box.dim[i];
        else if (box.dim[i] != 1)
            return mil_run_refuse(r, "drops an axis of more than one element");
    steps_of(&x->type, from);
    steps_of(&box, to);
    const int32_t *first = x->cells->i + mil_run_shapes_place_of(begin, from, box.rank);
    struct mil_tensor *y = mil_run_make(r, &type);
    if (y && y->cells->n > 0) copy_box(&box, first, from, y->cells->i, to);
    return r->c->status;
}

enum status mil_run_update(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x"), *update = x ? mil_run_in(r, "update") : NULL;
    int64_t begin[MIL_RANK_MAX], from[MIL_RANK_MAX], to[MIL_RANK_MAX];
    struct mil_type box;
    if (!update || read_box(r, x, begin, &box) != OK) return r->c->status;
    bool same = update->type.rank == box.rank && update->type.dtype == box.dtype;
    for (int i = 0; same && i < box.rank; i++) same = update->type.dim[i] == box.dim[i];
    if (!same) return mil_run_refuse(r, "the update has another shape than its place");
    steps_of(&box, from);
    steps_of(&x->type, to);
    struct mil_tensor *y = mil_run_make(r, &x->type);
    if (!y) return r->c->status;
    memcpy(y->cells->i, x->cells->i, (size_t)x->cells->n * sizeof y->cells->i[0]);
    if (update->cells->n > 0)
        copy_box(&box, update->cells->i, from, y->cells->i + mil_run_shapes_place_of(begin, to, box.rank), to);
    return OK;
}

enum status mil_run_concat(struct mil_run *r)
{
    int64_t axis = mil_run_int(r, "axis", 0), to[MIL_RANK_MAX], from[MIL_RANK_MAX], at = 0;
    const struct mil_op *op = r->op;
    struct mil_type type = {.rank = 0};
    for (int i = 0; i < op->n_args; i++) {
        if (strcmp(op->args[i].key, "values") != 0) continue;
        const struct mil_tensor *x = op->args[i].var >= 0 ? &r->values[op->args[i].var] : NULL;
        if (!x || !x->cells) return mil_run_refuse(r, "a part has no value yet");
        if (i == 0 || type.rank == 0) type = x->type, type.dim[axis >= 0 && axis < type.rank ? axis : 0] = 0;
        bool same = x->type.rank == type.rank && x->type.dtype == type.dtype && axis >= 0 && axis < type.rank;
        for (int k = 0; same && k < type.rank; k++) same = k == axis || x->type.dim[k] == type.dim[k];
        if (!same) return mil_run_refuse(r, "its parts do not go together");
        type.dim[axis] += x->type.dim[axis];
    }
    struct mil_tensor *y = ctx_ok(r->c) ? mil_run_make(r, &type) : NULL;
    if (!y) return r->c->status;
    steps_of(&type, to);
    for (int i = 0; i < op->n_args; i++) {
        if (strcmp(op->args[i].key, "values") != 0) continue;
        const struct mil_tensor *x = &r->values[op->args[i].var];
        steps_of(&x->type, from);
        if (x->cells->n > 0) copy_box(&x->type, x->cells->i, from, y->cells->i + at, to);
        at += x->type.dim[axis] * to[axis];
    }
    return OK;
}

enum status mil_run_shape(struct mil_run *r)
{
    struct mil_tensor *x = mil_run_in(r, "x");
    if (!x) return r->c->status;
    struct mil_type of = x->type, type = {.dtype = MIL_I32, .rank = 1, .dim = {x->type.rank}};
    struct mil_tensor *y = mil_run_make(r, &type);
    for (int i = 0; y && i < of.rank; i++) y->cells->i[i] = (int32_t)of.dim[i];
    return r->c->status;
}

enum status mil_run_range(struct mil_run *r)
{
    int64_t start = mil_run_int(r, "start", 0), end = mil_run_int(r, "end", 0), step = mil_run_int(r, "step", 1);
    if (!ctx_ok(r->c)) return r->c->status;
    if (step != 1 || end < start) return mil_run_refuse(r, "goes up in steps of one");
    struct mil_type type = {.dtype = MIL_I32, .rank = 1, .dim = {end - start}};
    struct mil_tensor *y = mil_run_make(r, &type);
    for (int64_t i = 0; y && i < end - start; i++) y->cells->i[i] = (int32_t)(start + i);
    return r->c->status;
}
