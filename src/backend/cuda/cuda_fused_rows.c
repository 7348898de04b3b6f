/* cuda_fused_rows: the fused rows that are one kernel each: they bring the operands into rows (cuda_operand.c), fill the
 * kernel's argument struct and launch it. The order of inputs and outputs is that of ops.def. */
#include "backend/cuda/cuda_backend.h"

/* Look-up of rows of the embedding. An id out of range, which CHECK_IDS should have found, leaves its row alone and sets
 * the fault word, so that the next wait fails. */
enum status cuda_row_embed(struct cuda_backend *b, const struct op_call *call)
{
    const struct embed_params *p = call->params;
    const struct array *y = call->out[0];
    TRY(cuda_expect(b, OP_EMBED, y, DTYPE_BF16));
    if (cuda_weight_code(p->table) != CODE_BF16)
        return cuda_weight_widen(b, p->table, call->in[0]->data, y->shape[0], y->data);
    const struct cuda_rows_args a = {.table = p->table->data,
                                     .ids = call->in[0]->data,
                                     .to = y->data,
                                     .fault = b->fault ? &b->fault->row_fault : NULL,
                                     .table_stride = p->table->cols,
                                     .to_stride = y->shape[1],
                                     .limit = p->table->rows,
                                     .rows = (int)y->shape[0],
                                     .cols = (int)y->shape[1]};
    return cuda_rows(b->d, &a);
}

/* ---- rms_norm --------------------------------------------------------------------------------------------------------- */

enum status cuda_row_rms_norm(struct cuda_backend *b, const struct op_call *call)
{
    const struct rms_norm_params *p = call->params;
    struct cuda_rows x, residual = {0}, gain;
    TRY(cuda_expect(b, OP_RMS_NORM, call->in[0], DTYPE_BF16));
    TRY(cuda_rows_in(b, call->in[0], 1, &x));
    TRY(cuda_rows_in(b, call->in[1], 1, &gain));
    if (p->residual) TRY(cuda_rows_in(b, call->in[2], 1, &residual));
    const struct cuda_rms_norm_args a = {.x = x.data,
                                         .residual = residual.data,
                                         .gain = gain.data,
                                         .y = call->out[0]->data,
                                         .sum = p->residual ? call->out[1]->data : NULL,
                                         .rstd = call->out[2]->data,
                                         .x_stride = x.stride,
                                         .residual_stride = residual.stride,
                                         .y_stride = x.cols,
                                         .sum_stride = x.cols,
                                         .rows = (int)x.rows,
                                         .cols = x.cols,
                                         .eps = (float)p->eps};
    return cuda_rms_norm(b->d, &a);
}

enum status cuda_row_rms_norm_bwd(struct cuda_backend *b, const struct op_call *call)
{
    const struct rms_norm_params *p = call->params;
    struct cuda_rows dy, dsum = {0}, x, gain, dx;
    TRY(cuda_expect(b, OP_RMS_NORM_BWD, call->in[0], DTYPE_BF16));
    if (p->want_dg)
        return ctx_fail(b->backend.c, E_UNSUPPORTED, "the gradient of a norm's gains is not done on %s", b->backend.name);
    TRY(cuda_rows_in(b, call->in[0], 1, &dy));
    if (call->in[1]) TRY(cuda_rows_in(b, call->in[1], 1, &dsum));
    TRY(cuda_rows_in(b, call->in[2], 1, &x));
    TRY(cuda_rows_in(b, call->in[3], 1, &gain));
    TRY(cuda_rows_out(b, call->out[0], 1, &dx));
    const struct cuda_rms_norm_bwd_args a = {.dy = dy.data,
                                             .dsum = dsum.data,
                                             .x = x.data,
                                             .gain = gain.data,
                                             .rstd = call->in[4]->data,
                                             .dx = dx.data,
                                             .dy_stride = dy.stride,
                                             .dsum_stride = dsum.stride,
                                             .x_stride = x.stride,
                                             .dx_stride = dx.stride,
                                             .rows = (int)x.rows,
                                             .cols = x.cols};
    TRY(cuda_rms_norm_bwd(b->d, &a));
    return cuda_rows_done(b, call->out[0], &dx);
}

/* ---- rope ------------------------------------------------------------------------------------------------------------- */

enum status cuda_row_rope(struct cuda_backend *b, const struct op_call *call)
{
    const struct rope_params *p = call->params;
    const struct array *x = call->in[0], *y = call->out[0];
    struct cuda_rows from, to;
    TRY(cuda_expect(b, OP_ROPE, x, DTYPE_BF16));
    TRY(cuda_rows_in(b, x, 2, &from));
    TRY(cuda_rows_out(b, y, 2, &to));
    const struct cuda_rope_args a = {.x = from.data,
                                     .y = to.data,
                                     .positions = call->in[1]->data,
                                     .inv_freq = call->in[2]->data,
                                     .x_stride = from.stride,
                                     .y_stride = to.stride,
                                     .rows = (int)from.rows,
                                     .heads = (int)x->shape[1],
                                     .dim = (int)x->shape[2],
                                     .scale = (float)p->scale,
                                     .sign = p->inverse ? -1.0f : 1.0f};
    TRY(cuda_rope(b->d, &a));
    return cuda_rows_done(b, y, &to);
}

/* ---- attention -------------------------------------------------------------------------------------------------------- */

/* Fills *out with sizes and scale of a call, and with arrays in scratch that say which keys each query sees and which
 * queries see each key. */
static enum status attention_bounds(struct cuda_backend *b, const struct attention_params *p, const struct array *q,
                                    const struct array *k, const struct array *cu_q, const struct array *cu_k,
                                    struct cuda_attention_args *out)
{
    int64_t queries = q->shape[0], keys = k->shape[0];
    int32_t *bounds = cuda_scratch(b, DTYPE_I32, 2 * (queries + keys));
    if (!bounds) return b->backend.c->status;
    const struct cuda_attention_bounds_args a = {.cu_q = cu_q->data,
                                                 .cu_k = cu_k->data,
                                                 .first_key = bounds,
                                                 .last_key = bounds + queries,
                                                 .first_query = bounds + 2 * queries,
                                                 .last_query = bounds + 2 * queries + keys,
                                                 .segments = (int)cu_q->shape[0] - 1,
                                                 .queries = (int)queries,
                                                 .keys = (int)keys,
                                                 .window = p->window};
    *out = (struct cuda_attention_args){.first_key = a.first_key,
                                        .last_key = a.last_key,
                                        .first_query = a.first_query,
                                        .last_query = a.last_query,
                                        .queries = (int)queries,
                                        .keys = (int)keys,
                                        .heads = (int)q->shape[1],
                                        .groups = (int)k->shape[1],
                                        .dim = (int)q->shape[2],
                                        .scale = (float)p->scale};
    return cuda_attention_bounds(b->d, &a);
}

/* q, k and v as rows of whole tokens. */
static enum status attention_inputs(struct cuda_backend *b, const struct op_call *call, struct cuda_attention_args *a)
{
    struct cuda_rows q, k, v;
    for (int i = 0; i < 3; i++) TRY(cuda_expect(b, call->op, call->in[i], DTYPE_BF16));
    TRY(cuda_rows_in(b, call->in[0], 2, &q));
    TRY(cuda_rows_in(b, call->in[1], 2, &k));
    TRY(cuda_rows_in(b, call->in[2], 2, &v));
    a->q = q.data, a->q_stride = q.stride;
    a->k = k.data, a->k_stride = k.stride;
    a->v = v.data, a->v_stride = v.stride;
    return OK;
}

enum status cuda_row_attention(struct cuda_backend *b, const struct op_call *call)
{
    struct cuda_attention_one_args one = {0};
    struct cuda_attention_args *a = &one.attention;
    TRY(attention_bounds(b, call->params, call->in[0], call->in[1], call->in[3], call->in[4], a));
    TRY(attention_inputs(b, call, a));
    a->o = call->out[0]->data;
    a->o_stride = (int64_t)a->heads * a->dim;
    a->lse = call->out[1]->data;
    if (!cuda_attention_one_fits(b->d, &one)) return cuda_attention(b->d, a);
    one.partial = cuda_scratch(b, DTYPE_F32, (int64_t)one.pieces * a->heads * (a->dim + 2));
    return one.partial ? cuda_attention_one(b->d, &one) : b->backend.c->status;
}

enum status cuda_row_attention_bwd(struct cuda_backend *b, const struct op_call *call)
{
    struct cuda_attention_args a;
    struct cuda_rows o, grad_o;
    TRY(attention_bounds(b, call->params, call->in[0], call->in[1], call->in[6], call->in[7], &a));
    TRY(attention_inputs(b, call, &a));
    TRY(cuda_rows_in(b, call->in[3], 2, &o));
    TRY(cuda_rows_in(b, call->in[5], 2, &grad_o));
    a.o = o.data, a.o_stride = o.stride;
    a.grad_o = grad_o.data, a.grad_o_stride = grad_o.stride;
    a.lse = call->in[4]->data;
    a.delta = cuda_scratch(b, DTYPE_F32, (int64_t)a.queries * a.heads);
    if (!a.delta) return b->backend.c->status;
    a.dq = call->out[0]->data, a.dq_stride = (int64_t)a.heads * a.dim;
    a.dk = call->out[1]->data, a.dk_stride = (int64_t)a.groups * a.dim;
    a.dv = call->out[2]->data, a.dv_stride = a.dk_stride;
    return cuda_attention_bwd(b->d, &a);
}

/* ---- swiglu ----------------------------------------------------------------------------------------------------------- */

enum status cuda_row_swiglu(struct cuda_backend *b, const struct op_call *call)
{
    struct cuda_rows gate, up;
    TRY(cuda_expect(b, OP_SWIGLU, call->in[0], DTYPE_BF16));
    TRY(cuda_rows_in(b, call->in[0], 1, &gate));
    TRY(cuda_rows_in(b, call->in[1], 1, &up));
    const struct cuda_swiglu_args a = {.gate = gate.data,
                                       .up = up.data,
                                       .y = call->out[0]->data,
                                       .gate_stride = gate.stride,
                                       .up_stride = up.stride,
                                       .y_stride = gate.cols,
                                       .rows = (int)gate.rows,
                                       .cols = gate.cols};
    return cuda_swiglu(b->d, &a, false);
}

enum status cuda_row_swiglu_bwd(struct cuda_backend *b, const struct op_call *call)
{
    struct cuda_rows dy, gate, up, dgate, dup;
    TRY(cuda_expect(b, OP_SWIGLU_BWD, call->in[0], DTYPE_BF16));
    TRY(cuda_rows_in(b, call->in[0], 1, &dy));
    TRY(cuda_rows_in(b, call->in[1], 1, &gate));
    TRY(cuda_rows_in(b, call->in[2], 1, &up));
    TRY(cuda_rows_out(b, call->out[0], 1, &dgate));
    TRY(cuda_rows_out(b, call->out[1], 1, &dup));
    const struct cuda_swiglu_args a = {.gate = gate.data,
                                       .up = up.data,
                                       .dy = dy.data,
                                       .dgate = dgate.data,
                                       .dup = dup.data,
                                       .gate_stride = gate.stride,
                                       .up_stride = up.stride,
                                       .dy_stride = dy.stride,
                                       .dgate_stride = dgate.stride,
                                       .dup_stride = dup.stride,
                                       .rows = (int)gate.rows,
                                       .cols = gate.cols};
    TRY(cuda_swiglu(b->d, &a, true));
    TRY(cuda_rows_done(b, call->out[0], &dgate));
    return cuda_rows_done(b, call->out[1], &dup);
}
