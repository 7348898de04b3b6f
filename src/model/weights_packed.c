/* weights_packed: matrices that MLX has quantised (mx.quantize, mode "affine"; array/codec/mlx_affine.h), as mlx-lm writes
 * them into a folder: NAME.weight holds words of codes, NAME.scales and NAME.biases a number for each group of columns.
 * Numbers of bits and the size of groups follow from the shapes, so layers may differ.
 *
 * Kernels of this program read rows, and there are none in the file. With 4 bits they are made as blocks of Q4_1, which mean
 * the same values (5 bits for each, 4.5 in the file); with 8, or where f16 does not hold a scale, as f32. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/threads.h"
#include "model/weights_internal.h"

bool weights_is_packed(const struct model_files *f, const char *name)
{
    const struct tensor_view *t = tensor_file_find(f->file, name);
    return t && t->type == TENSOR_U32;
}

/* Marks a tensor as used; its bytes count once. */
static enum status packed_use(struct model_files *f, const struct tensor_view *t)
{
    bool again = false;
    TRY(map64_put(f->used, (uint64_t)(uintptr_t)t, 1, &again));
    if (!again) f->bytes += t->bytes;
    return OK;
}

/* The tensor of a matrix with another end in place of "weight", which must have `rows` rows. */
static const struct tensor_view *packed_find(struct model_files *f, const char *name, const char *end, int64_t rows)
{
    char full[WEIGHTS_NAME_BYTES + 8];
    snprintf(full, sizeof full, "%.*s%s", (int)(strlen(name) - strlen("weight")), name, end);
    const struct tensor_view *t = tensor_file_find(f->file, full);
    if (!t)
        ctx_fail(f->c, E_INPUT, "%s: tensor \"%s\" is missing, which belongs to the packed \"%s\"", f->path, full, name);
    else if (t->ndim != 2 || t->shape[0] != rows || t->shape[1] < 1)
        ctx_fail(f->c, E_INPUT, "%s: tensor \"%s\" does not have the %lld rows that the config asks for", f->path, full,
                 (long long)rows);
    else if (packed_use(f, t) == OK)
        return t;
    return NULL;
}

/* bits and group from the shapes. */
static enum status packed_read_form(struct model_files *f, const char *name, int64_t cols, int64_t words, int64_t groups,
                                    struct mlx_affine_matrix *m)
{
    m->bits = words * 8 == cols ? 4 : words * 4 == cols ? 8 : 0;
    m->group = 0;
    for (int group = 32; group <= 128; group *= 2)
        if (groups * group == cols) m->group = group;
    if (m->bits && m->group) return OK;
    return ctx_fail(f->c, E_UNSUPPORTED,
                    "%s: \"%s\" has %lld words and %lld groups in a row of %lld columns; MLX's form with 4 or 8 bits and "
                    "groups of 32, 64 or 128 is supported",
                    f->path, name, (long long)words, (long long)groups, (long long)cols);
}

static enum status packed_read(struct model_files *f, const char *name, int64_t rows, int64_t cols,
                               struct mlx_affine_matrix *m)
{
    const struct tensor_view *words = packed_find(f, name, "weight", rows);
    const struct tensor_view *scales = words ? packed_find(f, name, "scales", rows) : NULL;
    const struct tensor_view *biases = scales ? packed_find(f, name, "biases", rows) : NULL;
    if (!biases) return f->c->status;
    *m = (struct mlx_affine_matrix){words->data, scales->data, biases->data, scales->type, 0, 0};
    bool number = m->type == TENSOR_BF16 || m->type == TENSOR_F16 || m->type == TENSOR_F32;
    if (!number || biases->type != m->type || biases->shape[1] != scales->shape[1])
        return ctx_fail(f->c, E_INPUT, "%s: scales and biases of \"%s\" must be of one shape and of BF16, F16 or F32",
                        f->path, name);
    return packed_read_form(f, name, cols, words->shape[1], scales->shape[1], m);
}

/* ---- rows for kernels ------------------------------------------------------------------------------------------------- */

struct packed_work {
    const struct mlx_affine_matrix *m;
    int64_t cols;
    enum tensor_type type; /* Q4_1 or F32 */
    size_t row_bytes;
    char *rows;
    _Atomic bool fails; /* a row is no Q4_1 */
};

/* A work item: row i. */
static void packed_make_row(void *arg, int64_t i, int worker)
{
    struct packed_work *w = arg;
    void *row = w->rows + (size_t)i * w->row_bytes;
    (void)worker;
    if (w->type == TENSOR_F32)
        mlx_affine_row_f32(w->m, i, w->cols, row);
    else if (!mlx_affine_row_q4_1(w->m, i, w->cols, row))
        w->fails = true;
}

/* All rows in one type. false: it cannot hold them, or a failure is in the ctx. */
static bool packed_make(struct model_files *f, struct weights_packed *p, enum tensor_type type, struct weight_source *s)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    struct packed_work w = {.m = &p->matrix, .cols = s->cols, .type = type};
    w.row_bytes = (size_t)(s->cols / info->block) * (size_t)info->bytes;
    w.rows = mem_alloc(f->c, (size_t)s->rows, w.row_bytes);
    if (!w.rows) return false;
    threads_run(f->c, s->rows, packed_make_row, &w);
    if (w.fails) {
        mem_free(f->c, w.rows);
        return false;
    }
    p->rows = w.rows;
    s->type = type;
    s->data = w.rows;
    s->row_bytes = w.row_bytes;
    return true;
}

enum status weights_find_packed(struct model_files *f, const char *name, int64_t rows, int64_t cols,
                                struct weight_source *out)
{
    struct weights_packed *p = &f->packed[f->n_packed];
    TRY(packed_read(f, name, rows, cols, &p->matrix));
    f->n_packed++;
    *out = (struct weight_source){.type = TENSOR_F32, .rows = rows, .cols = cols, .packed = &p->matrix};
    if (f->packed_in_file) return OK;
    if (p->matrix.bits == 4 && packed_make(f, p, TENSOR_Q4_1, out)) return OK;
    if (ctx_ok(f->c)) packed_make(f, p, TENSOR_F32, out);
    return f->c->status;
}

void weights_release_packed(struct model_files *f)
{
    for (size_t i = 0; i < f->n_packed; i++) mem_free(f->c, f->packed[i].rows);
    mem_free(f->c, f->packed);
}
