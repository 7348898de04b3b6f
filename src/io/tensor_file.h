/* tensor_file: the tensors of a model by name, whichever container they are in: a Hugging Face folder (safetensors, sharded
 * or not) or GGUF, one file or the parts of a split one. Both containers give views on mapped bytes with the same promises
 * (docs/io.md), so that whoever reads weights needs no case for either. What the containers do not have in common, the
 * model's configuration, is reached through tensor_file_gguf and tensor_file_config_path. */
#ifndef YA_IO_TENSOR_FILE_H
#define YA_IO_TENSOR_FILE_H

#include "io/tensor.h"

struct gguf;
struct tensor_file;

enum tensor_container { CONTAINER_SAFETENSORS, CONTAINER_GGUF };

/* Opens a folder with config.json and safetensors, or a GGUF file, which is known by its first bytes whatever its name is;
 * of a split model any part. Owner of the result: the caller. NULL with the errors of safetensors_open_dir and
 * gguf_set_open, and E_INPUT for a file that is neither, saying what it is where that can be told. */
struct tensor_file *tensor_file_open(struct ctx *c, const char *path);
void tensor_file_close(struct tensor_file *f); /* accepts NULL */

/* Which container it is, how many tensors it has, tensor i (below the count; the order is the container's), and the one of a
 * name (NULL when there is none). Views are owned by f. */
enum tensor_container tensor_file_container(const struct tensor_file *f);
size_t tensor_file_count(const struct tensor_file *f);
const struct tensor_view *tensor_file_at(const struct tensor_file *f, size_t i);
const struct tensor_view *tensor_file_find(const struct tensor_file *f, const char *name);

/* E_IO when a mapped file became shorter or could not be read: the views then showed zeros. */
enum status tensor_file_check(struct ctx *c, const struct tensor_file *f);
/* Lets go of the memory behind a tensor that will not be read for a while; it stays readable, from the file again. */
void tensor_file_drop(const struct tensor_view *t);

/* The GGUF file with the metadata, the first part of a split one, owned by f; NULL for a folder. */
const struct gguf *tensor_file_gguf(const struct tensor_file *f);
/* Where a folder's config.json is; NULL for GGUF. */
const char *tensor_file_config_path(const struct tensor_file *f);

#endif
