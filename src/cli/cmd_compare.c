/* cmd_compare: several adapters or runs on one base model, or the base itself, on the same rows, benchmark and prompts. What
 * is measured is the first one that is compared with: its figures stand alone, those of the others with the paired
 * difference. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/common_rows.h"
#include "cli/compare_prompts.h"
#include "cli/compare_rows.h"
#include "cli/run_rows.h"
#include "cli/validate_choice.h"

struct compare_values {
    const char *model, *shot_data, *output, *system;
    struct option_list prompts, benchmark_data;
    struct compare_rows_options rows;
    struct model_options form;
    int benchmark;
    bool force, json, chat;
    const char *device;
    int64_t threads, shots, limit, max_tokens;
};

#define V struct compare_values
static const struct option_spec specs[] = {
    MODEL_ROW(V, model, "base model", "Models"),
    FORCE_ADAPTER_ROW(V, force, "Models"),
    MODEL_ROWS(V, form, "Models"),
    COMPARE_ROWS(V, rows, false, "rows as for training: loss, perplexity, by source", "Rows"),
    LIST_ROW(V, prompts, "prompt", 'p', false, "TEXT", "Prompts", "text that each model continues, or with --chat answers"),
    FLAG_ROW(V, chat, "chat", 0, "false", "Prompts", "put prompts into the chat template as a message of the user"),
    STRING_ROW(V, system, "system", 0, NULL, "TEXT", "Prompts", "system message before it, with --chat"),
    I64_ROW(V, max_tokens, "max-tokens", 'n', "64", 1, 1 << 20, "Prompts", "largest number of new tokens"),
    CHOICE_ROW(V, benchmark, "benchmark", 0, "none", "none" VALIDATE_CHOICES, "Benchmark", "which one, as in validate"),
    LIST_ROW(V, benchmark_data, "benchmark-data", 0, false, "FILE", "Benchmark", "its rows"),
    I64_ROW(V, shots, "shots", 0, "0", 0, 100, "Benchmark", "number of answered examples in front of a question (mmlu)"),
    STRING_ROW(V, shot_data, "shot-data", 0, NULL, "FILE", "Benchmark", "rows that the examples are taken from"),
    I64_ROW(V, limit, "limit", 0, "0", 0, 1 << 30, "Benchmark", "only the first N items; 0: all"),
    STRING_ROW(V, output, "output", 'o', NULL, "DIR", "Benchmark",
               "folder for results and samples in lm-evaluation-harness's form"),
    FLAG_ROW(V, json, "json", 0, "false", "Running", "print lines of JSON instead of tables"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};
#undef V
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* The base is there, too, where only one model was named: one model alone is compared with nothing. */
static enum status list_candidates(struct candidates *a, const struct option_parse *parse)
{
    if (parse->n_operands == 1) TRY(candidates_add(a, "base"));
    for (size_t i = 0; i < parse->n_operands; i++) TRY(candidates_add(a, parse->operands[i]));
    return OK;
}

/* E_INPUT where nothing was asked for, or something that would be passed over. */
static enum status check_asked(struct ctx *c, const struct compare_values *v)
{
    if (v->rows.paths.n + v->prompts.n == 0 && v->benchmark == 0)
        return ctx_fail(c, E_INPUT, "compare: give rows (-d), prompts (-p) or a benchmark (--benchmark)");
    if ((v->benchmark == 0) != (v->benchmark_data.n == 0))
        return ctx_fail(c, E_INPUT, "--benchmark and --benchmark-data: give both, or none");
    if (v->benchmark == 0 && (v->shots || v->shot_data || v->limit || v->output))
        return ctx_fail(c, E_INPUT, "--shots, --shot-data, --limit and --output are for --benchmark");
    if (v->prompts.n == 0 && (v->chat || v->system)) return ctx_fail(c, E_INPUT, "--chat and --system are for -p");
    if (v->rows.paths.n == 0 && v->rows.answers >= 0) return ctx_fail(c, E_INPUT, "--answers is for -d");
    return OK;
}

static enum status compare_benchmark(const struct loaded *l, const struct compare_values *v, const struct candidates *a)
{
    const struct validate_choice choice = {.benchmark = v->benchmark,
                                           .options = {.paths = v->benchmark_data.items,
                                                       .n_paths = v->benchmark_data.n,
                                                       .shots_path = v->shot_data,
                                                       .shots = v->shots,
                                                       .limit = v->limit},
                                           .model = v->model,
                                           .candidates = a,
                                           .output = v->output,
                                           .json = v->json};
    return validate_choice_run(l, &choice);
}

/* Rows, benchmark and prompts in this order, as far as they were asked for. */
static enum status compare_all(const struct loaded *l, const struct compare_values *v, const struct candidates *a)
{
    const struct compare_rows rows = {.candidates = a, .options = &v->rows, .json = v->json};
    const struct compare_prompts prompts = {.candidates = a,
                                            .prompts = v->prompts.items,
                                            .n_prompts = v->prompts.n,
                                            .form = {v->chat, (int)v->rows.data.chat, v->system, v->rows.data.date},
                                            .max_tokens = v->max_tokens,
                                            .json = v->json};
    if (v->rows.paths.n) TRY(compare_rows_run(l, &rows));
    if (v->rows.paths.n && v->benchmark && !v->json) puts("");
    if (v->benchmark) TRY(compare_benchmark(l, v, a));
    if (v->prompts.n && (v->rows.paths.n || v->benchmark) && !v->json) puts("");
    return v->prompts.n ? compare_prompts_run(l, &prompts) : OK;
}

static enum status cmd_compare_run(const struct command_call *call)
{
    struct compare_values v = *(const struct compare_values *)call->values;
    struct ctx *c = call->c;
    struct loaded l = {.c = c};
    struct candidates a = {.c = c, .force = v.force};
    json_t *doc = NULL;
    struct loaded_options options = {.model = v.model, .form = v.form, .device = v.device, .threads = v.threads};
    TRY(check_asked(c, &v));
    if (list_candidates(&a, call->parse) == OK && run_rows_take(&a, &table, call->parse->given, &v.rows.data, &doc) == OK &&
        loaded_open(&l, c, &options) == OK)
        compare_all(&l, &v, &a);
    candidates_release(&a);
    json_decref(doc);
    loaded_close(&l);
    return c->status;
}

const struct command command_compare = {
    .name = "compare",
    .summary = "adapters and runs side by side: rows, a benchmark, prompts",
    .usage = "-m MODEL A [B ...] [-d FILE] [--benchmark NAME --benchmark-data FILE] [-p TEXT] [options]",
    .about =
        "Measures models on one base: A, B, ... are runs, adapters, or the word base; one alone is compared with the base.\n"
        "Each is measured on the same rows, items and prompts, and each but the first with its difference from the first\n"
        "and that difference's standard error, paired by document or item. Prompts are continued greedily; ln p of a\n"
        "continuation is the sum over its tokens, under its own model and under the others.",
    .table = &table,
    .values_bytes = sizeof(struct compare_values),
    .min_operands = 1,
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_compare_run,
};
