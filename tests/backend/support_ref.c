/* support_ref: arrays with guard elements, made by hand, and the reader of the golden values. */
#include "support_ref.h"

#include "base/threads.h"

enum { GUARD = 32 }; /* elements before and after */

static struct golden goldens[GOLDEN_MAX];
static int n_goldens;

/* ---- arrays ----------------------------------------------------------------------------------------------------------- */

void ref_open(struct ref_fixture *f, enum dtype real, int64_t pad)
{
    memset(f, 0, sizeof(*f));
    f->c = ctx_new(NULL);
    assert_non_null(f->c);
    f->backend = backend_open(f->c, "cpu-reference");
    assert_non_null(f->backend);
    f->real = real;
    f->pad = pad;
    f->tolerance = real == DTYPE_F64 ? 1e-10 : 1e-5;
}

static int64_t offset_of(const struct array *a, int64_t i)
{
    int64_t offset = 0;
    for (int k = a->ndim - 1; k >= 0; k--) {
        offset += i % a->shape[k] * a->stride[k];
        i /= a->shape[k];
    }
    return offset;
}

int64_t ref_size(const struct array *a)
{
    int64_t n = 1;
    for (int k = 0; k < a->ndim; k++) n *= a->shape[k];
    return n;
}

/* Everything in the buffer that is no element must still be 0xff. */
static void check_guards(const struct ref_fixture *f, int i)
{
    const struct array *a = &f->arrays[i];
    size_t bytes = dtype_size(a->dtype);
    char *elements = calloc(f->buffer_bytes[i], 1);
    assert_non_null(elements);
    for (int64_t j = 0; j < ref_size(a); j++) {
        memset(elements + ((char *)a->data - f->buffer[i]) + offset_of(a, j) * (int64_t)bytes, 1, bytes);
    }
    for (size_t j = 0; j < f->buffer_bytes[i]; j++) {
        if (!elements[j] && (unsigned char)f->buffer[i][j] != 0xff) {
            fail_msg("array %d: guard byte %zu of %zu was overwritten", i, j, f->buffer_bytes[i]);
        }
    }
    free(elements);
}

void ref_close(struct ref_fixture *f)
{
    for (int i = 0; i < f->n_arrays; i++) {
        check_guards(f, i);
        free(f->buffer[i]);
    }
    for (int i = 0; i < f->n_weights; i++) free((void *)f->weights[i].data);
    f->backend->close(f->backend);
    assert_int_equal(f->c->alloc_bytes, 0); /* kernels give their scratch back */
    ctx_free(f->c);
}

struct array *ref_empty(struct ref_fixture *f, enum dtype dtype, int ndim, const int64_t *shape)
{
    assert_true(f->n_arrays < REF_ARRAYS_MAX);
    int i = f->n_arrays++;
    struct array *a = &f->arrays[i];
    *a = (struct array){.refs = 1, .dtype = dtype, .ndim = ndim, .c = f->c};
    int64_t step = 1;
    for (int k = ndim - 1; k >= 0; k--) {
        a->shape[k] = shape[k];
        a->stride[k] = step;
        step = step * shape[k] + (dtype_is_float(dtype) ? f->pad : 0);
    }
    f->buffer_bytes[i] = (size_t)(step + 2 * GUARD) * dtype_size(dtype);
    f->buffer[i] = malloc(f->buffer_bytes[i]);
    assert_non_null(f->buffer[i]);
    memset(f->buffer[i], 0xff, f->buffer_bytes[i]);
    a->data = f->buffer[i] + GUARD * dtype_size(dtype);
    return a;
}

struct array *ref_like(struct ref_fixture *f, const struct array *a)
{
    return ref_empty(f, a->dtype, a->ndim, a->shape);
}

double ref_get(const struct array *a, int64_t i)
{
    const char *p = (const char *)a->data + offset_of(a, i) * (int64_t)dtype_size(a->dtype);
    switch (a->dtype) {
    case DTYPE_BOOL:
    case DTYPE_U8:
        return *(const uint8_t *)p;
    case DTYPE_I32:
        return *(const int32_t *)p;
    case DTYPE_I64:
        return (double)*(const int64_t *)p;
    case DTYPE_F32:
        return (double)*(const float *)p;
    case DTYPE_F64:
        return *(const double *)p;
    case DTYPE_F16:
        return (double)f16_to_f32(*(const uint16_t *)p);
    default:
        return (double)bf16_to_f32(*(const uint16_t *)p);
    }
}

void ref_set(struct array *a, int64_t i, double value)
{
    char *p = (char *)a->data + offset_of(a, i) * (int64_t)dtype_size(a->dtype);
    switch (a->dtype) {
    case DTYPE_BOOL:
    case DTYPE_U8:
        *(uint8_t *)p = (uint8_t)value;
        break;
    case DTYPE_I32:
        *(int32_t *)p = (int32_t)value;
        break;
    case DTYPE_I64:
        *(int64_t *)p = (int64_t)value;
        break;
    case DTYPE_F32:
        *(float *)p = (float)value;
        break;
    case DTYPE_F64:
        *(double *)p = value;
        break;
    case DTYPE_F16:
        *(uint16_t *)p = f32_to_f16((float)value);
        break;
    default:
        *(uint16_t *)p = f32_to_bf16((float)value);
        break;
    }
}

struct array *ref_values(struct ref_fixture *f, enum dtype dtype, int ndim, const int64_t *shape, const double *values)
{
    struct array *a = ref_empty(f, dtype, ndim, shape);
    for (int64_t i = 0; i < ref_size(a); i++) ref_set(a, i, values[i]);
    return a;
}

struct array *ref_noise(struct ref_fixture *f, enum dtype dtype, int ndim, const int64_t *shape, uint64_t seed)
{
    struct array *a = ref_empty(f, dtype, ndim, shape);
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int64_t i = 0; i < ref_size(a); i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ref_set(a, i, (double)((int64_t)(x >> 41) - (1 << 22)) / (double)(1 << 22)); /* 23 bits: exact in f32 */
    }
    return a;
}

/* ---- goldens ---------------------------------------------------------------------------------------------------------- */

/* "<case> <name> <dims> <values>" */
static void golden_parse(char *line)
{
    assert_true(n_goldens < GOLDEN_MAX);
    struct golden *g = &goldens[n_goldens++];
    char *save = NULL, *name_of_case = strtok_r(line, " ", &save), *name = strtok_r(NULL, " ", &save);
    char *dims = strtok_r(NULL, " ", &save);
    assert_non_null(dims);
    snprintf(g->key, sizeof(g->key), "%s %s", name_of_case, name);
    g->n = 1;
    for (char *p = dims; *p && *p != '-'; p += *p == ',') {
        g->shape[g->ndim] = strtoll(p, &p, 10);
        g->n *= g->shape[g->ndim++];
    }
    g->values = calloc((size_t)g->n + 1, sizeof(double));
    assert_non_null(g->values);
    for (int64_t i = 0; i < g->n; i++) {
        char *value = strtok_r(NULL, " \n", &save);
        assert_non_null(value);
        g->values[i] = strtod(value, NULL);
    }
}

static void golden_load(void)
{
    const char *path = TEST_DATA "/backend/ref_golden.txt";
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("%s is missing: run tools/gen_ref_golden.py", path);
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) golden_parse(line);
    free(line);
    fclose(file);
}

const struct golden *golden_find(const char *name_of_case, const char *name)
{
    if (n_goldens == 0) golden_load();
    char key[64];
    snprintf(key, sizeof(key), "%s %s", name_of_case, name);
    for (int i = 0; i < n_goldens; i++) {
        if (strcmp(goldens[i].key, key) == 0) return &goldens[i];
    }
    fail_msg("no golden \"%s\"", key);
    return NULL;
}

struct array *ref_golden_as(struct ref_fixture *f, const char *name_of_case, const char *name, enum dtype dtype)
{
    const struct golden *g = golden_find(name_of_case, name);
    return ref_values(f, dtype, g->ndim, g->shape, g->values);
}

struct array *ref_golden(struct ref_fixture *f, const char *name_of_case, const char *name)
{
    return ref_golden_as(f, name_of_case, name, f->real);
}

double golden_number(const char *name_of_case, const char *name)
{
    return golden_find(name_of_case, name)->values[0];
}

struct weight *ref_weight(struct ref_fixture *f, const char *name_of_case, const char *name)
{
    const struct golden *g = golden_find(name_of_case, name);
    assert_true(f->n_weights < 16);
    struct weight *w = &f->weights[f->n_weights++];
    bool wide = f->real == DTYPE_F64;
    *w = (struct weight){.name = name, .type = wide ? TENSOR_F64 : TENSOR_F32, .rows = g->shape[0], .cols = g->shape[1]};
    w->row_bytes = (size_t)w->cols * dtype_size(f->real);
    void *data = malloc((size_t)w->rows * w->row_bytes);
    assert_non_null(data);
    for (int64_t i = 0; i < g->n; i++) {
        if (wide) {
            ((double *)data)[i] = g->values[i];
        } else {
            ((float *)data)[i] = (float)g->values[i];
        }
    }
    w->data = data;
    return w;
}

/* ---- running and judging ---------------------------------------------------------------------------------------------- */

void ref_run(struct ref_fixture *f, const struct op_call *call)
{
    enum status status = f->backend->kernel[call->op](f->backend, call);
    if (status != OK) fail_msg("%s: %s", op_name(call->op), f->c->message);
}

void ref_check_values(struct ref_fixture *f, const struct array *a, const double *expect, int64_t n, const char *what)
{
    assert_int_equal(ref_size(a), n);
    double largest = 1.0;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(expect[i])) largest = fmax(largest, fabs(expect[i]));
    }
    for (int64_t i = 0; i < n; i++) {
        double got = ref_get(a, i);
        if (got == expect[i]) continue; /* infinities */
        if (!(fabs(got - expect[i]) <= f->tolerance * largest)) {
            fail_msg("%s (%s): element %lld is %.17g, not %.17g", what, dtype_name(a->dtype), (long long)i, got, expect[i]);
        }
    }
}

void ref_check(struct ref_fixture *f, const struct array *a, const char *name_of_case, const char *name)
{
    const struct golden *g = golden_find(name_of_case, name);
    ref_check_values(f, a, g->values, g->n, g->key);
}
