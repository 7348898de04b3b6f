/* What a run wrote down reads back to the same numbers; a torn last line is left out; everything else that is not as the
 * program writes it is refused by file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runs/history.h"
#include "train/support_tiny.h"

static const char *folder;

/* A run folder with these files; timing NULL: without. */
static void write_run(const char *metrics, const char *timing)
{
    tiny_write(tiny_path("%s/metrics.jsonl", folder), metrics);
    if (timing)
        tiny_write(tiny_path("%s/timing.jsonl", folder), timing);
    else
        remove(tiny_path("%s/timing.jsonl", folder));
}

#define STEP(N, LOSS)                                                                                                       \
    "{\"step\":" N ",\"epoch\":1,\"loss\":" LOSS ",\"weighted_loss\":2.5,\"distrust\":null,\"total\":2.5,\"lr\":0.0002,"    \
    "\"grad_norm\":1.5,\"clip_threshold\":null,\"clipped\":true,\"clip_share\":0.5,\"omega\":1.25,\"trained_tokens\":10,"   \
    "\"tokens\":12}\n"
#define EVAL(N) "{\"step\":" N ",\"valid_loss\":3.5,\"valid_weighted_loss\":3.25,\"valid_trained_tokens\":7,\"best\":true}\n"

static void refused(const char *metrics, const char *timing, const char *part)
{
    struct ctx *c = ctx_new(NULL);
    struct history h;
    write_run(metrics, timing);
    assert_int_equal(history_read(c, folder, &h), E_INPUT);
    if (!strstr(c->message, part)) fail_msg("'%s' is not in: %s", part, c->message);
    assert_int_equal(h.n_steps + h.n_evals + h.n_timings, 0);
    ctx_free(c);
}

static void reads_every_member(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct history h;
    write_run(EVAL("0") STEP("1", "2.75") STEP("2", "1.25") EVAL("2") "{\"step\":3,\"epoch\":1,\"lo",
              "{\"step\":1,\"seconds\":2,\"tokens_per_s\":6,\"peak_bytes\":100}\n"
              "{\"step\":2,\"seconds\":9,\"tokens_per_s\":6,\"peak_bytes\":100}\n"
              "{\"step\":2,\"seconds\":3,\"tokens_per_s\":4,\"peak_bytes\":200}\n");
    assert_int_equal(history_read(c, folder, &h), OK);
    assert_int_equal(h.n_steps, 2);
    assert_int_equal(h.n_evals, 2);
    assert_int_equal(h.n_timings, 2);
    assert_true(h.torn);
    const struct metrics_step *s = &h.steps[0];
    assert_true(s->step == 1 && s->epoch == 1 && s->loss == 2.75 && s->weighted_loss == 2.5 && isnan(s->distrust) &&
                s->total == 2.5 && s->lr == 0.0002 && s->grad_norm == 1.5 && isinf(s->threshold) && s->clipped &&
                s->clip_share == 0.5 && s->omega == 1.25 && s->trained_tokens == 10 && s->tokens == 12);
    assert_true(h.evals[1].step == 2 && h.evals[1].loss == 3.5 && h.evals[1].weighted_loss == 3.25 &&
                h.evals[1].trained_tokens == 7 && h.evals[1].best);
    assert_true(h.timings[1].seconds == 3 && h.timings[1].peak_bytes == 200); /* the line of the resumed run */
    assert_true(history_mean_loss(&h, 0, 5) == 2 && history_mean_loss(&h, 1, 1) == 1.25);
    assert_true(isnan(history_mean_loss(&h, 2, 1)));
    history_release(&h);
    ctx_free(c);
}

#define SOURCE(BY, NAME, LOSS)                                                                                              \
    "{\"by\":\"" BY "\",\"name\":" NAME ",\"trained_tokens\":5,\"weight_share\":0.25,\"loss\":" LOSS ",\"weighted_loss\":"  \
    "2}"

/* A step's line with sources at its end. */
static const char *with_sources(const char *step, const char *sources)
{
    return tiny_path("%.*s,\"sources\":[%s]}\n", (int)strlen(step) - 2, step, sources);
}

static void reads_sources(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct history h;
    char text[2048];
    snprintf(text, sizeof text, "%s%s",
             with_sources(STEP("1", "2"), SOURCE("source_type", "\"a\"", "3") "," SOURCE("source_type", "null", "1")),
             with_sources(STEP("2", "2"), SOURCE("source_type", "\"a\"", "2.5") "," SOURCE("file", "\"a\"", "1.5")));
    write_run(text, NULL);
    assert_int_equal(history_read(c, folder, &h), OK);
    assert_int_equal(h.n_sources, 3);
    const struct history_source *s = &h.sources[0];
    assert_true(s->by == SOURCE_BY_TYPE && strcmp(s->name, "a") == 0 && s->n == 2 && s->points[1].step == 2 &&
                s->points[1].loss == 2.5 && s->points[1].weight_share == 0.25 && s->points[1].trained_tokens == 5);
    assert_true(!h.sources[1].name && h.sources[1].n == 1 && h.sources[2].by == SOURCE_BY_FILE);
    history_release(&h);
    ctx_free(c);
    /* one file given twice */
    write_run(with_sources(STEP("1", "2"), SOURCE("file", "\"a\"", "3") "," SOURCE("file", "\"a\"", "4")), NULL);
    c = ctx_new(NULL);
    assert_int_equal(history_read(c, folder, &h), OK);
    assert_true(h.n_sources == 2 && h.sources[0].points[0].loss == 3 && h.sources[1].points[0].loss == 4);
    history_release(&h);
    ctx_free(c);
    refused(with_sources(STEP("1", "2"), SOURCE("colour", "\"a\"", "3")), NULL, "no kind of source");
    refused(with_sources(STEP("1", "2"), "1"), NULL, "not an object");
}

static void refuses_the_rest(void **state)
{
    (void)state;
    refused(STEP("1", "1") STEP("1", "1"), NULL, "metrics.jsonl:2: step 1 does not follow");
    refused(STEP("0", "1"), NULL, "metrics.jsonl:1: step 0");
    refused(EVAL("2") EVAL("2"), NULL, "metrics.jsonl:2: validation of step 2");
    refused(STEP("1", "\"x\""), NULL, "loss");
    refused("{\"step\":1,\"epoch\":1}\n", NULL, "metrics.jsonl:1: has no");
    refused("[1]\n", NULL, "metrics.jsonl:1: is not a JSON object");
    refused(STEP("1", "1"), "{\"step\":1,\"seconds\":1,\"tokens_per_s\":1,\"peak_bytes\":-1}\n", "timing.jsonl:1");
    refused(STEP("1", "1e999"), NULL, "metrics.jsonl:1");
}

/* What the trainer writes is what is read: no member is forgotten on either side. */
static void reads_a_real_run(void **state)
{
    (void)state;
    struct tiny_files files;
    struct history h;
    tiny_files_make(&files, 20, 10);
    struct ctx *c = tiny_ctx(1);
    struct train_config k = tiny_config(files.model, tiny_run(), (const char *const[]){files.rows}, files.valid);
    k.max_steps = 6;
    assert_int_equal(tiny_train(c, &k, NULL), OK);
    assert_int_equal(history_read(c, k.run, &h), OK);
    assert_int_equal(h.n_steps, 6);
    assert_int_equal(h.n_timings, 6);
    assert_true(h.n_evals >= 2 && h.evals[0].step == 0 && h.evals[h.n_evals - 1].step == 6 && !h.torn);
    for (size_t i = 0; i < 6; i++) assert_true(h.steps[i].step == (int64_t)i + 1 && h.steps[i].loss > 0);
    history_release(&h);
    tiny_ctx_free(c);
}

static int setup(void **state)
{
    (void)state;
    folder = tiny_folder();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_every_member), cmocka_unit_test(refuses_the_rest),
                                       cmocka_unit_test(reads_sources), cmocka_unit_test(reads_a_real_run)};
    return cmocka_run_group_tests(tests, setup, tiny_files_remove);
}
