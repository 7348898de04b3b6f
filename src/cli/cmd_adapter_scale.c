/* cmd_adapter_scale: an adapter with more or less effect. */
#include "cli/adapter_page.h"
#include "cli/command.h"
#include "export/compose.h"

struct adapter_scale_values {
    struct adapter_base base;
    double factor;
    const char *out, *base_name;
};
#define V struct adapter_scale_values

static const struct option_spec specs[] = {
    F64_ROW(V, factor, "factor", 0, "0", -1e6, 1e6, "Arithmetic", "what the adapter is multiplied with; needed"),
    REQUIRED_ROW(V, out, "out", 'o', "DIR", "Output", "new folder, in PEFT's format"),
    STRING_ROW(V, base_name, "base-name", 0, NULL, "NAME", "Output", "what the adapter calls its base model (owner/name)"),
    ADAPTER_BASE_ROWS(V, base),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static enum status cmd_adapter_scale_run(const struct command_call *call)
{
    const struct adapter_scale_values *v = call->values;
    struct export_source s;
    if (v->factor == 0)
        return ctx_fail(call->c, E_INPUT,
                        "--factor X is needed, other than 0: 0.5 halves what the adapter does, -1 undoes it");
    if (adapter_page_open(&s, call->c, &v->base, call->parse->operands[0]) == OK && compose_scale(&s, v->factor) == OK)
        adapter_page_write(&s, v->out, v->base_name);
    export_close(&s);
    return call->c->status;
}

const struct command command_adapter_scale = {
    .name = "adapter scale",
    .summary = "writes an adapter with more or less effect",
    .usage = "RUN|ADAPTER --factor X -o DIR [-m MODEL] [options]",
    .about = "Every weight that the adapter adds is multiplied by the factor: 0.5 halves what it does, 2 doubles it, "
             "--factor=-1 takes\n"
             "it away from the model instead. The factor goes into lora_alpha, so the matrices stay what they are bit for "
             "bit; a\n"
             "negative one changes the sign of B. What is written is opened again and its logits are compared.",
    .table = &table,
    .values_bytes = sizeof(struct adapter_scale_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = cmd_adapter_scale_run,
};
