/* cmd_train: the command that starts a run. The options of train_options.c are checked, made absolute (so that `resume`
 * works from any folder) and kept as config.json; then the trainer is made, the page before step 1 is shown, and the run
 * begins. */
#include "base/mem.h"
#include "cli/command.h"
#include "train/train_choice.h"
#include "train/train_options.h"
#include "cli/train_view.h"
#include "export/peft.h"

/* In this order: the options are checked before anything is opened, the page is shown before step 1, so that a run that
 * would not fit or is not what was meant has cost nothing. */
static enum status cmd_train_run(const struct command_call *call)
{
    struct ctx *c = call->c;
    struct train_values values = *(const struct train_values *)call->values;
    struct train_view_options options = {.run = values.config.run};
    struct trainer_hooks hooks;
    struct train_view view;
    struct trainer *t = NULL;
    json_t *doc = NULL;
    char *text = NULL;
    enum status status = train_options_check_start(c, &values, call->parse->given);
    if (status == OK) status = train_options_absolute(c, &values, &doc);
    if (status == OK) status = train_options_settle(c, &values);
    if (status == OK) text = train_options_text(c, &values);
    if (!text) goto out;
    status = command_compute(c, values.device, values.threads);
    if (status == OK) status = train_view_start(&view, c, &options, &hooks);
    if (status != OK) goto out;
    hooks.opened = peft_check_start;
    train_choice_allow(&values.config, call->parse->given);
    t = trainer_new(c, &values.config, &hooks, text);
    if (t && ctx_ok(c)) status = train_view_page(&view, t);
    if (ctx_ok(c)) status = train_view_run(&view, t);
out:
    trainer_free(t);
    mem_free(c, text);
    json_decref(doc);
    return status == OK ? c->status : status;
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
    .values_bytes = sizeof(struct train_values),
    .run = cmd_train_run,
};
