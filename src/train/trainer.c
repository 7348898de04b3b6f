/* trainer: the loop over optimizer steps. See trainer.h; opening is trainer_setup.c, validation trainer_eval.c.
 *
 * Order of step k: all its micro-batches are queued; then the result of step k - 1 is read, checked and reported
 * ("settled"), because its norm belongs into the threshold of step k and because the engine has work meanwhile; then step
 * k's update is queued. Before a validation, a checkpoint, the end of an epoch and the end of the run step k is settled at
 * once, and with an engine that is synchronous always: then nothing would be gained by waiting. A value that is not finite
 * changes no parameter (engine.h) and is found before anything is saved. A user's interrupt is looked for between
 * micro-batches: the begun step is dropped and will be done again. */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "train/trainer_parts.h"

/* For rates on the screen and in timing.jsonl only: nothing of the training depends on a clock. */
static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Whether the host asked to stop. */
static bool is_interrupted(const struct trainer *t)
{
    return t->hooks.interrupted && t->hooks.interrupted(t->hooks.user);
}

/* Tells the program's page what is being done, for what takes longer than a step. */
static void enter_phase(const struct trainer *t, enum trainer_phase phase)
{
    if (t->hooks.phase) t->hooks.phase(t->hooks.user, phase);
}

/* ---- one optimizer step ---------------------------------------------------------------------------------------------- */

/* The published term D, summed over documents and weighted by their trained tokens. */
struct published {
    double sum;
    int64_t tokens;
};

/* Adds the documents of the last micro-batch; the sum is NaN without scores. */
static void add_published(const struct trainer *t, const struct batch *b, struct published *p)
{
    const int64_t *documents = pack_documents(t->pack);
    for (int s = 0; s < b->n_seg; s++) {
        const struct dataset_document *d = dataset_document(t->data, documents[s]);
        p->sum += d->n_trained * objective_published(&t->objective, d->auth_weight, d->prov_entropy);
        p->tokens += d->n_trained;
    }
}

/* Queues the gradients of the whole step. E_INTERRUPTED when the user asked to stop: the step does not count. */
static enum status queue_micro_batches(struct trainer *t, struct train_pending *p)
{
    struct metrics_step *m = &p->metrics;
    struct published published = {0};
    m->trained_tokens = pack_step_trained_tokens(t->pack, p->epoch_step);
    m->tokens = pack_step_tokens(t->pack, p->epoch_step);
    m->omega = pack_step_mean_weight(t->pack, p->epoch_step);
    BUG_ON(t->c, m->trained_tokens < 1 || !(m->omega > 0),
           "step %" PRId64 " has %" PRId64 " trained tokens of mean weight %g", m->step, m->trained_tokens, m->omega);
    struct engine_micro micro = {.step = m->step,
                                 .count = pack_micro_batches(t->pack, p->epoch_step),
                                 .inv_n = 1.0 / (double)m->trained_tokens,
                                 .seed = (uint64_t)t->config.seed,
                                 .recomputed_blocks = t->state.recomputed_blocks,
                                 .offloaded_blocks = t->plan.offloaded_blocks,
                                 .step_tokens = t->sources->n_rows ? m->tokens : 0};
    for (; micro.index < micro.count; micro.index++) {
        struct batch b;
        if (is_interrupted(t)) return E_INTERRUPTED;
        TRY(pack_batch(t->pack, p->epoch_step, micro.index, &b));
        TRY(t->engine->ops->step(t->engine, &b, &micro));
        add_published(t, &b, &published);
    }
    m->distrust = published.tokens ? published.sum / (double)published.tokens : (double)NAN;
    return OK;
}

/* Queues clipping and the update; the norms of all steps before this one are in the clip's window. */
static enum status queue_update(struct trainer *t, struct train_pending *p)
{
    struct metrics_step *m = &p->metrics;
    m->threshold = clip_threshold(&t->state.clip, m->omega);
    m->lr = schedule_lr(&t->schedule, m->step);
    struct engine_update update = optim_step(&t->config.optim, m->step, m->lr, m->threshold);
    TRY(t->engine->ops->update(t->engine, &update));
    TRY(t->engine->ops->check(t->engine));
    return dataset_check(t->c, t->data);
}

/* Losses are sums over the step, divided by N, its trained tokens. `total` is what the original system reported: in
 * additive mode it holds the published term, which has no gradient. */
static void fill_metrics(const struct trainer *t, const struct engine_result *r, struct metrics_step *m)
{
    m->loss = r->loss.unweighted / (double)m->trained_tokens;
    m->weighted_loss = r->loss.weighted / (double)m->trained_tokens;
    m->total = m->weighted_loss;
    if (t->objective.options.mode == DISTRUST_ADDITIVE) m->total += t->objective.options.lambda * m->distrust;
    m->grad_norm = r->norm;
    m->clipped = r->clipped;
    m->clip_share = clip_share(&t->state.clip);
    m->sources = t->sources;
}

/* Adds the step up by source. Its batches are made again for it, which is a copy of a few thousand ids: they are those of
 * the running epoch, since a step is settled before its epoch ends. */
static enum status add_step_sources(struct trainer *t, const struct train_pending *p)
{
    struct source_loss *s = t->sources;
    source_loss_clear(s);
    for (int64_t i = 0; s->n_rows && i < pack_micro_batches(t->pack, p->epoch_step); i++) {
        struct batch b;
        TRY(pack_batch(t->pack, p->epoch_step, i, &b));
        source_loss_add(s, &b, pack_documents(t->pack), t->logprobs + b.first_token);
    }
    return OK;
}

enum status trainer_hold_logprobs(struct trainer *t, const struct source_loss *s, int64_t tokens)
{
    if (s->n_rows == 0 || tokens <= t->logprobs_capacity) return OK;
    float *more = mem_resize(t->c, t->logprobs, (size_t)t->logprobs_capacity, (size_t)tokens, sizeof *more);
    if (!more) return t->c->status;
    t->logprobs = more;
    t->logprobs_capacity = tokens;
    return OK;
}

/* One line in each of the two files, and the hook. */
static enum status report_step(struct trainer *t, const struct metrics_step *m, double seconds)
{
    struct train_progress *p = &t->progress;
    p->step = *m;
    p->timing =
        (struct metrics_timing){m->step, seconds, (double)m->tokens / seconds, t->engine->ops->memory(t->engine).peak_bytes};
    p->total_steps = t->schedule.total;
    /* the mean over this process's steps so far would lag behind; the last step alone jumps: a running mean of both */
    double left = (double)(t->schedule.total - m->step);
    p->step_seconds = p->step_seconds > 0.0 ? 0.9 * p->step_seconds + 0.1 * seconds : seconds;
    p->eta_seconds = left * p->step_seconds;
    TRY(metrics_add_step(t->metrics, m));
    TRY(metrics_add_timing(t->metrics, &p->timing));
    if (t->hooks.step) t->hooks.step(t->hooks.user, p);
    return OK;
}

/* Reads, checks and reports the step that was queued last, if that has not been done. */
static enum status trainer_settle(struct trainer *t)
{
    struct train_pending *p = &t->pending;
    struct metrics_step *m = &p->metrics;
    struct engine_result r;
    if (!p->queued) return OK;
    TRY(trainer_hold_logprobs(t, t->sources, m->tokens));
    TRY(t->engine->ops->result(t->engine, m->step, &r, t->sources->n_rows ? t->logprobs : NULL));
    if (r.bad_micro >= 0) return trainer_numeric_step(t, p, r.bad_micro, "loss", r.loss.weighted);
    BUG_ON(t->c, r.loss.count != m->trained_tokens, "step of %" PRId64 " trained tokens, but the pack promised %" PRId64,
           r.loss.count, m->trained_tokens);
    if (!isfinite(r.norm)) return trainer_numeric_step(t, p, -1, "gradient norm", r.norm);
    clip_add(&t->state.clip, r.norm, m->omega, r.clipped);
    fill_metrics(t, &r, m);
    TRY(add_step_sources(t, p));
    p->queued = false;
    return report_step(t, m, p->seconds);
}

/* Counts a step whose update is queued; true when it was the last of its epoch. */
static bool trainer_count_step(struct trainer *t, const struct train_pending *p)
{
    struct train_state *s = &t->state;
    BUG_ON(t->c, t->pending.queued, "step %" PRId64 " is queued, but step %" PRId64 " has not been read", p->metrics.step,
           t->pending.metrics.step);
    BUG_ON(t->c, p->metrics.step != s->step + 1, "step %" PRId64 " comes after step %" PRId64, p->metrics.step, s->step);
    t->pending = *p;
    t->pending.queued = true;
    s->step = p->metrics.step;
    s->trained_tokens += p->metrics.trained_tokens;
    s->epoch_step++;
    if (s->epoch_step < pack_steps(t->pack)) return false;
    s->epoch++;
    s->epoch_step = 0;
    return true;
}

/* One optimizer step, queued. */
static enum status trainer_run_step(struct trainer *t)
{
    struct train_pending p = {.metrics = {.step = t->state.step + 1, .epoch = t->state.epoch + 1},
                              .epoch_step = t->state.epoch_step};
    double begin = now_seconds();
    bool late = t->pending.queued;
    TRY(queue_micro_batches(t, &p));
    TRY(trainer_settle(t));
    if (late && is_interrupted(t)) return E_INTERRUPTED; /* a hook that saw the step before may have asked for it */
    TRY(queue_update(t, &p));
    p.seconds = now_seconds() - begin;
    bool epoch_ends = trainer_count_step(t, &p);
    if (t->engine->synchronous || epoch_ends) TRY(trainer_settle(t)); /* its rows are named by this epoch's pack */
    return epoch_ends && t->state.step < t->schedule.total ? trainer_open_epoch(t, t->state.epoch) : OK;
}

/* ---- validation and checkpoints -------------------------------------------------------------------------------------- */

/* True at every `every`-th step, and at the last one; 0: at the last one only. */
static bool is_due(const struct trainer *t, int64_t every)
{
    return t->state.step == t->schedule.total || (every > 0 && t->state.step % every == 0);
}

/* *improved: the step is the best so far and has to be kept. */
static enum status validate(struct trainer *t, bool *improved)
{
    struct train_state *s = &t->state;
    struct metrics_eval eval = {.step = s->step};
    *improved = false;
    if (!t->valid || !is_due(t, t->config.eval_every)) return OK;
    TRY(trainer_settle(t));
    enter_phase(t, TRAINER_VALIDATION);
    TRY(trainer_evaluate(t, &eval));
    enter_phase(t, TRAINER_STEPS);
    *improved = eval.best = s->best_step == 0 || eval.weighted_loss < s->best_loss;
    if (eval.best) {
        s->best_step = s->step;
        s->best_loss = eval.weighted_loss;
    }
    TRY(metrics_add_eval(t->metrics, &eval));
    t->progress.evaluated = true;
    t->progress.eval = eval;
    t->progress.best_step = s->best_step;
    if (t->hooks.eval) t->hooks.eval(t->hooks.user, &t->progress);
    return OK;
}

/* metrics.jsonl is synced first: a checkpoint counts on its length. */
static enum status save(struct trainer *t)
{
    TRY(trainer_settle(t));
    enter_phase(t, TRAINER_SAVE);
    TRY(metrics_sync(t->metrics, &t->state.metrics_bytes));
    TRY(checkpoint_save(t->c, t->config.run, &t->state, t->engine));
    if (t->state.best_step > 0) checkpoint_link_best(t->c, t->config.run, t->state.best_step);
    t->saved_step = t->state.step;
    if (t->hooks.saved) t->hooks.saved(t->hooks.user, t->saved_step);
    TRY(checkpoint_prune(t->c, t->config.run, t->config.keep));
    enter_phase(t, TRAINER_STEPS);
    return OK;
}

/* Saves what is done so far, if that is not on disk already, and says so. */
static enum status stop(struct trainer *t)
{
    TRY(trainer_settle(t));
    if (t->saved_step != t->state.step) TRY(save(t));
    return ctx_fail(t->c, E_INTERRUPTED, "interrupted; step %" PRId64 " is saved", t->state.step);
}

/* The best checkpoint, or the last one when there is no validation (or the best was lost with its disk). */
static enum status trainer_publish(struct trainer *t)
{
    int64_t step = t->state.best_step ? t->state.best_step : t->state.step;
    enter_phase(t, TRAINER_PUBLISH);
    char *dir = checkpoint_path(t->c, t->config.run, step);
    if (dir && step != t->state.step && checkpoint_verify(t->c, dir) != OK) {
        ctx_log(t->c, LOG_WARN, "the best checkpoint cannot be used, the last one is: %s", t->c->message);
        ctx_clear(t->c);
        mem_free(t->c, dir);
        dir = checkpoint_path(t->c, t->config.run, t->state.step);
    }
    if (dir) checkpoint_publish(t->c, dir, t->config.run);
    mem_free(t->c, dir);
    return t->c->status;
}

bool trainer_is_out_of_patience(const struct trainer *t)
{
    const struct train_state *s = &t->state;
    return t->config.patience > 0 && s->best_step > 0 && s->step - s->best_step >= t->config.patience * t->config.eval_every;
}

/* More steps to do. */
static bool trainer_continues(const struct trainer *t)
{
    return t->state.step < t->schedule.total && !trainer_is_out_of_patience(t);
}

/* The validation loss before anything is learnt, which every later one is compared with. It is never the best one: an
 * adapter of step 0 changes nothing. A run that is resumed behind it has it in its metrics. */
static enum status validate_start(struct trainer *t)
{
    struct metrics_eval eval = {0};
    if (!t->valid || t->state.step > 0 || t->state.metrics_bytes > 0) return OK;
    TRY(trainer_evaluate(t, &eval));
    TRY(metrics_add_eval(t->metrics, &eval));
    t->progress.evaluated = true;
    t->progress.eval = eval;
    if (t->hooks.eval) t->hooks.eval(t->hooks.user, &t->progress);
    return OK;
}

/* The system may refuse the memory all the same, as others have taken it meanwhile or address space is scarce (ulimit -v):
 * steps then go without. */
enum status trainer_lay_out(const struct trainer *t)
{
    if (!t->plan.lays_out || t->engine->ops->lay_out(t->engine) != E_MEMORY) return t->c->status;
    ctx_log(t->c, LOG_WARN, "the weights are not laid out, so that steps take somewhat longer: %s", t->c->message);
    ctx_clear(t->c);
    return OK;
}

/* The plan is checked again here, because memory may have become scarce since the page was shown. */
enum status trainer_run(struct trainer *t)
{
    bool improved;
    TRY(plan_check(t->c, &t->plan_input, &t->plan));
    TRY(trainer_lay_out(t));
    TRY(validate_start(t));
    if (trainer_continues(t)) TRY(trainer_open_epoch(t, t->state.epoch));
    enter_phase(t, TRAINER_STEPS);
    while (trainer_continues(t)) {
        enum status status = trainer_run_step(t);
        if (status == E_INTERRUPTED) return stop(t);
        if (status != OK) return status;
        TRY(validate(t, &improved));
        bool asked = t->hooks.save_asked && t->hooks.save_asked(t->hooks.user);
        if (asked || improved || is_due(t, t->config.save_every) || !trainer_continues(t)) TRY(save(t));
        if (is_interrupted(t) && trainer_continues(t)) return stop(t);
    }
    return trainer_publish(t);
}
