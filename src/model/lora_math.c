/* lora_math: adapters as matrices: what a factor, a sum and a smaller rank make of A and B. See lora_math.h. */
#include "model/lora_math.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static const double factor_min = 1e-6;

enum status lora_math_check_factor(struct ctx *c, double factor)
{
    if (fabs(factor) >= factor_min && fabs(factor) <= LORA_MATH_FACTOR_MAX) return OK; /* false for NaN */
    return ctx_fail(c, E_INPUT, "%g is no factor of an adapter: it must be other than 0 and of magnitude %g to %g", factor,
                    factor_min, (double)LORA_MATH_FACTOR_MAX);
}

const char *lora_math_name(const struct lora *l, size_t i, char name[PARAMETER_NAME_BYTES])
{
    snprintf(name, PARAMETER_NAME_BYTES, "layers.%lld.%s", (long long)l->modules[i].layer,
             lora_place_path[l->modules[i].place]);
    return name;
}

/* ---- values ----------------------------------------------------------------------------------------------------------- */

/* A (rank, in) and B (out, rank) of a module on the host. */
struct lora_values {
    float *a, *b; /* owned */
    int64_t out, in, rank;
};

static enum status values_new(struct ctx *c, int64_t out, int64_t in, int64_t rank, struct lora_values *v)
{
    *v = (struct lora_values){.out = out, .in = in, .rank = rank};
    v->a = mem_alloc(c, (size_t)(rank * in), sizeof *v->a);
    v->b = mem_alloc(c, (size_t)(out * rank), sizeof *v->b);
    return c->status;
}

static void values_release(struct ctx *c, struct lora_values *v)
{
    mem_free(c, v->a);
    mem_free(c, v->b);
    *v = (struct lora_values){0};
}

static enum status values_read(const struct lora_module *module, struct lora_values *v)
{
    struct array *a = module->slot.a, *b = module->slot.b;
    TRY(values_new(a->c, b->shape[0], a->shape[1], module->rank, v));
    TRY(parameter_read(a, v->a));
    return parameter_read(b, v->b);
}

static enum status values_write(const struct lora_module *module, const struct lora_values *v)
{
    TRY(parameter_write(module->slot.a, v->a));
    return parameter_write(module->slot.b, v->b);
}

/* ---- a factor --------------------------------------------------------------------------------------------------------- */

static enum status negate_b(const struct lora_module *module)
{
    struct lora_values v;
    struct ctx *c = module->slot.b->c;
    if (values_read(module, &v) == OK) {
        for (int64_t i = 0; i < v.out * v.rank; i++) v.b[i] = -v.b[i];
        values_write(module, &v);
    }
    values_release(c, &v);
    return c->status;
}

enum status lora_math_scale(struct lora *l, double factor)
{
    TRY(lora_math_check_factor(l->c, factor));
    for (size_t i = 0; i < l->n_modules; i++) {
        double alpha = l->modules[i].alpha * fabs(factor);
        if (!(alpha <= LORA_ALPHA_MAX))
            return ctx_fail(l->c, E_INPUT, "a factor of %g makes an alpha of %g; at most %g is read", factor, alpha,
                            (double)LORA_ALPHA_MAX);
    }
    l->config.alpha *= fabs(factor);
    for (size_t i = 0; i < l->n_modules; i++) {
        struct lora_module *module = &l->modules[i];
        module->alpha *= fabs(factor);
        module->slot.scale = (float)lora_scale_of(&l->config, module->rank, module->alpha);
        if (factor < 0) TRY(negate_b(module));
    }
    return OK;
}

/* ---- another set of modules ------------------------------------------------------------------------------------------- */

static const struct lora_module *find_module(const struct lora *l, int64_t layer, int place)
{
    for (size_t i = 0; i < l->n_modules; i++)
        if (l->modules[i].layer == layer && (int)l->modules[i].place == place) return &l->modules[i];
    return NULL;
}

/* An adapter of scale 1 without dropout whose linear layers have the ranks given, (n_layers, LORA_PLACES), 0 for none. */
static struct lora *make_with_ranks(struct ctx *c, const struct model_config *m, const int64_t *ranks)
{
    struct lora_config config = {.rank = 0};
    int64_t first = -1;
    for (int64_t i = 0; i < m->n_layers * LORA_PLACES; i++) {
        if (ranks[i] == 0) continue;
        if (first < 0) first = i;
        config.targets |= 1u << i % LORA_PLACES;
    }
    BUG_ON(c, first < 0, "an adapter without modules");
    config.rank = ranks[first];
    config.alpha = (double)config.rank;
    config.last_layers = first >= LORA_PLACES ? m->n_layers - first / LORA_PLACES : 0;
    struct lora *l = lora_empty(c, m, &config);
    for (int64_t i = 0; l && ctx_ok(c) && i < m->n_layers * LORA_PLACES; i++)
        if (ranks[i] > 0) lora_add(l, m, i / LORA_PLACES, (enum lora_place)(i % LORA_PLACES), ranks[i], (double)ranks[i]);
    if (l && ctx_ok(c) && lora_make_values(l) == OK) return l;
    lora_free(l);
    return NULL;
}

/* ---- sums ------------------------------------------------------------------------------------------------------------- */

/* Adds the ranks of all parts; E_INPUT where they are more than an adapter may have. */
static enum status add_ranks(struct ctx *c, const struct model_config *m, const struct lora_part *parts, size_t n,
                             int64_t *ranks)
{
    for (size_t k = 0; k < n; k++) {
        TRY(lora_math_check_factor(c, parts[k].weight));
        BUG_ON(c, parts[k].lora->n_layers != m->n_layers, "an adapter of another model is added");
        for (size_t i = 0; i < parts[k].lora->n_modules; i++) {
            const struct lora_module *module = &parts[k].lora->modules[i];
            int64_t *rank = &ranks[module->layer * LORA_PLACES + module->place];
            *rank += module->rank;
            if (*rank > LORA_RANK_MAX)
                return ctx_fail(c, E_INPUT,
                                "the adapters have a rank of %lld together, and an adapter has at most %d. Cut them to a "
                                "smaller rank first",
                                (long long)*rank, LORA_RANK_MAX);
        }
    }
    return OK;
}

/* One part's A below those before it, and its B, times weight and scale, beside them. */
static void put_part(struct lora_values *sum, const struct lora_values *part, double factor, int64_t at)
{
    memcpy(sum->a + at * sum->in, part->a, (size_t)(part->rank * part->in) * sizeof *part->a);
    for (int64_t i = 0; i < sum->out; i++)
        for (int64_t k = 0; k < part->rank; k++)
            sum->b[i * sum->rank + at + k] = (float)(factor * (double)part->b[i * part->rank + k]);
}

static enum status sum_module(const struct lora_module *module, const struct lora_part *parts, size_t n)
{
    struct ctx *c = module->slot.a->c;
    struct lora_values sum;
    int64_t at = 0;
    values_new(c, module->slot.b->shape[0], module->slot.a->shape[1], module->rank, &sum);
    for (size_t k = 0; k < n && ctx_ok(c); k++) {
        const struct lora_module *from = find_module(parts[k].lora, module->layer, (int)module->place);
        struct lora_values part = {0};
        if (!from) continue;
        if (values_read(from, &part) == OK)
            put_part(&sum, &part, parts[k].weight * lora_scale_of(&parts[k].lora->config, from->rank, from->alpha), at);
        at += from->rank;
        values_release(c, &part);
    }
    if (ctx_ok(c)) values_write(module, &sum);
    values_release(c, &sum);
    return c->status;
}

struct lora *lora_math_sum(struct ctx *c, const struct model_config *m, const struct lora_part *parts, size_t n)
{
    struct lora *l = NULL;
    int64_t *ranks = mem_alloc(c, (size_t)(m->n_layers * LORA_PLACES), sizeof *ranks);
    if (ranks && add_ranks(c, m, parts, n, ranks) == OK) l = make_with_ranks(c, m, ranks);
    for (size_t i = 0; l && ctx_ok(c) && i < l->n_modules; i++) sum_module(&l->modules[i], parts, n);
    mem_free(c, ranks);
    if (ctx_ok(c)) return l;
    lora_free(l);
    return NULL;
}

/* ---- singular values -------------------------------------------------------------------------------------------------- */

enum status lora_math_measure(const struct lora *l, size_t i, struct low_rank *out)
{
    const struct lora_module *module = &l->modules[i];
    struct lora_values v;
    char name[PARAMETER_NAME_BYTES];
    double scale = lora_scale_of(&l->config, module->rank, module->alpha);
    *out = (struct low_rank){.c = l->c};
    if (values_read(module, &v) == OK)
        low_rank_open(out, l->c, lora_math_name(l, i, name), v.b, v.a, v.out, v.in, v.rank, scale);
    values_release(l->c, &v);
    return l->c->status;
}

static enum status truncate_module(const struct lora *l, size_t i, const struct lora_module *to, double *least)
{
    struct low_rank r;
    struct lora_values v = {0};
    if (lora_math_measure(l, i, &r) == OK && values_new(l->c, r.out, r.in, to->rank, &v) == OK) {
        double kept = low_rank_energy(&r, to->rank);
        *least = kept < *least ? kept : *least;
        low_rank_truncate(&r, to->rank, v.b, v.a);
        values_write(to, &v);
    }
    values_release(l->c, &v);
    low_rank_release(&r);
    return l->c->status;
}

struct lora *lora_math_truncate(struct ctx *c, const struct model_config *m, const struct lora *l, int64_t rank,
                                double *least)
{
    struct lora *cut = NULL;
    int64_t *ranks = mem_alloc(c, (size_t)(m->n_layers * LORA_PLACES), sizeof *ranks);
    *least = 1;
    for (size_t i = 0; ranks && i < l->n_modules; i++)
        ranks[l->modules[i].layer * LORA_PLACES + l->modules[i].place] =
            l->modules[i].rank < rank ? l->modules[i].rank : rank;
    if (ranks) cut = make_with_ranks(c, m, ranks);
    for (size_t i = 0; cut && ctx_ok(c) && i < l->n_modules; i++) /* both list the same modules in the same order */
        if (l->modules[i].rank > rank)
            truncate_module(l, i, &cut->modules[i], least);
        else /* a sum of one: B takes its scale, as the new adapter's is 1 */
            sum_module(&cut->modules[i], &(struct lora_part){l, 1}, 1);
    mem_free(c, ranks);
    if (ctx_ok(c)) return cut;
    lora_free(cut);
    return NULL;
}
