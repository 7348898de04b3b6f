/* The scanner, the tree builder and the serialiser: JSONTestSuite, numbers against strtod, limits and messages. */
#include "io/json.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "io/json_scan.h"
#include "support_file.h"

#define SUITE SHARED_DIR "/corpora/json/"

static json_t *parse(struct ctx *c, const char *text)
{
    return json_parse(c, "text", text, strlen(text));
}

/* ---- JSONTestSuite ---- */

/* The cases that RFC 8259 leaves open, with our answer (the table of docs/io.md). */
static const struct {
    const char *name;
    bool accepted;
} open_cases[] = {
    /* numbers: overflow is refused, underflow is zero, integers beyond 64 bits become doubles */
    {"i_number_double_huge_neg_exp.json", true},
    {"i_number_huge_exp.json", false},
    {"i_number_neg_int_huge_exp.json", false},
    {"i_number_pos_double_huge_exp.json", false},
    {"i_number_real_neg_overflow.json", false},
    {"i_number_real_pos_overflow.json", false},
    {"i_number_real_underflow.json", true},
    {"i_number_too_big_neg_int.json", true},
    {"i_number_too_big_pos_int.json", true},
    {"i_number_very_big_negative_int.json", true},
    /* lone surrogates, in escapes or in bytes, and everything that is not well-formed UTF-8 */
    {"i_object_key_lone_2nd_surrogate.json", false},
    {"i_string_1st_surrogate_but_2nd_missing.json", false},
    {"i_string_1st_valid_surrogate_2nd_invalid.json", false},
    {"i_string_UTF-16LE_with_BOM.json", false},
    {"i_string_UTF-8_invalid_sequence.json", false},
    {"i_string_UTF8_surrogate_U+D800.json", false},
    {"i_string_incomplete_surrogate_and_escape_valid.json", false},
    {"i_string_incomplete_surrogate_pair.json", false},
    {"i_string_incomplete_surrogates_escape_valid.json", false},
    {"i_string_invalid_lonely_surrogate.json", false},
    {"i_string_invalid_surrogate.json", false},
    {"i_string_invalid_utf-8.json", false},
    {"i_string_inverted_surrogates_U+1D11E.json", false},
    {"i_string_iso_latin_1.json", false},
    {"i_string_lone_second_surrogate.json", false},
    {"i_string_lone_utf8_continuation_byte.json", false},
    {"i_string_not_in_unicode_range.json", false},
    {"i_string_overlong_sequence_2_bytes.json", false},
    {"i_string_overlong_sequence_6_bytes.json", false},
    {"i_string_overlong_sequence_6_bytes_null.json", false},
    {"i_string_truncated-utf-8.json", false},
    {"i_string_utf16BE_no_BOM.json", false},
    {"i_string_utf16LE_no_BOM.json", false},
    /* depth over 128, byte order mark */
    {"i_structure_500_nested_arrays.json", false},
    {"i_structure_UTF-8_BOM_empty_object.json", false},
};

enum { N_OPEN = sizeof open_cases / sizeof *open_cases };

static bool duplicate_keys(const char *name)
{
    return strstr(name, "duplicated_key") != NULL;
}

/* What we must answer to a file of the suite. Duplicate keys are grammatical, and refused here on purpose. */
static bool must_accept(const char *name)
{
    if (name[0] == 'y') return !duplicate_keys(name);
    if (name[0] == 'n') return false;
    for (size_t i = 0; i < N_OPEN; i++) {
        if (strcmp(open_cases[i].name, name) == 0) return open_cases[i].accepted;
    }
    fail_msg("%s is not in the table of open cases", name);
    return false;
}

/* Whether the text is grammatical to the scanner, which lets duplicate keys pass. */
static bool scans(struct ctx *c, const char *text, size_t n)
{
    struct json_scan s;
    enum json_token t;
    json_scan_init(&s, c, "text", text, n);
    do {
        t = json_scan_next(&s);
    } while (t != SCAN_END && t != SCAN_FAILED);
    json_scan_release(&s);
    ctx_clear(c);
    return t == SCAN_END;
}

/* Parses a file; the verdict, and nothing left behind. A grammatical text is refused only for duplicate keys, for overflow
 * or for its tree's size. */
static bool verdict(struct ctx *c, const char *path, bool *grammatical)
{
    size_t n;
    char *text = test_load(path, &n);
    char *exact = malloc(n ? n : 1); /* no byte after the end, for the address sanitizer */
    memcpy(exact, text, n);
    *grammatical = scans(c, exact, n);
    json_t *doc = json_parse(c, path, exact, n);
    bool accepted = doc != NULL;
    if (!accepted) assert_int_equal(c->status, E_INPUT);
    if (!accepted && *grammatical) {
        assert_true(strstr(c->message, "duplicate key") || strstr(c->message, "does not fit in a double"));
    }
    json_decref(doc);
    ctx_clear(c);
    free(exact);
    free(text);
    assert_int_equal(c->alloc_bytes, 0);
    return accepted;
}

static void test_suite(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    int counts[3] = {0, 0, 0};
    DIR *dir = opendir(SUITE "test_parsing");
    if (!dir) fail_msg("missing test data: %s", SUITE "test_parsing");
    for (struct dirent *e; (e = readdir(dir));) {
        char path[1024];
        const char *kinds = "yni", *kind = strchr(kinds, e->d_name[0]);
        if (!kind || e->d_name[1] != '_') continue;
        snprintf(path, sizeof path, "%s%s", SUITE "test_parsing/", e->d_name);
        bool grammatical, accepted = verdict(c, path, &grammatical);
        if (accepted != must_accept(e->d_name)) fail_msg("wrong verdict on %s", e->d_name);
        if (*kind != 'i' && grammatical != (*kind == 'y')) fail_msg("wrong scanner verdict on %s", e->d_name);
        counts[kind - kinds]++;
    }
    closedir(dir);
    assert_int_equal(counts[0], 95);
    assert_int_equal(counts[1], 188);
    assert_int_equal(counts[2], N_OPEN);
    ctx_free(c);
}

/* ---- values ---- */

static void test_values(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *d = parse(c, " { \"i\" : -9223372036854775808 , \"j\":9223372036854775807,\"big\":9223372036854775808,"
                         "\"r\":-1.5e-3,\"t\":true,\"f\":false,\"n\":null,\"s\":\"a\\u0000b\\ud83d\\ude00\\/\\t\xc3\xa9\","
                         "\"\":[],\"k\\u0065y\":{\"a\":[1,[2,[3]]]},\"z\":0,\"mz\":-0} \n");
    if (!d) fail_msg("%s", c->message);
    assert_true(json_integer_value(json_object_get(d, "i")) == INT64_MIN);
    assert_true(json_integer_value(json_object_get(d, "j")) == INT64_MAX);
    assert_true(json_is_real(json_object_get(d, "big")));
    assert_true(json_real_value(json_object_get(d, "big")) == 9223372036854775808.0);
    assert_true(json_real_value(json_object_get(d, "r")) == -1.5e-3);
    assert_true(json_is_true(json_object_get(d, "t")) && json_is_false(json_object_get(d, "f")));
    assert_true(json_is_null(json_object_get(d, "n")));
    const json_t *s = json_object_get(d, "s");
    assert_int_equal(json_string_length(s), 11);
    assert_memory_equal(json_string_value(s), "a\0b\xf0\x9f\x98\x80/\t\xc3\xa9", 12);
    assert_int_equal(json_array_size(json_object_get(d, "")), 0);
    const json_t *list = json_object_get(json_object_get(d, "key"), "a");
    assert_int_equal(json_integer_value(json_array_get(json_array_get(json_array_get(list, 1), 1), 0)), 3);
    json_decref(d);
    d = parse(c, "1000000000000000019884624838656"); /* model_max_length of many a tokenizer_config.json */
    assert_true(json_real_value(d) == 1000000000000000019884624838656.0);
    json_decref(d);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "text: column 1: unexpected end"},
        {"{\n \"a\": tru }", "text: line 2, column 7: expected a JSON value"},
        {"[1,\n\n  2 3]", "text: line 3, column 5: expected ',' or ']'"},
        {"{\"a\":1 \"b\":2}", "column 8: expected ',' or '}'"},
        {"{\"a\":1,}", "column 8: expected a key"},
        {"[1,]", "column 4: expected a JSON value"},
        {"[", "unexpected end"},
        {"[1,", "unexpected end"},
        {"{\"a\":", "unexpected end"},
        {"\"abc", "column 1: unterminated string"},
        {"\"abc\\", "column 1: unterminated string"},
        {"\"a\nb\"", "control character"},
        {"\"\\x\"", "unknown escape"},
        {"\"\\u12g4\"", "four hex digits"},
        {"\"\\ud800\\u0041\"", "lone surrogate"},
        {"\"\\udc00\"", "lone surrogate"},
        {"{\"a\":1,\"b\":2,\"\\u0061\":3}", "duplicate key \"a\""},
        {"[{\"a\":{\"x\":1,\"x\":1}}]", "duplicate key \"x\""},
        {"1e400", "does not fit in a double"},
        {"-1e400", "does not fit in a double"},
        {"1 2", "column 3: unexpected text after"},
        {"NaN", "NaN is no JSON value: write null"},
        {"Infinity", "Infinity is no JSON value: write null"},
        {"01", "column 2: unexpected text after"},
        {"-", "a number needs digits"},
        {"1.", "digits after its point"},
        {"1e", "digits in its exponent"},
        {"\xef\xbb\xbf{}", "byte order mark"},
    };
    struct ctx *c = ctx_new(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(parse(c, cases[i].text));
        test_expect(c, E_INPUT, cases[i].message, cases[i].text);
    }
    assert_null(json_parse(c, "text", "1\0", 2)); /* a NUL after a number: jansson 2.13 took it */
    test_expect(c, E_INPUT, "after the JSON document", "NUL");
    ctx_free(c);
}

static void test_limits(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    enum { DEEP = 100000 };
    char *text = malloc(2 * DEEP + 1);
    for (int depth = 127; depth <= 129; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        json_t *d = json_parse(c, "text", text, 2 * (size_t)depth);
        assert_int_equal(d != NULL, depth <= JSON_MAX_DEPTH);
        json_decref(d);
        ctx_clear(c);
    }
    memset(text, '[', DEEP);
    assert_null(json_parse(c, "text", text, DEEP));
    test_expect(c, E_INPUT, "deeper than 128", "100,000 levels");
    memset(text, '1', 1025);
    assert_null(json_parse(c, "text", text, 1025));
    test_expect(c, E_INPUT, "longer than 1024", "a long number");
    memset(text, '0', 1024);
    text[0] = '1';
    text[1] = '.';
    json_t *d = json_parse(c, "text", text, 1024);
    assert_true(json_real_value(d) == 1.0);
    json_decref(d);
    free(text);
    ctx_free(c);
}

/* A text of tiny values must not be blown up: 4 MB of "[]," would take 500 MB as a tree. */
static void test_tree_size_is_bounded(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    enum { N = 4000000 };
    char *text = malloc(N + 4);
    static const char *const items[] = {"[],", "{},"};
    for (int k = 0; k < 2; k++) {
        size_t n = 1;
        text[0] = '[';
        while (n < N) {
            memcpy(text + n, items[k], 3);
            n += 3;
        }
        text[n - 1] = ']';
        assert_null(json_parse(c, "text", text, n));
        test_expect(c, E_INPUT, "too many tiny values", items[k]);
    }
    free(text);
    ctx_free(c);
}

static void test_real_files(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *d = json_parse_file(c, SHARED_DIR "/corpora/tokenizers/llama3/tokenizer.json", 64 << 20);
    if (!d) fail_msg("%s", c->message);
    const json_t *model = json_object_get(d, "model");
    assert_int_equal(json_object_size(json_object_get(model, "vocab")), 128000);
    json_decref(d);
    d = json_parse_file(c, SHARED_DIR "/corpora/tokenizers/llama3/tokenizer_config.json", 1 << 20);
    if (!d) fail_msg("%s", c->message);
    assert_true(json_is_real(json_object_get(d, "model_max_length")));
    json_decref(d);
    assert_null(json_parse_file(c, SHARED_DIR "/corpora/tokenizers/llama3/tokenizer.json", 1 << 20));
    test_expect(c, E_INPUT, "tokenizer.json", "a file over the cap");
    ctx_free(c);
}

/* ---- members ---- */

static void test_members(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *d = parse(c, "{\"i\":7,\"r\":0.5,\"s\":\"x\",\"b\":true,\"n\":null,\"z\":\"a\\u0000b\"}");
    int64_t i = -1;
    double r = -1;
    bool b = false;
    const char *s = NULL;
    assert_true(json_member_i64(c, "f", d, "i", true, 0, 7, &i) && i == 7);
    assert_true(json_member_f64(c, "f", d, "r", true, 0, 1, &r) && r == 0.5);
    assert_true(json_member_f64(c, "f", d, "i", true, 0, 7, &r) && r == 7);
    assert_true(json_member_bool(c, "f", d, "b", true, &b) && b);
    assert_true(json_member_string(c, "f", d, "s", true, &s) && strcmp(s, "x") == 0);
    i = 42;
    assert_true(json_member_i64(c, "f", d, "absent", false, 0, 7, &i) && i == 42);
    assert_true(json_member_i64(c, "f", d, "n", false, 0, 7, &i) && i == 42);
    assert_true(ctx_ok(c));
    assert_false(json_member_i64(c, "f", d, "i", true, 0, 6, &i));
    test_expect(c, E_INPUT, "f: \"i\" is 7, outside [0, 6]", "range");
    assert_false(json_member_i64(c, "f", d, "r", true, 0, 6, &i));
    test_expect(c, E_INPUT, "\"r\" must be an integer, found a number", "type");
    assert_false(json_member_i64(c, "f", d, "absent", true, 0, 7, &i));
    test_expect(c, E_INPUT, "\"absent\" is missing", "absent");
    assert_false(json_member_f64(c, "f", d, "n", true, 0, 7, &r));
    test_expect(c, E_INPUT, "\"n\" is null", "null");
    assert_false(json_member_f64(c, "f", d, "r", false, 1, 7, &r));
    test_expect(c, E_INPUT, "\"r\" is 0.5, outside [1, 7]", "range");
    assert_false(json_member_f64(c, "f", d, "s", true, 1, 7, &r));
    test_expect(c, E_INPUT, "must be a number, found a string", "type");
    assert_false(json_member_bool(c, "f", d, "i", true, &b));
    test_expect(c, E_INPUT, "must be true or false, found an integer", "type");
    assert_false(json_member_string(c, "f", d, "b", true, &s));
    test_expect(c, E_INPUT, "must be a string, found a boolean", "type");
    assert_false(json_member_string(c, "f", d, "z", true, &s));
    test_expect(c, E_INPUT, "holds U+0000", "NUL");
    assert_false(json_member_string(c, "f", json_object_get(d, "i"), "x", true, &s));
    test_expect(c, E_INPUT, "expected an object, found an integer", "not an object");
    json_decref(d);
    ctx_free(c);
}

/* ---- writing ---- */

static void check_string(struct ctx *c, const char *in, size_t n, const char *out)
{
    struct buf b;
    buf_init(&b, c, 1 << 20);
    json_append_string(&b, in, n);
    assert_string_equal(buf_str(&b), out);
    buf_release(&b);
}

static void test_append_string(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    check_string(c, "", 0, "\"\"");
    check_string(c, "plain", 5, "\"plain\"");
    check_string(c, "a\"b\\c/\b\f\n\r\t", 11, "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\"");
    check_string(c, "\0\x1f\x7f", 3, "\"\\u0000\\u001f\x7f\"");
    check_string(c, "\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    check_string(c, "a\xff\xc3", 3, "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
    ctx_free(c);
}

static void check_f64(struct ctx *c, double v, const char *text)
{
    struct buf b;
    buf_init(&b, c, 100);
    json_append_f64(&b, v);
    assert_string_equal(buf_str(&b), text);
    buf_release(&b);
}

static void test_append_f64(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    check_f64(c, 0.1, "0.1");
    check_f64(c, 1, "1");
    check_f64(c, -0.0, "-0.0");
    check_f64(c, 1e300, "1e+300");
    check_f64(c, 0.1 + 0.2, "0.30000000000000004");
    check_f64(c, 5e-324, "4.94065645841247e-324");
    check_f64(c, NAN, "null");
    check_f64(c, INFINITY, "null");
    ctx_free(c);
}

/* Random doubles of every magnitude: text to the same bits again, by our parser and by strtod. */
static void test_doubles_round_trip(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct rng r;
    struct buf b;
    rng_init(&r, 1, RNG_INIT, 0);
    buf_init(&b, c, 100);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = rng_u64(&r);
        double v, back;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) continue;
        buf_clear(&b);
        json_append_f64(&b, v);
        back = strtod(buf_str(&b), NULL);
        assert_memory_equal(&back, &v, sizeof v);
        json_t *d = json_parse(c, "text", buf_str(&b), b.len);
        assert_non_null(d);
        back = json_number_value(d);
        json_decref(d);
        if (back != v) fail_msg("%s reads back as %.17g", buf_str(&b), back);
    }
    buf_release(&b);
    ctx_free(c);
}

static void check_write(struct ctx *c, const char *text, bool pretty, const char *expected)
{
    struct buf b;
    json_t *d = parse(c, text);
    assert_non_null(d);
    buf_init(&b, c, 1 << 16);
    assert_int_equal(json_write(c, d, pretty, &b), OK);
    assert_string_equal(buf_str(&b), expected);
    buf_release(&b);
    json_decref(d);
}

static void test_write(void **state)
{
    (void)state;
    static const char text[] = "{\"b\":[1,0.1,2.0,null,true,false,\"x\\n\"],\"a\":{},\"c\":[],\"aa\":{\"k\":-3}}";
    struct ctx *c = ctx_new(NULL);
    check_write(c, text, false, text);
    check_write(c, text, true,
                "{\n  \"a\": {},\n  \"aa\": {\n    \"k\": -3\n  },\n  \"b\": [\n    1,\n    0.1,\n    2.0,\n    null,\n"
                "    true,\n    false,\n    \"x\\n\"\n  ],\n  \"c\": []\n}\n");
    check_write(c, "\"a\\u0000b\"", false, "\"a\\u0000b\"");
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* ---- the scanner by itself ---- */

static void test_scan(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,-2.5,{}],\"skip\":{\"x\":[[],\"]\"]},\"b\\n\":\"c\"}";
    static const enum json_token tokens[] = {SCAN_OBJECT, SCAN_KEY,        SCAN_ARRAY,     SCAN_INTEGER, SCAN_REAL,
                                             SCAN_OBJECT, SCAN_OBJECT_END, SCAN_ARRAY_END, SCAN_KEY};
    struct ctx *c = ctx_new(NULL);
    struct json_scan s;
    json_scan_init(&s, c, "text", text, strlen(text));
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) assert_int_equal(json_scan_next(&s), tokens[i]);
    assert_true(json_scan_is(&s, "skip"));
    assert_true(json_scan_skip(&s, json_scan_next(&s)));
    assert_int_equal(json_scan_next(&s), SCAN_KEY);
    assert_true(json_scan_is(&s, "b\n") && !json_scan_is(&s, "b"));
    assert_int_equal(json_scan_next(&s), SCAN_STRING);
    assert_int_equal(json_scan_next(&s), SCAN_OBJECT_END);
    assert_int_equal(json_scan_next(&s), SCAN_END);
    assert_int_equal(json_scan_next(&s), SCAN_END);
    json_scan_release(&s);
    json_scan_init(&s, c, "text", "[[1,", 4);
    assert_int_equal(json_scan_next(&s), SCAN_ARRAY);
    assert_false(json_scan_skip(&s, json_scan_next(&s)));
    assert_int_equal(json_scan_next(&s), SCAN_FAILED);
    json_scan_release(&s);
    ctx_free(c);
}

static void parse_something(struct ctx *c)
{
    static const char text[] = "{\"a\\n\":[1,\"\\u00e9\"],\"b\":{}}";
    struct buf b;
    json_t *d = json_parse(c, "text", text, sizeof text - 1);
    if (!d) return;
    buf_init(&b, c, 1000);
    json_write(c, d, true, &b);
    buf_release(&b);
    json_decref(d);
}

static void test_memory_fails(void **state)
{
    (void)state;
    assert_true(test_every_allocation(parse_something) >= 2);
}

/* With the word "corpora": the tests that need ../shared/corpora, which CI has and a clone has not. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_messages),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_tree_size_is_bounded),
        cmocka_unit_test(test_members),      cmocka_unit_test(test_append_string),
        cmocka_unit_test(test_append_f64),   cmocka_unit_test(test_doubles_round_trip),
        cmocka_unit_test(test_write),        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_memory_fails),
    };
    const struct CMUnitTest corpora[] = {
        cmocka_unit_test(test_suite),
        cmocka_unit_test(test_real_files),
    };
    if (argc > 1 && strcmp(argv[1], "corpora") == 0) return cmocka_run_group_tests(corpora, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
