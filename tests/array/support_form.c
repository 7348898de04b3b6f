/* support_form: the checks of support_form.h, for NF4 and int8 alike, on every stored type. */
#include "array/support_form.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "base/threads.h"
#include "support_blocks.h"

/* ---- known answers -------------------------------------------------------------------------------------------------- */

enum { LINE_BYTES = 1 << 16 };

void form_vectors(const char *path, const char *made_by, const struct form_kind *kinds, int n, int *seen)
{
    static char line[LINE_BYTES];
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("%s is missing; %s writes it", path, made_by);
    while (fgets(line, sizeof line, f)) {
        for (int i = 0; i < n; i++) {
            size_t word = strlen(kinds[i].kind);
            if (strncmp(line, kinds[i].kind, word) != 0 || line[word] != ' ') continue;
            kinds[i].check(line + word + 1);
            seen[i]++;
            break;
        }
    }
    fclose(f);
}

int form_floats(const char *text, float *out)
{
    int n = 0;
    for (const char *p = text; *p && n < FORM_VALUES_MAX; p += *p == ',') {
        uint32_t bits = (uint32_t)strtoul(p, (char **)&p, 16);
        memcpy(&out[n++], &bits, sizeof bits);
    }
    return n;
}

float *form_draws(int64_t n, uint32_t seed)
{
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = ((float)(seed >> 8) / (1 << 23) - 1.0f) * (float)(1 + i / 4096);
    }
    return x;
}

void form_assert_hash(const void *data, size_t bytes, const char *hex)
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

void form_check_row(const struct form_case *f, char *rest)
{
    float x[FORM_VALUES_MAX], expected[FORM_VALUES_MAX], got[FORM_VALUES_MAX];
    double twice[FORM_VALUES_MAX];
    uint8_t row[FORM_VALUES_MAX + 8];
    int cols = atoi(strtok(rest, " "));
    assert_int_equal(form_floats(strtok(NULL, " "), x), cols);
    const char *hex = strtok(NULL, " ");
    assert_int_equal(form_floats(strtok(NULL, " \n"), expected), cols);
    size_t bytes = f->row_bytes(cols);
    assert_int_equal(strlen(hex), 2 * bytes);
    row[1 + bytes] = 0xa5;
    assert_true(f->quantise_row(x, cols, row + 1)); /* rows have no alignment */
    assert_int_equal(row[1 + bytes], 0xa5);
    for (size_t i = 0; i < bytes; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};
        if (row[1 + i] != strtoul(byte, NULL, 16))
            fail_msg("%d columns: byte %zu is %02x, not %s", cols, i, row[1 + i], byte);
    }
    f->to_f32(row + 1, cols, 0, cols, got);
    assert_memory_equal(got, expected, (size_t)cols * sizeof *got);
    f->to_f64(row + 1, cols, 0, cols, twice);
    for (int i = 0; i < cols; i++) /* two roundings apart, or as many steps of the smallest f32 */
        assert_true(fabs(twice[i] - (double)got[i]) <= 0x1p-23 * fabs(twice[i]) + 0x1p-148);
}

void form_check_long(const struct form_case *f, char *rest)
{
    int64_t cols = atoll(strtok(rest, " "));
    float *x = form_draws(cols, (uint32_t)atoll(strtok(NULL, " ")));
    uint8_t *row = malloc(f->row_bytes(cols));
    assert_non_null(row);
    assert_true(f->quantise_row(x, cols, row));
    form_assert_hash(row, f->row_bytes(cols), strtok(NULL, " "));
    f->to_f32(row, cols, 0, cols, x);
    form_assert_hash(x, (size_t)cols * sizeof *x, strtok(NULL, " \n"));
    free(row);
    free(x);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

void form_check_pieces(const struct form_case *f, int64_t cols)
{
    float *x = form_draws(cols, 9), *whole = malloc(sizeof *x * (size_t)cols), piece[400];
    double twice[400], *all = malloc(sizeof *all * (size_t)cols);
    uint8_t *row = malloc(f->row_bytes(cols));
    assert_true(whole && row && all);
    assert_true(f->quantise_row(x, cols, row));
    f->to_f32(row, cols, 0, cols, whole);
    f->to_f64(row, cols, 0, cols, all);
    for (int64_t first = cols - 334; first < cols; first += 7)
        for (int64_t n = 0; n <= cols - first && n < 400; n += 13) {
            f->to_f32(row, cols, first, n, piece);
            assert_memory_equal(piece, whole + first, (size_t)n * sizeof *piece);
            f->to_f64(row, cols, first, n, twice);
            assert_memory_equal(twice, all + first, (size_t)n * sizeof *twice);
        }
    free(x);
    free(whole);
    free(all);
    free(row);
}

void form_check_unfit(const struct form_case *f)
{
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 1.1e30f, -3e38f};
    float x[130];
    uint8_t row[200];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int at = 0; at < 130; at += 43) {
            for (int j = 0; j < 130; j++) x[j] = (float)j;
            assert_true(f->quantise_row(x, 130, row));
            x[at] = bad[i];
            assert_false(f->quantise_row(x, 130, row));
        }
}

/* ---- weights -------------------------------------------------------------------------------------------------------- */

enum { ROWS = 70, COLS = 160, MOST_COLS = TENSOR_MAX_BLOCK /* where blocks are longer */ };

struct stored {
    struct weight_source source;
    uint8_t data[ROWS * MOST_COLS * 8];
    int32_t map[ROWS];
};

/* Fills a weight with bits whose values are of moderate size in its type, behind a row map that reverses the rows. */
static void store(struct stored *s, enum tensor_type type)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    int cols = COLS % info->block == 0 ? COLS : MOST_COLS;
    s->source = (struct weight_source){.type = type, .rows = ROWS, .cols = cols, .data = s->data, .row_map = s->map};
    s->source.row_bytes = (size_t)(cols / info->block * info->bytes);
    for (size_t i = 0; i < ROWS * s->source.row_bytes; i++) s->data[i] = (uint8_t)(i * 37 + i / 11 * 101);
    for (int i = 0; i < ROWS; i++) s->map[i] = ROWS - 1 - i;
    size_t stride = (size_t)info->bytes, n = ROWS * s->source.row_bytes / stride;
    for (size_t i = 0; i < n && info->block == 1; i++) /* the byte with the exponent */
        s->data[i * stride + stride - 1] = (uint8_t)(0x3c + (i * stride % 3 == 0) * 0x80);
    if (info->block > 1) blocks_tame(type, s->data, n, 0.1f);
}

/* Row r of the one is row r of the other, through the map. */
static void check_rows(const struct form_case *f, const struct weight_source *stored, const struct weight *made)
{
    int64_t cols = stored->cols;
    for (int r = 0; r < ROWS; r++) {
        float x[MOST_COLS], y[MOST_COLS], expected[MOST_COLS];
        double d[MOST_COLS];
        uint8_t row[2 * MOST_COLS];
        weight_source_row_f32(stored, r, x);
        assert_true(f->quantise_row(x, cols, row));
        f->to_f32(row, cols, 0, cols, expected);
        weight_row_f32(made, r, y);
        weight_row_f64(made, r, d);
        assert_memory_equal(y, expected, (size_t)cols * sizeof *y);
        for (int j = 0; j < cols; j++) assert_true(fabs(d[j] - (double)y[j]) <= 0x1p-23 * fabs(d[j]));
    }
}

void form_check_weights(const struct form_case *f)
{
    static const int threads[] = {1, 2, 3, 7};
    static struct stored s;
    struct ctx *c = ctx_new(NULL);
    for (enum tensor_type type = 0; type < TENSOR_TYPE_COUNT; type++) {
        if (!quant_is_weight_type(type)) continue;
        store(&s, type);
        size_t bytes = weight_form_bytes(&s.source, f->form);
        assert_int_equal(bytes, ROWS * f->row_bytes(s.source.cols));
        uint8_t *codes[4];
        for (int i = 0; i < 4; i++) {
            struct weight w;
            codes[i] = malloc(bytes);
            assert_non_null(codes[i]);
            assert_int_equal(ctx_set_threads(c, threads[i]), OK);
            assert_int_equal(weight_prepare(c, &w, "w", &s.source, f->form, codes[i]), OK);
            assert_memory_equal(codes[i], codes[0], bytes);
            assert_true(w.form == f->form && w.data == codes[i] && w.row_map == s.map && !weight_is_f32(&w));
            assert_true(w.source.data == s.data && w.source.row_bytes == s.source.row_bytes); /* what merging reads */
            if (i == 0) check_rows(f, &s.source, &w);
        }
        for (int i = 0; i < 4; i++) free(codes[i]);
    }
    ctx_set_threads(c, 1);
    ctx_free(c);
}

void form_check_bad_weight(const struct form_case *f)
{
    static struct stored s;
    static uint8_t codes[ROWS * 200];
    struct ctx *c = ctx_new(NULL);
    store(&s, TENSOR_F32);
    const float nan = NAN;
    memcpy(s.data + 60 * s.source.row_bytes + 40, &nan, sizeof nan);
    memcpy(s.data + 41 * s.source.row_bytes, &nan, sizeof nan);
    for (int threads = 1; threads < 4; threads++) {
        struct weight w, before;
        assert_int_equal(weight_prepare(c, &w, "w", &s.source, WEIGHT_STORED, NULL), OK);
        assert_true(weight_is_f32(&w) && w.data == s.data);
        before = w;
        assert_int_equal(ctx_set_threads(c, threads), OK);
        assert_int_equal(weight_prepare(c, &w, "w", &s.source, f->form, codes), E_INPUT);
        assert_non_null(strstr(c->message, "w: row 41 "));
        assert_memory_equal(&w, &before, sizeof w);
        ctx_clear(c);
    }
    ctx_set_threads(c, 1);
    ctx_free(c);
}
