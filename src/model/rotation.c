/* rotation: chooses frequencies and factors for the documents of a batch, and applies them to q and k by OP_ROPE. Longrope
 * has two sets of frequencies; where a batch holds documents of both kinds, both rotations are computed and each token
 * takes its own. */
#include "model/rotation.h"

#include <math.h>

#include "base/mem.h"

/* ---- what a batch needs ---------------------------------------------------------------------------------------------- */

/* One value for each token, in a shape that broadcasts over heads and elements. */
static struct array *upload_column(struct ctx *c, enum dtype dtype, int64_t n, const void *values)
{
    return array_from_host(c, dtype, 3, (int64_t[]){n, 1, 1}, values);
}

/* Tokens that a document has in the end: those of the batch, or of the cache when it is full. */
static int64_t document_length(const struct batch *b, int segment, int64_t capacity)
{
    return capacity > 0 ? capacity : b->positions[b->cu[segment + 1] - 1] + 1;
}

/* Longrope: one set of frequencies where all documents agree, else both and which token has which. */
static enum status choose_frequencies(const struct model *m, const struct batch *b, int64_t capacity, struct rotation *out)
{
    int64_t original = m->config.rope_original_positions, n_beyond = 0;
    for (int s = 0; s < b->n_seg; s++) n_beyond += document_length(b, s, capacity) > original;
    if (n_beyond == b->n_seg) out->inv_freq = m->inv_freq_beyond;
    if (n_beyond == 0 || n_beyond == b->n_seg) return OK;
    uint8_t *is_beyond = mem_alloc(m->c, (size_t)b->n, sizeof *is_beyond);
    for (int s = 0; is_beyond && s < b->n_seg; s++)
        for (int32_t i = b->cu[s]; i < b->cu[s + 1]; i++) is_beyond[i] = document_length(b, s, capacity) > original;
    out->beyond = m->inv_freq_beyond;
    out->is_beyond = is_beyond ? upload_column(m->c, DTYPE_BOOL, b->n, is_beyond) : NULL;
    mem_free(m->c, is_beyond);
    return m->c->status;
}

/* Ministral 3: q is multiplied with 1 + beta ln(1 + floor(position / original)), which is 1 within the original context, in
 * f32 like transformers' modeling_ministral3.py (llama_4_scaling_beta). */
static enum status rotation_make_q_scale(const struct model *m, const struct batch *b, struct rotation *out)
{
    int64_t original = m->config.rope_original_positions;
    bool any = false;
    for (int64_t i = 0; i < b->n; i++) any = any || b->positions[i] >= original;
    float *scale = any ? mem_alloc(m->c, (size_t)b->n, sizeof *scale) : NULL;
    for (int64_t i = 0; scale && i < b->n; i++)
        scale[i] = 1 + (float)m->config.rope_position_beta * logf(1 + floorf((float)b->positions[i] / (float)original));
    if (scale) out->q_scale = upload_column(m->c, DTYPE_F32, b->n, scale);
    mem_free(m->c, scale);
    return m->c->status;
}

/* Beyond max_positions the frequencies of a dynamic scaling would depend on the length of the document. */
static enum status check_dynamic(const struct model *m, const struct batch *b)
{
    for (int64_t i = 0; i < b->n; i++)
        if (b->positions[i] >= m->config.max_positions)
            return ctx_fail(
                m->c, E_INPUT,
                "position %d: with dynamic rope scaling documents of at most %lld tokens (max_position_embeddings) "
                "are supported",
                b->positions[i], (long long)m->config.max_positions);
    return OK;
}

enum status rotation_make(const struct model *m, const struct batch *b, int64_t capacity, struct rotation *out)
{
    *out = (struct rotation){.inv_freq = m->inv_freq, .scale = m->config.rope_attention_factor};
    out->positions = array_from_host(m->c, DTYPE_I32, 1, &b->n, b->positions);
    if (m->config.rope_scaling == ROPE_DYNAMIC) TRY(check_dynamic(m, b));
    if (m->inv_freq_beyond) TRY(choose_frequencies(m, b, capacity, out));
    if (m->config.rope_position_beta > 0) TRY(rotation_make_q_scale(m, b, out));
    return m->c->status;
}

/* ---- rotating ------------------------------------------------------------------------------------------------------- */

/* Elements [first, stop) of each head. */
static struct array *of_heads(struct ctx *c, struct array *x, int64_t first, int64_t stop)
{
    const int64_t from[3] = {0, 0, first}, to[3] = {x->shape[0], x->shape[1], stop};
    return op_slice(c, x, from, to, NULL);
}

/* Rotation of whole heads; where documents have different frequencies, by both sets, of which each token takes its own. */
static struct array *rotate_heads(struct ctx *c, const struct rotation *r, struct array *x)
{
    struct array *within = op_rope(c, x, r->positions, r->inv_freq, r->scale);
    if (!r->is_beyond) return within;
    return op_where(c, r->is_beyond, op_rope(c, x, r->positions, r->beyond, r->scale), within);
}

struct array *rotation_apply(struct ctx *c, const struct rotation *r, struct array *x)
{
    if (!x || !r->inv_freq) return NULL;
    int64_t rotated = 2 * r->inv_freq->shape[0], size = x->shape[2];
    if (rotated == size) return rotate_heads(c, r, x);
    struct array *parts[2] = {rotate_heads(c, r, of_heads(c, x, 0, rotated)), of_heads(c, x, rotated, size)};
    return parts[0] && parts[1] ? op_concat(c, parts, 2, 2) : NULL;
}
