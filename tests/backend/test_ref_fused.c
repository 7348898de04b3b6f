/* The fused rows and their backward rows against PyTorch in float64 (tools/gen_ref_golden.py): f64 to 1e-10, f32 to 1e-5,
 * each with contiguous and with padded rows. */
#include "support_ref.h"

typedef void (*golden_case)(struct ref_fixture *f);

static void each_layout(golden_case run)
{
    for (int i = 0; i < 4; i++) {
        struct ref_fixture f;
        ref_open(&f, i < 2 ? DTYPE_F64 : DTYPE_F32, i % 2 ? 3 : 0);
        run(&f);
        ref_close(&f);
    }
}

static void rms_norm_case(struct ref_fixture *f)
{
    const char *k = "rms_norm";
    struct rms_norm_params p = {.eps = golden_number(k, "eps"), .residual = true, .want_dg = true};
    struct array *x = ref_golden(f, k, "x"), *g = ref_golden(f, k, "g"), *res = ref_golden(f, k, "residual");
    struct array *y = ref_like(f, x), *sum = ref_like(f, x), *rstd = ref_empty(f, f->real, SHAPE(4));
    ref_run(f, &(struct op_call){OP_RMS_NORM, .in = {x, g, res}, .out = {y, sum, rstd}, .params = &p});
    ref_check(f, y, k, "y");
    ref_check(f, sum, k, "sum");
    ref_check(f, rstd, k, "rstd");

    /* The sum as a plain input gives the same y; its outputs sum and rstd may be absent. */
    struct rms_norm_params plain = {.eps = p.eps};
    struct array *y2 = ref_like(f, x);
    ref_run(f, &(struct op_call){OP_RMS_NORM, .in = {sum, g}, .out = {y2}, .params = &plain});
    ref_check(f, y2, k, "y");

    struct array *dy = ref_golden(f, k, "dy"), *dsum = ref_golden(f, k, "dsum");
    struct array *dx = ref_like(f, x), *dg = ref_like(f, g), *dx_only = ref_like(f, x);
    ref_run(f, &(struct op_call){OP_RMS_NORM_BWD, .in = {dy, dsum, sum, g, rstd}, .out = {dx, dg}, .params = &p});
    ref_check(f, dx, k, "dx");
    ref_check(f, dg, k, "dg");

    /* Without dsum the gradient is smaller by exactly that much. */
    ref_run(f, &(struct op_call){OP_RMS_NORM_BWD, .in = {dy, NULL, sum, g, rstd}, .out = {dx_only, NULL}, .params = &p});
    for (int64_t i = 0; i < ref_size(dx); i++) {
        assert_true(fabs(ref_get(dx, i) - ref_get(dsum, i) - ref_get(dx_only, i)) < 1e-5);
    }
}

/* (N, H, D) rows, as the q and k norms of Qwen3 use them: the same numbers as (N * H, D). */
static void rms_norm_3d_case(struct ref_fixture *f)
{
    const char *k = "rms_norm";
    struct rms_norm_params p = {.eps = golden_number(k, "eps")};
    const struct golden *g = golden_find(k, "sum");
    struct array *x = ref_values(f, f->real, SHAPE(2, 2, 6), g->values), *gain = ref_golden(f, k, "g");
    struct array *y = ref_like(f, x), *rstd = ref_empty(f, f->real, SHAPE(2, 2));
    ref_run(f, &(struct op_call){OP_RMS_NORM, .in = {x, gain}, .out = {y, NULL, rstd}, .params = &p});
    ref_check(f, y, k, "y");
    ref_check(f, rstd, k, "rstd");
}

static void swiglu_case(struct ref_fixture *f)
{
    const char *k = "swiglu";
    struct array *gate = ref_golden(f, k, "gate"), *up = ref_golden(f, k, "up"), *y = ref_like(f, gate);
    ref_run(f, &(struct op_call){.op = OP_SWIGLU, .in = {gate, up}, .out = {y}});
    ref_check(f, y, k, "y");
    struct array *dgate = ref_like(f, gate), *dup = ref_like(f, gate);
    ref_run(f, &(struct op_call){.op = OP_SWIGLU_BWD, .in = {ref_golden(f, k, "dy"), gate, up}, .out = {dgate, dup}});
    ref_check(f, dgate, k, "dgate");
    ref_check(f, dup, k, "dup");
}

static void rope_case(struct ref_fixture *f)
{
    const char *k = "rope";
    struct array *x = ref_golden(f, k, "x"), *y = ref_like(f, x), *back = ref_like(f, x);
    struct array *positions = ref_golden_as(f, k, "positions", DTYPE_I32);
    struct array *inv_freq = ref_golden_as(f, k, "inv_freq", DTYPE_F32);
    struct rope_params p = {.scale = golden_number(k, "scale")};
    ref_run(f, &(struct op_call){OP_ROPE, .in = {x, positions, inv_freq}, .out = {y}, .params = &p});
    ref_check(f, y, k, "y");
    p.inverse = true;
    ref_run(f, &(struct op_call){OP_ROPE, .in = {x, positions, inv_freq}, .out = {back}, .params = &p});
    ref_check(f, back, k, "inverse");
}

static void linear_case(struct ref_fixture *f)
{
    const char *k = "linear";
    struct linear_params p = {.n = 3, .scale = {0.5f, 0, 2.0f}, .want_dx = true};
    struct array *bias = ref_golden_as(f, k, "bias1", DTYPE_F32);
    for (int i = 0; i < 3; i++) p.w[i] = ref_weight(f, k, (const char *[]){"w0", "w1", "w2"}[i]);
    ((struct weight *)p.w[1])->bias = bias;
    struct array *x = ref_golden(f, k, "x"), *a0 = ref_golden(f, k, "a0"), *b0 = ref_golden(f, k, "b0");
    struct array *a2 = ref_golden(f, k, "a2"), *b2 = ref_golden(f, k, "b2");
    struct array *y = ref_empty(f, f->real, SHAPE(5, 13)), *untaped = ref_like(f, y);
    struct array *h0 = ref_empty(f, f->real, SHAPE(5, 2)), *h2 = ref_empty(f, f->real, SHAPE(5, 3));
    ref_run(f, &(struct op_call){OP_LINEAR, .in = {x, a0, b0, NULL, NULL, a2, b2}, .out = {y, h0, NULL, h2}, .params = &p});
    ref_check(f, y, k, "y");
    ref_check(f, h0, k, "h0");
    ref_check(f, h2, k, "h2");
    ref_run(f, &(struct op_call){OP_LINEAR, .in = {x, a0, b0, NULL, NULL, a2, b2}, .out = {untaped}, .params = &p});
    ref_check(f, untaped, k, "y");

    struct array *dy = ref_golden(f, k, "dy"), *dx = ref_like(f, x), *da0 = ref_like(f, a0), *db0 = ref_like(f, b0);
    struct array *da2 = ref_like(f, a2), *db2 = ref_like(f, b2);
    struct op_call back = {OP_LINEAR_BWD, .in = {dy, x, a0, b0, NULL, NULL, a2, b2, h0, NULL, h2},
                           .out = {dx, da0, db0, NULL, NULL, da2, db2}, .params = &p};
    ref_run(f, &back);
    ref_check(f, dx, k, "dx");
    ref_check(f, da0, k, "da0");
    ref_check(f, db0, k, "db0");
    ref_check(f, da2, k, "da2");
    ref_check(f, db2, k, "db2");

    /* Once more with accumulate: adapters twice as large, dx (not accumulated) the same. */
    p.accumulate = true;
    ref_run(f, &back);
    ref_check(f, dx, k, "dx");
    for (int64_t i = 0; i < ref_size(da2); i++) ref_set(da2, i, ref_get(da2, i) / 2);
    for (int64_t i = 0; i < ref_size(db0); i++) ref_set(db0, i, ref_get(db0, i) / 2);
    ref_check(f, da2, k, "da2");
    ref_check(f, db0, k, "db0");
}

static void attention_named(struct ref_fixture *f, const char *k)
{
    struct array *cu_q = ref_golden_as(f, k, "cu_q", DTYPE_I32), *cu_k = ref_golden_as(f, k, "cu_k", DTYPE_I32);
    struct attention_params p = {.scale = golden_number(k, "scale"), .window = (int)golden_number(k, "window")};
    struct array *q = ref_golden(f, k, "q"), *key = ref_golden(f, k, "k"), *v = ref_golden(f, k, "v");
    struct array *o = ref_like(f, q), *lse = ref_empty(f, f->real, SHAPE(q->shape[0], q->shape[1]));
    ref_run(f, &(struct op_call){OP_ATTENTION, .in = {q, key, v, cu_q, cu_k}, .out = {o, lse}, .params = &p});
    ref_check(f, o, k, "o");
    ref_check(f, lse, k, "lse");
    struct array *dq = ref_like(f, q), *dk = ref_like(f, key), *dv = ref_like(f, v), *d_o = ref_golden(f, k, "do");
    ref_run(f, &(struct op_call){OP_ATTENTION_BWD, .in = {q, key, v, o, lse, d_o, cu_q, cu_k}, .out = {dq, dk, dv},
                                 .params = &p});
    ref_check(f, dq, k, "dq");
    ref_check(f, dk, k, "dk");
    ref_check(f, dv, k, "dv");
}

static void attention_case(struct ref_fixture *f)
{
    attention_named(f, "attention_packed");
    attention_named(f, "attention_window");
    attention_named(f, "attention_cached");
}

static void loss_case(struct ref_fixture *f)
{
    const char *k = "loss";
    struct linear_cross_entropy_params p = {.w = ref_weight(f, k, "w"), .want_logprobs = true, .want_dh = true};
    struct array *h = ref_golden(f, k, "h"), *targets = ref_golden_as(f, k, "targets", DTYPE_I32);
    struct array *weights = ref_golden_as(f, k, "weights", DTYPE_F32);
    struct array *loss = ref_empty(f, f->real, 0, NULL), *stats = ref_empty(f, DTYPE_F64, SHAPE(3));
    struct array *logprobs = ref_empty(f, DTYPE_F32, SHAPE(11)), *dh = ref_like(f, h);
    ref_set(targets, 1, -1); /* skipped rows may hold anything */
    ref_run(f, &(struct op_call){OP_LINEAR_CROSS_ENTROPY, .in = {h, targets, weights}, .out = {loss, stats, logprobs, dh},
                                 .params = &p});
    ref_check(f, loss, k, "loss");
    ref_check(f, stats, k, "stats");
    ref_check(f, dh, k, "dh");
    f->tolerance = 1e-5; /* always f32 */
    ref_check(f, logprobs, k, "logprobs");

    struct array *loss2 = ref_empty(f, f->real, 0, NULL), *stats2 = ref_empty(f, DTYPE_F64, SHAPE(3));
    ref_run(f, &(struct op_call){OP_LINEAR_CROSS_ENTROPY, .in = {h, targets, weights}, .out = {loss2, stats2, NULL, NULL},
                                 .params = &p});
    assert_true(ref_get(loss2, 0) == ref_get(loss, 0));
}

static void adamw_case(struct ref_fixture *f)
{
    const char *k = "adamw", *grads[] = {"g0", "g1", "g2"};
    struct array *p = ref_golden(f, k, "p"), *m = ref_like(f, p), *v = ref_like(f, p);
    for (int64_t i = 0; i < ref_size(p); i++) {
        ref_set(m, i, 0);
        ref_set(v, i, 0);
    }
    for (int step = 1; step <= 3; step++) {
        struct adamw_params a = {0.01, 0.9, 0.95, 1e-8, 0.1, 1 - pow(0.9, step), 1 - pow(0.95, step), 0.5, 0};
        ref_run(f, &(struct op_call){OP_ADAMW, .in = {p, ref_golden(f, k, grads[step - 1]), m, v}, .params = &a});
    }
    ref_check(f, p, k, "result");
    ref_check(f, m, k, "m");
    ref_check(f, v, k, "v");
}

static void lookup_case(struct ref_fixture *f)
{
    struct array *table = ref_golden(f, "take", "table"), *ids = ref_golden_as(f, "take", "ids", DTYPE_I32);
    struct array *dy = ref_golden(f, "take", "dy"), *y = ref_like(f, dy), *dtable = ref_like(f, table), *e = ref_like(f, dy);
    struct rows_params rows = {5}, cols = {5};
    ref_run(f, &(struct op_call){.op = OP_TAKE, .in = {table, ids}, .out = {y}});
    ref_check(f, y, "take", "y");
    ref_run(f, &(struct op_call){OP_TAKE_BWD, .in = {dy, ids}, .out = {dtable}, .params = &rows});
    ref_check(f, dtable, "take", "dtable");
    struct embed_params embed = {ref_weight(f, "take", "table"), f->real};
    ref_run(f, &(struct op_call){OP_EMBED, .in = {ids}, .out = {e}, .params = &embed});
    ref_check(f, e, "take", "y");

    struct array *a = ref_golden(f, "take_along", "a"), *at = ref_golden_as(f, "take_along", "ids", DTYPE_I32);
    struct array *da = ref_like(f, a), *d = ref_golden(f, "take_along", "dy"), *picked = ref_like(f, d);
    ref_run(f, &(struct op_call){.op = OP_TAKE_ALONG, .in = {a, at}, .out = {picked}});
    ref_check(f, picked, "take_along", "y");
    ref_run(f, &(struct op_call){OP_TAKE_ALONG_BWD, .in = {d, at}, .out = {da}, .params = &cols});
    ref_check(f, da, "take_along", "da");
}

static void test_rms_norm(void **state)
{
    (void)state;
    each_layout(rms_norm_case);
    each_layout(rms_norm_3d_case);
}
static void test_swiglu(void **state)
{
    (void)state;
    each_layout(swiglu_case);
}
static void test_rope(void **state)
{
    (void)state;
    each_layout(rope_case);
}
static void test_linear(void **state)
{
    (void)state;
    each_layout(linear_case);
}
static void test_attention(void **state)
{
    (void)state;
    each_layout(attention_case);
}
static void test_loss(void **state)
{
    (void)state;
    each_layout(loss_case);
}
static void test_adamw(void **state)
{
    (void)state;
    each_layout(adamw_case);
}
static void test_lookup(void **state)
{
    (void)state;
    each_layout(lookup_case);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rms_norm), cmocka_unit_test(test_swiglu),    cmocka_unit_test(test_rope),
        cmocka_unit_test(test_linear),   cmocka_unit_test(test_attention), cmocka_unit_test(test_loss),
        cmocka_unit_test(test_adamw),    cmocka_unit_test(test_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
