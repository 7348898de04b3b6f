/* cmd_validate: what training did, measured on a benchmark. `conflict`: log-odds of primary against consensus claims for the
 * base model and for runs, beside what weighted likelihood predicts for the objective of each run (eval/conflict.h). The
 * others are benchmarks of multiple choice (validate_choice.h). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "cli/loaded.h"
#include "cli/validate_choice.h"
#include "cli/validate_suite.h"
#include "train/train_options.h"
#include "eval/conflict.h"
#include "export/peft.h"

struct validate_values {
    const char *model, *adapter, *shot_data, *output;
    struct option_list data;
    struct model_options form;
    int benchmark;
    bool force, json, chat;
    const char *device;
    int64_t threads, shots, limit, max_tokens;
};

#define V struct validate_values
static const struct option_spec specs[] = {
    MODEL_ROW(V, model, "base model", "Input"),
    CHOICE_ROW(V, benchmark, "benchmark", 0, "conflict", "conflict" VALIDATE_CHOICES "|suite", "Input", "what is measured"),
    LIST_ROW(V, data, "data", 'd', true, "FILE", "Input",
             "JSON Lines file of claims (docs/conflict.md), or the rows of a benchmark"),
    STRING_ROW(V, adapter, "adapter", 0, NULL, "DIR", "Input", "adapter to measure beside the runs (not with conflict)"),
    I64_ROW(V, shots, "shots", 0, "0", 0, 100, "Input", "number of answered examples in front of a question (mmlu)"),
    STRING_ROW(V, shot_data, "shot-data", 0, NULL, "FILE", "Input",
               "rows that the examples are taken from, the first of each subject"),
    I64_ROW(V, limit, "limit", 0, "0", 0, 1 << 30, "Input", "measure only the first N items of a benchmark; 0: all"),
    FLAG_ROW(V, chat, "chat", 0, "false", "Input", "put the prompts of a suite into the model's chat template"),
    I64_ROW(V, max_tokens, "max-tokens", 'n', "0", 0, 1 << 20, "Input",
            "largest number of tokens of an answer (suite); 0: what the prompt's row says, else 256"),
    FORCE_ADAPTER_ROW(V, force, "Input"),
    MODEL_ROWS(V, form, "Input"),
    STRING_ROW(V, output, "output", 'o', NULL, "DIR", "Output",
               "folder for results and samples in lm-evaluation-harness's form, or for the answers of a suite (not with "
               "conflict)"),
    FLAG_ROW(V, json, "json", 0, "false", "Output", "print a line of JSON for the base and each run instead of tables"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};
#undef V
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* The last of the choices of --benchmark, behind VALIDATE_CHOICES. */
enum { BENCHMARK_SUITE = 5 };

/* One line of the table: the base model (mode DISTRUST_COUNT) or a run. */
struct arm {
    const char *name;
    enum distrust mode;
    int64_t seed;
    struct conflict_summary measured;
    bool force;       /* its adapter is measured though it was made for another model */
    double predicted; /* mean over claims; NaN for the base model */
};

/* Refits the run's objective to the run's own training set. */
static enum status run_objective(struct ctx *c, const struct train_config *config, struct objective *o)
{
    char *path = path_join(c, config->run, "data.cache");
    struct dataset *d = path ? dataset_open(c, path) : NULL;
    if (d) objective_fit(c, &config->objective, d, o);
    dataset_close(d);
    mem_free(c, path);
    return c->status;
}

/* Log-odds of all claims under the model as it is now, with the adapter that is attached to it. */
static enum status validate_measure(struct model *m, const struct tokenizer *t, const struct conflict_set *s, double *values,
                                    struct arm *arm)
{
    struct engine *e = engine_native_new(m->c, m, NULL);
    if (e && conflict_measure(e, t, s, values) == OK) arm->measured = conflict_summarise(values, s->n);
    if (e) e->ops->free(e);
    return m->c->status;
}

/* Says when a run was trained with other weights or other products than it is measured with. bf16 training measured in f32
 * is what `auto` does where the processor multiplies bf16 faster: no cause for alarm, so it is said and not warned of. */
static void tell_of_another_base(const struct model *m, const char *run, const struct train_config *trained)
{
    const struct model_options was = trained->form, *is = &m->options;
    bool other_base = model_base(&was) != is->base,
         integers = compute_is_integer(was.compute) || compute_is_integer(is->compute);
    if (!other_base && was.compute == is->compute) return;
    ctx_log(m->c, other_base || integers ? LOG_WARN : LOG_INFO,
            "%s: was trained with --base-type %s --compute %s, and is measured with %s, %s", run,
            base_type_name[model_base(&was)], compute_name[was.compute], base_type_name[is->base],
            compute_name[is->compute]);
}

/* One run: its options are read from its folder, its objective is fitted again to its own rows (which gives the prediction),
 * its adapter is attached, measured and taken off. `values` is scratch for one value a claim. */
static enum status measure_run(struct model *m, const struct tokenizer *t, const struct conflict_set *s, double *values,
                               struct arm *arm)
{
    struct ctx *c = m->c;
    struct train_values run = {0};
    struct objective objective = {0};
    json_t *doc = NULL;
    char *dir = NULL;
    struct lora *lora = NULL;
    enum status status = train_options_read(c, arm->name, &run, &doc);
    if (status == OK) status = run_objective(c, &run.config, &objective);
    if (status != OK) goto out;
    tell_of_another_base(m, arm->name, &run.config);
    arm->mode = objective.options.mode;
    arm->seed = run.config.seed;
    conflict_predict(s, &objective, values);
    arm->predicted = conflict_summarise(values, s->n).mean;
    dir = path_join(c, arm->name, "adapter");
    lora = dir ? lora_load(c, &m->config, dir) : NULL;
    if (lora && peft_check_base(m, dir, false, arm->force) == OK) {
        model_attach_lora(m, lora);
        validate_measure(m, t, s, values, arm);
        model_attach_lora(m, NULL);
    }
    status = c->status;
out:
    lora_free(lora);
    mem_free(c, dir);
    json_decref(doc);
    return status;
}

/* ---- showing ---------------------------------------------------------------------------------------------------------- */

static const char *mode_name(const struct arm *a)
{
    return a->mode == DISTRUST_COUNT ? "-" : objective_mode_name(a->mode);
}

/* One line of the table as JSON. */
static void validate_print_json(struct ctx *c, const struct arm *a, size_t n_claims)
{
    struct buf line;
    buf_init(&line, c, 1 << 16);
    buf_append_str(&line, "{\"run\": ");
    json_append_string(&line, a->name, strlen(a->name));
    buf_printf(&line, ", \"distrust\": \"%s\", \"seed\": %lld, \"claims\": %zu, \"log_odds\": ", mode_name(a),
               (long long)a->seed, n_claims);
    json_append_f64(&line, a->measured.mean);
    buf_append_str(&line, ", \"sd\": ");
    json_append_f64(&line, a->measured.sd);
    buf_printf(&line, ", \"primary_preferred\": %zu, \"predicted\": ", a->measured.n_positive);
    json_append_f64(&line, a->predicted);
    printf("%s}\n", buf_str(&line));
    buf_release(&line);
}

static void print_arm(const struct arm *a, size_t n_claims, int width)
{
    char predicted[32] = "-", seed[32] = "-";
    if (!isnan(a->predicted)) snprintf(predicted, sizeof(predicted), "%+.2f", a->predicted);
    if (a->mode != DISTRUST_COUNT) snprintf(seed, sizeof(seed), "%lld", (long long)a->seed);
    printf("%-*s  %-9s  %4s  %+8.2f  %5.2f  %3zu of %-3zu  %9s\n", width, a->name, mode_name(a), seed, a->measured.mean,
           a->measured.sd, a->measured.n_positive, n_claims, predicted);
}

/* Mean, and half the range, over the runs of a mode. */
struct validate_group {
    size_t n;
    double measured, low, high, predicted;
};

/* The runs of one objective together. */
static struct validate_group validate_group_of(const struct arm *arms, size_t n, enum distrust mode)
{
    struct validate_group g = {0, 0, INFINITY, -INFINITY, 0};
    for (size_t i = 0; i < n; i++) {
        if (arms[i].mode != mode) continue;
        g.n++;
        g.measured += arms[i].measured.mean;
        g.predicted += arms[i].predicted;
        g.low = fmin(g.low, arms[i].measured.mean);
        g.high = fmax(g.high, arms[i].measured.mean);
    }
    g.measured /= g.n ? (double)g.n : 1;
    g.predicted /= g.n ? (double)g.n : 1;
    return g;
}

/* A line for each objective; with runs of `off` among them also the change against those, since that difference is what the
 * prediction is about. */
static void validate_print_groups(const struct arm *arms, size_t n)
{
    struct validate_group plain = validate_group_of(arms, n, DISTRUST_OFF);
    printf("\n%-10s  %4s  %8s  %16s  %9s  %s\n", "distrust", "runs", "log-odds", "range over runs", "predicted",
           plain.n ? "change against off, measured and predicted" : "");
    for (int mode = 0; mode < DISTRUST_COUNT; mode++) {
        struct validate_group g = validate_group_of(arms, n, (enum distrust)mode);
        if (g.n == 0) continue;
        printf("%-10s  %4zu  %+8.2f  %+7.2f to %+5.2f  %+9.2f", objective_mode_name((enum distrust)mode), g.n, g.measured,
               g.low, g.high, g.predicted);
        double change = g.measured - plain.measured, expected = g.predicted - plain.predicted;
        if (plain.n && mode != DISTRUST_OFF) printf("  %+.2f of %+.2f", change, expected);
        if (plain.n && expected > 0.01) printf(" (%.0f %%)", 100 * change / expected);
        printf("\n");
    }
}

static void validate_print_table(const struct arm *arms, size_t n, size_t n_claims)
{
    int width = 4;
    for (size_t i = 0; i < n; i++) width = (int)strlen(arms[i].name) > width ? (int)strlen(arms[i].name) : width;
    printf("Log-odds (nats) of the primary claim against the consensus claim, mean over %zu prompts.\n"
           "Predicted: weighted maximum likelihood, ln(sum of primary weights / sum of consensus weights).\n\n",
           n_claims);
    printf("%-*s  %-9s  %4s  %8s  %5s  %10s  %9s\n", width, "run", "distrust", "seed", "log-odds", "sd", "primary > 0",
           "predicted");
    for (size_t i = 0; i < n; i++) print_arm(&arms[i], n_claims, width);
    if (n > 1) validate_print_groups(arms, n);
}

/* ---- the command ------------------------------------------------------------------------------------------------------ */

static enum status measure_all(struct model *m, const struct tokenizer *t, const struct conflict_set *s, struct arm *arms,
                               size_t n)
{
    double *values = mem_alloc(m->c, s->n, sizeof(*values));
    enum status status = values ? validate_measure(m, t, s, values, &arms[0]) : m->c->status;
    for (size_t i = 1; i < n && status == OK; i++) {
        status = measure_run(m, t, s, values, &arms[i]);
        if (status != OK) ctx_prefix(m->c, "%s", arms[i].name);
    }
    mem_free(m->c, values);
    return status;
}

static enum status validate_conflict(const struct loaded *l, const struct validate_values *v,
                                     const struct option_parse *parse)
{
    struct ctx *c = l->c;
    struct arm arms[1 + OPTION_MAX_OPERANDS] = {{.name = "base", .mode = DISTRUST_COUNT, .predicted = NAN}};
    size_t n = 1 + parse->n_operands;
    for (size_t i = 1; i < n; i++) arms[i] = (struct arm){.name = parse->operands[i - 1], .force = v->force};
    struct conflict_set *s = conflict_open(c, v->data.items[0]);
    if (s && measure_all(l->model, l->tokenizer, s, arms, n) == OK) {
        for (size_t i = 0; i < n && v->json; i++) validate_print_json(c, &arms[i], s->n);
        if (!v->json) validate_print_table(arms, n, s->n);
    }
    conflict_close(s);
    return c->status;
}

static enum status validate_benchmark(const struct loaded *l, const struct validate_values *v,
                                      const struct option_parse *parse)
{
    struct candidates candidates = {.c = l->c, .force = v->force};
    enum status status = candidates_add(&candidates, "base");
    if (status == OK && v->adapter) status = candidates_add(&candidates, v->adapter);
    for (size_t i = 0; status == OK && i < parse->n_operands; i++) status = candidates_add(&candidates, parse->operands[i]);
    const struct validate_choice choice = {.benchmark = v->benchmark,
                                           .options = {.paths = v->data.items,
                                                       .n_paths = v->data.n,
                                                       .shots_path = v->shot_data,
                                                       .shots = v->shots,
                                                       .limit = v->limit},
                                           .model = v->model,
                                           .candidates = &candidates,
                                           .output = v->output,
                                           .json = v->json};
    const struct validate_suite suite = {.paths = v->data.items,
                                         .n_paths = v->data.n,
                                         .candidates = &candidates,
                                         .form = {.chat = v->chat},
                                         .max_tokens = v->max_tokens,
                                         .limit = v->limit,
                                         .output = v->output,
                                         .json = v->json};
    if (status == OK)
        status = v->benchmark == BENCHMARK_SUITE ? validate_suite_run(l, &suite) : validate_choice_run(l, &choice);
    candidates_release(&candidates);
    return status;
}

/* Options that only the benchmarks of multiple choice have are refused beside conflict: nothing would come of them. */
static enum status check_conflict_options(struct ctx *c, const struct validate_values *v)
{
    const char *wrong = v->adapter     ? "--adapter"
                        : v->output    ? "--output"
                        : v->shots     ? "--shots"
                        : v->shot_data ? "--shot-data"
                                       : NULL;
    if (v->limit) wrong = "--limit";
    if (v->chat || v->max_tokens) wrong = v->chat ? "--chat" : "--max-tokens";
    if (wrong) return ctx_fail(c, E_INPUT, "%s: is not for --benchmark conflict", wrong);
    if (v->data.n > 1) return ctx_fail(c, E_INPUT, "-d: --benchmark conflict takes one file of claims");
    return OK;
}

/* The same the other way round, for what only suites have and what they have not. */
static enum status check_suite_options(struct ctx *c, const struct validate_values *v)
{
    if (v->benchmark != BENCHMARK_SUITE && (v->chat || v->max_tokens))
        return ctx_fail(c, E_INPUT, "--chat and --max-tokens are for --benchmark suite");
    if (v->benchmark == BENCHMARK_SUITE && (v->shots || v->shot_data))
        return ctx_fail(c, E_INPUT, "--shots and --shot-data are not for --benchmark suite");
    return OK;
}

static enum status cmd_validate_run(const struct command_call *call)
{
    const struct validate_values *v = call->values;
    struct ctx *c = call->c;
    struct loaded l = {.c = c};
    struct loaded_options options = {.model = v->model, .form = v->form, .device = v->device, .threads = v->threads};
    TRY(v->benchmark == 0 ? check_conflict_options(c, v) : check_suite_options(c, v));
    if (loaded_open(&l, c, &options) == OK) {
        if (v->benchmark == 0)
            validate_conflict(&l, v, call->parse);
        else
            validate_benchmark(&l, v, call->parse);
    }
    loaded_close(&l);
    return c->status;
}

const struct command command_validate = {
    .name = "validate",
    .summary = "measures what training did: conflicting claims, benchmarks",
    .usage = "-m MODEL --benchmark NAME -d FILE [RUN ...] [options]",
    .about =
        "Measures the base model and the adapter of each run. conflict: prompts for which sources of two kinds claim "
        "different\n"
        "things; the figures say what the weights did to the model's preference, not which claim is true. truthfulqa, arc,\n"
        "hellaswag and mmlu are scored as lm-evaluation-harness scores them, from the published files. suite: prompts of "
        "your\n"
        "own, whose generated answers are judged by phrases, beside answers that no model gave.",
    .table = &table,
    .values_bytes = sizeof(struct validate_values),
    .min_operands = 0,
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_validate_run,
};
