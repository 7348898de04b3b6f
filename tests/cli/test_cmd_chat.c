/* chat: one message from a word, a file and standard input gives the same answer; stop strings; what is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/support_capture.h"
#include "train/support_tiny.h"

static struct tiny_files tiny;
static char message[160];

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 4, 0);
    tiny_write(tiny_path("%s/tokenizer_config.json", tiny.model),
               "{\"chat_template\": \"{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}"
               "{% if add_generation_prompt %}assistant: {% endif %}\"}");
    snprintf(message, sizeof message, "%s/message", tiny.folder);
    tiny_write(message, "ab c\n");
    return 0;
}

/* Runs chat with these words behind the model, 12 tokens at temperature 0. */
#define CHAT(...)                                                                                                           \
    capture_run(ARGV("chat", "-m", tiny.model, "--compute", "f32", "--temperature", "0", "-n", "12", __VA_ARGS__))

static void one_shot(void **state)
{
    (void)state;
    struct capture word = CHAT("-p", "ab c"), file = CHAT("-f", message), other = CHAT("-p", "ab c", "--system", "d");
    if (word.code != 0) fail_msg("%s", word.err);
    assert_true(strlen(word.out) > 2);
    assert_string_equal(word.out, file.out);
    assert_non_null(strstr(word.err, " tokens/s)"));
    assert_non_null(strstr(word.err, "--max-tokens 12 ended the answer"));
    assert_string_not_equal(word.out, other.out);
    capture_release(&file);
    capture_release(&other);
    /* standard input that is no terminal is a message */
    assert_non_null(freopen(message, "r", stdin));
    file = CHAT("--no-speed");
    assert_int_equal(file.code, 0);
    assert_string_equal(word.out, file.out);
    assert_null(strstr(file.err, "tokens/s"));
    capture_release(&file);
    /* the answer ends before a piece of it */
    char stop[3] = {word.out[4], word.out[5], 0};
    file = CHAT("-p", "ab c", "--stop", stop, "--stop", "no such text");
    char *at = strstr(word.out, stop);
    assert_int_equal(strncmp(file.out, word.out, (size_t)(at - word.out)), 0);
    assert_string_equal(file.out + (at - word.out), "\n");
    capture_release(&file);
    capture_release(&word);
}

static void refusals(void **state)
{
    (void)state;
    capture_fails(2, "give one of them", ARGV("chat", "-m", tiny.model, "-p", "a", "-f", message));
    capture_fails(2, "no such", ARGV("chat", "-m", tiny.model, "-f", "no such"));
    capture_fails(2, "nowhere", ARGV("chat", "-m", "nowhere", "-p", "a"));
    capture_fails(2, "a stop string of 0 bytes", ARGV("chat", "-m", tiny.model, "-p", "a", "--stop", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_shot), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
