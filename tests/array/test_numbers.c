/* Number formats and masks against known answers from NumPy and PyTorch (tools/gen_array_vectors.py): halves, conversion of
 * every dtype, promotion, block formats through weight rows, dropout. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array/op.h"
#include "array/codec/quant.h"

/* Calls fn with each line of the vectors that starts with `kind`, without that word; returns how many there were. */
static int each_vector(const char *kind, void (*fn)(char *rest))
{
    static char line[4096];
    int n = 0;
    FILE *f = fopen(TEST_DATA "/array/vectors.txt", "r");
    if (!f) fail_msg("%s is missing; tools/gen_array_vectors.py writes it", TEST_DATA "/array/vectors.txt");
    while (fgets(line, sizeof line, f)) {
        size_t length = strlen(kind);
        if (strncmp(line, kind, length) != 0 || line[length] != ' ') continue;
        fn(line + length + 1);
        n++;
    }
    fclose(f);
    return n;
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* ---- halves ------------------------------------------------------------------------------------------------------- */

static void check_f16(char *rest)
{
    uint32_t f, h;
    assert_int_equal(sscanf(rest, "%" SCNx32 " %" SCNx32, &f, &h), 2);
    if (f32_to_f16(float_of(f)) != h) fail_msg("f16 of %08x is %04x, not %04x", f, f32_to_f16(float_of(f)), h);
}

static void check_bf16(char *rest)
{
    uint32_t f, h;
    assert_int_equal(sscanf(rest, "%" SCNx32 " %" SCNx32, &f, &h), 2);
    if (f32_to_bf16(float_of(f)) != h) fail_msg("bf16 of %08x is %04x, not %04x", f, f32_to_bf16(float_of(f)), h);
}

static void check_d16(char *rest)
{
    uint64_t bits;
    uint32_t h;
    double d;
    uint16_t got;
    assert_int_equal(sscanf(rest, "%" SCNx64 " %" SCNx32, &bits, &h), 2);
    memcpy(&d, &bits, sizeof d);
    dtype_convert(DTYPE_F16, &got, 1, DTYPE_F64, &d, 1, 1);
    if (got != h) fail_msg("f16 of %.17g is %04x, not %04x: rounded twice?", d, got, h);
}

static void test_halves(void **state)
{
    (void)state;
    assert_true(each_vector("f16", check_f16) > 500);
    assert_true(each_vector("bf16", check_bf16) > 500);
    assert_true(each_vector("d16", check_d16) == 200);
    for (uint32_t h = 0; h < 65536; h++) { /* widening is exact, so every pattern comes back; NaN stays NaN */
        float f = f16_to_f32((uint16_t)h), b = bf16_to_f32((uint16_t)h);
        bool f_is_nan = (h & 0x7c00) == 0x7c00 && (h & 0x3ff), b_is_nan = (h & 0x7f80) == 0x7f80 && (h & 0x7f);
        assert_true(isnan(f) ? f_is_nan : !f_is_nan && f32_to_f16(f) == h);
        assert_true(isnan(b) ? b_is_nan : !b_is_nan && f32_to_bf16(b) == h);
    }
    assert_true(isnan(f16_to_f32(f32_to_f16(NAN))) && isnan(bf16_to_f32(f32_to_bf16(NAN))));
    assert_true(isnan(f16_to_f32(f32_to_f16(float_of(0x7f800001)))) &&
                isnan(bf16_to_f32(f32_to_bf16(float_of(0x7f800001)))));
    assert_true(f16_to_f32(0x0001) == 0x1p-24f && f16_to_f32(0x03ff) == 0x1.ff8p-15f && f16_to_f32(0x7bff) == 65504);
}

/* ---- conversion ----------------------------------------------------------------------------------------------------- */

static void check_convert(enum dtype from, const void *in, enum dtype to, const void *expected, int n)
{
    uint8_t got[64];
    dtype_convert(to, got, 1, from, in, 1, n);
    if (memcmp(got, expected, (size_t)n * dtype_size(to)) != 0) fail_msg("%s to %s", dtype_name(from), dtype_name(to));
}

static void test_convert(void **state)
{
    (void)state;
    const double d[6] = {-1.9, 1.9, NAN, 1e30, -1e30, 0};
    check_convert(DTYPE_F64, d, DTYPE_I32, (int32_t[]){-1, 1, 0, INT32_MAX, INT32_MIN, 0}, 6);
    check_convert(DTYPE_F64, d, DTYPE_I64, (int64_t[]){-1, 1, 0, INT64_MAX, INT64_MIN, 0}, 6);
    check_convert(DTYPE_F64, d, DTYPE_U8, (uint8_t[]){0, 1, 0, 255, 0, 0}, 6);
    check_convert(DTYPE_F64, d, DTYPE_BOOL, (uint8_t[]){1, 1, 1, 1, 1, 0}, 6);
    const int64_t i[4] = {-1, (1LL << 53) + 1, 300, 0};
    check_convert(DTYPE_I64, i, DTYPE_U8, (uint8_t[]){255, 1, 44, 0}, 4);
    check_convert(DTYPE_I64, i, DTYPE_I32, (int32_t[]){-1, 1, 300, 0}, 4);
    check_convert(DTYPE_I64, i, DTYPE_F64, (double[]){-1, 0x1p53, 300, 0}, 4);
    check_convert(DTYPE_I64, i, DTYPE_BOOL, (uint8_t[]){1, 1, 1, 0}, 4);
    check_convert(DTYPE_I64, &(int64_t){(1LL << 54) + (1LL << 30) + 1}, DTYPE_F32, &(float){0x1.000002p54f},
                  1); /* one rounding */
    int32_t strided[8] = {0};
    dtype_convert(DTYPE_I32, strided, 2, DTYPE_F64, d, 3, 2); /* elements 0 and 3 to places 0 and 2 */
    assert_true(strided[0] == -1 && strided[1] == 0 && strided[2] == INT32_MAX && strided[3] == 0);
}

static void test_promotion_is_a_lattice(void **state)
{
    (void)state;
    for (int a = 0; a < DTYPE_COUNT; a++) {
        for (int b = 0; b < DTYPE_COUNT; b++) {
            enum dtype ab = dtype_promote(a, b);
            assert_int_equal(ab, dtype_promote(b, a));
            assert_int_equal(dtype_promote(ab, a), ab); /* an upper bound */
            for (int c = 0; c < DTYPE_COUNT; c++)
                assert_int_equal(dtype_promote(ab, c), dtype_promote(a, dtype_promote(b, c)));
        }
        assert_int_equal(dtype_promote(a, a), a);
    }
    assert_int_equal(dtype_promote(DTYPE_F16, DTYPE_BF16), DTYPE_F32);
    assert_int_equal(dtype_promote(DTYPE_I64, DTYPE_F16), DTYPE_F16);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------- */

static void check_block(char *rest)
{
    char name[16], hex[128];
    int used;
    uint8_t bytes[2 + 2 * 64] = {0};
    double expected[32], f64[32];
    float f32[32];
    assert_int_equal(sscanf(rest, "%15s %127s%n", name, hex, &used), 2);
    rest += used;
    for (size_t i = 0; i < strlen(hex) / 2; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[1 + i] = (uint8_t)byte; /* at an odd address: mapped blocks have no alignment */
    }
    for (int i = 0; i < 32; i++) {
        uint64_t bits;
        assert_int_equal(sscanf(rest, " %" SCNx64 "%n", &bits, &used), 1);
        memcpy(&expected[i], &bits, sizeof bits);
        rest += used;
    }
    enum tensor_type type = TENSOR_TYPE_COUNT;
    for (int t = 0; t < TENSOR_TYPE_COUNT; t++) {
        if (strcmp(tensor_type_info(t)->name, name) == 0) type = t;
    }
    assert_true(type != TENSOR_TYPE_COUNT && quant_is_weight_type(type));
    assert_int_equal(strlen(hex) / 2, tensor_type_info(type)->bytes);
    quant_to_f64(type, bytes + 1, f64, 32);
    quant_to_f32(type, bytes + 1, f32, 32);
    for (int i = 0; i < 32; i++) {
        if (f64[i] != expected[i]) fail_msg("%s element %d: %.17g, not %.17g", name, i, f64[i], expected[i]);
        if (!(fabs((double)f32[i] - expected[i]) <= 0x1p-23 * fabs(expected[i]) + 1e-30))
            fail_msg("%s f32 element %d", name, i);
        if (type != TENSOR_Q4_1) assert_true((double)f32[i] == expected[i]);
    }
}

static void test_blocks(void **state)
{
    (void)state;
    assert_int_equal(each_vector("block", check_block), 18);
    assert_false(quant_is_weight_type(TENSOR_I32) || quant_is_weight_type(TENSOR_U8) || quant_is_weight_type(TENSOR_BOOL));
}

static void test_weight_rows(void **state)
{
    (void)state;
    const float data[3][2] = {{1, 2}, {3, 4}, {5, 6}};
    const uint16_t half[2] = {0x3c00, 0xc000};
    const int32_t map[3] = {2, 0, 1};
    struct weight w = {.type = TENSOR_F32, .rows = 3, .cols = 2, .data = data, .row_bytes = 8};
    float f[2];
    double d[2];
    weight_row_f32(&w, 1, f);
    assert_true(f[0] == 3 && f[1] == 4);
    w.row_map = map; /* row 0 is stored at row 2 */
    weight_row_f32(&w, 0, f);
    weight_row_f64(&w, 1, d);
    assert_true(f[0] == 5 && f[1] == 6 && d[0] == 1 && d[1] == 2);
    w = (struct weight){.type = TENSOR_F16, .rows = 1, .cols = 2, .data = half, .row_bytes = 4};
    weight_row_f64(&w, 0, d);
    assert_true(d[0] == 1 && d[1] == -2);
}

/* ---- dropout ------------------------------------------------------------------------------------------------------ */

static void check_mask(char *rest)
{
    struct step_values key = {0};
    uint32_t slot;
    int64_t token, n;
    float p;
    char bits[256];
    uint8_t keep[257];
    assert_int_equal(sscanf(rest, "%" SCNu64 " %" SCNd64 " %" SCNu32 " %" SCNd64 " %f %" SCNd64 " %255s", &key.seed,
                            &key.step, &slot, &token, &p, &n, bits),
                     7);
    memset(keep, 9, sizeof keep);
    dropout_mask(&key, slot, token, p, n, keep);
    for (int64_t i = 0; i < n; i++) assert_int_equal(keep[i], bits[i] - '0');
    assert_int_equal(keep[n], 9);
    dropout_mask(&key, slot, token, 0, n, keep);
    for (int64_t i = 0; i < n; i++) assert_int_equal(keep[i], 1);
}

static void test_dropout(void **state)
{
    (void)state;
    enum { N = 20000 };
    static uint8_t keep[N];
    const struct step_values key = {.seed = 3, .step = 4};
    assert_int_equal(each_vector("mask", check_mask), 9);
    int kept = 0;
    dropout_mask(&key, 8, 9, 0.3f, N, keep);
    for (int i = 0; i < N; i++) kept += keep[i];
    assert_true(abs(kept - 14000) < 4 * 65); /* four standard deviations of the binomial */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves), cmocka_unit_test(test_convert),     cmocka_unit_test(test_promotion_is_a_lattice),
        cmocka_unit_test(test_blocks), cmocka_unit_test(test_weight_rows), cmocka_unit_test(test_dropout),
    };
    return cmocka_run_group_tests_name("numbers", tests, NULL, NULL);
}
