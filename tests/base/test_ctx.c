/* ctx: the first failure is kept, untrusted bytes in messages are escaped and never cut inside a character, the log and
 * panic hooks are called, and every status has its name and exit code. */
#include "support_base.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"

static void first_failure_wins(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_true(ctx_ok(c));
    ctx_prefix(c, "nothing failed yet");
    assert_string_equal(c->message, "");
    assert_int_equal(ctx_fail(c, E_INPUT, "row %d", 7), E_INPUT);
    assert_int_equal(ctx_fail(c, E_IO, "a consequence"), E_IO); /* returns what it was given ... */
    assert_int_equal(c->status, E_INPUT);                       /* ... and keeps the cause */
    ctx_prefix(c, "%s", "train.jsonl");
    assert_failed(c, E_INPUT, "train.jsonl: row 7");
    assert_true(ctx_ok(c));
    ctx_free(c);
}

static void untrusted_bytes_are_escaped(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    ctx_fail(c, E_INPUT, "%s", "a\033[2Jb\nc\x7f\xff\xc3(\xc2\x9b\xed\xa0\x80\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_string_equal(c->message, "a\\x1B[2Jb\\x0Ac\\x7F\\xFF\\xC3(\\xC2\\x9B\\xED\\xA0\\x80\xe2\x82\xac\xf0\x9f\x98\x80");
    ctx_prefix(c, "\r");
    assert_memory_equal(c->message, "\\x0D: a\\x1B", 11);
    ctx_free(c);
}

/* However long the text and wherever the cut falls, the message stays valid UTF-8 inside the slot. */
static void long_messages_are_cut_between_characters(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    char text[4 * CTX_MESSAGE_BYTES];
    for (int shift = 0; shift < 4; shift++) {
        memset(text, 'x', sizeof text);
        size_t at = (size_t)shift;
        for (; at + 3 < sizeof text; at += 3) memcpy(text + at, "\xe2\x82\xac", 3);
        text[at] = '\0';
        ctx_fail(c, E_INPUT, "%s", text);
        size_t n = strlen(c->message);
        assert_in_range(n, CTX_MESSAGE_BYTES - 8, CTX_MESSAGE_BYTES - 1);
        ctx_prefix(c, "%s", text);
        n = strlen(c->message);
        assert_in_range(n, CTX_MESSAGE_BYTES / 2, CTX_MESSAGE_BYTES - 1);
        for (const char *p = c->message; *p;) { /* a cut character would have come out as \x.. */
            size_t len = utf8_length((const uint8_t *)p, strlen(p));
            assert_true(len > 0);
            p += len;
        }
        ctx_clear(c);
    }
    ctx_free(c);
}

static void utf8_follows_the_unicode_table(void **state)
{
    (void)state;
    /* every scalar value is accepted, encoded here by the definition */
    for (uint32_t u = 0; u <= 0x10FFFF; u++) {
        uint8_t b[4] = {0};
        size_t n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
        for (size_t i = n; i-- > 1;) b[i] = (uint8_t)(0x80 | (u >> (6 * (n - 1 - i)) & 0x3F));
        static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
        b[0] = (uint8_t)(lead[n] | u >> (6 * (n - 1)));
        bool surrogate = u >= 0xD800 && u <= 0xDFFF;
        if (utf8_length(b, 4) != (surrogate ? 0 : n)) fail_msg("U+%04X", u);
        if (n > 1 && utf8_length(b, n - 1) != 0) fail_msg("cut U+%04X", u);
    }
    static const char *const bad[] = {
        "\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(utf8_length((const uint8_t *)bad[i], strlen(bad[i])), 0);
    assert_int_equal(utf8_check("ab\xe2\x82\xac\xff", 6), 5);
    assert_int_equal(utf8_check("ab\xe2\x82\xac", 5), 5);
}

static int logged;
static void count_log(void *user, enum log_level level, const char *message)
{
    assert_ptr_equal(user, &logged);
    assert_int_equal(level, LOG_WARN);
    assert_string_equal(message, "3 rows\\x07");
    logged++;
}

static void log_goes_to_the_hook(void **state)
{
    (void)state;
    struct ctx_hooks hooks = {.log = count_log, .user = &logged};
    struct ctx *c = ctx_new(&hooks);
    ctx_log(c, LOG_WARN, "%d rows\a", 3);
    assert_int_equal(logged, 1);
    ctx_free(c);
    c = ctx_new(NULL);
    ctx_log(c, LOG_WARN, "silent by default");
    ctx_free(c);
}

static void exit_codes_and_names(void **state)
{
    (void)state;
    static const int code[STATUS_COUNT] = {
        [OK] = 0,      [E_INPUT] = 2,       [E_IO] = 1,      [E_MEMORY] = 3,        [E_FIT] = 3, [E_SHAPE] = 1,
        [E_DTYPE] = 1, [E_UNSUPPORTED] = 2, [E_NUMERIC] = 1, [E_INTERRUPTED] = 130, [E_BUG] = 1, [E_FOUND] = 1};
    for (int s = 0; s < STATUS_COUNT; s++) {
        assert_int_equal(status_exit_code((enum status)s), code[s]);
        assert_non_null(status_name((enum status)s));
        for (int t = 0; t < s; t++) assert_string_not_equal(status_name((enum status)s), status_name((enum status)t));
    }
}

/* Runs what must panic in a child: without a hook it ends by SIGABRT, with one the hook sees the message. */
static int child_status(void (*fn)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
        fn();
        _exit(77);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void exit_with_message(void *user, const char *message)
{
    (void)user;
    _exit(strstr(message, "test_ctx.c") && strstr(message, "width is 3") ? 42 : 43);
}
static void panic_with_hook(void)
{
    struct ctx_hooks hooks = {.panic = exit_with_message};
    struct ctx *c = ctx_new(&hooks);
    BUG_ON(c, true, "width is %d", 3);
}
static void panic_without_hook(void)
{
    BUG_ON(NULL, true, "no ctx");
}
static void panic_not_needed(void)
{
    BUG_ON(NULL, false, "never");
}

static void bugs_reach_the_panic_hook(void **state)
{
    (void)state;
    int status = child_status(panic_with_hook);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    status = child_status(panic_without_hook);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    status = child_status(panic_not_needed);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 77);
}

static void new_reports_no_memory(void **state)
{
    (void)state;
    struct oom oom = {.fail_at = 0};
    assert_null(oom_ctx(&oom));
    ctx_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_failure_wins),
        cmocka_unit_test(untrusted_bytes_are_escaped),
        cmocka_unit_test(long_messages_are_cut_between_characters),
        cmocka_unit_test(utf8_follows_the_unicode_table),
        cmocka_unit_test(log_goes_to_the_hook),
        cmocka_unit_test(exit_codes_and_names),
        cmocka_unit_test(bugs_reach_the_panic_hook),
        cmocka_unit_test(new_reports_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
