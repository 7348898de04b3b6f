/* cmd_benchmark: measures training steps of known models on this machine, each in a process of its own. A model that is in
 * the Hugging Face cache is measured as it is; of any other, a file of the same shapes whose weights are 0 takes its place:
 * it takes the time and the memory of the real one. What was measured is kept, and not measured again. */
#include <stdio.h>
#include <string.h>

#include "array/backend.h"
#include "backend/backend_open.h"
#include "base/child.h"
#include "base/file.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/temporary.h"
#include "cli/benchmark_key.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "io/hub_cache.h"
#include "measure/training_trial.h"
#include "model/random_model.h"

struct benchmark_values {
    const char *results, *device;
    int base; /* the position in BENCHMARK_BASES */
    struct benchmark_shape shape;
    double timeout;
    int64_t threads;
    bool again;
};
#define V               struct benchmark_values
#define BENCHMARK_BASES "first-that-fits|as-is|nf4|int8"

static const struct option_spec specs[] = {
    CHOICE_ROW(V, base, "base-type", 0, "first-that-fits", BENCHMARK_BASES, "What is measured",
               "form of the frozen weights; first-that-fits: as stored, else int8, else nf4"),
    I64_ROW(V, shape.batch, "batch", 'b', "4", 1, 4096, "What is measured", "sequences in a micro-batch"),
    I64_ROW(V, shape.length, "max-length", 0, "512", 16, 1 << 20, "What is measured", "tokens of a sequence"),
    I64_ROW(V, shape.rank, "rank", 'r', "16", 1, 1024, "What is measured", "rank of the adapter, on all linear layers"),
    F64_ROW(V, timeout, "timeout", 0, "120", 1, 1e6, "Running",
            "seconds that a model may take before it counts as too slow"),
    STRING_ROW(V, results, "results", 0, NULL, "FILE", "Running",
               "file that results are kept in; without it, benchmark.jsonl in the user's configuration folder"),
    FLAG_ROW(V, again, "again", 0, "false", "Running", "measure again what stands in the file"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* What the device says of itself, asked in a child: a process that has asked a card's driver cannot have children that use
 * it. */
struct benchmark_device {
    char name[64], message[CTX_MESSAGE_BYTES];
    struct model_options form[BASE_TYPES];
};

/* One call of the command. */
struct benchmark {
    struct ctx *c;
    const struct benchmark_values *v;
    struct benchmark_device device;
    struct trial_log log;
    char *results;                  /* owned */
    struct temporary_folder folder; /* of models and rows that are made here */
    int threads;
};

static void ask_device(void *user, void *out)
{
    const struct benchmark_values *v = user;
    struct benchmark_device *d = out;
    struct ctx *c = ctx_new(NULL);
    if (!c) return;
    struct backend *b = backend_open_counting(c, v->device);
    if (b) snprintf(d->name, sizeof d->name, "%s", b->device);
    for (int i = 0; b && i < BASE_TYPES; i++) {
        d->form[i] = (struct model_options){.base = (enum base_type)i, .compute = (enum compute)MODEL_ROWS_AUTO};
        if (model_rows_settle(c, v->device, &d->form[i], true) != OK) break;
    }
    snprintf(d->message, sizeof d->message, "%s", c->message);
    if (b) b->close(b);
}

/* Rows that fill sequences: plain words, and more of them than any tokenizer makes of a micro-batch's tokens. */
static enum status write_rows(struct benchmark *b, const char *path)
{
    enum { BYTES_A_TOKEN = 8, MICRO_BATCHES = 4 };
    struct file_writer *w = file_writer_open(b->c, path);
    if (!w) return b->c->status;
    for (int64_t row = 0; row < MICRO_BATCHES * b->v->shape.batch; row++) {
        char text[64];
        int n = snprintf(text, sizeof text, "{\"text\": \"Row %lld.", (long long)row);
        file_writer_write(w, text, (size_t)n);
        for (int64_t i = 0; i < BYTES_A_TOKEN * b->v->shape.length; i += 32)
            file_writer_write(w, " the river goes slowly to the sea", 33);
        file_writer_write(w, "\"}\n", 3);
    }
    return file_writer_commit(w);
}

/* Where the model is: the user's own copy, or one of zeros in the folder. Owner the caller. */
static char *benchmark_find_model(struct benchmark *b, const char *name)
{
    int at = known_model_find(name);
    if (at < 0) return hub_cache_resolve(b->c, name);
    const struct known_model *m = &known_models[at];
    char *path = m->hub[0] ? hub_cache_resolve(b->c, m->hub) : NULL;
    if (path) return path;
    ctx_clear(b->c); /* it was never downloaded */
    path = path_join(b->c, b->folder.path, name);
    const struct random_model hollow = {.shape = m, .hollow = true};
    if (path && !dir_exists(path)) random_model_write(b->c, path, &hollow);
    return path;
}

/* The options of train for one model. */
static enum status benchmark_values_of(struct benchmark *b, const char *model, const char *rows, enum base_type base,
                                       struct train_values *values)
{
    *values = (struct train_values){0};
    TRY(options_default(b->c, &train_table, values));
    values->config.model = model;
    values->config.form = b->device.form[base];
    values->config.packs.batch = b->v->shape.batch;
    values->config.rows.max_length = b->v->shape.length;
    values->config.adapter.rank = b->v->shape.rank;
    values->config.epochs = 1;
    values->device = b->device.name;
    values->threads = b->threads;
    values->data.items[0] = rows;
    values->data.n = 1;
    return OK;
}

static double benchmark_gib(int64_t bytes)
{
    return (double)bytes / (double)((size_t)1 << 30);
}

static void benchmark_print(const char *name, enum base_type base, const struct trial_result *r, bool known)
{
    printf("%-20s %-5s  %-12s", name, base_type_name[base], trial_outcome_name[r->outcome]);
    if (r->outcome == TRIAL_OK)
        printf("  %9.1f  %8.2f GiB  %8.2f GiB", r->tokens_per_s, benchmark_gib(r->planned_bytes),
               benchmark_gib(r->peak_bytes));
    else
        printf("  %.90s", r->message);
    puts(known ? "  (was there)" : "");
    fflush(stdout);
}

/* One model with its base in one form; *fits becomes whether the planner let it be. */
static enum status benchmark_form(struct benchmark *b, const char *name, const char *rows, enum base_type base, bool *fits)
{
    struct trial_result r = {.outcome = TRIAL_FAILED};
    struct train_values values;
    benchmark_key(r.key, name, b->device.name, b->threads, &b->device.form[base], &b->v->shape);
    const struct trial_result *known = b->v->again ? NULL : trial_log_find(&b->log, r.key);
    if (known) r = *known;
    if (!known) {
        char *model = benchmark_find_model(b, name);
        if (model && benchmark_values_of(b, model, rows, base, &values) == OK)
            training_trial_run(b->c, &values, b->v->timeout, &r);
        mem_free(b->c, model);
        if (ctx_ok(b->c)) trial_log_append(b->c, b->results, &r);
    }
    if (!ctx_ok(b->c)) return b->c->status;
    benchmark_print(name, base, &r, known != NULL);
    *fits = r.outcome != TRIAL_UNFIT;
    return OK;
}

static enum status benchmark_model(struct benchmark *b, const char *name, const char *rows)
{
    static const enum base_type order[] = {BASE_AS_IS, BASE_INT8, BASE_NF4};
    bool fits = false;
    if (b->v->base) return benchmark_form(b, name, rows, (enum base_type)(b->v->base - 1), &fits);
    for (size_t i = 0; i < sizeof order / sizeof order[0] && !fits; i++) TRY(benchmark_form(b, name, rows, order[i], &fits));
    return OK;
}

/* Those that were named, or all of the table that are published. */
static enum status benchmark_all(struct benchmark *b, const struct command_call *call)
{
    char *rows = path_join(b->c, b->folder.path, "rows.jsonl");
    if (!rows || write_rows(b, rows) != OK) {
        mem_free(b->c, rows);
        return b->c->status;
    }
    printf("training steps on %s with %d threads: %lld x %lld tokens, rank %lld; kept in %s\n\n", b->device.name, b->threads,
           (long long)b->v->shape.batch, (long long)b->v->shape.length, (long long)b->v->shape.rank, b->results);
    printf("%-20s %-5s  %-12s  %9s  %12s  %12s\n", "model", "base", "outcome", "tokens/s", "planned", "peak memory");
    size_t n = call->parse->n_operands;
    for (size_t i = 0; i < n && ctx_ok(b->c); i++) benchmark_model(b, call->parse->operands[i], rows);
    for (int i = 0; n == 0 && i < known_models_n && ctx_ok(b->c); i++)
        if (known_models[i].hub[0]) benchmark_model(b, known_models[i].name, rows);
    mem_free(b->c, rows);
    return b->c->status;
}

static enum status benchmark_open(struct benchmark *b)
{
    enum child_end end = CHILD_DIED;
    int how;
    TRY(child_run(b->c, ask_device, (void *)(uintptr_t)b->v, &b->device, sizeof b->device, 60, &end, &how));
    if (end != CHILD_SENT) return ctx_fail(b->c, E_IO, "the device does not answer");
    if (b->device.message[0]) return ctx_fail(b->c, E_UNSUPPORTED, "%s", b->device.message);
    b->threads = b->v->threads ? (int)b->v->threads : host_cores_usable("");
    b->results = b->v->results ? mem_strdup(b->c, b->v->results) : benchmark_path(b->c);
    if (!b->results) return ctx_fail(b->c, E_INPUT, "there is no folder for the results: give --results, or set HOME");
    TRY(trial_log_read(b->c, b->results, &b->log));
    return temporary_folder_open(b->c, &b->folder);
}

static enum status cmd_benchmark_run(const struct command_call *call)
{
    struct ctx *c = call->c;
    struct benchmark b = {.c = c, .v = call->values, .log = {.c = c}};
    if (benchmark_open(&b) == OK) benchmark_all(&b, call);
    temporary_folder_close(c, &b.folder);
    trial_log_release(&b.log);
    mem_free(c, b.results);
    return c->status;
}

const struct command command_benchmark = {
    .name = "benchmark",
    .summary = "measures whether and how fast models train on this machine",
    .usage = "[MODEL ...] [options]",
    .about =
        "Measures training steps of each MODEL, a name of `recommend`, a folder, a .gguf file or a name in the Hugging "
        "Face\n"
        "cache; without any, of all that `recommend` knows. A model that is not here is measured with weights of 0 in its\n"
        "shapes, which takes the same time and memory. Each has a process of its own: one that runs out of memory or time "
        "is\n"
        "a result. What was measured is kept, so a call that was interrupted goes on, and `recommend` reads it.",
    .table = &table,
    .values_bytes = sizeof(struct benchmark_values),
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_benchmark_run,
};
