/* cmd_export: what was trained, in the formats of the programs that run models. */
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "export/export_card.h"

enum { TEXT_MAX_BYTES = 64 << 10 };

struct export_values {
    const char *model, *to, *out, *base_name, *system, *coreml_lengths;
    bool force, verify, force_size;
    int64_t shard, threads, coreml_context;
};
#define V struct export_values

static const struct option_spec specs[] = {
    STRING_ROW(V, model, "model", 'm', NULL, "MODEL", "Input",
               "folder, .gguf file or cached owner/name of the model; without: the one that the run or adapter names"),
    FORCE_ADAPTER_ROW(V, force, "Input"),
    REQUIRED_ROW(V, to, "to", 0, "FORMAT[:TYPE],...", "Output", "formats to write, see above"),
    REQUIRED_ROW(V, out, "out", 'o', "DIR", "Output", "new folder; for several formats DIR/FORMAT-TYPE each"),
    FLAG_ROW(V, verify, "verify", 0, "true", "Output", "open what was written again and compare its logits"),
    STRING_ROW(V, base_name, "base-name", 0, NULL, "NAME", "Output", "what the adapter calls its base model (owner/name)"),
    STRING_ROW(V, system, "system", 0, NULL, "TEXT", "Output", "system message of the Modelfile"),
    I64_ROW(V, shard, "shard-size", 0, "5000", 1, 1000000, "Output", "most megabytes (10^6 bytes) of a safetensors file"),
    I64_ROW(V, coreml_context, "coreml-context", 0, "0", 0, 1 << 20, "Output",
            "tokens that a Core ML model's cache holds; 0: 2048, or all positions of a model with fewer"),
    STRING_ROW(V, coreml_lengths, "coreml-lengths", 0, NULL, "N,...", "Output",
               "how many tokens a call to a Core ML model takes, ascending; without: 1,64"),
    FLAG_ROW(V, force_size, "force-size", 0, "false", "Output", "write Core ML models of more than 3.5 billion parameters"),
    THREADS_ROW(V, threads, "Running"),
};

static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* ---- what is printed -------------------------------------------------------------------------------------------------- */

static double export_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* "269.1 MB", decimal, as disks and hubs count. */
static const char *size_text(uint64_t bytes, char out[32])
{
    double v = (double)bytes;
    if (v >= 1e9)
        snprintf(out, 32, "%.2f GB", v / 1e9);
    else if (v >= 1e6)
        snprintf(out, 32, "%.1f MB", v / 1e6);
    else
        snprintf(out, 32, "%.1f kB", v / 1e3);
    return out;
}

/* A line that is refreshed, for exports that take longer than a second on a terminal. */
struct export_line {
    const struct export_target *target;
    double began, shown;
};

static void export_show_progress(void *user, int64_t done, int64_t total)
{
    struct export_line *line = user;
    char name[EXPORT_TARGET_BYTES];
    double now = export_clock();
    if (!isatty(STDERR_FILENO) || now - line->began < 1 || now - line->shown < 0.2) return;
    line->shown = now;
    fprintf(stderr, "\r%s: %3.0f %% written, %.0f s left \033[K", export_target_text(line->target, name),
            100.0 * (double)done / (double)total, (now - line->began) * (double)(total - done) / (double)done);
}

static void hide_progress(struct export_line *line)
{
    if (line->shown > 0) fputs("\r\033[K", stderr);
    line->shown = 0;
}

static void export_print_plan(const struct export_source *s, const struct export_job *job)
{
    char name[EXPORT_TARGET_BYTES], size[32];
    if (s->lora)
        printf("exporting %s (rank %lld, %zu modules) on %s\n", s->adapter, (long long)s->lora->config.rank,
               s->lora->n_modules, s->model_path);
    else
        printf("exporting %s\n", s->model_path);
    for (size_t i = 0; i < job->n; i++)
        printf("  %-18s %10s  %s\n", export_target_text(&job->targets[i], name), size_text(job->targets[i].bytes, size),
               job->targets[i].path);
    fflush(stdout);
}

static void print_result(const struct export_source *s, const struct export_target *t, const struct export_result *r,
                         double seconds)
{
    char name[EXPORT_TARGET_BYTES], size[32];
    struct buf text;
    buf_init(&text, s->c, TEXT_MAX_BYTES);
    buf_append_str(&text, "  check: ");
    export_append_check(&text, r);
    buf_append_str(&text, "\n  use:   ");
    export_append_usage(&text, s, t->format, r->opens);
    printf("%s: %s in %.1f s\n%s\n", export_target_text(t, name), size_text(r->bytes, size), seconds, buf_str(&text));
    buf_release(&text);
    fflush(stdout);
}

static void warn_of_base(const struct export_source *s, const struct export_job *job)
{
    bool merges = false;
    struct buf text;
    for (size_t i = 0; i < job->n; i++) merges |= !job->targets[i].format->is_adapter;
    buf_init(&text, s->c, TEXT_MAX_BYTES);
    if (merges) export_append_base_note(&text, s);
    if (text.len > 0) printf("note: %s", buf_str(&text));
    buf_release(&text);
}

/* ---- the command ------------------------------------------------------------------------------------------------------ */

static enum status write_targets(struct export_source *s, const struct export_job *job, bool verify)
{
    struct export_logits *wanted = NULL;
    for (size_t i = 0; i < job->n && ctx_ok(s->c); i++) {
        struct export_result result;
        struct export_line line = {.target = &job->targets[i], .began = export_clock()};
        s->report = export_show_progress;
        s->report_user = &line;
        export_write(s, &job->targets[i], verify, &wanted, &result);
        hide_progress(&line);
        if (ctx_ok(s->c)) print_result(s, &job->targets[i], &result, export_clock() - line.began);
        mem_free(s->c, result.opens);
    }
    export_logits_free(wanted);
    return s->c->status;
}

static enum status cmd_export_run(const struct command_call *call)
{
    const struct export_values *v = call->values;
    struct ctx *c = call->c;
    struct export_source source;
    struct export_job job = {.n = 0};
    TRY(command_compute(c, "cpu", v->threads));
    enum status status =
        export_open_with(&source, c, call->parse->n_operands ? call->parse->operands[0] : NULL, v->model, v->force);
    source.base_name = v->base_name;
    source.system = v->system;
    source.coreml_context = v->coreml_context;
    source.coreml_lengths = v->coreml_lengths;
    source.force_size = v->force_size;
    source.shard_bytes = (size_t)v->shard * 1000000;
    if (status == OK) status = export_plan(&source, v->to, v->out, &job);
    if (status == OK) {
        export_print_plan(&source, &job);
        warn_of_base(&source, &job);
        status = write_targets(&source, &job, v->verify);
    }
    export_job_release(c, &job);
    export_close(&source);
    return status;
}

const struct command command_export = {
    .name = "export",
    .summary = "writes what was trained for PEFT, transformers, llama.cpp, ...",
    .usage = "RUN|ADAPTER --to FORMAT[:TYPE],... -o DIR [-m MODEL] [options]",
    .about =
        "RUN is the folder of a training; ADAPTER a folder of PEFT or mlx-lm, a checkpoint, or a GGUF adapter. Without "
        "either, -m\n"
        "names a model that is exported as it is. Formats:\n"
        "  peft                       the adapter, with a card that says what it was trained on\n"
        "  safetensors:bf16|f16|f32   the model with the adapter merged in, a folder that transformers loads\n"
        "  gguf-lora                  the adapter for llama.cpp (--lora) and Ollama\n"
        "  gguf:TYPE                  the merged model for llama.cpp, Ollama and LM Studio; TYPE: f16, bf16, f32, "
        "q8_0, q6_k, "
        "q5_k_m,\n"
        "                             q5_1, q5_0, q4_k_m, q4_1, q4_0\n"
        "  mlx-lora                   the adapter for mlx-lm (--adapter-path)\n"
        "  mlx:4bit|8bit              the merged model in MLX's own packing; unquantised, mlx-lm takes the folder of "
        "safetensors\n"
        "  coreml:f16|int8|lut4       the merged model as a Core ML package with a key-value cache (iOS 18, macOS 15)\n"
        "  coreml:ane[-int8|-lut4]    the same in the shape that Apple's Neural Engine asks for; it was not run on one\n"
        "A merged weight is W + s B A, computed in f32 and rounded once. W is what the model's file holds, also for an "
        "adapter\n"
        "that was trained with --base-type nf4 or int8: it then meets better weights than those it was trained on. "
        "What was\n"
        "written is opened again and its logits on a fixed prompt are compared with those of the model with its "
        "adapter; only\n"
        "then the folder gets its name. Nothing is overwritten.",
    .table = &table,
    .values_bytes = sizeof(struct export_values),
    .max_operands = 1,
    .run = cmd_export_run,
};
