/* weights_form: what becomes of a tensor of the file. Vectors are small and become f32 arrays. Matrices stay in the mapped
 * file as the source of a weight, from which the backend prepares the form that its kernels read. */
#include <stdio.h>

#include "array/backend.h"
#include "array/codec/quant.h"
#include "base/mem.h"
#include "model/weights_internal.h"

/* Two buffers: the vector as stored, and with its elements where the row map sees them. */
struct array *weights_vector(struct model_files *f, const char *name, int64_t n, const int32_t *row_map)
{
    const struct tensor_view *t = weights_find(f, name, n, 0);
    float *stored = t ? mem_alloc(f->c, (size_t)n, sizeof *stored) : NULL, *seen = NULL;
    struct array *a = NULL;
    if (stored && (seen = mem_alloc(f->c, (size_t)n, sizeof *seen))) {
        quant_to_f32(t->type, t->data, stored, n);
        for (int64_t i = 0; i < n; i++) seen[i] = stored[row_map ? row_map[i] : i];
        a = array_persistent(f->c, DTYPE_F32, 1, &n);
        if (a) f->arrays[f->n_arrays++] = a;
        if (a && array_upload(a, seen, n) != OK) a = NULL;
    }
    mem_free(f->c, stored);
    mem_free(f->c, seen);
    return a;
}

/* Where the rows of a matrix are: in the file, or in memory when they had to be made of MLX's form. */
static enum status form_find_source(struct model_files *f, const struct weights_matrix *matrix, struct weight_source *out)
{
    if (weights_is_packed(f, matrix->name)) return weights_find_packed(f, matrix->name, matrix->rows, matrix->cols, out);
    const struct tensor_view *t = weights_find(f, matrix->name, matrix->rows, matrix->cols);
    if (!t) return f->c->status;
    *out = (struct weight_source){
        .type = t->type, .rows = matrix->rows, .cols = matrix->cols, .data = t->data, .row_map = matrix->row_map};
    out->row_bytes = t->bytes / (size_t)matrix->rows; /* a block never crosses a row: tensor_bytes */
    return OK;
}

/* A form was made of the rows, `bytes` of it: those of the file are not used any more. */
static void form_drop_rows(struct model_files *f, const struct weights_matrix *matrix, const struct weight_source *source,
                           size_t bytes)
{
    f->made_bytes += bytes;
    f->bytes += bytes;
    if (source->packed) return; /* its rows stay in memory, for export */
    f->bytes -= weight_source_bytes(source);
    tensor_file_drop(tensor_file_find(f->file, matrix->name)); /* its pages were read for this only */
}

/* Rows were made in memory of MLX's form, whose own pages are not read again. */
static void form_drop_packed(struct model_files *f, const struct weights_matrix *matrix, const struct weight_source *source)
{
    const struct tensor_view *words = tensor_file_find(f->file, matrix->name);
    if (source->row_bytes == 0) return;
    f->made_bytes += weight_source_bytes(source);
    f->bytes += weight_source_bytes(source) - words->bytes;
    tensor_file_drop(words);
}

enum status weights_prepare_matrix(struct model_files *f, const struct weights_matrix *matrix, struct weight *w)
{
    struct backend *b = array_backend(f->c);
    struct weight_source source;
    TRY(form_find_source(f, matrix, &source));
    if (source.packed) form_drop_packed(f, matrix, &source);
    char *name = f->names[f->n_names++];
    snprintf(name, WEIGHTS_NAME_BYTES, "%s", matrix->hf_name);
    size_t bytes = b->weight_bytes(b, &source, matrix->form);
    if (b->weight_prepare(b, w, name, &source, matrix->form) != OK) {
        ctx_prefix(f->c, "%s", f->path);
        return f->c->status;
    }
    f->prepared[f->n_prepared++] = *w;
    w->compute = matrix->compute;
    if (bytes > 0) form_drop_rows(f, matrix, &source, bytes);
    return OK;
}
