/* trial_log: what is appended reads back, a torn last line costs itself only, and anything else is refused by its line. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "measure/trial_log.h"
#include "support_scratch.h"

static void append(struct ctx *c, const char *path, const char *key, enum trial_outcome outcome, double rate)
{
    struct trial_result r = {.outcome = outcome, .tokens_per_s = rate, .planned_bytes = 7};
    snprintf(r.key, sizeof r.key, "%s", key);
    snprintf(r.message, sizeof r.message, "because of \"%s\"", key);
    assert_int_equal(trial_log_append(c, path, &r), OK);
}

static void reads_back(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct trial_log log;
    char folder[48], path[80];
    assert_non_null(mkdtemp(scratch_template(folder, sizeof folder, "trials")));
    snprintf(path, sizeof path, "%s/new/log.jsonl", folder);
    assert_int_equal(trial_log_read(c, path, &log), OK);
    assert_true(log.n == 0 && !trial_log_find(&log, "a"));
    append(c, path, "a", TRIAL_OK, 12.5);
    append(c, path, "b", TRIAL_KILLED, 0);
    FILE *f = fopen(path, "a");
    fputs("{\"key\": \"c\", \"outc", f); /* a kill */
    fclose(f);
    assert_int_equal(trial_log_read(c, path, &log), OK);
    assert_int_equal(log.n, 2);
    assert_string_equal(trial_log_find(&log, "b")->message, "because of \"b\"");
    trial_log_release(&log);
    append(c, path, "a", TRIAL_SLOW, 0); /* behind the torn line, which goes; the last result of a key counts */
    assert_int_equal(trial_log_read(c, path, &log), OK);
    assert_int_equal(log.n, 3);
    assert_int_equal(trial_log_find(&log, "a")->outcome, TRIAL_SLOW);
    assert_true(log.list[0].tokens_per_s == 12.5 && log.list[0].planned_bytes == 7);
    trial_log_release(&log);
    dir_remove(c, folder);
    ctx_free(c);
}

static void refused(const char *line, const char *names)
{
    struct ctx *c = ctx_new(NULL);
    struct trial_log log = {.c = c};
    char text[2048];
    snprintf(text, sizeof text, "\n%s\n", line);
    assert_int_equal(trial_log_parse(&log, "log", text, strlen(text)), E_INPUT);
    if (!strstr(c->message, names) || !strstr(c->message, "log:2")) fail_msg("'%s' is not in: %s", names, c->message);
    trial_log_release(&log);
    ctx_clear(c);
    ctx_free(c);
}

static void hostile(void **state)
{
    (void)state;
    char key[600];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    char line[1024];
    refused("[]", "not a JSON object");
    refused("{\"key\": 3}", "key");
    refused("{\"key\": \"a\", \"message\": \"\", \"outcome\": \"fine\", \"tokens_per_s\": 1, \"planned_bytes\": 1}",
            "outcome");
    refused("{\"key\": \"a\", \"message\": \"\", \"outcome\": \"ok\", \"tokens_per_s\": -1, \"planned_bytes\": 1}",
            "tokens_per_s");
    refused("{\"key\": \"a\", \"message\": \"\", \"outcome\": \"ok\", \"tokens_per_s\": 1}", "planned_bytes");
    snprintf(line, sizeof line,
             "{\"key\": \"%s\", \"message\": \"\", \"outcome\": \"ok\", \"tokens_per_s\": 1, \"planned_bytes\": 1}", key);
    refused(line, "longer than");
    snprintf(line, sizeof line,
             "{\"key\": \"a\", \"message\": \"%s\", \"outcome\": \"ok\", \"tokens_per_s\": 1, \"planned_bytes\": 1}", key);
    refused(line, "message is longer than");
    refused("{\"key\": \"a\", \"message\": \"\", \"outcome\": \"ok\", \"tokens_per_s\": 1, \"planned_bytes\": -1}",
            "planned_bytes");
    refused("{\"key\": \"a\", \"message\": \"\", \"outcome\": \"ok\", \"tokens_per_s\": 1e13, \"planned_bytes\": 1}",
            "tokens_per_s");
}

/* More lines than are read are refused by the first that is too many. */
static void limited(void **state)
{
    (void)state;
    static const char row[] =
        "{\"key\": \"a\", \"message\": \"\", \"outcome\": \"ok\", \"tokens_per_s\": 1, \"planned_bytes\": 1}\n";
    struct ctx *c = ctx_new(NULL);
    struct trial_log log = {.c = c};
    size_t n = (TRIAL_LOG_MAX + 1) * (sizeof row - 1);
    char *text = malloc(n);
    for (size_t i = 0; i < n; i++) text[i] = row[i % (sizeof row - 1)];
    assert_int_equal(trial_log_parse(&log, "log", text, n - (sizeof row - 1)), OK);
    assert_int_equal(log.n, TRIAL_LOG_MAX);
    trial_log_release(&log);
    assert_int_equal(trial_log_parse(&log, "log", text, n), E_INPUT);
    assert_non_null(strstr(c->message, "more than"));
    trial_log_release(&log);
    free(text);
    ctx_clear(c);
    ctx_free(c);
}

/* JSON has no word for a rate that is none. */
static void endless_rate(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct trial_log log;
    char folder[48], path[80];
    assert_non_null(mkdtemp(scratch_template(folder, sizeof folder, "trials")));
    snprintf(path, sizeof path, "%s/log.jsonl", folder);
    append(c, path, "a", TRIAL_OK, INFINITY);
    assert_int_equal(trial_log_read(c, path, &log), OK);
    assert_true(log.n == 1 && log.list[0].tokens_per_s == 0);
    trial_log_release(&log);
    dir_remove(c, folder);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_back), cmocka_unit_test(hostile), cmocka_unit_test(limited),
                                       cmocka_unit_test(endless_rate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
