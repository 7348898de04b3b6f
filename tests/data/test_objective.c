#include "support_data.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/objective.h"

struct doc {
    double w, h, omega;
    int tokens;
};
enum { DOCS_MAX = 256 };

/* A row with exactly k trained tokens: k letters and EOS, of which the first letter has nothing before it. */
static size_t append_row(char *out, int k, const char *members)
{
    char text[128];
    memset(text, 'x', (size_t)k);
    text[k] = '\0';
    return (size_t)sprintf(out, "{\"text\":\"%s\"%s}\n", text, members);
}

static struct dataset *dataset_of(struct ctx *c, const struct doc *docs, int n)
{
    static char rows[DOCS_MAX * 256];
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        char members[100];
        sprintf(members, ",\"auth_weight\":%.17g,\"prov_entropy\":%.17g", docs[i].w, docs[i].h);
        at += append_row(rows + at, docs[i].tokens, members);
    }
    return make_dataset(c, rows, NULL);
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-12 * fmax(1, fabs(b));
}

/* ---- against NumPy ---- */

struct golden {
    struct objective_options options;
    struct doc docs[DOCS_MAX];
    int n;
    double q, gbar, ess, d_mean;
};

static bool next_case(struct ctx *c, FILE *f, struct golden *g)
{
    char line[256], mode[32];
    g->n = 0;
    g->options = objective_options_default();
    while (fgets(line, sizeof line, f)) {
        struct objective_options *o = &g->options;
        struct doc *d = &g->docs[g->n];
        if (sscanf(line, "case %31s %lf %lf %lf %lf", mode, &o->lambda, &o->power, &o->ratio, &o->alpha) == 5) {
            assert_int_equal(objective_mode_parse(c, mode, &o->mode), OK);
        } else if (sscanf(line, "doc %lf %lf %d %lf", &d->w, &d->h, &d->tokens, &d->omega) == 4) {
            assert_true(++g->n < DOCS_MAX);
        } else if (sscanf(line, "fit %lf %lf %lf %lf", &g->q, &g->gbar, &g->ess, &g->d_mean) == 4) {
            return true;
        }
    }
    return false;
}

static void check_case(struct ctx *c, const struct golden *g)
{
    struct objective o, again;
    struct dataset *d = dataset_of(c, g->docs, g->n);
    assert_int_equal(objective_fit(c, &g->options, d, &o), OK);
    assert_true(near(o.q, g->q) && near(o.gbar, g->gbar) && near(o.ess, g->ess) && near(o.d_mean, g->d_mean));
    assert_int_equal(objective_restore(c, &o.options, o.q, o.gbar, &again), OK);
    double mean = 0, low = INFINITY, high = 0;
    int64_t tokens = 0, in_bins = 0;
    for (int i = 0; i < g->n; i++) {
        double omega = objective_omega(&o, g->docs[i].w, g->docs[i].h);
        assert_true(near(omega, g->docs[i].omega));
        assert_true(objective_omega(&again, g->docs[i].w, g->docs[i].h) == omega);
        mean += omega * g->docs[i].tokens;
        tokens += g->docs[i].tokens;
        low = fmin(low, omega);
        high = fmax(high, omega);
    }
    assert_true(near(mean / (double)tokens, 1)); /* the promise of gbar */
    assert_true(o.omega_min == low && o.omega_max == high);
    assert_true(high / low <= g->options.ratio * (1 + 1e-12)); /* the promise of R */
    assert_int_equal(o.tokens, tokens);
    assert_true(o.edges[0] == low && o.edges[OBJECTIVE_BINS] == high);
    for (int k = 0; k < OBJECTIVE_BINS; k++) in_bins += o.histogram[k];
    assert_int_equal(in_bins, tokens);
    assert_true(o.ess >= 1 - 1e-9 && o.ess <= (double)tokens * (1 + 1e-12));
    dataset_close(d);
}

static void numpy_agrees(void **state)
{
    struct ctx *c = *state;
    static struct golden g;
    FILE *f = fopen(TEST_DATA "/data/objective_golden.txt", "r");
    if (!f) fail_msg("tests/data/data/objective_golden.txt is missing; tools/objective_golden.py writes it");
    int n = 0;
    while (next_case(c, f, &g)) {
        check_case(c, &g);
        n++;
    }
    fclose(f);
    assert_int_equal(n, 40);
}

/* ---- by hand ---- */

static void by_hand(void **state)
{
    struct ctx *c = *state;
    /* w = 0 makes s = ln(1 + 1e-8) + H, so H = ln(e^x - 1) - 1e-8 gives softplus(s) = x: g = 1, 4 and 9 for p = 2 */
    struct doc docs[3];
    for (int i = 0; i < 3; i++) docs[i] = (struct doc){.w = 0, .h = log(exp(i + 1.0) - 1) - 1e-8, .tokens = 10 * (i + 1)};
    struct dataset *d = dataset_of(c, docs, 3);
    struct objective_options options = objective_options_default();
    struct objective o;
    assert_int_equal(objective_fit(c, &options, d, &o), OK);
    assert_true(fabs(o.q - 9) < 1e-7);
    assert_true(fabs(o.gbar - (10 * 1 + 20 * 4 + 30 * 9) / 60.0) < 1e-7); /* 6 */
    for (int i = 0; i < 3; i++) assert_true(fabs(objective_omega(&o, 0, docs[i].h) - (i + 1) * (i + 1) / 6.0) < 1e-7);
    /* (sum omega)^2 / sum omega^2 = 60^2 / ((10 + 20 * 16 + 30 * 81) / 36) */
    assert_true(fabs(o.ess - 3600 * 36 / 2760.0) < 1e-5);
    assert_int_equal(o.histogram[0], 10);
    assert_int_equal(o.histogram[OBJECTIVE_BINS - 1], 30);

    options.ratio = 3; /* clamp to [3, 9]: the first becomes 3; gbar = (30 + 80 + 270) / 60 */
    options.lambda = 0.5;
    assert_int_equal(objective_fit(c, &options, d, &o), OK);
    double gbar = 380 / 60.0;
    assert_true(fabs(objective_omega(&o, 0, docs[0].h) - (0.5 + 0.5 * 3 / gbar)) < 1e-7);
    assert_true(fabs(objective_omega(&o, 0, docs[1].h) - (0.5 + 0.5 * 4 / gbar)) < 1e-7);
    /* a document above the training set's q weighs as one at q; one below the floor as one at the floor */
    assert_true(objective_omega(&o, 0, 50) == objective_omega(&o, 0, 5000));
    assert_true(fabs(objective_omega(&o, 0, 50) - (0.5 + 0.5 * 9 / gbar)) < 1e-7);
    assert_true(objective_omega(&o, 0.99, 0) == objective_omega(&o, 0, docs[0].h - 0.1));
    dataset_close(d);

    /* the published example of DESIGN.md: (0.99, 0) scores 57, above (0.5, 5) at 50 */
    assert_true(fabs(objective_published(&o, 0.99, 0) - 57.26) < 0.01);
    assert_true(fabs(objective_published(&o, 0.5, 5) - 50.08) < 0.01);
    assert_true(objective_signed(0.99, 0) < objective_signed(0.5, 5));
}

static void monotone_is_monotone_and_published_is_not(void **state)
{
    struct ctx *c = *state;
    struct doc docs[] = {{.w = 0.99, .h = 0, .tokens = 50}, {.w = 0.2, .h = 12, .tokens = 50}};
    struct dataset *d = dataset_of(c, docs, 2);
    struct objective_options options = objective_options_default();
    struct objective o;
    options.ratio = 1e6;
    assert_int_equal(objective_fit(c, &options, d, &o), OK);
    double last = 0;
    for (double h = 0; h < 14; h += 0.01) { /* along H at fixed w */
        double omega = objective_omega(&o, 0.9, h);
        assert_true(omega >= last && omega > 0);
        last = omega;
    }
    last = INFINITY;
    for (double w = 0; w <= 0.99; w += 0.001) { /* against w at fixed H */
        double omega = objective_omega(&o, w, 3);
        assert_true(omega <= last);
        last = omega;
    }
    assert_true(objective_omega(&o, 0.99, 0) < objective_omega(&o, 0.5, 5));
    /* follows s^2 within 1 % for s >= 4: DESIGN.md section 5 */
    for (double h = 4; h < 12; h += 0.5) {
        double s = objective_signed(0, h);
        assert_true(fabs(objective_omega(&o, 0, h) * o.gbar / (s * s) - 1) < 0.01);
    }
    options.mode = DISTRUST_PUBLISHED;
    assert_int_equal(objective_fit(c, &options, d, &o), OK);
    assert_true(objective_omega(&o, 0.99, 0) > objective_omega(&o, 0.5, 5));
    dataset_close(d);
}

/* Every knob of the objective changes omega, except the one that is documented as log-only. */
static void every_knob_turns_something(void **state)
{
    struct ctx *c = *state;
    struct doc docs[] = {
        {.w = 0.9, .h = 1, .tokens = 20}, {.w = 0.5, .h = 3, .tokens = 30}, {.w = 0.1, .h = 7, .tokens = 9}};
    struct dataset *d = dataset_of(c, docs, 3);
    struct objective base, o;
    struct objective_options options = objective_options_default();
    assert_int_equal(objective_fit(c, &options, d, &base), OK);
    double reference = objective_omega(&base, 0.1, 7);
    struct objective_options changed[5];
    for (int i = 0; i < 5; i++) changed[i] = options;
    changed[0].lambda = 0.9;
    changed[1].power = 1.5;
    changed[2].ratio = 4;
    changed[3].mode = DISTRUST_PUBLISHED;
    changed[4].alpha = 2.3;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(objective_fit(c, &changed[i], d, &o), OK);
        bool same = objective_omega(&o, 0.1, 7) == reference;
        assert_int_equal(same, i == 4);
        assert_int_equal(o.d_mean == base.d_mean, i != 4);
    }
    /* without weights: exactly 1, so that the bytes of a run are those of plain training */
    for (int mode = 0; mode < DISTRUST_COUNT; mode++) {
        if (mode == DISTRUST_MONOTONE || mode == DISTRUST_PUBLISHED) continue;
        options.mode = (enum distrust)mode;
        assert_int_equal(objective_fit(c, &options, d, &o), OK);
        assert_true(objective_omega(&o, 0.1, 7) == 1 && objective_omega(&o, NAN, NAN) == 1);
        assert_true(o.ess == (double)o.tokens && o.omega_min == 1 && o.omega_max == 1);
        assert_true(o.d_mean == base.d_mean);
        assert_false(o.switched_off);
    }
    options = objective_options_default();
    options.lambda = 0;
    assert_int_equal(objective_fit(c, &options, d, &o), OK);
    assert_true(objective_omega(&o, 0.1, 7) == 1);
    dataset_close(d);
}

/* Shuffled rows have the same q and gbar to the last bit: kinds of source give many documents one g, so ties are the rule.
 */
static void order_of_rows_does_not_matter(void **state)
{
    struct ctx *c = *state;
    static const double scores[][2] = {{0.9, 1.3}, {0.35, 3.7}, {0.05, 7.1}};
    enum { DOCS = 120, SHUFFLES = 20 };
    struct doc docs[DOCS];
    struct objective_options options = objective_options_default();
    struct objective first;
    uint32_t random = 1;
    for (int i = 0; i < DOCS; i++)
        docs[i] = (struct doc){.w = scores[i % 3][0], .h = scores[i % 3][1], .tokens = 3 + i * 7 % 97};
    for (int k = 0; k <= SHUFFLES; k++) {
        struct objective o;
        struct dataset *d = dataset_of(c, docs, DOCS);
        assert_int_equal(objective_fit(c, &options, d, &o), OK);
        dataset_close(d);
        if (k == 0) first = o;
        assert_memory_equal(&o.q, &first.q, sizeof o.q);
        assert_memory_equal(&o.gbar, &first.gbar, sizeof o.gbar);
        for (int i = DOCS - 1; i > 0; i--) { /* Fisher and Yates */
            random = random * 1664525 + 1013904223;
            int other = (int)((random >> 8) % (unsigned)(i + 1));
            struct doc was = docs[i];
            docs[i] = docs[other];
            docs[other] = was;
        }
    }
}

/* ---- rows without scores ---- */

static enum status fit_rows(struct ctx *c, const char *rows, enum distrust mode, struct objective *o)
{
    struct objective_options options = objective_options_default();
    options.mode = mode;
    struct dataset *d = make_dataset(c, rows, NULL);
    enum status status = objective_fit(c, &options, d, o);
    dataset_close(d);
    return status;
}

static void rows_without_scores(void **state)
{
    struct ctx *c = *state;
    struct objective o;
    static const char *const none = "{\"text\":\"aa\"}\n{\"text\":\"bb\"}\n";
    static const char *const some = "{\"text\":\"aa\",\"auth_weight\":0.5,\"prov_entropy\":1}\n\n{\"text\":\"bb\"}\n";
    static const char *const half = "{\"text\":\"aa\",\"auth_weight\":0.5}\n{\"text\":\"bb\",\"auth_weight\":0.5}\n";
    for (int mode = DISTRUST_MONOTONE; mode < DISTRUST_COUNT; mode++) {
        assert_int_equal(fit_rows(c, none, (enum distrust)mode, &o), OK);
        assert_true(o.switched_off && o.options.mode == DISTRUST_OFF);
        assert_true(objective_omega(&o, NAN, NAN) == 1 && isnan(o.d_mean));
        assert_int_equal(fit_rows(c, some, (enum distrust)mode, &o), E_INPUT);
        assert_failed(c, E_INPUT, "rows.jsonl:3: no auth_weight");
        assert_int_equal(fit_rows(c, half, (enum distrust)mode, &o), E_INPUT);
        assert_failed(c, E_INPUT, "rows.jsonl:1: no prov_entropy");
    }
    assert_int_equal(fit_rows(c, none, DISTRUST_OFF, &o), OK);
    assert_false(o.switched_off);
    assert_int_equal(fit_rows(c, some, DISTRUST_OFF, &o), OK);
    assert_true(isnan(o.d_mean));

    /* validation rows need scores under a mode that uses them */
    struct dataset *d = make_dataset(c, some, NULL);
    struct objective_options options = objective_options_default();
    assert_int_equal(objective_restore(c, &options, 4, 2, &o), OK);
    assert_int_equal(objective_check(c, &o, d), E_INPUT);
    assert_failed(c, E_INPUT, "rows.jsonl:3");
    assert_true(isnan(objective_omega(&o, NAN, 1)) && isnan(objective_omega(&o, 0.5, NAN))); /* never quietly a number */
    options.mode = DISTRUST_ADDITIVE;
    assert_int_equal(objective_restore(c, &options, 0, 0, &o), OK);
    assert_int_equal(objective_check(c, &o, d), OK);
    dataset_close(d);
}

static void ranges(void **state)
{
    struct ctx *c = *state;
    struct objective o;
    const struct objective_options good = objective_options_default();
    struct objective_options bad[12];
    for (int i = 0; i < 12; i++) bad[i] = good;
    bad[0].lambda = -0.01, bad[1].lambda = 1.01, bad[2].lambda = NAN;
    bad[3].alpha = 2.29, bad[4].alpha = 3.01;
    bad[5].power = 0, bad[6].power = 17, bad[7].power = NAN;
    bad[8].ratio = 0.5, bad[9].ratio = INFINITY;
    bad[10].mode = DISTRUST_COUNT, bad[11].mode = (enum distrust) - 1;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(objective_restore(c, &bad[i], 4, 2, &o), E_INPUT);
        ctx_clear(c);
    }
    assert_int_equal(objective_restore(c, &good, 4, 2, &o), OK);
    const double pairs[][2] = {{NAN, 1}, {-1, 1}, {INFINITY, 1}, {4, 5}, {4, 0.1}, {4, NAN}, {0, 1}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(objective_restore(c, &good, pairs[i][0], pairs[i][1], &o), E_INPUT);
        assert_failed(c, E_INPUT, "cannot belong together");
    }
    enum distrust mode;
    for (int i = 0; i < DISTRUST_COUNT; i++) {
        assert_int_equal(objective_mode_parse(c, objective_mode_name((enum distrust)i), &mode), OK);
        assert_int_equal(mode, i);
    }
    assert_int_equal(objective_mode_parse(c, "Off", &mode), E_INPUT);
    assert_failed(c, E_INPUT, "unknown mode 'Off'");
}

/* Scores at the edge of what the rows may hold. */
static void extremes(void **state)
{
    struct ctx *c = *state;
    struct objective o;
    assert_int_equal(fit_rows(c, "{\"text\":\"aaa\",\"auth_weight\":0,\"prov_entropy\":1e300}\n", DISTRUST_MONOTONE, &o),
                     E_INPUT);
    assert_failed(c, E_INPUT, "prov_entropy is too large");
    /* ln(1 - 0 + 1e-8) + 0 is as near to 0 as s gets: weights stay finite and even */
    assert_int_equal(fit_rows(c, "{\"text\":\"aaa\",\"auth_weight\":0,\"prov_entropy\":0}\n", DISTRUST_PUBLISHED, &o), OK);
    assert_true(objective_omega(&o, 0, 0) == 1);
    /* all g exactly 0 leaves nothing to weigh by */
    o.q = o.gbar = 0;
    assert_true(objective_omega(&o, 0, 0) == 1 && isnan(objective_omega(&o, NAN, 0)));
    assert_true(o.options.mode == DISTRUST_PUBLISHED);
}

static void no_memory(void **state)
{
    struct ctx *c = *state;
    struct doc docs[] = {{.w = 0.9, .h = 1, .tokens = 20}, {.w = 0.5, .h = 3, .tokens = 30}};
    struct dataset *d = dataset_of(c, docs, 2);
    struct oom oom = {.fail_at = 1};
    struct ctx *poor = oom_ctx(&oom);
    struct objective_options options = objective_options_default();
    struct objective o;
    assert_int_equal(objective_fit(poor, &options, d, &o), E_MEMORY);
    ctx_free(poor);
    assert_int_equal(oom.live, 0);
    dataset_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(numpy_agrees),
        DATA_TEST(by_hand),
        DATA_TEST(monotone_is_monotone_and_published_is_not),
        DATA_TEST(every_knob_turns_something),
        DATA_TEST(order_of_rows_does_not_matter),
        DATA_TEST(rows_without_scores),
        DATA_TEST(ranges),
        DATA_TEST(extremes),
        DATA_TEST(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
