/* Words of printed commands: a shell that reads one gets back what it stands for, and a harmless word stays as it is. */
#include "support_base.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/shell_word.h"

/* What sh makes of the words, each between brackets. */
static void shell_reads(const char *words, char *out, size_t size)
{
    char line[2048];
    snprintf(line, sizeof line, "printf '[%%s]'%s", words);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, size - 1, f);
    out[n] = '\0';
    assert_int_equal(pclose(f), 0);
}

static void a_shell_reads_what_was_meant(void **state)
{
    static const char *const words[] = {
        "",    "it's",  "'",  "''",   "a b",   "-o",    "$HOME",    "`id`",       "a\\b", "\"q\"",       "a;b&c|d",
        "*?[", "~root", "#x", "a\nb", "{a,b}", "(x)<y", "\xc3\xa9", "\xff\t\x7f", "!!",   "a'b \"c\" $", "runs/my one"};
    struct ctx *c = *state;
    struct buf b;
    char want[2048] = "", got[2048];
    buf_init(&b, c, 1 << 16);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(want);
        snprintf(want + n, sizeof want - n, "[%s]", words[i]);
        shell_word_append(&b, words[i]);
    }
    shell_reads(buf_str(&b), got, sizeof got);
    assert_string_equal(got, want);
    buf_release(&b);
}

static void harmless_words_stay(void **state)
{
    static const char *const pairs[][2] = {{"runs/a-1.gguf", "runs/a-1.gguf"},
                                           {"a=b:c@d%e,f+g_h", "a=b:c@d%e,f+g_h"},
                                           {"it's", "'it'\\''s'"},
                                           {"a b", "'a b'"},
                                           {"", "''"}};
    struct ctx *c = *state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *word = shell_word_new(c, pairs[i][0]);
        assert_string_equal(word, pairs[i][1]);
        mem_free(c, word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_shell_reads_what_was_meant, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(harmless_words_stay, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
