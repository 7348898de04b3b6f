/* merge: a model with its adapter folded in, as a Hugging Face folder that other programs load.
 *
 * W' = W + scale * B A, computed in f32 from the values that training computed with (block-quantised weights are widened),
 * then rounded once to the type asked for. Commands open the model as it is, also for an adapter that was trained on NF4.
 * Norms and biases are rounded to the same type, because that is what loaders do.
 */
#ifndef YA_EXPORT_MERGE_H
#define YA_EXPORT_MERGE_H

#include "export/merged.h"

struct merge_options {
    enum tensor_type type;   /* TENSOR_BF16, TENSOR_F16 or TENSOR_F32 */
    size_t shard_bytes;      /* most bytes of tensors a file (a larger tensor has one to itself); 0: 5 * 10^9 */
    merged_progress *report; /* may be NULL */
    void *report_user;
};

/* Writes model.safetensors (or shards with their index), config.json, generation_config.json and the tokenizer's files into
 * `dir`, which is made and must be empty. The adapter is the one attached to the model; none: the base model is written.
 * config.json comes last, so that a folder whose writing was cut short does not load. A tokenizer that cannot be written for
 * a GGUF base is left out with a warning in the log. E_IO, E_INPUT, E_UNSUPPORTED, E_NUMERIC. */
enum status merge_write(struct model *m, const char *dir, const struct merge_options *options);

#endif
