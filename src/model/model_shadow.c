/* model_shadow: copies a model's description into another ctx: weights as they are (nothing reads their rows there),
 * vectors as arrays of the same shapes, the adapter as one with the same modules. */
#include "model/model_shadow.h"

#include "array/backend.h"
#include "base/mem.h"

/* An array of c with the shape of `like`, or NULL when that is NULL. */
static struct array *shadow_array(struct ctx *c, const struct array *like)
{
    return like ? array_persistent(c, like->dtype, like->ndim, like->shape) : NULL;
}

/* Replaces the vectors of a copied block by arrays of the shadow's ctx; adapters are attached later. */
static void shadow_block(struct ctx *c, struct llama_block *b)
{
    for (int i = 0; i < BLOCK_NORMS; i++) {
        struct array **norm = llama_block_norm(b, (enum block_norm)i);
        *norm = shadow_array(c, *norm);
    }
    for (int p = 0; p < LORA_PLACES; p++) {
        struct weight *w = llama_block_linear(b, (enum lora_place)p);
        w->bias = shadow_array(c, w->bias);
        w->lora = NULL;
    }
}

/* An adapter with the modules of `from`, attached to the shadow. */
static enum status shadow_adapter(struct model *s, const struct lora *from)
{
    struct lora *l = lora_empty(s->c, &s->config, &from->config);
    if (!l) return s->c->status;
    s->lora = l;
    for (size_t i = 0; i < from->n_modules; i++) {
        const struct lora_module *m = &from->modules[i];
        TRY(lora_add(l, &s->config, m->layer, m->place, m->rank, m->alpha));
        l->modules[i].slot.dropout = m->slot.dropout;
    }
    TRY(lora_make_values(l));
    model_attach_lora(s, l);
    return OK;
}

/* A block is copied whole, weights with their pointers to the real rows, and then its vectors and adapters are replaced. */
struct model *model_shadow_new(struct ctx *c, const struct model *m)
{
    BUG_ON(c, !array_backend(c)->counting, "a shadow computes nothing: its backend must be a counting one");
    struct model *s = mem_alloc(c, 1, sizeof *s);
    if (!s) return NULL;
    *s = (struct model){.c = c, .config = m->config, .options = m->options, .embed = m->embed, .head = m->head};
    s->blocks = mem_alloc(c, (size_t)m->config.n_layers, sizeof *s->blocks);
    s->final_norm = shadow_array(c, m->final_norm);
    s->inv_freq = shadow_array(c, m->inv_freq);
    s->inv_freq_beyond = shadow_array(c, m->inv_freq_beyond);
    for (int64_t i = 0; s->blocks && i < m->config.n_layers; i++) {
        s->blocks[i] = m->blocks[i];
        shadow_block(c, &s->blocks[i]);
    }
    if (ctx_ok(c) && m->lora) shadow_adapter(s, m->lora);
    if (ctx_ok(c)) return s;
    model_shadow_free(s);
    return NULL;
}

static void free_block(struct llama_block *b)
{
    for (int i = 0; i < BLOCK_NORMS; i++) array_release(*llama_block_norm(b, (enum block_norm)i));
    for (int p = 0; p < LORA_PLACES; p++) array_release(llama_block_linear(b, (enum lora_place)p)->bias);
}

void model_shadow_free(struct model *s)
{
    if (!s) return;
    lora_free(s->lora);
    for (int64_t i = 0; s->blocks && i < s->config.n_layers; i++) free_block(&s->blocks[i]);
    array_release(s->final_norm);
    array_release(s->inv_freq);
    array_release(s->inv_freq_beyond);
    mem_free(s->c, s->blocks);
    mem_free(s->c, s);
}
