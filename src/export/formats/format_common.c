/* format_common: what formats share. See formats.h. */
#include "export/formats.h"

#include <strings.h>

#include "base/mem.h"

uint64_t format_plain_bytes(const struct export_source *s, enum tensor_type type)
{
    uint64_t elements = 0;
    struct merged *g = merged_open(s->model);
    for (size_t i = 0; g && i < merged_count(g); i++) elements += (uint64_t)(merged_at(g, i)->rows * merged_at(g, i)->cols);
    merged_close(g);
    return elements * (uint64_t)tensor_type_info(type)->bytes;
}

uint64_t format_adapter_bytes(const struct export_source *s, const char *type)
{
    (void)type;
    return (uint64_t)lora_parameter_count(s->lora) * sizeof(float);
}

char *format_opens_folder(const struct export_source *s, const char *dir, const char *type)
{
    (void)type;
    return mem_strdup(s->c, dir);
}

double format_limit_exact(const char *type)
{
    (void)type;
    return 1e-4;
}

/* Measured on SmolLM2-135M and the tiny models of the tests (docs/export.md), times four or more. How much rounding to
 * blocks changes logits depends on the model, so there only what is all but unrelated is refused: logits of other models
 * differ by 1.4. */
double format_limit_of(enum tensor_type type)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    double bits = 8.0 * info->bytes / info->block;
    if (type == TENSOR_F32) return 1e-4;
    if (type == TENSOR_F16) return 2e-2;
    if (type == TENSOR_BF16) return 1e-1;
    return bits > 8 ? 0.5 : 1;
}

enum tensor_type format_plain_type(const char *type)
{
    return strcasecmp(type, "bf16") == 0 ? TENSOR_BF16 : strcasecmp(type, "f16") == 0 ? TENSOR_F16 : TENSOR_F32;
}
