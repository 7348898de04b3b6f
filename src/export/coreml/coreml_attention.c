/* coreml_attention: what all layers share (positions, rotations, masks), and attention over the cache. */
#include <math.h>

#include "base/mem.h"
#include "export/coreml/coreml_net.h"

/* ---- positions -------------------------------------------------------------------------------------------------------- */

/* The position behind the last token and those of all of them. With one length all shapes are known; with several they
 * follow from that of the ids. */
static void coreml_attention_make_rows(struct coreml_builder *b)
{
    struct mil_program *p = b->p;
    if (b->o->n_lengths == 1) {
        int32_t length = (int32_t)b->o->lengths[0];
        b->end = mil_binary(p, "add", b->position, mil_ints(p, 1, &length));
        b->rows = mil_binary(p, "add", b->position, mil_iota(p, length));
        return;
    }
    int length = mil_slice(p, mil_shape(p, b->ids), 0, 1, 2);
    b->end = mil_binary(p, "add", b->position, length);
    int first = mil_pick(p, b->position, 0);
    b->rows = mil_range(p, first, mil_pick(p, b->end, 0));
}

/* 0 where the token of a row may look at the position of a column, else -60000, which leaves nothing of a softmax and is far
 * enough from -65504 for a score to be added. `window`: how many positions it sees, its own among them; 0: all. */
static int make_mask(struct coreml_builder *b, int64_t window)
{
    struct mil_program *p = b->p;
    int rows = mil_expand(p, b->rows, 1), columns = mil_iota(p, (int32_t)b->o->context);
    int seen = mil_binary(p, "greater_equal", rows, columns);
    if (window > 0) {
        int first = mil_binary(p, "sub", rows, mil_int(p, (int32_t)window));
        seen = mil_binary(p, "logical_and", seen, mil_binary(p, "less", first, columns));
    }
    int half = mil_cast(p, seen, MIL_F16);
    half = mil_binary(p, "sub", half, mil_float(p, MIL_F16, 1));
    return mil_binary(p, "mul", half, mil_float(p, MIL_F16, 60000));
}

/* ---- rotations -------------------------------------------------------------------------------------------------------- */

/* Frequencies for a document that fills the cache, as generation in this program chooses them (rotation.h). Owner: the
 * caller. */
static float *frequencies(const struct coreml_builder *b)
{
    const struct model *m = b->m;
    bool beyond = m->inv_freq_beyond && b->o->context > m->config.rope_original_positions;
    float *out = mem_alloc(b->c, (size_t)m->config.rotary_dims / 2, sizeof *out);
    if (out) array_to_host(beyond ? m->inv_freq_beyond : m->inv_freq, DTYPE_F32, out);
    return out;
}

/* (context, R): the cosine of each pair's angle twice, or its sine, with a minus in the first half. f32 in the file, because
 * an f16 angle is wrong in the fourth digit. */
static float *make_table(const struct coreml_builder *b, const float *frequency, bool sine)
{
    int64_t half = b->m->config.rotary_dims / 2, n = b->o->context;
    float scale = (float)b->m->config.rope_attention_factor;
    float *out = mem_alloc(b->c, (size_t)(2 * half * n), sizeof *out);
    for (int64_t i = 0; out && i < n; i++)
        for (int64_t j = 0; j < half; j++) {
            float angle = (float)i * frequency[j], *row = out + 2 * half * i;
            float value = scale * (sine ? sinf(angle) : cosf(angle));
            row[j] = sine ? -value : value;
            row[half + j] = value;
        }
    return out;
}

/* Rows of a table of floats (context, n) for the tokens, in f16: (S, n), with `transposed` (n, S). */
static int look_up(struct coreml_builder *b, const char *name, float *table, int64_t n, bool transposed)
{
    struct mil_type type = mil_tensor(MIL_F32, 2, (int64_t[]){b->o->context, n});
    uint64_t bytes = (uint64_t)(b->o->context * n) * sizeof(float);
    int at = mil_file(b->p, name, &type, coreml_blobs_add_data(b->blobs, MIL_F32, table, bytes));
    int x = mil_cast(b->p, mil_gather(b->p, at, b->rows), MIL_F16);
    return transposed ? mil_transpose(b->p, x, (const int32_t[]){1, 0}) : x;
}

/* Ministral 3 multiplies q by a factor that grows with the position (rotation.c); 1 within the original context. */
static void coreml_attention_make_q_scale(struct coreml_builder *b)
{
    const struct model_config *k = &b->m->config;
    b->q_scale = -1;
    if (k->rope_position_beta <= 0 || b->o->context <= k->rope_original_positions) return;
    float *table = mem_alloc(b->c, (size_t)b->o->context, sizeof *table);
    for (int64_t i = 0; table && i < b->o->context; i++)
        table[i] = 1 + (float)k->rope_position_beta * logf(1 + floorf((float)i / (float)k->rope_original_positions));
    b->q_scale = look_up(b, "query_scale", table, 1, b->o->ane);
}

void coreml_prepare(struct coreml_builder *b)
{
    const struct model_config *k = &b->m->config;
    bool rotates = false;
    coreml_attention_make_rows(b);
    b->mask = make_mask(b, 0);
    b->window_mask = k->sliding_window > 0 && k->sliding_window < b->o->context ? make_mask(b, k->sliding_window) : b->mask;
    for (int64_t i = 0; i < k->n_layers; i++) rotates |= b->m->blocks[i].rotates;
    float *frequency = rotates ? frequencies(b) : NULL;
    if (frequency) {
        b->cosine = look_up(b, "cosine", make_table(b, frequency, false), k->rotary_dims, b->o->ane);
        b->sine = look_up(b, "sine", make_table(b, frequency, true), k->rotary_dims, b->o->ane);
    }
    mem_free(b->c, frequency);
    coreml_attention_make_q_scale(b);
}

/* Pairs are (j, j + R/2) of a head's first R elements, which lie on `axis`: x cos + (the halves swapped) sin. */
static int coreml_attention_rotate(struct coreml_builder *b, int x, int axis)
{
    struct mil_program *p = b->p;
    int32_t size = (int32_t)b->m->config.head_dim, r = (int32_t)b->m->config.rotary_dims, half = r / 2;
    int turned = r < size ? mil_slice(p, x, axis, 0, r) : x;
    int back = mil_slice(p, turned, axis, half, r), front = mil_slice(p, turned, axis, 0, half);
    int swapped = mil_concat(p, 2, (const int[]){back, front}, axis);
    int straight = mil_binary(p, "mul", turned, b->cosine), across = mil_binary(p, "mul", swapped, b->sine);
    int y = mil_binary(p, "add", straight, across);
    return r < size ? mil_concat(p, 2, (const int[]){y, mil_slice(p, x, axis, r, size)}, axis) : y;
}

/* ---- the cache -------------------------------------------------------------------------------------------------------- */

/* Writes a layer's keys or values of the tokens into their state and gives the layer's whole cache. The state's index of a
 * position is its third, for the ANE its last. */
static int through_cache(struct coreml_builder *b, int state, int values, int64_t layer)
{
    struct mil_program *p = b->p;
    const struct model_config *k = &b->m->config;
    int32_t first[3] = {(int32_t)layer, 0, 0}, behind[3] = {(int32_t)layer + 1, (int32_t)k->n_kv_heads, 0};
    int32_t size = (int32_t)k->head_dim, zero = 0;
    int n = b->o->ane ? 3 : 2, parts = b->o->ane ? 2 : 3;
    if (b->o->ane) behind[2] = size;
    int front = mil_ints(p, n, first), front_end = mil_ints(p, n, behind);
    int last = mil_ints(p, 1, &zero), last_end = mil_ints(p, 1, &size);
    int begin = mil_concat(p, parts, (const int[]){front, b->position, last}, 0);
    int end = mil_concat(p, parts, (const int[]){front_end, b->end, last_end}, 0);
    int updated = mil_update(p, mil_read_state(p, state), values, begin, end);
    mil_write_state(p, state, updated);
    return mil_slice(p, mil_read_state(p, state), 0, (int32_t)layer, (int32_t)layer + 1);
}

/* ---- heads ------------------------------------------------------------------------------------------------------------ */

/* q, k or v as (1, heads, S, D), for the ANE (1, heads, D, S). The norm of q or k (`norm` NULL: none) runs over a head or
 * over all of them, whichever its gain has the size of. */
static int coreml_attention_split_heads(struct coreml_builder *b, int x, int64_t heads, const struct merged_tensor *norm)
{
    struct mil_program *p = b->p;
    int32_t size = (int32_t)b->m->config.head_dim, n = (int32_t)heads;
    bool whole = norm && norm->cols != size, ane = b->o->ane;
    int axis = ane ? 2 : 3;
    if (whole) x = coreml_norm(b, x, b->channel, coreml_vector(b, norm, ane ? 4 : 3, b->channel));
    x = mil_reshape(p, x, 4, ane ? (const int32_t[]){1, n, size, -1} : (const int32_t[]){1, -1, n, size});
    if (norm && !whole) x = coreml_norm(b, x, axis, coreml_vector(b, norm, 4, axis));
    return ane ? x : mil_transpose(p, x, (const int32_t[]){0, 2, 1, 3});
}

/* The queries that share a key-value head are rows of one matrix, so keys are not repeated: q (1, G, H/G * S, D). */
static int attend_grouped(struct coreml_builder *b, int q, int k, int v, int mask)
{
    struct mil_program *p = b->p;
    const struct model_config *m = &b->m->config;
    int32_t g = (int32_t)m->n_kv_heads, h = (int32_t)m->n_heads, size = (int32_t)m->head_dim, n = (int32_t)b->o->context;
    q = mil_reshape(p, q, 4, (const int32_t[]){1, g, -1, size});
    int scores = mil_reshape(p, mil_matmul(p, q, k, false, true), 4, (const int32_t[]){g, h / g, -1, n});
    int weights = mil_softmax(p, mil_binary(p, "add", scores, mask), 3);
    weights = mil_reshape(p, weights, 4, (const int32_t[]){1, g, -1, n});
    int out = mil_reshape(p, mil_matmul(p, weights, v, false, false), 4, (const int32_t[]){1, h, -1, size});
    out = mil_transpose(p, out, (const int32_t[]){0, 2, 1, 3});
    return mil_reshape(p, out, 3, (const int32_t[]){1, -1, h * size});
}

/* Every head alone: q (1, 1, D, S) against k (1, 1, D, context). */
static int attend_split(struct coreml_builder *b, int q, int k, int v, int mask)
{
    struct mil_program *p = b->p;
    const struct model_config *m = &b->m->config;
    int32_t g = (int32_t)m->n_kv_heads, h = (int32_t)m->n_heads, size = (int32_t)m->head_dim;
    int keys = -1, values = -1, *heads = mem_alloc(b->c, (size_t)h, sizeof *heads);
    for (int32_t i = 0; heads && i < h; i++) {
        if (i % (h / g) == 0) {
            keys = mil_slice(p, k, 1, i / (h / g), i / (h / g) + 1);
            values = mil_slice(p, v, 1, i / (h / g), i / (h / g) + 1);
        }
        int scores = mil_matmul(p, mil_slice(p, q, 1, i, i + 1), keys, true, false); /* (1, 1, S, context) */
        int weights = mil_softmax(p, mil_binary(p, "add", scores, mask), 3);
        heads[i] = mil_matmul(p, values, weights, false, true); /* (1, 1, D, S) */
    }
    int out = heads ? mil_reshape(p, mil_concat(p, h, heads, 1), 4, (const int32_t[]){1, h * size, 1, -1}) : -1;
    mem_free(b->c, heads);
    return out;
}

/* Ranges of the one product that holds q, k and v, or three products. */
static void project_qkv(struct coreml_builder *b, int x, int64_t layer, int y[3])
{
    static const enum lora_place places[3] = {LORA_Q, LORA_K, LORA_V};
    const struct model_config *m = &b->m->config;
    int32_t q = (int32_t)(m->n_heads * m->head_dim), kv = (int32_t)(m->n_kv_heads * m->head_dim);
    if (m->fused_projections) {
        int all = coreml_project(b, x, layer, LORA_QKV);
        y[0] = mil_slice(b->p, all, b->channel, 0, q);
        y[1] = mil_slice(b->p, all, b->channel, q, q + kv);
        y[2] = mil_slice(b->p, all, b->channel, q + kv, q + 2 * kv);
        return;
    }
    for (int i = 0; i < 3; i++) y[i] = coreml_project(b, x, layer, places[i]);
}

int coreml_attention(struct coreml_builder *b, int x, int64_t layer)
{
    const struct model_config *m = &b->m->config;
    const struct llama_block *block = &b->m->blocks[layer];
    int y[3], axis = b->o->ane ? 2 : 3;
    project_qkv(b, x, layer, y);
    int q = coreml_attention_split_heads(b, y[0], m->n_heads, coreml_tensor(b, MERGED_NORM, layer, NORM_Q));
    int k = coreml_attention_split_heads(b, y[1], m->n_kv_heads, coreml_tensor(b, MERGED_NORM, layer, NORM_K));
    int v = coreml_attention_split_heads(b, y[2], m->n_kv_heads, NULL);
    if (block->rotates) q = coreml_attention_rotate(b, q, axis), k = coreml_attention_rotate(b, k, axis);
    if (b->q_scale >= 0) q = mil_binary(b->p, "mul", q, b->q_scale);
    q = coreml_times(b, q, m->attention_scale); /* q, and not the scores: those could leave f16 */
    k = through_cache(b, b->states[0], k, layer);
    v = through_cache(b, b->states[1], v, layer);
    int mask = block->window > 0 ? b->window_mask : b->mask;
    return (b->o->ane ? attend_split : attend_grouped)(b, q, k, v, mask);
}
