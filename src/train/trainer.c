/* trainer: the loop over optimizer steps. See trainer.h; opening is trainer_setup.c, validation trainer_eval.c.
 *
 * Order inside a step: all micro-batches, the norm, the checks, the update, the files' checks, the metrics line; then
 * validation, then the checkpoint. A value that is no number is found before the update, so neither the adapter nor any file
 * has seen it. A user's interrupt is looked for between micro-batches: the begun step is dropped and will be done again. */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "train/trainer_parts.h"

/* Sums over the micro-batches of one optimizer step. */
struct step_sums {
    struct engine_loss loss;
    double d_sum; /* sum of D over trained tokens */
    int64_t n;    /* trained tokens that the pack promised: the N of the loss */
    int64_t d_tokens;
};

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_interrupted(const struct trainer *t)
{
    return t->hooks.interrupted && t->hooks.interrupted(t->hooks.user);
}

static void enter_phase(const struct trainer *t, enum trainer_phase phase)
{
    if (t->hooks.phase) t->hooks.phase(t->hooks.user, phase);
}

/* ---- one optimizer step ---------------------------------------------------------------------------------------------- */

/* Adds the published term D of the documents of the last micro-batch, weighted by their trained tokens; NaN without scores.
 */
static void add_published(const struct trainer *t, const struct batch *b, struct step_sums *sums)
{
    const int64_t *documents = pack_documents(t->pack);
    for (int s = 0; s < b->n_seg; s++) {
        const struct dataset_document *d = dataset_document(t->data, documents[s]);
        sums->d_sum += d->n_trained * objective_published(&t->objective, d->auth_weight, d->prov_entropy);
        sums->d_tokens += d->n_trained;
    }
}

static enum status run_micro_batch(struct trainer *t, int64_t micro, struct step_sums *sums)
{
    struct batch b;
    struct engine_loss loss = {0};
    struct engine_step_options o = {.inv_n = 1.0 / (double)sums->n,
                                    .seed = (uint64_t)t->config.seed,
                                    .step = t->state.step + 1,
                                    .recomputed_blocks = t->state.recomputed_blocks};
    TRY(pack_batch(t->pack, t->state.epoch_step, micro, &b));
    TRY(t->engine->ops->step(t->engine, &b, &o, &loss));
    if (!isfinite(loss.weighted)) return trainer_numeric(t, t->pack, &b, "loss", loss.weighted);
    sums->loss.weighted += loss.weighted;
    sums->loss.unweighted += loss.unweighted;
    sums->loss.count += loss.count;
    add_published(t, &b, sums);
    return OK;
}

/* Gradients of the whole step. E_INTERRUPTED when the user asked to stop: the step does not count. */
static enum status run_micro_batches(struct trainer *t, struct step_sums *sums)
{
    int64_t step = t->state.epoch_step;
    *sums = (struct step_sums){.n = pack_step_trained_tokens(t->pack, step)};
    t->engine->ops->zero_grad(t->engine);
    for (int64_t m = 0; m < pack_micro_batches(t->pack, step); m++) {
        if (is_interrupted(t)) return E_INTERRUPTED;
        TRY(run_micro_batch(t, m, sums));
    }
    BUG_ON(t->c, sums->loss.count != sums->n, "step of %" PRId64 " trained tokens, but the pack promised %" PRId64,
           sums->loss.count, sums->n);
    return OK;
}

/* Clips and updates; fills the part of the metrics that this decides. */
static enum status update(struct trainer *t, struct metrics_step *m)
{
    struct engine *e = t->engine;
    m->grad_norm = e->ops->grad_norm(e);
    if (!ctx_ok(t->c)) return t->c->status;
    if (!isfinite(m->grad_norm)) return trainer_numeric(t, t->pack, NULL, "gradient norm", m->grad_norm);
    m->omega = pack_step_mean_weight(t->pack, t->state.epoch_step);
    double scale = clip_step(&t->state.clip, m->grad_norm, m->omega, &m->threshold);
    m->clipped = scale < 1.0;
    m->clip_share = clip_share(&t->state.clip);
    m->lr = schedule_lr(&t->schedule, m->step);
    struct adamw_params p = optim_step(&t->config.optim, m->step, m->lr, scale);
    TRY(e->ops->update(e, &p));
    TRY(e->ops->check(e));
    return dataset_check(t->c, t->data);
}

static void fill_losses(const struct trainer *t, const struct step_sums *sums, struct metrics_step *m)
{
    m->loss = sums->loss.unweighted / (double)sums->n;
    m->weighted_loss = sums->loss.weighted / (double)sums->n;
    m->distrust = sums->d_tokens ? sums->d_sum / (double)sums->d_tokens : (double)NAN;
    m->total = m->weighted_loss;
    if (t->objective.options.mode == DISTRUST_ADDITIVE) m->total += t->objective.options.lambda * m->distrust;
    m->trained_tokens = sums->n;
    m->tokens = pack_step_tokens(t->pack, t->state.epoch_step);
}

/* Counts the step and, at the end of an epoch, moves to the next one's packs. */
static enum status advance(struct trainer *t, const struct metrics_step *m)
{
    struct train_state *s = &t->state;
    s->step = m->step;
    s->trained_tokens += m->trained_tokens;
    s->epoch_step++;
    if (s->epoch_step < pack_steps(t->pack)) return OK;
    s->epoch++;
    s->epoch_step = 0;
    return s->step < t->schedule.total ? trainer_open_epoch(t, s->epoch) : OK;
}

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

static enum status run_step(struct trainer *t)
{
    struct step_sums sums;
    struct metrics_step m = {.step = t->state.step + 1, .epoch = t->state.epoch + 1};
    double begin = now_seconds();
    TRY(run_micro_batches(t, &sums));
    fill_losses(t, &sums, &m);
    TRY(update(t, &m));
    TRY(report_step(t, &m, now_seconds() - begin));
    return advance(t, &m);
}

/* ---- validation and checkpoints -------------------------------------------------------------------------------------- */

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

static enum status save(struct trainer *t)
{
    enter_phase(t, TRAINER_SAVE);
    TRY(metrics_sync(t->metrics, &t->state.metrics_bytes));
    TRY(checkpoint_save(t->c, t->config.run, &t->state, t->engine, t->model->name));
    t->saved_step = t->state.step;
    if (t->hooks.saved) t->hooks.saved(t->hooks.user, t->saved_step);
    TRY(checkpoint_prune(t->c, t->config.run, t->config.keep));
    enter_phase(t, TRAINER_STEPS);
    return OK;
}

/* Saves what is done so far, if that is not on disk already, and says so. */
static enum status stop(struct trainer *t)
{
    if (t->saved_step != t->state.step) TRY(save(t));
    return ctx_fail(t->c, E_INTERRUPTED, "interrupted; step %" PRId64 " is saved", t->state.step);
}

/* The best checkpoint, or the last one when there is no validation (or the best was lost with its disk). */
static enum status publish(struct trainer *t)
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

enum status trainer_run(struct trainer *t)
{
    bool improved;
    TRY(plan_check(t->c, &t->plan_input, &t->plan));
    if (t->state.step < t->schedule.total) TRY(trainer_open_epoch(t, t->state.epoch));
    enter_phase(t, TRAINER_STEPS);
    while (t->state.step < t->schedule.total) {
        enum status status = run_step(t);
        if (status == E_INTERRUPTED) return stop(t);
        if (status != OK) return status;
        TRY(validate(t, &improved));
        bool asked = t->hooks.save_asked && t->hooks.save_asked(t->hooks.user);
        if (asked || improved || is_due(t, t->config.save_every)) TRY(save(t));
        if (is_interrupted(t) && t->state.step < t->schedule.total) return stop(t);
    }
    return publish(t);
}
