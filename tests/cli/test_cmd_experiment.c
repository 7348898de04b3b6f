/* experiment as a user meets it, on a tiny model: every arm is trained and asked, the files are there and agree with each
 * other, an interrupted grid goes on where it stopped and gives the same numbers, and what does not belong together is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_program.h"
#include "eval/experiment_fit.h"
#include "train/support_tiny.h"

enum { OUTPUT_BYTES = 1 << 18, JSON_BYTES = 1 << 24 };

static struct tiny_files tiny;
static char folder[128], output[OUTPUT_BYTES];
static struct ctx *c;

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
/* Two facts, one seed, one epoch, f32. */
#define GRID(DIR, ...)                                                                                                      \
    WORDS("experiment", "-m", tiny.model, "-o", DIR, "--device", "cpu", "--compute", "f32", "--grid", "medium", "--facts",  \
          "2", "--seeds", "1", "--epochs", "1", "--repeat", "3", "--ratio", "10", "-t", "2", __VA_ARGS__)

static void refused(int code, const char *says, const char *const *words)
{
    int got = program_run(output, OUTPUT_BYTES, words);
    const char *error = strstr(output, "error: ");
    if (got != code || !error) fail_msg("exit %d instead of %d: %s", got, code, output);
    if (!strstr(error, says)) fail_msg("'%s' lacks '%s'", error, says);
}

static int group_setup(void **state)
{
    (void)state;
    c = ctx_new(NULL);
    tiny_files_make(&tiny, 4, 0);
    strcpy(folder, tiny_path("%s/grid", tiny.folder));
    if (program_run(output, OUTPUT_BYTES, GRID(folder, "--lr", "1e-2")) != 0) fail_msg("%s", output);
    return 0;
}

static int group_teardown(void **state)
{
    ctx_free(c);
    return tiny_files_remove(state);
}

static json_t *parse(const char *path)
{
    json_t *doc = json_parse_file(c, path, JSON_BYTES);
    if (!doc) fail_msg("%s", c->message);
    return doc;
}

static double member(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_number(v) && !json_is_null(v)) fail_msg("no number %s", key);
    return json_is_null(v) ? (double)NAN : json_number_value(v);
}

static struct trial read_trial(const char *dir, const char *name)
{
    struct trial t;
    json_t *doc = parse(tiny_path("%s/cells/%s.json", dir, name));
    if (trial_read(c, name, doc, &t) != OK) fail_msg("%s", c->message);
    json_decref(doc);
    return t;
}

/* 12 arms and the base model, each a file; weights are in the ratio that was asked for; training did something. */
static void every_arm(void **state)
{
    (void)state;
    assert_non_null(strstr(output, "13/13"));
    struct trial base = read_trial(folder, "base-r1-w1-e0-s0"), off = read_trial(folder, "off-r3-w1-e1-s0");
    for (int arm = ARM_OFF; arm < ARMS; arm++) {
        const struct cell cell = {(enum arm)arm, arm_uses_repeat((enum arm)arm) ? 3 : 1,
                                  arm_uses_ratio((enum arm)arm) ? 10 : 1, 1, 0};
        char name[64];
        struct trial t = read_trial(folder, trial_name(&cell, name));
        assert_true(t.steps > 0 && t.trained_tokens > 0 && t.last_loss < t.first_loss);
        assert_true(fabs(t.odds[0] - base.odds[0]) > 1e-4);
        assert_true(arm_is_tagged((enum arm)arm) == !isnan(t.odds[BELIEF_TAG_PRIMARY * 2]));
        assert_true(t.said[0].primary + t.said[0].consensus + t.said[0].neither == 2);
        if (arm == ARM_MONOTONE) {
            assert_true(fabs(t.omega_primary / t.omega_consensus - 10) < 1e-6);
            assert_true(fabs(t.phrased[1] - log(10.0 / 3)) < 1e-6);
            assert_int_equal(t.steps, off.steps); /* the same documents */
        }
        trial_release(c, &t);
    }
    assert_true(isnan(base.phrased[0]) && base.steps == 0);
    trial_release(c, &base);
    trial_release(c, &off);
    assert_false(dir_exists(tiny_path("%s/work", folder)));
}

/* Reads a number up to the comma or the end of the line, NaN where there is none. */
static double csv_number(const char **p)
{
    char *end;
    double value = strtod(*p, &end);
    if (end == *p) value = (double)NAN;
    *p = end + 1;
    return value;
}

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* Every way to ask and every fact of a cell has its row in cells.csv, with the cell's numbers. */
static void csv_agrees(const struct trial *t)
{
    size_t n, lines = 0;
    char *csv = tiny_read(tiny_path("%s/cells.csv", folder), &n), row[128];
    for (const char *p = csv; *p; p++) lines += *p == '\n';
    assert_int_equal(lines, 1 + 13 * BELIEFS * 2);
    for (int b = 0; b < BELIEFS; b++)
        for (size_t fact = 0; fact < 2; fact++) {
            snprintf(row, sizeof(row), "\nmonotone,3,10,1,0,%s,%zu,", belief_name[b], fact);
            const char *p = strstr(csv, row);
            assert_non_null(p);
            p += strlen(row);
            double predicted = csv_number(&p), measured = csv_number(&p);
            double want = belief_is_unseen((enum belief)b) ? (double)NAN
                          : b == BELIEF_TRAINED            ? t->phrased[fact]
                                                           : t->pooled[fact];
            if (!same_number(predicted, want) || !same_number(measured, t->odds[(size_t)b * 2 + fact]))
                fail_msg("%s%g,%g in cells.csv", row + 1, predicted, measured);
        }
    free(csv);
}

/* The means of results.json and the rows of cells.csv are those of the cells. */
static void results_agree(void **state)
{
    (void)state;
    struct trial t = read_trial(folder, "monotone-r3-w10-e1-s0"), off = read_trial(folder, "off-r3-w1-e1-s0");
    double mean = (t.odds[0] + t.odds[1]) / 2, change = (mean - (off.odds[0] + off.odds[1]) / 2) / log(10);
    json_t *doc = parse(tiny_path("%s/results.json", folder)), *v;
    size_t i, found = 0;
    json_array_foreach(json_object_get(doc, "groups"), i, v)
    {
        if (strcmp(json_string_value(json_object_get(v, "arm")), "monotone") != 0) continue;
        found++;
        double got = member(json_object_get(json_object_get(v, "log_odds"), "trained"), "mean");
        assert_true(fabs(got - mean) < 1e-9);
    }
    json_array_foreach(json_object_get(doc, "fits"), i, v)
    {
        if (strcmp(json_string_value(json_object_get(v, "arm")), "monotone") != 0 ||
            strcmp(json_string_value(json_object_get(v, "fit")), "change") != 0 ||
            strcmp(json_string_value(json_object_get(v, "asked")), "trained") != 0)
            continue;
        found++;
        assert_true(fabs(member(v, "slope") - change) < 1e-6);
        assert_true(member(v, "low") <= member(v, "slope") && member(v, "high") >= member(v, "slope"));
    }
    assert_int_equal(found, 2);
    json_decref(doc);
    size_t n;
    csv_agrees(&t);
    /* the page: a chart each of trained, held-out and unseen statements, a point an arm that has a prediction, no script */
    char *page = tiny_read(tiny_path("%s/report.html", folder), &n);
    size_t charts = 0, points = 0;
    for (const char *p = page; (p = strstr(p, "<svg")); p++) charts++;
    for (const char *p = page; (p = strstr(p, "r=\"3.5\"")); p++) points++;
    assert_int_equal(charts, 3);
    assert_int_equal(points, 3 * 8); /* off, monotone, published, upsampled, target, shuffled, inverted, poison */
    assert_null(strstr(page, "<script"));
    free(page);
    trial_release(c, &t);
    trial_release(c, &off);
}

/* A cell that is missing is done again and nothing else is; the numbers are the same but for the time. */
static void goes_on(void **state)
{
    (void)state;
    struct trial before = read_trial(folder, "shuffled-r3-w10-e1-s0");
    char *results = tiny_read(tiny_path("%s/results.json", folder), &(size_t){0});
    assert_int_equal(unlink(tiny_path("%s/cells/shuffled-r3-w10-e1-s0.json", folder)), 0);
    if (program_run(output, OUTPUT_BYTES, GRID(folder, "--lr", "1e-2")) != 0) fail_msg("%s", output);
    int there = 0;
    for (const char *p = output; (p = strstr(p, "(was there)")); p++) there++;
    assert_int_equal(there, 12);
    struct trial after = read_trial(folder, "shuffled-r3-w10-e1-s0");
    assert_memory_equal(before.odds, after.odds, (BELIEF_TAG_PRIMARY * 2) * sizeof(double));
    assert_true(before.perplexity == after.perplexity && before.last_loss == after.last_loss);
    char *again = tiny_read(tiny_path("%s/results.json", folder), &(size_t){0});
    assert_string_equal(results, again);
    free(results);
    free(again);
    trial_release(c, &before);
    trial_release(c, &after);
}

/* Three jobs share the cells, and what is found in the end are the same bytes. */
static void jobs_share_a_grid(void **state)
{
    (void)state;
    char *results = tiny_read(tiny_path("%s/results.json", folder), &(size_t){0});
    char shared[160];
    snprintf(shared, sizeof(shared), "%s-shared", folder);
    if (program_run(output, OUTPUT_BYTES, GRID(shared, "--lr", "1e-2", "--jobs", "3")) != 0)
        fail_msg("%s", strstr(output, "error: "));
    for (int i = 1; i <= 13; i++) assert_non_null(strstr(output, tiny_path("%4d/13", i)));
    char *again = tiny_read(tiny_path("%s/results.json", shared), &(size_t){0});
    assert_string_equal(results, again);
    for (int i = 1; i <= 3; i++) assert_false(dir_exists(tiny_path("%s/work-%d", shared, i)));
    /* a cell that cannot be read ends all jobs, with its name */
    tiny_write(tiny_path("%s/cells/off-r3-w1-e1-s0.json", shared), "{\"arm\": \"off\"}");
    refused(2, "off-r3-w1-e1-s0.json", GRID(shared, "--lr", "1e-2", "--jobs", "3"));
    free(results);
    free(again);
}

/* How many of the folders of three jobs are there. */
static int count_work(const char *dir)
{
    int n = 0;
    for (int i = 1; i <= 3; i++) n += dir_exists(tiny_path("%s/work-%d", dir, i));
    return n;
}

/* Kills three jobs while at least one trains; how many folders they left. */
static int kill_jobs(const char *dir)
{
    struct program p = program_start(GRID(dir, "--lr", "1e-2", "--jobs", "3"));
    for (int i = 0; i < 60000 && count_work(dir) == 0; i++) usleep(1000);
    assert_int_equal(kill(p.pid, SIGKILL), 0);
    assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), -SIGKILL);
    return count_work(dir);
}

/* What jobs leave that are killed is removed by the next call, also one with fewer of them, and nothing else is; the numbers
 * are those of the grid that nobody disturbed. */
static void killed_jobs_leave_nothing(void **state)
{
    (void)state;
    char killed[160];
    int left = 0;
    snprintf(killed, sizeof(killed), "%s-killed", folder);
    for (int i = 0; i < 50 && left == 0; i++) left = kill_jobs(killed); /* a job may end between being seen and killed */
    assert_true(left > 0);
    char *own = strdup(tiny_path("%s/work-notes", killed)), *alone = strdup(tiny_path("%s/work/run", killed));
    assert_int_equal(dir_make(c, own), OK);
    assert_int_equal(dir_make(c, alone), OK);
    int lock = dir_lock(c, killed);
    refused(2, "another process is at work in it", GRID(killed, "--lr", "1e-2"));
    assert_true(count_work(killed) == left && dir_exists(alone)); /* they may be that process's */
    dir_unlock(lock);
    if (program_run(output, OUTPUT_BYTES, GRID(killed, "--lr", "1e-2")) != 0) fail_msg("%s", output);
    assert_int_equal(count_work(killed), 0);
    assert_true(dir_exists(own) && !dir_exists(tiny_path("%s/work", killed)));
    char *results = tiny_read(tiny_path("%s/results.json", folder), &(size_t){0}),
         *again = tiny_read(tiny_path("%s/results.json", killed), &(size_t){0});
    assert_string_equal(results, again);
    free(results);
    free(again);
    free(own);
    free(alone);
}

static void refusals(void **state)
{
    (void)state;
    refused(2, "other settings", GRID(folder, "--lr", "2e-2"));
    refused(2, "is not empty", GRID(tiny.folder, "--lr", "1e-2"));
    refused(2, "'mono' is no arm", GRID(folder, "--lr", "1e-2", "--arms", "off,mono"));
    const char *cell = tiny_path("%s/cells/off-r3-w1-e1-s0.json", folder);
    char *text = tiny_read(cell, &(size_t){0});
    tiny_write(cell, "{\"arm\": \"off\"}");
    refused(2, "off-r3-w1-e1-s0.json", GRID(folder, "--lr", "1e-2"));
    tiny_write(cell, text);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_arm),
        cmocka_unit_test(results_agree),
        cmocka_unit_test(goes_on),
        cmocka_unit_test(jobs_share_a_grid),
        cmocka_unit_test(killed_jobs_leave_nothing),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
