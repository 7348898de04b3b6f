/* cmd_train: the command that starts a run; what it does with the options is in train_start.c. */
#include "cli/train_start.h"

static enum status cmd_train_run(const struct command_call *call)
{
    struct train_values values = *(const struct train_values *)call->values;
    return train_start(call, &values, false);
}

const struct command command_train = {
    .name = "train",
    .summary = "fine-tunes a model with LoRA",
    .usage = "-m MODEL -d FILE [--valid FILE] -o RUN [options]",
    .about =
        "Trains a LoRA adapter on rows: {\"text\"}, {\"prompt\", \"completion\"}, {\"messages\"}, or the rows of ShareGPT\n"
        "and Alpaca. Each row may have the members auth_weight, prov_entropy and loss_weight. The folder RUN gets the\n"
        "configuration, metrics, checkpoints and, at the end, adapter/, which PEFT loads.\n"
        "Ctrl-C, SIGTERM and SIGHUP save the run and stop it (exit code 130); `your_ai resume RUN` continues it. A second\n"
        "Ctrl-C quits at once. SIGUSR1 saves the run, and training continues.",
    .table = &train_table,
    .first = COMMAND_TRAIN_FIRST,
    .presets = true,
    .values_bytes = sizeof(struct train_values),
    .run = cmd_train_run,
};
