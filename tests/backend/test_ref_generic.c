/* Generic rows of the reference backend: values from PyTorch for the floating rows, hand-written ones for integers, casts
 * and moves. */
#include "support_ref.h"

typedef void (*generic_case)(struct ref_fixture *f);

static void each_layout(generic_case run)
{
    for (int i = 0; i < 4; i++) {
        struct ref_fixture f;
        ref_open(&f, i < 2 ? DTYPE_F64 : DTYPE_F32, i % 2 ? 2 : 0);
        run(&f);
        ref_close(&f);
    }
}

/* ---- floating --------------------------------------------------------------------------------------------------------- */

static void elementwise_case(struct ref_fixture *f)
{
    static const enum op binary[] = {OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MAXIMUM};
    struct array *a = ref_golden(f, "binary", "a"), *b = ref_golden(f, "binary", "b");
    for (int i = 0; i < 5; i++) {
        struct array *y = ref_like(f, a);
        ref_run(f, &(struct op_call){.op = binary[i], .in = {a, b}, .out = {y}});
        ref_check(f, y, "binary", op_name(binary[i]));
    }
    static const enum op unary[] = {OP_NEG, OP_EXP, OP_SIGMOID, OP_LOG, OP_SQRT};
    struct array *x = ref_golden(f, "unary", "x"), *positive = ref_golden(f, "unary", "abs");
    for (int i = 0; i < 5; i++) {
        struct array *y = ref_like(f, x);
        ref_run(f, &(struct op_call){.op = unary[i], .in = {i < 3 ? x : positive}, .out = {y}});
        ref_check(f, y, "unary", op_name(unary[i]));
    }
}

static void edge_case(struct ref_fixture *f)
{
    const double a[] = {NAN, 1, -INFINITY, 800, -800}, b[] = {1, NAN, -INFINITY, 0, 0};
    struct array *x = ref_values(f, f->real, SHAPE(5), a), *z = ref_values(f, f->real, SHAPE(5), b), *y = ref_like(f, x);
    ref_run(f, &(struct op_call){.op = OP_MAXIMUM, .in = {x, z}, .out = {y}});
    assert_true(isnan(ref_get(y, 0)) && isnan(ref_get(y, 1))); /* NaN wins from both sides */
    assert_true(ref_get(y, 2) == -INFINITY && ref_get(y, 3) == 800);
    ref_run(f, &(struct op_call){.op = OP_SIGMOID, .in = {x}, .out = {y}});
    assert_true(isnan(ref_get(y, 0)) && ref_get(y, 2) == 0 && ref_get(y, 3) == 1 && ref_get(y, 4) >= 0);

    struct array *scalar = ref_values(f, f->real, 0, NULL, (double[]){2.5}), *neg = ref_like(f, scalar);
    ref_run(f, &(struct op_call){.op = OP_NEG, .in = {scalar}, .out = {neg}});
    assert_true(ref_get(neg, 0) == -2.5);
}

static void compare_case(struct ref_fixture *f)
{
    const double a[] = {1, 2, 3, NAN}, b[] = {2, 2, 2, NAN};
    static const struct {
        enum op op;
        double expect[4];
    } row[] = {
        {OP_EQUAL, {0, 1, 0, 0}}, {OP_NOT_EQUAL, {1, 0, 1, 1}}, {OP_LESS, {1, 0, 0, 0}}, {OP_LESS_EQUAL, {1, 1, 0, 0}}};
    struct array *x = ref_values(f, f->real, SHAPE(2, 2), a), *z = ref_values(f, f->real, SHAPE(2, 2), b);
    for (int i = 0; i < 4; i++) {
        struct array *y = ref_empty(f, DTYPE_BOOL, SHAPE(2, 2));
        ref_run(f, &(struct op_call){.op = row[i].op, .in = {x, z}, .out = {y}});
        ref_check_values(f, y, row[i].expect, 4, op_name(row[i].op));
    }
}

static void reduce_one(struct ref_fixture *f, enum op op, const void *params, struct array *y, const char *name)
{
    ref_run(f, &(struct op_call){.op = op, .in = {ref_golden(f, "reduce", "x")}, .out = {y}, .params = params});
    ref_check(f, y, "reduce", name);
}

static void reduce_case(struct ref_fixture *f)
{
    reduce_one(f, OP_SUM, &(struct axes_params){5, false}, ref_empty(f, f->real, SHAPE(3)), "sum02");
    reduce_one(f, OP_SUM, &(struct axes_params){5, true}, ref_empty(f, f->real, SHAPE(1, 3, 1)), "sum02");
    reduce_one(f, OP_SUM, &(struct axes_params){2, false}, ref_empty(f, f->real, SHAPE(2, 4)), "sum1");
    reduce_one(f, OP_SUM, &(struct axes_params){7, false}, ref_empty(f, f->real, 0, NULL), "sum");
    reduce_one(f, OP_MAX, &(struct axes_params){5, false}, ref_empty(f, f->real, SHAPE(3)), "max02");
    reduce_one(f, OP_SOFTMAX, &(struct axis_params){1, true}, ref_empty(f, f->real, SHAPE(2, 3, 4)), "softmax1");
    reduce_one(f, OP_SOFTMAX, &(struct axis_params){2, true}, ref_empty(f, f->real, SHAPE(2, 3, 4)), "softmax2");
    reduce_one(f, OP_LOGSUMEXP, &(struct axis_params){0, false}, ref_empty(f, f->real, SHAPE(3, 4)), "logsumexp0");
    reduce_one(f, OP_LOGSUMEXP, &(struct axis_params){2, true}, ref_empty(f, f->real, SHAPE(2, 3, 1)), "logsumexp2");
    reduce_one(f, OP_SUM_SQUARES, NULL, ref_empty(f, DTYPE_F64, 0, NULL), "squares");
}

/* Large logits must not overflow, a masked row must not become NaN in log-sum-exp, NaN must not be lost by max. */
static void reduce_edge_case(struct ref_fixture *f)
{
    struct axis_params last = {1, false};
    struct array *x = ref_values(f, f->real, SHAPE(3, 2), (double[]){1e30, 1e30, -INFINITY, -INFINITY, NAN, 1});
    struct array *lse = ref_empty(f, f->real, SHAPE(3)), *soft = ref_like(f, x), *max = ref_like(f, lse);
    ref_run(f, &(struct op_call){OP_LOGSUMEXP, .in = {x}, .out = {lse}, .params = &last});
    assert_true(isfinite(ref_get(lse, 0)) && ref_get(lse, 1) == -INFINITY && isnan(ref_get(lse, 2)));
    ref_run(f, &(struct op_call){OP_SOFTMAX, .in = {x}, .out = {soft}, .params = &last});
    assert_true(ref_get(soft, 0) == 0.5 && isnan(ref_get(soft, 2)));
    ref_run(f, &(struct op_call){OP_MAX, .in = {x}, .out = {max}, .params = &(struct axes_params){2, false}});
    assert_true(ref_get(max, 1) == -INFINITY && isnan(ref_get(max, 2)));

    struct array *empty = ref_empty(f, f->real, SHAPE(2, 0)), *none = ref_empty(f, f->real, SHAPE(2));
    struct op_call call = {OP_MAX, .in = {empty}, .out = {none}, .params = &(struct axes_params){2, false}};
    assert_int_equal(f->backend->kernel[OP_MAX](f->backend, &call), E_SHAPE);
    ctx_clear(f->c);
    call.op = OP_SUM;
    ref_run(f, &call);
    assert_true(ref_get(none, 0) == 0 && ref_get(none, 1) == 0);
}

static void matmul_case(struct ref_fixture *f)
{
    struct array *a = ref_golden(f, "matmul", "a"), *b = ref_golden(f, "matmul", "b");
    struct array *y = ref_empty(f, f->real, SHAPE(2, 3, 4));
    ref_run(f, &(struct op_call){.op = OP_MATMUL, .in = {a, b}, .out = {y}});
    ref_check(f, y, "matmul", "y");
    /* The first matrix of b for both of a's, by a leading axis of 1 and by stride 0. */
    struct array one = *b, zero = *b, *by_one = ref_like(f, y), *by_zero = ref_like(f, y);
    one.shape[0] = 1;
    zero.stride[0] = 0;
    ref_run(f, &(struct op_call){.op = OP_MATMUL, .in = {a, &one}, .out = {by_one}});
    ref_run(f, &(struct op_call){.op = OP_MATMUL, .in = {a, &zero}, .out = {by_zero}});
    for (int64_t i = 0; i < 24; i++) {
        assert_true(ref_get(by_one, i) == ref_get(by_zero, i));
        if (i < 12) assert_true(ref_get(by_one, i) == ref_get(y, i));
    }
    double y0 = 0; /* element (1, 0, 0): a[1, 0, :] . b[0, :, 0] */
    for (int64_t k = 0; k < 5; k++) y0 += ref_get(a, 15 + k) * ref_get(b, 4 * k);
    assert_true(fabs(ref_get(by_one, 12) - y0) <= f->tolerance);
}

static void accumulate_case(struct ref_fixture *f)
{
    struct array *a = ref_golden(f, "binary", "a"), *b = ref_golden(f, "binary", "b");
    ref_run(f, &(struct op_call){.op = OP_ACCUMULATE, .in = {a, b}});
    ref_check(f, a, "binary", "add");
}

/* ---- integers and bools ---------------------------------------------------------------------------------------------- */

static void integer_binary(struct ref_fixture *f, enum op op, enum dtype t, const double *a, const double *b,
                           const double *y)
{
    bool compares = op == OP_EQUAL || op == OP_NOT_EQUAL || op == OP_LESS || op == OP_LESS_EQUAL;
    struct array *x = ref_values(f, t, SHAPE(4), a), *z = ref_values(f, t, SHAPE(4), b);
    struct array *out = ref_empty(f, compares ? DTYPE_BOOL : t, SHAPE(4));
    ref_run(f, &(struct op_call){.op = op, .in = {x, z}, .out = {out}});
    ref_check_values(f, out, y, 4, op_name(op));
}

static void integer_case(struct ref_fixture *f)
{
    const double a[] = {7, 2147483647, -3, 0}, b[] = {-2, 1, -3, 5};
    integer_binary(f, OP_ADD, DTYPE_I32, a, b, (double[]){5, -2147483648.0, -6, 5}); /* wraps */
    integer_binary(f, OP_ADD, DTYPE_I64, a, b, (double[]){5, 2147483648.0, -6, 5});
    integer_binary(f, OP_SUB, DTYPE_I32, a, b, (double[]){9, 2147483646, 0, -5});
    integer_binary(f, OP_MUL, DTYPE_I32, a, b, (double[]){-14, 2147483647, 9, 0});
    integer_binary(f, OP_MAXIMUM, DTYPE_I64, a, b, (double[]){7, 2147483647, -3, 5});
    integer_binary(f, OP_EQUAL, DTYPE_I32, a, b, (double[]){0, 0, 1, 0});
    integer_binary(f, OP_NOT_EQUAL, DTYPE_I64, a, b, (double[]){1, 1, 0, 1});
    integer_binary(f, OP_LESS, DTYPE_I32, a, b, (double[]){0, 0, 0, 1});
    integer_binary(f, OP_LESS_EQUAL, DTYPE_I64, a, b, (double[]){0, 0, 1, 1});
    const double p[] = {0, 1, 0, 1}, q[] = {0, 0, 1, 1};
    integer_binary(f, OP_ADD, DTYPE_BOOL, p, q, (double[]){0, 1, 1, 1});
    integer_binary(f, OP_MUL, DTYPE_BOOL, p, q, (double[]){0, 0, 0, 1});
    integer_binary(f, OP_ADD, DTYPE_U8, (double[]){255, 1, 2, 3}, (double[]){1, 1, 1, 1}, (double[]){0, 2, 3, 4});

    struct array *x = ref_values(f, DTYPE_I32, SHAPE(4), a), *y = ref_like(f, x);
    ref_run(f, &(struct op_call){.op = OP_NEG, .in = {x}, .out = {y}});
    ref_check_values(f, y, (double[]){-7, -2147483647, 3, 0}, 4, "neg");
}

static void integer_reduce_case(struct ref_fixture *f)
{
    struct axes_params first = {1, false}, all = {3, false};
    struct array *x = ref_values(f, DTYPE_I32, SHAPE(2, 2), (double[]){5, 8, 4, 9}), *y = ref_empty(f, DTYPE_I32, SHAPE(2));
    ref_run(f, &(struct op_call){OP_SUM, .in = {x}, .out = {y}, .params = &first});
    ref_check_values(f, y, (double[]){9, 17}, 2, "sum");
    ref_run(f, &(struct op_call){OP_MAX, .in = {x}, .out = {y}, .params = &first});
    ref_check_values(f, y, (double[]){5, 9}, 2, "max");
    struct array *bits = ref_values(f, DTYPE_BOOL, SHAPE(2, 2), (double[]){1, 0, 1, 1});
    struct array *count = ref_empty(f, DTYPE_I32, 0, NULL), *wide = ref_empty(f, DTYPE_I64, 0, NULL);
    ref_run(f, &(struct op_call){OP_SUM, .in = {bits}, .out = {count}, .params = &all});
    assert_true(ref_get(count, 0) == 3);
    struct array *big = ref_values(f, DTYPE_I64, SHAPE(2, 1), (double[]){0x1p40, 0x1p41});
    ref_run(f, &(struct op_call){OP_SUM, .in = {big}, .out = {wide}, .params = &all});
    assert_true(ref_get(wide, 0) == 0x1p40 + 0x1p41);
}

/* ---- casts and moves ------------------------------------------------------------------------------------------------- */

static void cast_one(struct ref_fixture *f, enum dtype from, double x, enum dtype to, double expect)
{
    struct array *a = ref_values(f, from, SHAPE(1), &x), *y = ref_empty(f, to, SHAPE(1));
    struct cast_params p = {to};
    ref_run(f, &(struct op_call){OP_CAST, .in = {a}, .out = {y}, .params = &p});
    double got = ref_get(y, 0);
    if (!(got == expect || (isnan(got) && isnan(expect)))) {
        fail_msg("%s %.17g -> %s is %.17g, not %.17g", dtype_name(from), x, dtype_name(to), got, expect);
    }
}

static void cast_case(struct ref_fixture *f)
{
    for (int from = 0; from < DTYPE_COUNT; from++) {
        for (int to = 0; to < DTYPE_COUNT; to++) {
            cast_one(f, from, 0, to, 0);
            cast_one(f, from, 1, to, 1);
            if (from != DTYPE_BOOL && to != DTYPE_BOOL) cast_one(f, from, 96, to, 96);
        }
    }
    cast_one(f, DTYPE_F32, -2.9, DTYPE_I32, -2); /* towards zero */
    cast_one(f, DTYPE_F64, 1e300, DTYPE_I64, 0x1p63);
    cast_one(f, DTYPE_F64, -1e300, DTYPE_I32, -0x1p31);
    cast_one(f, DTYPE_F32, 1e10, DTYPE_U8, 255);
    cast_one(f, DTYPE_F32, -4, DTYPE_U8, 0);
    cast_one(f, DTYPE_F32, NAN, DTYPE_I64, 0);
    cast_one(f, DTYPE_F32, NAN, DTYPE_BOOL, 1);
    cast_one(f, DTYPE_F32, 0.25, DTYPE_BOOL, 1);
    cast_one(f, DTYPE_I32, -1, DTYPE_U8, 255); /* integers wrap */
    cast_one(f, DTYPE_I64, 0x1p32 + 5, DTYPE_I32, 5);
    cast_one(f, DTYPE_I64, 0x1p24 + 1, DTYPE_F32, 0x1p24);
    cast_one(f, DTYPE_F64, NAN, DTYPE_BF16, NAN);
    cast_one(f, DTYPE_F64, 1e39, DTYPE_F16, INFINITY);
    /* Just above half way between two f16 (bf16) numbers, by less than f32 can see: one rounding goes up, two go down. */
    cast_one(f, DTYPE_F64, 1 + 0x1p-11 + 0x1p-40, DTYPE_F16, 1 + 0x1p-10);
    cast_one(f, DTYPE_F64, 1 + 0x1p-11, DTYPE_F16, 1);
    cast_one(f, DTYPE_F64, -1 - 0x1p-8 - 0x1p-40, DTYPE_BF16, -1 - 0x1p-7);
    /* Just below half way, where f32 rounds up to it and a tie to even goes up once more. */
    cast_one(f, DTYPE_F64, 1 + 0x1p-10 + 0x1p-11 - 0x1p-40, DTYPE_F16, 1 + 0x1p-10);
}

/* A transposed, a reversed and a broadcast view of every dtype, in up to eight dimensions. */
static void copy_case(struct ref_fixture *f)
{
    for (int t = 0; t < DTYPE_COUNT; t++) {
        double values[6] = {1, 0, 1, 1, 0, 0};
        if (t != DTYPE_BOOL) {
            for (int i = 0; i < 6; i++) values[i] = i + 1;
        }
        struct array *a = ref_values(f, t, SHAPE(2, 3), values), view = *a;
        view.shape[0] = 3;
        view.shape[1] = 2;
        view.stride[0] = -a->stride[1]; /* columns from the last to the first, as rows */
        view.stride[1] = a->stride[0];
        view.data = (char *)a->data + 2 * (size_t)a->stride[1] * dtype_size(t);
        struct array *y = ref_empty(f, t, SHAPE(3, 2));
        ref_run(f, &(struct op_call){.op = OP_COPY, .in = {&view}, .out = {y}});
        ref_check_values(f, y, (double[]){values[2], values[5], values[1], values[4], values[0], values[3]}, 6, "copy");
        view = *a;
        view.ndim = 8;
        for (int k = 0; k < 8; k++) {
            view.shape[k] = k == 3 ? 3 : k == 6 ? 2 : 1;
            view.stride[k] = k == 3 ? a->stride[1] : 0; /* axis 6 repeats */
        }
        struct array *wide = ref_empty(f, t, SHAPE(1, 1, 1, 3, 1, 1, 2, 1));
        ref_run(f, &(struct op_call){.op = OP_COPY, .in = {&view}, .out = {wide}});
        ref_check_values(f, wide, (double[]){values[0], values[0], values[1], values[1], values[2], values[2]}, 6, "copy");
    }
}

static void where_case(struct ref_fixture *f)
{
    static const enum dtype types[] = {DTYPE_U8, DTYPE_I64, DTYPE_BF16, DTYPE_F64};
    for (int i = 0; i < 4; i++) {
        struct array *cond = ref_values(f, DTYPE_BOOL, SHAPE(2, 2), (double[]){1, 0, 0, 1});
        struct array *a = ref_values(f, types[i], SHAPE(2, 2), (double[]){1, 2, 3, 4});
        struct array *b = ref_values(f, types[i], SHAPE(2, 2), (double[]){5, 6, 7, 8}), *y = ref_like(f, a);
        ref_run(f, &(struct op_call){.op = OP_WHERE, .in = {cond, a, b}, .out = {y}});
        ref_check_values(f, y, (double[]){1, 6, 7, 4}, 4, "where");
    }
}

static void concat_case(struct ref_fixture *f)
{
    struct axis_params rows = {0, false}, cols = {1, false};
    struct array *a = ref_values(f, f->real, SHAPE(1, 2), (double[]){1, 2});
    struct array *b = ref_values(f, f->real, SHAPE(2, 2), (double[]){3, 4, 5, 6});
    struct array *y = ref_empty(f, f->real, SHAPE(3, 2)), *z = ref_empty(f, f->real, SHAPE(2, 5));
    ref_run(f, &(struct op_call){OP_CONCAT, .in = {a, b}, .out = {y}, .params = &rows});
    ref_check_values(f, y, (double[]){1, 2, 3, 4, 5, 6}, 6, "concat rows");
    struct array *one = ref_values(f, f->real, SHAPE(2, 1), (double[]){7, 8});
    ref_run(f, &(struct op_call){OP_CONCAT, .in = {b, one, b}, .out = {z}, .params = &cols});
    ref_check_values(f, z, (double[]){3, 4, 7, 3, 4, 5, 6, 8, 5, 6}, 10, "concat columns");
}

/* ---- what is refused ------------------------------------------------------------------------------------------------- */

static void refuse_case(struct ref_fixture *f)
{
    struct array *half = ref_noise(f, DTYPE_BF16, SHAPE(2), 1), *out = ref_like(f, half);
    struct op_call add = {.op = OP_ADD, .in = {half, half}, .out = {out}};
    assert_int_equal(f->backend->kernel[OP_ADD](f->backend, &add), E_DTYPE);
    assert_non_null(strstr(f->c->message, "add does not take bf16"));
    ctx_clear(f->c);

    struct array *table = ref_noise(f, f->real, SHAPE(5, 2), 1), *y = ref_empty(f, f->real, SHAPE(2, 2));
    for (int i = 0; i < 2; i++) {
        struct array *ids = ref_values(f, DTYPE_I32, SHAPE(2), (double[]){0, i ? -1 : 5});
        struct op_call take = {.op = OP_TAKE, .in = {table, ids}, .out = {y}};
        assert_int_equal(f->backend->kernel[OP_TAKE](f->backend, &take), E_SHAPE);
        assert_non_null(
            strstr(f->c->message, i ? "take: ids[1] = -1 is not in [0, 5)" : "take: ids[1] = 5 is not in [0, 5)"));
        ctx_clear(f->c);
    }
}

/* Every row that is no view has a kernel. */
static void table_case(struct ref_fixture *f)
{
    const bool view[OP_COUNT] = {[OP_RESHAPE] = true, [OP_TRANSPOSE] = true, [OP_BROADCAST] = true, [OP_SLICE] = true};
    for (int op = 0; op < OP_COUNT; op++) {
        assert_int_equal(f->backend->kernel[op] == NULL, view[op]);
    }
}

static void test_floating(void **state)
{
    (void)state;
    each_layout(elementwise_case);
    each_layout(edge_case);
    each_layout(compare_case);
    each_layout(accumulate_case);
}
static void test_reduce(void **state)
{
    (void)state;
    each_layout(reduce_case);
    each_layout(reduce_edge_case);
}
static void test_matmul(void **state)
{
    (void)state;
    each_layout(matmul_case);
}
static void test_integer(void **state)
{
    (void)state;
    each_layout(integer_case);
    each_layout(integer_reduce_case);
}
static void test_cast(void **state)
{
    (void)state;
    each_layout(cast_case);
}
static void test_move(void **state)
{
    (void)state;
    each_layout(copy_case);
    each_layout(where_case);
    each_layout(concat_case);
}
static void test_refuse(void **state)
{
    (void)state;
    each_layout(refuse_case);
    each_layout(table_case);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floating), cmocka_unit_test(test_reduce), cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_integer),  cmocka_unit_test(test_cast),   cmocka_unit_test(test_move),
        cmocka_unit_test(test_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
