/* NF4 against a quantiser written in NumPy from the description of the format (tools/gen_nf4.py), the error on normal
 * numbers against the value known for blocks of 64, pieces of rows, weights of every stored type through a row map, and
 * numbers that do not fit. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array/nf4.h"
#include "array/weight.h"
#include "base/sha256.h"
#include "base/threads.h"

/* ---- vectors -------------------------------------------------------------------------------------------------------- */

enum { LINE_BYTES = 1 << 16, VALUES_MAX = 1 << 10 };

static int parse_floats(const char *text, float *out)
{
    int n = 0;
    for (const char *p = text; *p && n < VALUES_MAX; p += *p == ',') {
        uint32_t bits = (uint32_t)strtoul(p, (char **)&p, 16);
        memcpy(&out[n++], &bits, sizeof bits);
    }
    return n;
}

static void check_levels(char *rest)
{
    float level[VALUES_MAX];
    assert_int_equal(parse_floats(strtok(rest, " \n"), level), 16);
    assert_memory_equal(level, nf4_level, sizeof nf4_level);
}

static void check_row(char *rest)
{
    float x[VALUES_MAX], expected[VALUES_MAX], got[VALUES_MAX];
    double twice[VALUES_MAX];
    uint8_t row[VALUES_MAX + 1];
    int cols = atoi(strtok(rest, " "));
    assert_int_equal(parse_floats(strtok(NULL, " "), x), cols);
    const char *hex = strtok(NULL, " ");
    assert_int_equal(parse_floats(strtok(NULL, " \n"), expected), cols);
    size_t bytes = nf4_row_bytes(cols);
    assert_int_equal(strlen(hex), 2 * bytes);
    row[1 + bytes] = 0xa5;
    assert_true(nf4_quantise_row(x, cols, row + 1)); /* rows have no alignment */
    assert_int_equal(row[1 + bytes], 0xa5);
    for (size_t i = 0; i < bytes; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};
        if (row[1 + i] != strtoul(byte, NULL, 16))
            fail_msg("%d columns: byte %zu is %02x, not %s", cols, i, row[1 + i], byte);
    }
    nf4_to_f32(row + 1, cols, 0, cols, got);
    assert_memory_equal(got, expected, (size_t)cols * sizeof *got);
    nf4_to_f64(row + 1, cols, 0, cols, twice);
    for (int i = 0; i < cols; i++) /* two roundings apart, or as many steps of the smallest f32 */
        assert_true(fabs(twice[i] - (double)got[i]) <= 0x1p-23 * fabs(twice[i]) + 0x1p-148);
}

static void assert_hash(const void *data, size_t bytes, const char *hex)
{
    char got[65];
    struct sha256 s;
    uint8_t digest[32];
    sha256_init(&s);
    sha256_update(&s, data, bytes);
    sha256_final(&s, digest);
    sha256_hex(digest, got);
    assert_string_equal(got, hex);
}

static float *draws(int64_t n, uint32_t seed)
{
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = ((float)(seed >> 8) / (1 << 23) - 1.0f) * (float)(1 + i / 4096);
    }
    return x;
}

/* More than one group a row. */
static void check_long(char *rest)
{
    int64_t cols = atoll(strtok(rest, " "));
    float *x = draws(cols, (uint32_t)atoll(strtok(NULL, " ")));
    uint8_t *row = malloc(nf4_row_bytes(cols));
    assert_non_null(row);
    assert_true(nf4_quantise_row(x, cols, row));
    assert_hash(row, nf4_row_bytes(cols), strtok(NULL, " "));
    nf4_to_f32(row, cols, 0, cols, x);
    assert_hash(x, (size_t)cols * sizeof *x, strtok(NULL, " \n"));
    free(row);
    free(x);
}

static void test_vectors(void **state)
{
    (void)state;
    static char line[LINE_BYTES];
    static const struct {
        const char *kind;
        void (*check)(char *rest);
    } kinds[] = {{"levels", check_levels}, {"row", check_row}, {"long", check_long}};
    int seen[3] = {0};
    FILE *f = fopen(TEST_DATA "/array/nf4.txt", "r");
    if (!f) fail_msg("%s is missing; tools/gen_nf4.py writes it", TEST_DATA "/array/nf4.txt");
    while (fgets(line, sizeof line, f)) {
        for (int i = 0; i < 3; i++) {
            size_t n = strlen(kinds[i].kind);
            if (strncmp(line, kinds[i].kind, n) != 0 || line[n] != ' ') continue;
            kinds[i].check(line + n + 1);
            seen[i]++;
            break;
        }
    }
    fclose(f);
    assert_true(seen[0] == 1 && seen[1] == 17 && seen[2] == 4);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

static double normal(uint64_t key, uint64_t i)
{
    uint64_t x = (key << 40) + i, z[2];
    for (int k = 0; k < 2; k++) { /* splitmix64 */
        uint64_t y = (x + (uint64_t)k * 0x51ed27u) * 0x9e3779b97f4a7c15u;
        y = (y ^ y >> 30) * 0xbf58476d1ce4e5b9u;
        y = (y ^ y >> 27) * 0x94d049bb133111ebu;
        z[k] = y ^ y >> 31;
    }
    return sqrt(-2 * log(((double)(z[0] >> 11) + 0.5) * 0x1p-53)) * cos(6.283185307179586 * (double)(z[1] >> 11) * 0x1p-53);
}

/* Mean |error| of N(0, 1) in blocks of 64: 0.0728 (bitsandbytes' own tests have 0.072796). */
static void test_error_on_normal_numbers(void **state)
{
    (void)state;
    enum { ROWS = 256, COLS = 4096 };
    static float x[COLS], y[COLS];
    static uint8_t row[COLS];
    double sum = 0, squares = 0;
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < COLS; i++) x[i] = (float)normal((uint64_t)r, (uint64_t)i);
        assert_true(nf4_quantise_row(x, COLS, row));
        nf4_to_f32(row, COLS, 0, COLS, y);
        for (int i = 0; i < COLS; i++) {
            double d = (double)x[i] - (double)y[i];
            sum += fabs(d);
            squares += d * d;
        }
    }
    double mean = sum / (ROWS * COLS), rms = sqrt(squares / (ROWS * COLS));
    if (fabs(mean - 0.0728) > 2e-4) fail_msg("mean error %.5f", mean);
    if (fabs(rms - 0.0919) > 4e-4) fail_msg("RMS error %.5f", rms);
}

static void test_row_bytes(void **state)
{
    (void)state;
    assert_int_equal(nf4_row_bytes(1), 8 + 1 + 1);
    assert_int_equal(nf4_row_bytes(63), 8 + 1 + 32);
    assert_int_equal(nf4_row_bytes(64), 8 + 33);
    assert_int_equal(nf4_row_bytes(65), 8 + 33 + 2);
    assert_int_equal(nf4_row_bytes(2048), 8 + 32 * 33);
    assert_int_equal(nf4_row_bytes(16384), 8 + 256 * 33);
    assert_int_equal(nf4_row_bytes(16384 + 64), 16 + 257 * 33);
    assert_int_equal(nf4_row_bytes(INT64_C(1) << 40), (INT64_C(1) << 26) * (8 + 256 * 33));
}

/* Any piece is that piece of the whole. */
static void test_pieces(void **state)
{
    (void)state;
    enum { COLS = 16384 + 150 };
    float *x = draws(COLS, 9), *whole = malloc(sizeof *x * COLS), piece[400];
    double twice[400], *all = malloc(sizeof *all * COLS);
    uint8_t *row = malloc(nf4_row_bytes(COLS));
    assert_true(whole && row && all);
    assert_true(nf4_quantise_row(x, COLS, row));
    nf4_to_f32(row, COLS, 0, COLS, whole);
    nf4_to_f64(row, COLS, 0, COLS, all);
    for (int first = 16200; first < COLS; first += 7)
        for (int n = 0; n <= COLS - first && n < 400; n += 13) {
            nf4_to_f32(row, COLS, first, n, piece);
            assert_memory_equal(piece, whole + first, (size_t)n * sizeof *piece);
            nf4_to_f64(row, COLS, first, n, twice);
            assert_memory_equal(twice, all + first, (size_t)n * sizeof *twice);
        }
    free(x);
    free(whole);
    free(all);
    free(row);
}

static void test_what_does_not_fit(void **state)
{
    (void)state;
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 1.1e30f, -3e38f};
    float x[130];
    uint8_t row[200];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int at = 0; at < 130; at += 43) {
            for (int j = 0; j < 130; j++) x[j] = (float)j;
            assert_true(nf4_quantise_row(x, 130, row));
            x[at] = bad[i];
            assert_false(nf4_quantise_row(x, 130, row));
        }
}

/* ---- weights -------------------------------------------------------------------------------------------------------- */

enum { ROWS = 70, COLS = 160 };

struct stored {
    struct weight w;
    uint8_t data[ROWS * COLS * 8];
    int32_t map[ROWS];
};

/* Bits of tame numbers of the type behind a map that turns the rows round. */
static void store(struct stored *s, enum tensor_type type)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    s->w = (struct weight){.name = "w", .type = type, .rows = ROWS, .cols = COLS, .data = s->data, .row_map = s->map};
    s->w.row_bytes = (size_t)(COLS / info->block * info->bytes);
    for (size_t i = 0; i < ROWS * s->w.row_bytes; i++) s->data[i] = (uint8_t)(i * 37 + i / 11 * 101);
    for (int i = 0; i < ROWS; i++) s->map[i] = ROWS - 1 - i;
    for (size_t i = 0; i < ROWS * s->w.row_bytes; i += (size_t)info->bytes) { /* the byte with the exponent */
        size_t last = info->block > 1 ? 1 : (size_t)info->bytes - 1;
        s->data[i + last] = (uint8_t)(info->block > 1 ? 0x24 : 0x3c + (i % 3 == 0) * 0x80);
        if (type == TENSOR_Q4_1) s->data[i + 3] = 0xa4;
    }
}

static void test_weights(void **state)
{
    (void)state;
    static const enum tensor_type types[] = {TENSOR_F32,  TENSOR_F16,  TENSOR_BF16, TENSOR_F64,
                                             TENSOR_Q4_0, TENSOR_Q4_1, TENSOR_Q8_0};
    static const int threads[] = {1, 2, 3, 7};
    static struct stored s;
    struct ctx *c = ctx_new(NULL);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        store(&s, types[t]);
        size_t bytes = weight_nf4_bytes(&s.w);
        assert_int_equal(bytes, ROWS * nf4_row_bytes(COLS));
        uint8_t *codes[4];
        for (int i = 0; i < 4; i++) {
            struct weight w = s.w;
            codes[i] = malloc(bytes);
            assert_non_null(codes[i]);
            assert_int_equal(ctx_set_threads(c, threads[i]), OK);
            assert_int_equal(weight_to_nf4(c, &w, codes[i]), OK);
            assert_memory_equal(codes[i], codes[0], bytes);
            assert_true(w.form == WEIGHT_NF4 && w.data == codes[i] && w.row_map == s.map && !weight_is_f32(&w));
            for (int r = 0; i == 0 && r < ROWS; r++) { /* row r of the one is row r of the other, through the map */
                float x[COLS], y[COLS], expected[COLS];
                double d[COLS];
                uint8_t row[COLS];
                weight_row_f32(&s.w, r, x);
                assert_true(nf4_quantise_row(x, COLS, row));
                nf4_to_f32(row, COLS, 0, COLS, expected);
                weight_row_f32(&w, r, y);
                weight_row_f64(&w, r, d);
                assert_memory_equal(y, expected, sizeof y);
                for (int j = 0; j < COLS; j++) assert_true(fabs(d[j] - (double)y[j]) <= 0x1p-23 * fabs(d[j]));
            }
        }
        for (int i = 0; i < 4; i++) free(codes[i]);
    }
    ctx_set_threads(c, 1);
    ctx_free(c);
}

/* The first bad row is named, whoever met it, and the weight is as it was. */
static void test_bad_weight(void **state)
{
    (void)state;
    static struct stored s;
    static uint8_t codes[ROWS * 200];
    struct ctx *c = ctx_new(NULL);
    store(&s, TENSOR_F32);
    const float nan = NAN;
    memcpy(s.data + 60 * s.w.row_bytes + 40, &nan, sizeof nan);
    memcpy(s.data + 41 * s.w.row_bytes, &nan, sizeof nan);
    for (int threads = 1; threads < 4; threads++) {
        struct weight w = s.w;
        assert_int_equal(ctx_set_threads(c, threads), OK);
        assert_int_equal(weight_to_nf4(c, &w, codes), E_INPUT);
        assert_non_null(strstr(c->message, "w: row 41 "));
        assert_memory_equal(&w, &s.w, sizeof w);
        ctx_clear(c);
    }
    ctx_set_threads(c, 1);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),    cmocka_unit_test(test_error_on_normal_numbers), cmocka_unit_test(test_row_bytes),
        cmocka_unit_test(test_pieces),     cmocka_unit_test(test_what_does_not_fit),       cmocka_unit_test(test_weights),
        cmocka_unit_test(test_bad_weight),
    };
    return cmocka_run_group_tests_name("nf4", tests, NULL, NULL);
}
