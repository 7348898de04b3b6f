/* format_safetensors: the model with the adapter merged in, as a Hugging Face folder. */
#include "export/formats.h"
#include "export/merge.h"

static uint64_t format_safetensors_bytes(const struct export_source *s, const char *type)
{
    return format_plain_bytes(s, format_plain_type(type));
}

static enum status format_safetensors_write(const struct export_source *s, const char *dir, const char *type)
{
    struct merge_options options = {
        .type = format_plain_type(type), .shard_bytes = s->shard_bytes, .report = s->report, .report_user = s->report_user};
    return merge_write(s->model, dir, &options);
}

static double format_safetensors_limit(const char *type)
{
    return format_limit_of(format_plain_type(type));
}

const struct export_format format_safetensors = {
    .name = "safetensors",
    .library = "transformers",
    .holds = "a Hugging Face folder, for transformers, vLLM and mlx-lm",
    .types = "bf16|f16|f32",
    .bytes = format_safetensors_bytes,
    .write = format_safetensors_write,
    .opens = format_opens_folder,
    .limit = format_safetensors_limit,
    .usage = {.command = "python -c", .python = "from transformers import AutoModelForCausalLM as M; M.from_pretrained(%s)"},
};
