/* support_cpu: runs a call by the reference in f64 and by every table of inner loops in f32, and compares. */
#include "support_cpu.h"

#include "array/codec/int8.h"
#include "backend/cpu/cpu.h"
#include "base/threads.h"
#include "support_blocks.h"

static const int thread_counts[] = {1, 3, 2, 7};

static const struct cpu_table all_tables[CPU_TABLES] = {
    {"portable", &cpu_kernels_portable},
#if defined(__x86_64__)
    {"avx2", &cpu_kernels_avx2},
    {"avx512", &cpu_kernels_avx512},
    {"avx512vnni", &cpu_kernels_avx512vnni},
    {"avx512bf16", &cpu_kernels_avx512bf16},
    {"amx", &cpu_kernels_amx},
#elif defined(__aarch64__)
    {"neon", &cpu_kernels_neon},
    {"neon-dot", &cpu_kernels_neon_dot},
#endif
};

int cpu_tables(struct cpu_table tables[CPU_TABLES])
{
    const char *only = getenv("YA_TEST_TABLE");
    struct ctx *c = ctx_new(NULL);
    int n = 0;
    assert_non_null(c);
    for (int i = 0; i < CPU_TABLES && all_tables[i].name; i++) {
        const char *name = all_tables[i].name;
        if (only && strcmp(only, name) != 0) continue;
        struct backend *b = cpu_backend_open(c, name, false);
        bool runs = b != NULL;
        if (b) b->close(b);
        if (only && !runs) fail_msg("YA_TEST_TABLE: %s", c->message);
        if (runs) tables[n++] = all_tables[i];
        ctx_clear(c);
    }
    ctx_free(c);
    if (n == 0) fail_msg("YA_TEST_TABLE=%s: no such table", only);
    return n;
}

void cpu_open(struct cpu_fixture *t)
{
    memset(t, 0, sizeof *t);
    ref_open(&t->f, DTYPE_F32, 0);
    t->tolerance = 3e-6;
    assert_int_equal(array_env_new(t->f.c, backend_open(t->f.c, "cpu-reference")), OK);
}

void cpu_close(struct cpu_fixture *t)
{
    for (int i = 0; i < t->n_blobs; i++) free(t->blobs[i]);
    ctx_set_threads(t->f.c, 1);
    array_env_free(t->f.c);
    ref_close(&t->f);
}

static struct twin twin_empty(struct cpu_fixture *t, int64_t pad, int ndim, const int64_t *shape)
{
    struct twin w;
    t->f.pad = pad;
    w.single = ref_empty(&t->f, DTYPE_F32, ndim, shape);
    w.twice = ref_empty(&t->f, DTYPE_F64, ndim, shape);
    t->f.pad = 0;
    return w;
}

struct twin cpu_empty(struct cpu_fixture *t, int64_t pad, int ndim, const int64_t *shape)
{
    return twin_empty(t, pad, ndim, shape);
}

struct twin cpu_empty_f64(struct cpu_fixture *t, int64_t n)
{
    return (struct twin){ref_empty(&t->f, DTYPE_F64, 1, &n), ref_empty(&t->f, DTYPE_F64, 1, &n)};
}

struct twin cpu_noise(struct cpu_fixture *t, int64_t pad, double scale, uint64_t seed, int ndim, const int64_t *shape)
{
    struct twin w = twin_empty(t, pad, ndim, shape);
    struct array *noise = ref_noise(&t->f, DTYPE_F32, ndim, shape, seed);
    for (int64_t i = 0; i < ref_size(noise); i++) {
        ref_set(w.single, i, ref_get(noise, i) * scale);
        ref_set(w.twice, i, ref_get(w.single, i));
    }
    return w;
}

struct twin cpu_ints(struct cpu_fixture *t, int64_t n, const int32_t *values)
{
    struct array *a = ref_empty(&t->f, DTYPE_I32, 1, &n);
    memcpy(a->data, values, (size_t)n * sizeof(int32_t));
    return (struct twin){a, a};
}

/* ---- weights -------------------------------------------------------------------------------------------------------- */

/* Fills one row of stored elements: floats of every type, or tame blocks of random bytes. */
static void fill_row(enum tensor_type type, char *row, int64_t cols, const struct array *noise, int64_t at)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    for (int64_t j = 0; j < cols; j += info->block) {
        char *to = row + j / info->block * info->bytes;
        float x = (float)ref_get(noise, at + j);
        uint16_t half = type == TENSOR_BF16 ? f32_to_bf16(x) : f32_to_f16(x);
        if (type == TENSOR_F32) {
            memcpy(to, &x, sizeof x);
            continue;
        }
        memcpy(to, &half, info->block > 1 ? 0 : sizeof half);
        for (int b = 0; b < info->bytes && info->block > 1; b++)
            to[b] = (char)(ref_get(noise, at + j + b % info->block) * 127);
        if (info->block > 1) block_tame(type, (uint8_t *)to, 0.5f + 0.5f * fabsf(x));
    }
}

struct weight *cpu_weight(struct cpu_fixture *t, enum tensor_type type, int64_t rows, int64_t cols, bool mapped, bool odd)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    struct weight *w = &t->f.weights[t->n_blobs / 2];
    int64_t offset = odd ? 1 : 0;
    *w = (struct weight){.name = info->name, .type = type, .rows = rows, .cols = cols};
    w->row_bytes = (size_t)(cols / info->block * info->bytes);
    char *data = malloc((size_t)rows * w->row_bytes + (size_t)offset);
    int32_t *map = malloc((size_t)rows * sizeof *map);
    assert_non_null(data);
    assert_non_null(map);
    t->blobs[t->n_blobs++] = data;
    t->blobs[t->n_blobs++] = map;
    struct array *noise = ref_noise(&t->f, DTYPE_F32, SHAPE(rows, cols), 1000 + (uint64_t)type);
    for (int64_t i = 0; i < rows; i++) {
        float size = 1.0f - (float)(i % 7) / 64; /* so that a row of int8 is not right with another's scale */
        for (int64_t j = 0; j < cols; j++) ((float *)noise->data)[i * cols + j] *= size;
        map[i] = (int32_t)(rows - 1 - i);
        fill_row(type, data + offset + (size_t)i * w->row_bytes, cols, noise, i * cols);
    }
    w->data = data + offset;
    w->row_map = mapped ? map : NULL;
    return w;
}

void cpu_weight_to_form(struct cpu_fixture *t, struct weight *w, enum weight_form form)
{
    const struct weight_source source = {.type = w->type,
                                         .rows = w->rows,
                                         .cols = w->cols,
                                         .data = w->data,
                                         .row_bytes = w->row_bytes,
                                         .row_map = w->row_map};
    void *codes = malloc(weight_form_bytes(&source, form)), *stored = NULL;
    assert_non_null(codes);
    if (weight_prepare(t->f.c, w, w->name, &source, form, codes) != OK) fail_msg("%s", t->f.c->message);
    for (int i = 0; i < t->n_blobs; i += 2) /* data and row map of each weight */
        if (&t->f.weights[i / 2] == w) stored = t->blobs[i], t->blobs[i] = codes;
    assert_non_null(stored);
    free(stored); /* nothing reads it any more, or ASan tells */
}

/* ---- running and judging ---------------------------------------------------------------------------------------------- */

static struct backend *table(struct cpu_fixture *t, const char *name)
{
    struct backend *b = cpu_backend_open(t->f.c, name, false);
    if (!b) fail_msg("%s: %s", name, t->f.c->message);
    return b;
}

static size_t bytes_between(const struct array *a)
{
    int64_t last = 0;
    for (int d = 0; d < a->ndim; d++) last += (a->shape[d] - 1) * a->stride[d];
    return (size_t)(last + 1) * dtype_size(a->dtype);
}

/* Results start as what they were when the call was built, for every run. */
struct saved {
    struct array *a;
    void *before, *first; /* bytes before any run; bytes after the first run of a table */
};

static void judge(const struct cpu_fixture *t, const struct twin *w, const char *what, const char *name, int out)
{
    double difference = 0, reference = 0;
    for (int64_t i = 0; i < ref_size(w->single); i++) {
        double x = ref_get(w->single, i), y = ref_get(w->twice, i);
        if (x == y) {
            reference += isfinite(y) ? y * y : 0;
            continue;
        }
        difference += (x - y) * (x - y);
        reference += y * y;
    }
    reference = sqrt(reference) + t->floor * sqrt((double)ref_size(w->single));
    if (!(sqrt(difference) <= t->tolerance * reference + 1e-30)) {
        fail_msg("%s, %s, result %d: relative difference %.3g, allowed %.3g", what, name, out, sqrt(difference) / reference,
                 t->tolerance);
    }
}

/* Lays the weights of the fixture out for a table, those that it can; false: there are none. */
static bool lay_out_weights(struct cpu_fixture *t, struct backend *backend)
{
    bool any = false;
    for (int i = 0; i < (t->n_blobs + 1) / 2; i++) {
        struct weight *w = &t->f.weights[i];
        if (!w->data || backend->layout_bytes(backend, w) == 0) continue;
        if (backend->weight_lay_out(backend, w) != OK) fail_msg("%s", t->f.c->message);
        any = true;
    }
    return any;
}

/* What a call is judged by, and its results as they were before it. */
struct trial_call {
    const struct cpu_call *call;
    struct op_call *single;
    const struct twin *results;
    struct saved *saved;
    int n;
    const char *what;
};

/* With every number of threads; the first run is judged, the others must give its bytes. again: the first run was before. */
static void run_table(struct cpu_fixture *t, struct backend *backend, const char *name, const struct trial_call *m,
                      bool again)
{
    size_t usual = getenv("YA_TEST_TABLE") ? 2 : sizeof thread_counts / sizeof *thread_counts;
    size_t counts = usual + (t->threads > 0);
    for (size_t i = 0; i < counts; i++) {
        int threads = i < usual ? thread_counts[i] : t->threads;
        assert_int_equal(ctx_set_threads(t->f.c, threads), OK);
        for (int r = 0; r < m->n; r++) memcpy(m->saved[r].a->data, m->saved[r].before, bytes_between(m->saved[r].a));
        if (backend->kernel[m->call->op](backend, m->single) != OK) fail_msg("%s: %s", m->what, t->f.c->message);
        for (int r = 0; r < m->n; r++) {
            struct saved *saved = &m->saved[r];
            size_t bytes = bytes_between(saved->a);
            if (i == 0 && !again) {
                judge(t, &m->results[r], m->what, name, r);
                memcpy(saved->first, saved->a->data, bytes);
            } else if (memcmp(saved->first, saved->a->data, bytes) != 0) {
                fail_msg("%s, %s, result %d: other bytes with %d threads%s than with 1", m->what, name, r, threads,
                         again ? " and weights laid out" : "");
            }
        }
    }
}

static void run_tables(struct cpu_fixture *t, const struct trial_call *m)
{
    struct cpu_table tables[CPU_TABLES];
    int n_tables = cpu_tables(tables);
    for (int k = 0; k < n_tables; k++) {
        struct backend *backend = table(t, tables[k].name);
        run_table(t, backend, tables[k].name, m, false);
        if (lay_out_weights(t, backend)) run_table(t, backend, tables[k].name, m, true);
        for (int i = 0; i < (t->n_blobs + 1) / 2; i++) backend->weight_drop_layout(backend, &t->f.weights[i]);
        backend->close(backend);
    }
}

void cpu_check(struct cpu_fixture *t, const struct cpu_call *call, const char *what)
{
    struct op_call single = {.op = call->op, .params = call->params, .step = call->step}, twice = single;
    struct twin results[OP_MAX_OUT + OP_MAX_IN];
    struct saved saved[OP_MAX_OUT + OP_MAX_IN];
    int n = 0;
    for (int i = 0; i < OP_MAX_IN; i++) {
        single.in[i] = call->in[i].single;
        twice.in[i] = call->in[i].twice;
        if (i < call->in_place) results[n++] = call->in[i];
    }
    for (int i = 0; i < OP_MAX_OUT; i++) {
        single.out[i] = call->out[i].single;
        twice.out[i] = call->out[i].twice;
        if (call->out[i].single) results[n++] = call->out[i];
    }
    for (int r = 0; r < n; r++) {
        size_t bytes = bytes_between(results[r].single);
        saved[r] = (struct saved){results[r].single, malloc(bytes), malloc(bytes)};
        assert_true(saved[r].before && saved[r].first);
        memcpy(saved[r].before, results[r].single->data, bytes);
    }
    if (t->f.backend->kernel[call->op](t->f.backend, &twice) != OK) fail_msg("%s: %s", what, t->f.c->message);
    run_tables(t, &(struct trial_call){call, &single, results, saved, n, what});
    for (int r = 0; r < n; r++) {
        free(saved[r].before);
        free(saved[r].first);
    }
}
