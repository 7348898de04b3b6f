/* cmd_train: starts a run. */
#include "base/mem.h"
#include "cli/command.h"
#include "train/train_options.h"
#include "cli/train_view.h"

static enum status run(const struct command_call *call)
{
    struct train_values values = *(const struct train_values *)call->values;
    struct trainer_hooks hooks;
    struct train_view view;
    TRY(train_options_settle(call->c, &values));
    char *text = train_options_text(call->c, &values);
    if (!text) return call->c->status;
    struct trainer *t = NULL;
    enum status status = command_compute(call->c, values.threads);
    if (status != OK) goto out;
    train_view_start(&view, &hooks);
    t = trainer_new(call->c, &values.config, &hooks, text);
    status = t ? train_view_page(&view, t) : call->c->status;
    if (status == OK) status = train_view_run(&view, t);
out:
    trainer_free(t);
    mem_free(call->c, text);
    return status;
}

const struct command command_train = {
    .name = "train",
    .summary = "fine-tunes a model with LoRA",
    .usage = "-m MODEL -d FILE [--valid FILE] -o RUN [options]",
    .about =
        "Trains a LoRA adapter on JSONL rows ({\"text\"}, {\"prompt\",\"completion\"} or {\"messages\"}), each of which "
        "may\n"
        "carry auth_weight, prov_entropy and loss_weight. RUN gets the configuration, metrics, checkpoints and, at the\n"
        "end, adapter/ in PEFT form. Ctrl-C saves and stops; your_ai resume RUN goes on.",
    .table = &train_table,
    .values_bytes = sizeof(struct train_values),
    .run = run,
};
