/* Files of rows in every shape, packed and not, and what is none. */
#include "base/support_base.c" /* the scratch folder */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <sys/stat.h>
#include <zstd.h>

#include "base/file.h"
#include "io/packed_file.h"
#include "io/row_file.h"
#include "io/row_line.h"

/* Reads a file; the rows as "NUMBER=BYTES|NUMBER=BYTES|". NULL when it fails (the ctx says why). */
static const char *read_rows(struct ctx *c, const char *path)
{
    static char out[1 << 16];
    size_t n = 0;
    struct row_bytes row;
    struct row_file *f = row_file_open(c, path);
    if (!f) return NULL;
    while (row_file_next(f, &row)) {
        assert_false(row.too_long);
        n += (size_t)sprintf(out + n, "%lld=", (long long)row.row);
        memcpy(out + n, row.bytes, row.n);
        n += row.n;
        out[n++] = '|';
    }
    out[n] = '\0';
    if (ctx_ok(c)) {
        char hex[65], other[65];
        uint64_t bytes, other_bytes;
        row_file_digest(f, &bytes, hex);
        if (strcmp(path, "-") != 0) {
            assert_int_equal(file_sha256(c, path, other, &other_bytes), OK);
            assert_int_equal(bytes, other_bytes);
            assert_string_equal(hex, other);
        }
    }
    row_file_close(f);
    return ctx_ok(c) ? out : NULL;
}

/* The same by batches, lines taken apart by row_line_next. */
static const char *read_batches(struct ctx *c, const char *path)
{
    static char out[1 << 16];
    size_t n = 0;
    struct row_batch batch = {0};
    struct row_file *f = row_file_open(c, path);
    while (f && row_file_fill(f, &batch) == OK && batch.n_spans > 0)
        for (size_t i = 0; i < batch.n_spans; i++) {
            const struct row_span *s = &batch.spans[i];
            const char *bytes = batch.bytes + s->at;
            size_t at = 0, row_at = 0, row_n = s->n;
            assert_false(s->too_long);
            while (s->is_line ? row_line_next(bytes, s->n, &at, &row_at, &row_n) : at++ == 0)
                n += (size_t)sprintf(out + n, "%lld=%.*s|", (long long)s->row, (int)row_n, bytes + row_at);
        }
    out[n] = '\0';
    if (f && ctx_ok(c) && strcmp(path, "-") != 0) {
        char hex[65], other[65];
        uint64_t bytes, other_bytes;
        row_file_digest(f, &bytes, hex);
        assert_int_equal(file_sha256(c, path, other, &other_bytes), OK);
        assert_int_equal(bytes, other_bytes);
        assert_string_equal(hex, other);
    }
    row_file_close(f);
    row_batch_release(c, &batch);
    return ctx_ok(c) ? out : NULL;
}

static const char *write_file(const char *name, const void *bytes, size_t n)
{
    scratch_write(name, bytes, n);
    return scratch_path(name);
}

static const struct shape {
    const char *bytes, *rows;
} shapes[] = {
    {"{\"a\":1}\n{\"b\":2}\n", "1={\"a\":1}|2={\"b\":2}|"},
    {"{\"a\":1}\n{\"b\":2}", "1={\"a\":1}|2={\"b\":2}|"},
    {"\xEF\xBB\xBF{\"a\":1}\r\n\r\n  \t\n{\"b\":2}\r\n", "1={\"a\":1}|4={\"b\":2}|"},
    {"{\"a\":1} {\"b\":2}{\"c\":3}\n{\"d\":4}", "1={\"a\":1}|1={\"b\":2}|1={\"c\":3}|2={\"d\":4}|"},
    /* a broken row costs its line */
    {"{\"a\":1}\n{\"b\":[\n{\"c\":3}\n", "1={\"a\":1}|2={\"b\":[|3={\"c\":3}|"},
    {"{\"a\":\"x\n{\"c\":3}\n", "1={\"a\":\"x|2={\"c\":3}|"},
    {"{\"a\":1}\nwords, words\n\"}{\"\n}\n{\"c\":3}", "1={\"a\":1}|2=words, words|3=\"}{\"|4=}|5={\"c\":3}|"},
    {"{\"a\":\"}{\\\"}\\\\\"}\n{\"b\":\"\\\\\"}", "1={\"a\":\"}{\\\"}\\\\\"}|2={\"b\":\"\\\\\"}|"},
    /* objects of several lines */
    {"{\n  \"a\": 1\n}\n{\n  \"b\": [\n2]\n}\n", "1={\n  \"a\": 1\n}|4={\n  \"b\": [\n2]\n}|"},
    {"{ \"a\": 1,\r\n \"b\":\r\n2}{\"c\":3}\n", "1={ \"a\": 1,\r\n \"b\":\r\n2}|3={\"c\":3}|"},
    {"{\n\"a\": 1", "1={\n\"a\": 1|"},
    {"{\"a\":[\n{\"b\":1}\n]}\n{\"c\":3}\n", "1={\"a\":[\n{\"b\":1}\n]}|4={\"c\":3}|"},
    {"{\"a\":[\n{\"b\":1},\n{\"b\":2}\n,{\"b\":3}]}", "1={\"a\":[\n{\"b\":1},\n{\"b\":2}\n,{\"b\":3}]}|"},
    {"{\n\"a\":\n{}\n,\"b\":{\n}\n}", "1={\n\"a\":\n{}\n,\"b\":{\n}\n}|"},
    /* a broken first line that ends as if it went on: rows follow, and it costs its line only */
    {"{\"a\":[\n{\"b\":2}\n{\"c\":3}\n", "1={\"a\":[|2={\"b\":2}|3={\"c\":3}|"},
    {"{\"a\":1,\n\n{\"b\":\"}\"}\r\n \n{\"c\":3}", "1={\"a\":1,|3={\"b\":\"}\"}|5={\"c\":3}|"},
    {"{\"a\":\n{\"b\":{}}\n", "1={\"a\":|2={\"b\":{}}|"},
    {"{\"a\":{\n{\"b\":[\n{\"c\":3}\nwords\n{\"d\":4}", "1={\"a\":{|2={\"b\":[|3={\"c\":3}|4=words|5={\"d\":4}|"},
    /* arrays */
    {"[{\"a\":1}, {\"b\":[2]}]\n", "1={\"a\":1}|2={\"b\":[2]}|"},
    {" \n[\n  {\n\"a\": \"],\"\n  }\n,\n {\"b\":2}\n]\n \n", "1={\n\"a\": \"],\"\n  }|2={\"b\":2}|"},
    {"[]", ""},
    {"[ \n ]\n", ""},
    {"[7,\"x,y\",[1,2],null , {}]", "1=7|2=\"x,y\"|3=[1,2]|4=null |5={}|"},
    /* nothing */
    {"", ""},
    {"\xEF\xBB\xBF", ""},
    {" \n\n", ""},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static void every_shape_is_read(void **state)
{
    struct ctx *c = *state;
    for (int i = 0; i < N_SHAPES; i++) {
        const char *rows = read_rows(c, write_file("rows.jsonl", shapes[i].bytes, strlen(shapes[i].bytes)));
        if (!rows) fail_msg("shape %d: %s", i, c->message);
        assert_string_equal(rows, shapes[i].rows);
        assert_string_equal(read_batches(c, scratch_path("rows.jsonl")), shapes[i].rows);
    }
}

/* Lines over the borders of blocks, batches and the file's first chunk: the same rows and the same digest by batches as one
 * by one; and a first line with a second object on it, which is read by both ways of taking rows. */
static void batches_have_the_rows_of_single_reads(void **state)
{
    struct ctx *c = *state;
    enum { ROWS = 4000 };
    const char *path = scratch_path("many.jsonl");
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fputs("{\"a\":1} {\"b\":2}\n", out);
    for (unsigned i = 0, r = 1; i < ROWS; i++, r = r * 1664525 + 1013904223)
        fprintf(out, "%s{\"i\":%u,\"x\":\"%0*d\"}%s", r >> 28 ? "" : "\n \n", i, (int)(r >> 18), 0,
                r >> 29 ? "\n" : " \r\n");
    assert_int_equal(fclose(out), 0);
    struct row_file *one = row_file_open(c, path), *many = row_file_open(c, path);
    struct row_batch batch = {0};
    struct row_bytes row;
    int64_t rows = 0;
    char hex[65], other[65];
    uint64_t bytes;
    while (row_file_fill(many, &batch) == OK && batch.n_spans > 0)
        for (size_t i = 0; i < batch.n_spans; i++) {
            const struct row_span *s = &batch.spans[i];
            assert_true(row_file_next(one, &row));
            assert_int_equal(s->row, row.row);
            assert_int_equal(s->n, row.n);
            assert_memory_equal(batch.bytes + s->at, row.bytes, row.n);
            rows++;
        }
    assert_int_equal(rows, ROWS + 2);
    assert_false(row_file_next(one, &row));
    assert_int_equal(row_file_taken(many), row_file_size(many));
    row_file_digest(one, &bytes, hex);
    row_file_digest(many, &bytes, other);
    assert_string_equal(hex, other);
    row_batch_release(c, &batch);
    row_file_close(one);
    row_file_close(many);
}

static size_t gzip(const void *bytes, size_t n, uint8_t *out, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)bytes;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static const struct {
    const char *bytes;
    size_t n;
    const char *message;
} foreign[] = {
    {"[{\"a\":1} {\"b\":2}]", 0, "a comma is missing between two items"},
    {"[{\"a\":1},]", 0, "an item is missing behind a comma"},
    {"[,{\"a\":1}]", 0, "a comma is missing"},
    {"[{\"a\":1},\n", 0, "line 2: the array is not closed"},
    {"[{\"a\":1}", 0, "the array is not closed"},
    {"[{\"a\":1}]\n[{\"b\":1}]", 0, "something follows the end of the array"},
    {"\xff\xfe{\0\"\0a\0", 8, "is UTF-16"},
    {"\xfe\xff\0{\0\"", 6, "is UTF-16"},
    {"{\0\"\0a\0", 6, "is UTF-16 text: convert it with iconv -f UTF-16LE"},
    {"\0{\0\"\0a", 6, "is UTF-16 text: convert it with iconv -f UTF-16BE"},
    {"\xff\xfe\0\0{\0\0\0", 8, "is UTF-32"},
    {"PK\3\4rest", 0, "is a ZIP archive"},
    {"BZh91AY", 0, "is packed by bzip2"},
    {"\xfd"
     "7zXZ\0\0",
     7, "is packed by xz"},
    {"ARROW1\0\0", 8, "is an Arrow"},
    {"SQLite format 3", 0, "is an SQLite"},
    {"<!DOCTYPE html>", 0, "is a web page"},
    {"version https://git-lfs.github.com/spec/v1\noid", 0, "Git LFS pointer"},
    {"\x10\1\0\0\0\0\0\0{\"a\":{}}", 16, "is a safetensors file: models are given by -m"},
    {"\x80\4\x95rest", 0, "is a Python pickle"},
    {"\x93NUMPY\1", 0, "is a NumPy array"},
    {"instruction,output\nSay hi,hi\n", 0, "is a CSV table"},
    {"\"text\",\"auth_weight\"\r\n\"a\",1\r\n", 0, "is a CSV table"},
    {"id\ttext\n1\thi\n", 0, "is a TSV table"},
    {"prompt;answer\n", 0, "--ifs semicolon"},
};

static void what_is_no_file_of_rows_is_named(void **state)
{
    struct ctx *c = *state;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        size_t n = foreign[i].n ? foreign[i].n : strlen(foreign[i].bytes);
        if (read_rows(c, write_file("rows.jsonl", foreign[i].bytes, n))) fail_msg("%zu was accepted", i);
        assert_non_null(strstr(c->message, "rows.jsonl: "));
        assert_failed(c, E_INPUT, foreign[i].message);
    }
    char tar[512] = "rows.jsonl";
    memcpy(tar + 257, "ustar", 5);
    assert_null(read_rows(c, write_file("rows.tar", tar, sizeof tar)));
    assert_failed(c, E_INPUT, "is a tar archive");
    uint8_t once[64], twice[128];
    size_t n = gzip("{\"a\":1}", 7, once, sizeof once);
    assert_null(read_rows(c, write_file("rows.gz", twice, gzip(once, n, twice, sizeof twice))));
    assert_failed(c, E_INPUT, "is packed twice: unpack it once (gunzip)");
}

static char text_warning[512];

static void keep_text_warning(void *user, enum log_level level, const char *message)
{
    (void)user;
    if (level == LOG_WARN) snprintf(text_warning, sizeof text_warning, "%s", message);
}

/* A name makes a file a text, whatever it begins with, but not bytes that are none; rows in it are pointed out. */
static void texts_that_are_something_else(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
        const char *refused, *warned;
    } cases[] = {{"a.txt", "ORC and <!DOCTYPE, text,prompt", 0, NULL, NULL},
                 {"a.TXT", "plain", 0, NULL, NULL},
                 {"a.txt", "{curly} and [square]", 0, NULL, NULL},
                 {"a.txt", "[1] a footnote", 0, NULL, NULL},
                 {"a.txt", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n", 0, NULL, "a.txt: is read as one text for its name"},
                 {"a.txt", "\xef\xbb\xbf[\n  {\n \"text\": 1}]", 0, NULL, "call it *.jsonl"},
                 {"a.txt", "\xff\xfeh\0i\0", 6, "a.txt: is UTF-16 text: convert it with iconv", NULL},
                 {"a.txt", "PK\3\4rest", 0, "is a ZIP archive", NULL}};
    struct ctx *c = *state;
    struct ctx_hooks saved = c->hooks;
    c->hooks.log = keep_text_warning;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct row_bytes row;
        text_warning[0] = '\0';
        struct row_file *f =
            row_file_open(c, write_file(cases[i].name, cases[i].bytes, cases[i].n ? cases[i].n : strlen(cases[i].bytes)));
        assert_non_null(f);
        assert_true(row_file_next(f, &row) == !cases[i].refused);
        row_file_close(f);
        if (cases[i].refused) assert_failed(c, E_INPUT, cases[i].refused);
        assert_true(ctx_ok(c));
        assert_true(cases[i].warned ? strstr(text_warning, cases[i].warned) != NULL : text_warning[0] == '\0');
    }
    c->hooks = saved;
}

static void pipes_are_pointed_to_standard_input(void **state)
{
    struct ctx *c = *state;
    assert_int_equal(mkfifo(scratch_path("pipe"), 0600), 0);
    assert_null(read_rows(c, scratch_path("pipe")));
    assert_failed(c, E_INPUT, "is a pipe, which can be read only as standard input: give - for its name");
}

static void texts_are_one_row(void **state)
{
    struct ctx *c = *state;
    struct row_bytes row;
    const char *path = write_file("a.txt", "\xEF\xBB\xBFone\n\n{\"two\"\n", 15);
    assert_string_equal(read_rows(c, path), "1=one\n\n{\"two\"\n|");
    struct row_file *f = row_file_open(c, path);
    assert_true(row_file_next(f, &row) && row.is_text);
    assert_false(row_file_next(f, &row));
    assert_false(row_file_next(f, &row));
    row_file_close(f);
    assert_string_equal(read_rows(c, write_file("b.txt", " \n", 2)), "");
    assert_string_equal(read_rows(c, write_file("c.txt", "", 0)), "");
    row_file_close(NULL);
}

/* NUL bytes decide nothing: a broken first line costs its line only, and in an array they are no comma. */
static void nul_bytes_are_bytes(void **state)
{
    struct ctx *c = *state;
    static const char lines[] = "{\"a\":\0\n{\"b\":2}\n", array[] = "[{\"a\":1},\0{\"b\":2}]";
    struct row_bytes row;
    struct row_file *f = row_file_open(c, write_file("rows.jsonl", lines, sizeof lines - 1));
    assert_true(row_file_next(f, &row));
    assert_int_equal(row.n, 6);
    assert_true(row_file_next(f, &row));
    assert_int_equal(row.row, 2);
    assert_false(row_file_next(f, &row));
    row_file_close(f);
    f = row_file_open(c, write_file("rows.json", array, sizeof array - 1));
    assert_true(row_file_next(f, &row));
    assert_true(row_file_next(f, &row));
    assert_int_equal(row.n, 8); /* the caller, who reads it as JSON, refuses it */
    assert_false(row_file_next(f, &row));
    row_file_close(f);
    assert_true(ctx_ok(c));
}

/* ---- packed ---- */
static size_t zstd(const void *bytes, size_t n, uint8_t *out, size_t room)
{
    size_t packed = ZSTD_compress(out, room, bytes, n, 3);
    assert_false(ZSTD_isError(packed));
    return packed;
}

typedef size_t (*packer)(const void *, size_t, uint8_t *, size_t);

static void packed_shapes_are_read(void **state)
{
    struct ctx *c = *state;
    static uint8_t packed[1 << 16];
    static const packer packers[] = {gzip, zstd};
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < N_SHAPES; i++) {
            size_t n = packers[p](shapes[i].bytes, strlen(shapes[i].bytes), packed, sizeof packed);
            const char *rows = read_rows(c, write_file("rows.jsonl", packed, n)); /* whatever it is called */
            if (!rows) fail_msg("shape %d: %s", i, c->message);
            assert_string_equal(rows, shapes[i].rows);
            assert_string_equal(read_batches(c, scratch_path("rows.jsonl")), shapes[i].rows);
        }
    size_t n = gzip("one\ntwo", 7, packed, sizeof packed);
    assert_string_equal(read_rows(c, write_file("a.txt.gz", packed, n)), "1=one\ntwo|");
}

static void several_members_follow_each_other(void **state)
{
    struct ctx *c = *state;
    static uint8_t packed[1 << 12];
    static const packer packers[] = {gzip, zstd};
    for (int p = 0; p < 2; p++) {
        size_t n = packers[p]("{\"a\":", 5, packed, 2000);
        n += packers[p]("1}\n{\"b\":2}", 10, packed + n, 2000);
        assert_string_equal(read_rows(c, write_file("rows.jsonl", packed, n)), "1={\"a\":1}|2={\"b\":2}|");
        memset(packed + n, 0, 100);
        const char *rows = read_rows(c, write_file("rows.jsonl", packed, n + 100));
        if (p == 0) {
            assert_string_equal(rows, "1={\"a\":1}|2={\"b\":2}|");
            packed[n + 50] = 0x1f; /* nothing but zeros behind the zeros */
            assert_null(read_rows(c, write_file("rows.jsonl", packed, n + 100)));
            assert_failed(c, E_INPUT, "something else follows the compressed data");
        } else {
            assert_null(rows);
            ctx_clear(c);
        }
    }
}

static void cut_and_damaged_packs_are_refused(void **state)
{
    struct ctx *c = *state;
    static uint8_t packed[1 << 12];
    static const char rows[] = "{\"text\":\"some words\"}\n{\"text\":\"and some others\"}\n";
    static const packer packers[] = {gzip, zstd};
    for (int p = 0; p < 2; p++) {
        size_t n = packers[p](rows, sizeof rows - 1, packed, sizeof packed);
        for (size_t k = 4; k < n; k++) {
            if (read_rows(c, write_file("rows.jsonl", packed, k))) fail_msg("accepted when cut at %zu", k);
            assert_failed(c, E_INPUT, "rows.jsonl");
        }
        assert_null(read_rows(c, write_file("rows.jsonl", packed, n - 1)));
        assert_failed(c, E_INPUT, "the compressed data ends too early: the file is incomplete");
    }
    size_t n = gzip(rows, sizeof rows - 1, packed, sizeof packed);
    for (size_t k = 12; k < n; k++) { /* behind the header every bit counts: zlib checks a CRC and the length */
        packed[k] ^= 4;
        if (read_rows(c, write_file("rows.jsonl", packed, n))) fail_msg("accepted with byte %zu changed", k);
        assert_failed(c, E_INPUT, "rows.jsonl");
        packed[k] ^= 4;
    }
}

/* A gigabyte of line ends in some kilobytes: refused after the first megabytes, and nothing of it is held. */
static void bombs_are_refused(void **state)
{
    struct ctx *c = *state;
    enum { BLOCK = 1 << 24 };
    char *block = malloc(BLOCK);
    uint8_t *packed = malloc(1 << 20);
    memset(block, '\n', BLOCK);
    size_t one = zstd(block, BLOCK, packed, 1 << 20), n = 0;
    for (int i = 0; i < 64; i++, n += one) memcpy(packed + n, packed, one);
    assert_null(read_rows(c, write_file("rows.jsonl", packed, n)));
    assert_failed(c, E_INPUT, "expands to more than 1000 times its size");
    assert_true(c->alloc_peak < 1 << 20);
    free(block);
    free(packed);
}

/* A frame that asks for a window beyond the limit is refused by its header. */
static void large_windows_are_refused(void **state)
{
    struct ctx *c = *state;
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x98 /* 2^29 */, 0x01, 0x00, 0x00};
    assert_null(read_rows(c, write_file("rows.jsonl", frame, sizeof frame)));
    assert_failed(c, E_INPUT, "zstd data cannot be expanded");
}

static void standard_input_is_a_file(void **state)
{
    struct ctx *c = *state;
    static uint8_t packed[1 << 12];
    int saved = dup(STDIN_FILENO);
    for (int p = 0; p < 2; p++) {
        const char *rows = "[{\"a\":1},{\"b\":2}]";
        size_t n = p ? gzip(rows, strlen(rows), packed, sizeof packed) : strlen(rows);
        int fd = open(write_file("in", p ? (const void *)packed : rows, n), O_RDONLY);
        assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
        close(fd);
        assert_string_equal(read_rows(c, "-"), "1={\"a\":1}|2={\"b\":2}|");
    }
    int fd = open(write_file("in", "[{", 2), O_RDONLY);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
    assert_string_equal(read_rows(c, "-") ? "read" : c->message,
                        "standard input: line 1: the array is not closed: the file "
                        "may be cut short (the file begins with \"[\", so it is read "
                        "as one JSON array)");
    ctx_clear(c);
    assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    close(saved);
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    static uint8_t packed[1 << 12];
    size_t n = zstd("{\"a\":1}\n{\"b\":2}\n", 16, packed, sizeof packed);
    const char *path = write_file("rows.jsonl", packed, n);
    for (long k = 1;; k++) {
        struct oom oom = {.fail_at = k};
        struct ctx *c = oom_ctx(&oom);
        struct row_bytes row;
        struct row_file *f = row_file_open(c, path);
        while (f && row_file_next(f, &row)) continue;
        row_file_close(f);
        bool done = ctx_ok(c);
        if (!done) assert_int_equal(c->status, E_MEMORY);
        assert_int_equal(c->alloc_bytes, 0);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
        assert_true(k < 100);
        if (done) break;
    }
}

int main(void)
{
#define ROWS_TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        ROWS_TEST(every_shape_is_read),
        ROWS_TEST(what_is_no_file_of_rows_is_named),
        ROWS_TEST(texts_are_one_row),
        ROWS_TEST(packed_shapes_are_read),
        ROWS_TEST(bombs_are_refused),
        ROWS_TEST(several_members_follow_each_other),
        ROWS_TEST(large_windows_are_refused),
        ROWS_TEST(cut_and_damaged_packs_are_refused),
        ROWS_TEST(standard_input_is_a_file),
        ROWS_TEST(each_allocation_fails_once),
        ROWS_TEST(nul_bytes_are_bytes),
        ROWS_TEST(batches_have_the_rows_of_single_reads),
        ROWS_TEST(pipes_are_pointed_to_standard_input),
        ROWS_TEST(texts_that_are_something_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
