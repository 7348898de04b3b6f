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

enum status weights_prepare_matrix(struct model_files *f, const struct weights_matrix *matrix, struct weight *w)
{
    struct backend *b = array_backend(f->c);
    const struct tensor_view *t = weights_find(f, matrix->name, matrix->rows, matrix->cols);
    if (!t) return f->c->status;
    char *name = f->names[f->n_names++];
    snprintf(name, WEIGHTS_NAME_BYTES, "%s", matrix->hf_name);
    struct weight_source source = {t->type, matrix->rows, matrix->cols, t->data, 0, matrix->row_map};
    source.row_bytes = t->bytes / (size_t)matrix->rows; /* a block never crosses a row: tensor_bytes */
    size_t bytes = b->weight_bytes(b, &source, matrix->form);
    if (b->weight_prepare(b, w, name, &source, matrix->form) != OK) {
        ctx_prefix(f->c, "%s", f->path);
        return f->c->status;
    }
    f->prepared[f->n_prepared++] = *w;
    w->compute = matrix->compute;
    if (bytes == 0) return OK;
    f->bytes = f->bytes - weight_source_bytes(&source) + bytes;
    f->made_bytes += bytes;
    tensor_file_drop(t); /* its pages were read for this only */
    return OK;
}
