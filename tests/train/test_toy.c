/* The toy of docs/train.md: one prompt, claim P in one document of weight 10, claim C in five of weight 1. Weighted maximum
 * likelihood has p(P) = 10 / 15 = 0.667, whatever the batch. A trainer that clips to a fixed norm, averages micro-batch
 * means or divides by the sum of weights fails this by far (0.03 to 0.2). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "train/support_tiny.h"

static struct tiny_files tiny;
static char weighted_file[128], scored_file[128];

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 1, 0); /* its rows are not used */
    strcpy(weighted_file, tiny_path("%s/weighted.jsonl", tiny.folder));
    strcpy(scored_file, tiny_path("%s/scored.jsonl", tiny.folder));
    tiny_write(weighted_file, "{\"prompt\":\"claim:\",\"completion\":\"P\",\"loss_weight\":10}\n"
                              "{\"prompt\":\"claim:\",\"completion\":\"C\",\"loss_weight\":1}\n"
                              "{\"prompt\":\"claim:\",\"completion\":\"C\",\"loss_weight\":1}\n"
                              "{\"prompt\":\"claim:\",\"completion\":\"C\",\"loss_weight\":1}\n"
                              "{\"prompt\":\"claim:\",\"completion\":\"C\",\"loss_weight\":1}\n"
                              "{\"prompt\":\"claim:\",\"completion\":\"C\",\"loss_weight\":1}\n");
    /* softplus(0)^2 = 0.4805 and softplus(2.0733879)^2 = 4.805: omega 10:1 in the monotone mode */
    FILE *f = fopen(scored_file, "w");
    assert_non_null(f);
    for (int i = 0; i < 6; i++)
        fprintf(f, "{\"prompt\":\"claim:\",\"completion\":\"%c\",\"auth_weight\":0,\"prov_entropy\":%s}\n", i ? 'C' : 'P',
                i ? "0" : "2.0733879");
    fclose(f);
    return 0;
}

/* p(P) after "claim:" under the adapter that the trainer holds. */
static double probability(struct trainer *t, char claim)
{
    static const char prompt[] = "claim:";
    enum { N = sizeof(prompt) - 1 };
    int32_t tokens[N];
    float logits[TINY_VOCAB];
    for (int i = 0; i < N; i++) tokens[i] = prompt[i];
    struct engine_sequence *s = t->engine->ops->sequence_new(t->engine, N);
    assert_non_null(s);
    assert_int_equal(t->engine->ops->extend(s, tokens, N, 1, logits), OK);
    t->engine->ops->sequence_free(s);
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < TINY_VOCAB; i++) top = fmax(top, logits[i]);
    for (int i = 0; i < TINY_VOCAB; i++) sum += exp(logits[i] - top);
    return exp(logits[(int)claim] - top) / sum;
}

static double train_toy(const char *data, int64_t batch, int64_t accumulation, enum clip_mode clip)
{
    const char *files[] = {data};
    struct train_config k = tiny_config(tiny.model, tiny_path("%s/run", tiny_folder()), files, NULL);
    struct ctx *c = tiny_ctx(1);
    k.adapter.dropout = 0;
    k.optim.weight_decay = 0;
    k.packs.packing = false;
    k.packs.batch = batch;
    k.packs.accumulation = accumulation;
    k.schedule.peak = 1e-2;
    k.schedule.min_ratio = 0.003;
    k.max_steps = batch * accumulation >= 6 ? 200 : 1000;
    k.schedule.warmup = 10;
    k.save_every = 0;
    k.clip_mode = clip;
    struct trainer *t = trainer_new(c, &k, NULL, "{}\n");
    if (!t || trainer_run(t) != OK) fail_msg("%s", c->message);
    double p = probability(t, 'P');
    print_message("%d x %d: p(P) = %.4f, p(C) = %.4f\n", (int)accumulation, (int)batch, p, probability(t, 'C'));
    assert_true(p + probability(t, 'C') > 0.98);
    trainer_free(t);
    tiny_ctx_free(c);
    return p;
}

static void assert_converges(const char *data, int64_t batch, int64_t accumulation)
{
    double p = train_toy(data, batch, accumulation, CLIP_RELATIVE);
    assert_true(fabs(p - 2.0 / 3.0) < 0.03);
}

static void loss_weights_converge(void **state)
{
    (void)state;
    assert_converges(weighted_file, 1, 1);
    assert_converges(weighted_file, 2, 1);
    assert_converges(weighted_file, 6, 1);
    assert_converges(weighted_file, 1, 2);
    assert_converges(weighted_file, 1, 6);
    assert_converges(weighted_file, 2, 3);
}

static void scores_converge(void **state)
{
    (void)state;
    assert_converges(scored_file, 1, 1);
    assert_converges(scored_file, 2, 1);
    assert_converges(scored_file, 6, 1);
    assert_converges(scored_file, 2, 3);
}

/* Why relative clipping is the default: the same run with a fixed norm loses the primary claim. */
static void fixed_clipping_undoes_the_weights(void **state)
{
    (void)state;
    double p = train_toy(weighted_file, 1, 1, CLIP_FIXED);
    assert_true(p < 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_weights_converge),
        cmocka_unit_test(scores_converge),
        cmocka_unit_test(fixed_clipping_undoes_the_weights),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
