/* linear_view: the operands of a LINEAR or LINEAR_BWD call by name.
 *
 * The two rows have up to eleven inputs and seven outputs, most of them one for each of the (up to three) weights that share
 * x, and every slot may be empty. A call holds them in flat lists, as every other row does; this is the only place that
 * knows which number in the list is which operand. Example, two weights, the second one without an adapter:
 *
 *   LINEAR      in  x, A_0, B_0, -, -, -, -                       out  y, h_0, -, -
 *   LINEAR_BWD  in  dy, x, A_0, B_0, -, -, -, -, h_0, -, -        out  dx, dA_0, dB_0, -, -, -, -
 *
 * What they mean, and which may be absent when, is said at struct linear_params in op.h. */
#ifndef YA_ARRAY_LINEAR_VIEW_H
#define YA_ARRAY_LINEAR_VIEW_H

#include "array/backend.h"

/* What belongs to weight i, W_i (M_i, K), which has an adapter of rank R_i or none. All are NULL where they are absent. */
struct linear_view_slot {
    struct array *a, *b;   /* (R_i, K) and (M_i, R_i): inputs of both rows */
    struct array *h;       /* (N, R_i) = drop_i(x) A_i^T: output of LINEAR, input of LINEAR_BWD */
    struct array *da, *db; /* as a and b: outputs of LINEAR_BWD */
};

struct linear_view {
    struct array *x;  /* (N, K): input of both rows */
    struct array *y;  /* (N, sum of M_i): output of LINEAR; NULL in LINEAR_BWD */
    struct array *dy; /* as y, input of LINEAR_BWD; NULL in LINEAR */
    struct array *dx; /* as x, output of LINEAR_BWD; NULL in LINEAR */
    struct linear_view_slot slot[LINEAR_MAX];
};

/* The operands of a call of one of the two rows. Borrowed, like the call's own pointers. */
struct linear_view linear_view_of(const struct op_call *call);
/* The other direction: puts what the call's row (call->op) takes and gives into its lists. */
void linear_view_put(const struct linear_view *v, struct op_call *call);

#endif
