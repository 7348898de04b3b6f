/* Reader of GGUF: the reference writer's file, 75 kinds of defect in random files, damage of every byte of real headers, and
 * memory that fails. */
#include "io/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/json.h"
#include "support_file.h"
#include "support_gguf.h"

#define STORIES SHARED_DIR "/corpora/models/stories260K.gguf"
#define VOCAB   SHARED_DIR "/corpora/vocab/ggml-vocab-llama-spm.gguf"

/* What opening may take relative to the file (docs/io.md). */
static void check_memory(struct ctx *c, size_t before, size_t file_bytes, const char *label)
{
    size_t used = c->alloc_peak - before;
    if (used > 16 * file_bytes + 65536) fail_msg("%s: %zu bytes for a file of %zu", label, used, file_bytes);
    c->alloc_peak = before;
}

/* ---- the reference writer's file ---- */

static void check_item(const struct gguf_value *v, uint64_t i, const json_t *expected)
{
    if (json_is_string(expected)) {
        struct gguf_string s = gguf_array_string(v, i);
        assert_int_equal(s.n, json_string_length(expected));
        assert_memory_equal(s.data, json_string_value(expected), s.n);
    } else if (json_is_integer(expected)) {
        assert_true(gguf_array_i64(v, i) == json_integer_value(expected));
        assert_true(gguf_array_f64(v, i) == (double)json_integer_value(expected));
    } else if (json_is_real(expected)) {
        assert_true(gguf_array_f64(v, i) == json_real_value(expected));
    } else {
        assert_int_equal(((const uint8_t *)v->data)[i], json_is_true(expected));
    }
}

static void check_scalar(struct ctx *c, const struct gguf *g, const char *key, const json_t *expected)
{
    struct gguf_string s;
    int64_t i;
    double f;
    bool b;
    if (json_is_string(expected)) {
        assert_true(gguf_get_string(c, g, key, &s));
        assert_int_equal(s.n, json_string_length(expected));
        assert_memory_equal(s.data, json_string_value(expected), s.n);
    } else if (json_is_integer(expected)) {
        assert_true(gguf_get_i64(c, g, key, &i) && i == json_integer_value(expected));
    } else if (json_is_real(expected)) {
        assert_true(gguf_get_f64(c, g, key, &f) && f == json_real_value(expected));
    } else {
        assert_true(gguf_get_bool(c, g, key, &b) && b == json_is_true(expected));
    }
}

static void check_values(struct ctx *c, const struct gguf *g, const json_t *values)
{
    for (size_t k = 0; k < json_array_size(values); k++) {
        const json_t *row = json_array_get(values, k), *expected = json_object_get(row, "value");
        const char *key = json_string_value(json_object_get(row, "key"));
        const struct gguf_value *v = gguf_get(g, key);
        if (!v) fail_msg("key %s not found", key);
        if (!json_is_array(expected)) {
            check_scalar(c, g, key, expected);
            continue;
        }
        assert_int_equal(v->n, json_array_size(expected));
        for (uint64_t i = 0; i < v->n; i++) check_item(v, i, json_array_get(expected, i));
    }
}

static void check_tensors(const struct gguf *g, const json_t *tensors)
{
    assert_int_equal(gguf_tensor_count(g), json_array_size(tensors));
    for (size_t k = 0; k < json_array_size(tensors); k++) {
        const json_t *row = json_array_get(tensors, k), *shape = json_object_get(row, "shape");
        const struct tensor_view *t = gguf_find(g, json_string_value(json_object_get(row, "name")));
        size_t n;
        if (!t) fail_msg("tensor %s not found", json_string_value(json_object_get(row, "name")));
        assert_ptr_equal(t, gguf_tensor(g, k));
        assert_string_equal(tensor_type_info(t->type)->name, json_string_value(json_object_get(row, "dtype")));
        assert_int_equal(t->ndim, json_array_size(shape));
        for (int i = 0; i < t->ndim; i++)
            assert_int_equal(t->shape[i], json_integer_value(json_array_get(shape, (size_t)i)));
        uint8_t *bytes = test_unhex(json_string_value(json_object_get(row, "hex")), &n);
        assert_int_equal(t->bytes, n);
        assert_memory_equal(t->data, bytes, n);
        assert_true(tensor_is_aligned(t) && (uintptr_t)t->data % 8 == 0);
        free(bytes);
    }
}

static void test_golden(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *expected = json_parse_file(c, TEST_DATA "/io/golden.gguf.json", 1 << 20);
    struct gguf *g = gguf_open(c, TEST_DATA "/io/golden.gguf");
    if (!g) fail_msg("%s", c->message);
    assert_int_equal(gguf_version(g), 3);
    assert_string_equal(gguf_path(g), TEST_DATA "/io/golden.gguf");
    assert_int_equal(file_check(c, gguf_file(g)), OK);
    check_values(c, g, json_object_get(expected, "values"));
    check_tensors(g, json_object_get(expected, "tensors"));
    assert_null(gguf_find(g, "t.absent"));
    assert_null(gguf_get(g, "k.absent"));
    json_decref(expected);
    gguf_close(g);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* Wrong types: the class of bugs where a list of floats stored as bytes was read as floats. */
static void test_typed_getters(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct gguf *g = gguf_open(c, TEST_DATA "/io/golden.gguf");
    struct gguf_string s;
    int64_t i = 7;
    double f;
    bool b;
    assert_false(gguf_get_i64(c, g, "k.absent", &i));
    assert_true(ctx_ok(c) && i == 7);
    assert_false(gguf_get_i64(c, g, "k.f32", &i));
    test_expect(c, E_INPUT, "\"k.f32\" is not an integer", "float as integer");
    assert_false(gguf_get_i64(c, g, "k.string", &i));
    test_expect(c, E_INPUT, "is not an integer", "string as integer");
    assert_false(gguf_get_f64(c, g, "a.f32", &f));
    test_expect(c, E_INPUT, "is not a number", "array as number");
    assert_true(gguf_get_f64(c, g, "k.u32", &f) && f == 4294967295.0);
    assert_false(gguf_get_bool(c, g, "k.u8", &b));
    test_expect(c, E_INPUT, "is not a boolean", "integer as boolean");
    assert_false(gguf_get_string(c, g, "a.string", &s));
    test_expect(c, E_INPUT, "is not a string", "array as string");
    assert_null(gguf_get_array(c, g, "absent", GGUF_STRING));
    assert_true(ctx_ok(c));
    assert_non_null(gguf_get_array(c, g, "a.string", GGUF_STRING));
    assert_non_null(gguf_get_array(c, g, "a.u8", GGUF_I64));
    assert_non_null(gguf_get_array(c, g, "a.u8", GGUF_F64));
    assert_non_null(gguf_get_array(c, g, "a.f32", GGUF_F64));
    assert_null(gguf_get_array(c, g, "a.u8", GGUF_STRING));
    test_expect(c, E_INPUT, "is not an array of strings", "bytes as strings");
    assert_null(gguf_get_array(c, g, "a.f64", GGUF_I64));
    test_expect(c, E_INPUT, "is not an array of integers", "floats as integers");
    assert_null(gguf_get_array(c, g, "a.bool", GGUF_F64));
    test_expect(c, E_INPUT, "is not an array of numbers", "booleans as numbers");
    assert_null(gguf_get_array(c, g, "k.string", GGUF_STRING));
    test_expect(c, E_INPUT, "is not an array of strings", "string as strings");
    gguf_close(g);
    ctx_free(c);
}

static void test_unsigned_beyond_signed(void **state)
{
    (void)state;
    static const char file[] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"
                               "\1\0\0\0\0\0\0\0a\12\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
                               "\1\0\0\0\0\0\0\0b\11\0\0\0\12\0\0\0\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff";
    struct ctx *c = ctx_new(NULL);
    struct gguf *g = gguf_open(c, test_file(file, sizeof file - 1));
    int64_t i;
    if (!g) fail_msg("%s", c->message);
    assert_false(gguf_get_i64(c, g, "a", &i));
    test_expect(c, E_INPUT, "below 2^63", "2^64-1");
    assert_true(gguf_array_i64(gguf_get(g, "b"), 0) == INT64_MAX); /* saturates: no panic from a file */
    assert_true(gguf_array_f64(gguf_get(g, "b"), 0) == 18446744073709551616.0);
    gguf_close(g);
    ctx_free(c);
}

/* ---- random files with one defect ---- */

static void check_defect(struct ctx *c, struct rng *r, int d)
{
    const struct gguf_defect *defect = &gguf_defects[d];
    size_t n, before = c->alloc_bytes;
    uint8_t *bytes = gguf_make(r, d, &n);
    const char *path = test_file(bytes, n);
    free(bytes);
    struct gguf *g = gguf_open(c, path);
    if (defect->status == OK) {
        if (!g) fail_msg("%s: refused: %s", defect->name, c->message);
        assert_true(gguf_value_count(g) < 20);
    } else {
        assert_null(g);
        assert_non_null(strstr(c->message, path));
        test_expect(c, defect->status, defect->message, defect->name);
    }
    gguf_close(g);
    assert_int_equal(c->alloc_bytes, before);
    check_memory(c, before, n, defect->name);
}

static void test_defects(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct rng r;
    rng_init(&r, 7, RNG_INIT, 0);
    assert_true(n_gguf_defects >= 34);
    for (int d = 0; d < n_gguf_defects; d++) {
        for (int seed = 0; seed < 256; seed++) check_defect(c, &r, d);
    }
    ctx_free(c);
}

/* ---- damage of real files ---- */

static void check_damaged(struct ctx *c, const void *bytes, size_t n, bool may_open, const char *label, size_t where)
{
    size_t before = c->alloc_bytes;
    struct gguf *g = gguf_open(c, test_file(bytes, n));
    if (g && !may_open) fail_msg("%s: opened although damaged at %zu", label, where);
    if (!g && c->status != E_INPUT && c->status != E_UNSUPPORTED) fail_msg("%s at %zu: %s", label, where, c->message);
    gguf_close(g);
    ctx_clear(c);
    assert_int_equal(c->alloc_bytes, before);
    check_memory(c, before, n, label);
}

/* Every length up to `end`: a cut header is always refused. */
static void truncate_all(struct ctx *c, const char *bytes, size_t end, const char *label)
{
    for (size_t n = 0; n < end; n++) check_damaged(c, bytes, n, false, label, n);
}

static void flip_bits(struct ctx *c, char *bytes, size_t n, size_t first, size_t last, size_t step, const char *label)
{
    for (size_t bit = first; bit < last; bit += step) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        check_damaged(c, bytes, n, true, label, bit);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
}

/* Where the bytes of the first tensor begin and those of the last one end. */
static void data_range(struct ctx *c, const char *path, size_t *begin, size_t *end)
{
    struct gguf *g = gguf_open(c, path);
    if (!g) fail_msg("missing or refused test data: %s", c->message);
    const uint8_t *base = file_map_data(gguf_file(g));
    *begin = file_map_size(gguf_file(g));
    *end = 0;
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor_view *t = gguf_tensor(g, i);
        size_t at = (size_t)((const uint8_t *)t->data - base);
        if (at < *begin) *begin = at;
        if (at + t->bytes > *end) *end = at + t->bytes;
    }
    gguf_close(g);
}

/* Only the header matters to the reader, so the file is header and zeros made by extending it: cheap to write again. */
static void damage(const char *path)
{
    struct ctx *c = ctx_new(NULL);
    size_t n, header, end;
    data_range(c, path, &header, &end);
    size_t bits = 8 * (header < 4096 ? header : 4096);
    char *bytes = test_load(path, &n);
    truncate_all(c, bytes, header, "cut");
    check_damaged(c, bytes, end - 1, false, "without the last byte of a tensor", end - 1);
    check_damaged(c, bytes, n, true, "whole", 0);
    flip_bits(c, bytes, header, 0, bits, 1, "header flipped");
    flip_bits(c, bytes, n, 0, bits, 61, "flipped");
    free(bytes);
    ctx_free(c);
}

static void test_damaged_golden(void **state)
{
    (void)state;
    damage(TEST_DATA "/io/golden.gguf");
}

static void test_damaged_model(void **state)
{
    (void)state;
    damage(STORIES);
}

static void test_damaged_vocabulary(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    size_t n;
    char *bytes = test_load(VOCAB, &n);
    truncate_all(c, bytes, 4096, "vocabulary cut");
    for (size_t cut = 4096; cut < n; cut += cut < 65536 ? 61 : 4099)
        check_damaged(c, bytes, cut, false, "vocabulary cut", cut);
    flip_bits(c, bytes, n, 0, 8 * 128, 1, "vocabulary flipped"); /* counts and the first keys: every bit */
    flip_bits(c, bytes, n, 8 * 128, 8 * 4096, 67, "vocabulary flipped");
    free(bytes);
    ctx_free(c);
}

static void test_truncated_while_mapped(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    size_t n;
    char *bytes = test_load(STORIES, &n);
    struct gguf *g = gguf_open(c, test_file(bytes, n));
    assert_non_null(g);
    test_file_truncate(65536);
    const struct tensor_view *t = gguf_find(g, "blk.4.ffn_up.weight");
    assert_non_null(t);
    assert_int_equal(((const volatile uint8_t *)t->data)[t->bytes - 1], 0); /* no SIGBUS */
    assert_int_equal(file_check(c, gguf_file(g)), E_IO);
    gguf_close(g);
    free(bytes);
    ctx_free(c);
}

static void test_vocabularies_open(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2", "starcoder", "llama-spm"};
    struct ctx *c = ctx_new(NULL);
    for (size_t i = 0; i < 3; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/corpora/vocab/ggml-vocab-%s.gguf", SHARED_DIR, names[i]);
        struct gguf *g = gguf_open(c, path);
        if (!g) fail_msg("missing or refused test data: %s", c->message);
        assert_int_equal(gguf_tensor_count(g), 0);
        const struct gguf_value *tokens = gguf_get_array(c, g, "tokenizer.ggml.tokens", GGUF_STRING);
        assert_non_null(tokens);
        assert_true(tokens->n > 30000);
        check_memory(c, 0, file_map_size(gguf_file(g)), names[i]);
        gguf_close(g);
    }
    ctx_free(c);
}

/* ---- memory that fails ---- */

static void open_golden(struct ctx *c)
{
    gguf_close(gguf_open(c, TEST_DATA "/io/golden.gguf"));
}

static void test_memory_fails(void **state)
{
    (void)state;
    assert_true(test_every_allocation(open_golden) > 40);
    struct ctx *c = ctx_new(NULL);
    assert_null(gguf_open(c, "no such file.gguf"));
    assert_false(ctx_ok(c));
    assert_null(gguf_open(c, TEST_DATA "/io/golden.gguf")); /* a failed ctx stays failed */
    ctx_clear(c);
    gguf_close(NULL);
    ctx_free(c);
}

/* With the word "corpora": the tests that need ../shared/corpora, which CI has and a clone has not. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),  cmocka_unit_test(test_typed_getters),  cmocka_unit_test(test_unsigned_beyond_signed),
        cmocka_unit_test(test_defects), cmocka_unit_test(test_damaged_golden), cmocka_unit_test(test_memory_fails),
    };
    const struct CMUnitTest corpora[] = {
        cmocka_unit_test(test_damaged_model),
        cmocka_unit_test(test_damaged_vocabulary),
        cmocka_unit_test(test_truncated_while_mapped),
        cmocka_unit_test(test_vocabularies_open),
    };
    if (argc > 1 && strcmp(argv[1], "corpora") == 0) return cmocka_run_group_tests(corpora, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
