/* gguf_writer: writes a GGUF v3 file, little-endian, alignment 32: first the pairs and the declarations of all tensors, then
 * their bytes in the order of declaration, in pieces of any size. The file appears, complete and synced, at commit
 * (file_writer). */
#ifndef YA_IO_GGUF_WRITER_H
#define YA_IO_GGUF_WRITER_H

#include "io/gguf.h"

struct gguf_writer;

/* Owner of the result: the caller (gguf_writer_commit or _abort). NULL with E_MEMORY. */
struct gguf_writer *gguf_writer_new(struct ctx *c);

/* Metadata, before gguf_writer_begin. Keys are this program's or come from a file that was read; each may be there once
 * (BUG_ON). Texts may hold any bytes. Errors are kept in the ctx. */
void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_writer_f32(struct gguf_writer *w, const char *key, float v);
void gguf_writer_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_writer_string(struct gguf_writer *w, const char *key, const char *text, size_t n);
/* Lists: n items of `item_kind` by the function, which returns the text of item i; or n values. */
typedef struct gguf_string gguf_writer_item(const void *user, uint64_t i);
void gguf_writer_strings(struct gguf_writer *w, const char *key, uint64_t n, gguf_writer_item *item, const void *user);
void gguf_writer_i32s(struct gguf_writer *w, const char *key, const int32_t *values, uint64_t n);
void gguf_writer_f32s(struct gguf_writer *w, const char *key, const float *values, uint64_t n);
void gguf_writer_bools(struct gguf_writer *w, const char *key, const bool *values, uint64_t n);
/* A pair of another file as it stands there. */
void gguf_writer_copy(struct gguf_writer *w, const struct gguf_value *v);
/* Whether the key has been written. */
bool gguf_writer_has(const struct gguf_writer *w, const char *key);

/* Declares a tensor with row-major shape. The name must be new (BUG_ON). */
void gguf_writer_tensor(struct gguf_writer *w, const char *name, enum tensor_type type, int ndim, const int64_t *shape);

/* Opens the file and writes what was declared. E_IO. */
enum status gguf_writer_begin(struct gguf_writer *w, const char *path);
/* Bytes of the tensors in order; padding between them is put in here. */
void gguf_writer_write(struct gguf_writer *w, const void *bytes, size_t n);
enum status gguf_writer_commit(struct gguf_writer *w); /* E_IO; BUG_ON when bytes are missing; frees w */
void gguf_writer_abort(struct gguf_writer *w);         /* accepts NULL */

#endif
