/* chat: one message from a word, a file and standard input gives the same answer; stop strings; a conversation that fills
 * the context; what is refused. */
#include <fcntl.h>
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

/* A conversation typed at a terminal, ended by Ctrl-D. */
static struct capture converse(const char *text)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), saved = dup(STDIN_FILENO);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0 && dup2(slave, STDIN_FILENO) >= 0);
    assert_int_equal(write(master, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(write(master, "\004", 1), 1);
    struct capture r = CHAT("--no-speed");
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(slave);
    close(master);
    return r;
}

/* 512 tokens of context, a token a byte: four messages are too much, and the first exchange goes. */
static void oldest_exchanges_leave_a_full_context(void **state)
{
    (void)state;
    char text[1024] = "", first[140], message_text[140];
    memset(first, 'a', sizeof first);
    first[129] = '\n';
    first[130] = '\0';
    for (int i = 0; i < 4; i++) {
        memcpy(message_text, first, sizeof first);
        message_text[0] = (char)('0' + i);
        strcat(text, message_text);
    }
    struct capture r = converse(text);
    if (r.code != 0) fail_msg("%s", r.err);
    char *said = strstr(r.err, "(the context of 512 tokens is full: the oldest 1 exchanges are left out)");
    if (!said) fail_msg("%s\n%s", r.out, r.err);
    int answers = 0;
    for (const char *p = r.err; (p = strstr(p, "--max-tokens 12 ended the answer")); p++) answers++;
    assert_int_equal(answers, 4); /* also behind answers that end in the middle of a character */
    capture_release(&r);
    /* what alone is longer than the context is refused, and the conversation continues */
    memset(text, 'b', 600);
    strcpy(text + 600, "\nshort\n");
    r = converse(text);
    assert_int_equal(r.code, 0);
    assert_non_null(strstr(r.err, "the model's context holds 512"));
    capture_release(&r);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_shot), cmocka_unit_test(oldest_exchanges_leave_a_full_context),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
