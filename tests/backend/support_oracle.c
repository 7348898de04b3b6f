/* Oracles of the fused rows: their composition from generic rows, in f64. Oracles of the in-place rows: loops. */
#include "support_oracle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array/backend.h"
#include "support_blocks.h"

double oracle_x[8][ORACLE_MOST], oracle_expected[ORACLE_MOST];
struct ctx *oracle_other;

struct array *oracle_operand(struct ctx *c, const struct setting *s, int i, int ndim, const int64_t *shape, double lo,
                             double hi)
{
    int64_t n = 1;
    for (int k = 0; k < ndim; k++) n *= shape[k];
    assert_true(n <= ORACLE_MOST);
    case_numbers(oracle_x[i], n, (uint64_t)i + 31, lo, hi);
    return case_array(c, s->dtype, ndim, shape, oracle_x[i], s->layout);
}

static struct array *wide(int ndim, const int64_t *shape, const double *values)
{
    return case_array(oracle_other, DTYPE_F64, ndim, shape, values, LAYOUT_PLAIN);
}

static void expect(struct array *y)
{
    if (!y) fail_msg("%s", oracle_other->message);
    assert_true(array_size(y) <= ORACLE_MOST);
    assert_int_equal(array_to_host(y, DTYPE_F64, oracle_expected), OK);
}

/* A frozen weight of any stored type, with a row map that exchanges rows, and its elements in double. */
struct stored {
    struct weight w;
    _Alignas(64) uint8_t bytes[16384];
    uint8_t codes[4096];
    int32_t map[64];
    double values[4096];
};

static void store(struct stored *x, enum tensor_type type, int rows, int cols, uint64_t seed, bool mapped)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    const size_t row_bytes = (size_t)(cols / info->block * info->bytes);
    double numbers[4096];
    assert_true(rows <= 64 && rows * cols <= 4096 && (size_t)rows * row_bytes <= sizeof x->bytes && cols % info->block == 0);
    case_numbers(numbers, rows * cols, seed, -1, 1);
    for (int i = 0; i < rows * cols; i++) {
        const float f = (float)numbers[i];
        const uint16_t half = type == TENSOR_F16 ? f32_to_f16(f) : f32_to_bf16(f);
        if (type == TENSOR_F32) memcpy(x->bytes + i * 4, &f, 4);
        if (type == TENSOR_F64) memcpy(x->bytes + i * 8, &numbers[i], 8);
        if (type == TENSOR_F16 || type == TENSOR_BF16) memcpy(x->bytes + i * 2, &half, 2);
    }
    for (size_t i = 0; info->block > 1 && i < (size_t)rows * row_bytes; i++)
        x->bytes[i] = (uint8_t)(numbers[i] * 127.5 + 128);
    if (info->block > 1) blocks_tame(type, x->bytes, (size_t)rows * row_bytes / (size_t)info->bytes, 1);
    for (int i = 0; i < rows; i++) x->map[i] = (int32_t)(i % 2 ? i - 1 : i + 1 < rows ? i + 1 : i);
    x->w = (struct weight){
        .name = "stored", .type = type, .rows = rows, .cols = cols, .data = x->bytes, .row_bytes = row_bytes};
    x->w.row_map = mapped ? x->map : NULL;
    for (int i = 0; i < rows; i++) weight_row_f64(&x->w, i, x->values + i * cols);
}

/* The same prepared as NF4 or int8; the elements are now what its codes stand for. */
static void store_form(struct ctx *c, struct stored *x, enum weight_form form)
{
    const struct weight_source source = {.type = x->w.type,
                                         .rows = x->w.rows,
                                         .cols = x->w.cols,
                                         .data = x->w.data,
                                         .row_bytes = x->w.row_bytes,
                                         .row_map = x->w.row_map};
    assert_true(weight_form_bytes(&source, form) <= sizeof x->codes);
    assert_int_equal(weight_prepare(c, &x->w, x->w.name, &source, form, x->codes), OK);
    for (int i = 0; i < x->w.rows; i++) weight_row_f64(&x->w, i, x->values + i * x->w.cols);
}

/* Those whose blocks are no longer than the rows here; test_cpu_linear has rows for the others. */
static const enum tensor_type weight_types[] = {TENSOR_F32,  TENSOR_F16,    TENSOR_BF16, TENSOR_F64,
                                                TENSOR_Q4_0, TENSOR_Q4_1,   TENSOR_Q8_0, TENSOR_Q5_0,
                                                TENSOR_Q5_1, TENSOR_IQ4_NL, TENSOR_MXFP4};
enum { N_TYPES = sizeof weight_types / sizeof *weight_types };

static const int32_t embed_ids[6] = {3, 0, 3, 1, 2, 3};

void oracle_embed(struct ctx *c, const struct setting *s, enum op op)
{
    static struct stored table;
    struct array *id = array_from_host(c, DTYPE_I32, SHAPE_OF(6), embed_ids);
    for (int t = 0; t < N_TYPES; t++) {
        store(&table, weight_types[t], 4, 64, 7, t % 2);
        expect(op_take(oracle_other, wide(SHAPE_OF(4, 64), table.values),
                       array_from_host(oracle_other, DTYPE_I32, SHAPE_OF(6), embed_ids)));
        case_assert_close(op_embed(c, &table.w, id, s->dtype), oracle_expected, 6 * 64, s->tolerance, op_name(op));
    }
}

static struct array *composed_rms_norm(struct array *x, struct array *gain, double eps)
{
    const int last = -1;
    struct array *mean = op_mean(oracle_other, op_mul(oracle_other, x, x), &last, 1, true);
    struct array *rms = op_sqrt(oracle_other, op_add(oracle_other, mean, array_scalar(oracle_other, DTYPE_F64, eps)));
    return op_mul(oracle_other, op_div(oracle_other, x, rms), gain);
}

void oracle_rms_norm(struct ctx *c, const struct setting *s, enum op op)
{
    static const int widths[] = {1, 7, 8, 33};
    for (int i = 0; i < 4; i++) {
        const int64_t n = widths[i], shape[2] = {5, n};
        struct array *x = oracle_operand(c, s, 0, 2, shape, -2, 2), *residual = oracle_operand(c, s, 1, 2, shape, -2, 2),
                     *sum;
        struct array *gain = oracle_operand(c, s, 2, 1, &n, 0.5, 1.5), *wide_gain = wide(1, &n, oracle_x[2]);
        expect(composed_rms_norm(wide(2, shape, oracle_x[0]), wide_gain, 1e-5));
        case_assert_close(op_rms_norm(c, x, gain, 1e-5), oracle_expected, 5 * n, s->tolerance, op_name(op));
        struct array *y = op_rms_norm_add(c, x, residual, gain, 1e-5, &sum);
        struct array *wide_sum = op_add(oracle_other, wide(2, shape, oracle_x[0]), wide(2, shape, oracle_x[1]));
        expect(wide_sum);
        case_assert_close(sum, oracle_expected, 5 * n, s->tolerance, "rms_norm sum");
        expect(composed_rms_norm(wide_sum, wide_gain, 1e-5));
        case_assert_close(y, oracle_expected, 5 * n, s->tolerance * 4, op_name(op));
    }
}

/* x W^T + bias + scale (drop(x) A^T) B^T */
static struct array *composed_linear(struct array *x, const struct stored *w, const double *bias, const double *a,
                                     const double *b, int rank, const struct step_values *values, bool dropout)
{
    const int64_t n = x->shape[0], k = w->w.cols, m = w->w.rows, w_shape[2] = {m, k}, a_shape[2] = {rank, k},
                  b_shape[2] = {m, rank};
    struct array *y = op_matmul(oracle_other, x, op_transpose(oracle_other, wide(2, w_shape, w->values), NULL));
    if (bias) y = op_add(oracle_other, y, wide(1, &m, bias));
    if (!a) return y;
    double keep[ORACLE_MOST];
    uint8_t mask[ORACLE_MOST];
    for (int64_t i = 0; i < n; i++) {
        float p = dropout ? w->w.lora->dropout : 0;
        dropout_mask(values, w->w.lora->id, values->first_token + i, p, k, mask);
        for (int64_t j = 0; j < k; j++) keep[i * k + j] = mask[j] / (1 - (double)p);
    }
    struct array *dropped = op_mul(oracle_other, x, wide(2, x->shape, keep));
    struct array *h = op_matmul(oracle_other, dropped, op_transpose(oracle_other, wide(2, a_shape, a), NULL));
    struct array *branch = op_matmul(oracle_other, h, op_transpose(oracle_other, wide(2, b_shape, b), NULL));
    return op_add(oracle_other, y,
                  op_mul(oracle_other, branch, array_scalar(oracle_other, DTYPE_F64, (double)w->w.lora->scale)));
}

/* Three weights: plain, biased with an adapter, adapter only; every stored type; with and without dropout. */
static void check_linear(struct ctx *c, const struct setting *s, enum tensor_type type, enum weight_form form, int n,
                         bool dropout)
{
    static struct stored w[3];
    static double ab[4][ORACLE_MOST], bias[64];
    float bias32[64];
    const int rows[3] = {24, 16, 9}, rank[3] = {0, 3, 8}, k = 32;
    const struct step_values values = {.seed = 11, .step = 3, .first_token = 1000};
    const struct weight *pointers[3];
    struct lora_slot slot[3];
    struct array *x = oracle_operand(c, s, 0, SHAPE_OF(n, k), -1, 1), *y[3], *composed[3];
    struct array *wide_x = wide(SHAPE_OF(n, k), oracle_x[0]);
    case_numbers(bias, 16, 3, -1, 1);
    for (int i = 0; i < 16; i++) bias32[i] = (float)bias[i];
    struct array *bias_array = array_from_host(c, DTYPE_F32, SHAPE_OF(16), bias32);
    for (int i = 0; i < 3; i++) {
        double *a = ab[i ? 2 * i - 2 : 0], *b = ab[i ? 2 * i - 1 : 0];
        store(&w[i], type, rows[i], k, 40 + (uint64_t)i, i == 0);
        if (form != WEIGHT_STORED) store_form(c, &w[i], form);
        pointers[i] = &w[i].w;
        if (i == 1) w[i].w.bias = bias_array;
        if (i > 0) {
            case_numbers(a, rank[i] * k, 50 + (uint64_t)i, -1, 1);
            case_numbers(b, rows[i] * rank[i], 60 + (uint64_t)i, -1, 1);
            slot[i] = (struct lora_slot){.scale = 0.75f, .dropout = 0.25f, .id = (uint32_t)i};
            slot[i].a = case_array(c, s->dtype, SHAPE_OF(rank[i], k), a, s->layout);
            slot[i].b = case_array(c, s->dtype, SHAPE_OF(rows[i], rank[i]), b, s->layout);
            w[i].w.lora = &slot[i];
        }
        composed[i] = composed_linear(wide_x, &w[i], i == 1 ? bias : NULL, i ? a : NULL, b, rank[i], &values, dropout);
    }
    array_step_begin(c, &values);
    if (op_linear(c, x, pointers, 3, dropout, y) != OK) fail_msg("%s", c->message);
    for (int i = 0; i < 3; i++) {
        expect(composed[i]);
        assert_true(array_has_unit_last(y[i]) && y[i]->storage == y[0]->storage); /* views of one array */
        case_assert_close(y[i], oracle_expected, n * rows[i], s->tolerance, tensor_type_info(type)->name);
        struct array *alone;
        if (op_linear(c, x, &pointers[i], 1, dropout, &alone) != OK) fail_msg("%s", c->message);
        case_assert_close(alone, oracle_expected, n * rows[i], s->tolerance, "alone");
    }
    array_step_end(c);
}

void oracle_linear(struct ctx *c, const struct setting *s, enum op op)
{
    (void)op;
    for (int t = 0; t < N_TYPES; t++) {
        int mark = scope_open(c), other_mark = scope_open(oracle_other);
        check_linear(c, s, weight_types[t], WEIGHT_STORED, 13, t % 2);
        check_linear(c, s, weight_types[t], WEIGHT_STORED, 1, !(t % 2)); /* one token: generation */
        check_linear(c, s, weight_types[t], WEIGHT_NF4, t % 2 ? 13 : 1, t % 2);
        check_linear(c, s, weight_types[t], WEIGHT_INT8, t % 2 ? 1 : 13, t % 2);
        scope_close(c, mark);
        scope_close(oracle_other, other_mark);
    }
}

void oracle_rope(struct ctx *c, const struct setting *s, enum op op)
{
    const int n = 5, heads = 3, size = 8, half = 4;
    const float inv_freq[4] = {1, 0.1f, 0.01f, 0.001f};
    const int32_t positions[5] = {0, 1, 2, 0, 3000};
    struct array *x = oracle_operand(c, s, 0, SHAPE_OF(n, heads, size), -1, 1);
    struct array *p = array_from_host(c, DTYPE_I32, SHAPE_OF(n), positions),
                 *f = array_from_host(c, DTYPE_F32, SHAPE_OF(half), inv_freq);
    /* The composition: y = x cos + rotate_half(x) sin, with tables of cos and sin made here. */
    double cosine[ORACLE_MOST], sine[ORACLE_MOST];
    for (int i = 0; i < n * heads * size; i++) {
        double angle = positions[i / (heads * size)] * (double)inv_freq[i % half];
        cosine[i] = 1.5 * cos(angle);
        sine[i] = 1.5 * sin(angle);
    }
    struct array *wx = wide(SHAPE_OF(n, heads, size), oracle_x[0]);
    const int64_t zero[3] = {0, 0, 0}, middle[3] = {0, 0, half}, first_end[3] = {n, heads, half}, end[3] = {n, heads, size};
    struct array *turned[2] = {op_neg(oracle_other, op_slice(oracle_other, wx, middle, end, NULL)),
                               op_slice(oracle_other, wx, zero, first_end, NULL)};
    struct array *straight = op_mul(oracle_other, wx, wide(SHAPE_OF(n, heads, size), cosine));
    expect(op_add(oracle_other, straight,
                  op_mul(oracle_other, op_concat(oracle_other, turned, 2, 2), wide(SHAPE_OF(n, heads, size), sine))));
    /* the angle itself is rounded in f32 at position 3000: half an ulp of 3000 is 1.2e-4 */
    double tolerance = s->dtype == DTYPE_F32 ? 1e-4 : s->tolerance;
    case_assert_close(op_rope(c, x, p, f, 1.5), oracle_expected, n * heads * size, tolerance, op_name(op));
}

/* One head of one segment: softmax(scale q k^T + mask) v. */
static struct array *composed_head(struct array *q, struct array *k, struct array *v, double scale, int window)
{
    const int64_t nq = q->shape[0], nk = k->shape[0], shape[2] = {nq, nk};
    double mask[ORACLE_MOST];
    for (int64_t i = 0; i < nq * nk; i++) {
        int64_t last = i / nk + nk - nq, j = i % nk;
        mask[i] = j <= last && (window == 0 || j > last - window);
    }
    struct array *scores = op_mul(oracle_other, op_matmul(oracle_other, q, op_transpose(oracle_other, k, NULL)),
                                  array_scalar(oracle_other, DTYPE_F64, scale));
    struct array *seen =
        op_where(oracle_other, wide(2, shape, mask), scores, array_scalar(oracle_other, DTYPE_F64, -INFINITY));
    return op_matmul(oracle_other, op_softmax(oracle_other, seen, 1), v);
}

static struct array *head_of(struct array *x, int64_t from, int64_t to, int64_t head)
{
    const int64_t start[3] = {from, head, 0}, stop[3] = {to, head + 1, x->shape[2]}, flat[2] = {to - from, x->shape[2]};
    return op_reshape(oracle_other, op_slice(oracle_other, x, start, stop, NULL), 2, flat);
}

struct segments {
    int n;
    const int32_t *cu_q, *cu_k;
};

static void check_attention(struct ctx *c, const struct setting *s, const struct segments *g, int window, int heads,
                            int groups, int size)
{
    const struct attention_params p = {.scale = 0.35, .window = window};
    const int n = g->cu_q[g->n], keys = g->cu_k[g->n];
    struct array *cu_q = array_from_host(c, DTYPE_I32, SHAPE_OF(g->n + 1), g->cu_q),
                 *cu_k = array_from_host(c, DTYPE_I32, SHAPE_OF(g->n + 1), g->cu_k);
    struct array *q = oracle_operand(c, s, 0, SHAPE_OF(n, heads, size), -2, 2),
                 *k = oracle_operand(c, s, 1, SHAPE_OF(keys, groups, size), -2, 2);
    struct array *v = oracle_operand(c, s, 2, SHAPE_OF(keys, groups, size), -2, 2),
                 *y = op_attention(c, q, k, v, cu_q, cu_k, &p);
    struct array *wq = wide(SHAPE_OF(n, heads, size), oracle_x[0]), *wk = wide(SHAPE_OF(keys, groups, size), oracle_x[1]);
    struct array *wv = wide(SHAPE_OF(keys, groups, size), oracle_x[2]), *segments[8];
    int count = 0;
    for (int i = 0; i < g->n; i++) {
        struct array *parts[8];
        const int q0 = g->cu_q[i], q1 = g->cu_q[i + 1], k0 = g->cu_k[i], k1 = g->cu_k[i + 1];
        if (q0 == q1) continue;
        for (int h = 0; h < heads; h++) {
            int group = h / (heads / groups);
            parts[h] = composed_head(head_of(wq, q0, q1, h), head_of(wk, k0, k1, group), head_of(wv, k0, k1, group), p.scale,
                                     p.window);
        }
        segments[count++] = op_concat(oracle_other, parts, heads, 1);
    }
    expect(op_concat(oracle_other, segments, count, 0));
    case_assert_close(y, oracle_expected, n * heads * size, s->tolerance * 4, "attention");
}

void oracle_attention(struct ctx *c, const struct setting *s, enum op op)
{
    const int32_t cu[5] = {0, 5, 6, 6, 15}, cu_q[4] = {0, 1, 3, 3}, cu_k[4] = {0, 9, 13, 14};
    const struct segments packed = {4, cu, cu}, cached = {3, cu_q, cu_k};
    (void)op;
    check_attention(c, s, &packed, 0, 4, 2, 8);
    check_attention(c, s, &packed, 0, 3, 3, 5);
    check_attention(c, s, &cached, 0, 6, 1, 8);
    check_attention(c, s, &packed, 3, 4, 2, 8);
    check_attention(c, s, &cached, 4, 2, 2, 6);
}

void oracle_swiglu(struct ctx *c, const struct setting *s, enum op op)
{
    for (int64_t n = 1; n < 40; n += 12) {
        struct array *gate = oracle_operand(c, s, 0, SHAPE_OF(5, n), -20, 20),
                     *up = oracle_operand(c, s, 1, SHAPE_OF(5, n), -2, 2);
        struct array *g = wide(SHAPE_OF(5, n), oracle_x[0]);
        expect(
            op_mul(oracle_other, op_mul(oracle_other, g, op_sigmoid(oracle_other, g)), wide(SHAPE_OF(5, n), oracle_x[1])));
        case_assert_close(op_swiglu(c, gate, up), oracle_expected, 5 * n, s->tolerance, op_name(op));
    }
}

void oracle_cross_entropy(struct ctx *c, const struct setting *s, enum op op)
{
    static struct stored w;
    enum { N = 7, K = 32, V = 50 };
    const int32_t target[N] = {0, 49, 7, -1, 30, 7, 1 << 30}; /* anything goes where the weight is 0 */
    const float weight[N] = {1, 2.5f, 0.25f, 0, 1, 3, 0};
    double logp[N], stats[3], got[N];
    for (int t = 0; t < N_TYPES; t++) {
        struct cross_entropy_result r;
        store(&w, weight_types[t], V, K, 17, false);
        struct array *h = oracle_operand(c, s, 0, SHAPE_OF(N, K), -1, 1),
                     *targets = array_from_host(c, DTYPE_I32, SHAPE_OF(N), target);
        struct array *weights = array_from_host(c, DTYPE_F32, SHAPE_OF(N), weight);
        if (op_linear_cross_entropy(c, h, &w.w, targets, weights, true, &r) != OK) fail_msg("%s", c->message);
        struct array *logits = op_matmul(oracle_other, wide(SHAPE_OF(N, K), oracle_x[0]),
                                         op_transpose(oracle_other, wide(SHAPE_OF(V, K), w.values), NULL));
        int32_t inside[N];
        for (int i = 0; i < N; i++) inside[i] = weight[i] != 0 ? target[i] : 0;
        struct array *picked =
            op_take_along(oracle_other, logits, array_from_host(oracle_other, DTYPE_I32, SHAPE_OF(N), inside));
        array_to_host(op_sub(oracle_other, picked, op_logsumexp(oracle_other, logits, 1, false)), DTYPE_F64, logp);
        double sum[3] = {0, 0, 0};
        for (int i = 0; i < N; i++) {
            sum[0] -= (double)weight[i] * logp[i];
            sum[1] -= weight[i] != 0 ? logp[i] : 0;
            sum[2] += weight[i] != 0;
            if (weight[i] == 0) logp[i] = 0;
        }
        case_assert_close(r.loss, sum, 1, s->tolerance, op_name(op));
        assert_int_equal(r.loss->dtype, s->dtype);
        assert_int_equal(array_to_host(r.stats, DTYPE_F64, stats), OK);
        case_assert_close(r.stats, sum, 3, s->tolerance, "stats");
        assert_true(stats[2] == 5);
        assert_int_equal(array_to_host(r.logprobs, DTYPE_F64, got), OK);
        assert_true(case_relative(got, logp, N) <= 1e-6 && got[3] == 0 && got[6] == 0); /* f32 by contract */
    }
}

/* ---- in place ------------------------------------------------------------------------------------------------------- */

/* Every element, between rows that stay what they were (the guard looks at those), also in dtypes that are only stored. */
void oracle_fill(struct ctx *c, const struct setting *s, enum op op)
{
    static const enum dtype stored[] = {DTYPE_BF16, DTYPE_F16, DTYPE_I64, DTYPE_I32, DTYPE_U8, DTYPE_BOOL};
    double expected[15];
    struct setting rows = *s; /* in place rows take unit last strides only */
    if (s->layout == LAYOUT_FLIPPED) rows.layout = LAYOUT_ROWS;
    for (int i = 0; i < 15; i++) expected[i] = 2.5;
    struct array *x = oracle_operand(c, &rows, 0, SHAPE_OF(3, 5), -1, 1);
    assert_int_equal(op_fill(c, x, 2.5), OK);
    case_assert_close(x, expected, 15, 0, op_name(op));
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        struct array *y = array_full(c, stored[i], SHAPE_OF(4), 1);
        for (int k = 0; k < 4; k++) expected[k] = 1;
        case_assert_close(y, expected, 4, 0, dtype_name(stored[i]));
        assert_int_equal(op_fill(c, y, 0), OK);
        for (int k = 0; k < 4; k++) expected[k] = 0;
        case_assert_close(y, expected, 4, 0, dtype_name(stored[i]));
    }
}

/* Ids in range pass, the first one that is not is named, and where the weight is 0 anything goes. */
void oracle_check_ids(struct ctx *c, const struct setting *s, enum op op)
{
    const int32_t good[4] = {0, 2, 1, 2}, bad[4] = {0, 2, 3, -1};
    const struct check_ids_params p = {.op = "here", .limit = 3};
    const int64_t n = 4;
    struct array *masked = array_zeros(c, DTYPE_F32, 1, &n);
    struct backend *b = array_backend(c);
    (void)s;
    for (int wide = 0; wide < 2; wide++) {
        struct array *ids[2] = {array_from_host(c, DTYPE_I32, 1, &n, good), array_from_host(c, DTYPE_I32, 1, &n, bad)};
        for (int i = 0; wide && i < 2; i++) ids[i] = op_cast(c, ids[i], DTYPE_I64);
        assert_int_equal(b->kernel[op](b, &(struct op_call){.op = op, .in = {ids[0]}, .params = &p}), OK);
        assert_int_equal(b->kernel[op](b, &(struct op_call){.op = op, .in = {ids[1], masked}, .params = &p}), OK);
        assert_int_equal(b->kernel[op](b, &(struct op_call){.op = op, .in = {ids[1]}, .params = &p}), E_SHAPE);
        assert_string_equal(c->message, "here: ids[2] = 3 is not in [0, 3)");
        ctx_clear(c);
    }
}

void oracle_accumulate(struct ctx *c, const struct setting *s, enum op op)
{
    const struct setting rows = {s->dtype, s->layout == LAYOUT_FLIPPED ? LAYOUT_PLAIN : s->layout, 0};
    struct array *to = oracle_operand(c, &rows, 0, SHAPE_OF(5, 37), -1, 1),
                 *from = oracle_operand(c, s, 1, SHAPE_OF(5, 37), -1, 1);
    for (int i = 0; i < 185; i++) oracle_expected[i] = oracle_x[0][i] + oracle_x[1][i];
    assert_int_equal(op_accumulate(c, to, from), OK);
    case_assert_close(to, oracle_expected, 185, s->tolerance, op_name(op));
    case_assert_close(from, oracle_x[1], 185, 0, "source");
}

void oracle_sum_squares(struct ctx *c, const struct setting *s, enum op op)
{
    double sum = 0;
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(9, 113), -1, 1);
    for (int i = 0; i < 9 * 113; i++) sum += oracle_x[0][i] * oracle_x[0][i];
    struct array *out = array_zeros(c, DTYPE_F64, 0, NULL);
    assert_int_equal(op_sum_squares(c, a, out), OK);
    double got = array_item(out);
    if (!(fabs(got - sum) <= 1e-12 * sum))
        fail_msg("%s: %.17g, expected %.17g", op_name(op), got, sum); /* f64 even for f32 */
}

/* With a guard a gradient of norm 3 is scaled to 2, and a sum that is not finite stops this update and the next. */
static void check_guard(struct ctx *c, struct array **a, const struct setting *s, double *p, double *m, double *v)
{
    enum { N = 37 };
    const double sums[] = {9, INFINITY, 1};
    const struct adamw_params q = {.lr = 0.01,
                                   .beta1 = 0.9,
                                   .beta2 = 0.99,
                                   .eps = 1e-8,
                                   .correction1 = 1,
                                   .correction2 = 1,
                                   .grad_scale = 1,
                                   .threshold = 2};
    struct adamw_guard guard = {.stopped = array_zeros(c, DTYPE_F64, 0, NULL)};
    for (int i = 0; i < N; i++) {
        double g = 2.0 / 3.0 * oracle_x[1][i];
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.99 * v[i] + 0.01 * g * g;
        p[i] -= 0.01 * m[i] / (sqrt(v[i]) + 1e-8);
    }
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        guard.sum_squares = array_scalar(c, DTYPE_F64, sums[i]);
        assert_int_equal(op_adamw(c, a[0], a[1], a[2], a[3], &guard, &q), OK);
        assert_true((array_item(guard.stopped) != 0) == (i > 0));
        case_assert_close(a[0], p, N, s->tolerance, "guarded parameter");
        case_assert_close(a[2], m, N, s->tolerance, "guarded first moment");
        case_assert_close(a[3], v, N, s->tolerance, "guarded second moment");
    }
}

/* Two steps of Loshchilov & Hutter's AdamW, written out. */
void oracle_adamw(struct ctx *c, const struct setting *s, enum op op)
{
    const struct setting plain = {s->dtype, LAYOUT_PLAIN, 0};
    enum { N = 37 };
    double p[N], m[N] = {0}, v[N] = {0};
    struct array *param = oracle_operand(c, &plain, 0, SHAPE_OF(N), -1, 1),
                 *grad = oracle_operand(c, &plain, 1, SHAPE_OF(N), -1, 1);
    struct array *first = array_zeros(c, s->dtype, SHAPE_OF(N)), *second = array_zeros(c, s->dtype, SHAPE_OF(N));
    memcpy(p, oracle_x[0], sizeof p);
    for (int step = 1; step <= 2; step++) {
        const struct adamw_params q = {.lr = 0.01,
                                       .beta1 = 0.9,
                                       .beta2 = 0.99,
                                       .eps = 1e-8,
                                       .weight_decay = 0.1,
                                       .correction1 = 1 - pow(0.9, step),
                                       .correction2 = 1 - pow(0.99, step),
                                       .grad_scale = 0.5};
        assert_int_equal(op_adamw(c, param, grad, first, second, NULL, &q), OK);
        for (int i = 0; i < N; i++) {
            double g = 0.5 * oracle_x[1][i];
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.99 * v[i] + 0.01 * g * g;
            p[i] -= 0.01 * (m[i] / q.correction1 / (sqrt(v[i] / q.correction2) + 1e-8) + 0.1 * p[i]);
        }
        case_assert_close(param, p, N, s->tolerance, op_name(op));
        case_assert_close(first, m, N, s->tolerance, "first moment");
        case_assert_close(second, v, N, s->tolerance, "second moment");
    }
    check_guard(c, (struct array *[]){param, grad, first, second}, s, p, m, v);
}
