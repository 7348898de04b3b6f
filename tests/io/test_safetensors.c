/* Reader and writer of safetensors: the vectors that the reference library judged, sharded sets, a million tensors, damage
 * of every byte, memory that fails, and bytes equal to the reference writer's. */
#include "io/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "io/json.h"
#include "support_file.h"
#include "support_scratch.h"

static char folder[64]; /* a scratch folder for tests that need names */

static const char *in_folder(const char *name)
{
    static char path[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static void put(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(in_folder(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(scratch_template(folder, sizeof folder, "safetensors")) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    enum status status = dir_remove(c, folder);
    ctx_free(c);
    return status == OK ? 0 : -1;
}

/* ---- vectors ---- */

static void check_tensor(const struct safetensors *s, const json_t *expected, const char *label)
{
    const char *name = json_string_value(json_object_get(expected, "name"));
    const json_t *shape = json_object_get(expected, "shape");
    const struct tensor_view *v = safetensors_find(s, name);
    size_t n;
    if (!v) fail_msg("%s: tensor \"%s\" not found", label, name);
    assert_string_equal(v->name, name);
    assert_string_equal(tensor_type_info(v->type)->name, json_string_value(json_object_get(expected, "dtype")));
    assert_int_equal(v->ndim, json_array_size(shape));
    for (int i = 0; i < v->ndim; i++) assert_int_equal(v->shape[i], json_integer_value(json_array_get(shape, (size_t)i)));
    uint8_t *bytes = test_unhex(json_string_value(json_object_get(expected, "hex")), &n);
    assert_int_equal(v->bytes, n);
    if (memcmp(v->data, bytes, n) != 0) fail_msg("%s: tensor \"%s\" has other bytes", label, name);
    free(bytes);
}

static void check_accepted(struct ctx *c, const char *path, const json_t *v, const char *label)
{
    struct safetensors *s = safetensors_open(c, path);
    const json_t *tensors = json_object_get(v, "tensors");
    if (!s) fail_msg("%s: refused: %s", label, c->message);
    assert_int_equal(safetensors_count(s), json_array_size(tensors));
    for (size_t i = 0; i < json_array_size(tensors); i++) check_tensor(s, json_array_get(tensors, i), label);
    for (size_t i = 1; i < safetensors_count(s); i++) {
        assert_true(strcmp(safetensors_tensor(s, i - 1)->name, safetensors_tensor(s, i)->name) < 0);
    }
    assert_null(safetensors_find(s, "no such tensor"));
    assert_int_equal(safetensors_check(c, s), OK);
    safetensors_close(s);
}

static void check_vector(struct ctx *c, const json_t *v)
{
    const char *label = json_string_value(json_object_get(v, "name"));
    const char *expect = json_string_value(json_object_get(v, "expect"));
    size_t n;
    uint8_t *bytes = test_unhex(json_string_value(json_object_get(v, "hex")), &n);
    const char *path = test_file(bytes, n);
    free(bytes);
    size_t before = c->alloc_bytes;
    c->alloc_peak = before;
    if (strcmp(expect, "ok") == 0) {
        check_accepted(c, path, v, label);
    } else {
        enum status status = strcmp(expect, "unsupported") == 0 ? E_UNSUPPORTED : E_INPUT;
        assert_null(safetensors_open(c, path));
        if (!strstr(c->message, path)) fail_msg("%s: the message does not name the file: %s", label, c->message);
        test_expect(c, status, json_string_value(json_object_get(v, "message")), label);
    }
    assert_int_equal(c->alloc_bytes, before);
    if (c->alloc_peak - before > 8 * n + 8192) fail_msg("%s: %zu bytes for a file of %zu", label, c->alloc_peak - before, n);
}

/* Line `wanted` of the vectors file (0 is its header) or, with NULL, all through fn. */
static size_t each_vector(struct ctx *c, void (*fn)(struct ctx *c, const json_t *v))
{
    size_t n, count = 0;
    char *text = test_load(TEST_DATA "/io/safetensors_vectors.jsonl", &n);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, count++) {
        json_t *v = json_parse(c, "safetensors_vectors.jsonl", line, (size_t)(end - line));
        assert_non_null(v);
        if (count > 0) fn(c, v);
        json_decref(v);
    }
    free(text);
    return count - 1;
}

static void test_vectors(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_true(each_vector(c, check_vector) >= 60);
    ctx_free(c);
}

/* ---- the writer ---- */

static int by_data(const void *a, const void *b)
{
    const struct tensor_view *x = *(const struct tensor_view *const *)a, *y = *(const struct tensor_view *const *)b;
    return (x->data > y->data) - (x->data < y->data);
}

/* Writes what `s` holds, in the order of its data, in pieces of odd sizes. */
static void write_copy(struct ctx *c, const struct safetensors *s, const char *path)
{
    size_t n = safetensors_count(s);
    const struct tensor_view **order = calloc(n + 1, sizeof *order);
    struct safetensors_entry *entries = calloc(n + 1, sizeof *entries);
    for (size_t i = 0; i < n; i++) order[i] = safetensors_tensor(s, i);
    qsort(order, n, sizeof *order, by_data);
    for (size_t i = 0; i < n; i++) {
        entries[i] = (struct safetensors_entry){order[i]->name, order[i]->type, order[i]->ndim, {0}};
        memcpy(entries[i].shape, order[i]->shape, sizeof entries[i].shape);
    }
    struct safetensors_writer *w = safetensors_create(c, path, entries, n, NULL, 0);
    assert_non_null(w);
    for (size_t i = 0; i < n; i++) {
        size_t first = order[i]->bytes < 3 ? order[i]->bytes : 3;
        safetensors_write(w, order[i]->data, first);
        safetensors_write(w, (const char *)order[i]->data + first, order[i]->bytes - first);
    }
    assert_int_equal(safetensors_commit(w), OK);
    free(order);
    free(entries);
}

/* The reference's file with {"format":"pt"} and twelve tensors of two dtypes: ours must be the same bytes. */
static void compare_with_library(struct ctx *c, const json_t *v)
{
    if (strcmp(json_string_value(json_object_get(v, "name")), "library_many") != 0) return;
    size_t n, n_ours;
    uint8_t *bytes = test_unhex(json_string_value(json_object_get(v, "hex")), &n);
    struct safetensors *s = safetensors_open(c, test_file(bytes, n));
    assert_non_null(s);
    assert_string_equal(safetensors_metadata(s, "format"), "pt");
    assert_null(safetensors_metadata(s, "formats"));
    write_copy(c, s, in_folder("copy.safetensors"));
    safetensors_close(s);
    char *ours = test_load(in_folder("copy.safetensors"), &n_ours);
    assert_int_equal(n_ours, n);
    assert_memory_equal(ours, bytes, n);
    free(ours);
    free(bytes);
}

static void test_writer_equals_library(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    each_vector(c, compare_with_library);
    assert_true(file_exists(in_folder("copy.safetensors")));
    ctx_free(c);
}

static void test_writer_metadata_and_padding(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    static const char *const metadata[] = {"note", "line\n\"two\" \xc3\xa9", "base_sha256", "00"};
    struct safetensors_entry e = {"w\"1\n", TENSOR_BF16, 2, {3, 1}};
    for (int pad = 0; pad < 8; pad++) { /* names of eight lengths: every amount of padding */
        char name[16] = "wwwwwwww";
        name[pad + 1] = 0;
        e.name = pad ? name : "w\"1\n";
        struct safetensors_writer *w = safetensors_create(c, in_folder("m.safetensors"), &e, 1, metadata, 2);
        assert_non_null(w);
        safetensors_write(w, "abcdef", 6);
        assert_int_equal(safetensors_commit(w), OK);
        struct safetensors *s = safetensors_open(c, in_folder("m.safetensors"));
        if (!s) fail_msg("%s", c->message);
        const struct tensor_view *v = safetensors_find(s, e.name);
        assert_non_null(v);
        assert_true(tensor_is_aligned(v) && (uintptr_t)v->data % 8 == 0);
        assert_memory_equal(v->data, "abcdef", 6);
        assert_string_equal(safetensors_metadata(s, "note"), metadata[1]);
        assert_string_equal(safetensors_metadata(s, "base_sha256"), "00");
        assert_string_equal(safetensors_metadata(s, "format"), "pt");
        safetensors_close(s);
    }
    ctx_free(c);
}

static void test_writer_abort_leaves_nothing(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct safetensors_entry e = {"w", TENSOR_F32, 1, {4}};
    char **names;
    size_t n;
    assert_int_equal(dir_make(c, in_folder("aborted")), OK);
    struct safetensors_writer *w = safetensors_create(c, in_folder("aborted/a.safetensors"), &e, 1, NULL, 0);
    assert_non_null(w);
    safetensors_write(w, "abcd", 4);
    safetensors_abort(w);
    assert_int_equal(dir_list(c, in_folder("aborted"), &names, &n), OK);
    assert_int_equal(n, 0);
    dir_list_free(c, names, n);
    assert_int_equal(c->alloc_bytes, 0);
    safetensors_abort(NULL);
    assert_null(safetensors_create(c, in_folder("no/such/folder/a.safetensors"), &e, 1, NULL, 0));
    assert_false(ctx_ok(c));
    ctx_clear(c);
    e.shape[0] = INT64_MAX;
    assert_null(safetensors_create(c, in_folder("big.safetensors"), &e, 1, NULL, 0));
    test_expect(c, E_INPUT, "too large", "shape");
    ctx_free(c);
}

/* ---- damage ---- */

/* library_many, cut at every byte (always refused) and with every bit of its header flipped (any verdict, no crash). */
static void damage(struct ctx *c, const json_t *v)
{
    if (strcmp(json_string_value(json_object_get(v, "name")), "library_many") != 0) return;
    size_t n, before = c->alloc_bytes;
    uint8_t *bytes = test_unhex(json_string_value(json_object_get(v, "hex")), &n);
    for (size_t cut = 0; cut < n; cut++) {
        assert_null(safetensors_open(c, test_file(bytes, cut)));
        assert_int_equal(c->status, E_INPUT);
        ctx_clear(c);
    }
    size_t header_bytes = 8 + bytes[0] + 256u * bytes[1];
    for (size_t bit = 0; bit < 8 * header_bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct safetensors *s = safetensors_open(c, test_file(bytes, n));
        if (!s && c->status != E_INPUT && c->status != E_UNSUPPORTED) fail_msg("bit %zu: %s", bit, c->message);
        safetensors_close(s);
        ctx_clear(c);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(c->alloc_bytes, before);
    free(bytes);
}

static void test_damage(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    each_vector(c, damage);
    ctx_free(c);
}

/* A million tensors, names in falling order so that sorting has work: memory stays within the promise of docs/io.md. */
static void test_a_million_tensors(void **state)
{
    (void)state;
    enum { N = 1000000, ROOM = N * 80 };
    struct ctx *c = ctx_new(NULL);
    char *file = malloc(ROOM);
    assert_non_null(file);
    size_t at = 8;
    file[at++] = '{';
    for (int i = 0; i < N; i++) {
        at += (size_t)snprintf(file + at, 80, "%s\"t%07d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                               i ? "," : "", N - 1 - i);
    }
    file[at++] = '}';
    for (int i = 0; i < 8; i++) file[i] = (char)((uint64_t)(at - 8) >> (8 * i) & 0xff);
    const char *path = test_file(file, at);
    free(file);
    size_t before = c->alloc_bytes;
    c->alloc_peak = before;
    struct safetensors *s = safetensors_open(c, path);
    if (!s) fail_msg("%s", c->message);
    assert_int_equal(safetensors_count(s), N);
    assert_string_equal(safetensors_tensor(s, 12345)->name, "t0012345");
    assert_non_null(safetensors_find(s, "t0999999"));
    if (c->alloc_peak - before > 8 * at + (16u << 20)) fail_msg("%zu bytes for a header of %zu", c->alloc_peak - before, at);
    safetensors_close(s);
    ctx_free(c);
    test_file("", 0);
}

static void test_truncated_while_mapped(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    size_t n_data = 1 << 16;
    char *bytes = calloc(1, n_data + 200);
    int n = snprintf(bytes + 8, 192, "{\"w\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}", n_data, n_data);
    bytes[0] = (char)n;
    struct safetensors *s = safetensors_open(c, test_file(bytes, 8 + (size_t)n + n_data));
    assert_non_null(s);
    assert_int_equal(safetensors_check(c, s), OK);
    test_file_truncate(4096);
    const struct tensor_view *v = safetensors_find(s, "w");
    assert_int_equal(((const volatile uint8_t *)v->data)[n_data - 1], 0); /* no SIGBUS */
    assert_int_equal(safetensors_check(c, s), E_IO);
    safetensors_close(s);
    free(bytes);
    ctx_free(c);
}

/* ---- sharded sets ---- */

static void put_shard(struct ctx *c, const char *file, const char *a, const char *b)
{
    struct safetensors_entry entries[2] = {{a, TENSOR_U8, 1, {2}}, {b, TENSOR_F32, 1, {1}}};
    const char *metadata[] = {"file", file};
    struct safetensors_writer *w = safetensors_create(c, in_folder(file), entries, b ? 2 : 1, metadata, 1);
    assert_non_null(w);
    safetensors_write(w, "xy", 2);
    if (b) safetensors_write(w, "\0\0\x80\x3f", 4);
    assert_int_equal(safetensors_commit(w), OK);
}

#define INDEX "model.safetensors.index.json"
#define S1    "model-00001-of-00002.safetensors"
#define S2    "model-00002-of-00002.safetensors"

static void test_sharded(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    put_shard(c, S1, "a", "c");
    put_shard(c, S2, "b", NULL);
    put_text(INDEX, "{\"metadata\":{\"total_size\":1e99,\"x\":[1,{}]},\"weight_map\":{\"b\":\"" S2 "\",\"a\":\"" S1
                    "\",\"c\":\"" S1 "\"}}");
    struct safetensors *s = safetensors_open_dir(c, folder);
    if (!s) fail_msg("%s", c->message);
    assert_int_equal(safetensors_count(s), 3);
    assert_string_equal(safetensors_tensor(s, 0)->name, "a");
    assert_string_equal(safetensors_tensor(s, 1)->name, "b");
    assert_int_equal(safetensors_find(s, "c")->type, TENSOR_F32);
    assert_string_equal(safetensors_metadata(s, "file"), S1);
    assert_int_equal(safetensors_check(c, s), OK);
    safetensors_close(s);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void test_sharded_refused(void **state)
{
    (void)state;
    static const struct {
        const char *index, *message;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S2 "\"}}", "tensor \"c\" of " S1 " is not in the index"},
        {"{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S2 "\",\"c\":\"" S1 "\",\"d\":\"" S1 "\"}}", "\"d\" is not in " S1},
        {"{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S2 "\",\"bb\":\"" S1 "\",\"c\":\"" S1 "\"}}", "\"bb\" is not in"},
        {"{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S1 "\",\"c\":\"" S1 "\"}}", "tensor \"b\" is not in"},
        {"{\"weight_map\":{\"a\":\"" S2 "\",\"b\":\"" S2 "\",\"c\":\"" S1 "\"}}", "tensor \"a\" is not in " S2},
        {"{\"weight_map\":{\"a\":\"" S1 "\",\"a\":\"" S1 "\",\"b\":\"" S2 "\",\"c\":\"" S1 "\"}}", "duplicate tensor \"a\""},
        {"{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"three.safetensors\",\"c\":\"" S1 "\"}}", "is not in the folder"},
        {"{\"weight_map\":{\"a\":\"../" S1 "\"}}", "not a plain"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "not a plain"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "not a plain"},
        {"{\"weight_map\":{\"a\":\"\"}}", "not a plain"},
        {"{\"weight_map\":{\"a\":\".safetensors\"}}", "not a plain"},
        {"{\"weight_map\":{\"a\":\".x.safetensors\"}}", "not a plain"},
        {"{\"weight_map\":{\"a\":\"sub\\\\x.safetensors\"}}", "not a plain"},
        {"{\"weight_map\":{\"a\":\"model.bin\"}}", "not a plain"},
        {"{\"weight_map\":{\"a\":\"x\\u0000.safetensors\"}}", "U+0000"},
        {"{\"weight_map\":{\"a\":1}}", "shard name is not a string"},
        {"{\"weight_map\":[]}", "weight_map is not an object"},
        {"{\"weight_map\":{},\"weight_map\":{}}", "duplicate key"},
        {"{\"metadata\":{}}", "weight_map is missing"},
        {"[]", "not an object"},
        {"{\"weight_map\":{\"a\":\"" S1, "unterminated"},
        {"", "unexpected end"},
    };
    struct ctx *c = ctx_new(NULL);
    put_shard(c, S1, "a", "c");
    put_shard(c, S2, "b", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_text(INDEX, cases[i].index);
        assert_null(safetensors_open_dir(c, folder));
        test_expect(c, E_INPUT, cases[i].message, cases[i].index);
        assert_int_equal(c->alloc_bytes, 0);
    }
    put_text(INDEX, "{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S2 "\",\"c\":\"" S1 "\"}}");
    put_shard(c, S2, "a", NULL);
    assert_null(safetensors_open_dir(c, folder));
    test_expect(c, E_INPUT, "duplicate tensor \"a\"", "the same tensor in two shards");
    put_text(S2, "{}");
    assert_null(safetensors_open_dir(c, folder));
    test_expect(c, E_INPUT, "too short", "a damaged shard");
    ctx_free(c);
}

static void test_too_many_shards(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct buf b;
    buf_init(&b, c, 1 << 20);
    buf_append_str(&b, "{\"weight_map\":{");
    for (int i = 0; i < 1025; i++) buf_printf(&b, "%s\"t%d\":\"m%d.safetensors\"", i ? "," : "", i, i);
    buf_append_str(&b, "}}");
    put_text(INDEX, buf_str(&b));
    buf_release(&b);
    assert_null(safetensors_open_dir(c, folder));
    test_expect(c, E_INPUT, "more than 1024 shards", "shards");
    ctx_free(c);
}

static void test_folder_without_index(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    unlink(in_folder(INDEX));
    unlink(in_folder("model.safetensors"));
    assert_null(safetensors_open_dir(c, folder));
    test_expect(c, E_INPUT, "no model.safetensors", "an empty folder");
    put_shard(c, "model.safetensors", "a", NULL);
    struct safetensors *s = safetensors_open_dir(c, folder);
    assert_non_null(s);
    assert_int_equal(safetensors_count(s), 1);
    safetensors_close(s);
    assert_null(safetensors_open(c, in_folder("absent.safetensors")));
    assert_false(ctx_ok(c));
    assert_null(safetensors_open(c, in_folder("model.safetensors"))); /* a failed ctx stays failed */
    ctx_clear(c);
    safetensors_close(NULL);
    ctx_free(c);
}

/* ---- memory that fails ---- */

static void open_and_close(struct ctx *c)
{
    safetensors_close(safetensors_open_dir(c, folder));
}

static void write_and_open(struct ctx *c)
{
    struct safetensors_entry e[2] = {{"a", TENSOR_U8, 1, {2}}, {"b", TENSOR_U8, 1, {1}}};
    struct safetensors_writer *w = safetensors_create(c, in_folder("oom.safetensors"), e, 2, NULL, 0);
    if (!w) return;
    safetensors_write(w, "xyz", 3);
    if (ctx_ok(c))
        safetensors_commit(w);
    else
        safetensors_abort(w);
    safetensors_close(safetensors_open(c, in_folder("oom.safetensors")));
}

static void test_memory_fails(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    put_shard(c, S1, "a", "c");
    put_shard(c, S2, "b", NULL);
    put_text(INDEX, "{\"weight_map\":{\"b\":\"" S2 "\",\"\\u0061\":\"" S1 "\",\"c\":\"" S1 "\"}}");
    ctx_free(c);
    assert_true(test_every_allocation(open_and_close) > 10);
    assert_true(test_every_allocation(write_and_open) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_writer_equals_library),
        cmocka_unit_test(test_writer_metadata_and_padding),
        cmocka_unit_test(test_writer_abort_leaves_nothing),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_a_million_tensors),
        cmocka_unit_test(test_truncated_while_mapped),
        cmocka_unit_test(test_sharded),
        cmocka_unit_test(test_sharded_refused),
        cmocka_unit_test(test_too_many_shards),
        cmocka_unit_test(test_folder_without_index),
        cmocka_unit_test(test_memory_fails),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
