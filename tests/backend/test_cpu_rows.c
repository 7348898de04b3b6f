/* The small tuned rows against the reference in f64, the exponential over its whole range, and which table is chosen. */
#include "support_cpu.h"

#include <float.h>

#include "array/codec/nf4.h"
#include "array/codec/quant.h"
#include "backend/cpu/cpu_kernels.h"

static const int64_t odd[] = {1, 3, 5, 17, 127, 129, 576};
enum { ODD = 7 };

static void test_norm(void **state)
{
    (void)state;
    for (int i = 0; i < ODD; i++)
        for (int residual = 0; residual < 2; residual++) {
            struct cpu_fixture t;
            cpu_open(&t);
            int64_t n = odd[ODD - 1 - i], width = odd[i];
            struct rms_norm_params p = {.eps = 1e-5, .residual = residual};
            struct twin x = cpu_noise(&t, 3, 2, 1, SHAPE(n, 2, width)), gain = cpu_noise(&t, 0, 1, 2, SHAPE(width));
            struct twin other = cpu_noise(&t, 1, 1, 3, SHAPE(n, 2, width)), sum = cpu_empty(&t, 0, SHAPE(n, 2, width));
            struct twin rstd = cpu_empty(&t, 0, SHAPE(n, 2)), y = cpu_empty(&t, 0, SHAPE(n, 2, width)), none = {0};
            struct cpu_call forward = {.op = OP_RMS_NORM, .in = {x, gain}, .out = {y, none, rstd}, .params = &p};
            if (residual) forward.in[2] = other, forward.out[1] = sum;
            cpu_check(&t, &forward, "rms_norm");

            struct twin dy = cpu_noise(&t, 2, 1, 4, SHAPE(n, 2, width)), dx = cpu_empty(&t, 0, SHAPE(n, 2, width));
            struct cpu_call backward = {.op = OP_RMS_NORM_BWD, .in = {dy, none, x, gain, rstd}, .out = {dx}, .params = &p};
            if (residual) backward.in[1] = other;
            t.floor = 0.1; /* one channel: dx is a difference of equal numbers */
            cpu_check(&t, &backward, "rms_norm_bwd");
            p.want_dg = true;
            backward.out[1] = cpu_empty(&t, 0, SHAPE(width));
            cpu_check(&t, &backward, "rms_norm_bwd with dg");
            cpu_close(&t);
        }
}

static void test_rope(void **state)
{
    (void)state;
    for (int i = 1; i < ODD - 1; i++)
        for (int variant = 0; variant < 4; variant++) {
            struct cpu_fixture t;
            cpu_open(&t);
            int64_t n = odd[i], half = odd[ODD - 2 - i];
            int32_t *positions = calloc((size_t)n, sizeof *positions);
            assert_non_null(positions);
            /* documents that restart; far in a context; before 0 */
            for (int64_t j = 0; j < n; j++) positions[j] = variant < 2 ? (int32_t)(j % 9) : 5000 * (int32_t)(j - 2);
            struct twin frequency = cpu_noise(&t, 0, 1, 5, SHAPE(half));
            frequency.twice = frequency.single; /* f32 in both calls */
            for (int64_t j = 0; j < half; j++) ref_set(frequency.single, j, pow(10000.0, -(double)j / (double)half));
            struct rope_params p = {.scale = 1.25, .inverse = variant % 2};
            struct cpu_call call = {.op = OP_ROPE, .params = &p};
            call.in[0] = cpu_noise(&t, 3, 1, 1, SHAPE(n, 3, 2 * half));
            call.in[1] = cpu_ints(&t, n, positions);
            call.in[2] = frequency;
            call.out[0] = cpu_empty(&t, 4, SHAPE(n, 3, 2 * half));
            cpu_check(&t, &call, "rope");
            free(positions);
            cpu_close(&t);
        }
}

static void test_swiglu(void **state)
{
    (void)state;
    for (int i = 0; i < ODD; i++)
        for (int range = 1; range < 200; range += 99) {
            struct cpu_fixture t;
            cpu_open(&t);
            int64_t n = odd[ODD - 1 - i], width = odd[i];
            struct twin gate = cpu_noise(&t, 7, range, 1, SHAPE(n, width)), up = cpu_noise(&t, 7, 1, 2, SHAPE(n, width));
            struct twin dy = cpu_noise(&t, 2, 1, 3, SHAPE(n, width)), y = cpu_empty(&t, 0, SHAPE(n, width));
            struct twin dgate = cpu_empty(&t, 7, SHAPE(n, width)), dup = cpu_empty(&t, 7, SHAPE(n, width));
            cpu_check(&t, &(struct cpu_call){.op = OP_SWIGLU, .in = {gate, up}, .out = {y}}, "swiglu");
            cpu_check(&t, &(struct cpu_call){.op = OP_SWIGLU_BWD, .in = {dy, gate, up}, .out = {dgate, dup}}, "swiglu_bwd");
            cpu_close(&t);
        }
}

static void test_elementwise(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 7, 8, 9, 16385, 1 << 20}; /* the last wakes every thread */
    size_t n = getenv("YA_TEST_TABLE") ? 5 : 6;                  /* emulated, the last would take minutes */
    for (size_t i = 0; i < n; i++)
        for (int64_t pad = 0; pad < 2; pad++) {
            struct cpu_fixture t;
            cpu_open(&t);
            struct twin a = cpu_noise(&t, pad, 1, 1, SHAPE(2, sizes[i])), b = cpu_noise(&t, 0, 1, 2, SHAPE(2, sizes[i]));
            struct twin out = cpu_empty(&t, 0, SHAPE(2, sizes[i]));
            struct twin wide = cpu_empty(&t, 3, SHAPE(2, sizes[i])); /* columns of a wider array */
            cpu_check(&t, &(struct cpu_call){.op = OP_COPY, .in = {a}, .out = {wide}}, "copy");
            struct twin one = a; /* and a number that stands for a whole row of it */
            struct array broadcast[2] = {*a.single, *a.twice};
            broadcast[0].stride[1] = broadcast[1].stride[1] = 0;
            one.single = &broadcast[0], one.twice = &broadcast[1];
            cpu_check(&t, &(struct cpu_call){.op = OP_COPY, .in = {one}, .out = {wide}}, "copy of one number a row");
            cpu_check(&t, &(struct cpu_call){.op = OP_ADD, .in = {a, b}, .out = {out}}, "add");
            cpu_check(&t, &(struct cpu_call){.op = OP_MUL, .in = {a, b}, .out = {out}}, "mul");
            cpu_check(&t, &(struct cpu_call){.op = OP_EXP, .in = {a}, .out = {out}}, "exp");
            cpu_check(&t, &(struct cpu_call){.op = OP_ACCUMULATE, .in = {b, a}, .in_place = 1}, "accumulate");
            struct twin sum = {ref_empty(&t.f, DTYPE_F64, 0, NULL), ref_empty(&t.f, DTYPE_F64, 0, NULL)};
            cpu_check(&t, &(struct cpu_call){.op = OP_SUM_SQUARES, .in = {a}, .out = {sum}}, "sum_squares");
            cpu_close(&t);
        }
}

static void test_adamw(void **state)
{
    (void)state;
    for (int i = 0; i < ODD; i++) {
        struct cpu_fixture t;
        cpu_open(&t);
        int64_t n = odd[i] * odd[i];
        struct twin p = cpu_noise(&t, 0, 1, 1, SHAPE(n)), g = cpu_noise(&t, 0, 1, 2, SHAPE(n));
        struct twin m = cpu_noise(&t, 0, 0.1, 3, SHAPE(n)), v = cpu_noise(&t, 0, 0.1, 4, SHAPE(n));
        for (int64_t j = 0; j < n; j++) {
            ref_set(v.single, j, fabs(ref_get(v.single, j)));
            ref_set(v.twice, j, ref_get(v.single, j));
        }
        struct adamw_params a = {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1};
        a.correction1 = 1 - 0.9 * 0.9, a.correction2 = 1 - 0.999 * 0.999, a.grad_scale = 0.3;
        cpu_check(&t, &(struct cpu_call){.op = OP_ADAMW, .in = {p, g, m, v}, .params = &a, .in_place = 4}, "adamw");
        cpu_close(&t);
    }
}

static void test_matmul(void **state)
{
    (void)state;
    for (int i = 0; i < ODD - 1; i++)
        for (int j = 0; j < ODD - 1; j++) {
            struct cpu_fixture t;
            cpu_open(&t);
            struct twin a = cpu_noise(&t, 1, 1, 1, SHAPE(odd[i], odd[j]));
            struct twin b = cpu_noise(&t, 2, 1, 2, SHAPE(odd[j], odd[ODD - 2 - i]));
            struct twin out = cpu_empty(&t, 0, SHAPE(odd[i], odd[ODD - 2 - i]));
            cpu_check(&t, &(struct cpu_call){.op = OP_MATMUL, .in = {a, b}, .out = {out}}, "matmul");
            cpu_close(&t);
        }
}

/* ---- the exponential ------------------------------------------------------------------------------------------------- */

static double ulps(float got, double expected)
{
    double spacing = fmax((double)nextafterf((float)expected, INFINITY) - (double)(float)expected, 0x1p-149);
    return fabs((double)got - expected) / spacing;
}

static void check_exp(const struct cpu_kernels *k)
{
    double worst = 0;
    enum { N = 61 };
    float x[N], y[N];
    /* every 1009th float from -104 to 88.7: all binades, all remainders */
    union {
        float f;
        uint32_t u;
    } at, end;
    for (int sign = 0; sign < 2; sign++) {
        at.f = sign ? -1e-30f : 1e-30f;
        end.f = sign ? -104.0f : 88.72f;
        while (at.u < end.u) {
            for (int i = 0; i < N; i++, at.u += 1009) x[i] = at.u < end.u ? at.f : 0;
            k->exp(y, x, N);
            for (int i = 0; i < N; i++) worst = fmax(worst, ulps(y[i], exp((double)x[i])));
        }
    }
    if (worst > 1.25) fail_msg("%s: exp is off by %.2f ulp", k->name, worst);

    const float special[] = {-INFINITY, -FLT_MAX, -1000, -150, 0, -0.0f, 88.8f, 1000, FLT_MAX, INFINITY};
    const float expected[] = {0, 0, 0, 0, 1, 1, INFINITY, INFINITY, INFINITY, INFINITY};
    k->exp(y, special, 10);
    for (int i = 0; i < 10; i++) assert_true(y[i] == expected[i]);
    x[0] = NAN;
    x[1] = 1;
    k->exp(y, x, 2);
    assert_true(isnan(y[0]) && y[1] > 2.71f);
}

/* The softmax's form: exponents up to 0, 0 where the result would be subnormal, sums of what was stored. */
static void check_column_exp(const struct cpu_kernels *k)
{
    enum { ROWS = 64, COLUMNS = 16 };
    float s[ROWS * COLUMNS], max[COLUMNS] = {0}, sum[COLUMNS] = {0};
    for (int i = 0; i < ROWS * COLUMNS; i++) s[i] = -0.09f * (float)i;
    s[ROWS * COLUMNS - 1] = -INFINITY;
    k->column_exp(s, COLUMNS, ROWS, COLUMNS, 1.0f, max, sum);
    for (int j = 0; j < COLUMNS; j++) {
        double total = 0;
        for (int i = j; i < ROWS * COLUMNS; i += COLUMNS) {
            double x = (double)(-0.09f * (float)i);
            if (i < ROWS * COLUMNS - 1 && x > -87)
                assert_true(ulps(s[i], exp(x)) <= 1.25);
            else
                assert_true(s[i] == 0);
            total += (double)s[i];
        }
        assert_true(fabs(total - (double)sum[j]) < 1e-6 * total);
    }
}

static void test_exp(void **state)
{
    (void)state;
    struct cpu_table tables[CPU_TABLES];
    int n = cpu_tables(tables);
    for (int i = 0; i < n; i++) {
        check_exp(tables[i].kernels);
        check_column_exp(tables[i].kernels);
    }
}

/* Widened weights are the bits of quant_to_f32, at any address. */
static void check_widen(const struct cpu_kernels *k)
{
    enum { N = 2 * TENSOR_MAX_BLOCK };
    static uint8_t stored[N * 8 + 1];
    float got[N], expected[N];
    for (enum tensor_type type = 0; type < TENSOR_TYPE_COUNT; type++)
        for (int round = 0; quant_is_weight_type(type) && round < 60; round++) {
            uint32_t x = (uint32_t)type * 1000 + (uint32_t)round;
            for (size_t j = 0; j < sizeof stored; j++) {
                x = x * 1664525u + 1013904223u;
                stored[j] = (uint8_t)(x >> 24);
            }
            int n = quant_decoder(type) ? N : N - round % 17;
            const uint8_t *at = stored + round % 2;
            if (!k->widen(type, at, got, n)) {
                assert_null(quant_decoder(type));
                continue;
            }
            quant_to_f32(type, at, expected, n);
            for (int j = 0; j < n; j++) { /* NaNs (random f16 scales are, at times) need not have the same payload */
                if (isnan(got[j]) && isnan(expected[j])) continue;
                assert_memory_equal(&got[j], &expected[j], sizeof(float));
            }
        }
    assert_true(k->widen(TENSOR_BF16, stored, got, 1));
    assert_true(k->widen(TENSOR_Q4_1, stored, got, 32));
    assert_false(k->widen(TENSOR_F64, stored, got, 1));
}

/* NF4 rows of any bytes, any piece. */
static void check_widen_nf4(const struct cpu_kernels *k)
{
    enum { COLS = NF4_GROUP + 200, PIECE = 300 };
    static uint8_t row[NF4_GROUP_BYTES + 200];
    float got[PIECE + 1], expected[PIECE];
    uint32_t x = 5;
    for (size_t i = 0; i < sizeof row; i++) {
        x = x * 1664525u + 1013904223u;
        row[i] = (uint8_t)(x >> 24);
    }
    static const float scales[2] = {0.3f, 0.0125732421875f}; /* offset; a step of 16 bits, as the format has it */
    memcpy(row, scales, sizeof scales);
    memcpy(row + NF4_GROUP_BYTES, scales, sizeof scales);
    for (int first = NF4_GROUP - 640; first < COLS; first += 16)
        for (int n = 0; n <= PIECE && n <= COLS - first; n += n < 66 ? 1 : 19) {
            got[n] = 7;
            k->widen_nf4(row, COLS, first, n, got);
            nf4_to_f32(row, COLS, first, n, expected);
            assert_memory_equal(got, expected, (size_t)n * sizeof *got);
            assert_true(got[n] == 7);
        }
}

static void test_widen(void **state)
{
    (void)state;
    struct cpu_table tables[CPU_TABLES];
    int n = cpu_tables(tables);
    for (int i = 0; i < n; i++) {
        check_widen(tables[i].kernels);
        check_widen_nf4(tables[i].kernels);
    }
}

/* NaN and infinity in operands must reach the loss: the trainer stops on them. */
static void test_nan_passes(void **state)
{
    (void)state;
    float s[16 * 16] = {0}, m[16] = {0}, sum[16] = {0};
    s[5 * 16 + 3] = NAN;
    cpu_kernels_portable.column_max(m, s, 16, 16, 16, 1.0f);
    cpu_kernels_portable.column_exp(s, 16, 16, 16, 1.0f, m, sum);
    for (int j = 0; j < 16; j++) assert_true(isnan(sum[j]) == (j == 3));
    float gate[3] = {NAN, 1, -INFINITY}, up[3] = {1, NAN, 1}, out[3];
    cpu_kernels_portable.swiglu(out, gate, up, 3);
    assert_true(isnan(out[0]) && isnan(out[1]));
}

/* ---- choosing -------------------------------------------------------------------------------------------------------- */

static void check_name(struct ctx *c, const char *name, const char *opened)
{
    struct backend *b = backend_open(c, name);
    if (!b) fail_msg("%s", c->message);
    assert_string_equal(b->name, opened);
    for (int op = 0; op < OP_COUNT; op++) /* the views have no kernel, every other row has one */
        assert_true(b->kernel[op] || op == OP_RESHAPE || op == OP_TRANSPOSE || op == OP_BROADCAST || op == OP_SLICE);
    b->close(b);
}

static void check_refused(struct ctx *c, const char *name, enum status status, const char *word)
{
    assert_null(backend_open(c, name));
    assert_int_equal(c->status, status);
    assert_non_null(strstr(c->message, word));
    ctx_clear(c);
}

static void test_choice(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_non_null(c);
    setenv("CUDA_VISIBLE_DEVICES", "", 1); /* `auto` would take a card */
    setenv("YA_CPU", "portable", 1);
    check_name(c, "cpu", "cpu-portable");
    check_name(c, NULL, "cpu-portable");
    check_name(c, "cpu-reference", "cpu-reference");
    setenv("YA_CPU", "reference", 1);
    check_name(c, "auto", "cpu-reference");
    check_name(c, "walled", "walled");
    setenv("YA_CPU", "sse9", 1);
    check_refused(c, "cpu", E_UNSUPPORTED, "sse9");
    setenv("YA_CPU", "", 1);
    check_refused(c, "tpu", E_INPUT, "tpu");
    struct backend *best = backend_open(c, "cpu");
    assert_non_null(best);
    best->close(best);
    unsetenv("YA_CPU");
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm),        cmocka_unit_test(test_rope),  cmocka_unit_test(test_swiglu),
        cmocka_unit_test(test_elementwise), cmocka_unit_test(test_adamw), cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_exp),         cmocka_unit_test(test_widen), cmocka_unit_test(test_nan_passes),
        cmocka_unit_test(test_choice),
    };
    cmocka_set_test_filter(getenv("YA_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
