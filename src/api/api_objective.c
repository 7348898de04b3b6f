/* api_objective: the distrust objective as functions of scores. The formulas are data/objective.h's; what is here checks
 * each input and adds up in the order of the documents. */
#include <math.h>

#include "api/api.h"
#include "data/objective.h"

/* Options, and after fitting the quantile and the mean by which weights are normalised. */
struct ya_objective {
    struct api_object object;
    struct objective o;
    bool fitted;
};

static void release_objective(struct api_object *o)
{
    (void)o; /* owns nothing */
}

ya_objective *ya_objective_new(ya_ctx *ctx, const ya_option *options, size_t n_options)
{
    struct train_values values;
    if (!api_enter(ctx, "ya_objective_new") ||
        api_options(ctx, "ya_objective_new", "distrust lambda distrust-power distrust-ratio distrust-alpha", options,
                    n_options, &values, NULL) != OK)
        return NULL;
    ya_objective *objective = api_object_new(ctx, sizeof *objective, release_objective);
    if (!objective) return NULL;
    objective->o.options = values.config.objective;
    objective->fitted = !objective_has_weights(values.config.objective.mode);
    return objective;
}

void ya_objective_free(ya_objective *objective)
{
    if (objective) api_object_free(&objective->object);
}

int ya_objective_fit(ya_objective *objective, const double *auth_weight, const double *prov_entropy, const int64_t *tokens,
                     size_t n)
{
    if (!objective || !api_usable(objective->object.ctx)) return -1;
    const struct objective_options options = objective->o.options;
    const struct objective_scores in = {auth_weight, prov_entropy, tokens, n};
    if (objective_fit_scores(objective->object.ctx->c, &options, &in, &objective->o) != OK) return -1;
    objective->fitted = true;
    return 0;
}

int ya_objective_restore(ya_objective *objective, double q, double mean_g)
{
    if (!objective || !api_usable(objective->object.ctx)) return -1;
    struct objective_options options = objective->o.options;
    struct objective o;
    if (objective_restore(objective->object.ctx->c, &options, q, mean_g, &o) != OK) return -1;
    objective->o = o;
    objective->fitted = true;
    return 0;
}

int ya_objective_fitted(const ya_objective *objective, double *q, double *mean_g)
{
    if (!objective || !api_usable(objective->object.ctx)) return -1;
    if (q) *q = objective->o.q;
    if (mean_g) *mean_g = objective->o.gbar;
    return 0;
}

/* One document's values; omega is NaN until the objective is fitted, because it needs the whole training set. */
static ya_distrust api_objective_score_of(const ya_objective *objective, double auth_weight, double prov_entropy)
{
    const struct objective *o = &objective->o;
    return (ya_distrust){
        .s = objective_signed(auth_weight, prov_entropy),
        .d = objective_published(o, auth_weight, prov_entropy),
        .g = objective_has_weights(o->options.mode) ? objective_g(&o->options, auth_weight, prov_entropy) : 0,
        .omega = objective->fitted ? objective_omega(o, auth_weight, prov_entropy) : (double)NAN,
    };
}

/* *sum += times * *x. */
static void add_times(ya_distrust *sum, const ya_distrust *x, double times)
{
    sum->s += x->s * times;
    sum->d += x->d * times;
    sum->g += x->g * times;
    sum->omega += x->omega * times;
}

int ya_objective_score(const ya_objective *objective, double auth_weight, double prov_entropy, ya_distrust *score)
{
    return ya_objective_batch(objective, &auth_weight, &prov_entropy, NULL, 1, score, NULL, NULL);
}

/* Every score is checked before any result is written. Sum and mean are over tokens where these are given, else over
 * documents. */
int ya_objective_batch(const ya_objective *objective, const double *auth_weight, const double *prov_entropy,
                       const int64_t *tokens, size_t n, ya_distrust *each, ya_distrust *sum, ya_distrust *mean)
{
    if (!objective || !api_usable(objective->object.ctx)) return -1;
    struct ctx *c = objective->object.ctx->c;
    ya_distrust total = {0}, average = {0};
    double count = 0;
    if (n == 0) return ctx_fail(c, E_INPUT, "ya_objective_batch: no documents"), -1;
    for (size_t i = 0; i < n; i++) {
        if (objective_check_score(c, i, auth_weight[i], prov_entropy[i], tokens ? tokens[i] : 1) != OK) return -1;
    }
    for (size_t i = 0; i < n; i++) {
        ya_distrust x = api_objective_score_of(objective, auth_weight[i], prov_entropy[i]);
        double times = tokens ? (double)tokens[i] : 1;
        if (each) each[i] = x;
        add_times(&total, &x, times);
        count += times;
    }
    add_times(&average, &total, 1 / count);
    if (sum) *sum = total;
    if (mean) *mean = average;
    return 0;
}
