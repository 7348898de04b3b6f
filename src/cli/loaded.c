/* loaded: opens what a command that runs a model needs, in the order in which the parts depend on each other: threads and
 * backend, model, tokenizer, adapter, engine. */
#include "cli/loaded.h"

#include <string.h>

#include "base/mem.h"
#include "cli/adapter_folder.h"
#include "cli/command.h"
#include "engine/engine_rows.h"
#include "export/peft.h"
#include "model/model_rows.h"

enum status loaded_open(struct loaded *l, struct ctx *c, const struct loaded_options *o)
{
    char text[128];
    struct loaded_options settled = *o;
    *l = (struct loaded){.c = c};
    TRY(engine_rows_settle(c, &(struct engine_rows){&settled.engine, &settled.device, &settled.form, 0}));
    TRY(command_compute(c, settled.device, o->threads));
    TRY(loaded_open_files(l, c, &settled));
    if (settled.engine == ENGINE_KIND_MLX)
        ctx_log(c, LOG_INFO, "compute: %s by %s", compute_name[l->model->options.compute], l->engine->backend);
    else if (l->model->options.base != BASE_AS_IS)
        ctx_log(c, LOG_INFO, "compute: %s", model_compute_text(l->model, text, sizeof text));
    if (strncmp(l->engine->backend, "cuda", 4) == 0) /* auto may have taken it, which changes speed and rounding */
        ctx_log(c, LOG_INFO, "device: %s", l->engine->backend);
    return OK;
}

/* Attaches the adapter, when it belongs to this model and tokenizer. */
static enum status loaded_load_adapter(struct loaded *l, const struct loaded_options *o)
{
    bool run;
    char *folder = adapter_folder_find(l->c, o->adapter, &run);
    l->lora = folder ? lora_load(l->c, &l->model->config, folder) : NULL;
    if (l->lora) model_attach_lora(l->model, l->lora);
    if (l->lora && peft_check_base(l->model, folder, false, o->force) == OK)
        peft_check_tokenizer(l->c, l->tokenizer, folder);
    mem_free(l->c, folder);
    return l->c->status;
}

enum status loaded_open_files(struct loaded *l, struct ctx *c, const struct loaded_options *o)
{
    *l = (struct loaded){.c = c};
    struct model_options form = o->form;
    TRY(model_rows_settle(c, o->device, &form, false));
    form.packed_in_file = o->engine == ENGINE_KIND_MLX;
    l->model = model_open_with(c, o->model, &form);
    if (!l->model) return c->status;
    l->tokenizer = tokenizer_open(c, o->model);
    if (!l->tokenizer) return c->status;
    if (o->adapter) TRY(loaded_load_adapter(l, o));
    l->engine = engine_new(c, o->engine, l->model, NULL);
    return c->status;
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
