/* MLX's quantised rows: the bits that mx.quantize gives (tests/data/array/mlx_affine.txt, by tools/gen_mlx_affine.py, of the
 * numbers of tests/data/array/quant_encode.txt), and the way back. */
#include "array/codec/mlx_affine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "array/codec/quant.h"
#include "array/dtype.h"
#include "base/sha256.h"
#include "support_numbers.h"

#define GOLDEN TEST_DATA "/array/mlx_affine.txt"

enum { GROUPS = NUMBERS_COUNT / MLX_GROUP };

static void bits_of_mlx(void **state)
{
    static float x[NUMBERS_COUNT];
    static uint32_t words[NUMBERS_COUNT / 4];
    static uint16_t scales[GROUPS], biases[GROUPS];
    char set[16], want[80], hex[65];
    int bits, n = 0;
    (void)state;
    FILE *f = fopen(GOLDEN, "r");
    assert_non_null(f);
    for (; fscanf(f, "%d %15s %79s", &bits, set, want) == 3; n++) {
        struct sha256 hash;
        uint8_t digest[32];
        numbers_make(numbers_find(set), x);
        mlx_affine_quantise(x, NUMBERS_COUNT, bits, words, scales, biases);
        sha256_init(&hash);
        sha256_update(&hash, words, (size_t)NUMBERS_COUNT * (size_t)bits / 8);
        sha256_update(&hash, scales, sizeof scales);
        sha256_update(&hash, biases, sizeof biases);
        sha256_final(&hash, digest);
        sha256_hex(digest, hex);
        if (strcmp(hex, want) != 0) fail_msg("%d bits of \"%s\": other bits", bits, set);
    }
    fclose(f);
    assert_int_equal(n, 2 * NUMBERS_SETS);
}

static void there_and_back(void **state)
{
    static float x[NUMBERS_COUNT], back[NUMBERS_COUNT];
    static uint32_t words[NUMBERS_COUNT / 4];
    static uint16_t scales[GROUPS], biases[GROUPS];
    (void)state;
    numbers_make(0, x);
    for (int bits = 4; bits <= 8; bits += 4) {
        double squares = 0, all = 0;
        mlx_affine_quantise(x, NUMBERS_COUNT, bits, words, scales, biases);
        const struct mlx_affine_matrix m = {words, scales, biases, TENSOR_BF16, bits, MLX_GROUP};
        mlx_affine_row_f32(&m, 0, NUMBERS_COUNT, back);
        for (int i = 0; i < NUMBERS_COUNT; i++) {
            squares += ((double)back[i] - (double)x[i]) * ((double)back[i] - (double)x[i]);
            all += (double)x[i] * (double)x[i];
        }
        double error = sqrt(squares / all);
        if (!(error < (bits == 4 ? 0.1 : 0.01))) fail_msg("%d bits: %g", bits, error);
    }
}

/* Rows at any address, groups of every size and numbers of every type; those of 4 bits are also rows of Q4_1, bit for bit,
 * where f16 holds the numbers. */
static void rows_of_others(void **state)
{
    enum { COLS = 256, ROWS = 3 };
    static const int groups[3] = {32, 64, 128};
    static uint8_t bytes[1 + ROWS * COLS], numbers[2][1 + ROWS * COLS / 32 * 4], blocks[COLS / 32 * 20];
    float row[COLS], same[COLS];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 167 + 13);
    for (int k = 0; k < 18; k++) {
        struct mlx_affine_matrix m = {bytes + 1, numbers[0] + 1, numbers[1] + 1, TENSOR_F32, k % 2 ? 8 : 4, groups[k / 6]};
        m.type = k / 2 % 3 == 0 ? TENSOR_BF16 : k / 2 % 3 == 1 ? TENSOR_F16 : TENSOR_F32;
        for (int i = 0; i < ROWS * COLS / m.group; i++) {
            float x[2] = {0.0078125f * (float)(i + 1), -0.5f * (float)(i + 3)}; /* few bits: each type holds them */
            for (int s = 0; s < 2; s++) {
                uint16_t half = m.type == TENSOR_BF16 ? f32_to_bf16(x[s]) : f32_to_f16(x[s]);
                uint8_t *to = numbers[s] + 1 + i * tensor_type_info(m.type)->bytes;
                if (m.type == TENSOR_F32)
                    memcpy(to, &x[s], 4);
                else
                    memcpy(to, &half, 2);
            }
        }
        mlx_affine_row_f32(&m, 2, COLS, row);
        for (int i = 0; i < COLS; i++) {
            int at = 2 * COLS + i, group = at / m.group;
            int code = m.bits == 8 ? bytes[1 + at] : bytes[1 + at / 2] >> (at % 2 * 4) & 15;
            assert_true(row[i] == 0.0078125f * (float)(group + 1) * (float)code - 0.5f * (float)(group + 3));
        }
        assert_true(mlx_affine_row_q4_1(&m, 2, COLS, blocks) == (m.bits == 4));
        if (m.bits == 8) continue;
        quant_to_f32(TENSOR_Q4_1, blocks, same, COLS);
        assert_memory_equal(row, same, sizeof row);
    }
}

/* A scale that f16 cannot hold makes no Q4_1. */
static void what_f16_cannot_hold(void **state)
{
    static const uint16_t one[2] = {0x3f80, 0x3f80}, tiny[2] = {0x3f80, 0x2f81}, large[2] = {0x4800, 0x3f80};
    static const uint32_t words[8];
    uint8_t blocks[40];
    (void)state;
    struct mlx_affine_matrix m = {words, one, one, TENSOR_BF16, 4, 32};
    assert_true(mlx_affine_row_q4_1(&m, 0, 64, blocks));
    m.scales = tiny;
    assert_false(mlx_affine_row_q4_1(&m, 0, 64, blocks));
    m.scales = one, m.biases = large;
    assert_false(mlx_affine_row_q4_1(&m, 0, 64, blocks));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bits_of_mlx), cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(rows_of_others), cmocka_unit_test(what_f16_cannot_hold)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
