/* Products in bf16 of every table against the definition in gemm_bf16.h, written out here: bit by bit where a table promises
 * that (all but avx512bf16), and against sums in double of the same rounded operands. */
#include <math.h>

#include "array/codec/nf4.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"
#include "support_cpu.h"

struct product {
    int64_t m, n, k, from, first; /* from, first: where in w the product begins */
    enum gemm_form form;
    enum tensor_type type;
    bool accumulate, mapped, odd;
    float *a, *c0; /* (m, k), (m, n) */
    const struct weight *w;
};

static float rounded(float x)
{
    return fabsf(x) < 0x1p-126f ? 0 : bf16_to_f32(f32_to_bf16(x));
}

/* Element (k, j) of B. */
static float element(const struct product *p, int64_t k, int64_t j)
{
    float row[2048];
    bool turned = p->form == GEMM_TRANSPOSED;
    weight_row_f32(p->w, turned ? p->first + j : p->from + k, row);
    return rounded(row[turned ? p->from + k : p->first + j]);
}

/* Column j of the product for all rows: in f32 by the order of gemm_bf16.h, and in double. */
static void expect_column(const struct product *p, int64_t j, float *exact, double *real)
{
    float b[2048];
    for (int64_t k = 0; k < p->k; k++) b[k] = element(p, k, j);
    for (int64_t i = 0; i < p->m; i++) {
        float sum = p->accumulate ? p->c0[i * p->n + j] : 0;
        double total = (double)sum;
        for (int64_t group = 0; group < p->k; group += BF16_GROUP) {
            volatile float part[2] = {0, 0}; /* volatile: no two roundings become one */
            for (int64_t k = group; k < p->k && k < group + BF16_GROUP; k++) {
                volatile float x = rounded(p->a[i * p->k + k]) * b[k];
                part[k % 2] = part[k % 2] + x;
                total += (double)x;
            }
            volatile float both = part[0] + part[1];
            sum = sum + both;
        }
        exact[i * p->n + j] = sum;
        real[i * p->n + j] = total;
    }
}

/* split: k of a first part, where the block is to sum two of them as a weight and its adapter are; 0: one part. */
static void run(const struct product *p, const struct cpu_kernels *kernels, int64_t split, float *c)
{
    const struct bf16_kernels *q = bf16_kernels_for(kernels, p->w);
    assert_non_null(q);
    int64_t nr = kernels->nr, panels = (p->n + nr - 1) / nr, stride = bf16_steps(p->k) * nr, rs = bf16_row_steps(p->k);
    size_t rows = (size_t)((p->m + q->mr - 1) / q->mr * q->mr), packed_steps = (size_t)(panels * stride);
    uint32_t *a = malloc(rows * (size_t)rs * sizeof *a), *b = malloc(packed_steps * sizeof *b);
    float *scratch = malloc((size_t)bf16_pack_scratch(kernels) * sizeof *scratch);
    assert_true(a && b && scratch);
    memset(a, 0x77, rows * (size_t)rs * sizeof *a);
    memset(b, 0x77, packed_steps * sizeof *b);
    bf16_round_rows(q, p->a, p->k, p->m, p->k, a);
    struct bf16_pack pack = {.source = {.form = p->form, .weight = p->w, .scale = 1.0f},
                             .from = p->from,
                             .k = p->k,
                             .first = p->first,
                             .n = p->n,
                             .dst = b,
                             .panel_stride = stride};
    bf16_pack_panels(kernels, q, &pack, scratch);
    memcpy(c, p->c0, (size_t)(p->m * p->n) * sizeof *c);
    struct bf16_block block = {.q = q,
                               .m = p->m,
                               .n = p->n,
                               .n_parts = 1,
                               .part = {{.k = p->k, .a = a, .rs = rs, .panels = b, .panel_stride = stride}},
                               .c = c,
                               .ldc = p->n,
                               .accumulate = p->accumulate};
    if (split > 0) {
        block.n_parts = 2;
        block.part[1] = block.part[0];
        block.part[0].k = split;
        block.part[1].k -= split;
        block.part[1].a += split / 2;
        block.part[1].panels += split / 2 * nr;
    }
    if (q->open) q->open();
    bf16_block(kernels, &block);
    if (q->close) q->close();
    free(a), free(b), free(scratch);
}

static void judge(const struct product *p, const struct cpu_table *table, const float *c, const float *exact,
                  const double *real)
{
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < p->m * p->n; i++) {
        largest = fmax(largest, fabs(real[i]));
        worst = fmax(worst, fabs((double)c[i] - real[i]));
        if (strcmp(table->name, "avx512bf16") != 0 && c[i] != exact[i])
            fail_msg("%s, %lld x %lld x %lld: element %lld is %.9g, must be %.9g", table->name, (long long)p->m,
                     (long long)p->n, (long long)p->k, (long long)i, (double)c[i], (double)exact[i]);
    }
    if (!(worst <= 3e-6 * largest))
        fail_msg("%s, %lld x %lld x %lld: wrong by %g of %g", table->name, (long long)p->m, (long long)p->n, (long long)p->k,
                 worst, largest);
}

static void check(struct product p)
{
    struct cpu_fixture t;
    struct cpu_table tables[CPU_TABLES];
    cpu_open(&t);
    bool turned = p.form == GEMM_TRANSPOSED;
    int64_t block = tensor_type_info(p.type)->block, rows = turned ? p.first + p.n : p.from + p.k,
            cols = turned ? p.from + p.k : p.first + p.n;
    struct weight *w = cpu_weight(&t, p.type, rows, (cols + block - 1) / block * block, p.mapped, p.odd);
    w->compute = COMPUTE_BF16;
    p.w = w;
    p.a = cpu_noise(&t, 0, 1, 1, SHAPE(p.m, p.k)).single->data;
    p.c0 = cpu_noise(&t, 0, 1, 2, SHAPE(p.m, p.n)).single->data;
    size_t n = (size_t)(p.m * p.n);
    float *c = malloc(n * sizeof *c), *exact = malloc(n * sizeof *exact);
    double *real = malloc(n * sizeof *real);
    assert_true(c && exact && real);
    for (int64_t j = 0; j < p.n; j++) expect_column(&p, j, exact, real);
    int n_tables = cpu_tables(tables);
    for (int i = 0; i < n_tables; i++) {
        run(&p, tables[i].kernels, 0, c);
        judge(&p, &tables[i], c, exact, real);
        if (p.k <= BF16_GROUP) continue;
        run(&p, tables[i].kernels, (p.k / 2 + BF16_GROUP - 1) / BF16_GROUP * BF16_GROUP, c);
        judge(&p, &tables[i], c, exact, real);
    }
    free(c), free(exact), free(real);
    cpu_close(&t);
}

/* Every count of left-over rows and columns of a tile, reductions of part of a group, of groups and a part, of several runs,
 * and whose rows would lie a multiple of 1 KiB apart. */
static void test_products(void **state)
{
    (void)state;
    static const int64_t m[] = {1, 4, 14, 16, 31, 33, 70}, n[] = {1, 15, 16, 17, 32, 65}, k[] = {1, 2, 31, 33, 512, 1100};
    int at = 0;
    for (size_t i = 0; i < sizeof m / sizeof *m; i++)
        for (size_t j = 0; j < sizeof n / sizeof *n; j++)
            for (size_t l = 0; l < sizeof k / sizeof *k; l++, at++) {
                if (k[l] > 500 && at % 4) continue;
                struct product p = {.m = m[i], .n = n[j], .k = k[l], .form = at % 2 ? GEMM_ROWS : GEMM_TRANSPOSED};
                p.type = at % 3 ? TENSOR_BF16 : TENSOR_F32;
                p.accumulate = at % 5 < 2;
                p.mapped = at % 7 == 0;
                p.odd = at % 11 == 0;
                check(p);
            }
}

/* Stored types, in the middle of a weight, in strips that are cut. */
static void test_types(void **state)
{
    (void)state;
    static const enum tensor_type types[] = {TENSOR_F32,  TENSOR_F16,  TENSOR_BF16, TENSOR_Q4_0, TENSOR_Q4_1,
                                             TENSOR_Q8_0, TENSOR_Q5_0, TENSOR_Q4_K, TENSOR_Q6_K};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int rows = 0; rows < 2; rows++) {
            struct product p = {.m = 5, .n = rows ? 320 : 33, .k = rows ? 33 : 320, .from = 64, .first = 128};
            p.form = rows ? GEMM_ROWS : GEMM_TRANSPOSED;
            p.type = types[i];
            p.odd = i % 2;
            check(p);
        }
}

/* Halves go to even, the largest number to infinity, NaN stays NaN, subnormals become 0 of their sign; nothing is written
 * past the end. */
static void test_rounding(void **state)
{
    (void)state;
    static const struct {
        uint32_t from;
        uint16_t to;
    } cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81},
                 {0x7f7fffff, 0x7f80}, {0xff800000, 0xff80}, {0x7f800001, 0x7fc0}, {0xffc12345, 0xffc1},
                 {0x00000000, 0},      {0x80000000, 0x8000}, {0x007fffff, 0},      {0x80012345, 0x8000},
                 {0x00800000, 0x0080}, {0xbf7f7fff, 0xbf7f}};
    enum { CASES = sizeof cases / sizeof *cases, MOST = 67 };
    struct cpu_table tables[CPU_TABLES];
    int n_tables = cpu_tables(tables);
    for (int t = 0; t < n_tables; t++)
        for (int64_t n = 1; n <= MOST; n++) {
            float x[MOST];
            uint16_t out[MOST + 1];
            for (int64_t i = 0; i < n; i++) memcpy(&x[i], &cases[(i + n) % CASES].from, sizeof x[i]);
            out[n] = 0x1234;
            tables[t].kernels->bf16->round(out, x, n);
            for (int64_t i = 0; i < n; i++)
                if (out[i] != cases[(i + n) % CASES].to)
                    fail_msg("%s: %08x becomes %04x", tables[t].name, cases[(i + n) % CASES].from, out[i]);
            assert_int_equal(out[n], 0x1234);
        }
}

/* NF4 widened at once has the bits of widening to f32 and rounding: in rows that end inside a block, from and to any place
 * of their beginning and of the border of two groups of blocks, with scales so small that products are subnormal, and
 * nothing is written past the end. */
static void test_widen_nf4(void **state)
{
    (void)state;
    enum { LENGTH = 3 * NF4_BLOCK + 37, COLS = NF4_GROUP + LENGTH - 2 * NF4_BLOCK };
    static const float sizes[] = {1.0f, 3e-39f, 1e29f, 2e-38f};
    static float x[COLS], wide[LENGTH];
    static uint16_t want[LENGTH], out[LENGTH + 1];
    static uint8_t row[2 * NF4_GROUP_BYTES];
    struct cpu_table tables[CPU_TABLES];
    int n_tables = cpu_tables(tables), seen = 0;
    assert_true(nf4_row_bytes(COLS) <= sizeof row);
    for (size_t s = 0; s < 2 * sizeof sizes / sizeof *sizes; s++) {
        int64_t cols = s % 2 ? COLS : LENGTH, begin = cols - LENGTH;
        for (int i = 0; i < cols; i++) x[i] = sizes[s / 2] * sinf((float)(i % 1000 * i + 1));
        assert_true(nf4_quantise_row(x, cols, row));
        for (int t = 0; t < n_tables; t++) {
            const struct bf16_kernels *q = tables[t].kernels->bf16;
            for (int64_t first = begin; q->widen_nf4 && first < cols; first += 1 + first % 3)
                for (int64_t n = 1; first + n <= cols; n += 1 + n % 5, seen++) {
                    nf4_to_f32(row, cols, first, n, wide);
                    q->round(want, wide, n);
                    out[n] = 0x1234;
                    q->widen_nf4(row, cols, first, n, out);
                    if (memcmp(out, want, (size_t)n * sizeof *out) != 0)
                        fail_msg("%s: %d elements from %d", tables[t].name, (int)n, (int)first);
                    assert_int_equal(out[n], 0x1234);
                }
        }
    }
    if (seen == 0) skip();
}

/* A number that is not finite reaches every sum of its row, and no other. */
static void test_not_finite(void **state)
{
    (void)state;
    struct cpu_table tables[CPU_TABLES];
    int n_tables = cpu_tables(tables);
    for (int t = 0; t < n_tables; t++) {
        struct cpu_fixture f;
        cpu_open(&f);
        struct weight *w = cpu_weight(&f, TENSOR_BF16, 40, 70, false, false);
        w->compute = COMPUTE_BF16;
        struct product p = {.m = 35, .n = 40, .k = 70, .form = GEMM_TRANSPOSED, .w = w};
        p.a = cpu_noise(&f, 0, 1, 1, SHAPE(35, 70)).single->data;
        p.c0 = cpu_noise(&f, 0, 1, 2, SHAPE(35, 40)).single->data;
        p.a[17 * 70 + 69] = INFINITY;
        p.a[34 * 70 + 3] = NAN;
        float c[35 * 40];
        run(&p, tables[t].kernels, 0, c);
        for (int i = 0; i < 35 * 40; i++) assert_true(isfinite(c[i]) == (i / 40 != 17 && i / 40 != 34));
        cpu_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),  cmocka_unit_test(test_types),      cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_widen_nf4), cmocka_unit_test(test_not_finite),
    };
    cmocka_set_test_filter(getenv("YA_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
