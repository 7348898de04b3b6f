/* Parquet: every file that pyarrow wrote (tools/gen_parquet_vectors.py) gives the rows that pyarrow reads from it; what is
 * cut or damaged is refused or read, and never more than that; the codecs and runs by hand. */
#include "base/support_base.c" /* the scratch folder */

#include <dirent.h>

#include "base/mem.h"
#include "io/json.h"
#include "io/parquet/parquet_number.h"
#include "io/parquet/bit_run.h"
#include "io/parquet/parquet.h"
#include "io/parquet/snappy.h"
#include "io/parquet/thrift.h"
#include "io/row_file.h"
#include "io/support_file.h"

#define VECTORS TEST_DATA "/io/parquet/"

/* Next row of a file as a document; NULL at the end. */
static json_t *next_row(struct ctx *c, struct row_file *f)
{
    struct row_bytes row;
    if (!row_file_next(f, &row)) return NULL;
    json_t *doc = json_parse(c, "row", row.bytes, row.n);
    if (!doc) fail_msg("%s: %s", row_file_name(f), c->message);
    return doc;
}

/* Values of two documents are equal, numbers as numbers: 1 and 1.0 are. */
static bool equal(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    if (json_is_number(a) && json_is_number(b)) {
        if (json_is_integer(a) && json_is_integer(b)) return json_integer_value(a) == json_integer_value(b);
        return json_number_value(a) == json_number_value(b);
    }
    if (json_is_array(a) && json_is_array(b)) {
        if (json_array_size(a) != json_array_size(b)) return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!equal(json_array_get(a, i), json_array_get(b, i))) return false;
        return true;
    }
    if (!json_is_object(a) || !json_is_object(b)) return json_equal((json_t *)a, (json_t *)b);
    if (json_object_size(a) != json_object_size(b)) return false;
    json_object_foreach((json_t *)a, key, value) if (!equal(value, json_object_get(b, key))) return false;
    return true;
}

static void assert_same_rows(struct ctx *c, const char *table, const char *lines)
{
    struct row_file *a = row_file_open(c, table), *b = row_file_open(c, lines);
    if (!a || !b) fail_msg("%s", c->message);
    for (int row = 1;; row++) {
        json_t *got = next_row(c, a);
        if (!ctx_ok(c)) fail_msg("row %d: %s", row, c->message);
        json_t *expected = next_row(c, b);
        if (!got && !expected) break;
        if (!got || !expected || !equal(got, expected)) {
            char *text = got ? json_dumps(got, 0) : NULL, *want = expected ? json_dumps(expected, 0) : NULL;
            fail_msg("%s, row %d:\n%s\nexpected\n%s", table, row, text ? text : "none", want ? want : "none");
        }
        json_decref(got);
        json_decref(expected);
    }
    char hex[65], other[65];
    uint64_t bytes, other_bytes;
    row_file_digest(a, &bytes, hex);
    assert_int_equal(file_sha256(c, table, other, &other_bytes), OK);
    assert_int_equal(bytes, other_bytes);
    assert_string_equal(hex, other);
    row_file_close(a);
    row_file_close(b);
}

static void every_file_gives_its_rows(void **state)
{
    struct ctx *c = *state;
    char **names;
    size_t n, tables = 0;
    assert_int_equal(dir_list(c, VECTORS, &names, &n), OK);
    for (size_t i = 0; i < n; i++) {
        char table[512], lines[512];
        if (!strstr(names[i], ".parquet")) continue;
        snprintf(table, sizeof table, VECTORS "%s", names[i]);
        snprintf(lines, sizeof lines, VECTORS "%.*s.jsonl", (int)strcspn(names[i], "_"), names[i]);
        assert_same_rows(c, table, lines);
        tables++;
    }
    assert_true(tables >= 20);
    dir_list_free(c, names, n);
}

/* ---- hostile files ---- */

/* Reads all rows; OK, or a clean failure. */
static void read_through(struct ctx *c, const char *path)
{
    struct row_bytes row;
    struct row_file *f = row_file_open(c, path);
    while (f && row_file_next(f, &row)) continue;
    row_file_close(f);
    assert_true(ctx_ok(c) || c->status == E_INPUT || c->status == E_UNSUPPORTED);
}

static void cut_files_are_refused(void **state)
{
    struct ctx *c = *state;
    size_t n;
    char *bytes = file_read(c, VECTORS "chats_element.parquet", 1 << 20, &n);
    for (size_t k = 4; k < n; k++) {
        read_through(c, test_file(bytes, k));
        if (ctx_ok(c)) fail_msg("accepted when cut at %zu", k);
        ctx_clear(c);
    }
    scratch_write("cut.parquet", bytes, n / 2);
    read_through(c, scratch_path("cut.parquet"));
    assert_failed(c, E_INPUT, "cut.parquet: a Parquet file that does not end as one: it may be cut short");
    mem_free(c, bytes);
}

/* A bit of every byte of files with every kind of page, one after the other. */
static void damaged_files_do_no_harm(void **state)
{
    struct ctx *c = *state;
    static const char *const files[] = {VECTORS "chats_element.parquet", VECTORS "types_dictionary_v2.parquet",
                                        SOURCE_DIR "/tests/fuzz/seeds/parquet/delta.parquet",
                                        SOURCE_DIR "/tests/fuzz/seeds/parquet/decimals.parquet",
                                        SOURCE_DIR "/tests/fuzz/seeds/parquet/training_zstd.parquet"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t n;
        char *bytes = file_read(c, files[i], 1 << 20, &n);
        assert_non_null(bytes);
        for (size_t k = 0; k < n; k++) {
            bytes[k] ^= (char)(1 << k % 8);
            read_through(c, test_file(bytes, n));
            ctx_clear(c);
            bytes[k] ^= (char)(1 << k % 8);
        }
        mem_free(c, bytes);
    }
    assert_true(c->alloc_peak < 300 << 20);
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    for (long k = 1;; k++) {
        struct oom oom = {.fail_at = k};
        struct ctx *c = oom_ctx(&oom);
        struct row_bytes row;
        struct row_file *f = row_file_open(c, VECTORS "training_zstd_v2.parquet");
        while (f && row_file_next(f, &row)) continue;
        row_file_close(f);
        bool done = ctx_ok(c);
        if (!done) assert_int_equal(c->status, E_MEMORY);
        assert_int_equal(c->alloc_bytes, 0);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
        assert_true(k < 3000);
        if (done) break;
    }
}

static void what_is_not_read_is_named(void **state)
{
    struct ctx *c = *state;
    size_t n;
    char *bytes = file_read(c, VECTORS "empty_snappy.parquet", 1 << 20, &n);
    memcpy(bytes + n - 4, "PARE", 4);
    memcpy(bytes, "PARE", 4);
    scratch_write("secret.parquet", bytes, n);
    read_through(c, scratch_path("secret.parquet"));
    assert_failed(c, E_INPUT, "is an encrypted Parquet file");
    mem_free(c, bytes);
}

/* ---- parts ---- */

static void snappy_blocks(void **state)
{
    (void)state;
    uint8_t out[100];
    /* a literal of 4, then 11 bytes copied from 4 back (overlapping), then a literal with a length byte */
    static const uint8_t block[] = {18, 3 << 2, 'a', 'b', 'c', 'd', 1 | (11 - 4) << 2, 4, 60 << 2, 2, 'x', 'y', 'z'};
    assert_true(snappy_expand(block, sizeof block, out, 18));
    assert_memory_equal(out, "abcdabcdabcdabcxyz", 18);
    static const uint8_t far[] = {8, 3 << 2, 'a', 'b', 'c', 'd', 2 | 3 << 2, 4, 0},
                         farther[] = {8, 3 << 2, 'a', 'b', 'c', 'd', 3 | 3 << 2, 4, 0, 0, 0};
    assert_true(snappy_expand(far, sizeof far, out, 8) && memcmp(out, "abcdabcd", 8) == 0);
    assert_true(snappy_expand(farther, sizeof farther, out, 8) && memcmp(out, "abcdabcd", 8) == 0);
    static const uint8_t nothing[] = {0};
    assert_true(snappy_expand(nothing, 1, out, 0));
    for (size_t k = 0; k < sizeof block; k++) assert_false(snappy_expand(block, k, out, 18));
    assert_false(snappy_expand(block, sizeof block, out, 17));
    static const uint8_t before[] = {8, 3 << 2, 'a', 'b', 'c', 'd', 2 | 3 << 2, 5, 0},
                         zero[] = {8, 3 << 2, 'a', 'b', 'c', 'd', 2 | 3 << 2, 0, 0};
    assert_false(snappy_expand(before, sizeof before, out, 8));
    assert_false(snappy_expand(zero, sizeof zero, out, 8));
}

static void runs_and_packed_numbers(void **state)
{
    (void)state;
    /* the example of Encodings.md: 0 to 7 in 3 bits, then 100 times 5 */
    static const uint8_t bytes[] = {3, 0x88, 0xc6, 0xfa, 200, 1, 5};
    struct bit_run r;
    uint32_t v;
    bit_run_init(&r, bytes, sizeof bytes, 3);
    for (uint32_t i = 0; i < 108; i++) {
        assert_true(bit_run_next(&r, &v));
        assert_int_equal(v, i < 8 ? i : 5);
    }
    assert_false(bit_run_next(&r, &v));
    bit_run_init(&r, bytes, 3, 3); /* a cut group gives what is there */
    for (uint32_t i = 0; i < 5; i++) assert_true(bit_run_next(&r, &v) && v == i);
    assert_false(bit_run_next(&r, &v));
    static const uint8_t wide[] = {2, 8};
    bit_run_init(&r, wide, 2, 3);
    assert_false(bit_run_next(&r, &v)); /* 8 has no 3 bits */
    bit_run_init(&r, NULL, 0, 0);
    for (int i = 0; i < 5; i++) assert_true(bit_run_next(&r, &v) && v == 0);
}

/* Decimals of byte arrays, which pyarrow does not write, and their ends; halves that few digits name. */
static void numbers_of_bytes(void **state)
{
    (void)state;
    char text[PARQUET_NUMBER_TEXT];
    static const struct {
        const char *bytes, *text;
        size_t n;
        int scale;
    } decimals[] = {{"", "0", 0, 0},
                    {"", "0.00", 0, 2},
                    {"\x19", "0.25", 1, 2},
                    {"\xff", "-0.01", 1, 2},
                    {"\x80", "-128", 1, 0},
                    {"\x01\x00", "2.56", 2, 2},
                    {"\xff\x00", "-256", 2, 0},
                    {"\x00\x00\x07", "0.7", 3, 1},
                    {"\x80\x00", "-32.768", 2, 3}};
    static const struct {
        uint16_t bits;
        const char *text;
    } halves[] = {{0, "0"},         {0x8000, "-0"},   {0x3c00, "1"},        {0x3bec, "0.99"},
                  {0x2e66, "0.1"},  {0xc100, "-2.5"}, {0x7bff, "6.55e+04"}, {1, "5.96e-08"},
                  {0x7c00, "null"}, {0x7e00, "null"}, {0x3555, "0.3333"}};
    for (size_t i = 0; i < sizeof decimals / sizeof *decimals; i++) {
        parquet_decimal_text((const uint8_t *)decimals[i].bytes, decimals[i].n, decimals[i].scale, text);
        assert_string_equal(text, decimals[i].text);
    }
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        parquet_half_text(halves[i].bits, text);
        assert_string_equal(text, halves[i].text);
    }
}

static void differences(void **state)
{
    (void)state;
    /* the example of Encodings.md: 7, 5, 3, 1, 2, 3, 4, 5 as one block of 128 in 4 miniblocks */
    uint8_t bytes[] = {0x80, 1, 4, 8, 14, 3, 2, 0, 0, 0, 0xc0, 0x3f, 0, 0, 0, 0, 0, 0, 'x'};
    static const int64_t expected[] = {7, 5, 3, 1, 2, 3, 4, 5};
    struct bit_delta d, over;
    int64_t v;
    assert_true(bit_delta_init(&d, bytes, sizeof bytes, 8));
    over = d;
    for (int i = 0; i < 8; i++) {
        assert_true(bit_delta_next(&d, &v));
        assert_int_equal(v, expected[i]);
    }
    assert_false(bit_delta_next(&d, &v));
    assert_true(bit_delta_end(&over));
    assert_int_equal(*over.at, 'x');
    assert_false(bit_delta_init(&d, bytes, sizeof bytes, 7)); /* more than the page has */
    assert_true(bit_delta_init(&d, bytes, 13, 8));
    assert_false(bit_delta_end(&d));
}

/* Lists that claim more than there is, structures without an end. */
static void thrift_is_bounded(void **state)
{
    (void)state;
    static const uint8_t list[] = {0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f};
    struct thrift t = {.at = list, .end = list + sizeof list};
    struct thrift_struct s = {0};
    thrift_enter(&t);
    assert_true(thrift_field(&t, &s) && s.id == 1 && s.type == THRIFT_LIST);
    assert_int_equal(thrift_list(&t, &s, THRIFT_STRUCT), 0);
    assert_true(t.failed);
    uint8_t deep[1000];
    memset(deep, 0x1c, sizeof deep); /* a structure in a structure in ... */
    t = (struct thrift){.at = deep, .end = deep + sizeof deep};
    s = (struct thrift_struct){0};
    thrift_enter(&t);
    while (thrift_field(&t, &s)) thrift_skip(&t, s.type);
    assert_true(t.failed);
    memset(deep, 0x99, sizeof deep); /* a list of lists of lists */
    t = (struct thrift){.at = deep, .end = deep + sizeof deep};
    thrift_skip(&t, THRIFT_LIST);
    assert_true(t.failed);
}

int main(void)
{
#define PARQUET_TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        PARQUET_TEST(every_file_gives_its_rows), PARQUET_TEST(cut_files_are_refused),
        PARQUET_TEST(damaged_files_do_no_harm),  PARQUET_TEST(each_allocation_fails_once),
        PARQUET_TEST(what_is_not_read_is_named), PARQUET_TEST(snappy_blocks),
        PARQUET_TEST(runs_and_packed_numbers),   PARQUET_TEST(differences),
        PARQUET_TEST(numbers_of_bytes),          PARQUET_TEST(thrift_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
