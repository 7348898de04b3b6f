/* run_readme: see the header. Names stand between backquotes, so that Markdown leaves them alone; a name with a backquote in
 * it stands between two of them. */
#include "cli/run_readme.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/shell_word.h"
#include "runs/run_size.h"
#include "train/run.h"
#include "your_ai.h"

enum { README_CAP_BYTES = 1 << 20 };

static const char files_text[] =
    "\n## Files\n\n"
    "| file | what it is |\n|---|---|\n"
    "| `adapter/` | the result, a PEFT adapter: of the best validation, or of the last step where there was none |\n"
    "| `best` | link to the checkpoint with the best validation so far, where there was one |\n"
    "| `checkpoints/` | what `resume` continues from: adapter and optimizer moments (twice its size) each. The newest "
    "`--keep` "
    "(2: should the disk damage one, the other is there) and the best one stay. A run that will not be continued needs none "
    "|\n"
    "| `config.json` | every option |\n"
    "| `data_manifest.json` | size and SHA-256 of model and data |\n"
    "| `data.cache`, `valid.cache` | the tokenised rows: needed to resume, and for the weights in a report |\n"
    "| `environment.json` | version, command line, machine |\n"
    "| `log.txt` | what was on the screen |\n"
    "| `metrics.jsonl`, `timing.jsonl` | loss, norm, learning rate and so on of every step; seconds and memory |\n"
    "| `samples.json` | answers to a few prompts before and after the training |\n";

static void write_code(struct buf *out, const char *text)
{
    const char *mark = strchr(text, '`') ? "`` " : "`", *end = strchr(text, '`') ? " ``" : "`";
    buf_printf(out, "%s%s%s", mark, text, end);
}

static void write_inputs(const struct trainer *t, struct buf *out)
{
    buf_append_str(out, "Model: ");
    write_code(out, t->config.model);
    buf_append_str(out, "  \nRows: ");
    for (size_t i = 0; i < t->config.rows.n_paths; i++) {
        if (i) buf_append_str(out, ", ");
        write_code(out, t->config.rows.paths[i]);
    }
    buf_printf(out, "  \nSteps: %" PRId64 " of %" PRId64 "\n", t->state.step, t->schedule.total);
}

static void write_course(const struct verdict *verdict, struct buf *out)
{
    buf_append_str(out, "\n## How it went\n\n");
    if (!verdict) buf_append_str(out, "It has not come to its end, or nobody wrote it down.\n");
    for (size_t i = 0; verdict && i < verdict->n; i++) {
        const struct finding *f = &verdict->findings[i];
        buf_printf(out, "- %s%s%s%s\n", f->bad ? "**wrong**: " : "", f->text, f->next[0] ? ". What helps: " : "", f->next);
    }
}

static void write_size(struct ctx *c, const char *run, struct buf *out)
{
    struct run_size s;
    if (run_size_of(c, run, &s) != OK) return;
    buf_printf(out, "\n%.1f MB in all: checkpoints %.1f (%" PRId64 " of them), adapter %.1f, rows %.1f, the rest %.1f.\n",
               (double)s.total_bytes * 1e-6, (double)s.checkpoint_bytes * 1e-6, s.checkpoints,
               (double)s.adapter_bytes * 1e-6, (double)s.cache_bytes * 1e-6, (double)s.other_bytes * 1e-6);
}

static void write_commands(const struct train_view *v, const struct trainer *t, struct buf *out)
{
    buf_append_str(out, "\n## What to do with it\n\n");
    if (t->state.step < t->schedule.total) buf_printf(out, "    %s\n", v->command); /* resume */
    buf_append_str(out, "    your_ai inspect");
    shell_word_append(out, t->config.run);
    buf_append_str(out, "\n    your_ai report");
    shell_word_append(out, t->config.run);
    buf_append_str(out, " -o report.html\n    your_ai export");
    shell_word_append(out, t->config.run);
    buf_append_str(out, " --to FORMAT -o DIR\n");
}

enum status run_readme_write(const struct train_view *v, const struct trainer *t, const struct verdict *verdict)
{
    struct buf text;
    buf_init(&text, v->c, README_CAP_BYTES);
    buf_append_str(&text, "# A training run of your_ai " YA_VERSION "\n\n");
    write_inputs(t, &text);
    write_course(verdict, &text);
    buf_append_str(&text, files_text);
    write_size(v->c, t->config.run, &text);
    write_commands(v, t, &text);
    if (buf_ok(&text)) run_write(v->c, t->config.run, "README.md", buf_str(&text), text.len);
    buf_release(&text);
    return v->c->status;
}
