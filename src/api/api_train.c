/* api_train: runs of training by the options of the command line. Options are pairs of names and texts, which fill the table
 * of train/train_options.h, so a run that a host starts is one that the program can resume. The trainer's hooks are
 * translated into the host's: struct ya_progress is a copy, so it does not change when the trainer's own structs do. */
#include <string.h>

#include "api/api.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "export/peft.h"
#include "train/train_choice.h"

/* A run: the trainer and what its configuration points into. */
struct ya_training {
    struct api_object object;
    struct trainer *t;          /* owned */
    struct train_values values; /* its strings lie in doc, and the folder's name in run */
    struct config_doc {
        struct resource resource;
        json_t *json;
    } doc;     /* owned; memory of another library */
    char *run; /* owned */
    ya_training_hooks hooks;
};

/* jansson's memory is not the ctx's, so it is a resource that a panic gives back. */
static void release_doc(struct resource *r)
{
    json_decref(((struct config_doc *)r)->json);
}

/* Called by ya_training_free and by ya_ctx_free. */
static void release_training(struct api_object *o)
{
    ya_training *training = (ya_training *)o;
    trainer_free(training->t);
    resource_drop(o->ctx->c, &training->doc.resource);
    release_doc(&training->doc.resource);
    mem_free(o->ctx->c, training->run);
}

/* ---- hooks -------------------------------------------------------------------------------------------------------- */

/* The public form of a step's figures. */
static ya_progress progress_of(const struct train_progress *p)
{
    return (ya_progress){
        .step = p->step.step,
        .total_steps = p->total_steps,
        .epoch = p->step.epoch,
        .trained_tokens = p->step.trained_tokens,
        .tokens = p->step.tokens,
        .loss = p->step.loss,
        .weighted_loss = p->step.weighted_loss,
        .lr = p->step.lr,
        .grad_norm = p->step.grad_norm,
        .threshold = p->step.threshold,
        .clipped = p->step.clipped,
        .seconds = p->timing.seconds,
        .tokens_per_second = p->timing.tokens_per_s,
        .eta_seconds = p->eta_seconds,
        .peak_bytes = p->timing.peak_bytes,
        .evaluated = p->evaluated,
        .valid_loss = p->eval.loss,
        .valid_weighted_loss = p->eval.weighted_loss,
        .valid_step = p->eval.step,
        .best_step = p->best_step,
    };
}

static void training_on_step(void *user, const struct train_progress *p)
{
    const ya_training *training = user;
    ya_progress progress = progress_of(p);
    if (training->hooks.step) training->hooks.step(training->hooks.user, &progress);
}

static void training_on_validation(void *user, const struct train_progress *p)
{
    const ya_training *training = user;
    ya_progress progress = progress_of(p);
    if (training->hooks.validation) training->hooks.validation(training->hooks.user, &progress);
}

static bool training_on_interrupted(void *user)
{
    const ya_training *training = user;
    return training->hooks.interrupted && training->hooks.interrupted(training->hooks.user);
}

static bool training_on_save(void *user)
{
    const ya_training *training = user;
    return training->hooks.save && training->hooks.save(training->hooks.user);
}

static void training_on_saved(void *user, int64_t step)
{
    const ya_training *training = user;
    if (training->hooks.saved) training->hooks.saved(training->hooks.user, step);
}

/* The trainer always calls; the host's own hooks may be NULL. */
static struct trainer_hooks hooks_of(ya_training *training)
{
    return (struct trainer_hooks){.user = training,
                                  .opened = peft_check_start,
                                  .step = training_on_step,
                                  .eval = training_on_validation,
                                  .interrupted = training_on_interrupted,
                                  .save_asked = training_on_save,
                                  .saved = training_on_saved};
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

/* A handle without a trainer yet. */
static ya_training *training_new(ya_ctx *ctx, const ya_training_hooks *hooks)
{
    ya_training *training = api_object_new(ctx, sizeof *training, release_training);
    if (!training) return NULL;
    resource_hold(ctx->c, &training->doc.resource, release_doc);
    if (hooks) training->hooks = *hooks;
    return training;
}

/* The training, or NULL when it could not be opened: then it is freed. */
static ya_training *finish_training(ya_training *training)
{
    if (!training || training->t) return training;
    api_object_free(&training->object);
    return NULL;
}

/* The host's threads stay unless it gave the option. */
static enum status set_threads(ya_ctx *ctx, const bool *given, int64_t threads)
{
    return given[options_find(&train_table, "threads")] ? ctx_set_threads(ctx->c, (int)threads) : OK;
}

/* As cmd_train.c does it, without what prints. */
static enum status training_start(ya_training *training, const ya_option *options, size_t n)
{
    ya_ctx *ctx = training->object.ctx;
    struct ctx *c = ctx->c;
    struct train_values *values = &training->values;
    struct trainer_hooks hooks = hooks_of(training);
    bool given[OPTION_MAX_SPECS] = {false};
    TRY(api_options(ctx, "ya_training_start", NULL, options, n, values, given));
    TRY(options_check_required(c, &train_table, given));
    TRY(train_options_check_start(c, values, given));
    training->run = mem_strdup(c, values->config.run);
    if (!training->run) return c->status;
    values->config.run = training->run;
    TRY(train_options_absolute(c, values, &training->doc.json));
    TRY(train_options_settle(c, values));
    TRY(set_threads(ctx, given, values->threads));
    train_choice_allow(&values->config, given);
    char *text = train_options_text(c, values);
    if (text) training->t = trainer_new(c, &values->config, &hooks, text);
    mem_free(c, text);
    return c->status;
}

ya_training *ya_training_start(ya_ctx *ctx, const ya_option *options, size_t n_options, const ya_training_hooks *hooks)
{
    if (!api_enter(ctx, "ya_training_start")) return NULL;
    ya_training *training = training_new(ctx, hooks);
    if (training) training_start(training, options, n_options);
    return finish_training(training);
}

/* Options of the run come from its config.json; only max-steps and threads may be given anew. */
static enum status training_resume(ya_training *training, const char *run, const ya_option *options, size_t n)
{
    ya_ctx *ctx = training->object.ctx;
    struct ctx *c = ctx->c;
    struct train_values mine;
    struct trainer_hooks hooks = hooks_of(training);
    bool given[OPTION_MAX_SPECS] = {false};
    TRY(api_options(ctx, "ya_training_resume", "max-steps threads", options, n, &mine, given));
    training->run = mem_strdup(c, run);
    if (!training->run) return c->status;
    TRY(train_options_read(c, training->run, &training->values, &training->doc.json));
    if (mine.config.max_steps) training->values.config.max_steps = mine.config.max_steps;
    TRY(set_threads(ctx, given, mine.threads));
    training->t = trainer_resume(c, &training->values.config, &hooks);
    return c->status;
}

ya_training *ya_training_resume(ya_ctx *ctx, const char *run, const ya_option *options, size_t n_options,
                                const ya_training_hooks *hooks)
{
    if (!api_enter(ctx, "ya_training_resume")) return NULL;
    if (!run) return ctx_fail(ctx->c, E_INPUT, "ya_training_resume: no folder"), NULL;
    ya_training *training = training_new(ctx, hooks);
    if (training) training_resume(training, run, options, n_options);
    return finish_training(training);
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

/* While it runs, callbacks may not call functions that run a model (ctx->busy). */
int ya_training_run(ya_training *training)
{
    if (!training || !api_enter(training->object.ctx, "ya_training_run")) return -1;
    ya_ctx *ctx = training->object.ctx;
    ctx->busy = true;
    enum status status = trainer_run(training->t);
    ctx->busy = false;
    if (status == E_INTERRUPTED) {
        ctx_clear(ctx->c);
        return 1;
    }
    if (status == OK) status = peft_write_run_card(training->t->model, training->t->lora, training->run);
    return status == OK ? 0 : -1;
}

int64_t ya_training_step(const ya_training *training)
{
    return training && api_alive(training->object.ctx) ? training->t->state.step : -1;
}

int64_t ya_training_total_steps(const ya_training *training)
{
    return training && api_alive(training->object.ctx) ? trainer_total_steps(training->t) : -1;
}

void ya_training_free(ya_training *training)
{
    if (training) api_object_free(&training->object);
}
