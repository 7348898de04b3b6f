/* train_page: the page before step 1. A user who sees two rows as the model will see them, what is trained of them, and how
 * the weights spread, finds most mistakes in data before they cost an hour. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array/array.h"
#include "base/threads.h"
#include "cli/data_page.h"
#include "cli/token_view.h"
#include "cli/train_view.h"

enum { ROWS_SHOWN = 2, ROW_BYTES_SHOWN = 700, BAR_WIDTH = 40 };

/* A row's place in its file, its counts and weight, and its text with the trained parts marked. */
static enum status print_row(const struct train_view *v, const struct trainer *t, int64_t i)
{
    const struct dataset_document *d = dataset_document(t->data, i);
    struct token_view view = {.c = t->c, .tokenizer = t->tokenizer, .color = v->color, .most = ROW_BYTES_SHOWN};
    printf("  %s:%" PRId64 "  %d tokens, %d trained, omega %.3f", dataset_file(t->data, (size_t)d->file).path, d->row, d->n,
           d->n_trained, data_page_omega(&t->objective, d));
    if (d->loss_weight != 1) printf(", loss_weight %g", d->loss_weight);
    fputs("\n    ", stdout);
    TRY(token_view_print(&view, dataset_tokens(t->data, i), dataset_trained(t->data, i), (size_t)d->n));
    putchar('\n');
    return OK;
}

/* ---- parts of the page ------------------------------------------------------------------------------------------------ */

/* Whether the adapter is new, continues, or starts from another one; how many parameters are trained. */
static void print_adapter(const struct train_view *v, const struct trainer *t)
{
    printf("adapter  ");
    if (v->resumed && t->saved_step >= 0)
        printf("of step %" PRId64, t->saved_step);
    else if (t->config.start)
        printf("starts from %s", t->config.start);
    else
        printf("new");
    printf(", %zu target modules, %.3f M parameters\n", t->lora->n_modules, (double)lora_parameter_count(t->lora) * 1e-6);
}

/* Where a resumed run continues. */
static void print_continues(const struct trainer *t)
{
    printf("resume   continues from step %" PRId64 " of %" PRId64, t->state.step, t->schedule.total);
    puts(t->saved_step < 0 ? ": no checkpoint was saved yet" : "");
}

/* What the trainer chose because the rows are few, and why; nothing where it chose nothing. */
static void print_choice(const struct trainer *t)
{
    const struct train_choice *k = &t->choice;
    if (!k->made) return;
    printf("chosen   %s%" PRId64 " epochs, learning rate %g: %" PRId64 " documents are few, and the usual %" PRId64
           " epochs%s\n"
           "         would be %" PRId64 " step%s. Give --epochs or --max-steps to decide otherwise\n",
           k->packing && !t->config.packs.packing ? "no packing, " : "", t->config.epochs, t->config.schedule.peak,
           dataset_n_documents(t->data), k->epochs, k->packing ? " of packed sequences" : "", k->steps,
           k->steps == 1 ? "" : "s");
}

/* The first lines: model, adapter, length of the run, and how products are computed. */
static void print_sizes(const struct train_view *v, const struct trainer *t)
{
    const struct model_config *m = &t->model->config;
    char text[128];
    printf("model    %s: %s, %" PRId64 " layers, hidden %" PRId64 ", vocabulary %" PRId64 "\n", t->model->name,
           m->architecture, m->n_layers, m->hidden, m->vocab);
    print_adapter(v, t);
    printf("run      %s: %" PRId64 " steps of %" PRId64 " x %" PRId64 " sequences of up to %" PRId64
           " tokens, %d thread%s\n",
           v->planned ? "planned" : t->config.run, t->schedule.total, t->config.packs.accumulation, t->config.packs.batch,
           t->config.rows.max_length, threads_count(t->c), threads_count(t->c) == 1 ? "" : "s");
    print_choice(t);
    if (v->resumed) print_continues(t);
    if (t->config.engine == ENGINE_KIND_MLX)
        printf("compute  %s by %s\n", compute_name[t->config.form.compute], t->engine->backend);
    else
        printf("compute  %s\n", model_compute_text(t->model, text, sizeof(text)));
}

/* The planned peak, item by item. */
static void train_page_print_plan(const struct plan *p, int64_t n_layers, bool counted)
{
    double mib = 1.0 / (double)(1 << 20);
    puts("memory");
    for (int i = 0; i < PLAN_ITEMS; i++) {
        if (i == PLAN_LAYOUT && !p->lays_out) continue;
        if (i == PLAN_STEP && !counted)
            printf("  %-24s not counted: this engine cannot tell\n", plan_item_name[i]);
        else
            printf("  %-24s %9.1f MiB\n", plan_item_name[i], (double)p->bytes[i] * mib);
    }
    printf("  %-24s %9.1f MiB", "in all", (double)p->total * mib);
    if (p->free_bytes != SIZE_MAX) printf(" of %.1f %s", (double)p->free_bytes * mib, p->limited ? "allowed" : "free");
    if (p->recomputed_blocks > 0)
        printf("; the first %" PRId64 " of %" PRId64 " blocks are computed again in backward", p->recomputed_blocks,
               n_layers);
    else if (p->recomputed_blocks < 0)
        printf("; nothing is computed again in backward");
    if (p->offloaded_blocks > 0)
        printf(", and the inputs of %" PRId64 " of them lie in the host's memory (%.1f MiB)", p->offloaded_blocks,
               (double)p->aside_bytes * mib);
    putchar('\n');
}

/* What became of the rows: documents, tokens, and each reason for which rows were left out. */
static void train_page_print_counts(const char *name, const struct dataset_counts *k)
{
    printf("%-9s%" PRId64 " rows, %" PRId64 " documents, %" PRId64 " tokens: %" PRId64 " trained, %" PRId64 " masked\n",
           name, k->rows, k->documents, k->tokens, k->trained, k->masked);
    if (k->split_rows || k->truncated_rows || k->left_out_tokens)
        printf("         %" PRId64 " rows split, %" PRId64 " truncated, %" PRId64 " tokens left out\n", k->split_rows,
               k->truncated_rows, k->left_out_tokens);
    if (k->unweighted_rows) printf("         %" PRId64 " rows masked by loss_weight 0\n", k->unweighted_rows);
    for (int i = 0; i < FAULT_COUNT; i++) {
        if (k->bad[i]) printf("         %" PRId64 " rows skipped: %s\n", k->bad[i], record_fault_name((enum record_fault)i));
    }
}

/* How conversations were rendered, where that is not as they stand in the file. */
static void print_notes(const struct trainer *t)
{
    const struct dataset_notes *n = &t->notes;
    const struct chat_notes *k = &n->chat;
    if (n->pairs)
        printf("         %" PRId64 " rows of prompt and completion %s\n", n->pairs,
               t->config.rows.raw ? "are joined as they stand, without the model's chat template (--raw)"
                                  : "are put into the model's chat template (--raw joins them)");
    if (k->rewritten)
        printf("         %" PRId64 " rows became several documents: the chat template rewrites earlier turns (drops their\n"
               "         reasoning, for example), and each turn is trained behind what the model will see before it\n",
               k->rewritten);
    if (k->extended)
        printf("         %" PRId64 " rows: the token that ends a turn is trained though the template's marks leave it out\n"
               "         (--mask exact: not)\n",
               k->extended);
    if (k->unended) printf("         %" PRId64 " rows have a turn that no control token ends\n", k->unended);
    if (k->unlike)
        printf("         %" PRId64 " rows have a turn that begins otherwise than the template's generation prompt\n",
               k->unlike);
}

/* Trained tokens by weight, as bars. */
static void print_histogram(const struct objective *o)
{
    int64_t most = 1;
    for (int i = 0; i < OBJECTIVE_BINS; i++) most = o->histogram[i] > most ? o->histogram[i] : most;
    for (int i = 0; i < OBJECTIVE_BINS; i++) {
        if (o->histogram[i] == 0) continue;
        int width = (int)((o->histogram[i] * BAR_WIDTH + most - 1) / most);
        printf("  %8.4f to %8.4f %10" PRId64 " %.*s\n", o->edges[i], o->edges[i + 1], o->histogram[i], width,
               "########################################");
    }
}

/* What the objective does with the rows' scores. The effective sample size is (sum of omega)^2 / sum of omega^2 over
 * trained tokens: how many equally weighted tokens would tell as much. */
static void print_weights(const struct objective *o)
{
    printf("weights  %s", objective_mode_name(o->options.mode));
    if (o->switched_off) printf(": no row has auth_weight and prov_entropy, so this is plain fine-tuning");
    if (o->options.mode == DISTRUST_ADDITIVE)
        printf(": total = CE + %g * mean(D), and the gradient is that of plain CE: for comparison only", o->options.lambda);
    bool weighted = o->options.mode == DISTRUST_MONOTONE || o->options.mode == DISTRUST_PUBLISHED;
    if (weighted)
        printf(", lambda %g: omega %.4f to %.4f over trained tokens, effective sample size %.0f of %" PRId64,
               o->options.lambda, o->omega_min, o->omega_max, o->ess, o->tokens);
    if (isfinite(o->d_mean)) printf("; mean published D %.4f", o->d_mean);
    putchar('\n');
    if (weighted && o->omega_max > o->omega_min) print_histogram(o);
}

enum status train_page_print(const struct train_view *v, const struct trainer *t)
{
    print_sizes(v, t);
    train_page_print_plan(&t->plan, t->model->config.n_layers, t->engine->ops->count != NULL);
    train_page_print_counts("data", dataset_counts(t->data));
    print_notes(t);
    if (t->valid) train_page_print_counts("valid", dataset_counts(t->valid));
    print_weights(&t->objective);
    TRY(data_page_print(t));
    puts(v->color ? "rows (green: trained)" : "rows ([[trained]])");
    for (int64_t i = 0; i < ROWS_SHOWN && i < dataset_n_documents(t->data); i++) TRY(print_row(v, t, i));
    fflush(stdout);
    return OK;
}
