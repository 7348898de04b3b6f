/* line_edit: what each key does to the line and the cursor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/line_edit.h"

/* Types `keys`, in which a space is a boundary between keys and _ a space; the line afterwards is `want`, with | as the
 * cursor. */
static void expect(struct ctx *c, const char *keys, const char *want)
{
    struct line_edit l;
    enum line_result result;
    line_edit_init(&l, c, "> ", -1, -1);
    while (*keys) {
        size_t n = strcspn(keys, " ");
        assert_false(line_edit_key(&l, *keys == '_' ? " " : keys, n, &result));
        keys += n + (keys[n] == ' ');
    }
    char got[128];
    assert_true(l.line.len + 2 < sizeof got);
    memcpy(got, buf_str(&l.line), l.at);
    got[l.at] = '|';
    strcpy(got + l.at + 1, buf_str(&l.line) + l.at);
    assert_string_equal(got, want);
    line_edit_release(&l);
}

static void keys(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    expect(c, "a b c", "abc|");
    expect(c, "a b \x1b[D c", "ac|b");
    expect(c, "a b \x1b[D \x1b[D \x1b[D x", "x|ab");
    expect(c, "a b \x1b[H x \x1b[F y", "xaby|");
    expect(c, "a b \x1b[1~ x \x1b[4~ y", "xaby|");
    expect(c, "a b \x1bOH x \x01 y \x05 z", "yxabz|");
    expect(c, "a \xC3\xA4 b \x1b[D \x7f", "a|b");
    expect(c, "a \xE2\x82\xAC b \x1b[D \x1b[D x",
           "ax|\xE2\x82\xAC"
           "b");
    expect(c, "\xF0\x9F\x98\x80 \x02 \x1b[3~", "|");
    expect(c, "\x7f \x1b[3~ \x1b[D \x17", "|");
    expect(c, "a _ b c \x17", "a |");
    expect(c, "a _ b _ _ \x17", "a |");
    expect(c, "a b c \x1b[D \x0b", "ab|");
    expect(c, "a b c \x1b[D \x15", "|c");
    expect(c, "a b \x01 \x04", "|b");
    expect(c, "a \x1b[A \x1b[5~ \x1b \t", "a|");
    ctx_free(c);
}

/* Lines that are read come back with Up; the end of a line, of the input, and a line given up are told apart. */
static void history_and_ends(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct line_edit l;
    enum line_result result;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "one\n\ntwo", 8), 8);
    close(ends[1]);
    line_edit_init(&l, c, "> ", ends[0], -1);
    assert_int_equal(line_edit_read(&l), LINE_READ);
    assert_string_equal(buf_str(&l.line), "one");
    assert_int_equal(line_edit_read(&l), LINE_READ);
    assert_int_equal(l.line.len, 0);
    assert_int_equal(line_edit_read(&l), LINE_READ);
    assert_string_equal(buf_str(&l.line), "two");
    assert_int_equal(line_edit_read(&l), LINE_END);
    close(ends[0]);
    assert_true(line_edit_key(&l, "\x04", 1, &result) && result == LINE_END);
    assert_true(line_edit_key(&l, "\x03", 1, &result) && result == LINE_GIVEN_UP);
    assert_true(line_edit_key(&l, "\r", 1, &result) && result == LINE_READ);
    line_edit_release(&l);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keys), cmocka_unit_test(history_and_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
