/* trial_json: a trial as a file and back. What is no number is null in it. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/trial.h"

enum { COUNT_MAX = 1 << 30 };

static void add_list(struct buf *out, const char *key, const double *values, size_t n)
{
    buf_printf(out, "\"%s\": [", key);
    for (size_t i = 0; i < n; i++) {
        if (i) buf_append_str(out, ", ");
        json_append_f64(out, values[i]);
    }
    buf_append_str(out, "]");
}

static void trial_json_add_number(struct buf *out, const char *key, double value)
{
    buf_printf(out, ", \"%s\": ", key);
    json_append_f64(out, value);
}

static void add_said(struct buf *out, const struct belief_said *s, const char *key)
{
    buf_printf(out, "\"%s\": {\"primary\": %lld, \"consensus\": %lld, \"neither\": %lld}", key, (long long)s->primary,
               (long long)s->consensus, (long long)s->neither);
}

/* NaN is written as null, and read back as NaN. */
enum status trial_write(struct ctx *c, const struct trial *t, struct buf *out)
{
    const struct cell *k = &t->cell;
    buf_printf(out, "{\"arm\": \"%s\", \"repeat\": %lld, \"ratio\": %lld, \"epochs\": %lld, \"seed\": %lld, \"facts\": %zu",
               arm_name[k->arm], (long long)k->repeat, (long long)k->ratio, (long long)k->epochs, (long long)k->seed,
               t->n_facts);
    buf_printf(out, ", \"documents\": %lld, \"steps\": %lld, \"trained_tokens\": %lld", (long long)t->documents,
               (long long)t->steps, (long long)t->trained_tokens);
    trial_json_add_number(out, "seconds", t->seconds);
    trial_json_add_number(out, "omega_primary", t->omega_primary);
    trial_json_add_number(out, "omega_consensus", t->omega_consensus);
    trial_json_add_number(out, "first_loss", t->first_loss);
    trial_json_add_number(out, "last_loss", t->last_loss);
    trial_json_add_number(out, "clip_share", t->clip_share);
    trial_json_add_number(out, "perplexity", t->perplexity);
    buf_append_str(out, ",\n \"said\": {");
    add_said(out, &t->said[0], belief_name[BELIEF_TRAINED]);
    buf_append_str(out, ", ");
    add_said(out, &t->said[1], belief_name[BELIEF_HELD_OUT]);
    buf_append_str(out, "},\n ");
    add_list(out, "predicted", t->phrased, t->n_facts);
    buf_append_str(out, ",\n ");
    add_list(out, "predicted_pooled", t->pooled, t->n_facts);
    buf_append_str(out, ",\n \"log_odds\": {");
    for (int i = 0; i < BELIEFS; i++) {
        buf_append_str(out, i ? ",\n  " : "\n  ");
        add_list(out, belief_name[i], t->odds + (size_t)i * t->n_facts, t->n_facts);
    }
    buf_append_str(out, "}}\n");
    return c->status;
}

/* n numbers or nulls. */
static enum status trial_json_read_list(struct ctx *c, const char *what, const json_t *o, const char *key, double *out,
                                        size_t n)
{
    const json_t *list = json_object_get(o, key);
    if (!json_is_array(list) || json_array_size(list) != n)
        return ctx_fail(c, E_INPUT, "%s: \"%s\" must be a list of %zu numbers", what, key, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_number(v) && !json_is_null(v))
            return ctx_fail(c, E_INPUT, "%s: \"%s\"[%zu] is neither a number nor null", what, key, i);
        out[i] = json_is_null(v) ? (double)NAN : json_number_value(v);
    }
    return OK;
}

static enum status read_counts(struct ctx *c, const char *what, const json_t *doc, struct trial *t)
{
    json_member_i64(c, what, doc, "documents", true, 0, INT64_MAX, &t->documents);
    json_member_i64(c, what, doc, "steps", true, 0, INT64_MAX, &t->steps);
    json_member_i64(c, what, doc, "trained_tokens", true, 0, INT64_MAX, &t->trained_tokens);
    json_member_f64(c, what, doc, "seconds", true, 0, 1e12, &t->seconds);
    json_member_f64(c, what, doc, "perplexity", true, 0, INFINITY, &t->perplexity);
    json_member_f64(c, what, doc, "clip_share", true, 0, 1, &t->clip_share);
    json_member_f64(c, what, doc, "first_loss", false, -1e9, 1e9, &t->first_loss);
    json_member_f64(c, what, doc, "last_loss", false, -1e9, 1e9, &t->last_loss);
    json_member_f64(c, what, doc, "omega_primary", false, 0, 1e9, &t->omega_primary);
    json_member_f64(c, what, doc, "omega_consensus", false, 0, 1e9, &t->omega_consensus);
    return c->status;
}

static enum status read_said(struct ctx *c, const char *what, const json_t *said, const char *key, struct belief_said *out)
{
    const json_t *o = json_object_get(said, key);
    json_member_i64(c, what, o, "primary", true, 0, COUNT_MAX, &out->primary);
    json_member_i64(c, what, o, "consensus", true, 0, COUNT_MAX, &out->consensus);
    json_member_i64(c, what, o, "neither", true, 0, COUNT_MAX, &out->neither);
    return c->status;
}

static enum status read_cell(struct ctx *c, const char *what, const json_t *doc, struct cell *k, int64_t *facts)
{
    const char *name = NULL;
    int arm = 0;
    if (!json_member_string(c, what, doc, "arm", true, &name)) return c->status;
    while (arm < ARMS && strcmp(arm_name[arm], name) != 0) arm++;
    if (arm == ARMS) return ctx_fail(c, E_INPUT, "%s: there is no arm '%s'", what, name);
    k->arm = (enum arm)arm;
    json_member_i64(c, what, doc, "repeat", true, 1, COUNT_MAX, &k->repeat);
    json_member_i64(c, what, doc, "ratio", true, 1, COUNT_MAX, &k->ratio);
    json_member_i64(c, what, doc, "epochs", true, 0, COUNT_MAX, &k->epochs);
    json_member_i64(c, what, doc, "seed", true, 0, INT64_MAX, &k->seed);
    json_member_i64(c, what, doc, "facts", true, 1, FICTION_FACTS_MAX, facts);
    return c->status;
}

enum status trial_read(struct ctx *c, const char *what, const json_t *doc, struct trial *out)
{
    struct cell cell;
    int64_t facts = 0;
    *out = (struct trial){0};
    if (!json_is_object(doc)) return ctx_fail(c, E_INPUT, "%s: is no JSON object", what);
    TRY(read_cell(c, what, doc, &cell, &facts));
    size_t n = (size_t)facts;
    TRY(trial_make(c, &cell, n, out));
    TRY(read_counts(c, what, doc, out));
    const json_t *said = json_object_get(doc, "said"), *odds = json_object_get(doc, "log_odds");
    if (!json_is_object(said) || !json_is_object(odds))
        return ctx_fail(c, E_INPUT, "%s: lacks \"said\" or \"log_odds\"", what);
    TRY(read_said(c, what, said, belief_name[BELIEF_TRAINED], &out->said[0]));
    TRY(read_said(c, what, said, belief_name[BELIEF_HELD_OUT], &out->said[1]));
    TRY(trial_json_read_list(c, what, doc, "predicted", out->phrased, n));
    TRY(trial_json_read_list(c, what, doc, "predicted_pooled", out->pooled, n));
    for (int i = 0; i < BELIEFS; i++) TRY(trial_json_read_list(c, what, odds, belief_name[i], out->odds + (size_t)i * n, n));
    return OK;
}
