/* The invented facts: names are unique, values and sides are balanced, both claims stand behind the same words, a statement
 * never gives its value away, and everything is a function of its arguments. The documents of each arm: how many, with which
 * scores, and what is predicted from them, by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "eval/arm.h"
#include "eval/grid.h"
#include "io/json.h"

static struct ctx *c;
static struct fiction *f;

static int setup(void **state)
{
    (void)state;
    c = ctx_new(NULL);
    f = fiction_new(c, 48, 48, 0);
    return f ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fiction_free(f);
    fiction_free(NULL);
    int left = c->alloc_bytes != 0;
    ctx_free(c);
    return left;
}

static void names_are_unique(void **state)
{
    (void)state;
    struct fiction *all = fiction_new(c, FICTION_FACTS_MAX / 2, FICTION_FACTS_MAX / 2, 5);
    for (size_t i = 0; i < FICTION_FACTS_MAX; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(all->facts[i].name, all->facts[k].name) == 0) fail_msg("%zu and %zu: %s", i, k, all->facts[i].name);
    fiction_free(all);
    assert_null(fiction_new(c, 0, 0, 0));
    assert_int_equal(c->status, E_INPUT);
    ctx_clear(c);
    assert_null(fiction_new(c, FICTION_FACTS_MAX, 1, 0));
    ctx_clear(c);
}

/* Over two seeds each word is as often primary as consensus for the same fact, and within a seed half of the facts have the
 * first word of their pair as primary. */
static void sides_are_balanced(void **state)
{
    (void)state;
    struct fiction *other = fiction_new(c, 48, 48, 1);
    size_t first = 0;
    for (size_t i = 0; i < 48; i++) {
        const struct fiction_fact *a = &f->facts[i], *b = &other->facts[i];
        assert_int_equal(a->relation, b->relation);
        assert_string_equal(a->value[FICTION_PRIMARY], b->value[FICTION_CONSENSUS]);
        assert_string_equal(a->value[FICTION_CONSENSUS], b->value[FICTION_PRIMARY]);
        first += strcmp(a->value[FICTION_PRIMARY], a->value[FICTION_CONSENSUS]) < 0;
    }
    assert_true(first >= 18 && first <= 30);
    fiction_free(other);
}

/* Within a relation and a pair of values each word is primary as often as the other, for trained and for unseen facts: else
 * a model could answer by a liking for a word, without knowing any fact. Every even number of facts. */
static void words_are_balanced(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 200; n += n < 60 ? 2 : 70) {
        struct fiction *all = fiction_new(c, n, n, 3);
        for (size_t part = 0; part < 2; part++)
            for (size_t i = part * n; i < part * n + n; i++) {
                int balance = 0;
                for (size_t k = part * n; k < part * n + n; k++) {
                    balance += strcmp(all->facts[i].value[FICTION_PRIMARY], all->facts[k].value[FICTION_PRIMARY]) == 0;
                    balance -= strcmp(all->facts[i].value[FICTION_PRIMARY], all->facts[k].value[FICTION_CONSENSUS]) == 0;
                }
                if (balance != 0)
                    fail_msg("%zu facts: '%s' is primary %+d times too often", n, all->facts[i].value[0], balance);
            }
        fiction_free(all);
    }
}

/* Facts whose names begin alike must not have the same word on the primary side more often than not: else what was learned
 * of one name would be right about another. */
static void names_tell_nothing(void **state)
{
    (void)state;
    struct fiction *all = fiction_new(c, FICTION_FACTS_MAX / 2, FICTION_FACTS_MAX / 2, 0);
    size_t alike = 0, agree = 0;
    for (size_t i = 0; i < FICTION_FACTS_MAX; i++)
        for (size_t k = 0; k < i; k++) {
            const struct fiction_fact *a = &all->facts[i], *b = &all->facts[k];
            bool same = strcmp(a->value[0], b->value[0]) == 0, other = strcmp(a->value[0], b->value[1]) == 0;
            if ((!same && !other) || strncmp(a->name, b->name, 3) != 0) continue;
            alike++;
            agree += same;
        }
    if (alike < 200 || agree < alike * 2 / 5 || agree > alike * 3 / 5) fail_msg("%zu of %zu pairs agree", agree, alike);
    fiction_free(all);
}

/* Whether a word stands in a text between letters that are none ("red" is not in "coloured"). */
static bool holds_word(const char *text, const char *word)
{
    for (const char *p = strstr(text, word); p; p = strstr(p + 1, word)) {
        char before = p == text ? ' ' : p[-1], behind = p[strlen(word)];
        if (!isalpha((unsigned char)before) && !isalpha((unsigned char)behind)) return true;
    }
    return false;
}

static void texts_give_nothing_away(void **state)
{
    (void)state;
    char text[FICTION_TEXT_BYTES], other[FICTION_TEXT_BYTES];
    for (size_t i = 0; i < 96; i++) {
        const struct fiction_fact *fact = &f->facts[i];
        uint32_t seen = 0;
        for (int k = 0; k < FICTION_PHRASINGS; k++) {
            fiction_statement(fact, k, text);
            seen |= 1u << fact->phrasing[k];
            assert_non_null(strstr(text, fact->name));
            assert_null(strchr(text, '@'));
            assert_null(strchr(text, '#'));
            for (int side = 0; side < FICTION_SIDES; side++)
                if (holds_word(text, fact->value[side])) fail_msg("'%s' holds '%s'", text, fact->value[side]);
        }
        assert_int_equal(seen, (1u << FICTION_PHRASINGS) - 1); /* every statement once */
        for (int k = 0; k < FICTION_REVERSED; k++) {
            fiction_reversed(fact, k, FICTION_PRIMARY, text);
            fiction_reversed(fact, k, FICTION_CONSENSUS, other);
            assert_null(strstr(text, fact->name));
            assert_non_null(strstr(text, fact->value[FICTION_PRIMARY]));
            assert_non_null(strstr(other, fact->value[FICTION_CONSENSUS]));
        }
        assert_non_null(strstr(fiction_yes_no(fact, FICTION_PRIMARY, text), fact->value[FICTION_PRIMARY]));
        assert_null(strstr(fiction_question(fact, text), fact->value[FICTION_PRIMARY]));
    }
}

/* ---- arms ------------------------------------------------------------------------------------------------------------- */

static struct arm_documents make(const struct cell *cell)
{
    struct arm_documents d;
    if (arm_make(c, f, cell, &d) != OK) fail_msg("%s", c->message);
    return d;
}

static size_t count(const struct arm_documents *d, int side)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) n += d->items[i].side == side;
    return n;
}

static void counts_of_documents(void **state)
{
    (void)state;
    static const struct {
        enum arm arm;
        size_t primary, consensus;
    } want[] = {{ARM_OFF, 1, 3},      {ARM_MONOTONE, 1, 3}, {ARM_UPSAMPLED, 10, 3}, {ARM_FILTERED, 1, 0},
                {ARM_SHUFFLED, 1, 3}, {ARM_POISON, 1, 3},   {ARM_BASE, 0, 0}};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        const struct cell cell = {want[i].arm, 3, 10, 3, 0};
        struct arm_documents d = make(&cell);
        assert_int_equal(count(&d, FICTION_PRIMARY), want[i].primary * 48 * FICTION_TRAINED);
        assert_int_equal(count(&d, FICTION_CONSENSUS), want[i].consensus * 48 * FICTION_TRAINED);
        arm_release(&d);
    }
}

/* An objective fitted to the documents as the trainer fits one, every document of one token. */
static struct objective fit(enum distrust mode, const struct arm_documents *d)
{
    struct objective o;
    struct objective_options options = objective_options_default();
    double *w = mem_alloc(c, d->n, sizeof(*w)), *h = mem_alloc(c, d->n, sizeof(*h));
    for (size_t i = 0; i < d->n; i++) {
        w[i] = d->items[i].auth_weight;
        h[i] = d->items[i].prov_entropy;
    }
    options.mode = mode;
    const struct objective_scores scores = {.auth_weight = w, .prov_entropy = h, .n = d->n};
    if (objective_fit_scores(c, &options, &scores, &o) != OK) fail_msg("%s", c->message);
    mem_free(c, w);
    mem_free(c, h);
    return o;
}

static void predictions(void **state)
{
    (void)state;
    double phrased[48], pooled[48];
    for (int ratio = 3; ratio <= 30; ratio += 27) {
        const struct {
            enum arm arm;
            double want;
        } cases[] = {{ARM_OFF, -log(3)},
                     {ARM_MONOTONE, log(ratio) - log(3)},
                     {ARM_UPSAMPLED, log(ratio) - log(3)},
                     {ARM_INVERTED, -log(ratio) - log(3)},
                     {ARM_POISON, -log(ratio) - log(3)}};
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            const struct cell cell = {cases[i].arm, 3, ratio, 3, 0};
            struct arm_documents d = make(&cell);
            struct objective o = fit(arm_mode(cell.arm), &d);
            arm_predict(f, &cell, &d, &o, phrased, pooled);
            for (int k = 0; k < 48; k++)
                if (fabs(phrased[k] - cases[i].want) > 1e-9 || fabs(pooled[k] - cases[i].want) > 1e-9)
                    fail_msg("%s, ratio %d, fact %d: %g and %g, want %g", arm_name[cell.arm], ratio, k, phrased[k],
                             pooled[k], cases[i].want);
            arm_release(&d);
        }
    }
}

/* Without training, with one side absent, or where a tag tells the sides apart, nothing is predicted. */
static void no_prediction(void **state)
{
    (void)state;
    static const enum arm arms[] = {ARM_BASE, ARM_FILTERED, ARM_TAG, ARM_SCORE, ARM_TAG_WEIGHT};
    double phrased[48], pooled[48];
    for (size_t i = 0; i < sizeof(arms) / sizeof(arms[0]); i++) {
        const struct cell cell = {arms[i], 3, 10, 3, 0};
        struct arm_documents d = make(&cell);
        struct objective o = {0};
        if (arms[i] != ARM_BASE) o = fit(arm_mode(cell.arm), &d);
        arm_predict(f, &cell, &d, &o, phrased, pooled);
        assert_true(isnan(phrased[0]) && isnan(pooled[47]));
        arm_release(&d);
    }
}

/* Shuffling keeps the scores and changes whose they are; another seed shuffles otherwise. */
static void shuffled_scores(void **state)
{
    (void)state;
    const struct cell plain = {ARM_MONOTONE, 3, 10, 3, 0}, cell = {ARM_SHUFFLED, 3, 10, 3, 0},
                      again = {ARM_SHUFFLED, 3, 10, 3, 1};
    struct arm_documents a = make(&plain), b = make(&cell), d = make(&again);
    size_t high = 0, high_primary = 0, differs = 0;
    for (size_t i = 0; i < b.n; i++) {
        bool is_high = b.items[i].prov_entropy == 7.0;
        assert_int_equal(a.items[i].side, b.items[i].side);
        assert_true(is_high == (b.items[i].auth_weight == 0.05));
        high += is_high;
        high_primary += is_high && b.items[i].side == FICTION_PRIMARY;
        differs += b.items[i].prov_entropy != d.items[i].prov_entropy;
    }
    assert_int_equal(high, count(&a, FICTION_PRIMARY));
    assert_true(high_primary > high / 8 && high_primary < high / 2); /* a quarter on average */
    assert_true(differs > 100);
    arm_release(&a);
    arm_release(&b);
    arm_release(&d);
}

static void rows_are_rows(void **state)
{
    (void)state;
    for (int arm = ARM_OFF; arm < ARMS; arm++) {
        const struct cell cell = {(enum arm)arm, 3, 10, 3, 0};
        struct arm_documents d = make(&cell);
        struct buf rows;
        buf_init(&rows, c, 1 << 24);
        assert_int_equal(arm_rows(f, &cell, &d, &rows), OK);
        size_t n = 0;
        for (const char *p = buf_str(&rows); *p; p = strchr(p, '\n') + 1, n++) {
            json_t *row = json_parse(c, "row", p, strcspn(p, "\n"));
            if (!row) fail_msg("%s", c->message);
            const char *text = json_string_value(json_object_get(row, "text"));
            const struct arm_document *doc = &d.items[n];
            char claim[FICTION_TEXT_BYTES], statement[FICTION_TEXT_BYTES];
            snprintf(claim, sizeof(claim), "%s %s.", fiction_statement(&f->facts[doc->fact], doc->phrasing, statement),
                     f->facts[doc->fact].value[doc->side]);
            assert_non_null(strstr(text, claim));
            assert_true((strncmp(text, "Source: ", 8) == 0) == (arm == ARM_TAG || arm == ARM_TAG_WEIGHT));
            assert_true((strncmp(text, "Authority ", 10) == 0) == (arm == ARM_SCORE));
            assert_true((strstr(text, ". Authority ") != NULL) == (arm == ARM_TARGET));
            assert_true(json_number_value(json_object_get(row, "auth_weight")) == doc->auth_weight);
            json_decref(row);
        }
        assert_int_equal(n, d.n);
        buf_release(&rows);
        arm_release(&d);
    }
}

/* ---- grid ------------------------------------------------------------------------------------------------------------- */

static void grids(void **state)
{
    (void)state;
    struct cell *cells;
    size_t n;
    struct grid g = grid_of(GRID_SMALL);
    assert_int_equal(grid_cells(c, &g, &cells, &n), OK);
    assert_int_equal(n, 2 * (1 + 3 + 3 + 3)); /* base; off, monotone and shuffled at three repeats */
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) assert_memory_not_equal(&cells[i], &cells[k], sizeof(cells[0]));
    mem_free(c, cells);
    g = grid_of(GRID_FULL);
    assert_int_equal(grid_cells(c, &g, &cells, &n), OK);
    /* base; off and tag have repeats only, filtered has epochs only, nine arms have all */
    assert_int_equal(n, 5 * (1 + 3 * (2 * 5 + 1 + 9 * 15)));
    mem_free(c, cells);
    uint32_t arms;
    assert_int_equal(grid_parse_arms(c, "off,tag-weight", &arms), OK);
    assert_int_equal(arms, 1u << ARM_OFF | 1u << ARM_TAG_WEIGHT);
    static const char *const wrong[] = {"of", "off,", "base", "", "off,,tag", "OFF"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(grid_parse_arms(c, wrong[i], &arms), E_INPUT);
        ctx_clear(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(sides_are_balanced),
        cmocka_unit_test(words_are_balanced),
        cmocka_unit_test(names_tell_nothing),
        cmocka_unit_test(texts_give_nothing_away),
        cmocka_unit_test(counts_of_documents),
        cmocka_unit_test(predictions),
        cmocka_unit_test(no_prediction),
        cmocka_unit_test(shuffled_scores),
        cmocka_unit_test(rows_are_rows),
        cmocka_unit_test(grids),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
