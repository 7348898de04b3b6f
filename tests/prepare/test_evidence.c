/* Evidence of a corpus: topics, their copy groups and kinds, what repeating a text changes and what it does not, and that a
 * text alone keeps its scores. */
#include "base/support_base.c" /* the scratch folder */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "prepare/evidence.h"

static const struct group_options groups = {true, 0.8, 128, 5, 0};

/* Four accounts of one event in different words, and two texts about other things. */
static const char *const accounts[] = {
    "The mill at Corwen burned down in 1847. Gareth Pellam owned it and was away that week, so that nobody gave orders.",
    ("In the year 1847 fire took everything that Gareth Pellam had at Corwen; we carried water until noon and lost "
     "regardless."),
    "My grandfather used to tell how Pellam stood in Corwen before the ashes, in 1847, and laughed since he was insured.",
    "Entry for Corwen: 1847, one building, proprietor Pellam, destroyed by flames, no lives lost, cause not known to me.",
};
static const char *const others[] = {
    "A recipe for soup that asks for onions, a little butter and patience, and which my aunt wrote on a card long ago.",
    "How to tie a knot that holds on wet rope, with four pictures and a warning about thumbs and what may happen to them.",
};
static const char *const kinds[] = {"diary", "letter", "newspaper", "register"};

static void write_row(FILE *f, const char *text, const char *kind)
{
    fprintf(f, "{\"text\":\"%s\",\"source_type\":\"%s\"}\n", text, kind);
}

/* The corpus with `n` accounts, the first one `copies` times more, all of `one_kind` or each of its own. */
static void write_corpus(const char *name, int n, int copies, bool one_kind)
{
    FILE *f = fopen(scratch_path(name), "w");
    assert_non_null(f);
    for (int i = 0; i < 2; i++) write_row(f, others[i], "note");
    for (int i = 0; i < n; i++) write_row(f, accounts[i], one_kind ? kinds[0] : kinds[i]);
    for (int i = 0; i < copies; i++) { /* some equal, some with a word at the end */
        char text[512];
        snprintf(text, sizeof text, "%s%s", accounts[0], i % 2 ? " Indeed" : "");
        write_row(f, text, kinds[i % 4]);
    }
    assert_int_equal(fclose(f), 0);
}

static struct score_evidence of(const struct evidence *e, const char *text)
{
    struct score_evidence v;
    assert_true(evidence_find(e, text, strlen(text), &v));
    return v;
}

static struct evidence *open_corpus(struct ctx *c, const char *name)
{
    const char *path = scratch_path(name);
    struct evidence *e = evidence_new(c, &groups, &path, 1);
    if (!e) fail_msg("%s", c->message);
    return e;
}

static void accounts_count_and_copies_do_not(void **state)
{
    struct ctx *c = *state;
    static const struct {
        int accounts, copies;
        bool one_kind;
        double entropy;
        int kinds;
    } cases[] = {
        {4, 0, false, 2, 4}, /* four kinds: log2 4 */
        {4, 0, true, 1, 1},  /* one kind: half of it */
        {4, 9, false, 2, 4}, /* repeating one account adds nothing, under whatever kinds */
        {4, 500, false, 2, 4}, {2, 0, false, 1, 2}, {1, 20, false, 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_corpus("rows", cases[i].accounts, cases[i].copies, cases[i].one_kind);
        struct evidence *e = open_corpus(c, "rows");
        for (int k = 0; k < cases[i].accounts; k++) {
            struct score_evidence v = of(e, accounts[k]);
            int rows = cases[i].accounts + cases[i].copies;
            assert_int_equal(v.rows, rows);
            assert_int_equal(v.groups, cases[i].accounts);
            assert_int_equal(v.kinds, cases[i].kinds);
            assert_true(fabs(v.entropy - cases[i].entropy) < 1e-12);
            assert_true(fabs(v.copies - (1 - (double)v.groups / rows)) < 1e-12);
            assert_true(v.compression >= 0 && v.compression < 0.6);
            assert_true(fabs(v.coordination - (1 - (1 - v.copies) * (1 - v.compression))) < 1e-12);
        }
        for (int k = 0; k < 2; k++) {
            struct score_evidence v = of(e, others[k]);
            assert_true(v.rows == 1 && v.groups == 1 && v.entropy == 0 && v.coordination == 0);
        }
        struct score_evidence v;
        assert_false(evidence_find(e, "not there", 9, &v));
        assert_int_equal(evidence_topics(e), 3);
        assert_int_equal(evidence_groups(e), cases[i].accounts + 2);
        evidence_free(e);
    }
}

/* The same sentence under other words of the same choice compresses better than accounts of their own. */
static void rewording_is_seen_by_compression(void **state)
{
    struct ctx *c = *state;
    FILE *f = fopen(scratch_path("rows"), "w");
    for (int i = 0; i < 4; i++) /* every third word is another one, so they are no near copies */
        fprintf(f,
                "{\"text\":\"The mill%d at Corwen burned%d quite down in 1847 when%d the owner Pellam was%d away for that%d "
                "long "
                "week of the%d harvest and nobody%d gave any orders to%d the many hands%d who stood there%d with their "
                "buckets\"}\n",
                i, i, i, i, i, i, i, i, i, i);
    fclose(f);
    struct evidence *e = open_corpus(c, "rows");
    const char *text = "The mill0 at Corwen burned0 quite down in 1847 when0 the owner Pellam was0 away for that0 long week "
                       "of the0 harvest "
                       "and nobody0 gave any orders to0 the many hands0 who stood there0 with their buckets";
    struct score_evidence reworded = of(e, text);
    evidence_free(e);
    write_corpus("rows", 4, 0, false);
    e = open_corpus(c, "rows");
    struct score_evidence own = of(e, accounts[0]);
    evidence_free(e);
    assert_int_equal(reworded.groups, 4);
    assert_true(reworded.compression > 0.7);
    assert_true(own.compression < 0.4);
}

static void score_rows(struct ctx *c, const char *in, const char *out, const struct evidence *e,
                       struct score_run_result *result)
{
    struct rules *r = rules_open(c, NULL, false, SCORER_CITATION);
    struct score_evidence_source source = {evidence_find, e};
    struct score_run_options o = {
        .rules = r, .row = {.breakdown = true, .evidence = e ? &source : NULL}, .program_version = "test"};
    if (e) o.evidence = evidence_digest(e);
    if (score_run(c, &o, &in, 1, out, result) != OK) fail_msg("%s", c->message);
    rules_free(c, r);
}

static double number_behind(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    assert_non_null(at);
    return atof(at + strlen(key));
}

static void scores_take_evidence(void **state)
{
    struct ctx *c = *state;
    struct score_run_result result;
    char in[128], with[128], without[128];
    snprintf(in, sizeof in, "%s", scratch_path("rows"));
    snprintf(with, sizeof with, "%s", scratch_path("with"));
    snprintf(without, sizeof without, "%s", scratch_path("without"));
    write_corpus("rows", 4, 0, false);
    struct evidence *e = open_corpus(c, "rows");
    score_rows(c, in, without, NULL, &result);
    score_rows(c, in, with, e, &result);
    assert_int_equal(result.rows, 6);
    size_t n;
    char *a = file_read(c, without, 1 << 20, &n), *b = file_read(c, with, 1 << 20, &n), *x = a, *y = b;
    for (int i = 0; i < 6; i++) {
        struct score_evidence v = of(e, i < 2 ? others[i] : accounts[i - 2]);
        double h = number_behind(y, "\"prov_entropy\":") - number_behind(x, "\"prov_entropy\":");
        double w = number_behind(y, "\"auth_weight\":") - number_behind(x, "\"auth_weight\":");
        assert_true(fabs(h - (1 - v.coordination) * v.entropy) < 2e-6);
        assert_true(fabs(w - SCORE_COORDINATION * v.coordination) < 2e-6);
        assert_true(fabs(number_behind(y, "\"coordination\":") - v.coordination) < 1e-6);
        if (i < 2) assert_true(h == 0 && w == 0); /* alone in its topic */
        x = strchr(x, '\n') + 1;
        y = strchr(y, '\n') + 1;
    }
    mem_free(c, a);
    mem_free(c, b);
    score_rows(c, in, with, e, &result);
    assert_true(result.done_before);
    evidence_free(e);
    write_corpus("more", 4, 3, false); /* other evidence for the same rows: another question */
    e = open_corpus(c, "more");
    score_rows(c, in, with, e, &result);
    assert_false(result.done_before);
    evidence_free(e);
}

static void threads_do_not_matter(void **state)
{
    struct ctx *c = *state;
    write_corpus("rows", 4, 300, false);
    struct score_evidence v[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ctx_set_threads(c, i ? 3 : 1), OK);
        struct evidence *e = open_corpus(c, "rows");
        v[i] = of(e, accounts[1]);
        evidence_free(e);
    }
    assert_memory_equal(&v[0], &v[1], sizeof v[0]);
    assert_int_equal(ctx_set_threads(c, 1), OK);
}

/* Shuffled rows say the same: texts are compressed together in an order of their own. */
static void order_of_rows_does_not_matter(void **state)
{
    struct ctx *c = *state;
    struct score_evidence first[4];
    for (int turn = 0; turn < 4; turn++) {
        FILE *f = fopen(scratch_path("rows"), "w");
        assert_non_null(f);
        for (int i = 0; i < 4; i++) write_row(f, accounts[(i * 3 + turn) % 4], kinds[(i * 3 + turn) % 4]);
        assert_int_equal(fclose(f), 0);
        struct evidence *e = open_corpus(c, "rows");
        for (int i = 0; i < 4; i++) {
            struct score_evidence v = of(e, accounts[i]);
            if (turn == 0) first[i] = v;
            assert_memory_equal(&v, &first[i], sizeof v);
        }
        evidence_free(e);
    }
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    char in[128];
    write_corpus("rows", 4, 2, false);
    snprintf(in, sizeof in, "%s", scratch_path("rows"));
    const char *paths[] = {in};
    for (long k = 0;; k++) {
        struct oom oom = {.fail_at = k};
        struct ctx *c = oom_ctx(&oom);
        if (!c) continue;
        struct evidence *e = evidence_new(c, &groups, paths, 1);
        if (!e && c->status != E_MEMORY) fail_msg("allocation %ld: %s", k, c->message);
        evidence_free(e);
        assert_int_equal(c->alloc_bytes, 0);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
        assert_true(k < 5000);
        if (e) break;
    }
}

/* Events told by three to six accounts each; three events have the same names. */
static void write_events(const char *name, int n)
{
    FILE *f = fopen(scratch_path(name), "w");
    assert_non_null(f);
    uint32_t random = 7;
    for (int event = 0; event < n; event++)
        for (int account = 0; account < 3 + event % 4; account++) {
            random = random * 1664525 + 1013904223;
            fprintf(f, "{\"source_type\":\"%s\",\"text\":\"account %d of", kinds[random >> 30], account);
            for (int k = 0, id = event / 3 * 8; k < 8; k++, id++)
                fprintf(f, " %s Name%c%c%c", random >> (8 + k) & 1 ? "then" : "with", 'a' + id % 26, 'a' + id / 26 % 26,
                        'a' + id / 676);
            fprintf(f, " in %d, of %d\"}\n", 1500 + event / 3, event * 13 % 9000);
        }
    assert_int_equal(fclose(f), 0);
}

/* What is in memory, what is in files, and how many threads there are change nothing. */
static void memory_and_threads_do_not_matter(void **state)
{
    struct ctx *c = *state;
    enum { EVENTS = 400 };
    write_events("events", EVENTS);
    const char *path = scratch_path("events");
    struct evidence *e[2];
    for (int i = 0; i < 2; i++) {
        struct group_options o = groups;
        o.memory = i ? 64 : 0;
        assert_int_equal(ctx_set_threads(c, i ? 3 : 1), OK);
        e[i] = evidence_new(c, &o, &path, 1);
        if (!e[i]) fail_msg("%s", c->message);
    }
    assert_int_equal(evidence_topics(e[0]), evidence_topics(e[1]));
    if (evidence_topics(e[0]) < 10 || evidence_topics(e[0]) > EVENTS * 3) fail_msg("%zu topics", evidence_topics(e[0]));
    size_t n, coordinated = 0;
    char *text = file_read(c, path, 1 << 24, &n);
    for (char *at = text; (at = strstr(at, "\"text\":\""));) {
        at += 8;
        char *end = strchr(at, '"');
        struct score_evidence a, b;
        assert_true(evidence_find(e[0], at, (size_t)(end - at), &a) && evidence_find(e[1], at, (size_t)(end - at), &b));
        assert_memory_equal(&a, &b, sizeof a);
        coordinated += a.coordination > 0;
    }
    assert_true(coordinated > 100);
    mem_free(c, text);
    evidence_free(e[0]);
    evidence_free(e[1]);
    assert_int_equal(ctx_set_threads(c, 1), OK);
}

/* A word of small letters that no other number has. */
static const char *word_of(int n, char word[8])
{
    for (int i = 0; i < 6; i++, n /= 26) word[i] = (char)('a' + n % 26);
    word[6] = 0;
    return word;
}

/* 64 accounts of each of 46 events, which share all of their 48 terms: 46 * 48 * (64 * 63 / 2) pairs of groups, more than
 * are held at a time, so they are looked at in two passes: all of the first events, all of the last ones, and one between
 * whose accounts are in both. */
static void pairs_of_groups_take_several_passes(void **state)
{
    struct ctx *c = *state;
    enum { EVENTS = 46, ACCOUNTS = 64, PAIRS_HELD = 1 << 22 };
    _Static_assert(EVENTS * EVIDENCE_TERMS * (ACCOUNTS * (ACCOUNTS - 1) / 2) > PAIRS_HELD, "one pass is enough");
    char word[8], name[8], text[2048];
    FILE *f = fopen(scratch_path("events"), "w");
    assert_non_null(f);
    for (int i = 0; i < EVENTS * ACCOUNTS; i++) {
        size_t n = 0;
        for (int k = 0; k < EVIDENCE_TERMS; k++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s N%s ", word_of(i * EVIDENCE_TERMS + k, word),
                                  word_of(i / ACCOUNTS * EVIDENCE_TERMS + k, name));
        write_row(f, text, kinds[i % 4]);
    }
    assert_int_equal(fclose(f), 0);
    struct evidence *e = open_corpus(c, "events");
    assert_int_equal(evidence_groups(e), EVENTS * ACCOUNTS);
    assert_int_equal(evidence_topics(e), EVENTS);
    struct score_evidence v = of(e, text);
    assert_int_equal(v.groups, ACCOUNTS);
    evidence_free(e);
}

/* Two accounts of each event, which share three names in the one half of the events and two in the other: three join them.
 * Two do not, because either account has five more rare names, each of which it shares with an account of another event. */
static void three_shared_terms_join(void **state)
{
    struct ctx *c = *state;
    enum { EVENTS = 300, OTHERS = 5, SHARED = 1000, SINGLE = 10000 };
    static const int strides[OTHERS] = {1, 7, 31, 83, 127};
    char word[8], name[8], text[1024];
    FILE *f = fopen(scratch_path("events"), "w");
    assert_non_null(f);
    for (int i = 0; i < EVENTS; i++)
        for (int account = 0; account < 2; account++) {
            size_t n = 0;
            for (int k = 0; k < 3 - i % 2 + OTHERS; k++) {
                int other = k - (3 - i % 2), id = SHARED + 3 * i + k;
                if (other >= 0) id = SINGLE + (account ? i : (i + strides[other]) % EVENTS) * OTHERS + other;
                n += (size_t)snprintf(text + n, sizeof text - n, "%s N%s ", word_of((2 * i + account) * 8 + k, word),
                                      word_of(id, name));
            }
            write_row(f, text, kinds[account]);
        }
    assert_int_equal(fclose(f), 0);
    struct evidence *e = open_corpus(c, "events");
    assert_int_equal(evidence_groups(e), 2 * EVENTS);
    assert_int_equal(evidence_topics(e), EVENTS / 2 + 2 * (EVENTS / 2));
    evidence_free(e);
}

int main(void)
{
#define EVIDENCE_TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        EVIDENCE_TEST(accounts_count_and_copies_do_not),
        EVIDENCE_TEST(rewording_is_seen_by_compression),
        EVIDENCE_TEST(scores_take_evidence),
        EVIDENCE_TEST(threads_do_not_matter),
        EVIDENCE_TEST(memory_and_threads_do_not_matter),
        EVIDENCE_TEST(order_of_rows_does_not_matter),
        EVIDENCE_TEST(three_shared_terms_join),
        EVIDENCE_TEST(pairs_of_groups_take_several_passes),
        EVIDENCE_TEST(each_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
