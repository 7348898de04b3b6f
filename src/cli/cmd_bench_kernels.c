/* cmd_bench_kernels: measures what a model does on this machine beside what the machine can do at most. The measurements are
 * in src/measure; this file reads the options, opens the model with a profile around its backend, and prints. */
#include <stdio.h>
#include <string.h>

#include "backend/backend_open.h"
#include "base/threads.h"
#include "cli/bench_page.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "cli/loaded.h"

struct bench_values {
    const char *model, *prompt;
    bool json;
    int only; /* 0: all; else enum part */
    struct model_options form;
    const char *device;
    int64_t documents, length, rank, new_tokens, runs, threads;
};
#define V struct bench_values

enum part { PART_ALL, PART_MACHINE, PART_KERNELS, PART_TRAIN, PART_GENERATE };
enum { TEXT_CAP_BYTES = 1 << 24 };

/* What is generated from and trained on by default: plain English, some 64 tokens. */
static const char default_prompt[] =
    "A river does not hurry, and yet it arrives. In spring it carries the snow of the mountains through the valley, "
    "past the mill and the old stone bridge, and in autumn it brings leaves from forests that nobody in the town has "
    "ever seen. The people who live beside it measure the year by its height, and they say that";

static const struct option_spec specs[] = {
    MODEL_ROW(V, model, "model", "Input"),
    MODEL_ROWS(V, form, "Input"),
    STRING_ROW(V, prompt, "prompt", 'p', NULL, "TEXT", "Input",
               "text that is trained on and continued; without it, three sentences of English"),

    CHOICE_ROW(V, only, "only", 0, "all", "all|machine|kernels|train|generate", "What is measured",
               "measure one part alone"),
    I64_ROW(V, documents, "documents", 'b', "4", 1, 4096, "What is measured", "documents in a training step"),
    I64_ROW(V, length, "length", 0, "512", 2, 1 << 20, "What is measured", "tokens in a document"),
    I64_ROW(V, rank, "rank", 'r', "16", 1, 1024, "What is measured", "rank of the adapter, which is on all linear layers"),
    I64_ROW(V, new_tokens, "max-tokens", 'n', "128", 2, 1 << 20, "What is measured", "tokens to generate"),
    I64_ROW(V, runs, "runs", 0, "3", 1, 1000, "What is measured", "how often each part is run; the fastest run counts"),

    FLAG_ROW(V, json, "json", 0, "false", "Running", "print one JSON object instead of tables"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};

static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* Whether --only asks for this part, or for all. */
static bool wanted(const struct bench_values *v, enum part part)
{
    return v->only == PART_ALL || v->only == (int)part;
}

/* The text's tokens, checked against the model's vocabulary. */
static enum status cmd_bench_kernels_encode(const struct loaded *l, const char *text, struct ids *ids)
{
    TRY(tokenizer_encode_text(l->c, l->tokenizer, text, strlen(text), false, ids));
    return tokenizer_check_ids(l->c, l->tokenizer, ids->data, ids->n, l->model->config.vocab);
}

/* As loaded_open does, but every kernel is called through the profile. */
static enum status open_profiled(struct loaded *l, struct ctx *c, const struct bench_values *v, struct profile *p)
{
    *l = (struct loaded){.c = c};
    TRY(ctx_set_threads(c, (int)v->threads));
    TRY(array_env_new(c, profile_open(p, backend_open(c, v->device))));
    struct loaded_options options = {.model = v->model, .form = v->form};
    return loaded_open_files(l, c, &options);
}

/* The parts that are wanted, in the order of the page. */
static enum status cmd_bench_kernels_measure(const struct bench_values *v, struct model *m, struct profile *p,
                                             const struct ids *text, struct bench *b)
{
    struct bench_options o = {
        .documents = v->documents, .length = v->length, .rank = v->rank, .new_tokens = v->new_tokens, .runs = v->runs};
    if (v->only != PART_TRAIN) TRY(bench_machine_run(m->c, b));
    b->machine.threads = threads_count(m->c);
    if (wanted(v, PART_KERNELS)) TRY(bench_kernels_run(m, &o, b));
    if (wanted(v, PART_TRAIN)) TRY(bench_step_run(m, p, &o, text, b));
    if (wanted(v, PART_GENERATE)) TRY(bench_generate_run(m, p, &o, text, b));
    return OK;
}

/* The page for people or the JSON object. */
static enum status print(const struct bench_values *v, const struct model *m, const struct bench *b)
{
    struct buf text;
    buf_init(&text, m->c, TEXT_CAP_BYTES);
    if (v->json)
        bench_page_json(b, m, &text);
    else
        bench_page_table(b, m, &text);
    if (buf_ok(&text)) fputs(buf_str(&text), stdout);
    buf_release(&text);
    return m->c->status;
}

static enum status cmd_bench_kernels_run(const struct command_call *call)
{
    const struct bench_values *v = call->values;
    struct ctx *c = call->c;
    struct profile profile;
    struct bench b = {.n_kernels = 0};
    struct loaded l;
    struct ids text = {0};
    enum status status = open_profiled(&l, c, v, &profile);
    if (status == OK) status = cmd_bench_kernels_encode(&l, v->prompt ? v->prompt : default_prompt, &text);
    if (status == OK) status = cmd_bench_kernels_measure(v, l.model, &profile, &text, &b);
    if (status == OK) status = print(v, l.model, &b);
    ids_release(c, &b.generated);
    ids_release(c, &text);
    loaded_close(&l);
    if (c->array_env) array_env_free(c); /* it refers to the profile */
    return status;
}

const struct command command_bench_kernels = {
    .name = "bench-kernels",
    .summary = "measures training and generation against what the machine can do at most",
    .usage = "-m MODEL [--only PART] [--json] [options]",
    .about =
        "Prints the machine's ceilings (f32 multiply-adds and reading memory), how near each kernel comes to them at the\n"
        "model's shapes, the tokens per second of a training step and of generation, and the time of each primitive in\n"
        "them. Each part is run --runs times and the fastest run counts, because other programs only make a run slower.",
    .table = &table,
    .values_bytes = sizeof(struct bench_values),
    .run = cmd_bench_kernels_run,
};
