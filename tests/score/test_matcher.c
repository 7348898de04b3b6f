/* The matcher against a search for each pattern at each place, on random texts over a small alphabet, where occurrences
 * overlap and contain each other; and the rules about words, case and white space by example. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "score/support_score.h"
#include "score/word.h"

/* ---- the slow way ---------------------------------------------------------------------------------------------------- */

static bool is_space(char ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r') || (ch >= 0x1c && ch <= 0x1f);
}

/* Where an occurrence of the ASCII pattern that begins at `at` ends; 0: there is none. */
static size_t occurrence(const struct matcher_pattern *p, bool any_space, const char *text, size_t n, size_t at)
{
    for (size_t i = 0; i < p->bytes; i++) {
        if (any_space && p->text[i] == ' ') {
            if (at >= n || !is_space(text[at])) return 0;
            while (at < n && is_space(text[at])) at++;
            continue;
        }
        if (at >= n) return 0;
        bool same = p->flags & MATCH_EXACT ? text[at] == p->text[i] : word_lower(text[at]) == word_lower(p->text[i]);
        if (!same) return 0;
        at++;
    }
    return at;
}

static bool is_word(const char *text, size_t n, size_t at)
{
    return at < n && word_ascii[(uint8_t)text[at]] & WORD_LETTER;
}

static uint32_t count_slowly(const struct matcher_pattern *p, bool any_space, const char *text, size_t n)
{
    uint32_t count = 0;
    for (size_t at = 0, end; at < n; at++) {
        end = occurrence(p, any_space, text, n, at);
        if (end == 0) continue;
        if (p->flags & MATCH_LEFT && at > 0 && is_word(text, n, at - 1) && is_word(text, n, at)) continue;
        if (p->flags & MATCH_RIGHT && is_word(text, n, end) && is_word(text, n, end - 1)) continue;
        count++;
        at = end - 1; /* occurrences do not overlap */
    }
    return count;
}

/* ---- comparisons ----------------------------------------------------------------------------------------------------- */

enum { PATTERNS = 24, TEXTS = 1500, ROUNDS = 60 };
static const char alphabet[] = "aAbBc  ._\n,"; /* patterns have the first nine; texts are cut at commas */

static uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* A pattern that the matcher takes: no white space at its ends, single spaces inside. */
static size_t random_pattern(uint64_t *state, char *out)
{
    size_t n = 1 + next_random(state) % 5;
    for (size_t i = 0; i < n; i++) {
        bool edge = i == 0 || i + 1 == n || out[i - 1] == ' ';
        do out[i] = alphabet[next_random(state) % 9];
        while (out[i] == ' ' && edge);
    }
    return n;
}

static void against_the_slow_way(void **unused)
{
    (void)unused;
    struct ctx *c = ctx_new(NULL);
    uint64_t state = 7;
    static char words[PATTERNS][8], text[TEXTS];
    long found = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct matcher_pattern p[PATTERNS];
        bool any_space = round % 2;
        for (int i = 0; i < PATTERNS; i++)
            p[i] = (struct matcher_pattern){words[i], random_pattern(&state, words[i]), next_random(&state) % 8, NULL};
        struct matcher *m = matcher_new(c, p, PATTERNS, any_space);
        assert_non_null(m);
        for (int t = 0; t < 50; t++) {
            size_t n = next_random(&state) % TEXTS;
            for (size_t i = 0; i < n; i++) text[i] = alphabet[next_random(&state) % (t % 2 ? 11 : 10)];
            struct matcher_count counts[PATTERNS] = {{0}};
            matcher_run(m, text, n, counts);
            for (int i = 0; i < PATTERNS; i++) {
                uint32_t want = count_slowly(&p[i], any_space, text, n);
                if (counts[i].count != want)
                    print_error("\"%.*s\" flags %u in \"%.*s\": %u, expected %u\n", (int)p[i].bytes, p[i].text, p[i].flags,
                                (int)n, text, counts[i].count, want);
                assert_int_equal(counts[i].count, want);
                found += want;
            }
        }
        matcher_free(c, m);
    }
    assert_true(found > 10000);
    ctx_free(c);
}

/* ---- by example ------------------------------------------------------------------------------------------------------ */

static uint32_t count(const char *pattern, unsigned flags, bool any_space, const char *text)
{
    struct ctx *c = ctx_new(NULL);
    struct matcher_pattern p = {pattern, strlen(pattern), flags, NULL};
    struct matcher *m = matcher_new(c, &p, 1, any_space);
    assert_non_null(m);
    struct matcher_count k = {0};
    matcher_run(m, text, strlen(text), &k);
    matcher_free(c, m);
    ctx_free(c);
    return k.count;
}

static void words_of_any_script(void **unused)
{
    (void)unused;
    enum { WORD = MATCH_LEFT | MATCH_RIGHT };
    assert_int_equal(count("who", WORD, false, "who is in the whole? Who, (who) who's"), 4);
    assert_int_equal(count("who", WORD, false, "\xC3\xA9who who\xD0\xB6 who\xE4\xB8\xAD who_ 2who who\xC2\xB2"), 0);
    assert_int_equal(count("who", WORD, false, "\xE2\x80\x94who\xE2\x80\x94 \xC2\xABwho\xC2\xBB"), 2);
    assert_int_equal(count("who", WORD, false, "\xFFwho\xC3"), 1); /* broken UTF-8 is no letter */
    assert_int_equal(count(".gov", WORD, false, "cdc.gov, .gov, .government"), 2);
    assert_int_equal(count("WHO", WORD | MATCH_EXACT, false, "WHO Who who"), 1);
    assert_int_equal(count("lab notebook", WORD, true, "lab notebook lab\n\t notebook Lab  Notebook labnotebook"), 3);
    assert_int_equal(count("lab notebook", WORD, false, "lab notebook lab\n\t notebook Lab  Notebook labnotebook"), 1);
    assert_int_equal(count("aa", 0, false, "aaaaa"), 2);
}

/* Letters beyond ASCII: as written, lower, upper, capitalised. */
static void letters_beyond_ascii(void **unused)
{
    (void)unused;
    enum { WORD = MATCH_LEFT | MATCH_RIGHT };
    const char *text = "\xC3\xA9tude \xC3\x89TUDE \xC3\x89tude \xC3\xA9tudes";
    assert_int_equal(count("\xC3\xA9tude", WORD, false, text), 3);
    assert_int_equal(count("\xC3\x89tude", WORD, false, text), 3);
    assert_int_equal(count("\xC3\x89tude", WORD | MATCH_EXACT, false, text), 1);
    assert_int_equal(count("na\xC3\xAFve \xC3\xA9tude", WORD, true, "NA\xC3\x8FVE  \xC3\x89TUDE"), 1);
    /* a long s is not folded, which the header says */
    assert_int_equal(count("sample", WORD, false,
                           "\xC5\xBF"
                           "ample"),
                     0);
}

static void limits_are_refused(void **unused)
{
    (void)unused;
    struct ctx *c = ctx_new(NULL);
    static char word[200];
    static struct matcher_pattern many[MATCHER_MAX_PATTERNS + 1];
    memset(word, 'a', sizeof word);
    for (int i = 0; i <= MATCHER_MAX_PATTERNS; i++) many[i] = (struct matcher_pattern){word, 1, 0, NULL};
    assert_null(matcher_new(c, many, MATCHER_MAX_PATTERNS + 1, false));
    assert_int_equal(c->status, E_INPUT);
    ctx_clear(c);
    for (int i = 0; i < 200; i++) many[i].bytes = sizeof word;
    assert_null(matcher_new(c, many, 200, false));
    assert_int_equal(c->status, E_INPUT);
    ctx_clear(c);
    struct matcher *none = matcher_new(c, many, 0, false);
    assert_non_null(none);
    matcher_run(none, "text", 4, NULL);
    matcher_free(c, none);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_the_slow_way),
        cmocka_unit_test(words_of_any_script),
        cmocka_unit_test(letters_beyond_ascii),
        cmocka_unit_test(limits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
