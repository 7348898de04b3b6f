/* One reader over both containers: the same tensors by name and in turn, files known by what is in them and not by their
 * names, and what is no model named for what it is. */
#include "io/tensor_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "io/gguf.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "support_file.h"
#include "support_gguf.h"

static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n"
                              "oid sha256:0000000000000000000000000000000000000000000000000000000000000000\n"
                              "size 352272\n";

struct setup {
    struct ctx *c;
    char dir[64], path[128];
};

static int setup(void **state)
{
    struct setup *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->c = ctx_new(NULL);
    snprintf(s->dir, sizeof s->dir, "/tmp/ya_tensor_file_XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct setup *s = *state;
    assert_int_equal(dir_remove(s->c, s->dir), OK);
    assert_int_equal(s->c->alloc_bytes, 0);
    ctx_free(s->c);
    free(s);
    return 0;
}

static const char *path_of(struct setup *s, const char *name)
{
    snprintf(s->path, sizeof s->path, "%s/%s", s->dir, name);
    return s->path;
}

static void write_file(struct setup *s, const char *name, const void *bytes, size_t n)
{
    assert_int_equal(file_write_atomic(s->c, path_of(s, name), bytes, n), OK);
}

static void check_views(struct tensor_file *f, size_t n, const char *name)
{
    assert_int_equal(tensor_file_count(f), n);
    for (size_t i = 0; i < n; i++) {
        const struct tensor_view *t = tensor_file_at(f, i);
        assert_true(tensor_file_find(f, t->name) == t);
    }
    assert_non_null(tensor_file_find(f, name));
    assert_null(tensor_file_find(f, "nothing"));
}

static void a_folder(void **state)
{
    struct setup *s = *state;
    static const struct safetensors_entry entries[] = {{"b", TENSOR_F32, 1, {2}}, {"a", TENSOR_F32, 2, {1, 3}}};
    const float values[5] = {1, 2, 3, 4, 5};
    struct safetensors_writer *w = safetensors_create(s->c, path_of(s, "model.safetensors"), entries, 2, NULL, 0);
    safetensors_write(w, values, sizeof values);
    assert_int_equal(safetensors_commit(w), OK);
    struct tensor_file *f = tensor_file_open(s->c, s->dir);
    assert_non_null(f);
    assert_int_equal(tensor_file_container(f), CONTAINER_SAFETENSORS);
    check_views(f, 2, "a");
    assert_memory_equal(tensor_file_find(f, "a")->data, values + 2, 12);
    tensor_file_drop(tensor_file_find(f, "a"));
    assert_memory_equal(tensor_file_find(f, "a")->data, values + 2, 12);
    assert_null(tensor_file_gguf(f));
    assert_string_equal(tensor_file_config_path(f), path_of(s, "config.json"));
    assert_int_equal(tensor_file_check(s->c, f), OK);
    assert_int_equal(truncate(path_of(s, "model.safetensors"), 16), 0);
    assert_int_equal(tensor_file_check(s->c, f), E_IO);
    ctx_clear(s->c);
    tensor_file_close(f);
}

/* Ollama keeps models as files named after their hash. */
static void gguf_whatever_its_name(void **state)
{
    struct setup *s = *state;
    static const char *const names[] = {"m.gguf", "sha256-e9a1", "model.bin"};
    struct rng r;
    size_t n;
    rng_init(&r, 3, RNG_TEST, 0);
    uint8_t *bytes = gguf_make(&r, 0, &n);
    for (int i = 0; i < 3; i++) {
        write_file(s, names[i], bytes, n);
        struct tensor_file *f = tensor_file_open(s->c, path_of(s, names[i]));
        if (!f) fail_msg("%s", s->c->message);
        assert_int_equal(tensor_file_container(f), CONTAINER_GGUF);
        check_views(f, gguf_tensor_count(tensor_file_gguf(f)), "t0");
        assert_null(tensor_file_config_path(f));
        assert_int_equal(tensor_file_check(s->c, f), OK);
        assert_int_equal(truncate(path_of(s, names[i]), 16), 0);
        assert_int_equal(tensor_file_check(s->c, f), E_IO);
        ctx_clear(s->c);
        tensor_file_close(f);
    }
    free(bytes);
}

static void refuse(struct setup *s, const char *name, const char *part)
{
    assert_null(tensor_file_open(s->c, name ? path_of(s, name) : s->dir));
    test_expect(s->c, E_INPUT, part, name ? name : "folder");
}

static void what_is_no_model_is_named(void **state)
{
    struct setup *s = *state;
    refuse(s, "absent", "there is no such file or folder");
    refuse(s, NULL, "model.safetensors");
    write_file(s, "text", "hello", 5);
    refuse(s, "text", "not a model");
    write_file(s, "empty.gguf", "", 0);
    refuse(s, "empty.gguf", "not a model");
}

/* shared/cases, kind I: wherever a large file is expected, its pointer is told from a damaged file. */
static void lfs_pointers_are_named(void **state)
{
    static const char said[] = "this is a Git LFS pointer";
    struct setup *s = *state;
    write_file(s, "m.gguf", pointer, sizeof pointer - 1);
    refuse(s, "m.gguf", said);
    assert_null(gguf_open(s->c, path_of(s, "m.gguf")));
    test_expect(s->c, E_INPUT, said, "gguf_open");
    write_file(s, "model.safetensors", pointer, sizeof pointer - 1);
    refuse(s, NULL, said);
    refuse(s, "model.safetensors", said);
    write_file(s, "tokenizer.json", pointer, sizeof pointer - 1);
    assert_null(json_parse_file(s->c, path_of(s, "tokenizer.json"), 1 << 20));
    test_expect(s->c, E_INPUT, said, "json_parse_file");
    write_file(s, "short", pointer, 22); /* one byte less than what tells a pointer */
    refuse(s, "short", "not a model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(gguf_whatever_its_name, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_model_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(lfs_pointers_are_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
