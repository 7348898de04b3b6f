/* cmd_data_score: the command around score/score_run.h. It finds the input files (also those in folders), decides whether
 * there is one output or one for each input, and shows progress and a summary on stderr. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/threads.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "prepare/evidence.h"
#include "score/score_run.h"
#include "your_ai.h"

struct data_score_values {
    const char *output, *rules;
    int scorer, on_error, existing, evidence;
    struct group_options groups;
    bool compat, prior, breakdown, quiet;
    int64_t threads;
};
#define V struct data_score_values

static const struct option_spec specs[] = {
    STRING_ROW(
        V, output, "output", 'o', NULL, "OUT", "Output",
        "file for all rows, or folder (one that exists, or a name that ends in /) for one file per input; without it, "
        "standard output"),
    FLAG_ROW(V, breakdown, "breakdown", 0, "true", "Output", "write provenance_score too: what the scores are made of"),
    CHOICE_ROW(V, existing, "existing", 0, "stop", "stop|keep|replace", "Output",
               "what to do with rows that have scores already: fail, leave them as they are, or score them anew"),
    CHOICE_ROW(V, on_error, "on-error", 0, "stop", "stop|skip", "Output",
               "what to do with faulty rows: fail, or leave them out and count them"),
    CHOICE_ROW(V, scorer, "scorer", 0, "citation", "citation|heuristic", "Scoring", "which formula to use (docs/score.md)"),
    FLAG_ROW(V, prior, "prior", 0, "true", "Scoring", "blend the scores with the usual ones of the row's source_type"),
    STRING_ROW(V, rules, "rules", 0, NULL, "FILE", "Scoring",
               "file with the words and weights of the formulas, in place of the built-in ones"),
    FLAG_ROW(V, compat, "compat", 0, "false", "Scoring",
             "reproduce the results of the original scorer, its false positives included"),
    CHOICE_ROW(V, evidence, "evidence", 0, "none", "none|corpus", "Evidence",
               "corpus: also what all inputs say together about the topic of each row (docs/score.md)"),
    GROUP_ROWS(V, groups, "Evidence"),
    THREADS_ROW(V, threads, "Running"),
    FLAG_ROW(V, quiet, "quiet", 'q', "false", "Running", "print no progress and no summary on standard error"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* ---- progress on standard error -------------------------------------------------------------------------------------- */

struct score_view {
    struct timespec start;
    double last; /* seconds after the start at which a line was written */
    bool terminal, open_line;
};

/* Wall time since `start`. */
static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

/* A line twice a second on a terminal, every ten seconds elsewhere. */
static void score_page_show_progress(void *user, const struct score_progress *p)
{
    struct score_view *v = user;
    double now = seconds_since(&v->start), done = (double)p->bytes_done / 1e6;
    if (now - v->last < (v->terminal ? 0.5 : 10)) return;
    v->last = now;
    fprintf(stderr, "%s%.0f MB", v->terminal ? "\r\033[K" : "", done);
    if (p->bytes_all > 0) {
        double all = (double)p->bytes_all / 1e6, left = done > 0 ? now * (all - done) / done : 0;
        fprintf(stderr, " of %.0f MB, %.0f %%, %.0f MB/s, %d:%02d left", all, 100 * done / all, done / now, (int)left / 60,
                (int)left % 60);
    } else {
        fprintf(stderr, ", %.0f MB/s", done / now);
    }
    if (p->skipped > 0) fprintf(stderr, ", %lld faulty", (long long)p->skipped);
    if (!v->terminal) fputc('\n', stderr);
    v->open_line = v->terminal;
    fflush(stderr);
}

/* Wipes the progress line off the terminal. */
static void score_view_end_line(struct score_view *v)
{
    if (v->open_line) fputs("\r\033[K", stderr);
    v->open_line = false;
}

/* What became of one output. */
static void show_summary(struct score_view *v, const char *out, const struct score_run_result *r)
{
    score_view_end_line(v);
    if (r->done_before) {
        fprintf(stderr, "%s: done before, %lld rows (its manifest and files agree)\n", out, (long long)r->rows);
        return;
    }
    fprintf(stderr, "%s: %lld rows", out ? out : "standard output", (long long)r->rows);
    if (r->skipped > 0) fprintf(stderr, ", %lld faulty ones left out", (long long)r->skipped);
    fprintf(stderr, ", %.1f s\n", seconds_since(&v->start));
}

/* ---- inputs ---------------------------------------------------------------------------------------------------------- */

/* Files to be scored, in order: those named, and those of the folders that are named. */
struct score_inputs {
    char **paths; /* owned */
    size_t n, capacity;
};

/* Appends a path, which it takes over. A NULL path is a failure that is in the ctx already. */
static enum status add_input(struct ctx *c, struct score_inputs *in, char *path)
{
    if (!path) return c->status;
    if (in->n == in->capacity) {
        size_t wider = in->capacity ? 2 * in->capacity : 64;
        char **moved = mem_resize(c, in->paths, in->capacity, wider, sizeof *moved);
        if (!moved) {
            mem_free(c, path);
            return c->status;
        }
        in->paths = moved;
        in->capacity = wider;
    }
    in->paths[in->n++] = path;
    return OK;
}

/* Whether a file of a folder is taken for rows, by its name. */
static bool is_row_file(const char *name)
{
    static const char *const endings[] = {".jsonl", ".ndjson", ".json"}, *const packings[] = {"", ".gz", ".zst"};
    char ending[16];
    if (str_has_suffix(name, ".manifest.json")) return false;
    if (str_has_suffix(name, ".parquet")) return true;
    for (int i = 0; i < 9; i++) {
        snprintf(ending, sizeof ending, "%s%s", endings[i / 3], packings[i % 3]);
        if (str_has_suffix(name, ending)) return true;
    }
    return false;
}

/* The row files of a folder, by name; says how many others there are. */
static enum status add_folder(struct ctx *c, struct score_inputs *in, const char *path)
{
    char **names = NULL;
    size_t n = 0, others = 0, before = in->n;
    TRY(dir_list(c, path, &names, &n));
    enum status status = OK;
    for (size_t i = 0; i < n && status == OK; i++) {
        if (is_row_file(names[i]))
            status = add_input(c, in, path_join(c, path, names[i]));
        else
            others++;
    }
    dir_list_free(c, names, n);
    if (status == OK && in->n == before)
        return ctx_fail(c, E_INPUT, "%s: no *.jsonl, *.ndjson, *.json (.gz, .zst) or *.parquet in the folder", path);
    if (others > 0)
        ctx_log(c, LOG_WARN, "%s: %zu entries that are no *.jsonl, *.ndjson, *.json (.gz, .zst) or *.parquet are left out",
                path, others);
    return status;
}

/* The files and folders of the command line; without any, standard input. */
static enum status find_inputs(struct ctx *c, const struct option_parse *parse, struct score_inputs *in)
{
    if (parse->n_operands == 0) return add_input(c, in, mem_strdup(c, "-"));
    for (size_t i = 0; i < parse->n_operands; i++) {
        const char *path = parse->operands[i];
        TRY(dir_exists(path) ? add_folder(c, in, path) : add_input(c, in, mem_strdup(c, path)));
    }
    return OK;
}

static void inputs_release(struct ctx *c, struct score_inputs *in)
{
    for (size_t i = 0; i < in->n; i++) mem_free(c, in->paths[i]);
    mem_free(c, in->paths);
}

/* ---- one output, or one an input ------------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* FOLDER/NAME.jsonl for an input NAME.json, NAME.jsonl.gz, ... */
static char *output_name(struct ctx *c, const char *folder, const char *input)
{
    const char *name = strcmp(input, "-") == 0 ? "stdin" : base_name(input), *dot = strrchr(name, '.');
    int n = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
    if (dot && (strcmp(dot, ".gz") == 0 || strcmp(dot, ".zst") == 0)) {
        dot = str_find_last(name, '.', (size_t)n);
        if (dot && dot > name) n = (int)(dot - name);
    }
    const char *slash = str_has_suffix(folder, "/") ? "" : "/";
    return mem_printf(c, "%s%s%.*s.jsonl", folder, slash, n, name);
}

/* An output that is an input, or the output of another input, would be lost. */
static enum status check_outputs(struct ctx *c, const struct score_inputs *in, char *const *out)
{
    for (size_t i = 0; i < in->n; i++)
        for (size_t k = 0; k < in->n; k++) {
            if (k > i && strcmp(out[i], out[k]) == 0)
                return ctx_fail(c, E_INPUT, "%s and %s would both become %s; use another folder for one of them",
                                in->paths[i], in->paths[k], out[i]);
            if (strcmp(out[i], in->paths[k]) == 0)
                return ctx_fail(c, E_INPUT, "%s is an input; choose another folder for the outputs", out[i]);
        }
    return OK;
}

/* Scores some inputs into one output. */
static enum status run_one(struct ctx *c, struct score_run_options *o, const char *const *in, size_t n, const char *out,
                           struct score_view *v, bool quiet)
{
    struct score_run_result result;
    clock_gettime(CLOCK_MONOTONIC, &v->start);
    v->last = 0;
    enum status status = score_run(c, o, in, n, out, &result);
    if (status == OK && !quiet) show_summary(v, out, &result);
    score_view_end_line(v);
    return status;
}

/* Scores each input into a file of its own in `folder`. */
static enum status run_folder(struct ctx *c, struct score_run_options *o, const struct score_inputs *in, const char *folder,
                              struct score_view *v, bool quiet)
{
    TRY(dir_make(c, folder));
    char **out = mem_alloc(c, in->n, sizeof *out);
    enum status status = c->status;
    for (size_t i = 0; i < in->n && status == OK; i++) {
        out[i] = output_name(c, folder, in->paths[i]);
        status = c->status;
    }
    if (status == OK) status = check_outputs(c, in, out);
    for (size_t i = 0; i < in->n && status == OK; i++)
        status = run_one(c, o, (const char *const *)&in->paths[i], 1, out[i], v, quiet);
    for (size_t i = 0; out && i < in->n; i++) mem_free(c, out[i]);
    mem_free(c, out);
    return status;
}

/* Decides by --output: a folder gets a file for each input, a file or standard output gets all rows. */
static enum status run_inputs(const struct command_call *call, struct score_run_options *o, const struct score_inputs *in)
{
    const struct data_score_values *v = call->values;
    struct score_view view = {.terminal = isatty(STDERR_FILENO)};
    if (!v->quiet) o->progress = score_page_show_progress;
    o->user = &view;
    const char *out = v->output && strcmp(v->output, "-") != 0 ? v->output : NULL;
    if (out && (dir_exists(out) || str_has_suffix(out, "/"))) return run_folder(call->c, o, in, out, &view, v->quiet);
    for (size_t i = 0; out && i < in->n; i++)
        if (strcmp(out, in->paths[i]) == 0) return ctx_fail(call->c, E_INPUT, "%s is an input; choose another output", out);
    return run_one(call->c, o, (const char *const *)in->paths, in->n, out, &view, v->quiet);
}

/* Rules, inputs, evidence over all inputs where it is asked for (which reads them first), then the scoring itself. */
static enum status cmd_data_score_run(const struct command_call *call)
{
    const struct data_score_values *v = call->values;
    struct ctx *c = call->c;
    if (v->rules && v->compat) return ctx_fail(c, E_INPUT, "--compat are rules of their own; leave out --rules or --compat");
    TRY(ctx_set_threads(c, (int)v->threads));
    struct rules *r = rules_open(c, v->rules, v->compat, v->scorer == 0 ? SCORER_CITATION : SCORER_HEURISTIC);
    if (!r) return c->status;
    struct score_run_options o = {
        .rules = r,
        .row = {.existing = (enum score_existing)v->existing, .breakdown = v->breakdown, .use_prior = v->prior},
        .skip_faulty = v->on_error == 1,
        .program_version = ya_version(),
    };
    struct score_inputs in = {0};
    struct score_evidence_source source = {.find = evidence_find};
    struct evidence *evidence = NULL;
    enum status status = find_inputs(c, call->parse, &in);
    if (status == OK && v->evidence) {
        evidence = evidence_new(c, &v->groups, (const char *const *)in.paths, in.n);
        status = c->status;
    }
    if (evidence) {
        source.evidence = evidence;
        o.row.evidence = &source;
        o.evidence = evidence_digest(evidence);
        if (!v->quiet)
            fprintf(stderr, "evidence: %zu copy groups in %zu topics\n", evidence_groups(evidence),
                    evidence_topics(evidence));
    }
    if (status == OK) status = run_inputs(call, &o, &in);
    evidence_free(evidence);
    inputs_release(c, &in);
    rules_free(c, r);
    return status;
}

const struct command command_data_score = {
    .name = "data score",
    .summary = "scores the provenance of documents: auth_weight and prov_entropy",
    .usage = "[IN...] [-o OUT] [options]",
    .about =
        "Reads rows (JSON Lines, JSON, Parquet, plain text, also packed with gzip or zstd) from files, from all such files\n"
        "of a folder, or from standard input. Each row is written as a line of JSON: its own members unchanged, byte for\n"
        "byte, and behind them auth_weight, prov_entropy and provenance_score. The higher the auth_weight of a document\n"
        "is, the less it weighs in training. The scores rate where a text seems to come from, not whether it is true.\n"
        "A manifest, OUT.manifest.json, is written beside each output file; a call whose manifest shows that the output is\n"
        "up to date does nothing.",
    .table = &table,
    .values_bytes = sizeof(struct data_score_values),
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_data_score_run,
};
