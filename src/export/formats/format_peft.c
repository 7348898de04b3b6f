/* format_peft: the adapter as PEFT's folder, with a card that says what it was trained on. */
#include "export/formats.h"
#include "export/peft.h"

static enum status format_peft_write(const struct export_source *s, const char *dir, const char *type)
{
    const char *name = s->base_name ? s->base_name : s->model->name;
    (void)type;
    TRY(lora_save_peft(s->c, s->lora, dir, name));
    return peft_write_export_card(s->model, s->lora, dir, name, s->run);
}

const struct export_format format_peft = {
    .name = "peft",
    .is_adapter = true,
    .bytes = format_adapter_bytes,
    .write = format_peft_write,
    .opens = format_opens_folder,
    .limit = format_limit_exact,
    .usage = "python -c 'from peft import AutoPeftModelForCausalLM as M; M.from_pretrained(\"%s\")'",
};
