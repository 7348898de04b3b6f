/* ref_rope: part of ref_real.h. Rotary embedding (Su et al. 2021) in the half-split pairing: with D = head size, elements j
 * and j + D/2 of every head turn by position * inv_freq[j]. The inverse turns back: it is also the derivative. Angles are
 * products in double, so that long contexts lose nothing. */

/* One head of one token. */
static void rope_row(const REAL *x, REAL *y, const double *cosines, const double *sines, int64_t half)
{
    for (int64_t j = 0; j < half; j++) {
        double a = (double)x[j], b = (double)x[j + half];
        y[j] = (REAL)(a * cosines[j] - b * sines[j]);
        y[j + half] = (REAL)(b * cosines[j] + a * sines[j]);
    }
}

/* x (N, H, D), positions i32 (N), inv_freq f32 (D / 2) -> y as x. Sines and cosines are made once a token, for all heads. */
static enum status run_rope(struct ctx *c, const struct op_call *call)
{
    const struct rope_params *p = call->params;
    const struct array *x = call->in[0], *positions = call->in[1], *inv_freq = call->in[2], *y = call->out[0];
    check_operand(c, call->op, x, 3);
    check_operand(c, call->op, y, 3);
    int64_t half = x->shape[2] / 2;
    BUG_ON(c, !array_same_shape(x, y) || x->shape[2] % 2 != 0, "rope: shapes");
    BUG_ON(c, positions->dtype != DTYPE_I32 || positions->ndim != 1 || positions->shape[0] != x->shape[0],
           "rope: positions");
    BUG_ON(c, inv_freq->dtype != DTYPE_F32 || array_size(inv_freq) != half, "rope: frequencies");
    double *cosines = mem_alloc(c, (size_t)half * 2, sizeof(double));
    if (!cosines) return E_MEMORY;
    double *sines = cosines + half;
    for (int64_t n = 0; n < x->shape[0]; n++) {
        for (int64_t j = 0; j < half; j++) {
            double angle = (double)id_at(positions, n) * (double)((const float *)inv_freq->data)[j];
            cosines[j] = cos(angle) * p->scale;
            sines[j] = (p->inverse ? -sin(angle) : sin(angle)) * p->scale;
        }
        for (int64_t h = 0; h < x->shape[1]; h++) {
            rope_row(real_head(x, n, h), real_head(y, n, h), cosines, sines, half);
        }
    }
    mem_free(c, cosines);
    return OK;
}
