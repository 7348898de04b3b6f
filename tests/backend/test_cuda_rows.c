/* Rows on a card (or its emulator) against the CPU's in f32, where model code does not take them: views with odd offsets
 * and strides, every dtype, repeated ids, results written into parts of other arrays. Numbers are exact in bf16, so that
 * both sides begin with the same. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "array/backend.h"
#include "array/op.h"
#include "array/tape.h"
#include "base/rng.h"
#include "support_blocks.h"
#include "support_cuda_card.h"

enum { MOST = 4096 };

/* What a case leaves for comparison; its own status must be OK. */
typedef struct array *(*row_case)(struct ctx *c);

static struct ctx *open_ctx(const char *device)
{
    struct ctx *c = ctx_new(NULL);
    assert_non_null(c);
    if (array_env_new(c, backend_open(c, device)) != OK) fail_msg("%s: %s", device, c->message);
    return c;
}

static void close_ctx(struct ctx *c)
{
    if (!ctx_ok(c)) fail_msg("%s", c->message);
    array_env_free(c);
    ctx_free(c);
}

static int64_t run(const char *device, row_case f, double *out)
{
    struct ctx *c = open_ctx(device);
    int mark = scope_open(c);
    struct array *y = f(c);
    if (!y) fail_msg("%s: %s", device, c->message);
    int64_t n = array_size(y);
    assert_true(n <= MOST);
    assert_int_equal(array_to_host(y, DTYPE_F64, out), OK);
    scope_close(c, mark);
    close_ctx(c);
    return n;
}

static void compare(row_case f, double tolerance, const char *what)
{
    static double cpu[MOST], card[MOST];
    int64_t n = run("cpu", f, cpu);
    assert_int_equal(run("cuda", f, card), n);
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += (card[i] - cpu[i]) * (card[i] - cpu[i]);
        size += cpu[i] * cpu[i];
    }
    assert_true(size > 0);
    double error = sqrt(difference / size);
    if (!(error <= tolerance)) fail_msg("%s: error %g", what, error);
}

/* Random numbers that bf16 holds. */
static struct array *numbers(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, uint64_t seed)
{
    static float values[MOST];
    struct rng r;
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    assert_true(n <= MOST);
    rng_init(&r, seed, RNG_TEST, 0);
    for (int64_t i = 0; i < n; i++) values[i] = bf16_to_f32(f32_to_bf16((float)(2 * rng_uniform(&r) - 1)));
    return op_cast(c, array_from_host(c, DTYPE_F32, ndim, shape, values), dtype);
}

static struct array *activations(struct ctx *c, int ndim, const int64_t *shape, uint64_t seed)
{
    return numbers(c, array_backend(c)->activations, ndim, shape, seed);
}

#define SHAPE(...)                                                                                                          \
    (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[])                                      \
    {                                                                                                                       \
        __VA_ARGS__                                                                                                         \
    }

/* (rows, cols) out of a wider and higher array, at an odd place. */
static struct array *odd_view(struct ctx *c, struct array *a, int64_t rows, int64_t cols)
{
    return op_slice(c, a, (const int64_t[]){1, 3}, (const int64_t[]){1 + rows, 3 + cols}, NULL);
}

/* ---- fused rows on views --------------------------------------------------------------------------------------------- */

static struct array *norm_of_a_view(struct ctx *c)
{
    struct array *x = odd_view(c, activations(c, SHAPE(9, 45), 1), 7, 40), *sum;
    struct array *r = odd_view(c, activations(c, SHAPE(9, 45), 2), 7, 40);
    return op_rms_norm_add(c, x, r, numbers(c, DTYPE_F32, SHAPE(40), 3), 1e-5, &sum);
}

static struct array *swiglu_of_views(struct ctx *c)
{
    return op_swiglu(c, odd_view(c, activations(c, SHAPE(9, 45), 1), 7, 40),
                     odd_view(c, activations(c, SHAPE(9, 52), 2), 7, 40));
}

static struct array *heads(struct ctx *c, uint64_t seed, int64_t n)
{
    struct array *a = activations(c, SHAPE(12, n * 20), seed); /* heads of 16, 20 apart, from the third token on */
    return a ? array_view(a, 3, (const int64_t[]){9, n, 16}, (const int64_t[]){n * 20, 20, 1}, 2 * n * 20 + 1) : NULL;
}

static struct array *rope_of_a_view(struct ctx *c)
{
    const int32_t positions[9] = {0, 1, 2, 3, 4, 0, 1, 2, 7};
    struct array *at = array_from_host(c, DTYPE_I32, SHAPE(9), positions);
    return op_rope(c, heads(c, 5, 3), at, numbers(c, DTYPE_F32, SHAPE(8), 6), 1.25);
}

static struct array *attention_of_views(struct ctx *c)
{
    const int32_t offsets[3] = {0, 4, 9};
    struct array *cu = array_from_host(c, DTYPE_I32, SHAPE(3), offsets);
    const struct attention_params p = {.scale = 0.25};
    return op_attention(c, heads(c, 7, 4), heads(c, 8, 2), heads(c, 9, 2), cu, cu, &p);
}

static void fused_rows_take_views(void **state)
{
    (void)state;
    compare(norm_of_a_view, 6e-3, "rms_norm");
    compare(swiglu_of_views, 6e-3, "swiglu");
    compare(rope_of_a_view, 6e-3, "rope");
    compare(attention_of_views, 1e-2, "attention");
}

/* ---- generic rows ---------------------------------------------------------------------------------------------------- */

static enum dtype tried; /* the dtype of the case that runs */

static struct array *turned(struct ctx *c)
{
    struct array *a =
        op_cast(c, op_mul(c, numbers(c, DTYPE_F32, SHAPE(5, 7, 6), 1), array_scalar(c, DTYPE_F32, 100)), tried);
    return op_contiguous(c, op_transpose(c, a, (const int[]){2, 0, 1}));
}

static struct array *written(struct ctx *c)
{
    struct array *a = numbers(c, tried, SHAPE(9, 45), 1), *b = numbers(c, tried, SHAPE(7, 40), 2);
    if (!b || op_write(c, odd_view(c, a, 7, 40), b) != OK) return NULL;
    return op_fill(c, odd_view(c, a, 2, 3), 0.5) == OK ? a : NULL;
}

static struct array *accumulated(struct ctx *c)
{
    struct array *a = numbers(c, tried, SHAPE(9, 45), 1), *b = numbers(c, tried, SHAPE(7, 40), 2);
    return b && op_accumulate(c, odd_view(c, a, 7, 40), b) == OK ? a : NULL;
}

static struct array *sums_and_products(struct ctx *c)
{
    struct array *a = numbers(c, tried, SHAPE(6, 5), 1), *b = numbers(c, tried, SHAPE(5), 2),
                 *one = array_scalar(c, tried, 3);
    return op_sub(c, op_mul(c, op_add(c, a, b), one), a);
}

static struct array *residual(struct ctx *c)
{
    return op_add(c, odd_view(c, activations(c, SHAPE(9, 45), 1), 7, 37), activations(c, SHAPE(7, 37), 2));
}

static struct array *squares(struct ctx *c)
{
    struct array *out = array_scalar(c, DTYPE_F64, 0);
    return op_sum_squares(c, odd_view(c, numbers(c, DTYPE_F32, SHAPE(9, 45), 1), 7, 40), out) == OK ? out : NULL;
}

static void generic_rows_take_every_dtype(void **state)
{
    (void)state;
    static const enum dtype all[] = {DTYPE_BOOL, DTYPE_U8, DTYPE_I32, DTYPE_I64, DTYPE_BF16, DTYPE_F32, DTYPE_F64};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        tried = all[i];
        compare(turned, 0, dtype_name(tried));
    }
    static const enum dtype real[] = {DTYPE_F32, DTYPE_F64};
    for (size_t i = 0; i < 2; i++) {
        tried = real[i];
        compare(written, 0, "write and fill");
        compare(accumulated, 1e-7, "accumulate");
        compare(sums_and_products, 1e-6, "add, sub and mul");
    }
    compare(residual, 3e-3, "add");
    compare(squares, 1e-12, "sum_squares");
}

/* ---- rows by index --------------------------------------------------------------------------------------------------- */

static struct array *taken(struct ctx *c)
{
    const int32_t ids[6] = {3, 0, 3, 7, 3, 1};
    return op_take(c, odd_view(c, activations(c, SHAPE(10, 45), 1), 8, 40), array_from_host(c, DTYPE_I32, SHAPE(6), ids));
}

/* Rows that are taken three times get the sum of three gradients, others none: through swiglu, which gives each its
 * own. */
static struct array *taken_back(struct ctx *c)
{
    const int32_t ids[6] = {3, 0, 3, 7, 3, 1}, targets[6] = {0, 1, 2, 3, 4, 5};
    static uint16_t table[8 * 40];
    struct array *x = activations(c, SHAPE(8, 40), 1), *gradient = NULL;
    struct cross_entropy_result loss;
    struct weight w;
    struct backend *b = array_backend(c);
    for (int i = 0; i < 8 * 40; i++) table[i] = f32_to_bf16((float)(i * 7 % 11 - 5) / 8);
    const struct weight_source source = {
        .type = TENSOR_BF16, .rows = 8, .cols = 40, .data = table, .row_bytes = 80, .row_map = NULL};
    if (b->weight_prepare(b, &w, "table", &source, WEIGHT_STORED) != OK || tape_begin(c) != OK ||
        tape_watch(c, x, NULL) != OK)
        return NULL;
    struct array *y = op_take(c, x, array_from_host(c, DTYPE_I32, SHAPE(6), ids));
    y = op_swiglu(c, y, activations(c, SHAPE(6, 40), 2));
    op_linear_cross_entropy(c, y, &w, array_from_host(c, DTYPE_I32, SHAPE(6), targets),
                            array_full(c, DTYPE_F32, SHAPE(6), 1), false, &loss);
    if (ctx_ok(c) && tape_backward(c, loss.loss, 0.5) == OK) gradient = op_cast(c, tape_grad(c, x), DTYPE_F32);
    tape_end(c);
    if (b->wait(b, b->mark(b)) == OK) b->weight_release(b, &w);
    return gradient;
}

static void rows_by_index(void **state)
{
    (void)state;
    compare(taken, 0, "take");
    compare(taken_back, 2e-2, "take_bwd");
}

/* ---- compressed weights ---------------------------------------------------------------------------------------------- */

/* What the card has in each of its codes; 72 columns end in a short block of NF4. */
struct coded {
    const char *name;
    enum tensor_type type;
    enum weight_form form;
    int64_t cols;
};
static const struct coded codes[] = {
    {"NF4", TENSOR_F32, WEIGHT_NF4, 72},        {"NF4 of whole blocks", TENSOR_F32, WEIGHT_NF4, 192},
    {"int8", TENSOR_F32, WEIGHT_INT8, 72},      {"Q4_0", TENSOR_Q4_0, WEIGHT_STORED, 96},
    {"Q5_0", TENSOR_Q5_0, WEIGHT_STORED, 96},   {"Q8_0", TENSOR_Q8_0, WEIGHT_STORED, 96},
    {"Q4_K", TENSOR_Q4_K, WEIGHT_STORED, 512},  {"Q5_K", TENSOR_Q5_K, WEIGHT_STORED, 512},
    {"Q6_K", TENSOR_Q6_K, WEIGHT_STORED, 512},  {"Q3_K, which is bf16 there", TENSOR_Q3_K, WEIGHT_STORED, 256},
    {"bf16", TENSOR_BF16, WEIGHT_STORED, 1000},
};
static const struct coded *code; /* of the case that runs */
static int64_t code_rows, code_tokens;
static int code_of_two; /* which of the weights that share an input */

/* code_rows rows whose elements are about 0.25 at most, the same for every device. Owned by the caller's ctx. */
static struct weight *coded_weight(struct ctx *c, uint64_t seed)
{
    static uint8_t stored[2][16 * 4096];
    static struct weight weights[2];
    static int32_t map[2][16];
    struct backend *b = array_backend(c);
    uint8_t *bytes = stored[seed & 1];
    size_t n = 0;
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0);
    assert_true(tensor_bytes(code->type, 2, (const int64_t[]){code_rows, code->cols}, &n) && n <= sizeof stored[0]);
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)rng_below(&r, 256);
    for (size_t i = 0; code->type == TENSOR_F32 && i < n / 4; i++)
        ((float *)(void *)bytes)[i] = (float)(rng_uniform(&r) - 0.5) / 2;
    for (size_t i = 0; code->type == TENSOR_BF16 && i < n / 2; i++)
        ((uint16_t *)(void *)bytes)[i] = f32_to_bf16((float)(rng_uniform(&r) - 0.5) / 2);
    const struct tensor_type_info *info = tensor_type_info(code->type);
    if (info->block > 1) blocks_tame(code->type, bytes, n / (size_t)info->bytes, 0.25f);
    for (int32_t i = 0; i < code_rows; i++) map[seed & 1][i] = (int32_t)((i * 3 + 1) % code_rows);
    const struct weight_source source = {.type = code->type,
                                         .rows = code_rows,
                                         .cols = code->cols,
                                         .data = bytes,
                                         .row_bytes = n / (size_t)code_rows,
                                         .row_map = code_rows % 3 ? map[seed & 1] : NULL};
    struct weight *w = &weights[seed & 1];
    if (b->weight_prepare(b, w, "weight", &source, code->form) != OK) fail_msg("%s: %s", code->name, c->message);
    return w;
}

static void coded_release(struct ctx *c, struct weight *w)
{
    struct backend *b = array_backend(c);
    if (b->wait(b, b->mark(b)) == OK) b->weight_release(b, w);
}

/* Two weights that share an input. */
static struct array *coded_products(struct ctx *c)
{
    struct weight *w[2] = {coded_weight(c, 2), coded_weight(c, 3)};
    struct array *y[2] = {0}, *x = activations(c, SHAPE(code_tokens, code->cols), 1);
    op_linear(c, x, (const struct weight *const *)w, 2, false, y);
    struct array *one = op_cast(c, y[code_of_two], DTYPE_F32);
    coded_release(c, w[1]), coded_release(c, w[0]);
    return one;
}

/* The gradient of x: through a head of the code, or through a linear layer of it and a head in bf16. */
static struct array *coded_gradient(struct ctx *c, bool of_head)
{
    static uint16_t table[8 * 16];
    const int32_t targets[2] = {3, 5};
    struct weight *w = coded_weight(c, 2), head;
    struct array *x = activations(c, SHAPE(2, code->cols), 1), *y = x, *gradient = NULL;
    struct cross_entropy_result loss;
    struct backend *b = array_backend(c);
    for (int i = 0; i < 8 * 16; i++) table[i] = f32_to_bf16((float)(i * 7 % 11 - 5) / 8);
    const struct weight_source source = {
        .type = TENSOR_BF16, .rows = 8, .cols = 16, .data = table, .row_bytes = 32, .row_map = NULL};
    if (b->weight_prepare(b, &head, "head", &source, WEIGHT_STORED) != OK || tape_begin(c) != OK ||
        tape_watch(c, x, NULL) != OK)
        return NULL;
    if (!of_head) op_linear(c, x, (const struct weight *[]){w}, 1, false, &y);
    op_linear_cross_entropy(c, y, of_head ? w : &head, array_from_host(c, DTYPE_I32, SHAPE(2), targets),
                            array_full(c, DTYPE_F32, SHAPE(2), 1), false, &loss);
    if (ctx_ok(c) && tape_backward(c, loss.loss, 0.5) == OK) gradient = op_cast(c, tape_grad(c, x), DTYPE_F32);
    tape_end(c);
    coded_release(c, &head), coded_release(c, w);
    return gradient;
}

static struct array *coded_head(struct ctx *c)
{
    return coded_gradient(c, true);
}

static struct array *coded_backward(struct ctx *c)
{
    return coded_gradient(c, false);
}

static struct array *coded_embedding(struct ctx *c)
{
    const int32_t ids[4] = {3, 0, 15, 3};
    struct weight *w = coded_weight(c, 2);
    struct array *y = op_embed(c, w, array_from_host(c, DTYPE_I32, SHAPE(4), ids), array_backend(c)->activations);
    y = op_cast(c, y, DTYPE_F32);
    coded_release(c, w);
    return y;
}

/* One token takes the weights as they lie, several take them in bf16; 15 rows go without a row map, 16 through one. */
static void compressed_weights_are_the_cpus(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char what[80];
        code = &codes[i];
        for (int k = 0; k < 8; k++) {
            code_tokens = k % 2 ? 3 : 1, code_rows = k / 2 % 2 ? 16 : 15, code_of_two = k / 4;
            snprintf(what, sizeof what, "%lld rows of %s, %lld tokens", (long long)code_rows, code->name,
                     (long long)code_tokens);
            compare(coded_products, 6e-3, what);
        }
        code_rows = 16;
        compare(coded_backward, 2e-2, code->name);
        compare(coded_head, 2e-2, code->name);
        compare(coded_embedding, 2.5e-3, code->name);
    }
}

/* ---- adapters that are kept packed ------------------------------------------------------------------------------------ */

enum { WIDE = 72, HIGH = 24, RANK = 16, ONE_A = RANK * WIDE, ONE_B = HIGH * RANK, SLAB = 2 * (ONE_A + ONE_B) };

/* Two weights that share an input, with adapters in one block of their own. */
struct adapted {
    struct ctx *c;
    struct backend *b;
    struct weight w[2];
    struct array *slab; /* owned: A and B of the first, then of the second */
    float scale;
    float last[2 * 3 * HIGH]; /* what the last product gave */
};

static void fill_numbers(float *to, int64_t n, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 1);
    for (int64_t i = 0; i < n; i++) to[i] = (float)(rng_uniform(&r) - 0.5);
}

static void adapted_make(struct adapted *t)
{
    float values[SLAB];
    t->slab = array_persistent(t->c, DTYPE_F32, SHAPE(SLAB));
    assert_non_null(t->slab);
    fill_numbers(values, SLAB, 5);
    assert_int_equal(array_upload(t->slab, values, SLAB), OK);
}

static void adapted_open(struct adapted *t)
{
    static uint16_t table[2][HIGH * WIDE];
    *t = (struct adapted){.c = open_ctx("cuda"), .scale = 2};
    t->b = array_backend(t->c);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < HIGH * WIDE; k++) table[i][k] = f32_to_bf16((float)((k * 7 + i) % 11 - 5) / 32);
        const struct weight_source source = {
            .type = TENSOR_BF16, .rows = HIGH, .cols = WIDE, .data = table[i], .row_bytes = 2 * WIDE};
        assert_int_equal(t->b->weight_prepare(t->b, &t->w[i], "weight", &source, WEIGHT_STORED), OK);
    }
    adapted_make(t);
}

static void adapted_close(struct adapted *t)
{
    array_release(t->slab);
    for (int i = 0; i < 2; i++) coded_release(t->c, &t->w[i]);
    close_ctx(t->c);
}

/* Queues both products of three tokens with the adapters in `slab`. */
static enum status adapted_queue(struct adapted *t, struct array *slab, struct array **y)
{
    const struct weight *w[2] = {&t->w[0], &t->w[1]};
    struct lora_slot slot[2];
    for (int i = 0; i < 2; i++) {
        int64_t at = i * (ONE_A + ONE_B);
        struct array *a = array_view(slab, 2, (int64_t[]){RANK, WIDE}, (int64_t[]){WIDE, 1}, at);
        struct array *b = array_view(slab, 2, (int64_t[]){HIGH, RANK}, (int64_t[]){RANK, 1}, at + ONE_A);
        slot[i] = (struct lora_slot){.a = a, .b = b, .scale = t->scale};
        t->w[i].lora = &slot[i];
    }
    op_linear(t->c, activations(t->c, SHAPE(3, WIDE), 9), w, 2, false, y);
    t->w[0].lora = t->w[1].lora = NULL;
    return t->c->status;
}

static void adapted_product(struct adapted *t, struct array *slab, float *out)
{
    struct array *y[2] = {0};
    if (adapted_queue(t, slab, y) != OK) fail_msg("%s", t->c->message);
    for (int i = 0; i < 2; i++)
        if (array_to_host(y[i], DTYPE_F32, out + i * 3 * HIGH) != OK) fail_msg("%s", t->c->message);
}

/* The product is that of the values as they are now, which a copy of them in the step pool gives, as that is packed by the
 * call itself; and it is not what the last one was. */
static void expect_current(struct adapted *t, const char *what)
{
    float values[SLAB], got[2 * 3 * HIGH], want[2 * 3 * HIGH];
    int mark = scope_open(t->c);
    adapted_product(t, t->slab, got);
    assert_true(t->b->stats(t->b).kept_bytes > 0);
    assert_int_equal(array_to_host(t->slab, DTYPE_F32, values), OK);
    adapted_product(t, array_from_host(t->c, DTYPE_F32, SHAPE(SLAB), values), want);
    if (memcmp(got, want, sizeof got) != 0) fail_msg("%s: the adapters are not read as they are", what);
    if (memcmp(got, t->last, sizeof got) == 0) fail_msg("%s: changes nothing, so it shows nothing", what);
    memcpy(t->last, got, sizeof got);
    scope_close(t->c, mark);
}

/* A block of the host's memory into the adapters. */
static void fetch_into(struct adapted *t, struct array *to, struct array *from)
{
    size_t bytes = (size_t)array_size(to) * sizeof(float);
    void *block = t->b->alloc(t->b, MEMORY_HOST, bytes);
    assert_non_null(block);
    t->b->offload(t->b, block, from->data, bytes);
    t->b->fetch(t->b, to->data, block, bytes);
    t->b->free(t->b, MEMORY_HOST, block, bytes);
}

/* All ways by which an adapter's values change. */
static void adapters_are_read_as_they_are(void **state)
{
    (void)state;
    const struct adamw_params adamw = {
        .lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .correction1 = 1, .correction2 = 1, .grad_scale = 1};
    float values[SLAB];
    struct adapted t;
    adapted_open(&t);
    struct ctx *c = t.c;
    int mark = scope_open(c);
    struct array *others = numbers(c, DTYPE_F32, SHAPE(SLAB), 21), *m = array_zeros(c, DTYPE_F32, SHAPE(SLAB)),
                 *v = array_zeros(c, DTYPE_F32, SHAPE(SLAB));
    struct array *second_b = array_view(t.slab, 2, (int64_t[]){HIGH, RANK}, (int64_t[]){RANK, 1}, SLAB - ONE_B);
    struct array *first_a = array_view(t.slab, 1, (int64_t[]){ONE_A}, (int64_t[]){1}, 0);
    expect_current(&t, "the first product");
    fill_numbers(values, ONE_A, 6);
    assert_int_equal(array_upload(first_a, values, ONE_A), OK);
    expect_current(&t, "upload");
    assert_int_equal(op_fill(c, second_b, 0.25), OK);
    expect_current(&t, "fill");
    assert_int_equal(op_write(c, second_b, numbers(c, DTYPE_F32, SHAPE(HIGH, RANK), 22)), OK);
    expect_current(&t, "write");
    assert_int_equal(op_accumulate(c, t.slab, others), OK);
    expect_current(&t, "accumulate");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(op_adamw(c, t.slab, others, m, v, NULL, &adamw), OK);
        expect_current(&t, "adamw");
    }
    fetch_into(&t, second_b, others);
    expect_current(&t, "fetch");
    t.scale = 3;
    expect_current(&t, "another scale");
    scope_close(c, mark);
    adapted_close(&t);
}

/* What is kept goes with the memory that it was made of, and the next array there is packed anew. */
static void freed_adapters_are_forgotten(void **state)
{
    (void)state;
    struct adapted t;
    float values[SLAB];
    adapted_open(&t);
    for (int i = 0; i < 3; i++) {
        fill_numbers(values, SLAB, (uint64_t)(30 + i));
        assert_int_equal(array_upload(t.slab, values, SLAB), OK);
        expect_current(&t, "adapters at a place where others were");
        array_release(t.slab);
        assert_int_equal(t.b->stats(t.b).kept_bytes, 0);
        adapted_make(&t);
    }
    adapted_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_rows_take_views),
        cmocka_unit_test(generic_rows_take_every_dtype),
        cmocka_unit_test(rows_by_index),
        cmocka_unit_test(compressed_weights_are_the_cpus),
        cmocka_unit_test(adapters_are_read_as_they_are),
        cmocka_unit_test(freed_adapters_are_forgotten),
    };
    if (!card_find()) return CARD_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
