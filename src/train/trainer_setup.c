/* trainer_setup: opening everything that a run needs, in an order in which the cheap refusals come first. See trainer.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/data_rows.h"
#include "data/dataset_split.h"
#include "data/row_path.h"
#include "model/model_norms.h"
#include "train/run.h"
#include "train/train_choice.h"
#include "train/trainer_parts.h"

/* Epochs that are packed in advance to find the longest micro-batch when --max-steps decides the length. */
enum { SCAN_EPOCHS_MAX = 16 };

/* ---- adapter --------------------------------------------------------------------------------------------------------- */

/* The bit of a linear layer's name; 0 for none. */
static uint32_t place_bit(const char *name, size_t n)
{
    for (int p = 0; p < LORA_PLACES; p++) {
        if (strlen(lora_place_name[p]) == n && memcmp(lora_place_name[p], name, n) == 0) return 1u << p;
    }
    return 0;
}

enum status trainer_targets(struct ctx *c, const char *text, uint32_t *out)
{
    uint32_t bits = 0;
    *out = LORA_ALL;
    if (strcmp(text, "all") == 0) return OK;
    for (const char *p = text;;) {
        size_t n = strcspn(p, ",");
        uint32_t bit = place_bit(p, n);
        if (!bit)
            return ctx_fail(c, E_INPUT,
                            "--targets: '%.*s' is no linear layer; there are all, or a list of q_proj, k_proj, v_proj, "
                            "o_proj, gate_proj, up_proj, down_proj (models with fused projections: qkv_proj, o_proj, "
                            "gate_up_proj, down_proj)",
                            (int)n, p);
        bits |= bit;
        if (p[n] == '\0') break;
        p += n + 1;
    }
    *out = bits;
    return OK;
}

/* A new adapter on the model, or the one that training starts from. */
static enum status open_adapter(struct trainer *t)
{
    const struct train_config *k = &t->config;
    const struct lora_config *a = &k->adapter;
    if (a->last_layers > t->model->config.n_layers)
        return ctx_fail(t->c, E_INPUT, "--last-layers: %" PRId64 " is more than the model's %" PRId64 " layers",
                        a->last_layers, t->model->config.n_layers);
    t->lora = k->start ? lora_load(t->c, &t->model->config, k->start) : lora_new(t->c, &t->model->config, a);
    if (!t->lora) return t->c->status;
    t->lora->config.dropout = a->dropout;
    for (size_t i = 0; i < t->lora->n_modules; i++) t->lora->modules[i].slot.dropout = (float)a->dropout;
    model_attach_lora(t->model, t->lora);
    return OK;
}

/* Sequences must fit the positions that the model knows. */
static enum status check_context(struct trainer *t, int64_t context)
{
    if (t->config.rows.max_length <= context) return OK;
    return ctx_fail(t->c, E_INPUT, "--max-length: %" PRId64 " is more than the model's %" PRId64 " positions",
                    t->config.rows.max_length, context);
}

static enum status open_tokenizer(struct trainer *t)
{
    t->tokenizer = tokenizer_open(t->c, t->config.model);
    return t->tokenizer ? OK : t->c->status;
}

/* Model, tokenizer, adapter and engine, in this order. */
static enum status open_own(struct trainer *t)
{
    struct model_options form = t->config.form;
    form.packed_in_file = t->config.engine == ENGINE_KIND_MLX;
    t->model = model_open_with(t->c, t->config.model, &form);
    if (!t->model) return t->c->status;
    TRY(check_context(t, t->model->config.max_positions));
    TRY(open_tokenizer(t));
    TRY(open_adapter(t)); /* takes memory: after what can refuse */
    t->engine = engine_new(t->c, t->config.engine, t->model, t->lora);
    return t->c->status;
}

/* The host's engine where there is one (tests have a mock), else the one that the options name. */
static enum status open_engine(struct trainer *t)
{
    if (!t->hooks.open_engine) return open_own(t);
    t->engine = t->hooks.open_engine(t->hooks.user, t->c, &t->config);
    if (!t->engine) return t->c->status;
    TRY(check_context(t, t->engine->context));
    return open_tokenizer(t);
}

/* ---- data ------------------------------------------------------------------------------------------------------------ */

/* Tokenises rows into a cache file of the run's folder. */
static enum status build_cache(struct trainer *t, const char *const *paths, size_t n, const char *name,
                               struct dataset_notes *notes)
{
    struct dataset_options options = t->config.rows;
    struct dataset_counts counts;
    options.paths = paths;
    options.n_paths = n;
    options.notes = notes;
    char *cache = path_join(t->c, t->config.run, name);
    if (cache) dataset_build(t->c, t->tokenizer, &options, cache, &counts);
    mem_free(t->c, cache);
    return t->c->status;
}

/* Validation rows: from a file of their own, or a share of the training rows, or none. */
static enum status build_valid(struct trainer *t)
{
    const struct train_config *k = &t->config;
    if (k->valid) return build_cache(t, &k->valid, 1, "valid.cache", NULL);
    if (k->valid_share <= 0) return OK;
    char *train = path_join(t->c, k->run, "data.cache"), *valid = path_join(t->c, k->run, "valid.cache");
    if (train && valid) dataset_split(t->c, train, valid, k->valid_share);
    ctx_prefix(t->c, "--valid-share");
    mem_free(t->c, train);
    mem_free(t->c, valid);
    return t->c->status;
}

/* Maps a cache file and compares its ids with the model's vocabulary. */
static struct dataset *open_cache(struct trainer *t, const char *name)
{
    char *cache = path_join(t->c, t->config.run, name);
    struct dataset *d = cache ? dataset_open(t->c, cache) : NULL;
    if (d && dataset_counts(d)->max_token >= t->engine->vocab)
        ctx_fail(t->c, E_INPUT, "%s: the tokenizer gives id %" PRId64 ", but the model knows %" PRId64 " tokens",
                 t->config.model, dataset_counts(d)->max_token, t->engine->vocab);
    mem_free(t->c, cache);
    return d;
}

/* Opens the caches and fits the objective to the training rows; validation rows are weighed by the same fit. */
static enum status open_data(struct trainer *t)
{
    t->data = open_cache(t, "data.cache");
    if (!t->data || !ctx_ok(t->c)) return t->c->status;
    t->sources = source_loss_new(t->c, t->data);
    if (!t->sources) return t->c->status;
    return objective_fit(t->c, &t->config.objective, t->data, &t->objective);
}

/* After the training data and after what the trainer chooses by it: the packs' options are settled then. */
static enum status open_valid(struct trainer *t)
{
    const struct train_config *k = &t->config;
    if (!k->valid && k->valid_share <= 0) return OK;
    t->valid = open_cache(t, "valid.cache");
    if (!t->valid || !ctx_ok(t->c)) return t->c->status;
    t->valid_sources = source_loss_new(t->c, t->valid);
    if (!t->valid_sources) return t->c->status;
    TRY(objective_check(t->c, &t->objective, t->valid));
    struct pack_options options = k->packs;
    options.accumulation = 1;
    t->valid_pack = pack_ordered_new(t->c, t->valid, &t->objective, &options);
    return t->valid_pack ? OK : t->c->status;
}

enum status trainer_open_epoch(struct trainer *t, int64_t epoch)
{
    pack_free(t->pack);
    t->pack = pack_epoch_new(t->c, t->data, &t->objective, &t->config.packs, epoch);
    return t->pack ? OK : t->c->status;
}

/* ---- length and plan ------------------------------------------------------------------------------------------------- */

/* Finds a micro-batch that the plan must count, and its size. */
typedef int64_t (*find_batch_fn)(const struct pack *p, int64_t *step, int64_t *micro);
static const find_batch_fn find_batch[TRAINER_EXTREMES] = {pack_longest_batch, pack_widest_batch};

/* Steps of the run, and the epochs with the longest and the widest micro-batch. Epochs may differ by a step, because each
 * packs in its own order, so they are counted one by one. */
static enum status scan_epochs(struct trainer *t)
{
    const struct train_config *k = &t->config;
    int64_t steps = 0, most[TRAINER_EXTREMES] = {0};
    for (int64_t e = 0; k->max_steps ? e < SCAN_EPOCHS_MAX && steps < k->max_steps : e < k->epochs; e++) {
        TRY(trainer_open_epoch(t, e));
        steps += pack_steps(t->pack);
        for (int i = 0; i < TRAINER_EXTREMES; i++) {
            int64_t n = find_batch[i](t->pack, NULL, NULL);
            if (n <= most[i]) continue;
            most[i] = n;
            t->extreme_epochs[i] = e;
        }
    }
    t->schedule = k->schedule;
    t->schedule.total = k->max_steps ? k->max_steps : steps;
    if (t->schedule.warmup < 0) t->schedule.warmup = t->schedule.total * TRAIN_WARMUP_PERCENT / 100;
    return OK;
}

/* plan_input.count: the longest and the widest micro-batch of the run, whichever takes more. */
static enum status count_step(void *user, int64_t recomputed_blocks, int64_t offloaded_blocks, struct plan_step *out)
{
    struct trainer *t = user;
    *out = (struct plan_step){0};
    for (int i = 0; i < TRAINER_EXTREMES; i++) {
        struct batch b;
        struct engine_need need = {0};
        int64_t step, micro;
        if (i == 0 || t->extreme_epochs[i] != t->extreme_epochs[i - 1]) TRY(trainer_open_epoch(t, t->extreme_epochs[i]));
        find_batch[i](t->pack, &step, &micro);
        TRY(pack_batch(t->pack, step, micro, &b));
        TRY(t->engine->ops->count(t->engine, &b, recomputed_blocks, offloaded_blocks, &need));
        if (need.held_bytes > out->held) out->held = need.held_bytes;
        if (need.touched_bytes > out->touched) out->touched = need.touched_bytes;
        if (need.aside_bytes > out->aside) out->aside = need.aside_bytes;
    }
    return OK;
}

/* What the process holds now beside what the plan counts by itself, and what a checkpoint takes on its way to the disk. */
static size_t program_bytes(const struct trainer *t, const struct engine_memory *memory)
{
    if (memory->free_bytes) return 0; /* a card's memory holds nothing but what the plan counts */
    size_t used = plan_used_bytes(""), counted = memory->trained_bytes + memory->allocated_bytes;
    if (used == 0) used = t->c->alloc_bytes;
    return (used > counted ? used - counted : 0) + plan_saving_bytes(t->engine->parameters);
}

/* What all of the plan may take. Weights and adapter have taken their memory by now, and the plan counts them. */
static size_t plan_room(const struct engine_memory *memory)
{
    size_t made = memory->allocated_bytes;
    if (memory->free_bytes) return memory->free_bytes + made + memory->trained_bytes; /* a card's */
    return plan_room_bytes("", memory->weights_bytes > made ? memory->weights_bytes - made : 0);
}

/* The length of the run, and what its longest micro-batch needs in memory. */
static enum status plan_run(struct trainer *t)
{
    const struct train_config *k = &t->config;
    struct plan_input *in = &t->plan_input;
    mem_trim(); /* what tokenising took for a while is no part of what training needs */
    TRY(scan_epochs(t));
    TRY(trainer_open_epoch(t, t->extreme_epochs[0]));
    struct engine_memory memory = t->engine->ops->memory(t->engine);
    in->count = t->engine->ops->count ? count_step : NULL;
    in->user = t;
    in->c = t->c;
    in->keeps_all = memory.free_bytes > 0; /* a card: its passes over memory take a tenth of a step */
    in->offloads = memory.free_bytes > 0;
    in->host_bytes = plan_free_bytes("", 0);
    in->n_blocks = t->model ? t->model->config.n_layers : 0;
    in->parameters = t->engine->parameters->count;
    in->weights_bytes = memory.weights_bytes;
    in->layout_bytes = memory.layout_bytes;
    in->program_bytes = program_bytes(t, &memory);
    in->checkpoint = k->grad_checkpoint;
    in->recomputed_blocks = k->recomputed_blocks;
    in->max_bytes = (size_t)(k->max_memory * (double)((size_t)1 << 30));
    in->batch = k->packs.batch;
    in->max_length = k->rows.max_length;
    in->rank = k->adapter.rank;
    TRY(plan_make(in, plan_room(&memory), &t->plan));
    if (t->engine->ops->limit) t->engine->ops->limit(t->engine, t->plan.held_step_bytes, t->plan.aside_bytes);
    return OK;
}

/* ---- the files that describe a run ----------------------------------------------------------------------------------- */

/* All files whose bytes decide the result: data, validation, the adapter at the start. Owned paths. */
struct input_files {
    char **paths;
    size_t n;
};

/* Frees the list. */
static void release_inputs(struct trainer *t, struct input_files *in)
{
    for (size_t i = 0; i < in->n; i++) mem_free(t->c, in->paths[i]);
    mem_free(t->c, in->paths);
}

/* Standard input cannot be read again; the hash of what came from there is in data.cache. */
static enum status add_rows(struct trainer *t, const char *text, struct input_files *in)
{
    struct row_path p;
    TRY(row_path_parse(t->c, text, &p));
    if (row_path_is_stdin(&p))
        row_path_release(t->c, &p);
    else
        in->paths[in->n++] = p.path;
    return OK;
}

/* Lists the files that the manifest of the run names. */
static enum status list_inputs(struct trainer *t, struct input_files *in)
{
    const struct train_config *k = &t->config;
    in->paths = mem_alloc(t->c, k->rows.n_paths + 2, sizeof *in->paths);
    if (!in->paths) return t->c->status;
    for (size_t i = 0; i < k->rows.n_paths; i++) TRY(add_rows(t, k->rows.paths[i], in));
    if (k->valid) TRY(add_rows(t, k->valid, in));
    char *start = k->start ? path_join(t->c, k->start, "adapter_model.safetensors") : NULL;
    if (start) in->paths[in->n++] = start;
    return t->c->status;
}

/* Writes the manifest of a new run, or compares that of a resumed one with the files as they are now. */
static enum status describe_run(struct trainer *t, bool check_only)
{
    struct input_files in = {0};
    const struct train_config *k = &t->config;
    if (list_inputs(t, &in) == OK) {
        const char *const *paths = (const char *const *)in.paths;
        if (check_only)
            run_check_manifest(t->c, k->run, k->model, paths, in.n, &k->moved);
        else
            run_write_manifest(t->c, k->run, k->model, paths, in.n);
    }
    release_inputs(t, &in);
    return t->c->status;
}

/* The hashes that tie checkpoints to this run's settings and data. */
static enum status read_hashes(struct trainer *t, struct train_state *s)
{
    TRY(run_sha256(t->c, t->config.run, "config.json", s->config_sha256));
    return run_sha256(t->c, t->config.run, "data_manifest.json", s->data_sha256);
}

/* ---- start ----------------------------------------------------------------------------------------------------------- */

/* Gives the folder back after a panic, when trainer_free is not called. */
static void unlock(struct resource *r)
{
    dir_unlock(((struct trainer *)r)->lock);
}

static struct trainer *make(struct ctx *c, const struct train_config *config, const struct trainer_hooks *hooks)
{
    struct trainer *t = mem_alloc(c, 1, sizeof(*t));
    if (!t) return NULL;
    t->c = c;
    t->config = *config;
    if (hooks) t->hooks = *hooks;
    t->saved_step = -1;
    t->lock = -1;
    resource_hold(c, &t->resource, unlock);
    return t;
}

/* E_INPUT when validation rows are asked for in two ways, or from where the training rows come. */
static enum status check_valid(struct trainer *t)
{
    const struct train_config *k = &t->config;
    struct row_path valid, data;
    if (!k->valid) return OK;
    if (k->valid_share > 0) return ctx_fail(t->c, E_INPUT, "--valid and --valid-share: give one of them");
    TRY(row_path_parse(t->c, k->valid, &valid));
    for (size_t i = 0; i < k->rows.n_paths && row_path_is_stdin(&valid); i++) {
        if (row_path_parse(t->c, k->rows.paths[i], &data) != OK) break;
        if (row_path_is_stdin(&data)) ctx_fail(t->c, E_INPUT, "-d and --valid: standard input (-) can be read once only");
        row_path_release(t->c, &data);
    }
    row_path_release(t->c, &valid);
    return t->c->status;
}

/* E_INPUT when early stopping has nothing to go by. */
static enum status check_patience(struct trainer *t)
{
    const struct train_config *k = &t->config;
    if (k->patience == 0) return OK;
    if (!k->valid && k->valid_share <= 0)
        return ctx_fail(t->c, E_INPUT,
                        "--patience: early stopping needs validation rows; add --valid FILE or --valid-share 0.1");
    if (k->eval_every == 0)
        return ctx_fail(t->c, E_INPUT, "--patience: early stopping needs validations during the run; --eval-every is 0");
    return OK;
}

/* What follows from other options (trainer.h: "set by the trainer"). */
static enum status settle_config(struct trainer *t)
{
    struct train_config *k = &t->config;
    TRY(check_valid(t));
    TRY(check_patience(t));
    k->adapter.seed = k->packs.seed = (uint64_t)k->seed;
    k->packs.max_length = k->rows.max_length;
    data_rows_settle(&k->rows);
    return trainer_targets(t->c, k->targets, &k->adapter.targets);
}

static void reset_state(struct trainer *t)
{
    struct train_state *s = &t->state;
    s->seed = t->config.seed;
    s->q = t->objective.q;
    s->mean_g = t->objective.gbar;
    s->recomputed_blocks = t->plan.recomputed_blocks;
    s->compute = t->config.form.compute;
    clip_init(&s->clip, t->config.clip_mode, t->config.clip);
}

static enum status trainer_setup_write_environment(struct trainer *t)
{
    char norms[MODEL_NORMS_BYTES] = "";
    if (t->model) TRY(model_norms_print(t->model, norms));
    struct run_environment e = {.backend = t->engine->backend,
                                .norms = norms,
                                .program = t->config.program ? t->config.program : "",
                                .command = t->config.command ? t->config.command : "",
                                .total_steps = t->schedule.total};
    return run_write_environment(t->c, t->config.run, &e);
}

/* config.json comes last: a folder that has it is a run that can be resumed. */
static enum status trainer_setup_write_config(struct trainer *t, const char *config_text, const char *chosen)
{
    const char *text = chosen ? chosen : config_text;
    return run_write(t->c, t->config.run, "config.json", text, strlen(text));
}

static enum status trainer_setup_show_plan(const struct trainer *t)
{
    return t->hooks.planned ? t->hooks.planned(t->hooks.user, t) : OK;
}

/* A new run, in an order in which what the user may have to mend is found first: options, model, rows, then the plan of
 * memory, before anything is trained. config.json is written last (trainer_setup_write_config), the metrics are opened when
 * the run exists. */
static enum status trainer_setup_start(struct trainer *t, const char *config_text)
{
    const struct train_config *k = &t->config;
    char *chosen;
    TRY(settle_config(t));
    TRY(open_engine(t));
    if (t->hooks.opened) TRY(t->hooks.opened(t->hooks.user, t));
    TRY(build_cache(t, k->rows.paths, k->rows.n_paths, "data.cache", &t->notes));
    TRY(build_valid(t));
    TRY(open_data(t));
    TRY(train_choice_make(t, config_text, &chosen));
    if (open_valid(t) == OK && plan_run(t) == OK && trainer_setup_show_plan(t) == OK &&
        plan_check(t->c, &t->plan_input, &t->plan) == OK && describe_run(t, false) == OK &&
        trainer_setup_write_environment(t) == OK)
        trainer_setup_write_config(t, config_text, chosen);
    mem_free(t->c, chosen);
    if (!ctx_ok(t->c)) return t->c->status;
    reset_state(t);
    TRY(read_hashes(t, &t->state));
    t->metrics = metrics_open(t->c, k->run, 0);
    return t->metrics ? OK : t->c->status;
}

struct trainer *trainer_new(struct ctx *c, const struct train_config *config, const struct trainer_hooks *hooks,
                            const char *config_text)
{
    if (run_create(c, config->run) != OK) return NULL;
    struct trainer *t = make(c, config, hooks);
    if (!t) return NULL;
    t->lock = dir_lock(c, config->run);
    bool mine = t->lock >= 0;
    if (mine && trainer_setup_start(t, config_text) == OK) return t;
    if (mine) dir_remove(c, config->run); /* it was empty or absent before, and holds nothing that took long to make */
    trainer_free(t);
    return NULL;
}

/* ---- resume ---------------------------------------------------------------------------------------------------------- */

/* E_INPUT when the checkpoint was not made by this run with these settings. */
static enum status check_state(struct trainer *t, const char *dir, const struct train_state *s)
{
    struct train_state now;
    const char *differs = NULL;
    TRY(read_hashes(t, &now));
    if (strcmp(now.config_sha256, s->config_sha256) != 0) differs = "config.json";
    if (strcmp(now.data_sha256, s->data_sha256) != 0) differs = "data_manifest.json";
    if (s->q != t->objective.q || s->mean_g != t->objective.gbar) differs = "data.cache";
    if (s->seed != t->config.seed) differs = "seed";
    if (s->compute != t->config.form.compute) differs = "--compute";
    if (!differs) return OK;
    return ctx_fail(t->c, E_INPUT, "%s: was made with another %s: restore it, or start a new run", dir, differs);
}

/* Puts a checkpoint's state in the place of the beginning. The plan is made again with as many recomputed blocks as the run
 * was started with, whatever memory is free now; -1 is decided anew (state.h). */
static enum status restore(struct trainer *t, const char *dir)
{
    struct train_state s;
    TRY(state_load(t->c, dir, &s));
    TRY(check_state(t, dir, &s));
    TRY(checkpoint_restore(t->c, dir, t->engine));
    t->state = s;
    t->saved_step = s.step;
    t->plan_input.recomputed_blocks = s.recomputed_blocks;
    TRY(plan_make(&t->plan_input, t->plan.free_bytes, &t->plan));
    t->state.recomputed_blocks = t->plan.recomputed_blocks;
    if (t->engine->ops->limit) t->engine->ops->limit(t->engine, t->plan.held_step_bytes, t->plan.aside_bytes);
    return OK;
}

/* A run that exists: its files are checked against the manifest (describe_run), opened, and its newest complete checkpoint
 * is restored; without one it starts at its beginning. metrics.jsonl is cut to the length that the checkpoint knows. */
static enum status go_on(struct trainer *t)
{
    const struct train_config *k = &t->config;
    TRY(settle_config(t));
    TRY(describe_run(t, true));
    TRY(open_engine(t));
    TRY(open_data(t));
    TRY(open_valid(t));
    TRY(plan_run(t));
    TRY(checkpoint_sweep(t->c, k->run));
    reset_state(t);
    TRY(read_hashes(t, &t->state));
    char *dir = checkpoint_last(t->c, k->run);
    if (dir) restore(t, dir);
    mem_free(t->c, dir);
    if (!ctx_ok(t->c)) return t->c->status;
    t->metrics = metrics_open(t->c, k->run, t->state.metrics_bytes);
    return t->metrics ? OK : t->c->status;
}

struct trainer *trainer_resume(struct ctx *c, const struct train_config *config, const struct trainer_hooks *hooks)
{
    struct trainer *t = make(c, config, hooks);
    if (t) t->lock = dir_lock(c, config->run);
    if (t && t->lock >= 0 && go_on(t) == OK) return t;
    trainer_free(t);
    return NULL;
}

void trainer_free(struct trainer *t)
{
    if (!t) return;
    metrics_close(t->metrics);
    source_loss_free(t->sources);
    source_loss_free(t->valid_sources);
    mem_free(t->c, t->logprobs);
    pack_free(t->pack);
    pack_free(t->valid_pack);
    if (t->engine) t->engine->ops->free(t->engine);
    if (t->model) model_attach_lora(t->model, NULL);
    lora_free(t->lora);
    dataset_close(t->data);
    dataset_close(t->valid);
    model_free(t->model);
    tokenizer_free(t->tokenizer);
    resource_drop(t->c, &t->resource);
    unlock(&t->resource);
    mem_free(t->c, t);
}

int64_t trainer_total_steps(const struct trainer *t)
{
    return t->schedule.total;
}
