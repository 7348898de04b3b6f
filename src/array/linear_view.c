/* linear_view: the only place that knows which input or output number of a LINEAR call is which operand (linear_view.h has
 * the table). One walk over the operands serves both directions: reading copies from the call's lists to the view, writing
 * from the view to the lists, so that the two cannot disagree. */
#include "array/linear_view.h"

/* Copies one operand, to the view or to the call. */
static void linear_view_move(struct array **named, struct array **listed, bool to_call)
{
    if (to_call)
        *listed = *named;
    else
        *named = *listed;
}

/* Visits every operand of the call's row. In LINEAR inputs are x, A_0, B_0, ... and outputs y, h_0, ...; LINEAR_BWD has dy
 * in front of its inputs and the h_i behind them, and its outputs are dx, dA_0, dB_0, ... */
static void linear_view_walk(struct linear_view *v, struct op_call *call, bool to_call)
{
    bool backward = call->op == OP_LINEAR_BWD;
    struct array **adapters = call->in + (backward ? 2 : 1), **hidden = backward ? adapters + 2 * LINEAR_MAX : call->out + 1;
    linear_view_move(&v->x, &call->in[backward ? 1 : 0], to_call);
    linear_view_move(backward ? &v->dy : &v->y, backward ? &call->in[0] : &call->out[0], to_call);
    if (backward) linear_view_move(&v->dx, &call->out[0], to_call);
    for (int i = 0; i < LINEAR_MAX; i++) {
        struct linear_view_slot *s = &v->slot[i];
        linear_view_move(&s->a, &adapters[2 * i], to_call);
        linear_view_move(&s->b, &adapters[2 * i + 1], to_call);
        linear_view_move(&s->h, &hidden[i], to_call);
        if (!backward) continue;
        linear_view_move(&s->da, &call->out[1 + 2 * i], to_call);
        linear_view_move(&s->db, &call->out[2 + 2 * i], to_call);
    }
}

struct linear_view linear_view_of(const struct op_call *call)
{
    struct linear_view v = {0};
    struct op_call copy = *call;
    linear_view_walk(&v, &copy, false);
    return v;
}

void linear_view_put(const struct linear_view *v, struct op_call *call)
{
    struct linear_view copy = *v;
    linear_view_walk(&copy, call, true);
}
