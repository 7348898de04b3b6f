/* What the golden values do not show of the reference kernels: dropout and its gradient by central differences, quantised
 * weights behind a row map, and the same bytes for any number of threads. */
#include "support_ref.h"

#include "base/threads.h"

/* ---- dropout ---------------------------------------------------------------------------------------------------------- */

enum { N = 5, K = 7, M = 4, R = 3 };

struct dropout_case {
    struct linear_params params;
    struct step_values step;
    struct array *x, *a, *b, *y, *h;
};

static void forward(struct ref_fixture *f, const struct dropout_case *d)
{
    ref_run(f, &(struct op_call){OP_LINEAR, .in = {d->x, d->a, d->b}, .out = {d->y, d->h}, .params = &d->params,
                                 .step = &d->step});
}

static struct dropout_case dropout_open(struct ref_fixture *f)
{
    struct dropout_case d = {.params = {.n = 1, .scale = {1.5f}, .p = {0.5f}, .id = {9}}};
    d.step = (struct step_values){.seed = 77, .step = 3, .first_token = 100};
    struct array *w = ref_noise(f, DTYPE_F64, SHAPE(M, K), 1); /* padded rows: row_bytes skips the padding */
    struct weight *weight = &f->weights[0];
    *weight = (struct weight){.name = "w", .type = TENSOR_F64, .rows = M, .cols = K, .data = w->data};
    weight->row_bytes = (size_t)w->stride[0] * sizeof(double);
    d.params.w[0] = weight;
    d.x = ref_noise(f, DTYPE_F64, SHAPE(N, K), 2);
    d.a = ref_noise(f, DTYPE_F64, SHAPE(R, K), 3);
    d.b = ref_noise(f, DTYPE_F64, SHAPE(M, R), 4);
    d.y = ref_empty(f, DTYPE_F64, SHAPE(N, M));
    d.h = ref_empty(f, DTYPE_F64, SHAPE(N, R));
    return d;
}

/* y and h by plain loops from dropout_mask of the token's place in the whole step. */
static void test_dropout_forward(void **state)
{
    (void)state;
    struct ref_fixture f;
    ref_open(&f, DTYPE_F64, 3);
    struct dropout_case d = dropout_open(&f);
    forward(&f, &d);
    int dropped = 0;
    for (int n = 0; n < N; n++) {
        uint8_t keep[K];
        dropout_mask(&d.step, 9, 100 + n, 0.5f, K, keep);
        for (int m = 0; m < M; m++) {
            double y = 0;
            for (int k = 0; k < K; k++) {
                double ab = 0, w = ((const double *)d.params.w[0]->data)[m * (K + 3) + k];
                for (int r = 0; r < R; r++) ab += ref_get(d.b, m * R + r) * ref_get(d.a, r * K + k);
                y += ref_get(d.x, n * K + k) * (w + (keep[k] ? 1.5 * 2.0 * ab : 0.0));
                dropped += !keep[k];
            }
            assert_true(fabs(ref_get(d.y, n * M + m) - y) < 1e-12);
        }
    }
    assert_in_range(dropped, 1, N * M * K - 1);

    /* A micro-batch that starts two tokens later sees the same mask for the same tokens. */
    struct dropout_case late = d;
    struct array x = *d.x, y = *ref_like(&f, d.y), h = *ref_like(&f, d.h);
    x.data = (double *)x.data + 2 * x.stride[0];
    x.shape[0] = y.shape[0] = h.shape[0] = N - 2;
    late.step.first_token += 2;
    late.x = &x;
    late.y = &y;
    late.h = &h;
    forward(&f, &late);
    for (int i = 0; i < (N - 2) * M; i++) assert_true(ref_get(&y, i) == ref_get(d.y, 2 * M + i));

    struct dropout_case off = d; /* probability 0, as in evaluation, drops nothing and reads no step values */
    off.params.p[0] = 0;
    off.y = ref_like(&f, d.y);
    forward(&f, &off);
    bool differs = false;
    for (int i = 0; i < N * M; i++) differs |= ref_get(off.y, i) != ref_get(d.y, i);
    assert_true(differs);
    ref_close(&f);
}

/* sum dy y, as a function of one element. */
static double projected(struct ref_fixture *f, const struct dropout_case *d, const struct array *dy)
{
    double s = 0;
    forward(f, d);
    for (int i = 0; i < N * M; i++) s += ref_get(dy, i) * ref_get(d->y, i);
    return s;
}

static void check_gradient(struct ref_fixture *f, const struct dropout_case *d, const struct array *dy, struct array *at,
                           const struct array *gradient)
{
    const double step = 1e-5;
    for (int64_t i = 0; i < ref_size(at); i++) {
        double x = ref_get(at, i);
        ref_set(at, i, x + step);
        double up = projected(f, d, dy);
        ref_set(at, i, x - step);
        double down = projected(f, d, dy);
        ref_set(at, i, x);
        assert_true(fabs((up - down) / (2 * step) - ref_get(gradient, i)) < 1e-8);
    }
}

static void test_dropout_backward(void **state)
{
    (void)state;
    struct ref_fixture f;
    ref_open(&f, DTYPE_F64, 0);
    struct dropout_case d = dropout_open(&f);
    forward(&f, &d);
    struct array *dy = ref_noise(&f, DTYPE_F64, SHAPE(N, M), 5);
    struct array *dx = ref_like(&f, d.x), *da = ref_like(&f, d.a), *db = ref_like(&f, d.b);
    ref_run(&f, &(struct op_call){OP_LINEAR_BWD, .in = {dy, d.x, d.a, d.b, NULL, NULL, NULL, NULL, d.h}, .out = {dx, da, db},
                                  .params = &d.params, .step = &d.step});
    check_gradient(&f, &d, dy, d.x, dx);
    check_gradient(&f, &d, dy, d.a, da);
    check_gradient(&f, &d, dy, d.b, db);
    ref_close(&f);
}

/* ---- stored weights --------------------------------------------------------------------------------------------------- */

/* Two Q8_0 rows of one block: row i, element j is 0.5 * (j - 10 i); stored in the other order and mapped back. */
static void test_quantised_row_map(void **state)
{
    (void)state;
    static const int32_t map[] = {1, 0};
    uint8_t blocks[2][34];
    for (int i = 0; i < 2; i++) {
        memcpy(blocks[map[i]], &(uint16_t){0x3800}, 2); /* f16 0.5 */
        for (int j = 0; j < 32; j++) blocks[map[i]][2 + j] = (uint8_t)(int8_t)(j - 10 * i);
    }
    for (int wide = 0; wide < 2; wide++) {
        struct ref_fixture f;
        ref_open(&f, wide ? DTYPE_F64 : DTYPE_F32, 1);
        struct weight w = {
            .name = "q", .type = TENSOR_Q8_0, .rows = 2, .cols = 32, .data = blocks, .row_bytes = 34, .row_map = map};
        struct array *x = ref_noise(&f, f.real, SHAPE(3, 32), 1), *y = ref_empty(&f, f.real, SHAPE(3, 2));
        struct linear_params p = {.n = 1, .w = {&w}};
        ref_run(&f, &(struct op_call){OP_LINEAR, .in = {x}, .out = {y}, .params = &p});
        double expect[6] = {0};
        for (int n = 0; n < 3; n++) {
            for (int j = 0; j < 32; j++) {
                expect[2 * n] += ref_get(x, 32 * n + j) * 0.5 * j;
                expect[2 * n + 1] += ref_get(x, 32 * n + j) * 0.5 * (j - 10);
            }
        }
        ref_check_values(&f, y, expect, 6, "q8_0");
        struct array *ids = ref_values(&f, DTYPE_I32, SHAPE(1), (double[]){1}), *e = ref_empty(&f, f.real, SHAPE(1, 32));
        struct embed_params embed = {&w, f.real};
        ref_run(&f, &(struct op_call){OP_EMBED, .in = {ids}, .out = {e}, .params = &embed});
        assert_true(ref_get(e, 0) == -5 && ref_get(e, 31) == 10.5);
        ref_close(&f);
    }
}

/* ---- threads ---------------------------------------------------------------------------------------------------------- */

enum { TN = 67, TK = 40, TM = 51, TV = 131 };

/* Runs every threaded row and returns the concatenated bytes of all results. */
static size_t threaded_rows(struct ref_fixture *f, int threads, uint8_t **bytes)
{
    assert_int_equal(ctx_set_threads(f->c, threads), OK);
    static const int32_t cu[] = {0, 20, 23, TN};
    struct array *w = ref_noise(f, f->real, SHAPE(TM, TK), 1), *table = ref_noise(f, f->real, SHAPE(TV, TK), 2);
    bool wide = f->real == DTYPE_F64;
    enum tensor_type type = wide ? TENSOR_F64 : TENSOR_F32;
    size_t row_bytes = (size_t)TK * dtype_size(f->real);
    struct weight weight = {.name = "w", .type = type, .rows = TM, .cols = TK, .data = w->data, .row_bytes = row_bytes};
    struct weight head = {.name = "head", .type = type, .rows = TV, .cols = TK, .data = table->data, .row_bytes = row_bytes};
    struct linear_params lp = {.n = 2, .w = {&weight, &weight}, .scale = {1, 2}, .p = {0.1f, 0.2f}, .id = {1, 2}};
    static const struct step_values values = {0};
    struct array *x = ref_noise(f, f->real, SHAPE(TN, TK), 3), *a = ref_noise(f, f->real, SHAPE(5, TK), 4);
    struct array *b = ref_noise(f, f->real, SHAPE(TM, 5), 5), *dy = ref_noise(f, f->real, SHAPE(TN, 2 * TM), 6);
    int first = f->n_arrays; /* results from here on */
    struct array *y = ref_like(f, dy), *h0 = ref_empty(f, f->real, SHAPE(TN, 5)), *h1 = ref_like(f, h0);
    struct array *dx = ref_like(f, x), *da0 = ref_like(f, a), *db0 = ref_like(f, b), *da1 = ref_like(f, a),
                 *db1 = ref_like(f, b);
    ref_run(f, &(struct op_call){OP_LINEAR, .in = {x, a, b, a, b}, .out = {y, h0, h1}, .params = &lp, .step = &values});
    ref_run(f, &(struct op_call){OP_LINEAR_BWD, .in = {dy, x, a, b, a, b, NULL, NULL, h0, h1},
                                 .out = {dx, da0, db0, da1, db1}, .params = &lp, .step = &values});

    struct attention_params ap = {.scale = 0.3};
    struct array *offsets = ref_empty(f, DTYPE_I32, SHAPE(4));
    for (int i = 0; i < 4; i++) ref_set(offsets, i, cu[i]);
    struct array *q = ref_noise(f, f->real, SHAPE(TN, 4, 6), 7), *k = ref_noise(f, f->real, SHAPE(TN, 2, 6), 8);
    struct array *o = ref_like(f, q), *lse = ref_empty(f, f->real, SHAPE(TN, 4));
    struct array *dq = ref_like(f, q), *dk = ref_like(f, k), *dv = ref_like(f, k);
    ref_run(f, &(struct op_call){OP_ATTENTION, .in = {q, k, k, offsets, offsets}, .out = {o, lse}, .params = &ap});
    ref_run(f, &(struct op_call){OP_ATTENTION_BWD, .in = {q, k, k, o, lse, q, offsets, offsets}, .out = {dq, dk, dv},
                                 .params = &ap});

    struct linear_cross_entropy_params cp = {.w = &head};
    struct array *targets = ref_empty(f, DTYPE_I32, SHAPE(TN)), *weights = ref_noise(f, DTYPE_F32, SHAPE(TN), 9);
    for (int i = 0; i < TN; i++) ref_set(targets, i, i * 29 % TV);
    struct array *loss = ref_empty(f, f->real, 0, NULL), *stats = ref_empty(f, DTYPE_F64, SHAPE(3));
    struct array *logprobs = ref_empty(f, DTYPE_F32, SHAPE(TN)), *dh = ref_like(f, x),
                 *mm = ref_empty(f, f->real, SHAPE(TN, 6));
    ref_run(f, &(struct op_call){OP_LINEAR_CROSS_ENTROPY, .in = {x, targets, weights}, .out = {loss, stats, logprobs, dh},
                                 .params = &cp});
    struct array *right = ref_noise(f, f->real, SHAPE(TK, 6), 10);
    ref_run(f, &(struct op_call){.op = OP_MATMUL, .in = {x, right}, .out = {mm}});

    size_t n = 0;
    for (int i = first; i < f->n_arrays; i++) n += f->buffer_bytes[i];
    *bytes = malloc(n);
    assert_non_null(*bytes);
    n = 0;
    for (int i = first; i < f->n_arrays; i++) {
        memcpy(*bytes + n, f->buffer[i], f->buffer_bytes[i]);
        n += f->buffer_bytes[i];
    }
    assert_int_equal(ctx_set_threads(f->c, 1), OK);
    return n;
}

static void test_same_bytes(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 7};
    for (int wide = 0; wide < 2; wide++) {
        uint8_t *expect = NULL;
        size_t n = 0;
        for (int i = 0; i < 4; i++) {
            struct ref_fixture f;
            ref_open(&f, wide ? DTYPE_F64 : DTYPE_F32, 0);
            uint8_t *bytes;
            size_t got = threaded_rows(&f, threads[i], &bytes);
            if (i == 0) {
                expect = bytes;
                n = got;
            } else {
                assert_int_equal(got, n);
                if (memcmp(bytes, expect, n) != 0) fail_msg("%d threads give other bytes than one", threads[i]);
                free(bytes);
            }
            ref_close(&f);
        }
        free(expect);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropout_forward),
        cmocka_unit_test(test_dropout_backward),
        cmocka_unit_test(test_quantised_row_map),
        cmocka_unit_test(test_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
