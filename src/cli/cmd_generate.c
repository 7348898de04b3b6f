/* cmd_generate: text from a model, as it comes, or one JSON object at the end. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "cli/prompt_file.h"
#include "cli/prompt_ids.h"
#include "engine/engine_rows.h"
#include "eval/generate.h"
#include "io/json.h"

struct generate_values {
    const char *model, *adapter, *prompt, *file, *system;
    bool force, chat, json;
    struct model_options form;
    int chat_template; /* enum chat_choice */
    const char *date, *device;
    enum engine_kind engine;
    int64_t max_tokens, top_k, seed, threads;
    double temperature, top_p;
};
#define V struct generate_values

enum { TEXT_CAP_BYTES = 1 << 30 };

static const struct option_spec specs[] = {
    ADAPTED_MODEL_ROWS(V, "Input"),
    STRING_ROW(V, prompt, "prompt", 'p', NULL, "TEXT", "Input",
               "text that the model continues, or with --chat the user's message"),
    STRING_ROW(V, file, "file", 'f', NULL, "FILE", "Input", "file with the prompt, instead; - is standard input"),
    FLAG_ROW(V, chat, "chat", 0, "false", "Input", "put the prompt into the chat template as a message of the user"),
    STRING_ROW(V, system, "system", 0, NULL, "TEXT", "Input", "system message before it, with --chat"),
    CHOICE_ROW(V, chat_template, "template", 0, "auto", "auto|chatml|llama3", "Input",
               "chat template to use; auto: the one that comes with the model"),
    STRING_ROW(V, date, "date", 0, NULL, "DATE", "Input",
               "date that the chat template takes for today; without it 2024-07-26, so that results can be repeated"),

    I64_ROW(V, max_tokens, "max-tokens", 'n', "256", 1, 1 << 24, "Choice of tokens", "largest number of new tokens"),
    SAMPLE_ROWS(V, "0", "1", "Choice of tokens"),
    I64_ROW(V, seed, "seed", 0, "0", 0, 0x1p53, "Choice of tokens",
            "seed of the random choice; the same seed, the same text"),

    FLAG_ROW(V, json, "json", 0, "false", "Running",
             "print one JSON object at the end (prompt_tokens, ids, text, end) instead of the text"),
    ENGINE_ROW(V, engine, "Running"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};

static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* ---- the answer ------------------------------------------------------------------------------------------------------ */

/* Where new tokens go: to the terminal at once, unless JSON is wanted. */
struct stream {
    const struct loaded *l;
    struct buf text;
    bool quiet;
};

static bool on_token(void *user, int32_t id)
{
    struct stream *s = user;
    size_t before = s->text.len;
    if (tokenizer_decode(s->l->c, s->l->tokenizer, &id, 1, true, &s->text) != OK) return false;
    if (s->quiet) return true;
    fwrite(buf_str(&s->text) + before, 1, s->text.len - before, stdout);
    return fflush(stdout) == 0; /* a reader that went away ends it */
}

/* {"prompt_tokens": N, "ids": [...], "text": "...", "end": "stop"} on one line. */
static enum status generate_print_json(const struct stream *s, size_t n_prompt, const struct ids *new, enum generate_end end)
{
    struct buf line;
    buf_init(&line, s->l->c, TEXT_CAP_BYTES);
    buf_printf(&line, "{\"prompt_tokens\":%zu,\"ids\":[", n_prompt);
    for (size_t i = 0; i < new->n; i++) buf_printf(&line, i ? ",%d" : "%d", new->data[i]);
    buf_append_str(&line, "],\"text\":");
    json_append_string(&line, buf_str(&s->text), s->text.len);
    buf_printf(&line, ",\"end\":\"%s\"}", generate_end_name(end));
    if (buf_ok(&line)) puts(buf_str(&line));
    buf_release(&line);
    return s->l->c->status;
}

/* Generates, prints, and says when the context ended the text and not the model. */
static enum status answer(const struct generate_values *v, const struct loaded *l, const struct ids *prompt)
{
    struct stream s = {.l = l, .quiet = v->json};
    struct ids new = {0};
    enum generate_end end = GENERATE_LENGTH;
    struct generate_params p = {
        .max_tokens = v->max_tokens,
        .sample = {.temperature = v->temperature, .top_k = v->top_k, .top_p = v->top_p, .seed = (uint64_t)v->seed},
        .tokenizer = l->tokenizer,
        .on_token = on_token,
        .user = &s,
    };
    buf_init(&s.text, l->c, TEXT_CAP_BYTES);
    enum status status = generate_run(l->engine, prompt->data, prompt->n, &p, &new, &end);
    /* The callback has no status to return: a failure to decode a token is in the ctx only. */
    if (status == OK) status = l->c->status; /* what on_token met */
    if (status == OK && v->json) status = generate_print_json(&s, prompt->n, &new, end);
    if (status == OK && !v->json) putchar('\n');
    if (status == OK && end == GENERATE_CONTEXT)
        ctx_log(l->c, LOG_WARN, "the model's context of %lld tokens is full", (long long)l->engine->context);
    buf_release(&s.text);
    ids_release(l->c, &new);
    return status;
}

static enum status cmd_generate_run(const struct command_call *call)
{
    const struct generate_values *v = call->values;
    struct loaded l;
    struct loaded_options options = {v->model, v->adapter, v->force, v->form, v->device, v->engine, v->threads};
    struct ids prompt = {0};
    if (!v->prompt == !v->file)
        return ctx_fail(call->c, E_INPUT, "%s",
                        v->file ? "--prompt and --file: give one of them" : "give a prompt: --prompt TEXT or --file FILE");
    char *text = v->file ? prompt_file_read(call->c, v->file) : NULL;
    if (!ctx_ok(call->c)) return call->c->status;
    enum status status = loaded_open(&l, call->c, &options);
    const struct prompt_options form = {v->chat, v->chat_template, v->system, v->date};
    if (status == OK) status = prompt_ids_encode(&l, &form, text ? text : v->prompt, &prompt);
    if (status == OK) status = answer(v, &l, &prompt);
    ids_release(call->c, &prompt);
    mem_free(call->c, text);
    loaded_close(&l);
    return status;
}

const struct command command_generate = {
    .name = "generate",
    .summary = "continues a text, or answers a message",
    .usage = "-m MODEL [--adapter DIR] -p TEXT | -f FILE [options]",
    .about =
        "Prints the tokens that the model adds to the prompt, each as soon as it is known, until the model ends the text,\n"
        "--max-tokens have come, or the model's context is full. The prompt is plain text: the name of a control token in\n"
        "it, such as <|im_end|>, is read as ordinary characters.",
    .table = &table,
    .values_bytes = sizeof(struct generate_values),
    .run = cmd_generate_run,
};
