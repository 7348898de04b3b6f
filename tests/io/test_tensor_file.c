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
#include "io/gguf_set.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "support_file.h"
#include "support_gguf.h"
#include "support_oom.h"
#include "support_scratch.h"

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
    assert_non_null(mkdtemp(scratch_template(s->dir, sizeof s->dir, "tensor_file")));
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

/* ---- split models ---------------------------------------------------------------------------------------------------- */

/* A part with one F32 tensor of two elements; keys are left out where they are negative. */
struct part {
    int no, count, total;
    const char *tensor;
};

static size_t put(uint8_t *to, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = (uint8_t)(v >> 8 * i);
    return n;
}

static size_t put_name(uint8_t *to, const char *name)
{
    size_t n = put(to, strlen(name), 8);
    memcpy(to + n, name, strlen(name));
    return n + strlen(name);
}

static size_t put_key(uint8_t *to, const char *name, enum gguf_kind kind, size_t bytes, int value)
{
    if (value < 0) return 0;
    size_t n = put_name(to, name);
    n += put(to + n, kind, 4);
    return n + put(to + n, (uint64_t)value, bytes);
}

static void write_part(struct setup *s, const char *name, struct part p)
{
    uint8_t b[512] = "GGUF";
    size_t n = 4 + put(b + 4, 3, 4), keys = (size_t)((p.no >= 0) + (p.count >= 0) + (p.total >= 0));
    n += put(b + n, 1, 8);
    n += put(b + n, keys, 8);
    n += put_key(b + n, "split.no", GGUF_U16, 2, p.no);
    n += put_key(b + n, "split.count", GGUF_U16, 2, p.count);
    n += put_key(b + n, "split.tensors.count", GGUF_I32, 4, p.total);
    n += put_name(b + n, p.tensor);
    n += put(b + n, 1, 4);
    n += put(b + n, 2, 8);
    n += put(b + n, 0, 4);
    n += put(b + n, 0, 8);
    n = (n + 31) / 32 * 32;
    b[n + 3] = (uint8_t)p.no; /* the tensor's first number is its part's */
    write_file(s, name, b, n + 8);
}

static void write_three(struct setup *s)
{
    write_part(s, "m-00001-of-00003.gguf", (struct part){0, 3, 3, "a"});
    write_part(s, "m-00002-of-00003.gguf", (struct part){1, 3, -1, "b"});
    write_part(s, "m-00003-of-00003.gguf", (struct part){2, 3, 3, "c"});
}

static void split_models_are_one(void **state)
{
    struct setup *s = *state;
    static const char *const any[] = {"m-00001-of-00003.gguf", "m-00003-of-00003.gguf"};
    write_three(s);
    for (int i = 0; i < 2; i++) {
        struct tensor_file *f = tensor_file_open(s->c, path_of(s, any[i]));
        if (!f) fail_msg("%s", s->c->message);
        check_views(f, 3, "b");
        assert_string_equal(tensor_file_at(f, 2)->name, "c");
        for (uint8_t part = 0; part < 3; part++) {
            const char name[2] = {(char)('a' + part), 0};
            assert_int_equal(((const uint8_t *)tensor_file_find(f, name)->data)[3], part);
        }
        int64_t no;
        assert_true(gguf_get_i64(s->c, tensor_file_gguf(f), "split.no", &no) && no == 0); /* its metadata is the model's */
        assert_int_equal(truncate(path_of(s, "m-00002-of-00003.gguf"), 16), 0);
        assert_int_equal(tensor_file_check(s->c, f), E_IO);
        ctx_clear(s->c);
        tensor_file_close(f);
        write_three(s);
    }
    char **paths;
    size_t n;
    assert_int_equal(gguf_set_paths(s->c, path_of(s, any[1]), &paths, &n), OK);
    assert_int_equal(n, 3);
    assert_non_null(strstr(paths[0], "m-00001-of-00003.gguf"));
    dir_list_free(s->c, paths, n);
    /* Without the ending, and a model "split" into one. */
    write_part(s, "n-00001-of-00002", (struct part){0, 2, 2, "a"});
    write_part(s, "n-00002-of-00002", (struct part){1, 2, 2, "b"});
    write_part(s, "one", (struct part){0, 1, 1, "a"});
    for (int i = 0; i < 2; i++) {
        struct tensor_file *f = tensor_file_open(s->c, path_of(s, i ? "one" : "n-00001-of-00002"));
        check_views(f, i ? 1 : 2, "a");
        tensor_file_close(f);
    }
}

/* Every allocation of opening three parts fails once. */
static void splits_without_memory(void **state)
{
    struct setup *s = *state;
    write_three(s);
    for (long at = 0;; at++) {
        struct oom oom = {.fail_at = -1, .once = true};
        struct ctx *c = oom_ctx(&oom);
        assert_non_null(c);
        const long before = oom.live;
        char **paths = NULL;
        size_t n;
        oom.calls = 0;
        oom.fail_at = at;
        enum status status = gguf_set_paths(c, path_of(s, "m-00001-of-00003.gguf"), &paths, &n);
        bool is_through = oom.calls <= at;
        if (is_through) dir_list_free(c, paths, n);
        assert_int_equal(status, is_through ? OK : E_MEMORY);
        assert_int_equal(oom.live, before);
        ctx_free(c);
        if (!is_through) continue;
        assert_true(at > 20);
        break;
    }
}

static void refuse(struct setup *s, const char *name, const char *part);

static void bad_splits_are_named(void **state)
{
    struct setup *s = *state;
    static const char first[] = "m-00001-of-00003.gguf", second[] = "m-00002-of-00003.gguf";
    write_three(s);
    assert_int_equal(unlink(path_of(s, second)), 0);
    refuse(s, first, "m-00002-of-00003.gguf: part 2 of 3 of this model is missing");
    write_part(s, second, (struct part){1, 4, -1, "b"});
    refuse(s, first, "its name says part 2 of 3, but split.no and split.count say part 2 of 4");
    write_part(s, second, (struct part){2, 3, -1, "b"});
    refuse(s, first, "say part 3 of 3");
    write_part(s, second, (struct part){-1, -1, -1, "b"});
    refuse(s, first, "say part 1 of 1");
    write_part(s, second, (struct part){1, 3, -1, "a"});
    refuse(s, first, "tensor \"a\" is in two parts");
    write_part(s, second, (struct part){1, 3, -1, "b"});
    write_part(s, first, (struct part){0, 3, 7, "a"});
    refuse(s, first, "the parts hold 3 tensors, but split.tensors.count is 7");
    write_part(s, first, (struct part){3, 3, 3, "a"});
    refuse(s, first, "split.no is missing, or not below split.count");
    write_part(s, first, (struct part){-1, 3, 3, "a"});
    refuse(s, first, "split.no is missing");
    write_part(s, first, (struct part){0, 1025, 3, "a"});
    refuse(s, first, "split.count is above 1024");
    write_part(s, "renamed.gguf", (struct part){1, 3, 3, "a"});
    refuse(s, "renamed.gguf", "this is part 2 of 3 of a split model");
    write_file(s, second, "hello", 5);
    write_part(s, first, (struct part){0, 3, 3, "a"});
    refuse(s, first, "m-00002-of-00003.gguf: ");
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
    assert_int_equal(dir_make(s->c, path_of(s, "adapter")), OK);
    write_file(s, "adapter/adapter_config.json", "{}", 2);
    refuse(s, "adapter", "this is an adapter, not a model");
    refuse(s, NULL, "this is the folder of a run, not a model");
    write_file(s, "model.safetensors", "hello", 5); /* a model may have an adapter beside it */
    refuse(s, NULL, "model.safetensors: ");
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
        cmocka_unit_test_setup_teardown(split_models_are_one, setup, teardown),
        cmocka_unit_test_setup_teardown(splits_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_splits_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_model_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(lfs_pointers_are_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
