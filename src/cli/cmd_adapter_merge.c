/* cmd_adapter_merge: one adapter from several. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/adapter_page.h"
#include "cli/command.h"
#include "export/compose.h"

enum { PARTS_MAX = 64 };

struct adapter_merge_values {
    struct adapter_base base;
    const char *weights, *out, *base_name;
    int64_t rank;
};
#define V struct adapter_merge_values

static const struct option_spec specs[] = {
    REQUIRED_ROW(V, weights, "weights", 'w', "X,...", "Arithmetic", "what each adapter is multiplied with, in their order"),
    I64_ROW(V, rank, "rank", 'r', "0", 0, 4096, "Arithmetic", "cut every module to this rank; 0: the exact sum"),
    REQUIRED_ROW(V, out, "out", 'o', "DIR", "Output", "new folder, in PEFT's format"),
    STRING_ROW(V, base_name, "base-name", 0, NULL, "NAME", "Output", "what the adapter calls its base model (owner/name)"),
    ADAPTER_BASE_ROWS(V, base),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* "0.7,0.3" as n numbers. */
static enum status merge_read_weights(struct ctx *c, const char *text, size_t n, double *out)
{
    size_t k = 0;
    const char *at = text;
    for (bool more = true; more; k++) {
        char *end;
        double v = strtod(at, &end);
        if (end == at || !isfinite(v) || (*end != ',' && *end != '\0'))
            return ctx_fail(c, E_INPUT, "--weights %s: '%.*s' is no number", text, (int)strcspn(at, ","), at);
        if (k < n) out[k] = v;
        more = *end == ',';
        at = end + 1;
    }
    if (k == n) return OK;
    return ctx_fail(c, E_INPUT, "--weights %s: %zu numbers for %zu adapter%s; each needs one", text, k, n,
                    n == 1 ? "" : "s");
}

static enum status cmd_adapter_merge_run(const struct command_call *call)
{
    const struct adapter_merge_values *v = call->values;
    double weights[PARTS_MAX], least = 1;
    struct export_source s;
    const struct compose_options o = {call->parse->operands, weights, call->parse->n_operands, v->rank, v->base.force};
    TRY(merge_read_weights(call->c, v->weights, o.n, weights));
    if (adapter_page_open(&s, call->c, &v->base, o.operands[0]) == OK && compose_merge(&s, &o, &least) == OK &&
        adapter_page_write(&s, v->out, v->base_name) == OK && least < 1)
        printf("  rank %lld keeps at least %.4g %% of the squares of every module (your_ai adapter info shows them)\n",
               (long long)v->rank, 100 * least);
    export_close(&s);
    return call->c->status;
}

const struct command command_adapter_merge = {
    .name = "adapter merge",
    .summary = "writes the weighted sum of several adapters as one",
    .usage = "RUN|ADAPTER... --weights X,... -o DIR [--rank N] [-m MODEL] [options]",
    .about =
        "The adapters must be for one model; one that is for another is refused (--force-adapter takes it). What is written "
        "adds\n"
        "w1 s1 B1 A1 + w2 s2 B2 A2 + ... to the model's weights, exactly: its B are all B side by side, its A all A one "
        "below\n"
        "the other, so its rank is the sum of the ranks. Averaging the B and the A by themselves would give another sum. "
        "With\n"
        "--rank N every module becomes the nearest one of rank N (singular values), and the share that is kept is printed;\n"
        "with one adapter, `--weights 1 --rank N`, that makes a smaller adapter of it. Where an adapter has no module for "
        "a\n"
        "linear layer it adds nothing there. What is written is opened again and its logits are compared.\n"
        "Merging an adapter into its model is `your_ai export ADAPTER --to safetensors`.",
    .table = &table,
    .values_bytes = sizeof(struct adapter_merge_values),
    .min_operands = 1,
    .max_operands = PARTS_MAX,
    .run = cmd_adapter_merge_run,
};
