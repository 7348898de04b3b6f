/* lora: which linear layers have an adapter, and the f32 values and gradients of each. The forward pass meets them only as
 * the lora_slot of a weight (model_attach_lora), so the base model is the same with and without. PEFT files:
 * lora_peft.c. */
#include "model/lora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array/backend.h"
#include "base/mem.h"
#include "base/rng.h"

const char *const lora_place_name[LORA_PLACES] = {"q_proj",  "k_proj",    "v_proj",   "o_proj",      "gate_proj",
                                                  "up_proj", "down_proj", "qkv_proj", "gate_up_proj"};
const char *const lora_place_path[LORA_PLACES] = {"self_attn.q_proj", "self_attn.k_proj",   "self_attn.v_proj",
                                                  "self_attn.o_proj", "mlp.gate_proj",      "mlp.up_proj",
                                                  "mlp.down_proj",    "self_attn.qkv_proj", "mlp.gate_up_proj"};
/* lora_slot.id, which tells adapters apart in dropout masks and in the initial values, is layer * 8 + this: fused layers
 * take the number of the first that they stand for, since a model never has both. */
static const uint32_t place_number[LORA_PLACES] = {0, 1, 2, 3, 4, 5, 6, LORA_Q, LORA_GATE};

bool lora_place_exists(const struct model_config *m, enum lora_place place)
{
    if (place == LORA_O || place == LORA_DOWN) return true;
    return m->fused_projections == (place == LORA_QKV || place == LORA_GATE_UP);
}

void lora_place_shape(const struct model_config *m, enum lora_place place, int64_t *out, int64_t *in)
{
    int64_t q = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
    const int64_t outs[LORA_PLACES] = {q, kv, kv, m->hidden, m->ffn, m->ffn, m->hidden, q + 2 * kv, 2 * m->ffn};
    *out = outs[place];
    *in = place == LORA_O ? q : place == LORA_DOWN ? m->ffn : m->hidden;
}

/* Target modules by name must be there; LORA_ALL takes what there is. */
static enum status check_targets(struct ctx *c, const struct model_config *m, uint32_t targets)
{
    for (int place = 0; targets != LORA_ALL && place < LORA_PLACES; place++)
        if (targets >> place & 1 && !lora_place_exists(m, (enum lora_place)place))
            return ctx_fail(c, E_INPUT, "target module %s: the model has no linear layer of that name; it has %s",
                            lora_place_name[place],
                            m->fused_projections ? "qkv_proj, o_proj, gate_up_proj, down_proj"
                                                 : "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj");
    return OK;
}

/* The limits on what a command line or a file may ask for. E_INPUT naming the value. */
static enum status check_config(struct ctx *c, const struct model_config *m, const struct lora_config *config)
{
    if (config->rank < 1 || config->rank > LORA_RANK_MAX)
        return ctx_fail(c, E_INPUT, "LoRA rank %lld is not in 1..%d", (long long)config->rank, LORA_RANK_MAX);
    if (!(config->alpha > 0 && config->alpha <= LORA_ALPHA_MAX))
        return ctx_fail(c, E_INPUT, "LoRA alpha %g is not in (0, %g]", config->alpha, (double)LORA_ALPHA_MAX);
    if (!(config->dropout >= 0 && config->dropout < 1))
        return ctx_fail(c, E_INPUT, "LoRA dropout %g is not in [0, 1)", config->dropout);
    if (config->targets == 0 || config->targets >> LORA_PLACES != 0)
        return ctx_fail(c, E_INPUT, "LoRA needs at least one target module");
    TRY(check_targets(c, m, config->targets));
    if (config->last_layers < 0 || config->last_layers > m->n_layers)
        return ctx_fail(c, E_INPUT, "LoRA on the last %lld layers: the model has %lld", (long long)config->last_layers,
                        (long long)m->n_layers);
    return OK;
}

double lora_scale_of(const struct lora_config *config, int64_t rank, double alpha)
{
    return alpha / (config->rslora ? sqrt((double)rank) : (double)rank);
}

struct lora *lora_empty(struct ctx *c, const struct model_config *m, const struct lora_config *config)
{
    if (check_config(c, m, config) != OK) return NULL;
    struct lora *l = mem_alloc(c, 1, sizeof *l);
    if (!l) return NULL;
    l->c = c;
    l->config = *config;
    l->n_layers = m->n_layers;
    l->modules = mem_alloc(c, (size_t)(m->n_layers * LORA_PLACES), sizeof *l->modules);
    if (l->modules) return l;
    mem_free(c, l);
    return NULL;
}

enum status lora_add(struct lora *l, const struct model_config *m, int64_t layer, enum lora_place place, int64_t rank,
                     double alpha)
{
    int64_t out, in;
    char name[PARAMETER_NAME_BYTES];
    struct lora_module *module = &l->modules[l->n_modules++];
    BUG_ON(l->c, l->n_modules > (size_t)(m->n_layers * LORA_PLACES), "more modules than target modules in the model");
    BUG_ON(l->c, l->values, "a module is added to an adapter that has its memory already");
    lora_place_shape(m, place, &out, &in);
    *module = (struct lora_module){.layer = layer, .place = place, .rank = rank, .alpha = alpha};
    module->slot.id = (uint32_t)layer * 8 + place_number[place];
    module->slot.dropout = (float)l->config.dropout;
    module->slot.scale = (float)lora_scale_of(&l->config, rank, alpha);
    snprintf(name, sizeof name, "layers.%lld.%s.lora_A", (long long)layer, lora_place_path[place]);
    TRY(parameters_add(l->c, &l->parameters, name, rank, in));
    name[strlen(name) - 1] = 'B'; /* "..lora_A" becomes "..lora_B" */
    return parameters_add(l->c, &l->parameters, name, out, rank);
}

enum status lora_make_values(struct lora *l)
{
    l->values = parameters_slab(l->c, &l->parameters);
    for (size_t i = 0; l->values && i < l->n_modules; i++) {
        l->modules[i].slot.a = parameter_view(l->values, &l->parameters.list[2 * i]);
        l->modules[i].slot.b = parameter_view(l->values, &l->parameters.list[2 * i + 1]);
    }
    return l->c->status;
}

enum status lora_make_gradients(struct lora *l)
{
    BUG_ON(l->c, l->gradients, "an adapter gets its gradients once");
    l->gradients = parameters_slab(l->c, &l->parameters);
    for (size_t i = 0; l->gradients && i < l->n_modules; i++) {
        l->modules[i].grad_a = parameter_view(l->gradients, &l->parameters.list[2 * i]);
        l->modules[i].grad_b = parameter_view(l->gradients, &l->parameters.list[2 * i + 1]);
    }
    return l->c->status;
}

/* U(-1/sqrt(in), 1/sqrt(in)): kaiming_uniform's bound (He et al. 2015), sqrt(2 / (1 + a^2)) sqrt(3 / in), at PEFT's a =
 * sqrt(5). A stream of its own for each module, so that the choice of the others does not matter. */
static enum status init_a(struct lora *l, struct lora_module *module)
{
    struct ctx *c = l->c;
    int64_t n = array_size(module->slot.a);
    double bound = 1 / sqrt((double)module->slot.a->shape[1]);
    float *values = mem_alloc(c, (size_t)n, sizeof *values);
    struct rng r;
    rng_init(&r, l->config.seed, RNG_INIT, module->slot.id);
    for (int64_t i = 0; values && i < n; i++) values[i] = (float)((2 * rng_uniform(&r) - 1) * bound);
    if (values) parameter_write(module->slot.a, values);
    mem_free(c, values);
    return c->status;
}

/* All modules that the configuration asks for, layer by layer, with their initial values. */
static enum status add_modules(struct lora *l, const struct model_config *m)
{
    const struct lora_config *config = &l->config;
    for (int64_t layer = config->last_layers ? m->n_layers - config->last_layers : 0; layer < m->n_layers; layer++)
        for (int place = 0; place < LORA_PLACES; place++)
            if (config->targets >> place & 1 && lora_place_exists(m, (enum lora_place)place))
                TRY(lora_add(l, m, layer, (enum lora_place)place, config->rank, config->alpha));
    TRY(lora_make_values(l));
    if (array_backend(l->c)->counting) return OK; /* there is no memory to fill */
    for (size_t i = 0; i < l->n_modules; i++) TRY(init_a(l, &l->modules[i]));
    return OK;
}

struct lora *lora_new(struct ctx *c, const struct model_config *m, const struct lora_config *config)
{
    struct lora *l = lora_empty(c, m, config);
    if (!l || add_modules(l, m) == OK) return l;
    lora_free(l);
    return NULL;
}

void lora_free(struct lora *l)
{
    if (!l) return;
    for (size_t i = 0; i < l->n_modules; i++) {
        array_release(l->modules[i].slot.a);
        array_release(l->modules[i].slot.b);
        array_release(l->modules[i].grad_a);
        array_release(l->modules[i].grad_b);
    }
    array_release(l->values);
    array_release(l->gradients);
    parameters_release(l->c, &l->parameters);
    mem_free(l->c, l->modules);
    mem_free(l->c, l);
}
