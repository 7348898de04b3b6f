/* trial: trains a cell and asks the model. The steps of a trial are: invent the facts from the cell's seed, write the
 * cell's rows to work/rows.jsonl, train on them as `train` does, with an adapter of its own on the model that is open
 * already, predict from the documents and the fitted objective, ask with the trainer's engine, and remove the folder. The
 * cell of the base model is only asked. A trial as JSON is in trial_json.c. */
#include "eval/trial.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"

enum { ROWS_CAP_BYTES = 1 << 30 };

const char *trial_name(const struct cell *cell, char *out)
{
    snprintf(out, 64, "%s-r%" PRId64 "-w%" PRId64 "-e%" PRId64 "-s%" PRId64, arm_name[cell->arm], cell->repeat, cell->ratio,
             cell->epochs, cell->seed);
    return out;
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum status trial_make(struct ctx *c, const struct cell *cell, size_t n_facts, struct trial *t)
{
    *t = (struct trial){.cell = *cell, .n_facts = n_facts};
    t->first_loss = t->last_loss = t->omega_primary = t->omega_consensus = (double)NAN;
    t->phrased = mem_alloc(c, n_facts, sizeof(double));
    t->pooled = mem_alloc(c, n_facts, sizeof(double));
    t->odds = mem_alloc(c, BELIEFS * n_facts, sizeof(double));
    return c->status;
}

void trial_release(struct ctx *c, struct trial *t)
{
    mem_free(c, t->phrased);
    mem_free(c, t->pooled);
    mem_free(c, t->odds);
    *t = (struct trial){0};
}

/* ---- training --------------------------------------------------------------------------------------------------------- */

/* What a trial holds while it runs. */
struct trial_run {
    const struct trial_setup *setup;
    struct trial *result;
    struct fiction *fiction;
    struct arm_documents documents;
    struct lora *lora;
    struct trainer *trainer;
    char *rows, *run, *text;
    struct train_values values;
};

/* trainer_hooks.open_engine: an adapter of its own on the model that is open already. */
static struct engine *open_trial_engine(void *user, struct ctx *c, const struct train_config *config)
{
    struct trial_run *r = user;
    struct model *model = r->setup->model;
    r->lora = lora_new(c, &model->config, &config->adapter);
    if (!r->lora) return NULL;
    model_attach_lora(model, r->lora);
    return engine_native_new(c, model, r->lora);
}

static void see_trial_step(void *user, const struct train_progress *p)
{
    struct trial *t = ((struct trial_run *)user)->result;
    if (p->step.step == 1) t->first_loss = p->step.loss;
    t->last_loss = p->step.loss;
    t->clip_share = p->step.clip_share;
    t->steps = p->step.step;
    t->trained_tokens += p->step.trained_tokens;
}

/* The options of `train` with their defaults, but for what a trial decides. Documents are packed, and a step is one packed
 * sequence; there is no validation and no checkpoint but the last, which the trainer always writes. */
static enum status settle_values(struct trial_run *r)
{
    const struct trial_setup *s = r->setup;
    struct train_values *v = &r->values;
    TRY(options_default(s->c, &train_table, v));
    v->config.model = s->model->path;
    v->config.run = r->run;
    v->config.form = s->model->options;
    v->config.adapter.rank = s->rank;
    v->config.adapter.alpha = 2.0 * (double)s->rank;
    v->config.objective.mode = arm_mode(r->result->cell.arm);
    v->config.rows.max_length = s->length;
    v->config.packs.batch = 1;
    v->config.epochs = r->result->cell.epochs;
    v->config.schedule.peak = s->lr;
    v->config.eval_every = v->config.save_every = 0;
    v->config.keep = 1;
    v->config.seed = r->result->cell.seed;
    v->data.items[0] = r->rows;
    v->data.n = 1;
    v->device = s->device;
    v->config.engine = ENGINE_KIND_NATIVE; /* what is trained is measured by the same */
    return train_options_settle(s->c, v);
}

static enum status trial_write_documents(struct trial_run *r)
{
    struct ctx *c = r->setup->c;
    const struct cell *cell = &r->result->cell;
    struct buf rows;
    TRY(arm_make(c, r->fiction, cell, &r->documents));
    r->result->documents = (int64_t)r->documents.n;
    TRY(dir_remove(c, r->setup->work));
    TRY(dir_make(c, r->setup->work));
    r->rows = path_join(c, r->setup->work, "rows.jsonl");
    r->run = path_join(c, r->setup->work, "run");
    buf_init(&rows, c, ROWS_CAP_BYTES);
    if (ctx_ok(c) && arm_rows(r->fiction, cell, &r->documents, &rows) == OK)
        file_write_atomic(c, r->rows, buf_str(&rows), rows.len);
    buf_release(&rows);
    return c->status;
}

/* The mean weight of the documents of a side. */
static double mean_omega(const struct arm_documents *d, const struct objective *o, enum fiction_side side)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < d->n; i++) {
        const struct arm_document *doc = &d->items[i];
        if (doc->side != (int32_t)side) continue;
        sum += objective_omega(o, doc->auth_weight, doc->prov_entropy) * doc->loss_weight;
        n += 1;
    }
    return n > 0 ? sum / n : (double)NAN;
}

/* Writes the rows, trains on them, and predicts from the objective that the trainer fitted, while there is a trainer. */
static enum status train_adapter(struct trial_run *r)
{
    struct ctx *c = r->setup->c;
    struct trial *t = r->result;
    const struct trainer_hooks hooks = {.user = r, .open_engine = open_trial_engine, .step = see_trial_step};
    TRY(trial_write_documents(r));
    TRY(settle_values(r));
    r->text = train_options_text(c, &r->values);
    if (!r->text) return c->status;
    r->trainer = trainer_new(c, &r->values.config, &hooks, r->text);
    if (!r->trainer) return c->status;
    TRY(trainer_run(r->trainer));
    const struct objective *o = &r->trainer->objective;
    t->omega_primary = mean_omega(&r->documents, o, FICTION_PRIMARY);
    t->omega_consensus = mean_omega(&r->documents, o, FICTION_CONSENSUS);
    arm_predict(r->fiction, &t->cell, &r->documents, o, t->phrased, t->pooled);
    return OK;
}

/* ---- asking ----------------------------------------------------------------------------------------------------------- */

static enum status trial_ask(struct trial_run *r, struct engine *e)
{
    const struct tokenizer *t = r->setup->tokenizer;
    struct trial *out = r->result;
    TRY(belief_measure(e, t, r->fiction, &out->cell, out->odds));
    TRY(belief_generate(e, t, r->fiction, out->said));
    return belief_perplexity(e, t, &out->perplexity);
}

/* The base model itself: nothing is trained, so nothing is predicted. */
static enum status ask_base(struct trial_run *r)
{
    struct engine *e = engine_native_new(r->setup->c, r->setup->model, NULL);
    struct objective none = {0};
    if (!e) return r->setup->c->status;
    arm_predict(r->fiction, &r->result->cell, &r->documents, &none, r->result->phrased, r->result->pooled);
    enum status status = trial_ask(r, e);
    e->ops->free(e);
    return status;
}

static void release_run(struct trial_run *r)
{
    struct ctx *c = r->setup->c;
    trainer_free(r->trainer);
    model_attach_lora(r->setup->model, NULL);
    lora_free(r->lora);
    arm_release(&r->documents);
    fiction_free(r->fiction);
    mem_free(c, r->text);
    mem_free(c, r->rows);
    mem_free(c, r->run);
    if (ctx_ok(c)) dir_remove(c, r->setup->work);
}

enum status trial_run(const struct trial_setup *s, const struct cell *cell, struct trial *out)
{
    struct ctx *c = s->c;
    double begin = seconds_now();
    struct trial_run r = {.setup = s, .result = out, .documents = {.c = c}};
    enum status status = trial_make(c, cell, s->n_facts, out);
    if (status == OK) r.fiction = fiction_new(c, s->n_facts, s->n_facts, (uint64_t)cell->seed);
    if (!r.fiction)
        status = c->status;
    else if (cell->arm == ARM_BASE)
        status = ask_base(&r);
    else if ((status = train_adapter(&r)) == OK)
        status = trial_ask(&r, r.trainer->engine);
    release_run(&r);
    out->seconds = seconds_now() - begin;
    return status == OK ? c->status : status;
}
