/* Every CUDA kernel against a reference in f64 at odd shapes: inputs are random, outputs are NaN until written, and a
 * second run must give the same bytes. Needs a card; exits 77 (skipped) without one. `--one NAME` runs one test; `--plant`
 * also launches with a wrong row count, so that compute-sanitizer has something to find. */
#include "support_cuda.h"

static int failures, checks;
static struct cuda *d;

/* bf16 outputs are rounded once (2^-9 at most, 2^-9 / sqrt 3 in the mean); sums of products of rounded parts get more. */
static const double ROUNDED = 0.003, PRODUCT = 0.006, ATTENTION = 0.012, EXACT = 2e-6;

static void expect(const char *what, const char *shape, double error, double bound)
{
    checks++;
    bool good = error <= bound;
    if (!good) failures++;
    printf("%-4s %-28s %-34s error %.2e bound %.0e\n", good ? "ok" : "FAIL", what, shape, error, bound);
}

/* Runs twice and compares both runs' bytes; then the caller compares values with the reference. */
static void run_twice(const char *what, const char *shape, enum status (*run)(void *), void *context, struct values **outs,
                      int n)
{
    void *first[4];
    for (int i = 0; i < n; i++) {
        size_t bytes = (size_t)outs[i]->rows * (size_t)outs[i]->cols * (outs[i]->f32 ? 4 : 2);
        d->driver.cuMemsetD8Async(outs[i]->device, 0xff, bytes, d->stream);
        first[i] = malloc(bytes);
    }
    run(context);
    for (int i = 0; i < n; i++) {
        size_t bytes = (size_t)outs[i]->rows * (size_t)outs[i]->cols * (outs[i]->f32 ? 4 : 2);
        cuda_download(d, first[i], outs[i]->device, bytes);
        d->driver.cuMemsetD8Async(outs[i]->device, 0xff, bytes, d->stream);
    }
    run(context);
    for (int i = 0; i < n; i++) {
        size_t bytes = (size_t)outs[i]->rows * (size_t)outs[i]->cols * (outs[i]->f32 ? 4 : 2);
        void *second = malloc(bytes);
        cuda_download(d, second, outs[i]->device, bytes);
        if (memcmp(first[i], second, bytes) != 0) expect(what, "rerun differs", 1, 0);
        free(second);
        free(first[i]);
        values_fetch(d, outs[i]);
    }
    if (!ctx_ok(d->c)) {
        printf("FAIL %s %s: %s\n", what, shape, d->c->message);
        exit(1);
    }
}

static double *doubles(int64_t n)
{
    return calloc((size_t)n, sizeof(double));
}

/* ---- rms_norm -------------------------------------------------------------------------------------------------------- */

static enum status run_norm(void *a)
{
    return cuda_rms_norm(d, a);
}
static enum status run_norm_bwd(void *a)
{
    return cuda_rms_norm_bwd(d, a);
}

static void norm_reference(const struct values *x, const struct values *r, const struct values *g, double *sum, double *y,
                           double *rstd)
{
    for (int i = 0; i < x->rows; i++) {
        double squares = 0;
        for (int j = 0; j < x->cols; j++) {
            int64_t at = (int64_t)i * x->cols + j;
            sum[at] = x->host[at] + (r ? (double)r->host[at] : 0);
            double s = r ? bf16_widen(bf16_round((float)sum[at])) : sum[at];
            squares += s * s;
        }
        rstd[i] = 1 / sqrt(squares / x->cols + 1e-5);
        for (int j = 0; j < x->cols; j++) {
            int64_t at = (int64_t)i * x->cols + j;
            y[at] = sum[at] * rstd[i] * g->host[j];
        }
    }
}

static void test_norm(int rows, int cols, bool residual)
{
    uint64_t state = 7;
    char shape[64];
    snprintf(shape, sizeof(shape), "%d x %d%s", rows, cols, residual ? " + residual" : "");
    struct values x = values_make(d, rows, cols, false, 2, &state), r = values_make(d, rows, cols, false, 2, &state);
    struct values g = values_make(d, 1, cols, true, 1, &state), y = values_poison(d, rows, cols, false);
    struct values sum = values_poison(d, rows, cols, false), rstd = values_poison(d, rows, 1, true);
    int64_t n = (int64_t)rows * cols;
    double *wsum = doubles(n), *wy = doubles(n), *wr = doubles(rows);
    struct cuda_rms_norm_args a = {.x = (void *)x.device,
                                   .residual = residual ? (void *)r.device : NULL,
                                   .gain = (void *)g.device,
                                   .y = (void *)y.device,
                                   .sum = (void *)sum.device,
                                   .rstd = (void *)rstd.device,
                                   .x_stride = cols,
                                   .residual_stride = cols,
                                   .y_stride = cols,
                                   .sum_stride = cols,
                                   .rows = rows,
                                   .cols = cols,
                                   .eps = 1e-5f};
    norm_reference(&x, residual ? &r : NULL, &g, wsum, wy, wr);
    run_twice("rms_norm", shape, run_norm, &a, (struct values *[]){&y, &rstd, &sum}, residual ? 3 : 2);
    expect("rms_norm", shape, values_error(y.host, wy, (size_t)n), ROUNDED);
    expect("rms_norm rstd", shape, values_error(rstd.host, wr, (size_t)rows), 1e-5);
    if (residual) expect("rms_norm sum", shape, values_error(sum.host, wsum, (size_t)n), ROUNDED);
    /* Backward of y at x (no residual): dy random, dsum random. */
    struct values dy = values_make(d, rows, cols, false, 1, &state), ds = values_make(d, rows, cols, false, 1, &state);
    struct values dx = values_poison(d, rows, cols, false);
    norm_reference(&x, NULL, &g, wsum, wy, wr);
    for (int i = 0; i < rows; i++) rstd.host[i] = (float)wr[i];
    cuda_upload(d, rstd.device, rstd.host, (size_t)rows * 4);
    struct cuda_rms_norm_bwd_args b = {.dy = (void *)dy.device,
                                       .dsum = residual ? (void *)ds.device : NULL,
                                       .x = (void *)x.device,
                                       .gain = (void *)g.device,
                                       .rstd = (void *)rstd.device,
                                       .dx = (void *)dx.device,
                                       .dy_stride = cols,
                                       .dsum_stride = cols,
                                       .x_stride = cols,
                                       .dx_stride = cols,
                                       .rows = rows,
                                       .cols = cols};
    run_twice("rms_norm_bwd", shape, run_norm_bwd, &b, (struct values *[]){&dx}, 1);
    for (int i = 0; i < rows; i++) {
        double dot = 0;
        for (int j = 0; j < cols; j++) {
            int64_t at = (int64_t)i * cols + j;
            dot += (double)dy.host[at] * g.host[j] * x.host[at] * wr[i];
        }
        for (int j = 0; j < cols; j++) {
            int64_t at = (int64_t)i * cols + j;
            wy[at] =
                wr[i] * ((double)dy.host[at] * g.host[j] - x.host[at] * wr[i] * dot / cols) + (residual ? ds.host[at] : 0);
        }
    }
    expect("rms_norm_bwd", shape, values_error(dx.host, wy, (size_t)n), ROUNDED);
    struct values *all[] = {&x, &r, &g, &y, &sum, &rstd, &dy, &ds, &dx};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) values_free(d, all[i]);
    free(wsum), free(wy), free(wr);
}

/* ---- rope ------------------------------------------------------------------------------------------------------------ */

static enum status run_rope(void *a)
{
    return cuda_rope(d, a);
}

static void test_rope(int rows, int heads, int dim, bool inverse)
{
    uint64_t state = 9;
    int wide = heads * dim + 24; /* columns of a wider array */
    char shape[64];
    snprintf(shape, sizeof(shape), "%d x %d x %d%s", rows, heads, dim, inverse ? " inverse" : "");
    struct values x = values_make(d, rows, wide, false, 1, &state), y = values_poison(d, rows, heads * dim, false);
    struct values f = values_make(d, 1, dim / 2, true, 1, &state);
    int32_t *positions = malloc((size_t)rows * 4);
    for (int i = 0; i < rows; i++) positions[i] = (i * 37) % 4096;
    for (int j = 0; j < dim / 2; j++) f.host[j] = (float)pow(10000, -2.0 * j / dim);
    CUdeviceptr p = cuda_alloc(d, (size_t)rows * 4);
    cuda_upload(d, p, positions, (size_t)rows * 4);
    cuda_upload(d, f.device, f.host, (size_t)dim / 2 * 4);
    struct cuda_rope_args a = {.x = (void *)x.device,
                               .y = (void *)y.device,
                               .positions = (void *)p,
                               .inv_freq = (void *)f.device,
                               .x_stride = wide,
                               .y_stride = heads * dim,
                               .rows = rows,
                               .heads = heads,
                               .dim = dim,
                               .scale = 1.25f,
                               .sign = inverse ? -1.0f : 1.0f};
    double *want = doubles((int64_t)rows * heads * dim);
    for (int64_t i = 0; i < (int64_t)rows * heads * (dim / 2); i++) {
        int64_t row = i / (heads * (dim / 2)), head = i / (dim / 2) % heads, j = i % (dim / 2);
        double angle = (double)(positions[row] * f.host[j]), c = 1.25 * cos(angle),
               s = 1.25 * sin(angle) * (inverse ? -1 : 1);
        double left = x.host[row * wide + head * dim + j], right = x.host[row * wide + head * dim + j + dim / 2];
        want[(row * heads + head) * dim + j] = left * c - right * s;
        want[(row * heads + head) * dim + j + dim / 2] = right * c + left * s;
    }
    run_twice("rope", shape, run_rope, &a, (struct values *[]){&y}, 1);
    expect("rope", shape, values_error(y.host, want, (size_t)rows * (size_t)(heads * dim)), ROUNDED);
    values_free(d, &x), values_free(d, &y), values_free(d, &f), cuda_free(d, p), free(want), free(positions);
}

/* ---- swiglu ---------------------------------------------------------------------------------------------------------- */

static enum status run_swiglu(void *a)
{
    return cuda_swiglu(d, a, false);
}
static enum status run_swiglu_bwd(void *a)
{
    return cuda_swiglu(d, a, true);
}

static void test_swiglu(int rows, int cols)
{
    uint64_t state = 11;
    char shape[64];
    snprintf(shape, sizeof(shape), "%d x %d", rows, cols);
    struct values gu = values_make(d, rows, 2 * cols, false, 2, &state), dy = values_make(d, rows, cols, false, 1, &state);
    struct values y = values_poison(d, rows, cols, false), dgu = values_poison(d, rows, 2 * cols, false);
    bf16_bits *gate = (void *)gu.device, *dgate = (void *)dgu.device;
    struct cuda_swiglu_args a = {.gate = gate,
                                 .up = gate + cols,
                                 .dy = (void *)dy.device,
                                 .y = (void *)y.device,
                                 .dgate = dgate,
                                 .dup = dgate + cols,
                                 .gate_stride = 2 * cols,
                                 .up_stride = 2 * cols,
                                 .dy_stride = cols,
                                 .y_stride = cols,
                                 .dgate_stride = 2 * cols,
                                 .dup_stride = 2 * cols,
                                 .rows = rows,
                                 .cols = cols};
    int64_t n = (int64_t)rows * cols;
    double *wy = doubles(n), *wg = doubles(2 * n);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = i / cols * 2 * cols + i % cols;
        double g = gu.host[at], u = gu.host[at + cols], s = 1 / (1 + exp(-g));
        wy[i] = g * s * u;
        wg[at] = dy.host[i] * u * s * (1 + g * (1 - s));
        wg[at + cols] = dy.host[i] * g * s;
    }
    run_twice("swiglu", shape, run_swiglu, &a, (struct values *[]){&y}, 1);
    expect("swiglu", shape, values_error(y.host, wy, (size_t)n), ROUNDED);
    run_twice("swiglu_bwd", shape, run_swiglu_bwd, &a, (struct values *[]){&y, &dgu}, 2);
    expect("swiglu_bwd again", shape, values_error(y.host, wy, (size_t)n), ROUNDED);
    expect("swiglu_bwd", shape, values_error(dgu.host, wg, (size_t)(2 * n)), ROUNDED);
    values_free(d, &gu), values_free(d, &dy), values_free(d, &y), values_free(d, &dgu), free(wy), free(wg);
}

/* ---- moves, fills, rows ---------------------------------------------------------------------------------------------- */

struct move_test {
    struct cuda_move_args a;
    bool from_f32, to_f32, by_sum; /* by_sum: by cuda_add, its result in place of one operand */
    CUdeviceptr to, saved;         /* to starts as saved, each run */
    size_t bytes;
};

static enum status run_move(void *context)
{
    struct move_test *t = context;
    d->driver.cuMemcpyDtoDAsync(t->to, t->saved, t->bytes, d->stream);
    if (!t->by_sum) return cuda_move(d, &t->a, t->from_f32, t->to_f32);
    const struct cuda_move_args *a = &t->a;
    struct cuda_add_args sum = {a->to, a->from, a->to, a->to_stride, a->from_stride, a->to_stride, a->rows, a->cols};
    return cuda_add(d, &sum);
}

/* Sums are made in place: a block that makes what another one has made adds it again. */
static void test_move(int rows, int cols, struct move_test t)
{
    uint64_t state = 13;
    char shape[64];
    int wide = (cols + 7) / 8 * 8 + 8;
    bool add = t.a.add || t.by_sum;
    snprintf(shape, sizeof(shape), "%d x %d %s to %s%s", rows, cols, t.from_f32 ? "f32" : "bf16", t.to_f32 ? "f32" : "bf16",
             add ? " add" : "");
    struct values from = values_make(d, rows, wide, t.from_f32, 1, &state),
                  to = values_make(d, rows, wide, t.to_f32, 1, &state);
    int64_t n = (int64_t)rows * wide;
    double *want = doubles(n);
    for (int64_t i = 0; i < n; i++) {
        want[i] = i % wide < cols ? (double)from.host[i] + (add ? (double)to.host[i] : 0) : (double)to.host[i];
    }
    t.a = (struct cuda_move_args){(void *)from.device, (void *)to.device, wide, wide, rows, cols, t.a.add};
    t.to = to.device, t.bytes = (size_t)n * (t.to_f32 ? 4 : 2);
    t.saved = cuda_alloc(d, t.bytes);
    d->driver.cuMemcpyDtoDAsync(t.saved, to.device, t.bytes, d->stream);
    const char *what = t.by_sum ? "sum" : "move";
    run_twice(what, shape, run_move, &t, (struct values *[]){&to}, 1);
    expect(what, shape, values_error(to.host, want, (size_t)n), t.to_f32 ? EXACT : ROUNDED);
    values_free(d, &from), values_free(d, &to), cuda_free(d, t.saved), free(want);
}

static enum status run_fill(void *a)
{
    return cuda_fill(d, a, 4);
}
static enum status run_rows(void *a)
{
    return cuda_rows(d, a);
}

static void test_fill_and_rows(int rows, int cols)
{
    uint64_t state = 15;
    char shape[64];
    snprintf(shape, sizeof(shape), "%d x %d", rows, cols);
    struct values filled = values_poison(d, rows, cols, true);
    double *want = doubles((int64_t)rows * cols);
    for (int64_t i = 0; i < (int64_t)rows * cols; i++) want[i] = 1.0;
    struct cuda_fill_args f = {(void *)filled.device, (int64_t)rows * cols, 0x3f800000};
    run_twice("fill", shape, run_fill, &f, (struct values *[]){&filled}, 1);
    expect("fill", shape, values_error(filled.host, want, (size_t)rows * (size_t)cols), 0);
    struct values table = values_make(d, 50, cols, false, 1, &state), y = values_poison(d, rows, cols, false);
    struct values fault = values_poison(d, 1, 1, true);
    int32_t *ids = malloc((size_t)rows * 4), zero = 0, seen = 0;
    for (int i = 0; i < rows; i++) ids[i] = (i * 7) % 50;
    CUdeviceptr p = cuda_alloc(d, (size_t)rows * 4);
    cuda_upload(d, p, ids, (size_t)rows * 4);
    cuda_upload(d, fault.device, &zero, 4);
    struct cuda_rows_args a = {.table = (void *)table.device,
                               .ids = (void *)p,
                               .to = (void *)y.device,
                               .fault = (void *)fault.device,
                               .table_stride = cols,
                               .to_stride = cols,
                               .limit = 50,
                               .rows = rows,
                               .cols = cols};
    run_twice("embed", shape, run_rows, &a, (struct values *[]){&y}, 1);
    for (int64_t i = 0; i < (int64_t)rows * cols; i++) want[i] = table.host[ids[i / cols] * cols + i % cols];
    expect("embed", shape, values_error(y.host, want, (size_t)rows * (size_t)cols), 0);
    a.limit = 3;
    cuda_rows(d, &a);
    cuda_download(d, &seen, fault.device, 4);
    expect("embed refuses an id", shape, seen > 0 ? 0 : 1, 0);
    values_free(d, &filled), values_free(d, &table), values_free(d, &y), values_free(d, &fault);
    cuda_free(d, p), free(ids), free(want);
}

/* ---- products -------------------------------------------------------------------------------------------------------- */

struct gemm_test {
    struct cuda_matrix a, b, c;
    float alpha, beta;
    CUdeviceptr saved;
    size_t bytes;
};

static enum status run_gemm(void *context)
{
    struct gemm_test *t = context;
    d->driver.cuMemcpyDtoDAsync(t->c.data, t->saved, t->bytes, d->stream);
    return cuda_gemm(d, &t->a, &t->b, &t->c, t->alpha, t->beta);
}

static void test_gemm(int m, int n, int k, bool ta, bool tb, bool f32, float beta)
{
    uint64_t state = 17;
    char shape[64];
    snprintf(shape, sizeof(shape), "%d x %d x %d%s%s %s beta %g", m, n, k, ta ? " ta" : "", tb ? " tb" : "",
             f32 ? "f32" : "bf16", beta);
    struct values a = values_make(d, ta ? k : m, ta ? m : k, false, 1, &state);
    struct values b = values_make(d, tb ? n : k, tb ? k : n, false, 1, &state), c = values_make(d, m, n, f32, 1, &state);
    double *want = doubles((int64_t)m * n);
    for (int64_t i = 0; i < (int64_t)m * n; i++) {
        int64_t row = i / n, col = i % n;
        double sum = 0;
        for (int64_t j = 0; j < k; j++) {
            sum += (double)a.host[ta ? j * m + row : row * k + j] * b.host[tb ? col * k + j : j * n + col];
        }
        want[i] = 0.5 * sum + beta * c.host[i];
    }
    struct gemm_test t = {{a.device, a.rows, a.cols, a.cols, ta, false},
                          {b.device, b.rows, b.cols, b.cols, tb, false},
                          {c.device, m, n, n, false, f32},
                          0.5f,
                          beta,
                          0,
                          (size_t)m * (size_t)n * (f32 ? 4 : 2)};
    t.saved = cuda_alloc(d, t.bytes);
    d->driver.cuMemcpyDtoDAsync(t.saved, c.device, t.bytes, d->stream);
    run_twice("gemm", shape, run_gemm, &t, (struct values *[]){&c}, 1);
    expect("gemm", shape, values_error(c.host, want, (size_t)m * (size_t)n), f32 ? 1e-5 : ROUNDED);
    values_free(d, &a), values_free(d, &b), values_free(d, &c), cuda_free(d, t.saved), free(want);
}

static enum status run_tall(void *context)
{
    struct cuda_tall_args *a = context;
    for (int i = 0; i < a->parts; i++) {
        struct cuda_fill_args f = {a->out[i], (int64_t)a->n * (a->first[i + 1] - a->first[i]), 0x3f800000};
        if (a->out[i]) cuda_fill(d, &f, 4);
    }
    return cuda_tall_product(d, a);
}

static void test_tall(int rows, int n, int r, bool transposed)
{
    uint64_t state = 19;
    char shape[64];
    snprintf(shape, sizeof(shape), "%d x %d x %d%s", rows, n, r, transposed ? " transposed" : "");
    struct values a = values_make(d, rows, n, false, 1, &state), b = values_make(d, rows, r, false, 1, &state);
    struct values out = values_poison(d, n, r, true);
    struct cuda_tall_args t = {.a = (void *)a.device,
                               .b = (void *)b.device,
                               .out = {(void *)out.device},
                               .a_stride = n,
                               .b_stride = r,
                               .out_stride = transposed ? n : r,
                               .rows = rows,
                               .n = n,
                               .r = r,
                               .slices = cuda_tall_slices(d, rows, n),
                               .transposed = transposed,
                               .first = {0, r},
                               .parts = 1,
                               .alpha = {0.25f}};
    struct values partial = values_poison(d, t.slices * n, r, true);
    t.partial = (void *)partial.device;
    double *want = doubles((int64_t)n * r);
    for (int64_t i = 0; i < (int64_t)n * r; i++) {
        int64_t row = i / r, col = i % r;
        double sum = 0;
        for (int64_t j = 0; j < rows; j++) sum += (double)a.host[j * n + row] * b.host[j * r + col];
        want[transposed ? col * n + row : i] = 1 + 0.25 * sum;
    }
    run_twice("adapter gradient", shape, run_tall, &t, (struct values *[]){&out}, 1);
    expect("adapter gradient", shape, values_error(out.host, want, (size_t)n * (size_t)r), 1e-5);
    values_free(d, &a), values_free(d, &b), values_free(d, &out), values_free(d, &partial), free(want);
}

/* Three adapters of one input: their gradients, and none for the one in the middle. */
static void test_tall_parts(int rows, int n)
{
    enum { R = 16, PARTS = 3 };
    uint64_t state = 29;
    char shape[64];
    snprintf(shape, sizeof(shape), "%d x %d, 3 x %d", rows, n, R);
    struct values a = values_make(d, rows, n, false, 1, &state), b = values_make(d, rows, PARTS * R, false, 1, &state);
    struct values first = values_poison(d, R, n, true), last = values_poison(d, R, n, true);
    struct cuda_tall_args t = {.a = (void *)a.device,
                               .b = (void *)b.device,
                               .out = {(void *)first.device, NULL, (void *)last.device},
                               .a_stride = n,
                               .b_stride = PARTS * R,
                               .out_stride = n,
                               .first = {0, R, 2 * R, 3 * R},
                               .alpha = {0.5f, 1, 2},
                               .rows = rows,
                               .n = n,
                               .r = PARTS * R,
                               .parts = PARTS,
                               .slices = cuda_tall_slices(d, rows, n),
                               .transposed = 1};
    struct values partial = values_poison(d, t.slices * n, PARTS * R, true);
    t.partial = (void *)partial.device;
    double *want = doubles((int64_t)n * R);
    run_twice("adapter gradients", shape, run_tall, &t, (struct values *[]){&first, &last}, 2);
    for (int part = 0; part < PARTS; part += 2) {
        for (int64_t i = 0; i < (int64_t)n * R; i++) {
            double sum = 0;
            for (int64_t j = 0; j < rows; j++)
                sum += (double)a.host[j * n + i % n] * b.host[j * PARTS * R + part * R + i / n];
            want[i] = 1 + (double)t.alpha[part] * sum;
        }
        struct values *out = part ? &last : &first;
        expect("adapter gradients", shape, values_error(out->host, want, (size_t)n * R), 1e-5);
    }
    struct values *all[] = {&a, &b, &first, &last, &partial};
    for (size_t i = 0; i < 5; i++) values_free(d, all[i]);
    free(want);
}

struct spread_test {
    struct cuda_spread_args a;
    int r;
    bool columns;
};

static enum status run_spread(void *context)
{
    struct spread_test *t = context;
    return cuda_spread(d, &t->a, t->r, t->columns);
}

static void test_spread(int rows, int cols, int r, bool columns)
{
    uint64_t state = 35;
    char shape[64];
    snprintf(shape, sizeof(shape), "%d x %d x %d%s", rows, r, cols, columns ? " columns" : "");
    struct values thin = values_make(d, rows, r + 16, false, 1, &state);
    struct values wide = values_make(d, columns ? r : cols, (columns ? cols : r) + 8, false, 1, &state);
    struct values out = values_poison(d, rows, cols, false);
    struct spread_test t = {{.thin = (void *)thin.device,
                             .wide = (void *)wide.device,
                             .out = (void *)out.device,
                             .thin_stride = thin.cols,
                             .wide_stride = wide.cols,
                             .out_stride = cols,
                             .rows = rows,
                             .cols = cols},
                            r,
                            columns};
    double *want = doubles((int64_t)rows * cols);
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < cols; j++) {
            for (int k = 0; k < r; k++)
                want[i * cols + j] +=
                    (double)thin.host[i * thin.cols + k] * wide.host[columns ? k * wide.cols + j : j * wide.cols + k];
        }
    }
    run_twice("spread product", shape, run_spread, &t, (struct values *[]){&out}, 1);
    expect("spread product", shape, values_error(out.host, want, (size_t)rows * (size_t)cols), ROUNDED);
    values_free(d, &thin), values_free(d, &wide), values_free(d, &out), free(want);
}

/* ---- thin products ---------------------------------------------------------------------------------------------------- */

/* The plan of a thin product and NaN for its partial sums: freed by the caller. */
struct thin_test {
    struct cuda_thin_args a;
    enum cuda_thin_kind kind;
    struct values out, db;
};

static void thin_begin(struct thin_test *t)
{
    cuda_thin_plan(d, &t->a);
    t->out = values_poison(d, (int)(t->a.partial / t->a.r) + 1, t->a.r, true);
    t->db = values_poison(d, t->a.slices * t->a.column[t->a.parts], t->a.r, true);
    t->a.partial_out = (void *)t->out.device, t->a.partial_db = (void *)t->db.device;
}

static enum status run_thin(void *context)
{
    struct thin_test *t = context;
    for (int i = 0; i < t->a.parts; i++) {
        struct cuda_fill_args f = {t->a.db[i], (int64_t)t->a.r * (t->a.column[i + 1] - t->a.column[i]), 0x3f800000};
        if (t->a.db[i]) cuda_fill(d, &f, 4);
    }
    return cuda_thin(d, &t->a, t->kind);
}

static void test_thin(int rows, int depth, int r, bool columns)
{
    uint64_t state = 31;
    char shape[64];
    snprintf(shape, sizeof(shape), "%d x %d x %d%s", rows, depth, r, columns ? " by columns" : "");
    struct values x = values_make(d, rows, depth + 8, false, 1, &state);
    struct values thin = values_make(d, columns ? depth : r, (columns ? r : depth) + 8, false, 1, &state);
    struct values out = values_poison(d, rows, r + 8, false);
    struct thin_test t = {.a = {.wide = (void *)x.device,
                                .thin = (void *)thin.device,
                                .out = (void *)out.device,
                                .wide_stride = x.cols,
                                .thin_stride = thin.cols,
                                .out_stride = out.cols,
                                .first = {0, r},
                                .column = {0, depth},
                                .rows = rows,
                                .r = r,
                                .parts = 1},
                          .kind = columns ? THIN_BY_COLUMNS : THIN_BY_ROWS};
    thin_begin(&t);
    double *want = doubles((int64_t)rows * r);
    float *got = malloc((size_t)rows * (size_t)r * sizeof(float));
    run_twice("thin product", shape, run_thin, &t, (struct values *[]){&out}, 1);
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < r; j++) {
            for (int k = 0; k < depth; k++)
                want[i * r + j] +=
                    (double)x.host[i * x.cols + k] * thin.host[columns ? k * thin.cols + j : j * thin.cols + k];
            got[i * r + j] = out.host[i * out.cols + j];
        }
    }
    expect("thin product", shape, values_error(got, want, (size_t)rows * (size_t)r), ROUNDED);
    struct values *all[] = {&x, &thin, &out, &t.out, &t.db};
    for (int i = 0; i < 5; i++) values_free(d, all[i]);
    free(want), free(got);
}

/* ---- one pass over dy ------------------------------------------------------------------------------------------------ */

/* u = dy B of one adapter, and 1 + alpha dy^T z; `db` NULL: not that. */
static void thin_reference(const struct cuda_thin_args *a, int part, const struct values *dy, const struct values *b,
                           const struct values *z, double *u, double *db)
{
    int ranks = b->cols, first = a->first[part], c0 = a->column[part], cols = a->column[part + 1] - c0;
    for (int i = 0; i < a->rows; i++) {
        for (int j = 0; j < a->r; j++) {
            double sum = 0;
            for (int c = c0; c < c0 + cols; c++) sum += (double)dy->host[i * dy->cols + c] * b->host[c * ranks + first + j];
            u[i * ranks + first + j] = sum;
        }
    }
    for (int c = 0; db && c < cols; c++) {
        for (int j = 0; j < a->r; j++) {
            double sum = 0;
            for (int i = 0; i < a->rows; i++)
                sum += (double)dy->host[i * dy->cols + c0 + c] * z->host[i * ranks + first + j];
            db[c * a->r + j] = 1 + (double)a->alpha[part] * sum;
        }
    }
}

/* Two adapters of rank r that share dy, with one that is not there between them where `hole` is; and dB of the first. */
static void test_thin_gradient(int rows, int columns_0, int hole, int columns_1, int r)
{
    uint64_t state = 33;
    char shape[64];
    int columns = columns_0 + hole + columns_1;
    snprintf(shape, sizeof(shape), "%d x %d+%d+%d, rank %d", rows, columns_0, hole, columns_1, r);
    struct values dy = values_make(d, rows, columns + 8, false, 1, &state),
                  b = values_make(d, columns, 2 * r, false, 1, &state);
    struct values z = values_make(d, rows, 2 * r, false, 1, &state), u = values_poison(d, rows, 2 * r, false);
    struct values db = values_poison(d, columns_0, r, true);
    struct thin_test t = {.a = {.wide = (void *)dy.device,
                                .thin = (void *)b.device,
                                .z = {(void *)z.device},
                                .out = (void *)u.device,
                                .db = {(void *)db.device},
                                .wide_stride = dy.cols,
                                .thin_stride = 2 * r,
                                .z_stride = 2 * r,
                                .out_stride = 2 * r,
                                .alpha = {0.5f, 1, 1},
                                .first = {0, r, r, 2 * r},
                                .column = {0, columns_0, columns_0 + hole, columns},
                                .rows = rows,
                                .r = r,
                                .parts = 3},
                          .kind = THIN_GRADIENT};
    thin_begin(&t);
    double *want_u = doubles((int64_t)rows * 2 * r), *want_db = doubles((int64_t)columns_0 * r);
    thin_reference(&t.a, 0, &dy, &b, &z, want_u, want_db), thin_reference(&t.a, 2, &dy, &b, &z, want_u, NULL);
    run_twice("pass over dy", shape, run_thin, &t, (struct values *[]){&u, &db}, 2);
    expect("pass over dy u", shape, values_error(u.host, want_u, (size_t)rows * 2 * (size_t)r), ROUNDED);
    expect("pass over dy db", shape, values_error(db.host, want_db, (size_t)columns_0 * (size_t)r), 1e-5);
    struct values *all[] = {&dy, &b, &z, &u, &db, &t.out, &t.db};
    for (size_t i = 0; i < 7; i++) values_free(d, all[i]);
    free(want_u), free(want_db);
}

/* ---- packing of adapters ---------------------------------------------------------------------------------------------- */

enum { PACK_GROUPS = 4 };

/* Groups, one of them without its second adapter; their matrices on the card are in `from` and `to`. */
struct pack_test {
    struct cuda_pack_args list[PACK_GROUPS];
    struct values from_a[PACK_GROUPS][CUDA_ADAPTERS], from_b[PACK_GROUPS][CUDA_ADAPTERS], a[PACK_GROUPS], b[PACK_GROUPS];
    CUdeviceptr table;
};

static void pack_make(struct pack_test *t, int group, int cols, const int *ranks, const int *rows, uint64_t *state)
{
    struct cuda_pack_args *k = &t->list[group];
    *k = (struct cuda_pack_args){.parts = CUDA_ADAPTERS, .cols = cols};
    for (int i = 0; i < CUDA_ADAPTERS; i++) {
        k->first[i + 1] = k->first[i] + ranks[i];
        k->row[i + 1] = k->row[i] + rows[i];
        k->scale[i] = 0.3f + (float)i;
        if (ranks[i] == 0) continue;
        t->from_a[group][i] = values_make(d, ranks[i], cols, true, 1, state);
        t->from_b[group][i] = values_make(d, rows[i], ranks[i], true, 1, state);
        k->from_a[i] = (void *)t->from_a[group][i].device;
        k->from_b[i] = (void *)t->from_b[group][i].device;
    }
    t->a[group] = values_poison(d, k->first[CUDA_ADAPTERS], cols, false);
    t->b[group] = values_poison(d, k->row[CUDA_ADAPTERS], k->first[CUDA_ADAPTERS], false);
    k->a = (void *)t->a[group].device;
    k->b = (void *)t->b[group].device;
}

static enum status run_pack(void *list)
{
    return cuda_pack(d, list);
}

static enum status run_pack_all(void *context)
{
    struct pack_test *t = context;
    return cuda_pack_all(d, t->list, (const void *)t->table, PACK_GROUPS);
}

/* Elements of a group's packed matrices that are not the ones wanted. */
static int pack_wrong(const struct pack_test *t, int group)
{
    const struct cuda_pack_args *k = &t->list[group];
    int wrong = 0, all = k->first[CUDA_ADAPTERS];
    for (int i = 0; i < CUDA_ADAPTERS; i++) {
        int r = k->first[i + 1] - k->first[i];
        for (int at = 0; at < r * k->cols; at++)
            wrong += t->a[group].host[k->first[i] * k->cols + at] != bf16_widen(bf16_round(t->from_a[group][i].host[at]));
        for (int row = k->row[i]; row < k->row[i + 1]; row++)
            for (int j = 0; j < all; j++) {
                int from = (row - k->row[i]) * r + j - k->first[i];
                bool inside = j >= k->first[i] && j < k->first[i + 1];
                float want = inside ? bf16_widen(bf16_round(k->scale[i] * t->from_b[group][i].host[from])) : 0;
                wrong += t->b[group].host[row * all + j] != want;
            }
    }
    return wrong;
}

static void all_pack(void)
{
    static const int cols[PACK_GROUPS] = {72, 8, 1032, 576};
    static const int ranks[PACK_GROUPS][CUDA_ADAPTERS] = {{16, 0, 32}, {16, 0, 0}, {32, 32, 32}, {16, 16, 0}};
    static const int rows[PACK_GROUPS][CUDA_ADAPTERS] = {{24, 8, 264}, {5, 0, 0}, {100, 8, 33}, {1536, 1536, 0}};
    struct pack_test t = {0};
    uint64_t state = 23;
    for (int i = 0; i < PACK_GROUPS; i++) {
        char shape[64];
        snprintf(shape, sizeof(shape), "group %d", i);
        pack_make(&t, i, cols[i], ranks[i], rows[i], &state);
        run_twice("pack", shape, run_pack, &t.list[i], (struct values *[]){&t.a[i], &t.b[i]}, 2);
        expect("pack", shape, pack_wrong(&t, i), 0);
    }
    t.table = cuda_alloc(d, sizeof(t.list));
    cuda_upload(d, t.table, t.list, sizeof(t.list));
    for (int i = 0; i < PACK_GROUPS; i++) {
        char shape[64];
        snprintf(shape, sizeof(shape), "group %d of all", i);
        run_twice("pack", shape, run_pack_all, &t, (struct values *[]){&t.a[i], &t.b[i]}, 2);
        expect("pack", shape, pack_wrong(&t, i), 0);
    }
    cuda_free(d, t.table);
    for (int i = 0; i < PACK_GROUPS; i++) {
        values_free(d, &t.a[i]), values_free(d, &t.b[i]);
        for (int k = 0; k < CUDA_ADAPTERS; k++)
            if (t.list[i].from_a[k]) values_free(d, &t.from_a[i][k]), values_free(d, &t.from_b[i][k]);
    }
}

/* ---- loss ------------------------------------------------------------------------------------------------------------ */

static enum status run_loss(void *a)
{
    return cuda_cross_entropy(d, a);
}

static void loss_reference(const struct values *h, const struct values *table, const int32_t *targets, const float *weights,
                           double *nll, double *dh)
{
    int v = table->rows, c = h->cols;
    double *logits = doubles(v);
    for (int i = 0; i < h->rows; i++) {
        if (weights[i] == 0) continue;
        double most = -INFINITY, total = 0;
        for (int w = 0; w < v; w++) {
            logits[w] = 0;
            for (int j = 0; j < c; j++) logits[w] += (double)h->host[i * c + j] * table->host[w * c + j];
            most = fmax(most, logits[w]);
        }
        for (int w = 0; w < v; w++) total += exp(logits[w] - most);
        nll[i] = most + log(total) - logits[targets[i]];
        for (int w = 0; w < v; w++) {
            double g = weights[i] * (exp(logits[w] - most) / total - (w == targets[i]));
            for (int j = 0; j < c; j++) dh[(int64_t)i * c + j] += g * table->host[w * c + j];
        }
    }
    free(logits);
}

static void test_loss(int rows, int cols, int vocab, int chunk)
{
    uint64_t state = 21;
    char shape[64];
    snprintf(shape, sizeof(shape), "%d x %d, %d words, chunks of %d", rows, cols, vocab, chunk);
    int padded = (vocab + 7) / 8 * 8;
    struct values h = values_make(d, rows, cols, false, 1, &state),
                  table = values_make(d, padded, cols, false, 0.1f, &state);
    table.rows = vocab; /* what lies behind is not looked at, whatever it is */
    struct values dh = values_poison(d, rows, cols, false), nll = values_poison(d, rows, 1, true);
    struct values logits = values_poison(d, chunk, padded, false), small = values_poison(d, 16, 1, true);
    int32_t *targets = malloc((size_t)rows * 4), zero = 0, fault = 0;
    float *weights = malloc((size_t)rows * 4);
    double stats[3], want[3] = {0}, *wn = doubles(rows), *wd = doubles((int64_t)rows * cols);
    for (int i = 0; i < rows; i++) {
        targets[i] = (i * 101) % vocab;
        weights[i] = i % 5 == 2 ? 0.0f : 0.5f + (float)(i % 3);
    }
    targets[2] = -100; /* weight 0: not looked at */
    CUdeviceptr t = cuda_alloc(d, (size_t)rows * 4), w = cuda_alloc(d, (size_t)rows * 4);
    cuda_upload(d, t, targets, (size_t)rows * 4);
    cuda_upload(d, w, weights, (size_t)rows * 4);
    cuda_upload(d, small.device + 32, &zero, 4);
    struct cuda_cross_entropy a = {.h = (void *)h.device,
                                   .table = (void *)table.device,
                                   .targets = (void *)t,
                                   .weights = (void *)w,
                                   .logits = (void *)logits.device,
                                   .dh = (void *)dh.device,
                                   .nll = (void *)nll.device,
                                   .loss = (void *)(small.device + 24),
                                   .stats = (void *)small.device,
                                   .fault = (void *)(small.device + 32),
                                   .h_stride = cols,
                                   .table_stride = cols,
                                   .dh_stride = cols,
                                   .rows = rows,
                                   .cols = cols,
                                   .vocab = vocab,
                                   .padded = padded,
                                   .chunk = chunk};
    loss_reference(&h, &table, targets, weights, wn, wd);
    for (int i = 0; i < rows; i++) {
        want[0] += weights[i] * wn[i];
        want[1] += wn[i];
        want[2] += weights[i] != 0;
    }
    run_twice("cross_entropy", shape, run_loss, &a, (struct values *[]){&dh, &nll}, 2);
    cuda_download(d, stats, small.device, sizeof(stats));
    cuda_download(d, &fault, small.device + 32, 4);
    expect("cross_entropy nll", shape, values_error(nll.host, wn, (size_t)rows), PRODUCT);
    expect("cross_entropy dh", shape, values_error(dh.host, wd, (size_t)rows * (size_t)cols), PRODUCT);
    expect("cross_entropy weighted", shape, fabs(stats[0] / want[0] - 1), PRODUCT);
    expect("cross_entropy unweighted", shape, fabs(stats[1] / want[1] - 1), PRODUCT);
    expect("cross_entropy count", shape, fabs(stats[2] - want[2]) + fault, 0);
    targets[1] = vocab;
    cuda_upload(d, t, targets, (size_t)rows * 4);
    cuda_cross_entropy(d, &a);
    cuda_download(d, &fault, small.device + 32, 4);
    expect("cross_entropy refuses", shape, fault == 2 || chunk < 2 ? 0 : 1, 0);
    struct values *all[] = {&h, &table, &dh, &nll, &logits, &small};
    for (size_t i = 0; i < 6; i++) values_free(d, all[i]);
    cuda_free(d, t), cuda_free(d, w), free(targets), free(weights), free(wn), free(wd);
}

/* ---- optimizer ------------------------------------------------------------------------------------------------------- */

struct adamw_test {
    struct cuda_adamw_args a;
    struct cuda_sum_squares_args s;
    CUdeviceptr saved[3];
    struct values *slab[3];
};

static enum status run_adamw(void *context)
{
    struct adamw_test *t = context;
    for (int i = 0; i < 3; i++) {
        d->driver.cuMemcpyDtoDAsync(t->slab[i]->device, t->saved[i], (size_t)t->a.count * 4, d->stream);
    }
    TRY(cuda_sum_squares(d, &t->s));
    return cuda_adamw(d, &t->a);
}

static void test_adamw(int n)
{
    uint64_t state = 23;
    char shape[64];
    snprintf(shape, sizeof(shape), "%d", n);
    struct values p = values_make(d, n, 1, true, 1, &state), m = values_make(d, n, 1, true, 0.1f, &state);
    struct values v = values_make(d, n, 1, true, 0.1f, &state), g = values_make(d, n, 1, true, 1, &state);
    struct values shadow = values_poison(d, n, 1, false), partial = values_poison(d, 2 * CUDA_SUM_BLOCKS, 1, true);
    struct values cells = values_poison(d, 32, 1, true);
    for (int i = 0; i < n; i++) v.host[i] = fabsf(v.host[i]);
    cuda_upload(d, v.device, v.host, (size_t)n * 4);
    double zero = 0, squares = 0, got = 0, stopped = 0;
    struct cuda_adamw_step step = {.lr = 0.01, .correction1 = 0.19, .correction2 = 0.002, .grad_scale = 0.5, .threshold = 1};
    cuda_upload(d, cells.device, &step, sizeof(step));
    cuda_upload(d, cells.device + 72, &zero, 8);
    struct adamw_test t = {.a = {.param = (void *)p.device,
                                 .m = (void *)m.device,
                                 .v = (void *)v.device,
                                 .grad = (void *)g.device,
                                 .shadow = (void *)shadow.device,
                                 .sum_squares = (void *)(cells.device + 64),
                                 .stopped = (void *)(cells.device + 72),
                                 .step = (void *)cells.device,
                                 .count = n,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .eps = 1e-8,
                                 .weight_decay = 0.1},
                           .s = {(void *)g.device, (void *)partial.device, (void *)(cells.device + 64), n},
                           .slab = {&p, &m, &v}};
    for (int i = 0; i < 3; i++) {
        t.saved[i] = cuda_alloc(d, (size_t)n * 4);
        d->driver.cuMemcpyDtoDAsync(t.saved[i], t.slab[i]->device, (size_t)n * 4, d->stream);
    }
    double *wp = doubles(n), *wm = doubles(n), *wv = doubles(n);
    for (int i = 0; i < n; i++) squares += (double)g.host[i] * g.host[i];
    double norm = sqrt(squares) * 0.5, scale = norm > 1 ? 0.5 / norm : 0.5;
    for (int i = 0; i < n; i++) {
        double gi = g.host[i] * scale;
        wm[i] = 0.9 * m.host[i] + 0.1 * gi;
        wv[i] = 0.999 * v.host[i] + 0.001 * gi * gi;
        wp[i] = p.host[i] - 0.01 * (wm[i] / 0.19 / (sqrt(wv[i] / 0.002) + 1e-8) + 0.1 * p.host[i]);
    }
    run_twice("adamw", shape, run_adamw, &t, (struct values *[]){&p, &m, &v, &shadow}, 4);
    cuda_download(d, &got, cells.device + 64, 8);
    expect("sum_squares", shape, fabs(got / squares - 1), 1e-12);
    expect("adamw param", shape, values_error(p.host, wp, (size_t)n), EXACT);
    expect("adamw m", shape, values_error(m.host, wm, (size_t)n), EXACT);
    expect("adamw v", shape, values_error(v.host, wv, (size_t)n), EXACT);
    expect("adamw shadow", shape, values_error(shadow.host, wp, (size_t)n), ROUNDED);
    float bad = INFINITY;
    cuda_upload(d, g.device + (CUdeviceptr)(n - 1) * 4, &bad, 4);
    for (int turn = 0; turn < 2; turn++) { /* the second gradient is sound again, but the guard holds */
        run_adamw(&t);
        float *now = malloc((size_t)n * 4);
        cuda_download(d, now, p.device, (size_t)n * 4);
        cuda_download(d, &stopped, cells.device + 72, 8);
        float *old = malloc((size_t)n * 4);
        cuda_download(d, old, t.saved[0], (size_t)n * 4);
        expect("adamw stops", shape, memcmp(now, old, (size_t)n * 4) == 0 && stopped != 0 ? 0 : 1, 0);
        free(now), free(old);
        cuda_upload(d, g.device, g.host, (size_t)n * 4);
    }
    struct values *all[] = {&p, &m, &v, &g, &shadow, &partial, &cells};
    for (size_t i = 0; i < 7; i++) values_free(d, all[i]);
    for (int i = 0; i < 3; i++) cuda_free(d, t.saved[i]);
    free(wp), free(wm), free(wv);
}

/* ---- attention ------------------------------------------------------------------------------------------------------- */

struct attention_test {
    int segments, heads, groups, dim, window;
    int cu_q[8], cu_k[8];
};

static enum status run_attention(void *a)
{
    return cuda_attention(d, a);
}
static enum status run_attention_bwd(void *a)
{
    return cuda_attention_bwd(d, a);
}

struct attention_wanted {
    double *o, *lse, *dq, *dk, *dv;
};

/* One query row: probabilities over its keys, then all that follows from them. */
static void attention_row(const struct attention_test *t, int s, int i, int h, const struct values *q,
                          const struct values *k, const struct values *v, const struct values *go,
                          const struct attention_wanted *w, double *p)
{
    int n = t->cu_q[t->segments], dim = t->dim, ratio = t->heads / t->groups, g = h / ratio;
    int last = t->cu_k[s] + (i - t->cu_q[s]) + (t->cu_k[s + 1] - t->cu_k[s]) - (t->cu_q[s + 1] - t->cu_q[s]);
    int first = t->window > 0 && last - t->window + 1 > t->cu_k[s] ? last - t->window + 1 : t->cu_k[s];
    int qs = t->heads * dim, ks = t->groups * dim;
    double scale = 1 / sqrt(dim), most = -INFINITY, total = 0, delta = 0;
    const float *qi = q->host + i * qs + h * dim, *gi = go->host + i * qs + h * dim;
    double *oi = w->o + i * qs + h * dim;
    for (int j = first; j <= last; j++) {
        p[j] = 0;
        for (int e = 0; e < dim; e++) p[j] += scale * qi[e] * k->host[j * ks + g * dim + e];
        most = fmax(most, p[j]);
    }
    for (int j = first; j <= last; j++) total += p[j] = exp(p[j] - most);
    w->lse[h * n + i] = most + log(total);
    for (int j = first; j <= last; j++) {
        p[j] /= total;
        for (int e = 0; e < dim; e++) oi[e] += p[j] * v->host[j * ks + g * dim + e];
    }
    for (int e = 0; e < dim; e++) delta += oi[e] * gi[e];
    for (int j = first; j <= last; j++) {
        double dp = 0;
        for (int e = 0; e < dim; e++) dp += (double)gi[e] * v->host[j * ks + g * dim + e];
        double ds = p[j] * (dp - delta) * scale;
        for (int e = 0; e < dim; e++) {
            w->dq[i * qs + h * dim + e] += ds * k->host[j * ks + g * dim + e];
            w->dk[j * ks + g * dim + e] += ds * qi[e];
            w->dv[j * ks + g * dim + e] += p[j] * gi[e];
        }
    }
}

static void attention_reference(const struct attention_test *t, const struct values *q, const struct values *k,
                                const struct values *v, const struct values *go, const struct attention_wanted *w)
{
    double *p = doubles(t->cu_k[t->segments]);
    for (int s = 0; s < t->segments; s++) {
        for (int i = t->cu_q[s]; i < t->cu_q[s + 1]; i++) {
            for (int h = 0; h < t->heads; h++) attention_row(t, s, i, h, q, k, v, go, w, p);
        }
    }
    free(p);
}

static void test_attention(struct attention_test t)
{
    uint64_t state = 25;
    char shape[64];
    int n = t.cu_q[t.segments], s = t.cu_k[t.segments], qs = t.heads * t.dim, ks = t.groups * t.dim;
    snprintf(shape, sizeof(shape), "%d/%d %d/%d x %d w%d (%d)", n, s, t.heads, t.groups, t.dim, t.window, t.segments);
    struct values q = values_make(d, n, qs, false, 1, &state), k = values_make(d, s, ks, false, 1, &state);
    struct values v = values_make(d, s, ks, false, 1, &state), go = values_make(d, n, qs, false, 1, &state);
    struct values o = values_poison(d, n, qs, false), lse = values_poison(d, t.heads, n, true);
    struct values delta = values_poison(d, t.heads, n, true), dq = values_poison(d, n, qs, false);
    struct values dk = values_poison(d, s, ks, false), dv = values_poison(d, s, ks, false);
    struct values bounds = values_poison(d, 2, n + s, true), cu = values_poison(d, 16, 1, true);
    cuda_upload(d, cu.device, t.cu_q, sizeof(t.cu_q));
    cuda_upload(d, cu.device + 32, t.cu_k, sizeof(t.cu_k));
    int32_t *b = (void *)bounds.device;
    struct cuda_attention_bounds_args ba = {
        (void *)cu.device, (void *)(cu.device + 32), b, b + n, b + 2 * n, b + 2 * n + s, t.segments, n, s, t.window};
    cuda_attention_bounds(d, &ba);
    struct cuda_attention_args a = {.q = (void *)q.device,
                                    .k = (void *)k.device,
                                    .v = (void *)v.device,
                                    .o = (void *)o.device,
                                    .lse = (void *)lse.device,
                                    .grad_o = (void *)go.device,
                                    .delta = (void *)delta.device,
                                    .dq = (void *)dq.device,
                                    .dk = (void *)dk.device,
                                    .dv = (void *)dv.device,
                                    .first_key = b,
                                    .last_key = b + n,
                                    .first_query = b + 2 * n,
                                    .last_query = b + 2 * n + s,
                                    .q_stride = qs,
                                    .k_stride = ks,
                                    .v_stride = ks,
                                    .o_stride = qs,
                                    .grad_o_stride = qs,
                                    .dq_stride = qs,
                                    .dk_stride = ks,
                                    .dv_stride = ks,
                                    .queries = n,
                                    .keys = s,
                                    .heads = t.heads,
                                    .groups = t.groups,
                                    .dim = t.dim,
                                    .scale = (float)(1 / sqrt(t.dim))};
    struct attention_wanted w = {doubles(n * qs), doubles(n * t.heads), doubles(n * qs), doubles(s * ks), doubles(s * ks)};
    attention_reference(&t, &q, &k, &v, &go, &w);
    run_twice("attention", shape, run_attention, &a, (struct values *[]){&o, &lse}, 2);
    expect("attention o", shape, values_error(o.host, w.o, (size_t)(n * qs)), ATTENTION);
    expect("attention lse", shape, values_error(lse.host, w.lse, (size_t)(n * t.heads)), 1e-4);
    run_twice("attention_bwd", shape, run_attention_bwd, &a, (struct values *[]){&dq, &dk, &dv}, 3);
    expect("attention dq", shape, values_error(dq.host, w.dq, (size_t)(n * qs)), ATTENTION);
    expect("attention dk", shape, values_error(dk.host, w.dk, (size_t)(s * ks)), ATTENTION);
    expect("attention dv", shape, values_error(dv.host, w.dv, (size_t)(s * ks)), ATTENTION);
    struct values *all[] = {&q, &k, &v, &go, &o, &lse, &delta, &dq, &dk, &dv, &bounds, &cu};
    for (size_t i = 0; i < 12; i++) values_free(d, all[i]);
    free(w.o), free(w.lse), free(w.dq), free(w.dk), free(w.dv);
}

/* ---- the list -------------------------------------------------------------------------------------------------------- */

static void all_norm(void)
{
    test_norm(3, 72, false), test_norm(37, 576, true), test_norm(5, 4104, true), test_norm(2, 9000, false);
}
static void all_rope(void)
{
    test_rope(5, 3, 16, false), test_rope(33, 9, 64, true), test_rope(7, 5, 128, false), test_rope(3, 2, 96, false);
}
static void all_swiglu(void)
{
    test_swiglu(3, 40), test_swiglu(17, 1536), test_swiglu(5, 2728);
}
static void all_moves(void)
{
    for (int i = 0; i < 8; i++)
        test_move(5 + 7 * i, 33 + 500 * i, (struct move_test){.a.add = i & 4, .from_f32 = i & 1, .to_f32 = i & 2});
    test_move(5, 40, (struct move_test){.by_sum = true}), test_move(37, 2104, (struct move_test){.by_sum = true});
    test_fill_and_rows(5, 24), test_fill_and_rows(61, 576), test_fill_and_rows(7, 4104);
}
static void all_gemm(void)
{
    test_gemm(40, 72, 56, false, true, false, 0), test_gemm(200, 576, 192, false, true, false, 1);
    test_gemm(200, 192, 576, false, false, false, 0), test_gemm(16, 576, 200, true, false, true, 1);
    test_gemm(136, 16, 520, false, true, false, 0);
}
static void all_tall(void)
{
    test_tall(70, 72, 16, false), test_tall(517, 576, 16, true), test_tall(1000, 200, 32, false),
        test_tall(33, 264, 32, true);
}
static void all_thin(void)
{
    test_thin(37, 136, 16, false), test_thin(64, 576, 48, false), test_thin(33, 1032, 96, false),
        test_thin(5, 64, 32, false);
    test_thin(70, 520, 64, false), test_thin(37, 136, 16, true), test_thin(40, 576, 32, true), test_thin(31, 264, 64, true);
    test_tall_parts(100, 136), test_tall_parts(333, 64);
    test_spread(37, 264, 16, false), test_spread(70, 520, 48, true), test_spread(5, 72, 96, false);
    test_spread(130, 40, 32, true), test_spread(64, 256, 64, false);
    test_thin_gradient(37, 72, 0, 576, 16), test_thin_gradient(150, 1536, 24, 200, 32),
        test_thin_gradient(5, 1000, 8, 64, 16);
    test_thin_gradient(4200, 72, 0, 64, 16); /* many slices, which threads share */
}
static void all_loss(void)
{
    test_loss(13, 64, 264, 5), test_loss(50, 136, 1000, 50), test_loss(33, 72, 4104, 16), test_loss(20, 64, 257, 8);
}
static void all_optim(void)
{
    test_adamw(5), test_adamw(1003), test_adamw(300001);
}
/* On a card of 9.x, and on the emulator, which can be any: heads of 64 and 128 by both kinds of tensor core products. */
static void attention_by(int major)
{
    int own = d->major;
    if (own != major && (own != 9 && strcmp(d->name, "emulator") != 0)) return;
    d->major = major;
    test_attention((struct attention_test){3, 6, 2, 64, 0, {0, 5, 150, 333}, {0, 5, 150, 333}});
    test_attention((struct attention_test){2, 4, 1, 128, 0, {0, 129, 300}, {0, 129, 300}});
    test_attention((struct attention_test){2, 4, 2, 128, 40, {0, 200, 290}, {0, 200, 290}});
    test_attention((struct attention_test){2, 2, 1, 64, 0, {0, 1, 4}, {0, 90, 161}}); /* decoding */
    d->major = own;
}
/* ---- attention of one query ------------------------------------------------------------------------------------------- */

static enum status run_one(void *a)
{
    return cuda_attention_one(d, a);
}

/* The last query of `keys` tokens; from a window it sees the last ones only. */
static void test_attention_one(int keys, int heads, int groups, int dim, int window)
{
    uint64_t state = 31;
    char shape[64];
    int qs = heads * dim, ks = groups * dim, first = window && window < keys ? keys - window : 0;
    snprintf(shape, sizeof(shape), "1/%d %d/%d x %d w%d", keys, heads, groups, dim, window);
    struct values q = values_make(d, 1, qs, false, 1, &state), k = values_make(d, keys, ks, false, 1, &state);
    struct values v = values_make(d, keys, ks, false, 1, &state), o = values_poison(d, 1, qs, false);
    struct values lse = values_poison(d, heads, 1, true), bounds = values_poison(d, 2, 1, true);
    const int32_t seen[2] = {first, keys - 1};
    cuda_upload(d, bounds.device, seen, sizeof(seen));
    struct cuda_attention_one_args a = {.attention = {.q = (void *)q.device,
                                                      .k = (void *)k.device,
                                                      .v = (void *)v.device,
                                                      .o = (void *)o.device,
                                                      .lse = (void *)lse.device,
                                                      .first_key = (void *)bounds.device,
                                                      .last_key = (void *)(bounds.device + 4),
                                                      .q_stride = qs,
                                                      .k_stride = ks,
                                                      .v_stride = ks,
                                                      .o_stride = qs,
                                                      .queries = 1,
                                                      .keys = keys,
                                                      .heads = heads,
                                                      .groups = groups,
                                                      .dim = dim,
                                                      .scale = (float)(1 / sqrt(dim))}};
    if (!cuda_attention_one_fits(d, &a)) expect("attention of one", "is not taken", 1, 0);
    struct values partial = values_poison(d, a.pieces * heads, dim + 2, true);
    double *want = doubles(qs), *logs = doubles(heads), *score = doubles(keys);
    a.partial = (void *)partial.device;
    run_twice("attention of one", shape, run_one, &a, (struct values *[]){&o, &lse}, 2);
    for (int h = 0; h < heads; h++) {
        int g = h / (heads / groups);
        double most = -INFINITY, sum = 0;
        for (int j = first; j < keys; j++) {
            score[j] = 0;
            for (int i = 0; i < dim; i++) score[j] += (double)q.host[h * dim + i] * k.host[j * ks + g * dim + i];
            score[j] /= sqrt(dim);
            most = fmax(most, score[j]);
        }
        for (int j = first; j < keys; j++) sum += exp(score[j] - most);
        for (int j = first; j < keys; j++)
            for (int i = 0; i < dim; i++) want[h * dim + i] += exp(score[j] - most) / sum * v.host[j * ks + g * dim + i];
        logs[h] = most + log(sum);
    }
    expect("attention of one o", shape, values_error(o.host, want, (size_t)qs), ROUNDED);
    expect("attention of one lse", shape, values_error(lse.host, logs, (size_t)heads), 1e-5);
    values_free(d, &q), values_free(d, &k), values_free(d, &v), values_free(d, &o), values_free(d, &lse);
    values_free(d, &bounds), values_free(d, &partial), free(want), free(logs), free(score);
}

static void all_attention_one(void)
{
    test_attention_one(1, 2, 2, 64, 0), test_attention_one(77, 9, 3, 64, 0), test_attention_one(530, 8, 2, 128, 0);
    test_attention_one(300, 8, 1, 128, 33), test_attention_one(4096, 4, 2, 64, 0);
}

static void all_attention(void)
{
    attention_by(8), attention_by(9);
    test_attention((struct attention_test){1, 2, 1, 16, 0, {0, 37}, {0, 37}});
    test_attention((struct attention_test){2, 3, 3, 32, 0, {0, 1, 4}, {0, 90, 161}}); /* decoding */
    test_attention((struct attention_test){2, 4, 2, 96, 0, {0, 70, 190}, {0, 100, 230}});
}

static const struct {
    const char *name;
    void (*run)(void);
} TESTS[] = {{"norm", all_norm}, {"rope", all_rope},   {"swiglu", all_swiglu},       {"moves", all_moves},
             {"gemm", all_gemm}, {"tall", all_tall},   {"thin", all_thin},           {"loss", all_loss},
             {"pack", all_pack}, {"optim", all_optim}, {"attention", all_attention}, {"one", all_attention_one}};

/* Writes past the end of an array, for compute-sanitizer to find. */
static void plant(void)
{
    struct cuda_fill_args f = {(void *)cuda_alloc(d, 1 << 10), (1 << 10), 0};
    f.count += 1 << 20;
    cuda_fill(d, &f, 4);
    cuda_wait(d);
}

int main(int argc, char **argv)
{
    struct ctx *c = ctx_new(NULL);
    d = cuda_open(c, 0);
    if (!d) {
        printf("skipped: %s\n", c->message);
        return c->status == E_UNSUPPORTED ? 77 : 1;
    }
    printf("%s, compute capability %d.%d, %d processors\n", d->name, d->major, d->minor, d->processors);
    const char *one = argc == 3 && strcmp(argv[1], "--one") == 0 ? argv[2] : NULL;
    for (size_t i = 0; i < sizeof(TESTS) / sizeof(*TESTS); i++) {
        if (!one || strcmp(one, TESTS[i].name) == 0) TESTS[i].run();
    }
    if (argc == 2 && strcmp(argv[1], "--plant") == 0) plant();
    printf("%d checks, %d failed\n", checks, failures);
    cuda_close(d);
    ctx_free(c);
    return failures > 0;
}
