/* Products in integers (gemm_int.h): every instruction set against the formula of the header, computed here with 64-bit
 * sums, and bit by bit; quantising at its edges; the rows LINEAR and LINEAR_BWD in every way of computing are judged in
 * test_cpu_linear. */
#include "array/codec/int8.h"
#include "backend/cpu/gemm_int/gemm_int.h"
#include "support_cpu.h"

struct product {
    int64_t m, n, k;
    bool backward, accumulate, mapped;
    enum compute compute;
    float *x, *fold, *c0, *expected;
    struct weight w; /* (n, k) forward, (k, n) backward */
    int32_t *map;
};

static void *take(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    assert_non_null(p);
    return p;
}

static void fill(float *x, int64_t n, uint32_t seed, float outlier)
{
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / (1 << 23) - 1.0f;
        if (seed % 97 == 0) x[i] *= outlier;
    }
}

static void product_open(struct product *p)
{
    int64_t rows = p->backward ? p->k : p->n, cols = p->backward ? p->n : p->k;
    float *row = take((size_t)cols, sizeof *row);
    char *codes = take((size_t)rows, int8_row_bytes(cols));
    p->x = take((size_t)(p->m * p->k), sizeof(float));
    p->c0 = take((size_t)(p->m * p->n), sizeof(float));
    p->expected = take((size_t)(p->m * p->n), sizeof(float));
    p->map = take((size_t)rows, sizeof *p->map);
    p->fold = take((size_t)p->k, sizeof(float));
    fill(p->x, p->m * p->k, 1, 50);
    fill(p->c0, p->m * p->n, 2, 1);
    p->w = (struct weight){.name = "w", .rows = rows, .cols = cols, .data = codes, .row_bytes = int8_row_bytes(cols)};
    p->w.form = WEIGHT_INT8;
    p->w.compute = p->compute;
    for (int64_t i = 0; i < rows; i++) {
        fill(row, cols, (uint32_t)(3 + i), 3);
        assert_true(int8_quantise_row(row, cols, codes + (size_t)i * int8_row_bytes(cols)));
        p->map[i] = (int32_t)(rows - 1 - i);
    }
    if (p->mapped) p->w.row_map = p->map;
    for (int64_t i = 0; p->backward && i < rows; i++) p->fold[i] = int8_row_scale(weight_row(&p->w, i));
    free(row);
}

static void product_close(struct product *p)
{
    free(p->x), free(p->c0), free(p->expected), free(p->map), free(p->fold), free((void *)p->w.data);
}

/* Code of element (k, j) of B. */
static int64_t code(const struct product *p, int64_t k, int64_t j)
{
    return p->backward ? int8_row_codes(weight_row(&p->w, k))[j] : int8_row_codes(weight_row(&p->w, j))[k];
}

static float round_float(double x)
{
    volatile float y = (float)x;
    return y;
}

/* The formula, with sums in 64 bits; each float operation rounded by itself. */
static void expect(const struct product *p, const struct int_cut *cut, int limit)
{
    int64_t *q = take((size_t)cut->run, sizeof *q);
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t r = 0; r < cut->runs; r++) {
            int64_t first = r * cut->run, n = p->k - first < cut->run ? p->k - first : cut->run;
            const float *x = p->x + i * p->k + first;
            float most = 0;
            for (int64_t k = 0; k < n; k++) {
                float v = p->backward ? round_float((double)x[k] * p->fold[first + k]) : x[k];
                most = fabsf(v) > most ? fabsf(v) : most;
            }
            bool none = most <= 1e-30f || isinf(most); /* codes are 0 */
            float scale = none ? 0 : most / (float)limit, inverse = none ? 0 : (float)limit / most;
            for (int64_t k = 0; k < n; k++) {
                float v = p->backward ? round_float((double)x[k] * p->fold[first + k]) : x[k];
                q[k] = none ? 0 : (int64_t)rint((double)round_float((double)v * inverse));
            }
            for (int64_t j = 0; j < p->n; j++) {
                int64_t sum = 0;
                for (int64_t k = 0; k < n; k++) sum += q[k] * code(p, first + k, j);
                float *c = p->expected + i * p->n + j, value = round_float((double)(float)sum * scale);
                if (!p->backward) value = round_float((double)value * int8_row_scale(weight_row(&p->w, j)));
                if (r == 0) *c = p->accumulate ? p->c0[i * p->n + j] : 0;
                *c = r == 0 && !p->accumulate ? value : round_float((double)*c + value);
            }
        }
    free(q);
}

static void run(struct product *p, const struct cpu_kernels *kernels, float *c)
{
    const struct int_kernels *q = int_kernels_for(kernels, &p->w);
    assert_non_null(q);
    struct int_cut cut = int_cut(q, p->k);
    int64_t nr = kernels->nr, panels = (p->n + nr - 1) / nr, stride = cut.panel_steps * nr;
    int64_t rows = (p->m + q->mr - 1) / q->mr * q->mr; /* a tile may read the codes of all its rows */
    int32_t *codes = take((size_t)(rows * cut.row_steps), sizeof *codes);
    float *scale = take((size_t)(p->m * cut.runs), sizeof *scale), *columns = take((size_t)(panels * nr), sizeof *columns);
    float *packed = take((size_t)(panels * stride), sizeof *packed);
    memset(packed, 0x77, (size_t)(panels * stride) * sizeof *packed);
    memset(codes, 0x77, (size_t)(rows * cut.row_steps) * sizeof *codes);
    expect(p, &cut, q->limit);
    int_quantise_rows(q, &cut, p->x, p->k, p->backward ? p->fold : NULL, p->m, codes, scale);
    if (p->backward)
        int_pack_rows(kernels, q, &cut, &p->w, 0, 0, p->n, packed, stride);
    else
        int_pack_transposed(kernels, q, &cut, &p->w, 0, 0, p->n, packed, stride);
    for (int64_t j = 0; j < p->n && !p->backward; j++) columns[j] = int8_row_scale(weight_row(&p->w, j));
    memcpy(c, p->c0, (size_t)(p->m * p->n) * sizeof *c);
    struct int_block b = {.q = q,
                          .cut = &cut,
                          .m = p->m,
                          .n = p->n,
                          .codes = codes,
                          .scale = scale,
                          .panels = packed,
                          .panel_stride = stride,
                          .column_scale = p->backward ? NULL : columns,
                          .c = c,
                          .ldc = p->n,
                          .accumulate = p->accumulate};
    int_block(kernels, &b);
    free(codes), free(scale), free(columns), free(packed);
}

static void check(struct product p)
{
    product_open(&p);
    float *c = take((size_t)(p.m * p.n), sizeof *c);
    struct cpu_table tables[CPU_TABLES];
    int n_tables = cpu_tables(tables);
    for (int t = 0; t < n_tables; t++) {
        run(&p, tables[t].kernels, c);
        for (int64_t i = 0; i < p.m * p.n; i++)
            if (memcmp(&c[i], &p.expected[i], sizeof *c) != 0)
                fail_msg("%s, %s %lld x %lld x %lld, limit %d: element %lld is %.9g, must be %.9g", tables[t].name,
                         p.backward ? "dx" : "y", (long long)p.m, (long long)p.n, (long long)p.k,
                         int_kernels_for(tables[t].kernels, &p.w)->limit, (long long)i, c[i], p.expected[i]);
    }
    free(c);
    product_close(&p);
}

static void test_products(void **state)
{
    (void)state;
    static const int64_t m[] = {1, 2, 3, 5, 6, 13, 29, 32}, n[] = {1, 7, 8, 16, 33, 97},
                         k[] = {1, 2, 3, 16, 31, 33, 511, 513, 1537};
    int at = 0;
    for (size_t i = 0; i < sizeof m / sizeof *m; i++)
        for (size_t j = 0; j < sizeof n / sizeof *n; j++)
            for (size_t l = 0; l < sizeof k / sizeof *k; l++, at++) {
                struct product p = {
                    .m = m[i], .n = n[j], .k = k[l], .backward = at % 2, .accumulate = at % 3 == 0, .mapped = at % 5 == 0};
                p.compute = at % 7 < 4 ? COMPUTE_INT8X2 : COMPUTE_INT8;
                check(p);
            }
}

/* The largest codes everywhere: a run's sum comes to 99.2 % of what 32 bits hold. */
static void test_largest_sum(void **state)
{
    (void)state;
    struct cpu_table tables[CPU_TABLES];
    int n_tables = cpu_tables(tables);
    for (int t = 0; t < n_tables; t++) {
        for (int way = COMPUTE_INT8X2; way <= COMPUTE_INT8; way++)
            for (int sign = -1; sign <= 1; sign += 2) {
                struct product p = {.m = 7, .n = 37, .k = INT_RUN, .compute = (enum compute)way};
                float c[7 * 37];
                product_open(&p);
                memset((char *)p.w.data, 0, (size_t)p.n * p.w.row_bytes);
                for (int64_t j = 0; j < p.n; j++) {
                    char *row = (char *)p.w.data + (size_t)j * p.w.row_bytes;
                    float one = 1;
                    memcpy(row, &one, sizeof one);
                    memset(row + sizeof one, sign * 127, (size_t)p.k);
                }
                for (int64_t i = 0; i < p.m * p.k; i++) p.x[i] = 2;
                run(&p, tables[t].kernels, c);
                for (int i = 0; i < 7 * 37; i++) assert_true(fabs((double)c[i] - sign * 2.0 * 127 * INT_RUN) < 0.02);
                product_close(&p);
            }
    }
}

/* Codes of one row, read back through a product with the unit matrix of codes 127: y_j = scale * code_j * 127. */
static void test_quantise_edges(void **state)
{
    (void)state;
    struct cpu_table tables[CPU_TABLES];
    int n_tables = cpu_tables(tables);
    for (int t = 0; t < n_tables; t++) {
        const struct int_kernels *q = tables[t].kernels->integer[COMPUTE_INT8X2];
        int32_t codes[64]; /* up to 64 codes of 16 bits are written, whatever n is */
        float zeros[5] = {0, -0.0f}, tiny[3] = {1e-31f, -1e-38f, 1e-45f}, one[1] = {-3};
        float infinite[20] = {1, 2, INFINITY}, nan[20] = {1, NAN}, huge[2] = {3e38f, -1};
        assert_true(q->quantise(codes, zeros, NULL, 5, q->limit) == 0);
        assert_true(q->quantise(codes, tiny, NULL, 3, q->limit) == 0);
        assert_true(isnan(q->quantise(codes, infinite, NULL, 20, q->limit)));
        assert_true(isnan(q->quantise(codes, nan, NULL, 20, q->limit)));
        assert_true(q->quantise(codes, one, NULL, 1, q->limit) == 3.0f / (float)q->limit);
        assert_true(q->quantise(codes, huge, NULL, 2, q->limit) == 3e38f / (float)q->limit);
        float fold[2] = {1e10f, 1}; /* overflows only when multiplied */
        assert_true(isnan(q->quantise(codes, huge, fold, 2, q->limit)));
    }
}

/* A row that is not finite makes its own results NaN and no other's. */
static void test_nan_stays_in_its_row(void **state)
{
    (void)state;
    struct cpu_table tables[CPU_TABLES];
    int n_tables = cpu_tables(tables);
    for (int t = 0; t < n_tables; t++) {
        struct product p = {.m = 5, .n = 19, .k = 700, .compute = COMPUTE_INT8X2};
        float c[5 * 19];
        product_open(&p);
        p.x[2 * 700 + 650] = -INFINITY;
        run(&p, tables[t].kernels, c);
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 19; j++) assert_true(isnan(c[i * 19 + j]) == (i == 2));
        product_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products), cmocka_unit_test(test_largest_sum),
                                       cmocka_unit_test(test_quantise_edges), cmocka_unit_test(test_nan_stays_in_its_row)};
    cmocka_set_test_filter(getenv("YA_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
