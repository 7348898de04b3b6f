/* gguf_set: a model in GGUF, whole or split into several files ("model-00001-of-00003.gguf"). The first part holds the
 * metadata of the model; every part holds some of its tensors and the keys split.no, its number from 0 on, and split.count.
 */
#ifndef YA_IO_GGUF_SET_H
#define YA_IO_GGUF_SET_H

#include "io/gguf.h"

enum { GGUF_SET_CAP = 1024 /* parts */ };

struct gguf_set;

/* Opens the file and, where it is a part of a split model, whichever part it is, all others beside it. Owner of the result:
 * the caller. NULL with the errors of gguf_open, and E_INPUT where a part is missing (the message names its path), is a part
 * of another model or another part than its name says, or where parts hold a tensor twice or not as many as
 * split.tensors.count says. */
struct gguf_set *gguf_set_open(struct ctx *c, const char *path);
void gguf_set_close(struct gguf_set *s); /* accepts NULL */

/* How many parts there are, and part i in order; part 0 has the model's metadata. */
size_t gguf_set_parts(const struct gguf_set *s);
const struct gguf *gguf_set_part(const struct gguf_set *s, size_t i);

/* Tensors of all parts, part after part. */
size_t gguf_set_tensor_count(const struct gguf_set *s);
const struct tensor_view *gguf_set_tensor(const struct gguf_set *s, size_t i);
const struct tensor_view *gguf_set_find(const struct gguf_set *s, const char *name); /* NULL when absent */

/* file_check of every part. */
enum status gguf_set_check(struct ctx *c, const struct gguf_set *s);

/* Paths of all parts of the model that the file belongs to, in order: one for a model that is not split. Owner: the caller
 * (dir_list_free). Errors of gguf_set_open. */
enum status gguf_set_paths(struct ctx *c, const char *path, char ***paths, size_t *n);

#endif
