/* What gguf_writer writes: every kind of value and tensor, read back by the reader and, byte for byte, the same file as the
 * one that the Python package gguf wrote (tests/data/io/golden.gguf), when its pairs and tensors are copied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "io/gguf_writer.h"
#include "support_file.h"

/* Copies a whole file, its tensors in pieces of `piece` bytes. */
static void copy_file(struct ctx *c, const char *from, const char *to, size_t piece)
{
    struct gguf *g = gguf_open(c, from);
    struct gguf_writer *w = gguf_writer_new(c);
    assert_int_equal(c->status, OK);
    for (size_t i = 0; i < gguf_value_count(g); i++) gguf_writer_copy(w, gguf_value(g, i));
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor_view *t = gguf_tensor(g, i);
        gguf_writer_tensor(w, t->name, t->type, t->ndim, t->shape);
    }
    assert_int_equal(gguf_writer_begin(w, to), OK);
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor_view *t = gguf_tensor(g, i);
        for (size_t at = 0; at < t->bytes; at += piece)
            gguf_writer_write(w, (const char *)t->data + at, t->bytes - at < piece ? t->bytes - at : piece);
    }
    assert_int_equal(gguf_writer_commit(w), OK);
    gguf_close(g);
}

static void a_copy_is_the_same_file(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    const size_t pieces[] = {1, 7, 32, 1 << 20};
    size_t n, k;
    char *want = file_read(c, TEST_DATA "/io/golden.gguf", 1 << 20, &n);
    assert_non_null(want);
    for (int i = 0; i < 4; i++) {
        copy_file(c, TEST_DATA "/io/golden.gguf", "copy.gguf", pieces[i]);
        char *got = file_read(c, "copy.gguf", 1 << 20, &k);
        assert_int_equal(k, n);
        assert_memory_equal(got, want, n);
        mem_free(c, got);
    }
    mem_free(c, want);
    ctx_free(c);
}

static struct gguf_string letter(const void *user, uint64_t i)
{
    return (struct gguf_string){(const char *)user + i, 1};
}

static void values_are_read_back(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct gguf_writer *w = gguf_writer_new(c);
    const int32_t ints[] = {-5, 7};
    const float floats[] = {0.5f, -2};
    const bool flags[] = {true, false};
    const int64_t shape[2] = {3, 64};
    gguf_writer_u32(w, "u32", 4000000000u);
    gguf_writer_f32(w, "f32", 1.5f);
    gguf_writer_bool(w, "bool", true);
    gguf_writer_string(w, "text", "a\0b", 3);
    gguf_writer_strings(w, "texts", 3, letter, "xyz");
    gguf_writer_i32s(w, "ints", ints, 2);
    gguf_writer_f32s(w, "floats", floats, 2);
    gguf_writer_bools(w, "flags", flags, 2);
    assert_true(gguf_writer_has(w, "flags") && !gguf_writer_has(w, "flag"));
    gguf_writer_tensor(w, "t", TENSOR_Q8_0, 2, shape);
    char bytes[3 * 68];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)i;
    assert_int_equal(gguf_writer_begin(w, "values.gguf"), OK);
    gguf_writer_write(w, bytes, sizeof bytes);
    assert_int_equal(gguf_writer_commit(w), OK);
    struct gguf *g = gguf_open(c, "values.gguf");
    int64_t u = 0;
    double v = 0;
    bool b = false;
    struct gguf_string s;
    assert_true(gguf_get_i64(c, g, "u32", &u) && u == 4000000000);
    assert_true(gguf_get_f64(c, g, "f32", &v) && v == 1.5);
    assert_true(gguf_get_bool(c, g, "bool", &b) && b);
    assert_true(gguf_get_string(c, g, "text", &s) && s.n == 3 && memcmp(s.data, "a\0b", 3) == 0);
    assert_int_equal(*gguf_array_string(gguf_get_array(c, g, "texts", GGUF_STRING), 2).data, 'z');
    assert_int_equal(gguf_array_i64(gguf_get_array(c, g, "ints", GGUF_I64), 0), -5);
    assert_true(gguf_array_f64(gguf_get_array(c, g, "floats", GGUF_F64), 1) == -2);
    const struct tensor_view *t = gguf_find(g, "t");
    assert_true(t->ndim == 2 && t->shape[0] == 3 && t->shape[1] == 64 && t->type == TENSOR_Q8_0);
    assert_memory_equal(t->data, bytes, sizeof bytes);
    gguf_close(g);
    ctx_free(c);
}

/* A shape that the type's blocks do not fill is an error of the file that is written, not a wrong file. */
static void shapes_that_cannot_be_written(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct gguf_writer *w = gguf_writer_new(c);
    gguf_writer_tensor(w, "t", TENSOR_Q8_0, 1, &(int64_t){33});
    assert_int_equal(gguf_writer_begin(w, "never.gguf"), E_INPUT);
    gguf_writer_abort(w);
    assert_false(file_exists("never.gguf"));
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_the_same_file),
        cmocka_unit_test(values_are_read_back),
        cmocka_unit_test(shapes_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
