/* train_start: the options are checked before anything is opened and the page is shown before step 1, so that a run that
 * would not fit or is not what was meant has cost nothing. Paths are made absolute, so that `resume` works from any folder.
 */
#include "cli/train_start.h"

#include "base/mem.h"
#include "base/shell_word.h"
#include "export/peft.h"
#include "train/train_choice.h"
#include "your_ai.h"

enum { COMMAND_CAP_BYTES = 1 << 20 };

/* The words of the command line, quoted for a shell. NULL with E_MEMORY. */
static char *command_text(const struct command_call *call)
{
    struct buf b;
    buf_init(&b, call->c, COMMAND_CAP_BYTES);
    for (int i = 0; i < call->argc; i++) shell_word_append(&b, call->argv[i]);
    char *text = buf_take(&b);
    buf_release(&b);
    return text;
}

/* Everything behind the options: `text` is the run's config.json, `command` the words that began it. */
static enum status start_run(const struct command_call *call, struct train_values *values, bool search, const char *text,
                             const char *command)
{
    struct ctx *c = call->c;
    struct train_view_options options = {.run = values->config.run,
                                         .plot = values->plot,
                                         .samples = values->samples,
                                         .serve = values->serve,
                                         .search = search};
    struct trainer_hooks hooks;
    struct train_view view = {0};
    TRY(command_compute(c, values->device, values->threads));
    enum status status = train_view_start(&view, call, &options, &hooks);
    hooks.opened = peft_check_start;
    values->config.program = "your_ai " YA_VERSION;
    values->config.command = command + 1; /* without the space at its beginning */
    if (!search) train_choice_allow(&values->config, call->parse->given);
    struct trainer *t = status == OK ? trainer_new(c, &values->config, &hooks, text) : NULL;
    if (t) status = train_view_page(&view, t);
    if (t && status == OK) status = train_view_run(&view, t);
    train_view_end(&view);
    trainer_free(t);
    return status == OK ? c->status : status;
}

enum status train_start(const struct command_call *call, struct train_values *values, bool search)
{
    struct ctx *c = call->c;
    json_t *doc = NULL;
    char *text = NULL, *command = NULL;
    enum status status = train_options_check_start(c, values, call->parse->given);
    if (status == OK) status = train_options_absolute(c, values, &doc);
    if (status == OK) status = train_options_settle(c, values);
    if (status == OK) text = train_options_text(c, values);
    if (text) command = command_text(call);
    if (command) status = start_run(call, values, search, text, command);
    mem_free(c, command);
    mem_free(c, text);
    json_decref(doc);
    return status == OK ? c->status : status;
}
