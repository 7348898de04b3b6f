/* config_gguf: what the readers of a model's configuration from GGUF metadata share. */
#ifndef YA_MODEL_CONFIG_GGUF_H
#define YA_MODEL_CONFIG_GGUF_H

#include "base/ctx.h"

struct gguf;
struct model_config;

/* Looks at the keys of the model's architecture that model_config_from_gguf does not read: E_UNSUPPORTED for one that
 * changes what is computed, a warning that names those of which that is not known. config->family must be set. */
enum status model_config_check_gguf_keys(struct ctx *c, const struct gguf *g, const struct model_config *config);

#endif
