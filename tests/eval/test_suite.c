/* suite: every rule of judging by hand, in whole words and substrings; files read and refused by file, row and member; and
 * controls that pass what can be fooled. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "eval/suite.h"
#include "train/support_tiny.h"

static struct ctx *c;

static int group_setup(void **state)
{
    (void)state;
    c = ctx_new(NULL);
    return c ? 0 : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
    tiny_cleanup();
    return 0;
}

static struct suite *open_text(const char *text)
{
    const char *path = tiny_path("%s/p.jsonl", tiny_folder());
    tiny_write(path, text);
    return suite_open(c, &path, 1);
}

static struct suite *open_good(const char *text)
{
    struct suite *s = open_text(text);
    if (!s) fail_msg("%s", c->message);
    return s;
}

/* Judges the first item of a file. */
static struct suite_score judged(const char *row, const char *answer)
{
    struct suite *s = open_good(row);
    struct suite_score score = suite_judge(&s->items[0], answer);
    suite_close(s);
    return score;
}

static void assert_judged(const char *row, const char *answer, double score, bool passed)
{
    struct suite_score got = judged(row, answer);
    if (fabs(got.score - score) > 1e-12 || got.passed != passed)
        fail_msg("'%s': %g %d, not %g %d", answer, got.score, got.passed, score, passed);
}

#define ROW(REST) "{\"prompt\":\"p\"," REST "}\n"

static void rules_by_hand(void **state)
{
    (void)state;
    static const char two[] =
        ROW("\"checks\":[{\"find\":[\"WHO\",\"first source\",\"money\"],\"min\":2,\"avoid\":[\"trust\"]}]");
    assert_judged(two, "Who paid? The First Source says so.", 1, true);
    assert_judged(two, "The whole story: money.", 0.5, false); /* words, not parts of them */
    assert_judged(two, "who, who, who", 0.5, false);           /* each phrase counts once */
    assert_judged(two, "money, who, trust", 0.8, false);       /* what must not be there */
    assert_judged(two, "trust", 0, false);                     /* never below 0 */
    assert_judged(two, "", 0, false);
    assert_judged(two, "Über-who \xff money", 1, true);          /* bytes that are no UTF-8 do no harm */
    assert_judged(two, "<think>who money</think> no", 0, false); /* the answer is behind the thinking */
    assert_judged(two, "<think>no</think> who <think>hm</think>money who", 1, true);
    assert_judged(two, "<think>who money", 0, false);
    assert_judged(two, "who money <think>more", 0, false);
    static const char parts[] = ROW("\"match\":\"substrings\",\"checks\":[{\"find\":[\"who\",\"b)\"],\"min\":2}]");
    assert_judged(parts, "the whole (B)", 1, true);
    static const char thinking[] = ROW("\"checks\":[{\"avoid\":[\"cannot\"],\"where\":\"all\"},{\"find\":[\"yes\"]}]");
    assert_judged(thinking, "<think>I cannot</think> yes", 0.9, false);
    assert_judged(thinking, "yes", 1, true);
    static const char weighed[] =
        ROW("\"threshold\":0.6,\"min_chars\":5,\"refusal\":[\"i cannot\"],"
            "\"checks\":[{\"find\":[\"a\"],\"weight\":0.6},{\"find\":[\"b\",\"c\"],\"min\":2,\"weight\":0.4}]");
    assert_judged(weighed, "a x x", 0.6, true); /* not all checks, but the threshold */
    assert_judged(weighed, "b c x", 0.4, false);
    assert_judged(weighed, "a", 0.6, false);    /* too short */
    assert_judged(weighed, "äaa a", 0.6, true); /* characters, not bytes */
    assert_judged(weighed, "I cannot say: a b c", 0, false);
    char late[1200];
    memset(late, '.', 1010);
    strcpy(late + 1010, " i cannot a b c");
    assert_judged(weighed, late, 1, true); /* a refusal is looked for at the beginning */
}

static void controls_pass_what_can_be_fooled(void **state)
{
    (void)state;
    struct suite *s = open_good(
        "{\"suite\":\"x\",\"prompt\":\"who paid for the data?\",\"checks\":[{\"find\":[\"who paid\",\"data\"],\"min\":2}]}\n"
        "{\"suite\":\"y\",\"prompt\":\"q\",\"checks\":[{\"find\":[\"of y\"]}]}\n"
        "{\"suite\":\"x\",\"prompt\":\"q\",\"min_chars\":200,\"checks\":[{\"find\":[\"data\",\"z\"]}]}\n"
        "{\"suite\":\"x\",\"prompt\":\"q\",\"checks\":[{\"find\":[\"stay neutral\"]}]}\n");
    char *fixed = suite_fixed(s, "x"), *other = suite_fixed(s, "no such suite");
    assert_true(strncmp(fixed, "Consider data,", 14) == 0); /* two items want it */
    assert_null(strstr(fixed, "of y"));
    assert_non_null(other);
    static const bool passes[SUITE_CONTROLS][4] = {
        {true, false, false, false}, {true, false, true, true}, {false, false, false, true}};
    for (int k = 0; k < SUITE_CONTROLS; k++)
        for (int i = 0; i < 4; i++) {
            const struct suite_item *item = &s->items[i];
            bool passed = suite_judge(item, suite_control_text((enum suite_control)k, item, fixed)).passed;
            if (passed != passes[k][i]) fail_msg("%s on item %d: %d", suite_control_name[k], i, passed);
        }
    mem_free(c, fixed);
    mem_free(c, other);
    suite_close(s);
}

static void refused(const char *says, const char *text)
{
    assert_null(open_text(text));
    if (!strstr(c->message, says) || !strstr(c->message, "p.jsonl")) fail_msg("'%s' lacks '%s'", c->message, says);
    ctx_clear(c);
}

static void files_are_refused_by_name(void **state)
{
    (void)state;
    refused("holds no prompt", "\n");
    refused("p.jsonl:2", "{\"prompt\":\"a\",\"checks\":[{\"find\":[\"x\"]}]}\n{\"prompt\":\"a\"}\n");
    refused("\"prompt\"", "{\"checks\":[{\"find\":[\"x\"]}]}\n");
    refused("\"prompt\" is empty", "{\"prompt\":\"\",\"checks\":[{\"find\":[\"x\"]}]}\n");
    refused("no member \"cheks\"", "{\"prompt\":\"a\",\"cheks\":[]}\n");
    refused("no member \"finds\"", ROW("\"checks\":[{\"finds\":[\"x\"]}]"));
    refused("needs \"find\" or \"avoid\"", ROW("\"checks\":[{\"min\":0}]"));
    refused("list of objects", ROW("\"checks\":[3]"));
    refused("list of 1 to 64", ROW("\"checks\":[]"));
    refused("\"find\" must be a list", ROW("\"checks\":[{\"find\":\"x\"}]"));
    refused("\"find\"[1] must be a text", ROW("\"checks\":[{\"find\":[\"x\",\"\"]}]"));
    refused("\"find\"[0] must be a text", ROW("\"checks\":[{\"find\":[7]}]"));
    refused("min", ROW("\"checks\":[{\"find\":[\"x\"],\"min\":2}]"));
    refused("penalty", ROW("\"checks\":[{\"avoid\":[\"x\"],\"penalty\":-1}]"));
    refused("weight", ROW("\"checks\":[{\"find\":[\"x\"],\"weight\":0}]"));
    refused("\"where\" is", ROW("\"checks\":[{\"find\":[\"x\"],\"where\":\"there\"}]"));
    refused("\"match\" is", ROW("\"match\":\"regex\",\"checks\":[{\"find\":[\"x\"]}]"));
    refused("threshold", ROW("\"threshold\":2,\"checks\":[{\"find\":[\"x\"]}]"));
    refused("max_tokens", ROW("\"max_tokens\":0,\"checks\":[{\"find\":[\"x\"]}]"));
    refused("is no object", "[3]\n");
    const char *example = SOURCE_DIR "/data/suites/example.jsonl";
    struct suite *s = suite_open(c, &example, 1);
    if (!s) fail_msg("%s", c->message);
    suite_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_by_hand),
        cmocka_unit_test(controls_pass_what_can_be_fooled),
        cmocka_unit_test(files_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
