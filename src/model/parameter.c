/* parameter: the table of trained parameters, their slabs, and safetensors files of them. See parameter.h. */
#include "model/parameter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "array/array.h"
#include "base/mem.h"
#include "io/safetensors.h"

/* Every parameter starts on a 64-byte line of its slab, as an array of its own would: the kernels' fast paths depend on
 * it. */
enum { ALIGN_ELEMENTS = 16, TENSOR_NAME_BYTES = PARAMETER_NAME_BYTES + 64, FIRST_CAPACITY = 32 };

/* Offsets are given in the order of the calls, so the table alone says where each parameter lies in every slab. */
enum status parameters_add(struct ctx *c, struct parameters *p, const char *name, int64_t rows, int64_t cols)
{
    bool full = p->n == 0 || (p->n >= FIRST_CAPACITY && (p->n & (p->n - 1)) == 0); /* grows at each power of two */
    if (full) {
        size_t capacity = p->n ? 2 * p->n : FIRST_CAPACITY;
        struct parameter *list = mem_resize(c, p->list, p->n, capacity, sizeof *list);
        if (!list) return c->status;
        p->list = list;
    }
    BUG_ON(c, strlen(name) >= PARAMETER_NAME_BYTES || rows < 1 || cols < 1, "parameter %s: %" PRId64 " x %" PRId64, name,
           rows, cols);
    struct parameter *new = &p->list[p->n++];
    *new = (struct parameter){.rows = rows, .cols = cols, .offset = p->slab_size};
    snprintf(new->name, sizeof new->name, "%s", name);
    p->count += rows * cols;
    p->slab_size += (rows * cols + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS;
    return OK;
}

void parameters_release(struct ctx *c, struct parameters *p)
{
    mem_free(c, p->list);
    *p = (struct parameters){0};
}

/* ---- slabs ----------------------------------------------------------------------------------------------------------- */

/* One array of all parameters, f32, zeros, also between them where alignment left gaps: zeros change no norm and no
 * update. */
struct array *parameters_slab(struct ctx *c, const struct parameters *p)
{
    return array_persistent(c, DTYPE_F32, 1, &p->slab_size);
}

/* (rows, cols) in the slab. Owner: the caller. */
struct array *parameter_view(struct array *slab, const struct parameter *p)
{
    if (!slab) return NULL;
    const int64_t shape[] = {p->rows, p->cols}, stride[] = {p->cols, 1};
    int mark = scope_open(slab->c);
    struct array *view = array_retain(array_view(slab, 2, shape, stride, p->offset));
    scope_close(slab->c, mark);
    return view;
}

enum status parameter_read(struct array *view, float *out)
{
    return array_to_host(view, DTYPE_F32, out);
}

enum status parameter_write(struct array *view, const float *values)
{
    BUG_ON(view->c, view->dtype != DTYPE_F32 || !array_is_contiguous(view), "a parameter is contiguous and f32");
    return array_upload(view, values, array_size(view));
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

/* The name of the tensor in a file; NULL when it would be cut. */
static const char *parameter_tensor_name(char *out, const struct parameter *p, const struct parameter_set *set)
{
    int n = snprintf(out, TENSOR_NAME_BYTES, "%s%s%s", set->prefix, p->name, set->suffix);
    return n < TENSOR_NAME_BYTES ? out : NULL;
}

/* Host memory for the largest parameter. */
static float *largest_buffer(struct ctx *c, const struct parameter *list, size_t n)
{
    int64_t most = 1;
    for (size_t i = 0; i < n; i++) most = list[i].rows * list[i].cols > most ? list[i].rows * list[i].cols : most;
    return mem_alloc(c, (size_t)most, sizeof(float));
}

/* Parameter by parameter, so that host memory is one parameter's, whatever their number. */
static enum status parameters_write(struct ctx *c, struct safetensors_writer *w, const struct parameter *list, size_t n,
                                    const struct parameter_set *sets, size_t n_sets, parameter_read_fn read, void *user)
{
    float *values = largest_buffer(c, list, n);
    for (size_t i = 0; values && i < n * n_sets && ctx_ok(c); i++) {
        const struct parameter *p = &list[i / n_sets];
        if (read(user, sets[i % n_sets].which, i / n_sets, values) == OK)
            safetensors_write(w, values, (size_t)(p->rows * p->cols) * sizeof *values);
    }
    mem_free(c, values);
    if (ctx_ok(c)) return safetensors_commit(w);
    safetensors_abort(w);
    return c->status;
}

enum status parameters_save(struct ctx *c, const char *path, const struct parameter *list, size_t n,
                            const struct parameter_set *sets, size_t n_sets, parameter_read_fn read, void *user)
{
    struct safetensors_entry *entries = mem_alloc(c, n * n_sets, sizeof *entries);
    char(*names)[TENSOR_NAME_BYTES] = mem_alloc(c, n * n_sets, sizeof *names);
    for (size_t i = 0; entries && names && i < n * n_sets; i++) {
        const struct parameter *p = &list[i / n_sets];
        const char *name = parameter_tensor_name(names[i], p, &sets[i % n_sets]);
        BUG_ON(c, !name, "the tensor name of parameter %s is too long", p->name);
        entries[i] = (struct safetensors_entry){name, TENSOR_F32, 2, {p->rows, p->cols}};
    }
    struct safetensors_writer *w = entries && names ? safetensors_create(c, path, entries, n * n_sets, NULL, 0) : NULL;
    if (w) parameters_write(c, w, list, n, sets, n_sets, read, user);
    mem_free(c, names);
    mem_free(c, entries);
    return c->status;
}

/* The tensor of one parameter, or NULL with E_INPUT. */
static const struct tensor_view *expect_tensor(struct ctx *c, const char *path, const struct safetensors *s,
                                               const struct parameter *p, const struct parameter_set *set)
{
    char name[TENSOR_NAME_BYTES];
    const struct tensor_view *t = parameter_tensor_name(name, p, set) ? safetensors_find(s, name) : NULL;
    if (t && t->type == TENSOR_F32 && t->ndim == 2 && t->shape[0] == p->rows && t->shape[1] == p->cols) return t;
    if (t)
        ctx_fail(c, E_INPUT, "%s: tensor %s is not F32 of %" PRId64 " x %" PRId64 ", as the run has it", path, name, p->rows,
                 p->cols);
    else
        ctx_fail(c, E_INPUT, "%s: tensor %s is missing", path, name);
    return NULL;
}

enum status parameters_load(struct ctx *c, const char *path, const struct parameter *list, size_t n,
                            const struct parameter_set *sets, size_t n_sets, parameter_write_fn write, void *user)
{
    struct safetensors *s = safetensors_open(c, path);
    float *values = s ? largest_buffer(c, list, n) : NULL;
    if (values && safetensors_count(s) != n * n_sets)
        ctx_fail(c, E_INPUT, "%s: has %zu tensors, the run %zu", path, safetensors_count(s), n * n_sets);
    for (size_t i = 0; values && ctx_ok(c) && i < n * n_sets; i++) {
        const struct tensor_view *t = expect_tensor(c, path, s, &list[i / n_sets], &sets[i % n_sets]);
        if (!t) break;
        memcpy(values, t->data, t->bytes); /* the file's bytes need not be aligned */
        write(user, sets[i % n_sets].which, i / n_sets, values);
    }
    if (s && ctx_ok(c)) safetensors_check(c, s);
    mem_free(c, values);
    safetensors_close(s);
    return c->status;
}
