/* cmd_recommend: which of the known models this machine can train, and how long that would take. Memory is what the planner
 * counts for each (train/plan_model.h); speeds are those that `benchmark` measured, else predictions from what `setup`
 * measured, and the page says which. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array/array.h"
#include "array/backend.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "cli/benchmark_key.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "cli/presets.h"
#include "data/dataset_temporary.h"
#include "data/records.h"
#include "io/hub_cache.h"
#include "measure/machine_profile.h"
#include "train/plan_model.h"

struct recommend_values {
    struct option_list data;
    const char *tokenizer, *results, *device;
    int64_t tokens, epochs, batch, length, rank, threads;
    double hours, max_memory, largest;
    bool all, json;
};
#define V struct recommend_values

static const struct option_spec specs[] = {
    LIST_ROW(V, data, "data", 'd', false, "FILE", "Data", "rows to train on, as for train: their tokens are counted"),
    STRING_ROW(V, tokenizer, "tokenizer", 0, NULL, "MODEL", "Data",
               "model whose tokenizer counts them; without it, a token is taken for every four bytes"),
    I64_ROW(V, tokens, "tokens", 0, "0", 0, 1000000000000, "Data", "tokens of the data set, in place of --data"),
    I64_ROW(V, epochs, "epochs", 0, "3", 1, 100000, "Data", "passes over the data"),

    I64_ROW(V, batch, "batch", 'b', "4", 1, 4096, "Training", "sequences in a micro-batch"),
    I64_ROW(V, length, "max-length", 0, "512", 16, 1 << 20, "Training", "tokens of a sequence"),
    I64_ROW(V, rank, "rank", 'r', "16", 1, 1024, "Training", "rank of the adapter, which is on all linear layers"),
    F64_ROW(V, hours, "hours", 0, "24", 0.01, 1e6, "Training", "longest time that a recommended training may take"),
    F64_ROW(V, max_memory, "max-memory", 0, "0", 0, 1e6, "Training", "GiB that it may take; 0: what is free"),

    F64_ROW(V, largest, "largest", 0, "0", 0, 1e6, "Running", "leave models of more billion parameters out; 0: none"),
    STRING_ROW(V, results, "results", 0, NULL, "FILE", "Running",
               "measurements of `benchmark`; without it, those in the user's configuration folder"),
    FLAG_ROW(V, all, "all", 0, "false", "Running", "list models that do not fit, too"),
    FLAG_ROW(V, json, "json", 0, "false", "Running", "print one JSON object instead of a table"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

enum { RECOMMEND_CAP_BYTES = 1 << 20, BYTES_A_TOKEN = 4 };

/* What is said of one model: the first form of its base that fits, else the smallest. */
struct recommend_candidate {
    const struct known_model *model;
    struct model_options form;
    struct plan plan;
    int64_t parameters;
    bool fits, measured;
    double rate; /* tokens a second; 0: not known */
};

/* One call of the command. */
struct recommendation {
    struct ctx *c;
    const struct recommend_values *v;
    struct machine_profile profile;
    bool has_profile;
    struct trial_log log;
    int64_t tokens;                   /* of the run; 0: no data */
    size_t free_bytes, program_bytes; /* what a run may take, and what this process takes of it before the first plan */
    bool on_card;
    struct recommend_candidate list[KNOWN_MODELS_MAX];
    int n;
};

/* ---- data ------------------------------------------------------------------------------------------------------------ */

/* Tokens of the rows by a model's tokenizer. */
static enum status count_tokens(struct ctx *c, const struct recommend_values *v, const char *model, int64_t *tokens)
{
    struct dataset_options options = dataset_options_default(v->data.items, v->data.n);
    struct tokenizer *t = tokenizer_open(c, model);
    struct dataset *d = t ? dataset_temporary_new(c, t, &options) : NULL;
    if (d) *tokens = dataset_counts(d)->tokens;
    dataset_close(d);
    tokenizer_free(t);
    return c->status;
}

/* Bytes of a message: a text, or a list of parts with texts. */
static size_t message_bytes(const json_t *message)
{
    const json_t *content = json_object_get(message, "content");
    size_t bytes = json_string_length(content);
    for (size_t i = 0; i < json_array_size(content); i++)
        bytes += json_string_length(json_object_get(json_array_get(content, i), "text"));
    return bytes;
}

/* Without a tokenizer: the bytes of all texts, prompts and messages, so many a token. */
static enum status estimate_tokens(struct ctx *c, const struct recommend_values *v, int64_t *tokens)
{
    struct record row;
    size_t bytes = 0;
    bool any = false;
    struct records *records = records_open(c, v->data.items, v->data.n, false, ROW_FORM_AUTO);
    while (records && records_next(records, &row)) {
        any = true;
        bytes += row.text_bytes + row.prompt_bytes;
        for (size_t i = 0; i < row.n_messages; i++) bytes += message_bytes(json_array_get(row.messages, i));
    }
    if (ctx_ok(c) && !any) row_file_refuse_empty(c, v->data.items, v->data.n, records_rows(records));
    records_close(records);
    *tokens = (int64_t)(bytes / BYTES_A_TOKEN);
    return c->status;
}

static enum status recommend_tokens(struct recommendation *r)
{
    struct ctx *c = r->c;
    const struct recommend_values *v = r->v;
    if (v->tokens && v->data.n) return ctx_fail(c, E_INPUT, "--tokens and --data: give one of them");
    if (v->tokenizer && !v->data.n) return ctx_fail(c, E_INPUT, "--tokenizer: there are no rows to count; give --data");
    r->tokens = v->tokens;
    char *model = v->tokenizer ? hub_cache_resolve(c, v->tokenizer) : NULL;
    if (v->data.n) v->tokenizer ? count_tokens(c, v, model, &r->tokens) : estimate_tokens(c, v, &r->tokens);
    mem_free(c, model);
    r->tokens *= v->epochs;
    return c->status;
}

/* ---- one model ------------------------------------------------------------------------------------------------------- */

/* Speed as measured for exactly this, else from the machine's profile. */
static void recommend_rate(const struct recommendation *r, struct recommend_candidate *k)
{
    char key[TRIAL_KEY_BYTES];
    const struct recommend_values *v = r->v;
    const struct benchmark_shape shape = {v->batch, v->length, v->rank};
    benchmark_key(key, k->model->name, array_backend(r->c)->device, threads_count(r->c), &k->form, &shape);
    const struct trial_result *t = trial_log_find(&r->log, key);
    k->measured = t && t->outcome == TRIAL_OK;
    if (k->measured) k->rate = t->tokens_per_s;
    if (k->measured || !r->has_profile) return;
    double tokens = (double)(v->batch * v->length);
    const struct step_shape step = {.model = k->model,
                                    .rank = v->rank,
                                    .adapted = k->model->layers,
                                    .recomputed = k->plan.recomputed_blocks,
                                    .tokens = tokens,
                                    .length = (double)v->length,
                                    .trained = tokens};
    double seconds = machine_profile_predict(&r->profile, k->form.compute, &step);
    if (seconds > 0) k->rate = tokens / seconds;
}

/* Why an arithmetic is chosen would be said for every model. */
static void recommend_silent(void *user, enum log_level level, const char *message)
{
    (void)user, (void)level, (void)message;
}

/* Makes a plan. Where the system has no address space for the model's files or the step (ulimit -v), it does not fit, and
 * what it would take stays unknown: a plan of 0 bytes. */
static enum status recommend_count(struct recommendation *r, const struct plan_model *p, struct plan *out,
                                   int64_t *parameters)
{
    enum status status = plan_model_make(r->c, p, out, parameters);
    if (status == E_MEMORY) ctx_clear(r->c);
    if (status != OK) *out = (struct plan){.fits = false};
    return r->c->status;
}

/* The plan with the base in one form. */
static enum status recommend_plan(struct recommendation *r, enum base_type base, struct recommend_candidate *k)
{
    const struct recommend_values *v = r->v;
    k->form = (struct model_options){.base = base, .compute = (enum compute)MODEL_ROWS_AUTO};
    struct ctx_hooks hooks = r->c->hooks;
    r->c->hooks.log = recommend_silent;
    enum status status = model_rows_settle(r->c, v->device, &k->form, true);
    r->c->hooks = hooks;
    TRY(status);
    const struct plan_model p = {.model = k->model,
                                 .form = k->form,
                                 .device = array_backend(r->c)->device,
                                 .batch = v->batch,
                                 .length = v->length,
                                 .rank = v->rank,
                                 .targets = LORA_ALL,
                                 .free_bytes = r->free_bytes,
                                 .program_bytes = r->program_bytes,
                                 .on_card = r->on_card};
    TRY(recommend_count(r, &p, &k->plan, &k->parameters));
    k->fits = k->plan.fits;
    return OK;
}

/* From the least change of the weights to the most; int8 has half the bytes of bf16, and what is too much without a step
 * needs no plan. */
static enum status recommend_model(struct recommendation *r, const struct known_model *m)
{
    static const enum base_type order[] = {BASE_AS_IS, BASE_INT8, BASE_NF4};
    struct recommend_candidate *k = &r->list[r->n];
    bool large = r->v->largest > 0 && (double)known_model_parameters(m) > r->v->largest * 1e9;
    if (!m->hub[0] || m->positions < r->v->length || large) return OK;
    *k = (struct recommend_candidate){.model = m};
    for (size_t i = 0; i < sizeof order / sizeof order[0] && !k->fits; i++)
        if (order[i] == BASE_NF4 || known_model_bytes(m) >> i <= r->free_bytes) TRY(recommend_plan(r, order[i], k));
    recommend_rate(r, k);
    r->n++;
    return OK;
}

/* The largest that fits and is done in time; NULL: none. */
static const struct recommend_candidate *recommend_best(const struct recommendation *r)
{
    const struct recommend_candidate *best = NULL;
    for (int i = 0; i < r->n; i++) {
        const struct recommend_candidate *k = &r->list[i];
        bool late = r->tokens && k->rate > 0 && (double)r->tokens / k->rate > r->v->hours * 3600;
        if (!k->fits || late) continue;
        if (!best || known_model_parameters(k->model) > known_model_parameters(best->model)) best = k;
    }
    return best;
}

/* ---- printing -------------------------------------------------------------------------------------------------------- */

static double recommend_gib(size_t bytes)
{
    return (double)bytes / (double)((size_t)1 << 30);
}

/* "    951", or with a sign for what is predicted: "   ~951"; "-" for what is not known. */
static void print_rate(const struct recommendation *r, const struct recommend_candidate *k)
{
    char rate[32] = "-", hours[32] = "-";
    const char *sign = k->measured ? "" : "~";
    if (k->rate > 0) snprintf(rate, sizeof rate, "%s%.*f", sign, k->rate < 10 ? 1 : 0, k->rate);
    if (k->rate > 0 && r->tokens) snprintf(hours, sizeof hours, "%s%.1f", sign, (double)r->tokens / k->rate / 3600);
    printf("  %9s", rate);
    if (r->tokens) printf("  %9s", hours);
}

static void print_candidate(const struct recommendation *r, const struct recommend_candidate *k)
{
    char memory[32] = "-";
    if (k->plan.total > 0) snprintf(memory, sizeof memory, "%.2f GiB", recommend_gib(plan_needed_bytes(&k->plan)));
    printf("%-20s %7.2f B  %5.1f GB  %-5s  %11s  %-4s", k->model->name, (double)known_model_parameters(k->model) / 1e9,
           (double)known_model_bytes(k->model) / 1e9, base_type_name[k->form.base], memory, k->fits ? "yes" : "no");
    print_rate(r, k);
    printf("  %s (%s)\n", k->model->hub, k->model->licence);
}

static void recommend_print_head(const struct recommendation *r)
{
    const struct recommend_values *v = r->v;
    printf("on %s with %d threads and %.1f GiB: adapters of rank %lld, micro-batches of %lld x %lld tokens",
           array_backend(r->c)->device, threads_count(r->c), recommend_gib(r->free_bytes), (long long)v->rank,
           (long long)v->batch, (long long)v->length);
    if (r->tokens)
        printf(", %.3g M tokens to train%s", (double)r->tokens / 1e6, v->data.n && !v->tokenizer ? " (estimated)" : "");
    printf("\n\n%-20s %9s  %8s  %-5s  %11s  %-4s  %9s", "model", "size", "files", "base", "memory", "fits", "tokens/s");
    puts(r->tokens ? "      hours  hub (licence)" : "  hub (licence)");
}

/* Whether the nearest profile of the original fits, with the model that is recommended. */
static enum status print_profile(struct recommendation *r, const struct recommend_candidate *best)
{
    struct preset_hardware h = preset_nearest(recommend_gib(host_memory_bytes("")));
    struct plan plan;
    int64_t parameters;
    const struct plan_model p = {
        .model = best->model,
        .form = best->form,
        .device = array_backend(r->c)->device,
        .batch = h.batch,
        .length = r->v->length,
        .rank = h.rank,
        .last_layers = h.last_layers < best->model->layers ? h.last_layers : 0,
        .targets = 1 << LORA_Q | 1 << LORA_K | 1 << LORA_V | 1 << LORA_O,
        .checkpoint = h.checkpoint ? PLAN_CHECKPOINT_ON : PLAN_CHECKPOINT_OFF,
        .free_bytes = r->free_bytes,
        .program_bytes = r->program_bytes,
        .on_card = r->on_card,
    };
    TRY(recommend_count(r, &p, &plan, &parameters));
    printf("nearest hardware profile of the original: --preset %s (batch %d, rank %d, last %d layers): ", h.name, h.batch,
           h.rank, h.last_layers);
    if (plan.total > 0) printf("%.2f GiB, ", recommend_gib(plan_needed_bytes(&plan)));
    puts(plan.fits ? "fits" : "does not fit");
    return OK;
}

static enum status recommend_print_end(struct recommendation *r)
{
    const struct recommend_candidate *best = recommend_best(r);
    bool guessed = false;
    for (int i = 0; i < r->n; i++) guessed |= r->list[i].rate > 0 && !r->list[i].measured;
    printf("\nmemory is what the planner counts, with %.1f MiB of this program, without tokenizer and index of the data; "
           "files: as bf16\n",
           (double)r->program_bytes / (double)(1 << 20));
    if (guessed) printf("~ predicted from what setup measured on %s; `your_ai benchmark` measures\n", r->profile.date);
    if (!r->has_profile) puts("no speeds: run `your_ai setup` first, once on this machine");
    if (!best) {
        puts("none fits in that time: try --rank 8 --batch 1 --max-length 256, or --hours");
        return OK;
    }
    TRY(print_profile(r, best));
    const char *words = model_options_text(&best->form);
    printf("largest that fits%s: %s\n  huggingface-cli download %s\n  your_ai plan -m %s %s-d ROWS\n",
           r->tokens ? " and is done in time" : "", best->model->name, best->model->hub, best->model->hub, words);
    return OK;
}

static enum status recommend_print(struct recommendation *r)
{
    recommend_print_head(r);
    for (int i = 0; i < r->n; i++)
        if (r->list[i].fits || r->v->all) print_candidate(r, &r->list[i]);
    return recommend_print_end(r);
}

static json_t *candidate_json(const struct recommendation *r, const struct recommend_candidate *k)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:o, s:I, s:b}", "model", k->model->name, "hub", k->model->hub,
                  "licence", k->model->licence, "parameters", (json_int_t)known_model_parameters(k->model), "file_bytes",
                  (json_int_t)known_model_bytes(k->model), "base", base_type_name[k->form.base], "compute",
                  compute_name[k->form.compute], "planned_bytes",
                  k->plan.total ? json_integer((json_int_t)plan_needed_bytes(&k->plan)) : json_null(), "recomputed_blocks",
                  (json_int_t)k->plan.recomputed_blocks, "fits", k->fits);
    if (o && k->rate > 0) {
        json_object_set_new(o, "tokens_per_s", json_real(k->rate));
        json_object_set_new(o, "measured", json_boolean(k->measured));
        if (r->tokens) json_object_set_new(o, "hours", json_real((double)r->tokens / k->rate / 3600));
    }
    return o;
}

static enum status recommend_print_json(const struct recommendation *r)
{
    struct buf text;
    const struct recommend_candidate *best = recommend_best(r);
    json_t *list = json_array();
    for (int i = 0; i < r->n; i++) json_array_append_new(list, candidate_json(r, &r->list[i]));
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:o, s:s?}", "device", array_backend(r->c)->device, "free_bytes",
                          (json_int_t)r->free_bytes, "program_bytes", (json_int_t)r->program_bytes, "tokens",
                          (json_int_t)r->tokens, "models", list, "recommended", best ? best->model->name : NULL);
    buf_init(&text, r->c, RECOMMEND_CAP_BYTES);
    if (!o) ctx_fail(r->c, E_MEMORY, "no memory for the list of models");
    if (o && json_write(r->c, o, true, &text) == OK) fputs(buf_str(&text), stdout);
    buf_release(&text);
    json_decref(o);
    return r->c->status;
}

/* ---- running --------------------------------------------------------------------------------------------------------- */

/* What setup and benchmark left. A profile that cannot be used is said to be so and left. */
static enum status recommend_read(struct recommendation *r)
{
    struct ctx *c = r->c;
    r->has_profile = machine_profile_find(c, array_backend(c)->device, threads_count(c), &r->profile);
    char *results = r->v->results ? mem_strdup(c, r->v->results) : benchmark_path(c);
    if (results) trial_log_read(c, results, &r->log);
    mem_free(c, results);
    return c->status;
}

/* What a run may take: of a card what it has free, else what the system leaves. What the program holds is read once, and
 * without what counting the tokens took for a while: read for each model, it would grow with those that were planned before
 * it. */
static void recommend_memory(struct recommendation *r)
{
    struct backend *b = array_backend(r->c);
    mem_trim();
    r->on_card = b->free_bytes != NULL;
    r->free_bytes = r->on_card ? b->free_bytes(b) : plan_free_bytes("", 0);
    r->program_bytes = r->on_card ? 0 : plan_used_bytes("");
    double most = r->v->max_memory * (double)((size_t)1 << 30);
    if (most > 0 && most < (double)r->free_bytes) r->free_bytes = (size_t)most;
}

static enum status cmd_recommend_run(const struct command_call *call)
{
    struct recommendation *r = mem_alloc(call->c, 1, sizeof *r);
    if (!r) return call->c->status;
    r->c = call->c;
    r->v = call->values;
    r->log.c = call->c;
    enum status status = command_compute(r->c, r->v->device, r->v->threads);
    if (status == OK) status = recommend_tokens(r);
    if (status == OK) status = recommend_read(r);
    if (status == OK) recommend_memory(r);
    for (int i = 0; i < known_models_n && status == OK; i++) status = recommend_model(r, &known_models[i]);
    if (status == OK) status = r->v->json ? recommend_print_json(r) : recommend_print(r);
    trial_log_release(&r->log);
    mem_free(call->c, r);
    return call->c->status;
}

const struct command command_recommend = {
    .name = "recommend",
    .summary = "says which known models this machine can train, and how long it would take",
    .usage = "[-d ROWS | --tokens N] [options]",
    .about = "For each model of a list: whether training it fits into the memory of this machine, by the planner's own "
             "count, with\n"
             "the weights as stored or else in int8 or nf4, and how many tokens a second it would train: as `benchmark` "
             "measured\n"
             "it, or predicted (~) from what `setup` measured. With data, the hours. Nothing is downloaded.",
    .table = &table,
    .values_bytes = sizeof(struct recommend_values),
    .run = cmd_recommend_run,
};
