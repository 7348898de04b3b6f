/* cmd_train: starts a run. */
#include "base/mem.h"
#include "cli/command.h"
#include "train/train_choice.h"
#include "train/train_options.h"
#include "cli/train_view.h"
#include "export/peft.h"

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
    .about = "Trains a LoRA adapter on rows ({\"text\"}, {\"prompt\",\"completion\"}, {\"messages\"}, ShareGPT's or "
             "Alpaca's), each of\n"
             "which may carry auth_weight, prov_entropy and loss_weight. RUN gets the configuration, metrics, checkpoints "
             "and, at the\n"
             "end, adapter/ in PEFT form. Ctrl-C, SIGTERM and SIGHUP save and stop (exit code 130), and your_ai resume RUN\n"
             "continues; a second Ctrl-C quits at once. SIGUSR1 saves and goes on.",
    .table = &train_table,
    .values_bytes = sizeof(struct train_values),
    .run = cmd_train_run,
};
