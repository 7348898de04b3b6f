/* cmd_optimize: tries a few ways to compute the same training faster, and writes the fastest as a configuration. The choices
 * are tried one after the other, each from the best so far: how a step is cut into micro-batches, gradient checkpointing,
 * the form of the frozen weights. What the user gave stays as it is. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/shell_word.h"
#include "cli/command.h"
#include "cli/config_file.h"
#include "measure/training_trial.h"

enum { OPTIMIZE_CAP_BYTES = 1 << 20, TRIAL_SECONDS = 300 };

/* One option that is tried with a value. */
struct optimize_change {
    const char *option;
    char value[24];
};

/* One call of the command. */
struct optimize {
    struct ctx *c;
    struct train_values best;
    bool given[OPTION_MAX_SPECS];
    double rate;    /* of the best; 0: none has trained */
    char *log_path; /* owned */
    struct trial_log log;
    int tried;
};

static bool was_given(const struct optimize *o, const char *option)
{
    return o->given[options_find(&train_table, option)];
}

/* What a result is a function of: the digest of all options, paths among them. */
static enum status optimize_key(struct ctx *c, const struct train_values *values, char key[TRIAL_KEY_BYTES])
{
    struct sha256 s;
    uint8_t digest[32];
    char hex[65];
    struct train_values mine = *values;
    mine.config.run = "";
    char *text = train_options_text(c, &mine);
    if (!text) return c->status;
    sha256_init(&s);
    sha256_update(&s, text, strlen(text));
    sha256_final(&s, digest);
    sha256_hex(digest, hex);
    mem_free(c, text);
    snprintf(key, TRIAL_KEY_BYTES, "optimize %s", hex);
    return OK;
}

static void optimize_print(const char *what, const struct trial_result *r, bool known, bool better)
{
    printf("%-34s %-12s", what, trial_outcome_name[r->outcome]);
    if (r->outcome == TRIAL_OK)
        printf(" %9.1f tokens/s %8.2f GiB%s", r->tokens_per_s, (double)r->planned_bytes / 0x1p30,
               better ? "  best so far" : "");
    else
        printf(" %.80s", r->message);
    puts(known ? "  (was there)" : "");
    fflush(stdout);
}

/* Measures the best values with some options changed, and keeps them when they are faster. */
static enum status optimize_try(struct optimize *o, const struct optimize_change *changes, size_t n)
{
    struct trial_result r = {.outcome = TRIAL_FAILED};
    struct train_values values = o->best;
    char what[128] = "";
    for (size_t i = 0; i < n; i++) {
        const struct option_spec *s = &train_table.specs[options_find(&train_table, changes[i].option)];
        size_t used = strlen(what);
        snprintf(what + used, sizeof what - used, "%s--%s %s", i ? " " : "", changes[i].option, changes[i].value);
        TRY(options_set(o->c, s, changes[i].option, changes[i].value, &values));
    }
    TRY(optimize_key(o->c, &values, r.key));
    const struct trial_result *known = trial_log_find(&o->log, r.key);
    if (known) r = *known;
    if (!known) TRY(training_trial_run(o->c, &values, TRIAL_SECONDS, &r));
    if (!known) TRY(trial_log_append(o->c, o->log_path, &r));
    bool better = r.outcome == TRIAL_OK && r.tokens_per_s > o->rate;
    optimize_print(n ? what : "as given", &r, known != NULL, better);
    o->tried++;
    if (!better) return OK;
    o->rate = r.tokens_per_s;
    o->best = values;
    for (size_t i = 0; i < n; i++) o->given[options_find(&train_table, changes[i].option)] = true;
    return OK;
}

/* The same optimizer step in more or fewer micro-batches: the product of both options stays. */
static enum status try_batches(struct optimize *o)
{
    int64_t rows = o->best.config.packs.batch * o->best.config.packs.accumulation, now = o->best.config.packs.batch;
    if (was_given(o, "batch") || was_given(o, "accumulation")) return OK;
    for (int64_t batch = 1; batch <= rows && batch <= 64; batch *= 2) {
        struct optimize_change changes[] = {{"batch", ""}, {"accumulation", ""}};
        if (batch == now || rows % batch) continue;
        snprintf(changes[0].value, sizeof changes[0].value, "%lld", (long long)batch);
        snprintf(changes[1].value, sizeof changes[1].value, "%lld", (long long)(rows / batch));
        TRY(optimize_try(o, changes, 2));
    }
    return OK;
}

/* Values of one option, unless the user chose one. */
static enum status try_values(struct optimize *o, const char *option, const char *const *values, size_t n)
{
    if (was_given(o, option)) return OK;
    for (size_t i = 0; i < n; i++) {
        struct optimize_change change = {option, ""};
        snprintf(change.value, sizeof change.value, "%s", values[i]);
        TRY(optimize_try(o, &change, 1));
    }
    return OK;
}

/* A shorter sequence is measured, and only told of: it would cut documents that the user wants whole. */
static enum status try_length(struct optimize *o)
{
    struct optimize trial = *o;
    struct optimize_change change = {"max-length", ""};
    if (was_given(o, "max-length") || o->best.config.rows.max_length < 128) return OK;
    snprintf(change.value, sizeof change.value, "%lld", (long long)o->best.config.rows.max_length / 2);
    trial.rate = 1e300; /* never the best */
    enum status status = optimize_try(&trial, &change, 1);
    o->tried = trial.tried;
    if (status == OK) puts("  (not taken: it cuts documents; --max-length takes it)");
    return status;
}

static enum status optimize_search(struct optimize *o)
{
    static const char *const checkpoints[] = {"off", "on"}, *const bases[] = {"int8", "nf4"};
    TRY(optimize_try(o, NULL, 0));
    TRY(try_batches(o));
    TRY(try_values(o, "grad-checkpoint", checkpoints, 2));
    TRY(try_values(o, "base-type", bases, 2));
    return try_length(o);
}

static enum status optimize_write(struct optimize *o, const char *path)
{
    struct buf text;
    if (o->rate == 0) return ctx_fail(o->c, E_FOUND, "none of the %d choices trained here", o->tried);
    buf_init(&text, o->c, OPTIMIZE_CAP_BYTES);
    buf_printf(&text, "# The fastest of %d choices, %.1f tokens/s. your_ai train --config FILE -o RUN\n", o->tried, o->rate);
    config_file_print(&train_table, &o->best, o->given, &text);
    if (buf_ok(&text)) file_write_atomic(o->c, path, buf_str(&text), text.len);
    buf_release(&text);
    if (!ctx_ok(o->c)) return o->c->status;
    char *word = shell_word_new(o->c, path);
    if (word) printf("\n%.1f tokens/s: %s\n  your_ai train --config %s -o RUN\n", o->rate, path, word);
    mem_free(o->c, word);
    return o->c->status;
}

static enum status cmd_optimize_run(const struct command_call *call)
{
    struct ctx *c = call->c;
    json_t *doc = NULL;
    struct optimize *o = mem_alloc(c, 1, sizeof *o);
    if (!o) return c->status;
    o->c = c;
    o->log.c = c;
    o->best = *(const struct train_values *)call->values;
    o->best.config.run = "";
    memcpy(o->given, call->parse->given, sizeof o->given);
    o->log_path = mem_printf(c, "%s.trials.jsonl", call->parse->operands[0]);
    enum status status = o->log_path ? train_options_check_start(c, &o->best, o->given) : c->status;
    if (status == OK) status = train_options_absolute(c, &o->best, &doc);
    if (status == OK) status = trial_log_read(c, o->log_path, &o->log);
    if (status == OK) status = optimize_search(o);
    o->best.config.run = NULL;
    if (status == OK) status = optimize_write(o, call->parse->operands[0]);
    json_decref(doc);
    trial_log_release(&o->log);
    mem_free(c, o->log_path);
    mem_free(c, o);
    return status;
}

const struct command command_optimize = {
    .name = "optimize",
    .summary = "finds the fastest way to compute a training, and writes it as a configuration",
    .usage = "FILE.yaml -m MODEL -d ROWS [options of train]",
    .about = "Measures some micro-batches of the training that the options describe, in a few ways: its steps in smaller\n"
             "micro-batches, with and without gradient checkpointing, with the frozen weights in int8 and nf4, which\n"
             "round them (give --base-type as-is to keep them). Options that are given stay as they are. The fastest is\n"
             "written to FILE.yaml, for `train --config`. Each is measured in a process of its own, so one that runs out\n"
             "of memory is a result. FILE.yaml.trials.jsonl keeps what was measured: after an interruption the same call\n"
             "measures the rest.",
    .table = &train_table,
    .first = COMMAND_TRAIN_FIRST,
    .presets = true,
    .values_bytes = sizeof(struct train_values),
    .min_operands = 1,
    .max_operands = 1,
    .spared = "output",
    .run = cmd_optimize_run,
};
