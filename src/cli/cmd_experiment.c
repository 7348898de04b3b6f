/* cmd_experiment: the conflict experiment on a grid of trainings (eval/experiment.h), with its tables. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/threads.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "cli/experiment_jobs.h"
#include "cli/experiment_page.h"
#include "cli/loaded.h"
#include "eval/experiment_write.h"
#include "model/model_rows.h"

struct experiment_values {
    const char *model, *output, *arms;
    struct model_options form;
    int grid;
    int64_t facts, seeds, repeat, ratio, epochs, rank, length;
    double lr;
    const char *device;
    int64_t threads, jobs;
};

#define V struct experiment_values
static const struct option_spec specs[] = {
    REQUIRED_ROW(V, model, "model", 'm', "MODEL", "Input and output",
                 "folder, .gguf file or cached owner/name of the base model"),
    REQUIRED_ROW(V, output, "output", 'o', "DIR", "Input and output", "folder of the experiment: new, or one to continue"),
    MODEL_ROWS(V, form, "Input and output"),
    CHOICE_ROW(V, grid, "grid", 0, "small", "small|medium|full", "Grid", "which trainings are done"),
    STRING_ROW(V, arms, "arms", 0, NULL, "NAMES", "Grid", "only these, or all: off,monotone,..."),
    I64_ROW(V, facts, "facts", 0, "0", 0, FICTION_FACTS_MAX / 2, "Grid", "invented facts; 0: as the grid has (12, 48, 200)"),
    I64_ROW(V, seeds, "seeds", 0, "0", 0, 1000, "Grid", "0: as the grid has (2, 2, 5)"),
    I64_ROW(V, repeat, "repeat", 0, "0", 0, 1000, "Grid",
            "only this many consensus documents for a primary one; 0: the grid's"),
    I64_ROW(V, ratio, "ratio", 0, "0", 0, 1000, "Grid", "only this ratio of weights; 0: the grid's"),
    I64_ROW(V, epochs, "epochs", 0, "0", 0, 1000, "Grid", "0: as the grid has (3; 3; 1, 3 and 10)"),
    I64_ROW(V, rank, "rank", 'r', "8", 1, 1024, "Training", "rank of the adapters; their alpha is twice that"),
    F64_ROW(V, lr, "lr", 0, "1e-3", 0, 10, "Training", "peak learning rate"),
    I64_ROW(V, length, "max-length", 0, "256", 64, 1 << 20, "Training", "tokens of an optimizer step"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
    I64_ROW(
        V, jobs, "jobs", 'j', "1", 1, 64, "Running",
        "trainings beside each other, each with the model and --threads of its own (0 there: an equal share of the cores)"),
};
#undef V
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static double experiment_mean_of(const double *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += values[i] / (double)n;
    return sum;
}

/* One line a cell, while the grid runs. */
static void show_cell(void *user, size_t i, size_t n, const struct trial *t, bool read)
{
    (void)user;
    char name[64], predicted[16] = "     -";
    size_t k = t->n_facts;
    double expected = experiment_mean_of(t->phrased, k);
    if (!isnan(expected)) snprintf(predicted, sizeof(predicted), "%+6.2f", expected);
    printf("%4zu/%zu  %-30s  predicted %s  trained %+6.2f  held out %+6.2f  %6.1f s%s\n", i + 1, n,
           trial_name(&t->cell, name), predicted, experiment_mean_of(t->odds + BELIEF_TRAINED * k, k),
           experiment_mean_of(t->odds + BELIEF_HELD_OUT * k, k), t->seconds, read ? "  (was there)" : "");
    fflush(stdout);
}

/* Makes a list of the grid the one value that was asked for, if one was. */
static void only(int64_t *list, int64_t value)
{
    if (value == 0) return;
    list[0] = value;
    list[1] = 0;
}

/* The grid that the options ask for. */
static enum status choose_grid(struct ctx *c, const struct experiment_values *v, struct grid *g)
{
    *g = grid_of((enum grid_size)v->grid);
    if (v->arms) TRY(grid_parse_arms(c, v->arms, &g->arms));
    if (v->facts) g->facts = (size_t)v->facts;
    if (v->seeds) g->seeds = v->seeds;
    only(g->repeats, v->repeat);
    only(g->ratios, v->ratio);
    only(g->epochs, v->epochs);
    return OK;
}

/* What all trials say, as tables and files. */
static enum status experiment_conclude(const struct experiment *e, const char *dir)
{
    struct experiment_fits fits = {.c = e->c};
    if (experiment_fit(e, &fits) == OK && experiment_write(e, &fits, dir) == OK && experiment_write_html(&fits, dir) == OK)
        experiment_page_print(&fits, e->trials[0].n_facts);
    experiment_fits_release(&fits);
    return e->c->status;
}

/* With several jobs the cells are made first, and read behind that. */
static enum status run_grid(struct trial_setup *setup, const struct experiment_values *v,
                            const struct loaded_options *options, const struct grid *grid, struct experiment *e)
{
    const struct experiment_hooks tell = {.cell = show_cell}, quiet = {0};
    struct loaded_options each = *options;
    if (v->jobs == 1) return experiment_run(setup, grid, v->output, &tell, e);
    int64_t share = threads_count(setup->c) / v->jobs;
    if (each.threads == 0) each.threads = share > 1 ? share : 1;
    TRY(experiment_jobs_run(setup, &each, grid, v->output, (int)v->jobs, &tell));
    return experiment_run(setup, grid, v->output, &quiet, e);
}

/* The grid in its folder, which is this process's alone meanwhile. A run that was killed may have had more jobs than this
 * one, so what trials left there is removed before the first of them. */
static enum status run_folder(struct trial_setup *setup, const struct experiment_values *v,
                              const struct loaded_options *options, const struct grid *grid, struct experiment *e)
{
    TRY(experiment_open_folder(setup, v->output));
    int lock = dir_lock(setup->c, v->output);
    if (lock < 0) return setup->c->status;
    if (experiment_remove_work(setup->c, v->output) == OK && run_grid(setup, v, options, grid, e) == OK)
        experiment_conclude(e, v->output);
    dir_unlock(lock);
    return setup->c->status;
}

static enum status cmd_experiment_run(const struct command_call *call)
{
    const struct experiment_values *v = call->values;
    struct ctx *c = call->c;
    struct grid grid;
    struct loaded l = {.c = c};
    struct experiment e = {.c = c};
    struct loaded_options options = {.model = v->model, .form = v->form, .device = v->device, .threads = v->threads};
    TRY(choose_grid(c, v, &grid));
    TRY(model_rows_settle(c, v->device, &options.form, true));
    if (loaded_open(&l, c, &options) == OK) {
        struct trial_setup setup = {.c = c,
                                    .model = l.model,
                                    .tokenizer = l.tokenizer,
                                    .device = v->device,
                                    .n_facts = grid.facts,
                                    .rank = v->rank,
                                    .length = v->length,
                                    .lr = v->lr};
        run_folder(&setup, v, &options, &grid, &e);
    }
    experiment_release(&e);
    loaded_close(&l);
    return c->status;
}

const struct command command_experiment = {
    .name = "experiment",
    .summary = "what the weights do, measured on invented facts",
    .usage = "-m MODEL -o DIR [--grid small|medium|full] [options]",
    .about =
        "Trains the model again and again on invented facts that few primary and many consensus sources disagree about,\n"
        "with and without weights, and measures which claim it comes to hold, beside what weighted likelihood predicts.\n"
        "A folder that an earlier call left is gone on with.",
    .table = &table,
    .values_bytes = sizeof(struct experiment_values),
    .run = cmd_experiment_run,
};
