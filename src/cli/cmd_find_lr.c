/* cmd_find_lr: the learning-rate finder. A short run trains with a rate that rises exponentially from step to step (the
 * schedule "rising"), and the losses tell where the rate becomes useful and where it becomes too high. The idea is Smith
 * 2015, "Cyclical learning rates for training neural networks".
 *
 * The folder of it is an ordinary run, so `report` draws it; its adapter is of no use. */
#include <stdio.h>

#include "cli/train_start.h"
#include "runs/find_lr.h"

enum { FIND_STEPS = 100 };

/* The options of train, with other defaults for the length, the rates and what a search has no use for. */
static enum status settle_search(struct ctx *c, struct train_values *v, const bool *given)
{
    struct train_config *k = &v->config;
    static const char *const refused[] = {"schedule", "warmup", "epochs", "patience", "valid", "valid-share"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (given[options_find(&train_table, refused[i])])
            return ctx_fail(c, E_INPUT,
                            "--%s: find-lr has no use for it; --max-steps, --lr and --min-lr-ratio set its search",
                            refused[i]);
    }
    k->schedule.kind = SCHEDULE_RISING;
    k->schedule.warmup = 0;
    if (!given[options_find(&train_table, "lr")]) k->schedule.peak = 1;
    if (!given[options_find(&train_table, "min-lr-ratio")]) k->schedule.min_ratio = 1e-6;
    if (!given[options_find(&train_table, "max-steps")]) k->max_steps = FIND_STEPS;
    if (!given[options_find(&train_table, "save-every")]) k->save_every = 0;
    return OK;
}

/* What was found, or why nothing was. */
static enum status conclude(struct ctx *c, const char *run)
{
    struct history h;
    TRY(history_read(c, run, &h));
    struct find_lr found = find_lr_of(&h);
    if (found.found)
        printf("\nthe loss (smoothed) was least, %.4f, at a learning rate of %.1e, and %s\nsuggestion: --lr %.1e\n",
               found.least_loss, found.least_lr,
               found.rose ? "rose after it" : "never rose: the search ended too early, --lr raises its end",
               found.suggestion);
    else
        printf("\nthe loss never fell below its start (%.4f), so no learning rate can be suggested. Look at the rows "
               "(your_ai tokenize -d), or search longer with --max-steps\n",
               found.start_loss);
    history_release(&h);
    return OK;
}

static enum status cmd_find_lr_run(const struct command_call *call)
{
    struct ctx *c = call->c;
    struct train_values values = *(const struct train_values *)call->values;
    const char *run = values.config.run;
    TRY(settle_search(c, &values, call->parse->given));
    enum status status = train_start(call, &values, true);
    if (status == OK || status == E_NUMERIC) {
        ctx_clear(c); /* a loss that is no number any more is where a search may end */
        status = conclude(c, run);
    }
    return status;
}

const struct command command_find_lr = {
    .name = "find-lr",
    .summary = "looks for a learning rate with a short run whose rate rises",
    .usage = "-m MODEL -d FILE -o RUN [options]",
    .about =
        "Trains for --max-steps steps (100) with a learning rate that rises from 1e-6 to 1 (--min-lr-ratio, --lr) and\n"
        "suggests one: a tenth of the rate at which the loss was least. Options are those of train, and should be those "
        "of\n"
        "the run that is meant: the best rate depends on rank, batch and rows. RUN gets the folder of the search, which\n"
        "your_ai report draws; nothing in it is of use for anything else.",
    .table = &train_table,
    .first = COMMAND_TRAIN_FIRST,
    .presets = true,
    .values_bytes = sizeof(struct train_values),
    .run = cmd_find_lr_run,
};
