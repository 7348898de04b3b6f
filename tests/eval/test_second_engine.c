/* A second engine (tests/engine/support_bigram.h: plain C, no arrays, no backend, as late as engine.h allows) goes through
 * the same trainer, checkpoints, validation, log-likelihood, conflict measure and generation as the native one. The ctx has
 * no array environment: nothing on this way may need one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "engine/support_bigram.h"
#include "eval/conflict.h"
#include "eval/generate.h"
#include "eval/loglik.h"
#include "train/support_tiny.h"

enum { STEPS = 9, CONTEXT = 128 };

static struct tiny_files tiny; /* the model for its tokenizer: its weights are not read */

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 30, 6);
    return 0;
}

static struct train_config config_of(void)
{
    static const char *const data[] = {tiny.rows};
    struct train_config k = tiny_config(tiny.model, tiny_run(), data, tiny.valid);
    k.max_steps = STEPS;
    k.eval_every = 4;
    k.save_every = 2;
    k.schedule.peak = 0.05;
    return k;
}

struct watcher {
    int64_t steps, stop_at;
    double first_loss, last_loss;
};

static struct engine *open_bigram(void *user, struct ctx *c, const struct train_config *config)
{
    (void)user;
    assert_string_equal(config->model, tiny.model);
    return bigram_new(c, TINY_VOCAB, CONTEXT);
}

static void see_step(void *user, const struct train_progress *p)
{
    struct watcher *w = user;
    if (w->steps++ == 0) w->first_loss = p->step.loss;
    w->last_loss = p->step.loss;
}

static bool is_stopped(void *user)
{
    const struct watcher *w = user;
    return w->stop_at && w->steps == w->stop_at;
}

/* A trainer that has run; *status is what trainer_run gave. */
static struct trainer *run(struct ctx *c, const struct train_config *k, bool resume, struct watcher *w, enum status *status)
{
    const struct trainer_hooks hooks = {.user = w, .open_engine = open_bigram, .step = see_step, .interrupted = is_stopped};
    struct trainer *t = resume ? trainer_resume(c, k, &hooks) : trainer_new(c, k, &hooks, "{}");
    if (!t) fail_msg("%s", c->message);
    assert_string_equal(t->engine->ops->name, "bigram");
    assert_null(t->model);
    *status = trainer_run(t);
    return t;
}

static void trained_saved_and_resumed_bit_for_bit(void **state)
{
    (void)state;
    static const char *const files[] = {"metrics.jsonl", "adapter/adapter_model.safetensors", "adapter/adapter_config.json",
                                        "checkpoints/step-000009/adapter_optimizer.safetensors",
                                        "checkpoints/step-000009/state.json"};
    struct ctx *c = ctx_new(NULL);
    struct train_config whole = config_of();
    struct watcher w = {0};
    enum status status;
    trainer_free(run(c, &whole, false, &w, &status));
    if (status != OK) fail_msg("%s", c->message);
    assert_int_equal(w.steps, STEPS);
    if (!(w.first_loss > 5.5 && w.last_loss < 5)) fail_msg("from %g to %g", w.first_loss, w.last_loss);
    for (int64_t stop = 1; stop < STEPS; stop += 3) {
        struct train_config k = config_of();
        w = (struct watcher){.stop_at = stop};
        trainer_free(run(c, &k, false, &w, &status));
        assert_int_equal(status, E_INTERRUPTED);
        ctx_clear(c);
        w = (struct watcher){0};
        trainer_free(run(c, &k, true, &w, &status));
        if (status != OK) fail_msg("%s", c->message);
        assert_int_equal(w.steps, STEPS - stop);
        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
            tiny_assert_same_file(tiny_path("%s/%s", whole.run, files[i]), tiny_path("%s/%s", k.run, files[i]));
    }
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* ln p(next | token) from the logits of a new sequence. */
static double log_probability(struct engine *e, int32_t token, int32_t next)
{
    float logits[TINY_VOCAB];
    double sum = 0;
    struct engine_sequence *s = e->ops->sequence_new(e, 1);
    assert_int_equal(e->ops->extend(s, &token, 1, 1, logits), OK);
    e->ops->sequence_free(s);
    for (int v = 0; v < TINY_VOCAB; v++) sum += exp((double)logits[v]);
    return (double)logits[next] - log(sum);
}

static void check_loglik(struct engine *e)
{
    static const int32_t ids[] = {97, 98, 32, 99, 97};
    double logprob[5];
    assert_int_equal(loglik_ids(e, ids, 5, 0, logprob), OK);
    for (int i = 1; i < 5; i++) assert_true(fabs(logprob[i] - log_probability(e, ids[i - 1], ids[i])) < 1e-5);
}

static void check_generation(struct engine *e)
{
    const int32_t prompt[] = {104, 97};
    const struct generate_params p = {.max_tokens = 12, .sample = {.top_p = 1}};
    struct ids out = {0};
    enum generate_end end;
    assert_int_equal(generate_run(e, prompt, 2, &p, &out, &end), OK);
    assert_int_equal(out.n, 12);
    for (size_t i = 0; i < out.n; i++) {
        int32_t before = i ? out.data[i - 1] : 97;
        double chosen = log_probability(e, before, out.data[i]);
        for (int v = 0; v < TINY_VOCAB; v++) assert_true(log_probability(e, before, v) <= chosen);
    }
    ids_release(e->c, &out);
}

static void check_conflict(struct engine *e, const struct tokenizer *t)
{
    const char *path = tiny_path("%s/claims.jsonl", tiny_folder());
    double delta;
    tiny_write(path, "{\"prompt\": \"a\", \"primary\": \"bc\", \"consensus\": \"d\", "
                     "\"primary_sources\": [{\"auth_weight\": 0.1, \"prov_entropy\": 6}], "
                     "\"consensus_sources\": [{\"auth_weight\": 0.9, \"prov_entropy\": 1}]}\n");
    struct conflict_set *s = conflict_open(e->c, path);
    assert_non_null(s);
    assert_int_equal(conflict_measure(e, t, s, &delta), OK);
    double want = log_probability(e, 'a', 'b') + log_probability(e, 'b', 'c') - log_probability(e, 'a', 'd');
    assert_true(fabs(delta - want) < 1e-5);
    conflict_close(s);
}

static void evaluated_and_generated_from(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct train_config k = config_of();
    struct watcher w = {0};
    enum status status;
    struct trainer *t = run(c, &k, false, &w, &status);
    if (status != OK) fail_msg("%s", c->message);
    check_loglik(t->engine);
    check_generation(t->engine);
    check_conflict(t->engine, t->tokenizer);
    trainer_free(t);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trained_saved_and_resumed_bit_for_bit),
        cmocka_unit_test(evaluated_and_generated_from),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
