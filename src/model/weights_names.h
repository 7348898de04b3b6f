/* weights_names: what the tensors of a model are called in each container. */
#ifndef YA_MODEL_WEIGHTS_NAMES_H
#define YA_MODEL_WEIGHTS_NAMES_H

#include "io/tensor_file.h"
#include "model/model.h"

enum { WEIGHTS_NAME_BYTES = 96 };

/* Elements of a vector of a block, 0 when the model has none of that kind. */
int64_t weights_norm_size(const struct model_config *m, enum block_norm norm);

/* What tensors are called: "model.layers." in safetensors, "blk" in GGUF, and so on. */
struct weights_names {
    const char *block;                     /* in front of the number of a layer */
    const char *const *linear;             /* [LORA_PLACES], without layer and ".weight" or ".bias" */
    const char *norm[BLOCK_NORMS];         /* likewise */
    const char *embed, *final_norm, *head; /* whole names */
};
/* The names of a container; static. */
const struct weights_names *weights_names_of(enum tensor_container container);

/* "model.layers.3.self_attn.q_proj.weight": layer; tail, one of `linear` or `norm`; part, "weight" or "bias". Returns `out`,
 * which is long enough for every name of both tables with any layer. */
const char *weights_block_name(const struct weights_names *names, int64_t layer, const char *tail, const char *part,
                               char out[WEIGHTS_NAME_BYTES]);

#endif
