/* Rows in, rows out: members byte for byte, which member is what, and the rows that are refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "score/score_row.h"
#include "score/support_score.h"
#include "support_oom.h"

#define LONG_TEXT "the text of this row has more than fifty characters in it, so it is scored"

/* One row through a fresh scratch; the output, or NULL with the message in `message`. Static memory. */
static const char *write_row(const char *row, struct score_row_options options, bool original, enum scorer scorer,
                             char *message)
{
    static char out[1 << 16];
    struct ctx *c = ctx_new(NULL);
    struct rules *r = rules_open(c, NULL, original, scorer);
    struct score_row s;
    struct buf text;
    buf_init(&text, c, sizeof out);
    assert_int_equal(score_row_init(&s, c, r, options), OK);
    enum status status = score_row_write(&s, "f:1", row, strlen(row), &text);
    snprintf(out, sizeof out, "%s", buf_str(&text));
    if (status != OK) {
        assert_int_equal(status, E_INPUT);
        assert_string_equal(out, "");
        snprintf(message, CTX_MESSAGE_BYTES, "%s", c->message);
    }
    ctx_clear(c);
    score_row_release(&s);
    buf_release(&text);
    rules_free(c, r);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
    return status == OK ? out : NULL;
}

static const struct score_row_options plain = {.use_prior = true};

static void expect_row(const char *row, struct score_row_options o, const char *want)
{
    char message[CTX_MESSAGE_BYTES] = "";
    const char *got = write_row(row, o, false, SCORER_CITATION, message);
    if (!got) print_error("%s: %s\n", row, message);
    assert_non_null(got);
    assert_string_equal(got, want);
}

static void expect_fault(const char *row, struct score_row_options o, const char *part)
{
    char message[CTX_MESSAGE_BYTES] = "";
    const char *got = write_row(row, o, false, SCORER_CITATION, message);
    if (got || !strstr(message, part)) print_error("%s: %s%s, expected ...%s...\n", row, got ? got : "", message, part);
    assert_null(got);
    assert_non_null(strstr(message, part));
}

static void members_stay_as_they_are(void **state)
{
    (void)state;
    expect_row("{\"text\":\"x\"}", plain, "{\"text\":\"x\",\"auth_weight\":0.5,\"prov_entropy\":3}\n");
    expect_row("{ \"a\" : 1.50 , \"text\" : \"\\u0041\\/\" , \"b\":[ {} ] }  ", plain,
               "{ \"a\" : 1.50 , \"text\" : \"\\u0041\\/\" , \"b\":[ {} ],\"auth_weight\":0.5,\"prov_entropy\":3}\n");
    /* an item of a pretty array becomes one line */
    expect_row("{\n  \"text\": \"x\\n\",\r\n  \"a\": [\n1]\n}", plain,
               "{   \"text\": \"x\\n\",    \"a\": [ 1],\"auth_weight\":0.5,\"prov_entropy\":3}\n");
}

static void old_scores(void **state)
{
    (void)state;
    struct score_row_options keep = {.existing = EXISTING_KEEP}, replace = {.existing = EXISTING_REPLACE};
    const char *row =
        "{\"auth_weight\":0.1, \"text\": \"x\" ,\"prov_entropy\":2,\"provenance_score\":{\"a\":[1]},\"z\":\"y\"}";
    expect_fault(row, plain, "f:1: the row has scores already");
    expect_row(row, keep,
               "{\"auth_weight\":0.1, \"text\": \"x\" ,\"prov_entropy\":2,\"provenance_score\":{\"a\":[1]},\"z\":\"y\"}\n");
    expect_row(row, replace, "{\"text\": \"x\",\"z\":\"y\",\"auth_weight\":0.5,\"prov_entropy\":3}\n");
    expect_row("{\"text\":\"x\",\"auth_weight\":null}", plain, "{\"text\":\"x\",\"auth_weight\":0.5,\"prov_entropy\":3}\n");
    expect_row("{ \"text\": \"x\" }", replace, "{ \"text\": \"x\",\"auth_weight\":0.5,\"prov_entropy\":3}\n");
}

static void faulty_rows(void **state)
{
    (void)state;
    expect_fault("", plain, "unexpected end");
    expect_fault("[1]", plain, "a row must be a JSON object");
    expect_fault("7", plain, "a row must be a JSON object");
    expect_fault("{\"text\":\"x\"", plain, "unexpected end");
    expect_fault("{\"text\":\"x\"} {}", plain, "unexpected text");
    expect_fault("{\"text\":\"x\",}", plain, "expected a key");
    expect_fault("{\"text\":\"\xff\"}", plain, "f:1: column 10: invalid UTF-8");
    expect_fault("{\"text\":\"12345678\x01\"}", plain, "control character");
    expect_fault("{\"text\":\"\\ud800\"}", plain, "lone surrogate");
    expect_fault("{\"text\":7}", plain, "\"text\" must be a string");
    expect_fault("{\"text\":null}", plain, "no text");
    expect_fault("{\"title\":\"x\"}", plain, "no text");
    expect_fault("{}", plain, "no text");
    expect_fault("{\"text\":\"x\",\"text\":\"y\"}", plain, "duplicate key \"text\"");
    expect_fault("{\"text\":\"x\",\"source_type\":3}", plain, "\"source_type\" must be a string");
    expect_fault("\x03PK", plain, "expected a JSON value");
    expect_fault("hello", plain, "begins with 'h'");
    char deep[400] = "{\"text\":\"x\",\"a\":";
    memset(deep + strlen(deep), '[', 200);
    expect_fault(deep, plain, "nested deeper");
}

/* Which member is what, by the parts that it changes. */
static void expect_part(const char *row, bool original, enum scorer scorer, const char *part)
{
    char message[CTX_MESSAGE_BYTES] = "";
    const char *got =
        write_row(row, (struct score_row_options){.breakdown = true, .use_prior = true}, original, scorer, message);
    if (!got || !strstr(got, part)) print_error("%s\n -> %s%s\n   without %s\n", row, got ? got : "", message, part);
    assert_non_null(got);
    assert_non_null(strstr(got, part));
}

static void members_of_the_scorer(void **state)
{
    (void)state;
    const enum scorer c = SCORER_CITATION, h = SCORER_HEURISTIC;
    expect_part("{\"text\":\"" LONG_TEXT "\",\"year\":1923}", false, c, "\"year\":1923");
    expect_part("{\"year\":\"in \\u0031923\",\"text\":\"" LONG_TEXT "\"}", false, c, "\"year\":1923");
    expect_part("{\"date\":{\"iso\":\"1923-01-01\"},\"text\":\"" LONG_TEXT "\"}", false, c, "\"year\":1923");
    expect_part("{\"year\":1956.0,\"text\":\"" LONG_TEXT "\"}", false, c, "\"year\":1956");
    expect_part("{\"year\":null,\"text\":\"" LONG_TEXT "\"}", false, c, "\"year\":null");
    expect_part("{\"metadata\":{\"year\":1923,\"x\":[{}]},\"text\":\"" LONG_TEXT "\"}", false, c, "\"year\":1923");
    expect_part("{\"metadata\":{\"year\":1923},\"text\":\"" LONG_TEXT "\"}", true, c, "\"year\":null");
    expect_part("{\"metadata\":{\"year\":1923},\"year\":1950,\"text\":\"" LONG_TEXT "\"}", false, c, "\"year\":1950");
    expect_part("{\"source\":\"W\\u0048O\",\"text\":\"" LONG_TEXT "\"}", false, c, "\"institution\":0.3");
    expect_part("{\"url\":\"https:\\/\\/www.who.int\\/x\",\"publisher\":\"a blog\",\"text\":\"" LONG_TEXT "\"}", false, c,
                "\"institution\":0.3");
    expect_part("{\"url\":\"https://a@EXAMPLE.edu:80?who.int\",\"text\":\"" LONG_TEXT "\"}", false, c,
                "\"institution\":0.2");
    expect_part("{\"url\":\"https://notwho.int/\",\"text\":\"" LONG_TEXT "\"}", false, c, "\"institution\":0,");
    expect_part("{\"citations\":9,\"text\":\"" LONG_TEXT "\"}", false, c, "\"citations\":9,");
    expect_part("{\"citations\":9,\"text\":\"" LONG_TEXT "\"}", true, c, "\"citations\":0,");
    expect_part("{\"source_type\":\"wiki\",\"text\":\"" LONG_TEXT "\"}", false, c, "\"method\":\"hybrid\"");
    expect_part("{\"source_type\":null,\"text\":\"" LONG_TEXT "\"}", false, c, "\"method\":\"dynamic\"");
    expect_part("{\"has_scan\":true,\"text\":\"x\"}", false, h, "\"scan\":1,");
    expect_part("{\"has_scan\":false,\"text\":\"x\"}", false, h, "\"scan\":0,");
    expect_part("{\"has_scan\":false,\"text\":\"x\"}", true, h, "\"scan\":1,"); /* its name has "scan" in it */
    expect_part("{\"a\":[{\"b\":\"a lab\\tnotebook\"}],\"text\":\"x\"}", false, h, "\"uneditable\":0.5");
    expect_part("{\"a\":\"lab\",\"b\":\"notebook\",\"text\":\"x\"}", false, h, "\"uneditable\":0,");
    expect_part("{\"a\":\"patent\",\"text\":\"a patent\"}", false, h, "\"uneditable\":0.5");
}

static void texts_of_other_forms(void **state)
{
    (void)state;
    const enum scorer c = SCORER_CITATION;
    expect_part("{\"prompt\":\"Experts\",\"completion\":\"agree. " LONG_TEXT "\"}", false, c, "\"consensus\":0.1");
    expect_part("{\"messages\":[{\"role\":\"experts\",\"content\":\"a\\n" LONG_TEXT "\"},{\"content\":\"[1]\"}]}", false, c,
                "\"citations\":1,");
    expect_part("{\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"[1] [2] " LONG_TEXT "\"}]}]}", false, c,
                "\"citations\":2,");
    expect_part("{\"conversations\":[{\"from\":\"human\",\"value\":\"[1] " LONG_TEXT "\"}]}", false, c, "\"citations\":1,");
    expect_part("{\"prompt\":\"[1] [2]\",\"text\":\"[1] " LONG_TEXT "\",\"output\":\"[1]\"}", false, c, "\"citations\":1,");
    expect_part("{\"prompt\":\"[1] [2]\",\"text\":\"[1]\\n" LONG_TEXT "\",\"output\":\"[1]\"}", false, c,
                "\"citations\":1,");
}

/* One scratch for many rows, with and without escapes, long and short: as if each had one of its own. */
static void scratch_is_used_again(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"text\":\"" LONG_TEXT "\\n\",\"source\":\"\\u0057HO\",\"year\":\"\\u0031999\"}",
        "{\"text\":\"x\"}",
        "{\"text\":7}",
        "{\"prompt\":\"" LONG_TEXT "\",\"completion\":\"[1]\\t[2]\",\"publisher\":\"\\u0057HO WHO WHO WHO WHO WHO WHO\"}",
        "{\"text\":\"" LONG_TEXT "\"}",
    };
    struct ctx *c = ctx_new(NULL);
    struct rules *r = rules_open(c, NULL, false, SCORER_CITATION);
    struct score_row s;
    struct buf text;
    buf_init(&text, c, 1 << 16);
    assert_int_equal(score_row_init(&s, c, r, plain), OK);
    for (int i = 0; i < 20; i++) {
        char message[CTX_MESSAGE_BYTES];
        const char *row = rows[i * 7 % 5], *want = write_row(row, plain, false, SCORER_CITATION, message);
        buf_clear(&text);
        assert_int_equal(score_row_write(&s, "f:1", row, strlen(row), &text) == OK, want != NULL);
        if (want) assert_string_equal(buf_str(&text), want);
        ctx_clear(c);
    }
    score_row_release(&s);
    buf_release(&text);
    rules_free(c, r);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_stay_as_they_are),
        cmocka_unit_test(old_scores),
        cmocka_unit_test(faulty_rows),
        cmocka_unit_test(members_of_the_scorer),
        cmocka_unit_test(texts_of_other_forms),
        cmocka_unit_test(scratch_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
