/* coreml_net: see coreml_net.h. The block, and the parts that every place in it uses; attention is in coreml_attention.c. */
#include "export/coreml/coreml_net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEAD_ROWS = 16384, NAME_BYTES = 160 };

const struct merged_tensor *coreml_tensor(const struct coreml_builder *b, enum merged_kind kind, int64_t layer, int place)
{
    for (size_t i = 0; i < merged_count(b->list); i++) {
        const struct merged_tensor *t = merged_at(b->list, i);
        if (t->kind == kind && t->layer == layer && t->place == place) return t;
    }
    return NULL;
}

/* "model_layers_3_self_attn_q_proj_weight": names of values are letters, digits and underscores. */
static void value_name(const struct merged_tensor *t, int64_t first, const char *what, char out[NAME_BYTES])
{
    int n = snprintf(out, NAME_BYTES, "%s%s", t->name, what);
    if (first > 0) snprintf(out + n, (size_t)(NAME_BYTES - n), "_%lld", (long long)first);
    for (char *at = out; *at; at++)
        if (*at == '.') *at = '_';
}

/* ---- weights ---------------------------------------------------------------------------------------------------------- */

static enum coreml_form coreml_net_form_of(const struct coreml_builder *b, const struct merged_tensor *t)
{
    enum coreml_form form = b->o->form;
    bool inner = t->kind == MERGED_LINEAR;
    if (form == COREML_LUT4 && (!inner || t->cols % 2 || t->cols > COREML_TABLE_COLS)) return COREML_INT8;
    return form;
}

/* Adds the data of a piece of a matrix, and with `second` what its stored form needs besides (0: nothing). */
static uint64_t coreml_net_add_part(struct coreml_builder *b, const struct merged_tensor *t, int64_t first, int64_t rows,
                                    bool second)
{
    static const enum coreml_part parts[][2] = {
        {COREML_F16, COREML_F16}, {COREML_I8, COREML_SCALE}, {COREML_INDEX, COREML_TABLE}};
    enum coreml_form form = coreml_net_form_of(b, t);
    return second && form == COREML_HALF ? 0 : coreml_blobs_add(b->blobs, t, parts[form][second], first, rows);
}

/* A matrix, or rows of it, whose data are at these offsets; for a convolution with two more dimensions. */
static int coreml_net_weight_at(struct coreml_builder *b, const struct merged_tensor *t, int64_t first, int64_t rows,
                                bool as_conv, const uint64_t offsets[2])
{
    struct mil_type type = mil_tensor(MIL_F16, as_conv ? 4 : 2, (int64_t[]){rows, t->cols, 1, 1});
    char name[NAME_BYTES];
    value_name(t, first, as_conv && t->kind == MERGED_EMBED ? "_head" : "", name);
    switch (coreml_net_form_of(b, t)) {
    case COREML_INT8:
        return mil_int8_weight(b->p, name, &type, offsets[0], offsets[1]);
    case COREML_LUT4:
        return mil_lut4_weight(b->p, name, &type, offsets[0], offsets[1]);
    case COREML_HALF:
        break;
    }
    return mil_file(b->p, name, &type, offsets[0]);
}

static int coreml_weight(struct coreml_builder *b, const struct merged_tensor *t, bool as_conv)
{
    uint64_t offsets[2] = {coreml_net_add_part(b, t, 0, t->rows, false), 0};
    offsets[1] = coreml_net_add_part(b, t, 0, t->rows, true);
    return coreml_net_weight_at(b, t, 0, t->rows, as_conv, offsets);
}

int coreml_vector(struct coreml_builder *b, const struct merged_tensor *t, int rank, int axis)
{
    struct mil_type type = {.dtype = MIL_F16, .rank = rank};
    char name[NAME_BYTES];
    if (!t) return -1;
    for (int i = 0; i < rank; i++) type.dim[i] = i == axis ? t->cols : 1;
    value_name(t, 0, "", name);
    return mil_file(b->p, name, &type, coreml_blobs_add(b->blobs, t, COREML_F16, 0, 1));
}

/* ---- parts of a block ------------------------------------------------------------------------------------------------- */

int coreml_times(struct coreml_builder *b, int x, double factor)
{
    return factor == 1 ? x : mil_binary(b->p, "mul", x, mil_float(b->p, mil_type_of(b->p, x).dtype, (float)factor));
}

/* x / rms(x), in f16, computed in f32: squares of activations beyond 255 do not fit in f16. */
static int normalise_wide(struct coreml_builder *b, int x, int axis, float eps)
{
    struct mil_program *p = b->p;
    int wide = mil_cast(p, x, MIL_F32);
    int mean = mil_reduce(p, "reduce_mean", mil_binary(p, "mul", wide, wide), axis);
    return mil_cast(p, mil_binary(p, "mul", wide, mil_rsqrt(p, mean, eps)), MIL_F16);
}

/* The same in f16, which is all that the Neural Engine computes in: with m the largest magnitude and y = x / m, squares are
 * at most 1, and x / sqrt(mean(x^2) + eps) = y / sqrt(mean(y^2) + (sqrt(eps) / m)^2). m is at least 2^-14, the smallest
 * normal f16, so that a row of zeros divides by something. */
static int normalise_half(struct coreml_builder *b, int x, int axis, float eps)
{
    struct mil_program *p = b->p;
    int m = mil_reduce(p, "reduce_max", mil_unary(p, "abs", x), axis);
    m = mil_binary(p, "maximum", m, mil_float(p, MIL_F16, ldexpf(1, -14)));
    int y = mil_binary(p, "real_div", x, m);
    int mean = mil_reduce(p, "reduce_mean", mil_binary(p, "mul", y, y), axis);
    int root = mil_binary(p, "real_div", mil_float(p, MIL_F16, sqrtf(eps)), m);
    int sum = mil_binary(p, "add", mean, mil_binary(p, "mul", root, root));
    return mil_binary(p, "mul", y, mil_rsqrt(p, sum, 0));
}

int coreml_norm(struct coreml_builder *b, int x, int axis, int gain)
{
    float eps = (float)b->m->config.rms_eps;
    return mil_binary(b->p, "mul", (b->o->ane ? normalise_half : normalise_wide)(b, x, axis, eps), gain);
}

/* The norm of a block, or x where it has none there, as the f16 operand of products. */
static int block_norm(struct coreml_builder *b, int x, int64_t layer, enum block_norm which)
{
    const struct merged_tensor *t = coreml_tensor(b, MERGED_NORM, layer, which);
    int rank = b->o->ane ? 4 : 3;
    return t ? coreml_norm(b, x, b->channel, coreml_vector(b, t, rank, b->channel)) : mil_cast(b->p, x, MIL_F16);
}

/* x + factor * h, what a block adds to the residual stream, in the type of x. */
static int add_residual(struct coreml_builder *b, int x, int h)
{
    h = coreml_times(b, mil_cast(b->p, h, mil_type_of(b->p, x).dtype), b->m->config.residual_multiplier);
    return mil_binary(b->p, "add", x, h);
}

int coreml_project(struct coreml_builder *b, int x, int64_t layer, enum lora_place place)
{
    const struct merged_tensor *t = coreml_tensor(b, MERGED_LINEAR, layer, place);
    const struct merged_tensor *bias = coreml_tensor(b, MERGED_BIAS, layer, place);
    int with = bias ? coreml_vector(b, bias, 1, 0) : -1;
    int w = coreml_weight(b, t, b->o->ane);
    return (b->o->ane ? mil_conv : mil_linear)(b->p, x, w, with, NULL);
}

/* down(silu(gate) * up); where one matrix holds gate and up, they are ranges of its results. */
static int coreml_net_feed_forward(struct coreml_builder *b, int x, int64_t layer)
{
    int32_t ffn = (int32_t)b->m->config.ffn;
    int gate, up;
    if (b->m->config.fused_projections) {
        int both = coreml_project(b, x, layer, LORA_GATE_UP);
        gate = mil_slice(b->p, both, b->channel, 0, ffn);
        up = mil_slice(b->p, both, b->channel, ffn, 2 * ffn);
    } else {
        gate = coreml_project(b, x, layer, LORA_GATE);
        up = coreml_project(b, x, layer, LORA_UP);
    }
    return coreml_project(b, mil_binary(b->p, "mul", mil_unary(b->p, "silu", gate), up), layer, LORA_DOWN);
}

static int coreml_block(struct coreml_builder *b, int x, int64_t layer)
{
    int h = coreml_attention(b, block_norm(b, x, layer, NORM_ATTN), layer);
    h = block_norm(b, coreml_project(b, h, layer, LORA_O), layer, NORM_AFTER_ATTN);
    x = add_residual(b, x, h);
    h = coreml_net_feed_forward(b, block_norm(b, x, layer, NORM_FFN), layer);
    h = block_norm(b, h, layer, NORM_AFTER_FFN);
    return add_residual(b, x, h);
}

/* ---- ends ------------------------------------------------------------------------------------------------------------- */

/* Rows of the embeddings: (1, S, C), or (1, C, 1, S). They begin the residual stream, which is f32 but for the Neural
 * Engine: in f16 its sums lose more than all products together (SmolLM2-135M: 3.0e-3 of the logits, relative, and 1.7e-3
 * with it in f32), and the norms that read it are f32 anyhow, so that there is no more to cast. */
static int embed(struct coreml_builder *b)
{
    const struct merged_tensor *t = coreml_tensor(b, MERGED_EMBED, -1, 0);
    b->embeddings = coreml_weight(b, t, false);
    int x = mil_gather(b->p, b->embeddings, b->ids);
    if (b->o->ane) x = mil_expand(b->p, mil_transpose(b->p, x, (const int32_t[]){0, 2, 1}), 2);
    return coreml_times(b, b->o->ane ? x : mil_cast(b->p, x, MIL_F32), b->m->config.embedding_multiplier);
}

/* Rows of piece i of the head. */
static int64_t piece_rows(const struct merged_tensor *t, int64_t i)
{
    int64_t left = t->rows - i * HEAD_ROWS;
    return left < HEAD_ROWS ? left : HEAD_ROWS;
}

/* Neither the engine's memory nor its dimensions (65536) take a vocabulary at once, so the head comes in pieces, each an
 * output. A tied table is written a second time, since pieces of it cannot be named. */
static enum status head_in_pieces(struct coreml_builder *b, int x, const struct merged_tensor *t)
{
    int64_t pieces = (t->rows + HEAD_ROWS - 1) / HEAD_ROWS;
    uint64_t offsets[MIL_OUTPUTS_MAX][2];
    if (pieces > MIL_OUTPUTS_MAX)
        return ctx_fail(b->c, E_UNSUPPORTED, "coreml:ane: a vocabulary of %lld tokens takes more than %d outputs of %d rows",
                        (long long)t->rows, (int)MIL_OUTPUTS_MAX, HEAD_ROWS);
    /* Parts of one kind stand together, since a tensor streams through once for each kind. */
    for (int second = 0; second < 2; second++)
        for (int64_t i = 0; i < pieces; i++)
            offsets[i][second] = coreml_net_add_part(b, t, i * HEAD_ROWS, piece_rows(t, i), second);
    for (int64_t i = 0; i < pieces; i++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "logits_%lld", (long long)i);
        int w = coreml_net_weight_at(b, t, i * HEAD_ROWS, piece_rows(t, i), true, offsets[i]);
        mil_output(b->p, mil_conv(b->p, x, w, -1, name));
    }
    return b->c->status;
}

static enum status head(struct coreml_builder *b, int x)
{
    const struct merged_tensor *t = coreml_tensor(b, MERGED_HEAD, -1, 0);
    const struct merged_tensor *gain = coreml_tensor(b, MERGED_FINAL_NORM, -1, 0);
    x = coreml_norm(b, x, b->channel, coreml_vector(b, gain, b->o->ane ? 4 : 3, b->channel));
    x = coreml_times(b, x, 1 / b->m->config.logits_divisor);
    if (b->o->ane) return head_in_pieces(b, x, t ? t : coreml_tensor(b, MERGED_EMBED, -1, 0));
    int w = t ? coreml_weight(b, t, false) : b->embeddings;
    mil_output(b->p, mil_linear(b->p, x, w, -1, "logits"));
    return b->c->status;
}

static void add_inputs(struct coreml_builder *b)
{
    const struct model_config *k = &b->m->config;
    int64_t length = b->o->n_lengths == 1 ? b->o->lengths[0] : MIL_UNKNOWN, last = b->o->context;
    struct mil_type ids = mil_tensor(MIL_I32, 2, (int64_t[]){1, length}), position = mil_tensor(MIL_I32, 1, (int64_t[]){1});
    struct mil_type cache = mil_tensor(MIL_F16, 4, (int64_t[]){k->n_layers, k->n_kv_heads, last, k->head_dim});
    if (b->o->ane) cache.dim[2] = k->head_dim, cache.dim[3] = last;
    cache.is_state = true;
    b->ids = mil_input(b->p, "inputIds", &ids);
    b->position = mil_input(b->p, "position", &position);
    b->states[0] = mil_input(b->p, "keyCache", &cache);
    b->states[1] = mil_input(b->p, "valueCache", &cache);
}

enum status coreml_net_build(struct coreml_net *n, const struct model *m, struct merged *list,
                             const struct coreml_options *o)
{
    *n = (struct coreml_net){.program = mil_new(m->c), .blobs = {.c = m->c}};
    struct coreml_builder b = {.c = m->c, .p = n->program, .blobs = &n->blobs, .list = list, .m = m, .o = o};
    if (!n->program) return m->c->status;
    if (o->ane && m->config.n_heads > MIL_CONCAT_MAX)
        return ctx_fail(m->c, E_UNSUPPORTED,
                        "coreml:ane: %lld heads; each is computed alone there, and at most %d are. Use coreml:f16",
                        (long long)m->config.n_heads, (int)MIL_CONCAT_MAX);
    b.channel = o->ane ? 1 : 2;
    add_inputs(&b);
    coreml_prepare(&b);
    int x = embed(&b);
    for (int64_t layer = 0; ctx_ok(m->c) && layer < m->config.n_layers; layer++) x = coreml_block(&b, x, layer);
    return ctx_ok(m->c) ? head(&b, x) : m->c->status;
}

void coreml_net_release(struct coreml_net *n)
{
    mil_free(n->program);
    coreml_blobs_release(&n->blobs);
    n->program = NULL;
}
