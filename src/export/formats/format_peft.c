/* format_peft: the adapter as PEFT's folder. */
#include "export/formats.h"
#include "model/weights.h"

static enum status format_peft_write(const struct export_source *s, const char *dir, const char *type)
{
    const char *name = s->base_name ? s->base_name : s->model->name;
    (void)type;
    return lora_save_peft(s->c, s->lora, dir, name);
}

/* PEFT loads folders and hub ids; the path of a GGUF file, which the adapter names where nothing else is known, it cannot.
 */
static const struct export_usage *format_peft_other_usage(const struct export_source *s)
{
    static const struct export_usage usage = {
        .command = "python -c",
        .python = "from peft import PeftModel as M; M.from_pretrained(BASE, %s)",
        .note = "BASE: the base in transformers. PEFT cannot load the GGUF file that the adapter names: --base-name "
                "owner/name says what it can",
    };
    if (s->base_name || s->model->name[0] != '/' || !weights_gguf(s->model->files)) return NULL;
    return &usage;
}

const struct export_format format_peft = {
    .name = "peft",
    .library = "peft",
    .holds = "the adapter as PEFT loads it",
    .is_adapter = true,
    .bytes = format_adapter_bytes,
    .write = format_peft_write,
    .opens = format_opens_folder,
    .limit = format_limit_exact,
    .usage = {.command = "python -c", .python = "from peft import AutoPeftModelForCausalLM as M; M.from_pretrained(%s)"},
    .other_usage = format_peft_other_usage,
};
