/* What a weight means, promised in README: a row of weight 0 is as if it were not there, byte for byte; a token that is not
 * trained has a gradient of exactly 0; a row of weight w pulls as w copies of it do, each its own segment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/support_engine.h"

enum { LENGTH = 11, COPIES = 5, ROOM = (COPIES + 1) * LENGTH };

/* Documents of LENGTH tokens packed into one sequence: document[i] chooses the tokens, weight[i] is that of its targets, and
 * `noise` what stands where nothing is trained. Gradients of the sum over tokens, which is N times that of the loss. */
static size_t gradients_of(struct tiny_engine *k, int n, const int *document, const float *weight, int noise, float *out)
{
    static int32_t tokens[ROOM], positions[ROOM], targets[ROOM], cu[COPIES + 2];
    static float weights[ROOM];
    for (int d = 0; d < n; d++)
        for (int i = 0; i < LENGTH; i++) {
            int at = d * LENGTH + i;
            bool trained = i >= 3 && i < LENGTH - 1; /* a prompt of four tokens; behind the last one nothing follows */
            tokens[at] = (document[d] * 71 + i * 37) % 251;
            positions[at] = i;
            weights[at] = trained ? weight[d] : 0;
            targets[at] = trained && weight[d] > 0 ? (document[d] * 71 + (i + 1) * 37) % 251 : noise;
        }
    for (int d = 0; d <= n; d++) cu[d] = d * LENGTH;
    struct batch batch = {
        .n = n * LENGTH, .tokens = tokens, .positions = positions, .n_seg = n, .cu = cu, .targets = targets};
    batch.weights = weights;
    const struct engine_micro o = {.step = 1, .count = 1, .inv_n = 1, .seed = 1};
    assert_int_equal(k->engine->ops->step(k->engine, &batch, &o), OK);
    return tiny_engine_gradients(k, out);
}

static void a_weight_is_so_many_copies(void **state)
{
    (void)state;
    static float one[TINY_GRADIENTS], many[TINY_GRADIENTS];
    struct tiny_engine k;
    tiny_engine_open(&k);
    for (int w = 2; w <= COPIES; w++) {
        int document[COPIES + 1] = {1};
        float weight[COPIES + 1] = {1, (float)w};
        document[1] = 2;
        size_t n = gradients_of(&k, 2, document, weight, 0, one);
        for (int i = 1; i <= w; i++) {
            document[i] = 2;
            weight[i] = 1;
        }
        assert_int_equal(gradients_of(&k, w + 1, document, weight, 0, many), n);
        double r = tiny_relative(one, many, n);
        if (r > 1e-6) fail_msg("weight %d: the gradient differs from that of %d copies by %.2g", w, w, r);
        weight[1] = 1; /* and the weight is not without effect */
        gradients_of(&k, 2, document, weight, 0, one);
        assert_true(tiny_relative(one, many, n) > 1e-2);
    }
    tiny_engine_close(&k);
}

static void what_is_not_trained_has_no_gradient(void **state)
{
    (void)state;
    static float a[TINY_GRADIENTS], b[TINY_GRADIENTS];
    struct tiny_engine k;
    static const int document[] = {1, 2};
    static const float some[] = {1, 0}, none[] = {0, 0};
    tiny_engine_open(&k);
    /* whatever the target of an untrained position is, the bits are the same */
    size_t n = gradients_of(&k, 2, document, some, 0, a);
    static const int noise[] = {7, 250, -1, 1000000};
    for (int i = 0; i < 4; i++) {
        gradients_of(&k, 2, document, some, noise[i], b);
        assert_memory_equal(a, b, n * sizeof *a);
    }
    gradients_of(&k, 2, document, none, 7, b); /* nothing is trained: every gradient is 0 and not merely small */
    for (size_t i = 0; i < n; i++) assert_true(b[i] == 0);
    tiny_engine_close(&k);
}

/* ---- whole runs ---- */

static void copy_rows(const char *from, const char *to, bool with_others)
{
    size_t n;
    char *text = tiny_read(from, &n), *line = strtok(text, "\n");
    FILE *f = fopen(to, "w");
    assert_non_null(f);
    for (int i = 0; line; line = strtok(NULL, "\n"), i++) {
        if (with_others && i % 3 == 0)
            fprintf(f, "{\"text\":\"not there %d\",\"auth_weight\":0.5,\"prov_entropy\":3,\"loss_weight\":0}\n", i);
        fprintf(f, "%s\n", line);
    }
    assert_int_equal(fclose(f), 0);
    free(text);
}

static void rows_of_weight_0_leave_before_packing(void **state)
{
    (void)state;
    struct tiny_files tiny;
    static const char *const names[] = {"metrics.jsonl", "adapter/adapter_model.safetensors", NULL};
    static char with[128], without[128], runs[2][128];
    tiny_files_make(&tiny, 40, 5);
    strcpy(with, tiny_keep(&tiny, "with.jsonl"));
    strcpy(without, tiny_keep(&tiny, "without.jsonl"));
    copy_rows(tiny.rows, with, true);
    copy_rows(tiny.rows, without, false);
    const char *const data[2][1] = {{with}, {without}};
    for (int i = 0; i < 2; i++) {
        struct ctx *c = tiny_ctx(2);
        strcpy(runs[i], tiny_run());
        struct train_config config = tiny_config(tiny.model, runs[i], data[i], tiny.valid);
        if (tiny_train(c, &config, NULL) != OK) fail_msg("%s", c->message);
        tiny_ctx_free(c);
    }
    tiny_assert_same_files(runs[0], runs[1], names);
    tiny_cleanup();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_weight_is_so_many_copies),
        cmocka_unit_test(what_is_not_trained_has_no_gradient),
        cmocka_unit_test(rows_of_weight_0_leave_before_packing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
