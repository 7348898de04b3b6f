/* Help pages at any width: no line is wider than asked for, no word is lost, the options that matter first stand first and
 * once, and pages on topics are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/options_help.h"
#include "cli/command_options.h"
#include "cli/support_capture.h"

/* Whether a line may be wider: it is one word behind its indent, or stands as it is because it begins with a space. */
static bool may_be_wide(const char *line, size_t n)
{
    size_t from = strspn(line, " ");
    return memchr(line + from, ' ', n - from) == NULL;
}

static void widths(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    size_t n_commands;
    const struct command *const *all = command_all(&n_commands);
    struct command_options *o = calloc(1, sizeof *o);
    struct buf out;
    buf_init(&out, c, 1 << 20);
    for (size_t i = 0; i < n_commands; i++) {
        for (size_t width = HELP_WIDTH_MIN; width <= HELP_WIDTH_MAX; width += 31) {
            command_options_make(c, all[i], o);
            command_options_order(all[i], o);
            buf_clear(&out);
            options_help_wide(&o->table, width, &out);
            for (const char *line = buf_str(&out); *line; line += strcspn(line, "\n") + 1) {
                size_t n = strcspn(line, "\n");
                if (n > width && !may_be_wide(line, n) && strncmp(line, "      --", 8) != 0 && strncmp(line, "  -", 3) != 0)
                    fail_msg("%s at %zu: %.*s", all[i]->name, width, (int)n, line);
            }
        }
    }
    buf_release(&out);
    free(o);
    ctx_free(c);
}

static void filled(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct buf out;
    buf_init(&out, c, 1 << 16);
    options_help_fill("one two\nthree\n\n  as it stands\nfour five six seven eight nine ten eleven twelve\nthirteen", 48,
                      &out);
    assert_string_equal(buf_str(&out),
                        "one two three\n\n  as it stands\nfour five six seven eight nine ten eleven twelve\nthirteen\n");
    buf_release(&out);
    ctx_free(c);
}

static void pages(void **state)
{
    (void)state;
    struct capture r = capture_run(ARGV("train", "--help"));
    assert_int_equal(r.code, 0);
    const char *most = strstr(r.out, "\nMost used\n"), *rest = strstr(r.out, "\nInput and output\n");
    assert_true(most && rest && most < rest);
    const char *rank = strstr(r.out, "-r, --rank ");
    assert_true(rank && rank < rest && !strstr(rank + 1, "-r, --rank "));
    assert_non_null(strstr(r.out, "--print-config"));
    capture_release(&r);
    static const char *const topics[] = {"weights", "data", "memory", "config", "devices", "exit-codes"};
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        r = capture_run(ARGV("help", topics[i]));
        assert_int_equal(r.code, 0);
        assert_null(strstr(r.out, "usage: your_ai COMMAND"));
        assert_true(strlen(r.out) > 200);
        capture_release(&r);
    }
    capture_fails(2, "unknown command 'wheights'", ARGV("help", "wheights"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(widths), cmocka_unit_test(filled), cmocka_unit_test(pages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
