/* step_rate: see step_rate.h. The median of the micro-batches counts: the first ones read the weights from the disk, and
 * other work on the machine makes single ones slow. Times are those of a machine that does nothing else
 * (machine_quiet_seconds), as those of the profile are. */
#include "measure/step_rate.h"

#include <math.h>
#include <stdlib.h>

#include "measure/machine.h"

enum { BATCHES_MIN = 3, BATCHES_MAX = 15 };
static const double SECONDS_ENOUGH = 6;
static const double SECONDS_LONG = 20; /* enough for fewer than BATCHES_MIN; and a warm-up that took as long counts */

/* What the work between two readings of both clocks takes on a quiet machine; an engine of another library may wait for a
 * device without taking processor time, so there the clock tells. */
static double quiet_seconds(const struct trainer *t, double seconds, double cpu_seconds)
{
    return t->config.engine == ENGINE_KIND_NATIVE ? machine_quiet_seconds(t->c, seconds, cpu_seconds) : seconds;
}

/* One optimizer step of one micro-batch, waited for. */
static enum status step_rate_run_batch(const struct trainer *t, const struct batch *b, int64_t number, double *seconds)
{
    const struct engine_ops *ops = t->engine->ops;
    double begin = machine_seconds(), cpu = machine_cpu_seconds(), n = 0;
    struct engine_result result;
    for (int64_t i = 0; i < b->n; i++) n += b->weights[i] != 0;
    struct engine_micro micro = {.step = number, .count = 1, .inv_n = n > 0 ? 1 / n : 1};
    micro.recomputed_blocks = t->plan.recomputed_blocks;
    micro.offloaded_blocks = t->plan.offloaded_blocks;
    micro.seed = (uint64_t)t->config.seed;
    struct engine_update update = optim_step(&t->config.optim, number, 0, INFINITY);
    TRY(ops->step(t->engine, b, &micro));
    TRY(ops->update(t->engine, &update));
    TRY(ops->result(t->engine, number, &result, NULL));
    TRY(ops->check(t->engine));
    *seconds = quiet_seconds(t, machine_seconds() - begin, machine_cpu_seconds() - cpu);
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
    for (int64_t step = 0; n < BATCHES_MAX && (spent < SECONDS_ENOUGH || (n < BATCHES_MIN && spent < SECONDS_LONG));
         step = (step + 1) % pack_steps(p)) {
        struct batch b;
        if (t->hooks.interrupted && t->hooks.interrupted(t->hooks.user))
            return ctx_fail(t->c, E_INTERRUPTED, "interrupted while measuring");
        TRY(pack_batch(p, step, 0, &b));
        TRY(step_rate_run_batch(t, &b, ++number, &seconds));
        if (number == 1 && seconds < SECONDS_LONG) continue; /* warms up */
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
    double begin = machine_seconds(), cpu = machine_cpu_seconds();
    TRY(t->engine->ops->evaluate(t->engine, &b, &loss, NULL));
    r->forward_tokens_per_s = (double)b.n / quiet_seconds(t, machine_seconds() - begin, machine_cpu_seconds() - cpu);
    return OK;
}

/* Tokens of the run and of its validations, and with the rates the seconds. */
static void fill_run(const struct trainer *t, const struct pack *p, struct step_rate *r)
{
    int64_t steps = pack_steps(p), epoch = 0, batches = 0, total = t->schedule.total, every = t->config.eval_every;
    for (int64_t i = 0; i < steps; i++) {
        epoch += pack_step_tokens(p, i);
        batches += pack_micro_batches(p, i);
    }
    r->run_tokens = (int64_t)((double)epoch / (double)steps * (double)total);
    r->train_seconds = (double)r->run_tokens / r->tokens_per_s;
    r->batch_seconds = (double)epoch / (double)batches / r->tokens_per_s;
    if (!t->valid) return;
    r->valid_tokens = dataset_counts(t->valid)->tokens;
    r->n_valid = 1 + (every > 0 ? (total + every - 1) / every : 1); /* one comes before step 1 */
    r->valid_seconds = (double)(r->n_valid * r->valid_tokens) / r->forward_tokens_per_s;
}

enum status step_rate_measure(const struct trainer *t, struct step_rate *r)
{
    *r = (struct step_rate){0};
    TRY(trainer_lay_out(t));
    struct pack *p = pack_epoch_new(t->c, t->data, &t->objective, &t->config.packs, 0);
    if (!p) return t->c->status;
    enum status status = step_rate_measure_training(t, p, r);
    if (status == OK) status = measure_forward(t, p, r);
    if (status == OK) fill_run(t, p, r);
    pack_free(p);
    return status;
}

/* ---- from the profile ------------------------------------------------------------------------------------------------ */

/* The sizes that the cost of a step is a function of. */
static struct known_model sizes_of(const struct model_config *k)
{
    return (struct known_model){.layers = (int)k->n_layers,
                                .hidden = (int)k->hidden,
                                .ffn = (int)k->ffn,
                                .heads = (int)k->n_heads,
                                .kv_heads = (int)k->n_kv_heads,
                                .head_dim = (int)k->head_dim,
                                .vocab = (int)k->vocab};
}

/* The mean micro-batch of the first epoch. Documents are as long as they are on average over their tokens, as attention's
 * work goes by that. The loss is computed on all tokens unless a quarter of them are left out (engine_native.c). */
static struct step_shape mean_shape(const struct trainer *t, const struct pack *p, const struct known_model *sizes)
{
    double tokens = 0, batches = 0, squares = 0, all = 0;
    for (int64_t i = 0; i < pack_steps(p); i++) {
        tokens += (double)pack_step_tokens(p, i);
        batches += (double)pack_micro_batches(p, i);
    }
    for (int64_t i = 0; i < dataset_n_documents(t->data); i++) {
        double n = dataset_document(t->data, i)->n;
        all += n;
        squares += n * n;
    }
    double share = (double)dataset_counts(t->data)->trained / all;
    int64_t adapted = t->lora->config.last_layers > 0 ? t->lora->config.last_layers : sizes->layers;
    struct step_shape s = {.model = sizes, .rank = t->lora->config.rank, .adapted = adapted};
    s.recomputed = t->plan.recomputed_blocks;
    s.tokens = tokens / batches;
    s.length = squares / all;
    s.trained = s.tokens * (share > 0.75 ? 1 : share);
    return s;
}

enum status step_rate_predict(const struct trainer *t, const struct machine_profile *p, struct step_rate *r, bool *known)
{
    *r = (struct step_rate){0};
    *known = false;
    if (!t->model || !t->lora) return OK;
    const struct known_model sizes = sizes_of(&t->model->config);
    struct pack *pack = pack_epoch_new(t->c, t->data, &t->objective, &t->config.packs, 0);
    if (!pack) return t->c->status;
    struct step_shape s = mean_shape(t, pack, &sizes);
    double seconds = machine_profile_predict(p, t->config.form.compute, &s);
    s.forward = true;
    r->tokens_per_s = s.tokens / seconds;
    r->forward_tokens_per_s = s.tokens / machine_profile_predict(p, t->config.form.compute, &s);
    *known = seconds > 0;
    if (*known) fill_run(t, pack, r);
    pack_free(pack);
    return OK;
}
