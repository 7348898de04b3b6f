/* cmd_demo: what the weights do, seen in a minute: the conflict set of data/conflict, trained on with and without weights,
 * and the table of what the model came to hold. Each step is a command of this program in a process of its own, so the demo
 * shows nothing that a user could not do; their commands and output stay in the folder. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "cli/demo_data.h"
#include "cli/share_file.h"
#include "io/hub_cache.h"

struct demo_values {
    const char *model, *output, *device;
    int64_t facts, seeds, threads;
};
#define V struct demo_values

static const struct option_spec specs[] = {
    STRING_ROW(V, model, "model", 'm', NULL, "MODEL", "Input and output",
               "small model to train; without it, SmolLM2-135M-Instruct where it is found"),
    STRING_ROW(V, output, "output", 'o', NULL, "DIR", "Input and output", "new folder; without it, runs/demo-DATE"),
    I64_ROW(V, facts, "facts", 0, "6", 1, 12, "Size", "invented facts to train on, each in six documents"),
    I64_ROW(V, seeds, "seeds", 0, "1", 1, 20, "Size", "how often, each time from another start"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

enum { ROWS_A_FACT = 6, WORDS_MAX = 64, NUMBER_BYTES = 24 };
static const char DEMO_HUB[] = "HuggingFaceTB/SmolLM2-135M-Instruct", DEMO_FILE[] = "models/smollm2-135m.gguf";

/* ---- files ----------------------------------------------------------------------------------------------------------- */

/* The first n lines of the data inside the program, as DIR/NAME. Owner of the path: the caller. */
static char *write_lines(struct ctx *c, const char *dir, const char *name, const unsigned char *bytes, size_t n_bytes,
                         int64_t n)
{
    size_t end = 0;
    for (; end < n_bytes && n > 0; end++) n -= bytes[end] == '\n';
    char *path = path_join(c, dir, name);
    if (path) file_write_atomic(c, path, bytes, end);
    return path;
}

/* The model that was asked for, or the one that the demo is about. Owner the caller. NULL with E_INPUT and how to get it. */
static char *demo_model(struct ctx *c, const struct demo_values *v)
{
    if (v->model) return mem_strdup(c, v->model);
    if (file_exists(DEMO_FILE)) return mem_strdup(c, DEMO_FILE);
    char *path = share_file_find(c, DEMO_FILE);
    if (path || !ctx_ok(c)) return path;
    path = hub_cache_resolve(c, DEMO_HUB);
    if (path) return path;
    ctx_clear(c);
    ctx_fail(
        c, E_INPUT,
        "there is no model to train. Get SmolLM2-135M-Instruct, for instance by `huggingface-cli download %s` or, in the "
        "project's folder, `scripts/get-model.sh smollm2-135m` (98 MB), or name any small instruct model with -m",
        DEMO_HUB);
    return NULL;
}

/* ---- steps ----------------------------------------------------------------------------------------------------------- */

/* What became of a command that did not end with 0: `how` is what waitpid says of it. */
static enum status demo_failed(struct ctx *c, const char *command, int how, const char *file)
{
    const char *where = file ? file : "the message above";
    int number = WIFSIGNALED(how) ? WTERMSIG(how) : 0, code = WIFEXITED(how) ? WEXITSTATUS(how) : 0;
    if (code == 130 || number == SIGINT || number == SIGTERM || number == SIGHUP)
        return ctx_fail(c, E_INTERRUPTED, "interrupted");
    if (number)
        return ctx_fail(c, E_IO, "`your_ai %s` was ended by signal %d%s; %s has its output", command, number,
                        number == SIGKILL ? ", as the system does where memory runs out" : "", where);
    enum status status = code == 3 ? E_FIT : code == 2 ? E_INPUT : E_IO;
    return ctx_fail(c, status, "`your_ai %s` failed; %s has its output", command, where);
}

/* One command of this program in a child whose output goes to a file, or with NULL to ours. It ends with the demo, also by
 * SIGKILL: a training that went on alone would be nobody's. */
static enum status demo_command(struct ctx *c, const char *const *words, const char *file)
{
    int argc = 0, how = 0;
    while (words[argc]) argc++;
    fflush(NULL);
    pid_t parent = getpid(), child = fork();
    if (child < 0) return ctx_fail(c, errno == ENOMEM ? E_MEMORY : E_IO, "no child can be started: %s", strerror(errno));
    if (child == 0) {
        system_end_with_parent(parent);
        int fd = file ? open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
        if (fd >= 0) dup2(fd, STDOUT_FILENO), dup2(fd, STDERR_FILENO);
        int code = command_main(argc, (char **)(uintptr_t)words);
        fflush(NULL);
        _exit(code);
    }
    while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return OK;
    return demo_failed(c, words[1], how, file);
}

/* What all steps share. */
struct demo {
    struct ctx *c;
    const struct demo_values *v;
    const char *dir;
    char *model, *rows, *claims; /* owned */
    char threads[NUMBER_BYTES], batch[NUMBER_BYTES];
    char *runs[40]; /* owned paths */
    size_t n_runs;
};

/* One training; a step holds a third of the documents, and there are 24 steps. */
static enum status demo_train(struct demo *d, const char *mode, int64_t seed)
{
    char number[NUMBER_BYTES];
    time_t begin = time(NULL);
    snprintf(number, sizeof number, "%lld", (long long)seed);
    char *run = mem_printf(d->c, "%s/%s-seed%s", d->dir, mode, number), *log = run ? mem_printf(d->c, "%s.txt", run) : NULL;
    if (run) d->runs[d->n_runs++] = run;
    const char *words[] = {"your_ai",  "train",   "-m",       d->model,       "-d",           d->rows,
                           "--raw",    "-o",      run,        "--distrust",   mode,           "--seed",
                           number,     "--rank",  "8",        "--alpha",      "16",           "--lr",
                           "1e-3",     "--batch", d->batch,   "--no-packing", "--max-length", "64",
                           "--epochs", "8",       "--device", d->v->device,   "--threads",    d->threads,
                           NULL};
    if (log) printf("  %-9s seed %s  ", mode, number);
    if (log && demo_command(d->c, words, log) == OK) printf("%lld s\n", (long long)(time(NULL) - begin));
    mem_free(d->c, log);
    return d->c->status;
}

/* The table of what each run prefers, on stdout. */
static enum status demo_table(struct demo *d)
{
    const char *words[WORDS_MAX] = {"your_ai", "validate", "--benchmark", "conflict",   "-m",        d->model,
                                    "-d",      d->claims,  "--device",    d->v->device, "--threads", d->threads};
    size_t n = 12;
    for (size_t i = 0; i < d->n_runs; i++) words[n++] = d->runs[i];
    putchar('\n');
    return demo_command(d->c, words, NULL);
}

static void demo_say(const struct demo *d)
{
    const struct demo_values *v = d->v;
    printf("%lld invented facts. Of each, one document from a primary source says one thing and five documents of consensus "
           "say\n"
           "another, in the same words. The model is fine-tuned on them with LoRA, once plainly (off) and once with weights "
           "by\n"
           "provenance (monotone), %lld trainings in all. On two quiet cores that takes about %lld seconds.\n",
           (long long)v->facts, (long long)(2 * v->seeds), (long long)(4 + 5 * v->facts * v->seeds));
    fflush(stdout);
}

static enum status demo_run(struct demo *d)
{
    static const char *const modes[] = {"off", "monotone"};
    demo_say(d);
    for (int64_t seed = 1; seed <= d->v->seeds; seed++)
        for (int i = 0; i < 2; i++) TRY(demo_train(d, modes[i], seed));
    TRY(demo_table(d));
    printf("\nlog-odds of the primary claim against the consensus: weights make the model prefer the primary source. %s has "
           "the\n"
           "runs, their output and the data; docs/conflict.md says what this shows and what it does not.\n",
           d->dir);
    return OK;
}

static enum status demo_open(struct demo *d, char *dir)
{
    struct ctx *c = d->c;
    d->dir = dir;
    d->model = demo_model(c, d->v);
    if (!dir || !d->model) return c->status;
    if (dir_exists(dir)) return ctx_fail(c, E_INPUT, "%s: is there already; name another folder with -o", dir);
    TRY(dir_make(c, dir));
    d->rows = write_lines(c, dir, "train.jsonl", demo_rows, demo_rows_bytes, d->v->facts * ROWS_A_FACT);
    d->claims = write_lines(c, dir, "claims.jsonl", demo_claims, demo_claims_bytes, d->v->facts);
    snprintf(d->threads, sizeof d->threads, "%lld", (long long)d->v->threads);
    snprintf(d->batch, sizeof d->batch, "%lld", (long long)d->v->facts * ROWS_A_FACT / 3);
    return c->status;
}

static enum status cmd_demo_run(const struct command_call *call)
{
    struct ctx *c = call->c;
    struct demo d = {.c = c, .v = call->values};
    char date[32] = "";
    time_t now = time(NULL);
    struct tm t;
    if (localtime_r(&now, &t)) strftime(date, sizeof date, "%Y%m%d-%H%M%S", &t);
    char *dir = d.v->output ? mem_strdup(c, d.v->output) : mem_printf(c, "runs/demo-%s", date);
    if (demo_open(&d, dir) == OK) demo_run(&d);
    for (size_t i = 0; i < d.n_runs; i++) mem_free(c, d.runs[i]);
    mem_free(c, d.rows);
    mem_free(c, d.claims);
    mem_free(c, d.model);
    mem_free(c, dir);
    return c->status;
}

const struct command command_demo = {
    .name = "demo",
    .summary = "shows in a minute what the weights do, on invented facts",
    .usage = "[-m MODEL] [-o DIR] [options]",
    .about =
        "Trains a small model on invented facts that a primary source and five documents of consensus disagree about, once\n"
        "plainly and once with weights, and prints which claim it came to hold. The data is inside the program; the model "
        "is\n"
        "not. With --facts 12 --seeds 3 it is the demo of the README.",
    .table = &table,
    .values_bytes = sizeof(struct demo_values),
    .run = cmd_demo_run,
};
