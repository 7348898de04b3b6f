/* cmd_resume: the command that continues a run. Its options are those of the run's config.json; only the length, the engine,
 * the device and the threads may change, because nothing else can change without changing what the steps so far were part
 * of. */
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "train/train_options.h"
#include "cli/train_view.h"

struct resume_values {
    int64_t max_steps;
    int engine; /* 0: as before; else enum engine_kind + 1 */
    const char *device;
    int64_t threads;
    const char *serve;
    struct option_list data;
};

static const struct option_spec specs[] = {
    LIST_ROW(struct resume_values, data, "data", 'd', false, "FILE", "Input",
             "where a data file (or the validation rows) is now that is not at its place any more; it has to have the same "
             "bytes, by SHA-256; a file of the same name in the run's folder or beside it is found without this"),
    I64_ROW(struct resume_values, max_steps, "max-steps", 0, "0", 0, 1000000000, "Running",
            "steps of the whole run, those already done included; 0: as many as it was started with"),
    CHOICE_ROW(struct resume_values, engine, "engine", 0, "as-before", "as-before|" ENGINE_CHOICES, "Running",
               "what computes forward and backward; another engine than before rounds otherwise"),
    STRING_ROW(struct resume_values, device, "device", 0, NULL, "NAME", "Running",
               "auto, cpu, cuda or cuda:N; without it the device that the run was started with"),
    I64_ROW(struct resume_values, threads, "threads", 't', "-1", -1, 1024, "Running",
            "number of threads; 0: one for each usable core; -1: as many as the run was started with"),
    STRING_ROW(
        struct resume_values, serve, "serve", 0, NULL, "PORT", "Running",
        "show the report while it trains, to browsers on this machine, on this port of localhost; 0: any that is free"),
};

static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* A relative path in config.json was written by an earlier version and counts from the folder where train was called. */
static enum status resume_check_model(struct ctx *c, const char *model)
{
    if (file_exists(model) || dir_exists(model)) return OK;
    if (model[0] != '/')
        return ctx_fail(c, E_INPUT,
                        "%s: the base model is not there. Resume this run from the folder where train was called", model);
    return ctx_fail(c, E_INPUT, "%s: the base model is not there any more. Put it back, or a link to it", model);
}

/* Another engine continues from the same checkpoint; what changes is said. */
static void resume_set_engine(struct ctx *c, const struct resume_values *mine, struct train_values *values)
{
    enum engine_kind chosen = (enum engine_kind)(mine->engine - 1);
    if (mine->engine == 0 || chosen == values->config.engine) return;
    values->config.engine = chosen;
    if (chosen == ENGINE_KIND_MLX && strcmp(values->device, "auto") == 0) values->device = "cpu";
    ctx_log(c, LOG_WARN,
            "--engine: the steps from here on are computed by another engine than those before. Their results agree to "
            "rounding, "
            "so the run's files are no longer, byte for byte, those of an unbroken run");
}

static enum status cmd_resume_run(const struct command_call *call)
{
    const struct resume_values *mine = call->values;
    struct ctx *c = call->c;
    struct train_values values = {0};
    struct train_view_options options = {.run = call->parse->operands[0],
                                         .max_steps = mine->max_steps,
                                         .resumed = true,
                                         .serve = mine->serve,
                                         .moved = &mine->data};
    struct trainer_hooks hooks;
    struct train_view view = {0};
    struct trainer *t = NULL;
    json_t *doc = NULL;
    enum status status = train_options_read(c, call->parse->operands[0], &values, &doc);
    if (status != OK) goto out;
    /* The options that may differ from config.json; everything else stays. */
    if (mine->max_steps) values.config.max_steps = mine->max_steps;
    values.config.moved = (struct run_moved){mine->data.items, mine->data.n};
    resume_set_engine(c, mine, &values);
    status = resume_check_model(c, values.config.model);
    if (status == OK)
        status = command_compute(c, mine->device ? mine->device : values.device,
                                 mine->threads >= 0 ? mine->threads : values.threads);
    if (status != OK) goto out;
    options.plot = values.plot;
    options.samples = values.samples;
    status = train_view_start(&view, call, &options, &hooks);
    if (status != OK) goto out;
    t = trainer_resume(c, &values.config, &hooks);
    status = t ? train_view_page(&view, t) : c->status;
    if (status == OK) status = train_view_run(&view, t);
out:
    train_view_end(&view);
    trainer_free(t);
    json_decref(doc);
    return status;
}

const struct command command_resume = {
    .name = "resume",
    .summary = "continues a run from its newest complete checkpoint",
    .usage = "RUN [options]",
    .about = "RUN is the folder that train was given with -o. The result is the same, bit for bit, as if the run had never\n"
             "stopped. A damaged checkpoint is skipped, with a message that says why. Data and base model must be the same "
             "files\n"
             "as when the run began.",
    .table = &table,
    .values_bytes = sizeof(struct resume_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = cmd_resume_run,
};
