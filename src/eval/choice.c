/* choice: log-likelihoods and scores of items that were read (choice_read.c reads them). A choice is one probe (probe.h):
 * context and choice are tokenised together, and what lies behind as many tokens as the context alone has is scored.
 *
 * An item with the choices "no" and "of course" whose log-likelihoods are -2 and -6 is answered "no" by acc, which takes
 * the larger sum; acc_norm compares -2 / 2 = -1 with -6 / 9 = -0.67 and takes "of course". */
#include "eval/choice.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/probe.h"

const char *const choice_task_name[CHOICE_TASKS] = {"truthfulqa_mc1", "truthfulqa_mc2", "arc", "hellaswag", "mmlu"};

bool choice_has_norm(enum choice_task task)
{
    return task == CHOICE_ARC || task == CHOICE_HELLASWAG;
}

void choice_close(struct choice_set *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) {
        struct choice_item *item = &s->items[i];
        for (size_t k = 0; k < item->n; k++) mem_free(s->c, item->choices[k]);
        mem_free(s->c, item->choices);
        mem_free(s->c, item->is_true);
        mem_free(s->c, item->context);
        mem_free(s->c, item->subject);
        json_decref(item->row);
    }
    mem_free(s->c, s->items);
    mem_free(s->c, s);
}

/* ---- scores ----------------------------------------------------------------------------------------------------------- */

/* Characters, as Python counts them: bytes that do not continue one. */
static double choice_characters(const char *text)
{
    double n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static size_t choice_largest(const double *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (values[i] > values[best]) best = i;
    return best;
}

/* sum of p over true choices / sum of p over all, by exponents relative to the largest. */
static double true_share(const struct choice_item *item, const double *loglik)
{
    double most = loglik[choice_largest(loglik, item->n)], yes = 0, all = 0;
    for (size_t i = 0; i < item->n; i++) {
        double p = exp(loglik[i] - most);
        all += p;
        if (item->is_true[i]) yes += p;
    }
    return yes / all;
}

void choice_score_item(enum choice_task task, const struct choice_item *item, struct choice_score *score)
{
    double norm[CHOICE_MOST];
    if (task == CHOICE_TRUTHFULQA_MC2) {
        score->acc = score->acc_norm = true_share(item, score->loglik);
        return;
    }
    for (size_t i = 0; i < item->n; i++) norm[i] = score->loglik[i] / choice_characters(item->choices[i]);
    score->acc = choice_largest(score->loglik, item->n) == item->gold;
    score->acc_norm = choice_largest(norm, item->n) == item->gold;
}

/* ---- measuring -------------------------------------------------------------------------------------------------------- */

/* Adds one continuation to the probes. As the harness does it, the whole text is tokenised and cut behind as many tokens as
 * the context alone has, without its spaces at the end, which go to the continuation: tokenizers join a space to the word
 * behind it, and a context that ends in a space would leave the model in a place that it never saw in training. */
static enum status add_choice(struct probe_set *p, const struct tokenizer *t, const struct choice_item *item, size_t choice,
                              size_t sum, struct buf *text, struct ids *ids)
{
    struct ctx *c = text->c;
    size_t n = strlen(item->context);
    while (n > 0 && item->context[n - 1] == ' ') n--;
    buf_clear(text);
    buf_append(text, item->context, n);
    ids->n = 0;
    TRY(tokenizer_encode_text(c, t, buf_str(text), text->len, false, ids));
    size_t start = ids->n;
    buf_append_str(text, item->context + n);
    buf_append_char(text, ' ');
    buf_append_str(text, item->choices[choice]);
    if (!buf_ok(text)) return c->status;
    ids->n = 0;
    TRY(tokenizer_encode_text(c, t, buf_str(text), text->len, false, ids));
    return probe_add_ids(p, ids->data, ids->n, start, sum, 1);
}

/* Memory for the results, all log-likelihoods in one list. */
static enum status scores_make(struct ctx *c, const struct choice_set *s, struct choice_scores *out)
{
    size_t total = 0;
    for (size_t i = 0; i < s->n; i++) total += s->items[i].n;
    *out = (struct choice_scores){.c = c, .n = s->n};
    out->items = mem_alloc(c, s->n, sizeof(*out->items));
    out->logliks = mem_alloc(c, total, sizeof(*out->logliks));
    if (!ctx_ok(c)) return c->status;
    total = 0;
    for (size_t i = 0; i < s->n; total += s->items[i++].n) out->items[i].loglik = out->logliks + total;
    return OK;
}

static enum status measure_items(struct probe_set *p, const struct tokenizer *t, const struct choice_set *s,
                                 const struct choice_scores *out)
{
    struct buf text;
    struct ids ids = {0};
    enum status status = OK;
    buf_init(&text, s->c, 1 << 24);
    for (size_t i = 0; i < s->n && status == OK; i++)
        for (size_t k = 0; k < s->items[i].n && status == OK; k++)
            status = add_choice(p, t, &s->items[i], k, (size_t)(out->items[i].loglik - out->logliks) + k, &text, &ids);
    if (status == OK) status = probe_finish(p);
    ids_release(s->c, &ids);
    buf_release(&text);
    return status;
}

enum status choice_measure(struct engine *e, const struct tokenizer *t, const struct choice_set *s,
                           struct choice_scores *out)
{
    TRY(scores_make(e->c, s, out));
    size_t total = s->n ? (size_t)(out->items[s->n - 1].loglik - out->logliks) + s->items[s->n - 1].n : 0;
    struct probe_set *p = probe_set_new(e, t, "continuation", out->logliks, total);
    enum status status = p ? measure_items(p, t, s, out) : e->c->status;
    probe_set_free(p);
    for (size_t i = 0; i < s->n && status == OK; i++) choice_score_item(s->task, &s->items[i], &out->items[i]);
    return status;
}

void choice_scores_release(struct choice_scores *s)
{
    mem_free(s->c, s->items);
    mem_free(s->c, s->logliks);
    *s = (struct choice_scores){.c = s->c};
}

/* ---- means ------------------------------------------------------------------------------------------------------------ */

enum choice_value { VALUE_ACC, VALUE_NORM, VALUE_DIFFERENCE };

static double value_of(enum choice_value which, const struct choice_score *a, const struct choice_score *b)
{
    if (which == VALUE_NORM) return a->acc_norm;
    return which == VALUE_ACC ? a->acc : a->acc - b->acc;
}

static struct choice_mean choice_mean_of(enum choice_value which, const struct choice_scores *a,
                                         const struct choice_scores *b)
{
    struct choice_mean r = {0};
    double n = (double)a->n, squares = 0;
    for (size_t i = 0; i < a->n; i++) r.mean += value_of(which, &a->items[i], b ? &b->items[i] : NULL) / n;
    for (size_t i = 0; i < a->n; i++) {
        double d = value_of(which, &a->items[i], b ? &b->items[i] : NULL) - r.mean;
        squares += d * d;
    }
    if (a->n > 1) r.error = sqrt(squares / (n - 1) / n);
    return r;
}

struct choice_mean choice_acc(const struct choice_scores *s)
{
    return choice_mean_of(VALUE_ACC, s, NULL);
}

struct choice_mean choice_acc_norm(const struct choice_scores *s)
{
    return choice_mean_of(VALUE_NORM, s, NULL);
}

struct choice_mean choice_difference(const struct choice_scores *a, const struct choice_scores *b)
{
    return choice_mean_of(VALUE_DIFFERENCE, a, b);
}
