/* The rules: the built-in ones are those of data/score, and a file of the user's is checked, member by member. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/file.h"
#include "score/support_score.h"
#include "support_oom.h"

static void built_in_rules_are_the_files(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    size_t n;
    char *text = file_read(c, SOURCE_DIR "/data/score/rules.json", RULES_MAX_BYTES, &n);
    assert_non_null(text);
    assert_string_equal(text, rules_text_default); /* else: tools/gen_data_texts.py */
    mem_free(c, text);
    struct rules *a = rules_open(c, NULL, false, SCORER_CITATION);
    struct rules *b = rules_open(c, SOURCE_DIR "/data/score/rules.json", false, SCORER_CITATION);
    char hex[65];
    uint64_t bytes;
    assert_int_equal(file_sha256(c, SOURCE_DIR "/data/score/rules.json", hex, &bytes), OK);
    assert_string_equal(a->sha256, hex);
    assert_string_equal(b->sha256, hex);
    assert_string_equal(rules_kind(a, "wiki", 4)->source_type, "wiki");
    assert_string_equal(rules_kind(a, "wik", 3)->source_type, "unknown");
    rules_free(c, a);
    rules_free(c, b);
    ctx_free(c);
}

/* The default rules with the first `from` replaced by `to`. */
static char *changed(const char *from, const char *to)
{
    const char *at = strstr(rules_text_default, from);
    if (!at) {
        print_error("not in the rules: %s\n", from);
        abort();
    }
    size_t before = (size_t)(at - rules_text_default), n = strlen(rules_text_default) - strlen(from) + strlen(to);
    char *text = malloc(n + 1);
    memcpy(text, rules_text_default, before);
    strcpy(text + before, to);
    strcat(text, at + strlen(from));
    return text;
}

static const struct {
    const char *from, *to, *message;
    enum scorer scorer;
} refused[] = {
    {"{\n", "{\n \"surprise\": 1,", "unknown member \"surprise\"", SCORER_CITATION},
    {"\"base\": 0.3,", "", "\"base\" is missing", SCORER_CITATION},
    {"\"base\": 0.3", "\"base\": 1.5", "\"base\" is 1.5, outside", SCORER_CITATION},
    {"\"base\": 0.3", "\"base\": \"x\"", "\"base\" must be a number", SCORER_CITATION},
    {"\"base\": 0.3", "\"base\": 0.3, \"basis\": 1", "unknown member \"basis\"", SCORER_CITATION},
    {"\"age_unknown\": 0.25", "\"age_unknown\": 0.25, \"base\": 0", "unknown member \"base\"", SCORER_HEURISTIC},
    {"rules 1", "rules 2", "this program reads", SCORER_CITATION},
    {"\"widely accepted\"", "\"\"", "not empty", SCORER_CITATION},
    {"\"widely accepted\"", "7", "not empty", SCORER_CITATION},
    {"\"widely accepted\"", "\" widely\"", "single spaces", SCORER_CITATION},
    {"\"widely accepted\"", "\"widely  accepted\"", "single spaces", SCORER_CITATION},
    {"\"widely accepted\"", "\"widely\\naccepted\"", "control characters", SCORER_CITATION},
    {"\"match\": \"word\"", "\"match\": \"regex\"", "use word, prefix or anywhere", SCORER_CITATION},
    {"\"case\": \"exact\"", "\"case\": \"EXACT\"", "use exact or fold", SCORER_CITATION},
    {"\"value\": 0.35", "\"valu\": 0.35", "unknown member \"valu\"", SCORER_CITATION},
    {"\"name\": \"news\", \"tests\"", "\"name\": \"blog\", \"tests\"", "two source types \"blog\"", SCORER_CITATION},
    {"\"name\": \"news\", \"tests\"", "\"name\": \"a\\\"b\", \"tests\"", "use letters", SCORER_CITATION},
    {"\"name\": \"news\", \"adds\"", "\"name\": \"gnus\", \"adds\"", "which is no source type", SCORER_CITATION},
    {"\"source_type\": \"unknown\"", "\"source_type\": \"other\"", "\"unknown\", for all others", SCORER_CITATION},
    {"\"auth_weight\": 0.95", "\"auth_weight\": 1", "outside [0, 0.99]", SCORER_CITATION},
    {"\"hosts\": [\n", "\"hosts\": 1, \"x\": [\n", "citation has an unknown member \"x\"", SCORER_CITATION},
    {"\"primary\": [\n", "\"primary\": {}, \"consensus\": [\n", "duplicate key", SCORER_CITATION},
    {"\"original\": false", "\"original\": 0", "\"original\" must be true or false", SCORER_CITATION},
};

static void faulty_rules_are_refused_by_name(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char *text = changed(refused[i].from, refused[i].to);
        struct rules *r = rules_read(c, "mine.json", text, strlen(text), refused[i].scorer);
        if (r || !strstr(c->message, refused[i].message))
            print_error("%s -> %s: \"%s\"\n", refused[i].from, refused[i].to, c->message);
        assert_null(r);
        assert_non_null(strstr(c->message, refused[i].message));
        assert_non_null(strstr(c->message, "mine.json"));
        ctx_clear(c);
        assert_int_equal(c->alloc_bytes, 0);
        free(text);
    }
    ctx_free(c);
}

/* A word of the user's own, in a script of their own. */
static void own_words_count(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    char *text = changed("\"widely accepted\"", "\"allgemein g\xC3\xBCltig\"");
    struct rules *r = rules_read(c, "mine.json", text, strlen(text), SCORER_CITATION);
    assert_non_null(r);
    assert_string_not_equal(r->sha256, "");
    struct matcher_count *counts = score_counts_new(c, r);
    struct score_input in = support_input("ALLGEMEIN\nG\xC3\x9CLTIG, widely accepted");
    struct score_result out = {0};
    score_citation(r, counts, &in, &out);
    assert_true(out.authority[3] > 0.09 && out.authority[3] < 0.11);
    mem_free(c, counts);
    rules_free(c, r);
    free(text);
    ctx_free(c);
}

static void each_allocation_can_fail(void **state)
{
    (void)state;
    bool done = false;
    for (long at = 0; !done; at += 7) {
        struct oom oom = {.fail_at = at};
        struct ctx *c = oom_ctx(&oom);
        if (!c) continue;
        struct rules *r = rules_open(c, NULL, false, SCORER_CITATION);
        done = r != NULL;
        if (!r) assert_int_equal(c->status, E_MEMORY);
        rules_free(c, r);
        ctx_clear(c);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_rules_are_the_files),
        cmocka_unit_test(faulty_rules_are_refused_by_name),
        cmocka_unit_test(own_words_count),
        cmocka_unit_test(each_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
