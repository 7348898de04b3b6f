/* weights: which tensor of a file is which weight. Reads a folder with safetensors or a GGUF file through one table of
 * expected tensors, so that both are checked alike: each is there, has the right shape and a type that kernels read, and
 * there is no tensor that nobody asked for. */
#ifndef YA_MODEL_WEIGHTS_H
#define YA_MODEL_WEIGHTS_H

#include "model/model.h"

struct gguf;
/* The open files, and what was made from them: names, row maps, f32 copies of norms and biases, matrices in other
 * forms. */
struct model_files;

/* Opens the files of a model folder or a .gguf file. Owner of the result: the caller. NULL with the errors of
 * tensor_file_open. weights_close releases prepared weights and vectors and closes the files; it accepts NULL. */
struct model_files *weights_open(struct ctx *c, const char *path);
void weights_close(struct model_files *f);

/* Reads and validates the model's configuration: config.json of a folder, the metadata of a GGUF file. */
enum status weights_config(struct model_files *f, struct model_config *out);
/* Fills m's embed, head, final_norm and blocks (allocated here, freed by model_free) from m->config and
 * m->options. */
enum status weights_bind(struct model_files *f, struct model *m);
/* Divides n rotary frequencies by the factors of a GGUF's rope_freqs.weight. */
enum status weights_divide_rope(struct model_files *f, float *inv_freq, int64_t n);

/* E_IO when a mapped file shrank. */
enum status weights_check(struct model_files *f);
/* What model_weight_bytes and model_made_bytes say (model.h). */
size_t weights_bytes(const struct model_files *f);
size_t weights_made_bytes(const struct model_files *f);
/* The GGUF file, or NULL for a folder: metadata for export. */
const struct gguf *weights_gguf(const struct model_files *f);

#endif
