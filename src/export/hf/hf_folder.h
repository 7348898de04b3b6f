/* hf_folder: the files of a Hugging Face model folder beside its tensors: config.json, generation_config.json, tokenizer. */
#ifndef YA_EXPORT_HF_FOLDER_H
#define YA_EXPORT_HF_FOLDER_H

#include "io/json.h"
#include "model/model.h"
#include "model/weights.h"

/* E_UNSUPPORTED when config.json cannot say what the model is (only possible for GGUF bases). */
enum status hf_folder_check(const struct model *m);

/* Writes all of them into `dir` for weights of `type` (TENSOR_BF16, TENSOR_F16 or TENSOR_F32). From a folder, config.json is
 * copied with its dtype changed and the tokenizer's files are copied byte by byte; from GGUF, both are generated.
 * generation_config.json lists every token that ends a turn, so that generation stops after what training taught.
 * config.json is written last. */
enum status hf_folder_write(const struct model *m, const char *dir, enum tensor_type type);

/* Writes a document as an indented file of the folder, atomically. E_IO, E_MEMORY. */
enum status hf_folder_write_json(struct ctx *c, const char *dir, const char *name, const json_t *doc);

/* config.json of a model as transformers 4 and 5 read it; owner the caller (json_decref), NULL with E_UNSUPPORTED. */
json_t *hf_config_make(const struct model *m);

/* tokenizer.json and tokenizer_config.json from a GGUF's vocabulary; false when they cannot say the same (why: in the log).
 * Errors while writing are in the ctx. */
bool hf_tokenizer_write(struct ctx *c, const struct gguf *g, const char *dir);

#endif
