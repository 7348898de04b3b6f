/* stop_text: however a text is cut into pieces, what is passed on is the text before the first stop string, and nothing that
 * has to be taken back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "eval/stop_text.h"

/* What comes of `text` in pieces of `piece` bytes. */
static void expect(struct ctx *c, const char *text, size_t piece, const char *const *strings, size_t n, const char *want)
{
    struct stop_text s;
    struct buf out;
    buf_init(&out, c, 1 << 16);
    assert_int_equal(stop_text_init(&s, c, strings, n), OK);
    for (size_t i = 0; i < strlen(text); i += piece) {
        size_t left = strlen(text) - i;
        assert_int_equal(stop_text_feed(&s, text + i, piece < left ? piece : left, &out), OK);
        assert_true(strncmp(buf_str(&out), want, out.len) == 0); /* never more than what will stay */
    }
    assert_int_equal(stop_text_flush(&s, &out), OK);
    if (strcmp(buf_str(&out), want) != 0) fail_msg("'%s' in pieces of %zu: '%s'", text, piece, buf_str(&out));
    assert_int_equal(s.met, strcmp(text, want) != 0);
    stop_text_release(&s);
    buf_release(&out);
}

static void pieces(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    static const char *const strings[] = {"\nUser:", "aab", "b"};
    for (size_t piece = 1; piece < 12; piece++) {
        expect(c, "Hello\nUser: x", piece, strings, 1, "Hello");
        expect(c, "Hello\nUse", piece, strings, 1, "Hello\nUse");
        expect(c, "Hello\n\nUser:", piece, strings, 1, "Hello\n");
        expect(c, "aaab", piece, strings, 2, "a");
        expect(c, "aaab", piece, strings, 3, "a");
        expect(c, "aacab", piece, strings, 3, "aaca");
        expect(c, "", piece, strings, 3, "");
        expect(c, "nothing", piece, NULL, 0, "nothing");
    }
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
