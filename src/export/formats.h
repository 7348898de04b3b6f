/* formats: the writers of exports, in the order in which they are listed to people. */
#ifndef YA_EXPORT_FORMATS_H
#define YA_EXPORT_FORMATS_H

#include "export/export.h"

extern const struct export_format format_peft, format_safetensors, format_gguf_lora, format_gguf, format_mlx_lora,
    format_mlx, format_coreml;

/* Parts that several formats have in common. */

/* Bytes of the merged model's tensors in one plain type. */
uint64_t format_plain_bytes(const struct export_source *s, enum tensor_type type);
/* Bytes of the adapter's matrices in f32. */
uint64_t format_adapter_bytes(const struct export_source *s, const char *type);
/* `opens` of formats that are read as a folder: a copy of `dir`. Owner: the caller. */
char *format_opens_folder(const struct export_source *s, const char *dir, const char *type);
/* The largest relative difference of logits (struct export_difference) that a format may show before it is held to be
 * faulty: of f32 files, where only the order of additions differs, and of a type, by how it rounds weights. */
double format_limit_exact(const char *type);
double format_limit_of(enum tensor_type type);
/* The plain type that a name ("bf16", "f16", "f32") stands for. */
enum tensor_type format_plain_type(const char *type);

#endif
