/* cmd_perplexity: how probable a model finds a file, in one number or token by token. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "cli/loaded.h"
#include "engine/engine_rows.h"
#include "eval/loglik.h"
#include "io/json.h"

struct perplexity_values {
    const char *model, *adapter, *file;
    struct model_options form;
    bool force, json;
    const char *device;
    enum engine_kind engine;
    int64_t window, threads;
};
#define V struct perplexity_values

static const struct option_spec specs[] = {
    ADAPTED_MODEL_ROWS(V, "Input"),
    REQUIRED_ROW(V, file, "file", 'f', "FILE", "Input", "text file to score; names of control tokens in it are plain text"),
    FLAG_ROW(V, json, "json", 0, "false", "Running", "print a line of JSON for each token: id, logprob"),
    I64_ROW(V, window, "window", 0, "2048", 0, 1 << 24, "Running",
            "tokens in a window; 0: the whole context of the model, which is also the most"),
    ENGINE_ROW(V, engine, "Running"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};

static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* A line of JSON for each token. */
static enum status print_tokens(struct ctx *c, const struct loglik *l)
{
    struct buf line;
    buf_init(&line, c, 256);
    for (size_t i = 0; i < l->ids.n; i++) {
        buf_clear(&line);
        buf_printf(&line, "{\"id\":%d,\"logprob\":", l->ids.data[i]);
        json_append_f64(&line, l->logprob[i]); /* the first token's is NaN: null */
        buf_append_char(&line, '}');
        puts(buf_str(&line));
    }
    buf_release(&line);
    return c->status;
}

/* The three figures for people, and how the text was cut where it was longer than a window. */
static void print_summary(const struct loglik *l, int64_t window)
{
    printf("tokens                 %lld scored\n", (long long)l->n_scored);
    printf("mean log-probability   %.6f\n", loglik_mean(l));
    printf("perplexity             %.4f\n", loglik_perplexity(l));
    if ((int64_t)l->ids.n > window) printf("windows                of %lld tokens, one shared\n", (long long)window);
}

static enum status perplexity_score(const struct perplexity_values *v, struct loaded *l, const struct file_map *text)
{
    struct ctx *c = l->c;
    struct loglik result;
    int64_t context = l->engine->context;
    int64_t window = v->window > 0 && v->window < context ? v->window : context;
    enum status status =
        loglik_text(l->engine, l->tokenizer, (const char *)file_map_data(text), file_map_size(text), window, &result);
    if (status == OK) status = file_check(c, text);
    if (status != OK) {
        ctx_prefix(c, "%s", v->file);
    } else if (v->json) {
        status = print_tokens(c, &result);
    } else {
        print_summary(&result, window);
    }
    loglik_release(c, &result);
    return status;
}

/* A file of rows is scored as the text that it is, braces and names of members included, which is seldom what is wanted. */
static void warn_of_rows(struct ctx *c, const char *file)
{
    static const char *const ENDINGS[] = {".jsonl", ".json", ".parquet"};
    const char *dot = strrchr(file, '.');
    for (size_t i = 0; dot && i < sizeof ENDINGS / sizeof *ENDINGS; i++) {
        if (strcmp(dot, ENDINGS[i]) == 0)
            ctx_log(c, LOG_WARN, "%s is scored as plain text, JSON and all; your_ai eval -d scores the rows of a file",
                    file);
    }
}

static enum status cmd_perplexity_run(const struct command_call *call)
{
    const struct perplexity_values *v = call->values;
    struct loaded l;
    struct loaded_options options = {v->model, v->adapter, v->force, v->form, v->device, v->engine, v->threads};
    struct file_map *text = NULL;
    warn_of_rows(call->c, v->file);
    enum status status = loaded_open(&l, call->c, &options);
    if (status == OK) {
        text = file_map_open(call->c, v->file);
        status = text ? perplexity_score(v, &l, text) : call->c->status;
    }
    file_map_close(text);
    loaded_close(&l);
    return status;
}

const struct command command_perplexity = {
    .name = "perplexity",
    .summary = "scores a text file: mean log-probability and perplexity",
    .usage = "-m MODEL [--adapter DIR] -f FILE [--json] [options]",
    .about =
        "Prints how probable the model finds the text: the mean log-probability of its tokens (natural logarithm) and the\n"
        "perplexity, exp of its negative. A text longer than a window is cut into windows that share one token, so every\n"
        "token is scored exactly once, given what comes before it in its window. The first token (BOS, where the model has\n"
        "one) has nothing before it and is not scored; with --json its logprob is null.",
    .table = &table,
    .values_bytes = sizeof(struct perplexity_values),
    .run = cmd_perplexity_run,
};
