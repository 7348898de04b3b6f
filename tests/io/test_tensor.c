/* Shapes to bytes: exact where they fit, refused where they do not. */
#include "io/tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_types(void **state)
{
    (void)state;
    /* names as the formats spell them, and sizes by their specifications */
    static const struct {
        const char *name;
        int block, bytes;
    } expected[TENSOR_TYPE_COUNT] = {
        [TENSOR_F32] = {"F32", 1, 4},
        [TENSOR_F16] = {"F16", 1, 2},
        [TENSOR_BF16] = {"BF16", 1, 2},
        [TENSOR_F64] = {"F64", 1, 8},
        [TENSOR_I64] = {"I64", 1, 8},
        [TENSOR_I32] = {"I32", 1, 4},
        [TENSOR_U32] = {"U32", 1, 4},
        [TENSOR_I16] = {"I16", 1, 2},
        [TENSOR_I8] = {"I8", 1, 1},
        [TENSOR_U8] = {"U8", 1, 1},
        [TENSOR_BOOL] = {"BOOL", 1, 1},
        [TENSOR_Q4_0] = {"Q4_0", 32, 18},
        [TENSOR_Q4_1] = {"Q4_1", 32, 20},
        [TENSOR_Q5_0] = {"Q5_0", 32, 22},
        [TENSOR_Q5_1] = {"Q5_1", 32, 24},
        [TENSOR_Q8_0] = {"Q8_0", 32, 34},
        /* bits an element times 256, with the scales that come to it */
        [TENSOR_Q2_K] = {"Q2_K", 256, 84},
        [TENSOR_Q3_K] = {"Q3_K", 256, 110},
        [TENSOR_Q4_K] = {"Q4_K", 256, 144},
        [TENSOR_Q5_K] = {"Q5_K", 256, 176},
        [TENSOR_Q6_K] = {"Q6_K", 256, 210},
        [TENSOR_IQ2_XXS] = {"IQ2_XXS", 256, 66},
        [TENSOR_IQ2_XS] = {"IQ2_XS", 256, 74},
        [TENSOR_IQ2_S] = {"IQ2_S", 256, 82},
        [TENSOR_IQ3_XXS] = {"IQ3_XXS", 256, 98},
        [TENSOR_IQ3_S] = {"IQ3_S", 256, 110},
        [TENSOR_IQ1_S] = {"IQ1_S", 256, 50},
        [TENSOR_IQ1_M] = {"IQ1_M", 256, 56},
        [TENSOR_IQ4_NL] = {"IQ4_NL", 32, 18},
        [TENSOR_IQ4_XS] = {"IQ4_XS", 256, 136},
        [TENSOR_TQ1_0] = {"TQ1_0", 256, 54},
        [TENSOR_TQ2_0] = {"TQ2_0", 256, 66},
        [TENSOR_MXFP4] = {"MXFP4", 32, 17},
        [TENSOR_NVFP4] = {"NVFP4", 64, 36},
    };
    for (int t = 0; t < TENSOR_TYPE_COUNT; t++) {
        const struct tensor_type_info *info = tensor_type_info((enum tensor_type)t);
        assert_string_equal(info->name, expected[t].name);
        assert_int_equal(info->block, expected[t].block);
        assert_int_equal(info->bytes, expected[t].bytes);
    }
}

static void check(enum tensor_type type, int ndim, const int64_t *shape, bool fits, size_t expected)
{
    size_t bytes = 12345;
    assert_int_equal(tensor_bytes(type, ndim, shape, &bytes), fits);
    assert_int_equal(bytes, fits ? expected : 12345);
}

static void test_bytes(void **state)
{
    (void)state;
    check(TENSOR_F32, 0, NULL, true, 4);
    check(TENSOR_F32, 2, (int64_t[]){3, 5}, true, 60);
    check(TENSOR_BF16, 3, (int64_t[]){3, 0, 5}, true, 0);
    check(TENSOR_U8, 1, (int64_t[]){INT64_MAX}, true, INT64_MAX);
    check(TENSOR_U8, 2, (int64_t[]){INT64_MAX, 2}, true, SIZE_MAX - 1);
    check(TENSOR_U8, 2, (int64_t[]){INT64_MAX, 3}, false, 0);
    check(TENSOR_F16, 2, (int64_t[]){INT64_MAX, 2}, false, 0);
    check(TENSOR_F32, 1, (int64_t[]){-1}, false, 0);
    check(TENSOR_F32, 2, (int64_t[]){0, -1}, false, 0);
    check(TENSOR_U8, 3, (int64_t[]){4194305, 4194305, 211106198978564}, false, 0); /* wraps to 4 */
    check(TENSOR_U8, 3, (int64_t[]){0, INT64_MAX, INT64_MAX}, false, 0);           /* a zero hides no overflow */
    check(TENSOR_U8, 3, (int64_t[]){INT64_MAX, INT64_MAX, 0}, false, 0);
}

static void test_blocks(void **state)
{
    (void)state;
    check(TENSOR_Q4_0, 1, (int64_t[]){32}, true, 18);
    check(TENSOR_Q4_1, 2, (int64_t[]){3, 64}, true, 120);
    check(TENSOR_Q8_0, 2, (int64_t[]){5, 32}, true, 170);
    check(TENSOR_Q8_0, 2, (int64_t[]){32, 5}, false, 0); /* blocks lie along the last axis */
    check(TENSOR_Q8_0, 1, (int64_t[]){31}, false, 0);
    check(TENSOR_Q8_0, 0, NULL, false, 0);
    check(TENSOR_Q4_0, 2, (int64_t[]){0, 64}, true, 0);
    check(TENSOR_Q8_0, 2, (int64_t[]){4294967295, 4294967264}, false, 0); /* blocks x 34 overflows, elements do not */
    check(TENSOR_Q4_0, 2, (int64_t[]){4294967295, 4294967264}, true, 4294967295u * (size_t)134217727 * 18);
}

static void test_alignment(void **state)
{
    (void)state;
    _Alignas(8) static const char bytes[32];
    struct tensor_view v = {.type = TENSOR_F32, .data = bytes};
    assert_true(tensor_is_aligned(&v));
    v.data = bytes + 2;
    assert_false(tensor_is_aligned(&v));
    v.type = TENSOR_Q4_0; /* 16-bit scales */
    assert_true(tensor_is_aligned(&v));
    v.data = bytes + 1;
    assert_false(tensor_is_aligned(&v));
    v.type = TENSOR_U8;
    assert_true(tensor_is_aligned(&v));
    v.type = TENSOR_F64;
    v.data = bytes + 4;
    assert_false(tensor_is_aligned(&v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
