/* model_layout: the frozen matrices once more in the order in which products read them (backend.weight_lay_out): the linear
 * layers of all blocks, and the head. The embeddings are looked up row by row and stay as they are. */
#include "array/backend.h"
#include "model/model.h"

/* call(user, w) for every matrix that products read. */
static void each_product_weight(struct model *m, void (*call)(void *user, struct weight *w), void *user)
{
    for (int64_t i = 0; m->blocks && i < m->config.n_layers; i++)
        for (int p = 0; p < LORA_PLACES; p++) {
            struct weight *w = llama_block_linear(&m->blocks[i], (enum lora_place)p);
            if (w->data) call(user, w);
        }
    if (m->head.data) call(user, &m->head);
}

struct layout_sum {
    struct backend *backend;
    size_t bytes;
};

static void add_layout_bytes(void *user, struct weight *w)
{
    struct layout_sum *sum = user;
    sum->bytes += sum->backend->layout_bytes(sum->backend, w);
}

size_t model_layout_bytes(const struct model *m)
{
    struct layout_sum sum = {.backend = array_backend(m->c)};
    if (sum.backend->layout_bytes) each_product_weight((struct model *)(uintptr_t)m, add_layout_bytes, &sum);
    return sum.bytes;
}

static void add_laid_out(void *user, struct weight *w)
{
    if (w->laid_out[WEIGHT_FOR_Y]) add_layout_bytes(user, w);
}

size_t model_laid_out_bytes(const struct model *m)
{
    struct layout_sum sum = {.backend = array_backend(m->c)};
    if (sum.backend->layout_bytes) each_product_weight((struct model *)(uintptr_t)m, add_laid_out, &sum);
    return sum.bytes;
}

static void lay_out_one(void *user, struct weight *w)
{
    struct backend *b = user;
    if (ctx_ok(b->c) && !w->laid_out[WEIGHT_FOR_Y]) b->weight_lay_out(b, w);
}

static void drop_one(void *user, struct weight *w)
{
    struct backend *b = user;
    b->weight_drop_layout(b, w);
}

void model_drop_layout(struct model *m)
{
    struct backend *b = array_backend(m->c);
    if (b->weight_drop_layout) each_product_weight(m, drop_one, b);
}

enum status model_lay_out(struct model *m)
{
    struct backend *b = array_backend(m->c);
    if (!b->weight_lay_out) return OK;
    each_product_weight(m, lay_out_one, b);
    if (!ctx_ok(m->c)) model_drop_layout(m);
    return m->c->status;
}
