/* loaded: opens what a command that runs a model needs, in the order in which the parts depend on each other: threads and
 * backend, model, tokenizer, engine, adapter. The adapter comes last, so that a wrong path to it does not hide a wrong
 * model. */
#include "cli/loaded.h"

#include "cli/command.h"
#include "export/peft.h"
#include "model/model_rows.h"

enum status loaded_open(struct loaded *l, struct ctx *c, const struct loaded_options *o)
{
    char text[128];
    *l = (struct loaded){.c = c};
    TRY(command_compute(c, o->device, o->threads));
    TRY(loaded_open_files(l, c, o));
    if (l->model->options.base != BASE_AS_IS)
        ctx_log(c, LOG_INFO, "compute: %s", model_compute_text(l->model, text, sizeof text));
    return OK;
}

enum status loaded_open_files(struct loaded *l, struct ctx *c, const struct loaded_options *o)
{
    *l = (struct loaded){.c = c};
    struct model_options form = o->form;
    TRY(model_rows_settle(c, o->device, &form, false));
    l->model = model_open_with(c, o->model, &form);
    if (!l->model) return c->status;
    l->tokenizer = tokenizer_open(c, o->model);
    if (!l->tokenizer) return c->status;
    l->engine = engine_native_new(c, l->model, NULL);
    if (!l->engine || !o->adapter) return c->status;
    l->lora = lora_load(c, &l->model->config, o->adapter);
    if (!l->lora) return c->status;
    model_attach_lora(l->model, l->lora);
    TRY(peft_check_base(l->model, o->adapter, false, o->force));
    return peft_check_tokenizer(c, l->tokenizer, o->adapter);
}

void loaded_close(struct loaded *l)
{
    if (l->engine) l->engine->ops->free(l->engine);
    if (l->model) model_attach_lora(l->model, NULL);
    lora_free(l->lora);
    tokenizer_free(l->tokenizer);
    model_free(l->model);
    *l = (struct loaded){.c = l->c};
}
