/* Every differentiable row against central differences.
 *
 * Each case is a function of some inputs. Its loss is the sum of its result times fixed numbers. For each input the gradient
 * from the tape, on the reference backend in f64 and for every memory layout of the inputs, must agree with central
 * differences of the loss; the f32 gradients of the reference and of the tuned backend must agree with the f64 ones.
 *
 * What a case covers is read off the tape, not declared: at the end every row of ops.def with derivatives must have been
 * recorded with each of its differentiable inputs wanting a gradient, and every backward row must have run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array/env.h"
#include "backend/backend_open.h"
#include "support_case.h"
#include "support_guard.h"

enum { CASE_INPUTS = 9, CASE_ELEMENTS = 512 };

struct input {
    int ndim;
    int64_t shape[4];
    double lo, hi; /* range of the numbers */
};

struct gradient_case {
    const char *name;
    int n_in;
    struct input in[CASE_INPUTS];
    struct array *(*f)(struct ctx *c, struct array **in);
};

static uint32_t recorded[OP_COUNT]; /* bit i: input i was recorded as wanting a gradient */
static int ran[OP_COUNT];

/* ---- the functions ------------------------------------------------------------------------------------------------ */

static struct array *numbers(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, uint64_t seed, double lo,
                             double hi)
{
    double values[CASE_ELEMENTS];
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    assert_true(n <= CASE_ELEMENTS);
    case_numbers(values, n, seed, lo, hi);
    return case_array(c, dtype, ndim, shape, values, LAYOUT_PLAIN);
}

#define UNARY(name)                                                                                                         \
    static struct array *f_##name(struct ctx *c, struct array **in)                                                         \
    {                                                                                                                       \
        return op_##name(c, in[0]);                                                                                         \
    }
#define BINARY(name)                                                                                                        \
    static struct array *f_##name(struct ctx *c, struct array **in)                                                         \
    {                                                                                                                       \
        return op_##name(c, in[0], in[1]);                                                                                  \
    }
UNARY(neg)
UNARY(exp)
UNARY(log)
UNARY(sqrt)
UNARY(sigmoid)
BINARY(add)
BINARY(sub)
BINARY(mul)
BINARY(div)
BINARY(maximum)
BINARY(matmul)
BINARY(swiglu)

static struct array *f_square(struct ctx *c, struct array **in)
{
    return op_mul(c, in[0], in[0]); /* one array as both operands: the second gradient must not overwrite the first */
}

static struct array *f_twice(struct ctx *c, struct array **in)
{
    struct array *y = op_add(c, in[0], in[0]); /* the same cotangent array goes to one slot twice, and on to others */
    return op_add(c, op_mul(c, y, in[0]), y);
}

static struct array *f_where(struct ctx *c, struct array **in)
{
    return op_where(c, op_less(c, in[0], in[1]), in[0], op_mul(c, in[1], in[2]));
}

static struct array *f_cast(struct ctx *c, struct array **in)
{
    enum dtype back = in[0]->dtype; /* through f64 and back; the product keeps the other path alive */
    return op_mul(c, op_cast(c, op_cast(c, in[0], back == DTYPE_F64 ? DTYPE_F32 : DTYPE_F64), back), in[1]);
}

static struct array *f_copy(struct ctx *c, struct array **in)
{
    return op_contiguous(c, op_transpose(c, in[0], NULL));
}

static struct array *f_sum_all(struct ctx *c, struct array **in)
{
    return op_sum(c, in[0], NULL, -1, false);
}

static struct array *f_sum_axes(struct ctx *c, struct array **in)
{
    const int axes[2] = {-1, 0};
    return op_sum(c, in[0], axes, 2, false);
}

static struct array *f_mean_keep(struct ctx *c, struct array **in)
{
    const int axis = 1;
    return op_mul(c, in[0], op_mean(c, in[0], &axis, 1, true));
}

static struct array *f_max(struct ctx *c, struct array **in)
{
    const int axes[2] = {0, 2};
    return op_max(c, in[0], axes, 2, false);
}

static struct array *f_softmax_last(struct ctx *c, struct array **in)
{
    return op_softmax(c, in[0], -1);
}

static struct array *f_softmax_first(struct ctx *c, struct array **in)
{
    return op_softmax(c, in[0], 0);
}

static struct array *f_logsumexp(struct ctx *c, struct array **in)
{
    return op_add(c, op_logsumexp(c, in[0], 1, false), op_logsumexp(c, op_transpose(c, in[0], NULL), 0, false));
}

static struct array *f_reshape(struct ctx *c, struct array **in)
{
    const int64_t shape[3] = {2, -1, 3};
    return op_mul(c, op_reshape(c, in[0], 3, shape), in[1]);
}

static struct array *f_transpose(struct ctx *c, struct array **in)
{
    const int perm[3] = {2, 0, 1};
    return op_transpose(c, in[0], perm);
}

static struct array *f_broadcast(struct ctx *c, struct array **in)
{
    const int64_t shape[3] = {2, 3, 4};
    return op_broadcast(c, in[0], 3, shape);
}

/* Overlapping slices of one array: gradients of parts meet in one buffer. */
static struct array *f_slices(struct ctx *c, struct array **in)
{
    const int64_t start[2] = {1, 0}, stop[2] = {4, 5}, step[2] = {2, 2};
    struct array *strided = op_slice(c, in[0], start, stop, step);                        /* (2, 3) */
    struct array *left = op_columns(c, in[0], 0, 3), *right = op_columns(c, in[0], 2, 3); /* (4, 3) */
    return op_add(c, op_mul(c, left, right), op_sum(c, strided, NULL, -1, false));
}

static struct array *f_concat(struct ctx *c, struct array **in)
{
    return op_concat(c, in, 8, 1);
}

static struct array *f_concat_many(struct ctx *c, struct array **in)
{
    struct array *parts[11] = {in[0], in[1], in[0], in[1], in[0], in[1], in[0], in[1], in[0], in[1], in[0]};
    return op_concat(c, parts, 11, 0);
}

static struct array *ids(struct ctx *c, int64_t n, int32_t limit)
{
    int32_t id[16];
    for (int64_t i = 0; i < n; i++) id[i] = (int32_t)(i * i + 1) % limit; /* repeats */
    return array_from_host(c, DTYPE_I32, 1, &n, id);
}

static struct array *f_take(struct ctx *c, struct array **in)
{
    return op_take(c, in[0], ids(c, 6, 4));
}

static struct array *f_take_along(struct ctx *c, struct array **in)
{
    return op_take_along(c, in[0], ids(c, 5, 3));
}

static struct array *f_rms_norm(struct ctx *c, struct array **in)
{
    return op_rms_norm(c, in[0], in[1], 1e-3);
}

/* Both results used, so that both cotangents meet. */
static struct array *f_rms_norm_add(struct ctx *c, struct array **in)
{
    struct array *sum, *y = op_rms_norm_add(c, in[0], in[1], in[2], 1e-3, &sum);
    return op_sub(c, y, op_mul(c, sum, sum));
}

static struct array *f_rms_norm_sum_only(struct ctx *c, struct array **in)
{
    struct array *sum, *y = op_rms_norm_add(c, in[0], in[1], in[2], 1e-3, &sum);
    return y ? op_mul(c, sum, sum) : NULL;
}

/* A frozen gain: the tuned kernel of that case. */
static struct array *f_rms_norm_frozen(struct ctx *c, struct array **in)
{
    const int64_t shape[1] = {5};
    return op_rms_norm(c, in[0], numbers(c, in[0]->dtype, 1, shape, 77, 0.5, 1.5), 1e-3);
}

/* Weights of fused rows are frozen, so static numbers will do. */
static const struct weight *frozen(int i, int64_t rows, int64_t cols)
{
    static float data[4][CASE_ELEMENTS];
    static struct weight w[4];
    static double values[CASE_ELEMENTS];
    assert_true(rows * cols <= CASE_ELEMENTS);
    case_numbers(values, rows * cols, 100 + (uint64_t)i, -1, 1);
    for (int64_t k = 0; k < rows * cols; k++) data[i][k] = (float)values[k];
    w[i] = (struct weight){.name = "frozen", .type = TENSOR_F32, .rows = rows, .cols = cols, .data = data[i]};
    w[i].row_bytes = (size_t)cols * sizeof(float);
    return &w[i];
}

static struct weight adapted(const struct weight *w, struct lora_slot *slot, struct array *a, struct array *b, uint32_t id)
{
    struct weight result = *w;
    *slot = (struct lora_slot){.a = a, .b = b, .scale = 1.5f + (float)id, .dropout = 0.3f, .id = id};
    result.lora = slot;
    return result;
}

/* The params of a recorded row point to its weights, so they must outlive the call. */
static struct weight shared_weight[3];
static struct lora_slot shared_slot[3];

/* in: x, A_0, B_0, A_1, B_1, A_2, B_2; three weights of 3, 2 and 4 rows. */
static struct array *three_linears(struct ctx *c, struct array **in, bool dropout, bool use_middle)
{
    const int64_t rows[3] = {3, 2, 4};
    const struct weight *w[3];
    struct array *y[3];
    for (int i = 0; i < 3; i++) {
        shared_weight[i] = adapted(frozen(i, rows[i], 5), &shared_slot[i], in[1 + 2 * i], in[2 + 2 * i], (uint32_t)i);
        w[i] = &shared_weight[i];
    }
    if (op_linear(c, in[0], w, 3, dropout, y) != OK) return NULL;
    if (use_middle) return op_concat(c, y, 3, 1);
    struct array *parts[2] = {op_mul(c, y[0], y[0]), y[2]}; /* y[1] gets no cotangent */
    return op_concat(c, parts, 2, 1);
}

static struct array *f_linear(struct ctx *c, struct array **in)
{
    return three_linears(c, in, false, true);
}

static struct array *f_linear_unused(struct ctx *c, struct array **in)
{
    return three_linears(c, in, false, false);
}

static struct array *f_linear_dropout(struct ctx *c, struct array **in)
{
    return three_linears(c, in, true, true);
}

/* One adapter for both weights: the leaf gets two gradients from one call. */
static struct array *f_linear_shared(struct ctx *c, struct array **in)
{
    const struct weight *w[2];
    struct array *y[2];
    for (int i = 0; i < 2; i++) {
        shared_weight[i] = adapted(frozen(i, 3, 5), &shared_slot[i], in[1], in[2], (uint32_t)i);
        w[i] = &shared_weight[i];
    }
    return op_linear(c, in[0], w, 2, false, y) == OK ? op_mul(c, y[0], y[1]) : NULL;
}

static struct array *f_linear_frozen(struct ctx *c, struct array **in)
{
    struct array *y;
    const struct weight *w = frozen(0, 7, 5);
    return op_linear(c, in[0], &w, 1, NULL, &y) == OK ? y : NULL;
}

/* Gate and up of one linear: their gradients are written straight into its dy. The second use of `gate` adds to a gradient
 * that lies there already. */
static struct array *f_linear_swiglu(struct ctx *c, struct array **in)
{
    const struct weight *w[2];
    struct array *y[2];
    for (int i = 0; i < 2; i++) {
        shared_weight[i] = adapted(frozen(i, 4, 5), &shared_slot[i], in[1 + 2 * i], in[2 + 2 * i], (uint32_t)i);
        w[i] = &shared_weight[i];
    }
    if (op_linear(c, in[0], w, 2, false, y) != OK) return NULL;
    struct array *first = op_swiglu(c, y[0], y[1]), *second = op_swiglu(c, y[0], y[0]); /* backward meets `second` first */
    return op_add(c, first, second);
}

static struct array *rotated(struct ctx *c, struct array *x, int64_t heads, int64_t size)
{
    const int64_t n = x->shape[0], half = size / 2, shape[3] = {n, heads, size};
    int32_t position[16];
    for (int64_t i = 0; i < n; i++) position[i] = (int32_t)(3 * i + 1);
    struct array *positions = array_from_host(c, DTYPE_I32, 1, &n, position);
    struct array *inv_freq = numbers(c, DTYPE_F32, 1, &half, 9, 0.01, 1);
    return op_rope(c, op_reshape(c, x, 3, shape), positions, inv_freq, 1.25);
}

static struct array *f_rope(struct ctx *c, struct array **in)
{
    return rotated(c, in[0], 2, 6);
}

/* What attention does with the q and k of one linear: reshape, rope. */
static struct array *f_linear_rope(struct ctx *c, struct array **in)
{
    const struct weight *w[2] = {frozen(0, 8, 5), frozen(1, 4, 5)};
    struct array *y[2], *q = NULL, *k = NULL;
    const int64_t flat_q[2] = {-1, 8}, flat_k[2] = {-1, 4};
    if (op_linear(c, in[0], w, 2, false, y) != OK) return NULL;
    q = op_reshape(c, rotated(c, y[0], 2, 4), 2, flat_q);
    k = op_reshape(c, rotated(c, y[1], 1, 4), 2, flat_k);
    struct array *parts[2] = {q, op_mul(c, k, k)};
    return op_concat(c, parts, 2, 1);
}

static struct array *attend(struct ctx *c, struct array **in, int window)
{
    static const int32_t cu[4] = {0, 3, 4, 7};
    const struct attention_params p = {.scale = 0.7, .window = window};
    struct array *offsets = array_from_host(c, DTYPE_I32, 1, (int64_t[]){4}, cu);
    return op_attention(c, in[0], in[1], in[2], offsets, offsets, &p);
}

static struct array *f_attention(struct ctx *c, struct array **in)
{
    return attend(c, in, 0);
}

static struct array *f_attention_window(struct ctx *c, struct array **in)
{
    return attend(c, in, 2);
}

/* Fewer queries than keys (decoding with a cache), and keys behind the last segment that nobody may see. */
static struct array *f_attention_cache(struct ctx *c, struct array **in)
{
    static const int32_t cu_q[3] = {0, 2, 3}, cu_k[3] = {0, 5, 6};
    const struct attention_params p = {.scale = 0.7};
    return op_attention(c, in[0], in[1], in[2], array_from_host(c, DTYPE_I32, 1, (int64_t[]){3}, cu_q),
                        array_from_host(c, DTYPE_I32, 1, (int64_t[]){3}, cu_k), &p);
}

static struct array *f_cross_entropy(struct ctx *c, struct array **in)
{
    const float weight[5] = {1, 0, 2.5f, 0.5f, 1};
    const int64_t n = 5;
    struct cross_entropy_result r;
    struct array *weights = array_from_host(c, DTYPE_F32, 1, &n, weight);
    if (op_linear_cross_entropy(c, in[0], frozen(0, 11, 6), ids(c, 5, 11), weights, false, &r) != OK) return NULL;
    return op_mul(c, r.loss, in[1]);
}

/* ---- the cases ---------------------------------------------------------------------------------------------------- */

/* clang-format off */
/* Inputs with numbers in [-1, 1). */
#define S0          {0, {0}, -1, 1}
#define S1(a)       {1, {a}, -1, 1}
#define S2(a, b)    {2, {a, b}, -1, 1}
#define S3(a, b, c) {3, {a, b, c}, -1, 1}
static const struct gradient_case cases[] = {
    {"neg", 1, {S2(3, 5)}, f_neg},
    {"exp", 1, {S2(3, 5)}, f_exp},
    {"log", 1, {{2, {3, 5}, 0.5, 2}}, f_log},
    {"sqrt", 1, {{2, {3, 5}, 0.5, 2}}, f_sqrt},
    {"sigmoid", 1, {{2, {3, 5}, -3, 3}}, f_sigmoid},
    {"add", 2, {S2(3, 5), S2(3, 5)}, f_add},
    {"add broadcast row", 2, {S2(3, 5), S1(5)}, f_add},
    {"sub broadcast column", 2, {S2(3, 1), S2(3, 5)}, f_sub},
    {"mul both broadcast", 2, {S2(3, 1), S2(1, 5)}, f_mul},
    {"mul scalar", 2, {S0, S3(2, 3, 3)}, f_mul},
    {"div", 2, {S2(3, 5), {2, {3, 5}, 0.5, 2}}, f_div},
    {"div broadcast", 2, {S3(2, 1, 5), {2, {3, 1}, 0.5, 2}}, f_div},
    {"maximum", 2, {S2(3, 5), S2(3, 5)}, f_maximum},
    {"square", 1, {S2(3, 5)}, f_square},
    {"twice", 1, {S2(3, 5)}, f_twice},
    {"where", 3, {S2(3, 5), S2(3, 5), S1(1)}, f_where},
    {"cast", 2, {S2(3, 5), S2(3, 5)}, f_cast},
    {"copy", 1, {S2(3, 5)}, f_copy},
    {"sum all", 1, {S3(2, 3, 4)}, f_sum_all},
    {"sum axes", 1, {S3(2, 3, 4)}, f_sum_axes},
    {"mean keep", 1, {S3(2, 3, 4)}, f_mean_keep},
    {"max", 1, {S3(2, 3, 4)}, f_max},
    {"softmax last", 1, {{3, {2, 3, 5}, -3, 3}}, f_softmax_last},
    {"softmax first", 1, {{2, {7, 3}, -3, 3}}, f_softmax_first},
    {"logsumexp", 1, {{2, {5, 7}, -3, 3}}, f_logsumexp},
    {"reshape", 2, {S2(3, 4), S3(2, 2, 3)}, f_reshape},
    {"transpose", 1, {S3(2, 3, 4)}, f_transpose},
    {"broadcast", 1, {S2(3, 1)}, f_broadcast},
    {"slices", 1, {S2(4, 5)}, f_slices},
    {"concat", 8, {S2(3, 1), S2(3, 2), S2(3, 1), S2(3, 3), S2(3, 1), S2(3, 2), S2(3, 1), S2(3, 2)},
     f_concat},
    {"concat many", 2, {S2(1, 3), S2(2, 3)}, f_concat_many},
    {"take", 1, {S2(4, 3)}, f_take},
    {"take along", 1, {S2(5, 3)}, f_take_along},
    {"matmul", 2, {S2(3, 5), S2(5, 4)}, f_matmul},
    {"matmul batched", 2, {S3(2, 3, 5), S3(2, 5, 4)}, f_matmul},
    {"matmul broadcast", 2, {S3(2, 3, 5), S2(5, 4)}, f_matmul},
    {"matmul vectors", 2, {S1(5), S1(5)}, f_matmul},
    {"matmul matrix vector", 2, {S3(2, 3, 5), S1(5)}, f_matmul},
    {"matmul vector matrix", 2, {S1(5), S2(5, 3)}, f_matmul},
    {"rms_norm", 2, {S2(3, 5), S1(5)}, f_rms_norm},
    {"rms_norm heads", 2, {S3(3, 2, 7), S1(7)}, f_rms_norm},
    {"rms_norm frozen", 1, {S2(3, 5)}, f_rms_norm_frozen},
    {"rms_norm add", 3, {S2(3, 5), S2(3, 5), S1(5)}, f_rms_norm_add},
    {"rms_norm sum only", 3, {S2(3, 5), S2(3, 5), S1(5)}, f_rms_norm_sum_only},
    {"linear", 7, {S2(7, 5), S2(2, 5), S2(3, 2), S2(1, 5), S2(2, 1), S2(3, 5), S2(4, 3)}, f_linear},
    {"linear unused", 7, {S2(7, 5), S2(2, 5), S2(3, 2), S2(1, 5), S2(2, 1), S2(3, 5), S2(4, 3)},
     f_linear_unused},
    {"linear dropout", 7, {S2(7, 5), S2(2, 5), S2(3, 2), S2(1, 5), S2(2, 1), S2(3, 5), S2(4, 3)},
     f_linear_dropout},
    {"linear shared adapter", 3, {S2(7, 5), S2(2, 5), S2(3, 2)}, f_linear_shared},
    {"linear frozen", 1, {S2(7, 5)}, f_linear_frozen},
    {"linear swiglu", 5, {S2(7, 5), S2(2, 5), S2(4, 2), S2(1, 5), S2(4, 1)}, f_linear_swiglu},
    {"linear rope", 1, {S2(7, 5)}, f_linear_rope},
    {"rope", 1, {S2(5, 12)}, f_rope},
    {"attention", 3, {S3(7, 4, 6), S3(7, 2, 6), S3(7, 2, 6)}, f_attention},
    {"attention window", 3, {S3(7, 2, 4), S3(7, 2, 4), S3(7, 2, 4)}, f_attention_window},
    {"attention cache", 3, {S3(3, 2, 4), S3(8, 1, 4), S3(8, 1, 4)}, f_attention_cache},
    {"swiglu", 2, {{2, {3, 5}, -3, 3}, S2(3, 5)}, f_swiglu},
    {"linear_cross_entropy", 2, {S2(5, 6), S0}, f_cross_entropy},
};
/* clang-format on */

/* ---- the check ---------------------------------------------------------------------------------------------------- */

struct numbers {
    int64_t n[CASE_INPUTS];
    double v[CASE_INPUTS][CASE_ELEMENTS];
};

static void draw(const struct gradient_case *k, struct numbers *x)
{
    for (int i = 0; i < k->n_in; i++) {
        const struct input *in = &k->in[i];
        x->n[i] = 1;
        for (int d = 0; d < in->ndim; d++) x->n[i] *= in->shape[d];
        assert_true(x->n[i] <= CASE_ELEMENTS);
        case_numbers(x->v[i], x->n[i], (uint64_t)(i + 1), in->lo, in->hi);
    }
}

static void make_inputs(struct ctx *c, const struct gradient_case *k, const struct numbers *x, enum dtype dtype,
                        enum layout layout, struct array **in)
{
    for (int i = 0; i < k->n_in; i++) in[i] = case_array(c, dtype, k->in[i].ndim, k->in[i].shape, x->v[i], layout);
}

/* sum(f(in) * fixed numbers) */
static struct array *loss_of(struct ctx *c, const struct gradient_case *k, struct array **in)
{
    struct array *y = k->f(c, in);
    if (!y) fail_msg("%s: %s", k->name, c->message);
    struct array *loss = op_sum(c, op_mul(c, y, numbers(c, y->dtype, y->ndim, y->shape, 4711, 0.5, 1.5)), NULL, -1, false);
    if (!loss) fail_msg("%s: %s", k->name, c->message);
    return loss;
}

static double loss_value(struct ctx *c, const struct gradient_case *k, const struct numbers *x)
{
    struct array *in[CASE_INPUTS];
    int mark = scope_open(c);
    make_inputs(c, k, x, DTYPE_F64, LAYOUT_PLAIN, in);
    double value = array_item(loss_of(c, k, in));
    scope_close(c, mark);
    return value;
}

static void differences(const struct gradient_case *k, struct numbers *x, struct numbers *grad)
{
    const double h = 1e-5;
    struct ctx *c = case_open("cpu-reference");
    for (int i = 0; i < k->n_in; i++) {
        grad->n[i] = x->n[i];
        for (int64_t e = 0; e < x->n[i]; e++) {
            double old = x->v[i][e];
            x->v[i][e] = old + h;
            double up = loss_value(c, k, x);
            x->v[i][e] = old - h;
            grad->v[i][e] = (up - loss_value(c, k, x)) / (2 * h);
            x->v[i][e] = old;
        }
    }
    case_close(c);
}

static void note_recorded(struct ctx *c)
{
    const struct pointers *nodes = &c->array_env->tape.nodes;
    for (size_t i = 0; i < nodes->n; i++) {
        const struct node *n = nodes->at[i];
        for (int j = 0; n->kind < OP_COUNT && j < n->n_in; j++) {
            if (n->in[j].node) recorded[n->kind] |= 1u << j;
        }
    }
}

/* Gradients from the tape; every other input has a buffer of its own with numbers in it, to which backward must add. */
static void tape_gradients(const char *backend, const struct gradient_case *k, const struct numbers *x, enum dtype dtype,
                           enum layout layout, struct numbers *grad)
{
    struct ctx *c = case_open(backend);
    struct array *in[CASE_INPUTS], *buffer[CASE_INPUTS] = {0};
    make_inputs(c, k, x, dtype, layout, in);
    assert_int_equal(tape_begin(c), OK);
    for (int i = 0; i < k->n_in; i++) {
        if (i % 2) buffer[i] = array_full(c, dtype, in[i]->ndim, in[i]->shape, 3);
        assert_int_equal(tape_watch(c, in[i], buffer[i]), OK);
    }
    int mark = scope_open(c); /* nothing but the tape may keep what backward needs */
    struct array *loss = scope_close_keep(c, mark, loss_of(c, k, in));
    note_recorded(c);
    if (tape_backward(c, loss, 1) != OK) fail_msg("%s: %s", k->name, c->message);
    for (int i = 0; i < k->n_in; i++) {
        struct array *g = tape_grad(c, in[i]);
        assert_true(!buffer[i] || g == buffer[i]);
        memset(grad->v[i], 0, sizeof grad->v[i]);
        if (g) assert_int_equal(array_to_host(g, DTYPE_F64, grad->v[i]), OK); /* none: the input plays no part */
        for (int64_t e = 0; i % 2 && e < x->n[i]; e++) grad->v[i][e] -= 3;
    }
    tape_end(c);
    for (int op = 0; op < OP_COUNT; op++) ran[op] += guard_count(op);
    case_close(c);
}

static void compare(const struct gradient_case *k, const struct numbers *got, const struct numbers *expected,
                    double tolerance, const char *what)
{
    for (int i = 0; i < k->n_in; i++) {
        double error = case_relative(got->v[i], expected->v[i], expected->n[i]);
        if (!(error <= tolerance)) fail_msg("%s, input %d, %s: relative error %g > %g", k->name, i, what, error, tolerance);
    }
}

static void test_case(void **state)
{
    const struct gradient_case *k = *state;
    static struct numbers x, numeric, f64, f32;
    char what[64];
    draw(k, &x);
    differences(k, &x, &numeric);
    for (int i = 0; i < k->n_in; i++) f64.n[i] = x.n[i];
    for (int layout = LAYOUT_COUNT - 1; layout >= 0; layout--) { /* ends with the plain layout in f64 */
        snprintf(what, sizeof what, "layout %d", layout);
        tape_gradients("cpu-reference", k, &x, DTYPE_F64, layout, &f64);
        compare(k, &f64, &numeric, strcmp(k->name, "cast") == 0 ? 1e-2 : 1e-7, what);
    }
    for (int layout = 0; layout < LAYOUT_COUNT; layout++) {
        snprintf(what, sizeof what, "reference f32, layout %d", layout);
        tape_gradients("cpu-reference", k, &x, DTYPE_F32, layout, &f32);
        compare(k, &f32, &f64, 2e-6, what);
        for (int i = 0; case_tuned(i); i++) {
            snprintf(what, sizeof what, "%s f32, layout %d", case_tuned(i), layout);
            tape_gradients(case_tuned(i), k, &x, DTYPE_F32, layout, &f32);
            compare(k, &f32, &f64, 2e-6, what);
        }
    }
}

static bool is_backward_row(enum op op)
{
    const char *name = op_name(op);
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, "_bwd") == 0;
}

/* Runs last. */
static void test_every_row_is_covered(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        const struct op_info *info = op_info(op);
        if ((recorded[op] & info->diff) != info->diff) {
            fail_msg("%s: no gradient case for inputs %#x of %#x", info->name, info->diff & ~recorded[op], info->diff);
        }
        if (info->diff) assert_non_null(vjp_find(op));
        if (is_backward_row(op) && ran[op] == 0) fail_msg("%s never ran", info->name);
    }
}

int main(void)
{
    enum { N = sizeof cases / sizeof *cases };
    struct CMUnitTest tests[N + 1];
    for (int i = 0; i < N; i++) {
        tests[i] = (struct CMUnitTest){cases[i].name, test_case, NULL, NULL, (void *)&cases[i]};
    }
    tests[N] = (struct CMUnitTest)cmocka_unit_test(test_every_row_is_covered);
    return cmocka_run_group_tests_name("op gradients", tests, NULL, NULL);
}
