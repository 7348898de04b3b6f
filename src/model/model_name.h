/* model_name: what adapters call the model that they were trained on. */
#ifndef YA_MODEL_MODEL_NAME_H
#define YA_MODEL_MODEL_NAME_H

#include "base/ctx.h"

struct gguf;

/* The value of base_model_name_or_path, which PEFT gives to from_pretrained: a hub id ("owner/name") when the model's own
 * metadata names one, else the absolute path of the model. `gguf` is the open file, or NULL for a Hugging Face folder, whose
 * config.json is then read. Owner of the result: the caller (mem_free). E_INPUT when config.json cannot be read.
 *
 * In a snapshot of the Hugging Face cache: its repository (hub_cache.h). A folder: _name_or_path. A GGUF file: the
 * repository it was converted from (general.source.huggingface.repository, general.source.repo_url, general.source.url), its
 * own (general.repo_url, general.url, general.name). general.base_model.0 is what this model was made from, which for a
 * fine-tuned model are other weights: it counts only where it bears the name of the model itself, as in a file that was
 * quantised again. */
char *model_name(struct ctx *c, const char *path, const struct gguf *gguf);

#endif
