/* cmd_adapter_info: how much of its rank an adapter uses, module by module. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/adapter_page.h"
#include "cli/command.h"
#include "io/json.h"
#include "model/lora_math.h"

struct adapter_info_values {
    struct adapter_base base;
    bool json;
};
#define V struct adapter_info_values

static const struct option_spec specs[] = {
    FLAG_ROW(V, json, "json", 0, "false", "Output", "one JSON object, with all singular values, instead of a table"),
    ADAPTER_BASE_ROWS(V, base),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

enum { JSON_MAX_BYTES = 64 << 20, SHARES = 2 };
static const double shares[SHARES] = {0.9, 0.99};

/* What is said of all modules together. */
struct info_total {
    double effective;
    int64_t needed[SHARES]; /* the largest of all modules */
    bool nothing;           /* some module adds nothing */
};

static double norm_of(const struct low_rank *r)
{
    double sum = 0;
    for (int64_t i = 0; i < r->rank; i++) sum += r->sigma[i] * r->sigma[i];
    return sqrt(sum);
}

static void print_module(const char *name, const struct low_rank *r)
{
    printf("  %-32s %5lld %10.2f %6lld %6lld %11.4g %11.4g\n", name, (long long)r->rank, low_rank_effective(r),
           (long long)low_rank_rank_for(r, shares[0]), (long long)low_rank_rank_for(r, shares[1]), norm_of(r), r->sigma[0]);
}

static json_t *module_json(const struct lora *l, size_t i, const char *name, const struct low_rank *r)
{
    json_t *doc = json_object(), *sigma = json_array(), *energy = json_array();
    for (int64_t k = 0; k < r->rank; k++) {
        json_array_append_new(sigma, json_real(r->sigma[k]));
        json_array_append_new(energy, json_real(low_rank_energy(r, k + 1)));
    }
    json_object_set_new(doc, "module", json_string(name));
    json_object_set_new(doc, "rank", json_integer(r->rank));
    json_object_set_new(doc, "alpha", json_real(l->modules[i].alpha));
    json_object_set_new(doc, "scale", json_real(lora_scale_of(&l->config, r->rank, l->modules[i].alpha)));
    json_object_set_new(doc, "effective_rank", json_real(low_rank_effective(r)));
    json_object_set_new(doc, "norm", json_real(norm_of(r)));
    json_object_set_new(doc, "singular_values", sigma);
    json_object_set_new(doc, "energy", energy);
    return doc;
}

/* One module: a line of the table, or an entry of the list. */
static enum status add_module(const struct lora *l, size_t i, json_t *list, struct info_total *total)
{
    char name[PARAMETER_NAME_BYTES];
    struct low_rank r;
    if (lora_math_measure(l, i, &r) == OK) {
        lora_math_name(l, i, name);
        if (list)
            json_array_append_new(list, module_json(l, i, name, &r));
        else
            print_module(name, &r);
        total->effective += low_rank_effective(&r) / (double)l->n_modules;
        total->nothing |= !(r.sigma[0] > 0);
        for (int k = 0; k < SHARES; k++) {
            int64_t needed = low_rank_rank_for(&r, shares[k]);
            total->needed[k] = needed > total->needed[k] ? needed : total->needed[k];
        }
    }
    low_rank_release(&r);
    return l->c->status;
}

static enum status print_table(const struct export_source *s)
{
    const struct lora *l = s->lora;
    struct info_total total = {0};
    printf("%s: rank %lld, alpha %g%s, %zu modules, %lld parameters, on %s\n\n", s->adapter, (long long)l->config.rank,
           l->config.alpha, l->config.rslora ? " (rsLoRA)" : "", l->n_modules, (long long)lora_parameter_count(l),
           s->model_path);
    printf("  %-32s %5s %10s %6s %6s %11s %11s\n", "module", "rank", "effective", "90 %", "99 %", "norm", "largest");
    for (size_t i = 0; i < l->n_modules; i++) TRY(add_module(l, i, NULL, &total));
    printf("\neffective: exp of the entropy of the singular values of s B A; 90 %%, 99 %%: the rank that keeps this share "
           "of their\n"
           "squares; norm, largest: Frobenius norm and largest singular value. The mean effective rank is %.2f; rank %lld "
           "keeps\n"
           "90 %% and rank %lld 99 %% of every module (your_ai adapter merge --weights 1 --rank N writes one of rank N).\n",
           total.effective, (long long)total.needed[0], (long long)total.needed[1]);
    if (total.nothing) puts("Modules of norm 0 add nothing to the model.");
    return OK;
}

static enum status info_print_json(const struct export_source *s)
{
    struct info_total total = {0};
    struct ctx *c = s->c;
    struct buf text;
    json_t *doc = json_object(), *list = json_array();
    json_object_set_new(doc, "adapter", json_string(s->adapter));
    json_object_set_new(doc, "model", json_string(s->model_path));
    json_object_set_new(doc, "parameters", json_integer(lora_parameter_count(s->lora)));
    json_object_set(doc, "modules", list);
    for (size_t i = 0; i < s->lora->n_modules && ctx_ok(c); i++) add_module(s->lora, i, list, &total);
    json_object_set_new(doc, "mean_effective_rank", json_real(total.effective));
    buf_init(&text, c, JSON_MAX_BYTES);
    if (ctx_ok(c) && json_write(c, doc, false, &text) == OK) puts(buf_str(&text));
    buf_release(&text);
    json_decref(list);
    json_decref(doc);
    return c->status;
}

static enum status cmd_adapter_info_run(const struct command_call *call)
{
    const struct adapter_info_values *v = call->values;
    struct export_source s;
    if (adapter_page_open(&s, call->c, &v->base, call->parse->operands[0]) == OK)
        v->json ? info_print_json(&s) : print_table(&s);
    export_close(&s);
    return call->c->status;
}

const struct command command_adapter_info = {
    .name = "adapter info",
    .summary = "shows how much of its rank each module of an adapter uses",
    .usage = "RUN|ADAPTER [-m MODEL] [--json]",
    .about = "What a module adds to its linear layer is s B A, a matrix of at most the adapter's rank. Of its singular "
             "values this\n"
             "shows the effective rank, which is the rank where all are equal and 1 where one of them is everything, and "
             "how many of\n"
             "them keep 90 % and 99 % of the sum of their squares. An adapter whose modules keep 99 % with half of their "
             "rank can be\n"
             "written with that: your_ai adapter merge ADAPTER --weights 1 --rank N -o DIR.",
    .table = &table,
    .values_bytes = sizeof(struct adapter_info_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = cmd_adapter_info_run,
};
