/* step_rate: see step_rate.h. The median of the micro-batches counts: the first ones read the weights from the disk, and
 * other work on the machine makes single ones slow. */
#include "measure/step_rate.h"

#include <math.h>
#include <stdlib.h>

#include "measure/machine.h"

enum { BATCHES_MIN = 3, BATCHES_MAX = 15 };
static const double SECONDS_ENOUGH = 6;

/* One optimizer step of one micro-batch, waited for. */
static enum status run_batch(const struct trainer *t, const struct batch *b, int64_t number, double *seconds)
{
    const struct engine_ops *ops = t->engine->ops;
    double begin = machine_seconds(), n = 0;
    struct engine_result result;
    for (int64_t i = 0; i < b->n; i++) n += b->weights[i] != 0;
    struct engine_micro micro = {.step = number, .count = 1, .inv_n = n > 0 ? 1 / n : 1};
    micro.recomputed_blocks = t->plan.recomputed_blocks;
    micro.seed = (uint64_t)t->config.seed;
    struct engine_update update = optim_step(&t->config.optim, number, 0, INFINITY);
    TRY(ops->step(t->engine, b, &micro));
    TRY(ops->update(t->engine, &update));
    TRY(ops->result(t->engine, number, &result, NULL));
    TRY(ops->check(t->engine));
    *seconds = machine_seconds() - begin;
    return OK;
}

static int rate_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Seconds a token, the median of micro-batches behind the first. */
static enum status step_rate_measure_training(const struct trainer *t, struct pack *p, struct step_rate *r)
{
    double each[BATCHES_MAX], spent = 0, seconds;
    int n = 0;
    int64_t number = 0;
    for (int64_t step = 0; n < BATCHES_MAX && (n < BATCHES_MIN || spent < SECONDS_ENOUGH);
         step = (step + 1) % pack_steps(p)) {
        struct batch b;
        if (t->hooks.interrupted && t->hooks.interrupted(t->hooks.user))
            return ctx_fail(t->c, E_INTERRUPTED, "interrupted while measuring");
        TRY(pack_batch(p, step, 0, &b));
        TRY(run_batch(t, &b, ++number, &seconds));
        if (number == 1) continue; /* warms up */
        each[n++] = seconds / (double)b.n;
        spent += seconds;
        r->tokens += b.n;
    }
    qsort(each, (size_t)n, sizeof each[0], rate_compare);
    r->batches = n;
    r->tokens_per_s = 1 / each[n / 2];
    return OK;
}

static enum status measure_forward(const struct trainer *t, struct pack *p, struct step_rate *r)
{
    struct batch b;
    struct engine_loss loss;
    TRY(pack_batch(p, 0, 0, &b));
    double begin = machine_seconds();
    TRY(t->engine->ops->evaluate(t->engine, &b, &loss, NULL));
    r->forward_tokens_per_s = (double)b.n / (machine_seconds() - begin);
    return OK;
}

/* Tokens of the run and of its validations, and from them the seconds. */
static void predict(const struct trainer *t, const struct pack *p, struct step_rate *r)
{
    int64_t steps = pack_steps(p), epoch = 0, total = t->schedule.total, every = t->config.eval_every;
    for (int64_t i = 0; i < steps; i++) epoch += pack_step_tokens(p, i);
    r->run_tokens = (int64_t)((double)epoch / (double)steps * (double)total);
    r->train_seconds = (double)r->run_tokens / r->tokens_per_s;
    if (!t->valid) return;
    r->valid_tokens = dataset_counts(t->valid)->tokens;
    r->n_valid = 1 + (every > 0 ? (total + every - 1) / every : 1); /* one comes before step 1 */
    r->valid_seconds = (double)(r->n_valid * r->valid_tokens) / r->forward_tokens_per_s;
}

enum status step_rate_measure(const struct trainer *t, struct step_rate *r)
{
    *r = (struct step_rate){0};
    struct pack *p = pack_epoch_new(t->c, t->data, &t->objective, &t->config.packs, 0);
    if (!p) return t->c->status;
    enum status status = step_rate_measure_training(t, p, r);
    if (status == OK) status = measure_forward(t, p, r);
    if (status == OK) predict(t, p, r);
    pack_free(p);
    return status;
}
