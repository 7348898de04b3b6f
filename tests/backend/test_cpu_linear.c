/* LINEAR and LINEAR_BWD of the tuned tables against the reference in f64: every stored type, odd shapes, adapters,
 * dropout, bias, row maps, up to three weights, accumulation, and strides that the product has to copy; and the memory of
 * lists of products. */
#include <math.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/gemm/gemm.h"
#include "support_cpu.h"

struct shape_case {
    int64_t n, k, m[LINEAR_MAX];
    int n_weights;
    int64_t rank;
    float rate;
    bool bias, mapped, odd, accumulate;
    enum weight_form form;
    enum compute compute; /* an integer one of int8 only */
    enum tensor_type type;
    int64_t pad;
    int threads; /* tried beside the usual numbers, or 0 */
};

/* Types with loops of their own in some table, and some that are computed by the generic code for block types. */
static const enum tensor_type types[] = {TENSOR_F32,  TENSOR_F16,    TENSOR_BF16, TENSOR_Q4_0, TENSOR_Q4_1,
                                         TENSOR_Q8_0, TENSOR_Q5_0,   TENSOR_Q5_1, TENSOR_Q4_K, TENSOR_Q5_K,
                                         TENSOR_Q6_K, TENSOR_IQ4_XS, TENSOR_IQ1_S};

/* k, or as many columns as are whole blocks. */
static int64_t fit(enum tensor_type type, int64_t k)
{
    int64_t block = tensor_type_info(type)->block;
    return (k + block - 1) / block * block;
}

struct linear_case {
    struct linear_params params;
    struct cpu_call forward, backward;
};

/* Noise is 0.58 of its largest value on average, so rounding to n levels on either side of 0 costs 0.5 / n of it; integer
 * sums see that of one operand. A fifth more for chance. To bf16 (8 bits) one operand's noise is 0.39 / 256 of it; products
 * of adapters follow one another, so that dA and dB see four roundings: 0.78 / 256, and a fifth more. */
static const double tolerance[COMPUTES] = {
    [COMPUTE_F32] = 3e-6, [COMPUTE_INT8X2] = 0.6 / 32767, [COMPUTE_INT8] = 0.6 / 127, [COMPUTE_BF16] = 0.94 / 256};

static void check(const struct shape_case *s, const char *what)
{
    struct cpu_fixture t;
    cpu_open(&t);
    t.tolerance = tolerance[s->compute];
    t.threads = s->threads;
    struct linear_case l = {.params = {.n = s->n_weights, .want_dx = true, .accumulate = s->accumulate}};
    struct linear_params *p = &l.params;
    static const struct step_values values = {.seed = 5, .step = 2, .first_token = 40};
    int64_t total = 0;
    for (int i = 0; i < s->n_weights; i++) total += s->m[i];
    struct twin x = cpu_noise(&t, s->pad, 1, 1, SHAPE(s->n, s->k)), dy = cpu_noise(&t, s->pad, 1, 2, SHAPE(s->n, total));
    l.forward = (struct cpu_call){
        .op = OP_LINEAR, .in = {x}, .out = {cpu_empty(&t, 0, SHAPE(s->n, total))}, .params = p, .step = &values};
    l.backward = (struct cpu_call){
        .op = OP_LINEAR_BWD, .in = {dy, x}, .out = {cpu_empty(&t, 0, SHAPE(s->n, s->k))}, .params = p, .step = &values};
    for (int i = 0; i < s->n_weights; i++) {
        struct weight *w = cpu_weight(&t, s->type, s->m[i], s->k, s->mapped, s->odd);
        if (s->form != WEIGHT_STORED) cpu_weight_to_form(&t, w, s->form);
        w->compute = s->compute;
        if (s->bias) w->bias = cpu_noise(&t, 0, 1, 3, SHAPE(s->m[i])).single;
        p->w[i] = w;
        p->scale[i] = 0.75f + (float)i;
        p->p[i] = s->rate;
        p->id[i] = (uint32_t)(8 + i);
        if (s->rank == 0 || (i == 1 && s->n_weights == 3)) continue; /* of three, the second has no adapter */
        struct twin a = cpu_noise(&t, 1, 0.3, 4 + (uint64_t)i, SHAPE(s->rank, s->k));
        struct twin b = cpu_noise(&t, 1, 0.3, 7 + (uint64_t)i, SHAPE(s->m[i], s->rank));
        l.forward.in[1 + 2 * i] = l.backward.in[2 + 2 * i] = a;
        l.forward.in[2 + 2 * i] = l.backward.in[3 + 2 * i] = b;
        l.forward.out[1 + i] = cpu_empty(&t, 0, SHAPE(s->n, s->rank));
        l.backward.in[8 + i] = cpu_noise(&t, 0, 1, 10 + (uint64_t)i, SHAPE(s->n, s->rank));
        l.backward.out[1 + 2 * i] = cpu_noise(&t, 0, 1, 13 + (uint64_t)i, SHAPE(s->rank, s->k));
        l.backward.out[2 + 2 * i] = cpu_noise(&t, 0, 1, 16 + (uint64_t)i, SHAPE(s->m[i], s->rank));
    }
    cpu_check(&t, &l.forward, what);
    cpu_check(&t, &l.backward, what);
    for (int i = 1; i < 4; i++) l.forward.out[i] = (struct twin){0};
    l.forward.out[0] = cpu_empty(&t, 0, SHAPE(s->n, total));
    cpu_check(&t, &l.forward, "h not wanted");
    p->want_dx = false;
    l.backward.out[0] = (struct twin){0};
    cpu_check(&t, &l.backward, "dx not wanted");
    cpu_close(&t);
}

/* Every pair of odd sizes goes through every count of left-over rows and columns of a tile. */
static void test_odd_shapes(void **state)
{
    (void)state;
    static const int64_t odd[] = {1, 3, 5, 17, 127, 129};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++) {
            struct shape_case s = {.n = odd[i], .k = odd[j], .m = {odd[(i + j + 1) % 6]}, .n_weights = 1};
            s.rank = 1 + (int64_t)(i + j);
            s.pad = (int64_t)(i % 2) * 3;
            check(&s, "odd shapes");
        }
}

static void test_stored_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int mapped = 0; mapped < 2; mapped++) {
            struct shape_case s = {.n = 37, .k = 352, .m = {64, 33, 160}, .n_weights = 3, .rank = 5, .bias = true};
            s.type = types[i];
            s.k = fit(s.type, s.k);
            s.mapped = mapped;
            check(&s, tensor_type_info(types[i])->name);
            s.n = 3; /* the path of a few tokens */
            check(&s, "few tokens");
            s.n = 9;
            s.n_weights = 1;
            s.odd = true;
            check(&s, "weights at an odd address");
        }
}

/* Blocks of 256 columns that chunks of the reduction, multiples of 320, and panels of 128 columns cut. */
static void test_cut_blocks(void **state)
{
    (void)state;
    static const enum tensor_type cut[] = {TENSOR_Q4_K, TENSOR_Q6_K, TENSOR_IQ2_XS};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
        for (int compute = COMPUTE_F32; compute <= COMPUTE_BF16; compute += COMPUTE_BF16 - COMPUTE_F32) {
            struct shape_case s = {.n = 9, .k = 2816, .m = {1100}, .n_weights = 1, .type = cut[i], .odd = i % 2};
            s.compute = compute;
            check(&s, tensor_type_info(cut[i])->name);
            if (getenv("YA_TEST_TABLE")) return; /* emulated: the whole takes minutes */
        }
}

/* A form that is made at load: widths around a block of 64 and its half, one with two groups of blocks, strips that are
 * cut, and every path of the stored types. Rows of int8 lie at any address. */
static void check_form(enum weight_form form, const char *name)
{
    static const int64_t widths[] = {1, 2, 31, 33, 63, 64, 65, 127, 129, 320, 577};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int few = 0; few < 2; few++) {
            struct shape_case s = {.n = few ? 3 : 37, .k = widths[i], .m = {65, 1, 130}, .n_weights = 3, .rank = 3};
            s.form = form;
            s.bias = true;
            s.mapped = i % 2;
            s.accumulate = i % 3 == 0;
            s.rate = i % 4 == 0 ? 0.3f : 0;
            check(&s, name);
        }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct shape_case s = {.n = 19, .m = {33}, .n_weights = 1, .form = form, .mapped = true, .type = types[i]};
        s.k = fit(s.type, 352);
        check(&s, name);
    }
    struct shape_case wide = {.n = 7, .k = 16384 + 100, .m = {17}, .n_weights = 1, .rank = 2, .form = form};
    check(&wide, name);
    struct shape_case tall = {.n = 9, .k = 700, .m = {4000}, .n_weights = 1, .form = form};
    check(&tall, name);
}

static void test_made_forms(void **state)
{
    (void)state;
    check_form(WEIGHT_NF4, "nf4");
    check_form(WEIGHT_INT8, "int8");
}

/* Every compute with int8 weights; the reference multiplies the same weights in f32. Runs of one and of several
 * lengths. */
static void test_int8(void **state)
{
    (void)state;
    static const int64_t widths[] = {31, 64, 352, 577, 1030};
    bool emulated = getenv("YA_TEST_TABLE") != NULL; /* the whole takes minutes there */
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i += emulated ? 2 : 1)
        for (int compute = 0; compute < COMPUTES; compute++) {
            struct shape_case s = {
                .n = 37, .k = widths[i], .m = {65, 1, 130}, .n_weights = 3, .rank = 3, .form = WEIGHT_INT8};
            s.compute = (enum compute)compute;
            s.bias = true;
            s.mapped = i % 2;
            s.accumulate = i % 3 == 0;
            s.rate = i % 4 == 0 ? 0.3f : 0;
            s.pad = (int64_t)i % 3;
            check(&s, "int8");
            s.n = 3;
            check(&s, "int8, few tokens");
        }
    if (emulated) return;
    struct shape_case tall = {.n = 9, .k = 700, .m = {4000}, .n_weights = 1, .form = WEIGHT_INT8, .compute = COMPUTE_INT8X2};
    check(&tall, "int8 packed in two goes");
}

/* Operands rounded to bf16, of every stored type and form; the reference sees them as they were. */
static void test_bf16(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int form = WEIGHT_STORED; form <= WEIGHT_INT8; form++) {
            struct shape_case s = {.n = 37, .k = 352, .m = {65, 1, 130}, .n_weights = 3, .rank = 3, .bias = true};
            s.form = (enum weight_form)form;
            s.compute = COMPUTE_BF16;
            s.type = types[i];
            s.k = fit(s.type, s.k);
            s.mapped = i % 2;
            s.accumulate = i % 3 == 0;
            s.rate = i % 4 == 0 ? 0.3f : 0;
            s.pad = (int64_t)i % 3;
            s.odd = form == WEIGHT_STORED && i % 2;
            check(&s, tensor_type_info(types[i])->name);
        }
    struct shape_case long_one = {.n = 290, .k = 2080, .m = {700, 40}, .n_weights = 2, .rank = 5, .compute = COMPUTE_BF16};
    long_one.type = TENSOR_BF16;
    if (!getenv("YA_TEST_TABLE")) check(&long_one, "bf16 by chunks and blocks");
    struct shape_case far = {.n = 40, .k = 4400, .m = {33}, .n_weights = 1, .rank = 16, .compute = COMPUTE_BF16};
    far.type = TENSOR_BF16;
    if (!getenv("YA_TEST_TABLE")) check(&far, "bf16, in one chunk, and in two of a weight that is laid out");
    far.k = 33;
    far.m[0] = 4400;
    if (!getenv("YA_TEST_TABLE")) check(&far, "the same backward");
    struct shape_case shared = {.n = 260, .k = 64, .m = {400, 140}, .n_weights = 2, .rank = 5, .compute = COMPUTE_BF16};
    shared.type = TENSOR_BF16;
    shared.bias = true;
    check(&shared, "bf16, parts of columns, threads that help others");
    struct shape_case parts = {.n = 260, .k = 4160, .m = {9, 5}, .n_weights = 2, .rank = 5, .compute = COMPUTE_BF16};
    parts.type = TENSOR_BF16;
    parts.bias = true;
    if (!getenv("YA_TEST_TABLE")) check(&parts, "bf16, parts of columns of two products, in two chunks");
    parts.k = 9;
    parts.m[0] = parts.m[1] = 2200;
    parts.accumulate = true;
    if (!getenv("YA_TEST_TABLE")) check(&parts, "bf16 backward, a chunk that ends inside the second weight");
    struct shape_case tall = {.n = 1030, .k = 9, .m = {4160}, .n_weights = 1, .rank = 5, .compute = COMPUTE_BF16};
    tall.type = TENSOR_BF16;
    if (!getenv("YA_TEST_TABLE")) check(&tall, "bf16, panels that are laid out by parts of columns, backward in two chunks");
    struct shape_case stretches = {.n = 1061, .k = 70, .m = {150, 20}, .n_weights = 2, .rank = 5, .compute = COMPUTE_BF16};
    stretches.type = TENSOR_BF16;
    stretches.accumulate = true;
    check(&stretches, "bf16, gradients of adapters by stretches of tokens");
}

/* Rows decoded while they are multiplied: every type, rows that end inside a vector where blocks do not forbid it, groups
 * of rows that are not full, row maps, odd addresses. */
static void test_few_tokens(void **state)
{
    (void)state;
    static const int64_t widths[] = {9, 32, 47, 97, 256, 1056, 1280};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (size_t j = 0; j < sizeof widths / sizeof *widths; j++) {
            if (widths[j] % tensor_type_info(types[i])->block != 0) continue;
            struct shape_case s = {.k = widths[j], .m = {1, 67, 130}, .n_weights = 3, .rank = 5, .type = types[i]};
            s.n = 1 + (int64_t)(i + j) % 5; /* 5: one more than the path takes */
            s.bias = j % 2;
            s.mapped = i % 2;
            s.odd = (i + j) % 2;
            check(&s, tensor_type_info(types[i])->name);
            s.n = 1;
            s.rank = 0;
            check(&s, "one token");
        }
}

static float constant(int64_t i)
{
    (void)i;
    return 0.3f;
}

static float lone(int64_t i)
{
    return i % 32 == 17 ? -3e4f : (float)(i % 5) - 2;
}

static float growing(int64_t i)
{
    return (i % 3 ? 1 : -1) * powf(10, (float)(i / 32 % 7) * 9 - 35);
}

static float nothing(int64_t i)
{
    return i < 64 ? 0.0f : (float)(i % 7);
}

/* Types that meet the vector in fixed point, and which bytes of a block are codes and integer scales. */
static const struct fixed_type {
    enum tensor_type type;
    int64_t cols;
    size_t first, end;
} fixed_types[] = {{TENSOR_Q4_0, 224, 2, 18},  {TENSOR_Q4_1, 224, 4, 20},  {TENSOR_Q4_K, 768, 4, 144},
                   {TENSOR_Q5_K, 768, 4, 176}, {TENSOR_Q6_K, 768, 0, 208}, {TENSOR_IQ4_XS, 768, 2, 136}};
enum { FIXED_TYPES = sizeof fixed_types / sizeof *fixed_types };

/* A token's product with 70 rows of the type, whose codes and integer scales are all ones where `full`. */
static void check_fixed_point(const struct fixed_type *f, float (*vector)(int64_t), bool full)
{
    struct cpu_fixture t;
    cpu_open(&t);
    struct weight *w = cpu_weight(&t, f->type, 70, f->cols, false, false);
    uint8_t *bytes = (uint8_t *)(uintptr_t)w->data;
    size_t block = (size_t)tensor_type_info(f->type)->bytes;
    for (size_t j = 0; full && j < 70 * w->row_bytes; j++)
        if (j % block >= f->first && j % block < f->end) bytes[j] = 0xff;
    struct twin x = cpu_empty(&t, 0, SHAPE(1, f->cols));
    for (int64_t j = 0; j < f->cols; j++) {
        ref_set(x.single, j, (double)vector(j));
        ref_set(x.twice, j, ref_get(x.single, j));
    }
    struct linear_params p = {.n = 1, .w = {w}};
    struct cpu_call call = {.op = OP_LINEAR, .in = {x}, .out = {cpu_empty(&t, 0, SHAPE(1, 70))}, .params = &p};
    cpu_check(&t, &call, tensor_type_info(f->type)->name);
    cpu_close(&t);
}

/* All numbers as large as can be with all codes and integer scales as large as can be, one number far above the others,
 * blocks of sizes from the smallest to the largest, blocks of zeros; an odd number of blocks. */
static void test_fixed_point(void **state)
{
    (void)state;
    float (*const vectors[])(int64_t) = {constant, lone, growing, nothing};
    for (size_t f = 0; f < FIXED_TYPES; f++)
        for (size_t i = 0; i < 4; i++)
            for (int full = 0; full < 2; full++) check_fixed_point(&fixed_types[f], vectors[i], full);
}

/* A number that is not finite reaches every sum that it belongs to, and no other. */
static void test_fixed_point_nan(void **state)
{
    (void)state;
    const float strange[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3 * FIXED_TYPES; i++) {
        struct cpu_fixture t;
        const struct fixed_type *f = &fixed_types[i / 3];
        cpu_open(&t);
        struct weight *w = cpu_weight(&t, f->type, 9, f->cols, false, false);
        struct twin x = cpu_noise(&t, 0, 1, 1, SHAPE(2, f->cols)), y = cpu_empty(&t, 0, SHAPE(2, 9));
        ((float *)x.single->data)[f->cols + 70] = strange[i % 3];
        struct linear_params p = {.n = 1, .w = {w}};
        struct op_call call = {.op = OP_LINEAR, .in = {x.single}, .out = {y.single}, .params = &p};
        struct backend *b = backend_open(t.f.c, "cpu");
        assert_int_equal(b->kernel[OP_LINEAR](b, &call), OK);
        b->close(b);
        for (int64_t j = 0; j < 18; j++) assert_true(isfinite(((float *)y.single->data)[j]) == (j < 9));
        cpu_close(&t);
    }
}

/* Blocks of 256 elements: tables that have the vector in fixed point (AVX2, VNNI) give the same bits, because all that they
 * do differently is exact. */
static void test_fixed_point_bits(void **state)
{
    (void)state;
    struct cpu_table tables[CPU_TABLES];
    int n = cpu_tables(tables), like_avx2 = 0;
    for (int f = 0; f < FIXED_TYPES; f++) {
        struct cpu_fixture t;
        float expected[70];
        bool first = true;
        if (fixed_types[f].cols % 256 != 0) continue;
        cpu_open(&t);
        struct weight *w = cpu_weight(&t, fixed_types[f].type, 70, fixed_types[f].cols, false, true);
        struct twin x = cpu_noise(&t, 0, 1, 1, SHAPE(1, fixed_types[f].cols)), y = cpu_empty(&t, 0, SHAPE(1, 70));
        struct linear_params p = {.n = 1, .w = {w}};
        struct op_call call = {.op = OP_LINEAR, .in = {x.single}, .out = {y.single}, .params = &p};
        for (int i = 0; i < n; i++) {
            if (!tables[i].kernels->fixed_bytes || !strcmp(tables[i].name, "avx512bf16")) continue; /* in f32 */
            struct backend *b = cpu_backend_open(t.f.c, tables[i].name, false);
            assert_int_equal(b->kernel[OP_LINEAR](b, &call), OK);
            b->close(b);
            if (!first) assert_memory_equal(expected, y.single->data, sizeof expected);
            memcpy(expected, y.single->data, sizeof expected);
            first = false;
            like_avx2++;
        }
        cpu_close(&t);
    }
    print_message("%d products compared\n", like_avx2);
}

static void test_dropout(void **state)
{
    (void)state;
    for (int n = 1; n < 100; n += 41) {
        struct shape_case s = {.n = n, .k = 101, .m = {40, 30, 20}, .n_weights = 3, .rank = 16, .rate = 0.4f};
        s.accumulate = n > 40;
        check(&s, "dropout");
    }
}

static void test_accumulate(void **state)
{
    (void)state;
    struct shape_case s = {.n = 200, .k = 100, .m = {130, 7}, .n_weights = 2, .rank = 20, .accumulate = true};
    check(&s, "accumulate");
}

/* Rows a page apart are copied; k longer than one run; more columns than are packed at once. */
static void test_blocking(void **state)
{
    (void)state;
    struct shape_case s = {.n = 50, .k = 1024, .m = {48}, .n_weights = 1, .rank = 8};
    check(&s, "rows a page apart");
    s.k = 1000;
    s.pad = 24;
    check(&s, "padded to a page apart");
    struct shape_case wide = {.n = 7, .k = 700, .m = {4000}, .n_weights = 1, .rank = 3};
    check(&wide, "packed in two goes");
}

/* Reductions long enough to be cut into chunks: along stored rows forward, over them backward, with terms that are short,
 * cut or in a later chunk altogether. */
static void test_chunks(void **state)
{
    (void)state;
    bool emulated = getenv("YA_TEST_TABLE") != NULL; /* the whole takes minutes there */
    struct shape_case s = {.n = 5, .k = 2080, .m = {1000, 40, 1100}, .n_weights = 3, .rank = 5, .bias = true};
    check(&s, "f32 by chunks");
    s.n_weights = 1;
    s.m[0] = 1100;
    s.accumulate = true;
    s.type = TENSOR_Q4_1;
    if (!emulated) check(&s, "q4_1 by chunks");
    s.type = TENSOR_BF16;
    s.form = WEIGHT_NF4;
    if (!emulated) check(&s, "nf4 by chunks");
    s.form = WEIGHT_INT8;
    s.k = 4160; /* codes are two or four to a row of a panel */
    s.m[0] = 2100;
    for (int compute = 0; compute < COMPUTES; compute++) {
        s.compute = (enum compute)compute;
        if (!emulated || compute == COMPUTE_INT8) check(&s, "int8 by chunks");
    }
}

/* Blocks of rows too few for 16 threads, so that columns are cut too: the last part ends inside a panel, rows of x are a
 * page apart, and the reduction goes by chunks. */
static void test_more_threads_than_blocks(void **state)
{
    (void)state;
    static const int64_t rows[] = {33, 67, 100};
    bool emulated = getenv("YA_TEST_TABLE") != NULL; /* the whole takes minutes there */
    for (int i = emulated ? 2 : 0; i < 3; i++)
        for (int compute = 0; compute < COMPUTES; compute++) {
            struct shape_case s = {.n = rows[i], .k = 352, .m = {301, 33}, .n_weights = 2, .rank = 3, .threads = 16};
            s.form = compute == COMPUTE_F32 ? WEIGHT_STORED : WEIGHT_INT8;
            s.compute = (enum compute)compute;
            s.bias = true;
            s.accumulate = i == 1;
            if (i == 1) s.k = 1024;
            check(&s, "more threads than blocks");
        }
}

/* The most that the step pool holds for n products of 5 rows with one operand. */
static size_t list_bytes(const struct cpu_kernels *kernels, int n, int64_t k, int64_t columns)
{
    struct cpu_fixture t;
    cpu_open(&t);
    float *a = calloc((size_t)(5 * k), sizeof *a), *b = calloc((size_t)(k * columns), sizeof *b);
    float *out = malloc((size_t)(5 * columns) * sizeof *out);
    struct gemm list[GEMM_MAX_LIST];
    assert_true(a && b && out);
    for (int i = 0; i < n; i++) {
        list[i] = (struct gemm){.m = 5, .n = columns, .c = out, .ldc = columns, .n_terms = 1};
        list[i].term[0] =
            (struct gemm_term){.a = a, .lda = k, .k = k, .b = {.form = GEMM_TRANSPOSED, .data = b, .ld = k, .scale = 1.0f}};
    }
    assert_int_equal(gemm_run_all(t.f.c, kernels, list, n), OK);
    size_t bytes = array_pool_stats(t.f.c).peak_held_bytes;
    free(a), free(b), free(out);
    cpu_close(&t);
    return bytes;
}

/* Products that run together have panels of their own; where one goes by chunks they follow one another, in the same
 * panels. */
static void test_memory_of_lists(void **state)
{
    (void)state;
    struct cpu_table tables[CPU_TABLES];
    int n = cpu_tables(tables);
    for (int i = 0; i < n; i++) {
        size_t wide = list_bytes(tables[i].kernels, 1, 2080, 1100), narrow = list_bytes(tables[i].kernels, 1, 320, 640);
        assert_int_equal(list_bytes(tables[i].kernels, 3, 2080, 1100), wide);
        assert_true(list_bytes(tables[i].kernels, 3, 320, 640) >= narrow + 2 * 320 * 640 * sizeof(float));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_of_lists),
        cmocka_unit_test(test_odd_shapes),
        cmocka_unit_test(test_stored_types),
        cmocka_unit_test(test_cut_blocks),
        cmocka_unit_test(test_made_forms),
        cmocka_unit_test(test_int8),
        cmocka_unit_test(test_few_tokens),
        cmocka_unit_test(test_fixed_point),
        cmocka_unit_test(test_fixed_point_nan),
        cmocka_unit_test(test_fixed_point_bits),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_accumulate),
        cmocka_unit_test(test_blocking),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_more_threads_than_blocks),
        cmocka_unit_test(test_bf16),
    };
    cmocka_set_test_filter(getenv("YA_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
