/* Numbers as blocks: the bits of the Python package gguf, and for K types a squared error that is not above what ggml's own
 * library leaves (tests/data/array/quant_encode.txt, by tools/gen_quant_encode.py); and the way there and back. */
#include "array/codec/quant_encode.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array/codec/quant.h"
#include "base/sha256.h"
#include "support_numbers.h"

#define GOLDEN TEST_DATA "/array/quant_encode.txt"

enum { COUNT = NUMBERS_COUNT, N_SETS = NUMBERS_SETS, BYTES_MAX = 2 * COUNT };
static const enum tensor_type types[] = {TENSOR_Q8_0, TENSOR_Q4_0, TENSOR_Q4_1, TENSOR_Q5_0,
                                         TENSOR_Q5_1, TENSOR_Q4_K, TENSOR_Q5_K, TENSOR_Q6_K};
enum { N_TYPES = sizeof types / sizeof *types };

static enum tensor_type find_type(const char *name)
{
    for (int i = 0; i < N_TYPES; i++)
        if (strcmp(tensor_type_info(types[i])->name, name) == 0) return types[i];
    fail_msg("%s: no type is called so", name);
    return TENSOR_F32;
}

static double squared_error(enum tensor_type type, const float *x, const uint8_t *blocks)
{
    static float back[COUNT];
    double sum = 0;
    quant_to_f32(type, blocks, back, COUNT);
    for (int i = 0; i < COUNT; i++) sum += ((double)back[i] - (double)x[i]) * ((double)back[i] - (double)x[i]);
    return sum;
}

static void check_line(const char *what, enum tensor_type type, int set, const char *want)
{
    static float x[COUNT];
    static uint8_t blocks[BYTES_MAX];
    const struct tensor_type_info *info = tensor_type_info(type);
    char hex[65];
    numbers_make(set, x);
    quant_from_f32(type, x, blocks, COUNT);
    if (strcmp(what, "blocks") == 0) {
        struct sha256 hash;
        uint8_t digest[32];
        sha256_init(&hash);
        sha256_update(&hash, blocks, (size_t)(COUNT / info->block * info->bytes));
        sha256_final(&hash, digest);
        sha256_hex(digest, hex);
        if (strcmp(hex, want) != 0) fail_msg("%s of the numbers \"%s\" has other bits", info->name, numbers_set[set]);
        return;
    }
    double error = squared_error(type, x, blocks), ggml = strtod(want, NULL);
    print_message("%s of \"%s\": %.4f of ggml's squared error\n", info->name, numbers_set[set],
                  ggml > 0 ? error / ggml : 0.0);
    if (!(error <= 1.02 * ggml))
        fail_msg("%s of \"%s\": squared error %g, ggml's is %g", info->name, numbers_set[set], error, ggml);
}

static void against_gguf_and_ggml(void **state)
{
    (void)state;
    char what[16], type[16], set[16], want[80];
    int n = 0;
    FILE *f = fopen(GOLDEN, "r");
    assert_non_null(f);
    for (; fscanf(f, "%15s %15s %15s %79s", what, type, set, want) == 4; n++)
        check_line(what, find_type(type), numbers_find(set), want);
    fclose(f);
    assert_int_equal(n, N_SETS * N_TYPES);
}

/* Blocks of values that a type has come back as they were, whatever the scale. */
static void levels_come_back(void **state)
{
    (void)state;
    static const int lowest[N_TYPES] = {-127, -8, 0, -16, 0, 0, 0, -32}, highest[N_TYPES] = {127, 7, 15, 15, 31, 15, 31, 31};
    static float x[COUNT], back[COUNT];
    static uint8_t blocks[BYTES_MAX];
    for (int t = 0; t < N_TYPES; t++) {
        int low = lowest[t], high = highest[t];
        for (int i = 0; i < COUNT; i++) /* both ends are in every block, and in every group of one */
            x[i] = (float)(i % 16 == 0 ? low : i % 16 == 1 ? high : low + i * 7 % (high - low)) * 0.0078125f;
        quant_from_f32(types[t], x, blocks, COUNT);
        quant_to_f32(types[t], blocks, back, COUNT);
        double worst = 0;
        for (int i = 0; i < COUNT; i++) { /* not by fmax: gcc 12 for AArch64 stops with an internal error at that */
            double off = fabs((double)back[i] - (double)x[i]);
            if (!(off <= worst)) worst = off;
        }
        if (!(worst < 0.0078125 * 0.02 * (high - low))) fail_msg("%s: off by %g", tensor_type_info(types[t])->name, worst);
    }
}

/* Blocks of one value: rounding d to f16 (subnormal for some) must not decide how well they come back. */
static void one_value_comes_back(void **state)
{
    (void)state;
    static const enum tensor_type k_types[] = {TENSOR_Q4_K, TENSOR_Q5_K, TENSOR_Q6_K};
    static float x[COUNT], back[COUNT];
    static uint8_t blocks[BYTES_MAX];
    numbers_make(numbers_find("repeated"), x);
    for (int t = 0; t < 3; t++) {
        quant_from_f32(k_types[t], x, blocks, COUNT);
        quant_to_f32(k_types[t], blocks, back, COUNT);
        for (int i = 0; i < COUNT; i++)
            if (!(fabs((double)back[i] - (double)x[i]) <= 0x1p-11 * fabs((double)x[i])))
                fail_msg("%s: %g comes back as %g", tensor_type_info(k_types[t])->name, (double)x[i], (double)back[i]);
    }
}

/* Any place in memory, and the same bytes for it. */
static void any_address(void **state)
{
    (void)state;
    static float x[COUNT];
    static uint8_t at[BYTES_MAX], odd[BYTES_MAX + 1];
    numbers_make(0, x);
    for (int t = 0; t < N_TYPES; t++) {
        const struct tensor_type_info *info = tensor_type_info(types[t]);
        quant_from_f32(types[t], x, at, COUNT);
        quant_from_f32(types[t], x, odd + 1, COUNT);
        assert_memory_equal(at, odd + 1, (size_t)(COUNT / info->block * info->bytes));
    }
    assert_null(quant_encoder(TENSOR_IQ4_NL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_gguf_and_ggml),
        cmocka_unit_test(levels_come_back),
        cmocka_unit_test(one_value_comes_back),
        cmocka_unit_test(any_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
