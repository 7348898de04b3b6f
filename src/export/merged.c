/* merged: see merged.h. The product B A is summed over the rank before it is added to a row, so that the base is rounded
 * once. */
#include "export/merged.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array/dtype.h"
#include "base/mem.h"
#include "base/threads.h"
#include "model/weights_names.h"

enum { PIECE_BYTES = 8 << 20, ROWS_A_BLOCK = 16 };
static const float f16_largest = 65504;

struct merged {
    struct ctx *c;
    const struct model *m;
    struct merged_tensor *tensors; /* owned */
    size_t n;
    int64_t elements, done;
    merged_progress *report;
    void *report_user;
};

/* ---- the list --------------------------------------------------------------------------------------------------------- */

static struct merged_tensor *merged_add_tensor(struct merged *g, enum merged_kind kind, int64_t layer, int place,
                                               const char *name)
{
    struct merged_tensor *t = &g->tensors[g->n++];
    *t = (struct merged_tensor){.kind = kind, .layer = layer, .place = place, .rows = 1};
    snprintf(t->name, sizeof t->name, "%s", name);
    return t;
}

static void add_matrix(struct merged *g, enum merged_kind kind, int64_t layer, int place, const struct weight *w)
{
    struct merged_tensor *t = merged_add_tensor(g, kind, layer, place, w->name);
    t->weight = w;
    t->rows = w->rows;
    t->cols = w->cols;
    g->elements += w->rows * w->cols;
}

/* `v` may be NULL: the model has no such vector. */
static void add_vector(struct merged *g, enum merged_kind kind, int64_t layer, int place, const char *name, struct array *v)
{
    if (!v) return;
    struct merged_tensor *t = merged_add_tensor(g, kind, layer, place, name);
    t->vector = v;
    t->cols = v->shape[0];
    g->elements += v->shape[0];
}

/* Norms first, then each linear layer with its bias (add_vector passes over one that the model does not have). */
static void add_block(struct merged *g, int64_t layer)
{
    const struct weights_names *names = weights_names_of(CONTAINER_SAFETENSORS);
    struct llama_block *b = &g->m->blocks[layer];
    char name[WEIGHTS_NAME_BYTES];
    for (int k = 0; k < BLOCK_NORMS; k++)
        add_vector(g, MERGED_NORM, layer, k, weights_block_name(names, layer, names->norm[k], "weight", name),
                   *llama_block_norm(b, (enum block_norm)k));
    for (int place = 0; place < LORA_PLACES; place++) {
        if (!lora_place_exists(&g->m->config, (enum lora_place)place)) continue;
        const struct weight *w = llama_block_linear(b, (enum lora_place)place);
        add_matrix(g, MERGED_LINEAR, layer, place, w);
        add_vector(g, MERGED_BIAS, layer, place, weights_block_name(names, layer, names->linear[place], "bias", name),
                   w->bias);
    }
}

struct merged *merged_open(const struct model *m)
{
    struct merged *g = mem_alloc(m->c, 1, sizeof *g);
    if (!g) return NULL;
    *g = (struct merged){.c = m->c, .m = m};
    g->tensors = mem_alloc(m->c, (size_t)m->config.n_layers * (2 * LORA_PLACES + BLOCK_NORMS) + 3, sizeof *g->tensors);
    if (!g->tensors) {
        mem_free(m->c, g);
        return NULL;
    }
    add_matrix(g, MERGED_EMBED, -1, 0, &m->embed);
    for (int64_t i = 0; i < m->config.n_layers; i++) add_block(g, i);
    add_vector(g, MERGED_FINAL_NORM, -1, 0, weights_names_of(CONTAINER_SAFETENSORS)->final_norm, m->final_norm);
    if (!m->config.tied_embeddings) add_matrix(g, MERGED_HEAD, -1, 0, &m->head);
    return g;
}

void merged_close(struct merged *g)
{
    if (!g) return;
    mem_free(g->c, g->tensors);
    mem_free(g->c, g);
}

void merged_set_progress(struct merged *g, merged_progress *report, void *user)
{
    g->report = report;
    g->report_user = user;
}

size_t merged_count(const struct merged *g)
{
    return g->n;
}

const struct merged_tensor *merged_at(const struct merged *g, size_t i)
{
    return &g->tensors[i];
}

/* ---- rows ------------------------------------------------------------------------------------------------------------- */

/* A piece of rows that is being made. */
struct piece {
    const struct merged_tensor *t;
    const struct merged_sink *sink;
    const float *a, *b; /* the adapter's matrices on the host; NULL without one */
    int64_t first, n;   /* rows of the output */
    float *scratch;     /* two rows for each worker */
    uint8_t *out;
    bool misfit; /* a value is not finite or too large for the type; set by any worker */
};

/* Row i of W + scale * B A. */
static void merged_row(const struct piece *p, int64_t i, float *delta, float *out)
{
    const struct weight *w = p->t->weight;
    weight_source_row_f32(&w->source, i, out);
    if (!w->lora) return;
    int64_t rank = w->lora->a->shape[0];
    const float *a = p->a, *b = p->b + i * rank;
    memset(delta, 0, (size_t)w->cols * sizeof *delta);
    for (int64_t r = 0; r < rank; r++)
        for (int64_t j = 0; j < w->cols; j++) delta[j] += b[r] * a[r * w->cols + j];
    for (int64_t j = 0; j < w->cols; j++) out[j] += w->lora->scale * delta[j];
}

/* Whether all values are finite and within the limit. */
static bool row_fits(const float *row, int64_t n, float limit)
{
    float most = limit > 0 ? limit : 3.402823466e38f;
    bool fits = true;
    for (int64_t j = 0; j < n; j++) fits &= fabsf(row[j]) <= most; /* false for NaN */
    return fits;
}

static void rows_block(void *arg, int64_t block, int worker)
{
    struct piece *p = arg;
    int64_t cols = p->t->cols, end = (block + 1) * ROWS_A_BLOCK < p->n ? (block + 1) * ROWS_A_BLOCK : p->n;
    float *row = p->scratch + 2 * worker * cols, *delta = row + cols;
    for (int64_t i = block * ROWS_A_BLOCK; i < end; i++) {
        int64_t from = p->sink->order ? p->sink->order[p->first + i] : p->first + i;
        merged_row(p, from, delta, row);
        if (!row_fits(row, cols, p->sink->limit)) __atomic_store_n(&p->misfit, true, __ATOMIC_RELAXED);
        p->sink->encode(p->sink->user, row, cols, p->out + (size_t)i * p->sink->row_bytes);
    }
}

/* A copy of an array's elements on the host, or NULL; owner the caller. */
static float *host_copy(struct ctx *c, struct array *a)
{
    float *values = mem_alloc(c, (size_t)array_size(a), sizeof *values);
    if (values && array_to_host(a, DTYPE_F32, values) == OK) return values;
    mem_free(c, values);
    return NULL;
}

static enum status piece_done(struct merged *g, const struct piece *p)
{
    if (p->misfit && p->sink->limit > 0)
        return ctx_fail(g->c, E_NUMERIC,
                        "tensor %s: a merged value is not finite or above %g, the largest of this type; write bf16",
                        p->t->name, (double)p->sink->limit);
    if (p->misfit) return ctx_fail(g->c, E_NUMERIC, "tensor %s: a merged value is not finite", p->t->name);
    p->sink->write(p->sink->user, p->out, (size_t)p->n * p->sink->row_bytes);
    g->done += p->n * p->t->cols;
    if (g->report && ctx_ok(g->c)) g->report(g->report_user, g->done, g->elements);
    return g->c->status;
}

static enum status stream_rows(struct merged *g, struct piece *p)
{
    int64_t rows = PIECE_BYTES / (p->t->cols * (int64_t)sizeof(float)), all = p->t->rows;
    rows = rows < 1 ? 1 : rows > all ? all : rows;
    p->scratch = mem_alloc(g->c, (size_t)(2 * p->t->cols * threads_count(g->c)), sizeof *p->scratch);
    p->out = mem_alloc(g->c, (size_t)rows, p->sink->row_bytes);
    for (; ctx_ok(g->c) && p->first < all; p->first += rows) {
        p->n = all - p->first < rows ? all - p->first : rows;
        threads_run(g->c, (p->n + ROWS_A_BLOCK - 1) / ROWS_A_BLOCK, rows_block, p);
        piece_done(g, p);
    }
    mem_free(g->c, p->scratch);
    mem_free(g->c, p->out);
    return g->c->status;
}

static enum status stream_matrix(struct merged *g, struct piece *p)
{
    const struct lora_slot *slot = p->t->weight->lora;
    float *a = slot ? host_copy(g->c, slot->a) : NULL, *b = slot ? host_copy(g->c, slot->b) : NULL;
    p->a = a;
    p->b = b;
    if (ctx_ok(g->c)) stream_rows(g, p);
    mem_free(g->c, a);
    mem_free(g->c, b);
    return g->c->status;
}

/* A vector (norm or bias) as one row. Adapters do not change it; `order` permutes its elements, as rows of its matrix are.
 */
static enum status stream_vector(struct merged *g, struct piece *p)
{
    float *values = host_copy(g->c, p->t->vector);
    p->scratch = mem_alloc(g->c, (size_t)p->t->cols, sizeof *p->scratch);
    p->out = mem_alloc(g->c, 1, p->sink->row_bytes);
    if (ctx_ok(g->c)) {
        const int32_t *order = p->sink->order;
        for (int64_t j = 0; j < p->t->cols; j++) p->scratch[j] = values[order ? order[j] : j];
        p->misfit = !row_fits(values, p->t->cols, p->sink->limit);
        p->sink->encode(p->sink->user, p->scratch, p->t->cols, p->out);
        p->n = 1;
        piece_done(g, p);
    }
    mem_free(g->c, values);
    mem_free(g->c, p->scratch);
    mem_free(g->c, p->out);
    return g->c->status;
}

enum status merged_stream(struct merged *g, const struct merged_tensor *t, const struct merged_sink *sink)
{
    struct piece p = {.t = t, .sink = sink};
    return t->weight ? stream_matrix(g, &p) : stream_vector(g, &p);
}

/* ---- plain types ------------------------------------------------------------------------------------------------------ */

static void encode_f32(const void *user, const float *row, int64_t cols, void *out)
{
    (void)user;
    memcpy(out, row, (size_t)cols * sizeof *row);
}

static void encode_f16(const void *user, const float *row, int64_t cols, void *out)
{
    uint16_t *half = out;
    (void)user;
    for (int64_t j = 0; j < cols; j++) half[j] = f32_to_f16(row[j]);
}

static void encode_bf16(const void *user, const float *row, int64_t cols, void *out)
{
    uint16_t *half = out;
    (void)user;
    for (int64_t j = 0; j < cols; j++) half[j] = f32_to_bf16(row[j]);
}

void merged_plain_sink(struct merged_sink *sink, enum tensor_type type, int64_t cols)
{
    BUG_ON(NULL, type != TENSOR_F32 && type != TENSOR_F16 && type != TENSOR_BF16, "type %d is not plain", (int)type);
    sink->row_bytes = (size_t)cols * (size_t)tensor_type_info(type)->bytes;
    sink->limit = type == TENSOR_F16 ? f16_largest : 0;
    sink->encode = type == TENSOR_F32 ? encode_f32 : type == TENSOR_F16 ? encode_f16 : encode_bf16;
}
