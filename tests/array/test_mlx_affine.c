/* MLX's quantised rows: the bits that mx.quantize gives (tests/data/array/mlx_affine.txt, by tools/gen_mlx_affine.py, of the
 * numbers of tests/data/array/quant_encode.txt), and the way back. */
#include "array/codec/mlx_affine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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
        mlx_affine_widen(words, scales, biases, NUMBERS_COUNT, bits, back);
        for (int i = 0; i < NUMBERS_COUNT; i++) {
            squares += ((double)back[i] - (double)x[i]) * ((double)back[i] - (double)x[i]);
            all += (double)x[i] * (double)x[i];
        }
        double error = sqrt(squares / all);
        if (!(error < (bits == 4 ? 0.1 : 0.01))) fail_msg("%d bits: %g", bits, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bits_of_mlx), cmocka_unit_test(there_and_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
