/* pattern: the regular expressions of rank_pattern, alpha_pattern and target_modules against Python's re, and what is
 * refused. */
#include "support_model.h"

#include <stdlib.h>
#include <string.h>

#include "model/peft/pattern.h"

static bool matches(struct ctx *c, const char *source, const char *text)
{
    struct pattern *p = pattern_new(c, "test", source);
    assert_ok(c);
    bool yes = pattern_match_tail(p, text);
    pattern_free(p);
    return yes;
}

/* Verdicts of Python: re.match(rf"(.*\.)?({pattern})$", "model.layers.10.self_attn.q_proj") */
static void verdicts_of_python(void **state)
{
    static const struct {
        const char *pattern;
        bool match;
    } cases[] = {
        {"q_proj", true},
        {"proj", false},
        {"_proj", false},
        {"self_attn.q_proj", true},
        {"self.attn.q_proj", true},
        {"attn.q_proj", false},
        {"model.layers.10.self_attn.q_proj", true},
        {"model.layers.1.self_attn.q_proj", false},
        {"layers.10.self_attn.q_proj", true},
        {"0.self_attn.q_proj", false},
        {"^model.layers.10.self_attn.q_proj", true},
        {"^layers.10.self_attn.q_proj", false},
        {"^layers.*", false},
        {"model\\.layers\\.10\\.self_attn\\.q_proj$", true},
        {"layers\\.(0|10|2)\\..*q_proj", true},
        {"layers\\.(0|1|2)\\..*q_proj", false},
        {".*", true},
        {".*k_proj", false},
        {".*\\.(q|k|v)_proj", true},
        {"layers\\.\\d+\\.self_attn\\.[qkv]_proj", true},
        {"layers\\.[0-9]\\.self_attn\\.[qkv]_proj", false},
        {"layers\\.[^2-9]+\\.self_attn\\.\\w+", true},
        {"(layers\\.1?0\\.)?self_attn\\.q_proj", true},
        {"q_pro", false},
        {"q_proj|k_proj", true},
        {"(ab*)*c?q_proj", true},
        {"", false},
        {"[]q]_proj", true},
        {"x*", false},
        {"(?:[qk])_proj", true},
        {"self_attn.(?:q|v)_proj", true},
        {"(?:a|(?:b))c*?d", false},
        {"(?:.*?)q_proj", true},
        {"l??ayers.*?q_proj", true},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (matches(f->c, cases[i].pattern, "model.layers.10.self_attn.q_proj") != cases[i].match)
            fail_msg("\"%s\" should %smatch", cases[i].pattern, cases[i].match ? "" : "not ");
}

/* Verdicts of Python: re.fullmatch(pattern, "model.layers.10.self_attn.q_proj") */
static void the_whole_text(void **state)
{
    static const struct {
        const char *pattern;
        bool match;
    } cases[] = {
        {"q_proj", false},
        {"self_attn.q_proj", false},
        {"self_attn.[qk]_proj", false},
        {"model.layers.10.self_attn.q_proj", true},
        {"model.layers.1.self_attn.q_proj", false},
        {".*q_proj", true},
        {".*\\.q_proj", true},
        {".*attn", false},
        {"^model.*$", true},
        {"model\\.layers\\.1\\..*", false},
        {"model.layers.\\d+.self_attn.(?:q|k)_proj", true},
        {".*_proj|lm_head", true},
        {".*?(?:self_attn|mlp).*?(?:q_proj|o_proj)", true},
        {"(?:.*?)+?q_pro", false},
        {"x??.*proj", true},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pattern *p = pattern_new(f->c, "test", cases[i].pattern);
        assert_ok(f->c);
        if (pattern_match(p, "model.layers.10.self_attn.q_proj") != cases[i].match)
            fail_msg("\"%s\" should %smatch", cases[i].pattern, cases[i].match ? "" : "not ");
        pattern_free(p);
    }
}

static void refusals(void **state)
{
    static const struct {
        const char *pattern;
        enum status status;
        const char *part;
    } cases[] = {
        {"(?=a)", E_UNSUPPORTED, "(?"},      {"(?", E_UNSUPPORTED, "(?"},           {"(?:a", E_INPUT, "( is not closed"},
        {"a{2}", E_UNSUPPORTED, "{m,n}"},    {"a*+b", E_UNSUPPORTED, "possessive"}, {"a*??", E_UNSUPPORTED, "repeated"},
        {"\\bq", E_UNSUPPORTED, "escape"},   {"(a)\\1", E_UNSUPPORTED, "escape"},   {"(a", E_INPUT, "( is not closed"},
        {"a)", E_INPUT, ") was not opened"}, {"[a", E_INPUT, "[ is not closed"},    {"*a", E_INPUT, "nothing to repeat"},
        {"a\\", E_INPUT, "backslash"},       {"[z-a]", E_INPUT, "backwards"},       {"a|*", E_INPUT, "nothing to repeat"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(pattern_new(f->c, "rank_pattern", cases[i].pattern));
        assert_failed(f->c, cases[i].status, cases[i].part);
    }
    char deep[101] = {0}, longer[600] = {0};
    memset(deep, '(', 100);
    assert_null(pattern_new(f->c, "rank_pattern", deep));
    assert_failed(f->c, E_UNSUPPORTED, "nested");
    memset(longer, '*', sizeof longer - 1);
    assert_null(pattern_new(f->c, "rank_pattern", longer));
    assert_failed(f->c, E_UNSUPPORTED, "longer");
}

/* (a*)*(a*)*...b over aaaa: exponential for a backtracking matcher. The largest program that the limit allows. */
static void hostile_patterns_take_linear_time(void **state)
{
    struct fixture *f = *state;
    char pattern[513] = "", text[101] = {0};
    while (strlen(pattern) + 6 < sizeof pattern) strcat(pattern, "(a*)*");
    strcat(pattern, "b");
    memset(text, 'a', 100);
    assert_false(matches(f->c, pattern, text));
    memset(pattern, '|', 512);
    assert_false(matches(f->c, pattern, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(verdicts_of_python, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_whole_text, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(refusals, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(hostile_patterns_take_linear_time, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
