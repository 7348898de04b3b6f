/* cmd_chat: a conversation with a model, through the public library: what this file does, a host program can do. Each turn
 * is the whole conversation in the model's chat template, so what the model sees is what it was trained on; of it only what
 * is new goes through the model, as long as the turns before are its beginning, token for token. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/adapter_folder.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "cli/line_edit.h"
#include "cli/prompt_file.h"
#include "your_ai.h"

struct chat_values {
    const char *model, *adapter, *prompt, *file, *system, *device;
    bool force, speed;
    struct model_options form;
    int64_t max_tokens, top_k, seed, threads;
    double temperature, top_p, repeat_penalty;
    struct option_list stop;
};
#define V struct chat_values

enum { ANSWER_CAP_BYTES = 1 << 26, SOURCE_MAX = 32 };

static const struct option_spec specs[] = {
    ADAPTED_MODEL_ROWS(V, "Input"),
    STRING_ROW(V, system, "system", 0, NULL, "TEXT", "Input", "system message at the beginning"),
    STRING_ROW(V, prompt, "prompt", 'p', NULL, "TEXT", "Input", "answer this message and end"),
    STRING_ROW(V, file, "file", 'f', NULL, "FILE", "Input", "answer the message in this file and end; -: standard input"),

    I64_ROW(V, max_tokens, "max-tokens", 'n', "1024", 1, 1 << 24, "Choice of tokens",
            "largest number of tokens of an answer"),
    SAMPLE_ROWS(V, "0.7", "0.95", "Choice of tokens"),
    F64_ROW(V, repeat_penalty, "repeat-penalty", 0, "1", 0.1, 10, "Choice of tokens",
            "divide the logits of tokens that were there already by this where they are positive, and multiply them where "
            "negative; 1: no penalty"),
    LIST_ROW(V, stop, "stop", 0, false, "TEXT", "Choice of tokens", "end the answer before this text"),
    I64_ROW(V, seed, "seed", 0, "0", 0, 0x1p53, "Choice of tokens",
            "seed of the random choice, counted up by one each turn"),

    FLAG_ROW(V, speed, "speed", 0, "true", "Running", "say after each answer how fast it came, on stderr"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* A conversation and the model that holds it. */
struct chat {
    struct ctx *c;
    const struct chat_values *v;
    ya_ctx *ya;
    ya_model *model;
    ya_message *messages; /* (n), contents owned */
    size_t n, room;
    struct buf answer; /* of the running turn */
    double first;      /* when its first token came; 0: none yet */
    int64_t turns;
};

static volatile sig_atomic_t chat_stopped;

static void note_interrupt(int signal_number)
{
    (void)signal_number;
    chat_stopped = 1;
}

static double chat_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The library's failure as the command's own. */
static enum status fail_as(struct chat *k)
{
    const char *kind = ya_error_kind(k->ya), *says = ya_error(k->ya);
    static const struct {
        const char *kind;
        enum status status;
    } kinds[] = {{"input", E_INPUT}, {"io", E_IO}, {"fit", E_FIT}, {"unsupported", E_UNSUPPORTED}, {"numeric", E_NUMERIC}};
    enum status status = E_MEMORY;
    for (size_t i = 0; kind && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kind, kinds[i].kind) == 0) status = kinds[i].status;
    return ctx_fail(k->c, status, "%s", says ? says : "out of memory");
}

/* ---- the conversation ------------------------------------------------------------------------------------------------- */

static enum status add_message(struct chat *k, const char *role, const char *content)
{
    if (k->n == k->room) {
        size_t more = k->room ? 2 * k->room : 16;
        ya_message *grown = mem_resize(k->c, k->messages, k->room, more, sizeof *grown);
        if (!grown) return k->c->status;
        k->messages = grown;
        k->room = more;
    }
    char *copy = mem_strdup(k->c, content);
    if (copy) k->messages[k->n++] = (ya_message){role, copy};
    return k->c->status;
}

/* Removes `count` messages from the place `at`. */
static void drop_messages(struct chat *k, size_t at, size_t count)
{
    for (size_t i = at; i < at + count; i++) mem_free(k->c, (char *)(uintptr_t)k->messages[i].content);
    if (k->n > at + count) memmove(k->messages + at, k->messages + at + count, (k->n - at - count) * sizeof *k->messages);
    k->n -= count;
}

static bool has_system(const struct chat *k)
{
    return k->n && strcmp(k->messages[0].role, "system") == 0;
}

/* Begins again, with this system message or none. */
static enum status start_again(struct chat *k, const char *system)
{
    drop_messages(k, 0, k->n);
    return system && *system ? add_message(k, "system", system) : OK;
}

/* The ids of the conversation; the oldest exchanges are left out, and said to be, where it is longer than the context. */
static enum status chat_encode(struct chat *k, int32_t **ids, int64_t *n)
{
    int64_t context = ya_model_context(k->model), dropped = 0;
    for (;;) {
        *n = ya_chat_prompt(k->model, k->messages, k->n, NULL, 0);
        if (*n < 0) return fail_as(k);
        size_t first = has_system(k);
        if (*n < context || k->n < first + 3) break;
        drop_messages(k, first, 2);
        dropped++;
    }
    if (*n >= context)
        return ctx_fail(k->c, E_INPUT, "the message has %lld tokens, and the model's context holds %lld", (long long)*n,
                        (long long)context);
    if (dropped)
        fprintf(stderr, "(the context of %lld tokens is full: the oldest %lld exchanges are left out)\n", (long long)context,
                (long long)dropped);
    *ids = mem_alloc(k->c, (size_t)*n, sizeof **ids);
    if (*ids && ya_chat_prompt(k->model, k->messages, k->n, *ids, (size_t)*n) < 0) return fail_as(k);
    return k->c->status;
}

/* ---- a turn ---------------------------------------------------------------------------------------------------------- */

static int chat_token(void *user, int32_t id, const char *text, size_t n)
{
    struct chat *k = user;
    (void)id;
    if (k->first == 0) k->first = chat_seconds();
    buf_append(&k->answer, text, n);
    fwrite(text, 1, n, stdout);
    if (fflush(stdout) != 0) return 1; /* a reader that went away ends it */
    return chat_stopped || !buf_ok(&k->answer);
}

static void print_speed(const struct chat *k, int64_t n_prompt, int64_t n, double begin)
{
    double end = chat_seconds(), first = k->first > 0 ? k->first : end;
    if (!k->v->speed) return;
    if (k->turns == 1)
        fprintf(stderr, "(%lld tokens read in %.2f s", (long long)n_prompt, first - begin);
    else /* what was read before is kept */
        fprintf(stderr, "(%lld tokens so far, the new ones read in %.2f s", (long long)n_prompt, first - begin);
    if (n > 1) fprintf(stderr, ", %lld written at %.1f tokens/s", (long long)n, (double)(n - 1) / (end - first));
    fputs(")\n", stderr);
}

/* Generates behind the ids, with Ctrl-C ending the answer and not the program. */
static enum status chat_generate_answer(struct chat *k, const int32_t *ids, int64_t n)
{
    const struct chat_values *v = k->v;
    ya_generate_options o = ya_generate_defaults();
    struct sigaction action = {.sa_handler = note_interrupt}, saved;
    const char *end = NULL;
    double begin = chat_seconds();
    o.max_tokens = v->max_tokens;
    o.temperature = v->temperature;
    o.top_k = v->top_k;
    o.top_p = v->top_p;
    o.repeat_penalty = v->repeat_penalty;
    o.seed = (uint64_t)(v->seed + k->turns++);
    o.stop = v->stop.items;
    o.n_stop = v->stop.n;
    o.keep = 1;
    buf_clear(&k->answer);
    k->first = 0;
    chat_stopped = 0;
    sigaction(SIGINT, &action, &saved);
    int64_t count = ya_generate(k->model, ids, (size_t)n, &o, chat_token, k, NULL, 0, &end);
    sigaction(SIGINT, &saved, NULL);
    if (count < 0) return fail_as(k);
    putchar('\n');
    fflush(stdout);
    print_speed(k, n, count, begin);
    if (end && strcmp(end, "length") == 0)
        fprintf(stderr, "(--max-tokens %lld ended the answer)\n", (long long)v->max_tokens);
    if (end && strcmp(end, "context") == 0) fputs("(the model's context is full: /reset begins again)\n", stderr);
    return k->c->status;
}

/* Keeps the answer. One that ended in the middle of a character, by Ctrl-C or --max-tokens, would make every later turn
 * invalid: bytes that are no UTF-8 become U+FFFD. */
static enum status chat_add_answer(struct chat *k)
{
    struct buf text;
    const char *p = buf_str(&k->answer), *end = p + k->answer.len;
    buf_init(&text, k->c, ANSWER_CAP_BYTES);
    while (p < end) {
        size_t n = utf8_length((const uint8_t *)p, (size_t)(end - p));
        if (n > 0)
            buf_append(&text, p, n);
        else
            buf_append_str(&text, "\xEF\xBF\xBD");
        p += n > 0 ? n : 1;
    }
    if (buf_ok(&text)) add_message(k, "assistant", buf_str(&text));
    buf_release(&text);
    return k->c->status;
}

/* Asks, prints the answer and keeps both. After a failure the message is not part of the conversation. */
static enum status take_turn(struct chat *k, const char *message)
{
    int32_t *ids = NULL;
    int64_t n = 0;
    TRY(add_message(k, "user", message));
    enum status status = chat_encode(k, &ids, &n);
    if (status == OK) status = chat_generate_answer(k, ids, n);
    mem_free(k->c, ids);
    if (status == OK) return chat_add_answer(k);
    drop_messages(k, k->n - 1, 1);
    return status;
}

/* ---- the commands of a conversation ---------------------------------------------------------------------------------- */

/* A line that begins with "/". *done: the conversation is over. */
static enum status run_word(struct chat *k, const char *line, bool *done)
{
    *done = strcmp(line, "/quit") == 0 || strcmp(line, "/exit") == 0 || strcmp(line, "/bye") == 0;
    if (*done) return OK;
    if (strcmp(line, "/reset") == 0) {
        puts("(a new conversation)");
        return start_again(k, has_system(k) ? k->v->system : NULL);
    }
    if (strncmp(line, "/system", 7) == 0 && (line[7] == ' ' || line[7] == '\0')) {
        puts(line[7] ? "(a new conversation with this system message)" : "(a new conversation without a system message)");
        return start_again(k, line[7] ? line + 8 : NULL);
    }
    puts("/system TEXT  begin again with this system message; without TEXT, without one\n"
         "/reset        begin again\n"
         "/quit         end; Ctrl-D does too. Ctrl-C ends an answer");
    return OK;
}

/* Line after line until the end of the input. What the model or its template refuses is said, and the conversation
 * continues.
 */
static enum status converse(struct chat *k)
{
    struct line_edit l;
    bool done = false;
    line_edit_init(&l, k->c, "> ", STDIN_FILENO, STDOUT_FILENO);
    puts("Type a message and Enter; /help lists the commands, Ctrl-D ends.");
    while (!done && ctx_ok(k->c)) {
        fflush(stdout);
        enum line_result result = line_edit_read(&l);
        if (result == LINE_END) break;
        if (result == LINE_GIVEN_UP || l.line.len == 0) continue;
        enum status status =
            *buf_str(&l.line) == '/' ? run_word(k, buf_str(&l.line), &done) : take_turn(k, buf_str(&l.line));
        if (status != E_INPUT) continue;
        fprintf(stderr, "error: %s\n", k->c->message);
        ctx_clear(k->c);
        ya_error_clear(k->ya);
    }
    line_edit_release(&l);
    return k->c->status;
}

/* ---- opening --------------------------------------------------------------------------------------------------------- */

static void chat_log(void *user, ya_log_level level, const char *message)
{
    (void)user;
    if (level == YA_LOG_WARN) fprintf(stderr, "warning: %s\n", message);
}

static enum status chat_open_model(struct chat *k)
{
    const struct chat_values *v = k->v;
    char base[SOURCE_MAX], compute[SOURCE_MAX];
    const ya_option options[] = {
        {"base-type", options_choice(&specs[options_find(&table, "base-type")], (int)v->form.base, base, sizeof base)},
        {"compute", options_choice(&specs[options_find(&table, "compute")], (int)v->form.compute, compute, sizeof compute)},
    };
    ya_adapter *adapter = NULL;
    if (strcmp(v->device, "auto") != 0) setenv("YA_DEVICE", v->device, 1); /* what a ya_ctx goes by */
    k->ya = ya_ctx_new(&(ya_hooks){.log = chat_log});
    if (ya_error(k->ya) || ya_ctx_set_threads(k->ya, (int)v->threads) != 0) return fail_as(k);
    k->model = ya_model_open(k->ya, v->model, options, 2);
    bool run;
    char *folder = v->adapter ? adapter_folder_find(k->c, v->adapter, &run) : NULL;
    if (v->adapter && !folder) return k->c->status;
    if (folder) adapter = v->force ? ya_adapter_load_forced(k->model, folder) : ya_adapter_load(k->model, folder);
    if (folder) ya_model_attach(k->model, adapter);
    mem_free(k->c, folder);
    return ya_error(k->ya) ? fail_as(k) : start_again(k, v->system);
}

static enum status cmd_chat_run(const struct command_call *call)
{
    const struct chat_values *v = call->values;
    struct chat k = {.c = call->c, .v = v};
    if (v->prompt && v->file) return ctx_fail(call->c, E_INPUT, "--prompt and --file: give one of them");
    const char *file = v->file || v->prompt || isatty(STDIN_FILENO) ? v->file : "-";
    char *message = file ? prompt_file_read(call->c, file) : NULL;
    if (!ctx_ok(call->c)) return call->c->status;
    buf_init(&k.answer, call->c, ANSWER_CAP_BYTES);
    enum status status = chat_open_model(&k);
    if (status == OK) status = v->prompt || message ? take_turn(&k, message ? message : v->prompt) : converse(&k);
    drop_messages(&k, 0, k.n);
    mem_free(call->c, k.messages);
    buf_release(&k.answer);
    mem_free(call->c, message);
    if (k.ya) ya_ctx_free(k.ya);
    return status;
}

const struct command command_chat = {
    .name = "chat",
    .summary = "holds a conversation with a model",
    .usage = "-m MODEL [--adapter DIR] [-p TEXT | -f FILE] [options]",
    .about =
        "Answers message after message in the model's chat template, each token as soon as it is known. In a conversation\n"
        "/system TEXT begins again with a system message, /reset begins again, Ctrl-C ends an answer and Ctrl-D the\n"
        "conversation. With -p, -f or a pipe as standard input one message is answered; the answer goes to stdout, the "
        "line\n"
        "about its speed to stderr.",
    .table = &table,
    .values_bytes = sizeof(struct chat_values),
    .run = cmd_chat_run,
};
