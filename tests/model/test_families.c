/* More families and configurations against transformers and PEFT: tests/data/families, made by tools/gen_golden_families.py.
 */
#include "support_golden.h"

#include <stdlib.h>
#include <string.h>

static const struct family {
    const char *name;
    size_t n_modules;
} families[] = {
    {"families/ministral", 21},  {"families/ministral3", 21},    {"families/qwen2_windows_yarn", 21},
    {"families/llama_yarn", 21}, {"families/llama_dynamic", 21}, {"families/smollm3", 21},
    {"families/granite", 21},    {"families/phi3_short", 12},    {"families/phi3_long", 12},
    {"families/olmo2", 21},
};
enum { FAMILIES = sizeof families / sizeof *families };

static void logits_loss_and_gradients(void **state)
{
    for (int i = 0; i < FAMILIES; i++) golden_check(*state, families[i].name, families[i].n_modules);
}

/* Token by token through a cache, and all at once, are the same logits. */
static void a_cache_changes_nothing(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < FAMILIES; i++) {
        struct golden g;
        golden_open(&g, f, families[i].name);
        model_attach_lora(g.model, g.lora);
        int64_t n = g.batch.batch.n, vocab = g.model->config.vocab;
        float *whole = malloc((size_t)(n * vocab) * sizeof *whole), *parts = malloc((size_t)(n * vocab) * sizeof *parts);
        forward_logits(g.model, &g.batch.batch, &(struct forward_options){0}, whole);
        struct kv_cache *cache = kv_cache_new(f->c, &g.model->config, n);
        for (int64_t at = 0, step; at < n; at += step) {
            step = at == 0 ? 20 : 1;
            struct batch b = {.n = step, .tokens = g.batch.tokens + at, .positions = g.batch.positions + at, .n_seg = 1};
            b.cu = (const int32_t[]){0, (int32_t)step};
            forward_logits(g.model, &b, &(struct forward_options){.cache = cache}, parts + at * vocab);
        }
        double error = relative_error_f32(parts, whole, (size_t)(n * vocab));
        if (!(error < 1e-5)) fail_msg("%s: logits by a cache differ by %g", families[i].name, error);
        kv_cache_free(cache);
        free(whole);
        free(parts);
        golden_close(&g);
    }
}

/* Recomputing a block for backward gives the same bits, with norms behind, factors and fused layers too. */
static void checkpointing_changes_no_bit(void **state)
{
    for (int i = 0; i < FAMILIES; i++) {
        struct golden g[2];
        double loss[2];
        for (int k = 0; k < 2; k++) {
            golden_open(&g[k], *state, families[i].name);
            model_attach_lora(g[k].model, g[k].lora);
            loss[k] = golden_train_step_on(&g[k], k ? INT64_MAX : 0, false);
        }
        assert_true(loss[0] == loss[1]);
        int64_t size = array_size(g[0].lora->gradients);
        float *values[2];
        for (int k = 0; k < 2; k++) {
            values[k] = malloc((size_t)size * sizeof(float));
            assert_int_equal(array_to_host(g[k].lora->gradients, DTYPE_F32, values[k]), OK);
        }
        if (memcmp(values[0], values[1], (size_t)size * sizeof(float)) != 0)
            fail_msg("%s: gradients of recomputed blocks differ", families[i].name);
        for (int k = 0; k < 2; k++) {
            free(values[k]);
            golden_close(&g[k]);
        }
    }
}

/* The same numbers as documents of a packed batch: longrope gives each its own frequencies. */
static void documents_choose_their_own_frequencies(void **state)
{
    struct fixture *f = *state;
    struct golden g;
    golden_open(&g, f, "families/phi3_long"); /* the original context is 16 */
    static const int lengths[3] = {10, 30, 16};
    struct batch_data packed, alone;
    int64_t vocab = g.model->config.vocab;
    float *all = malloc((size_t)(56 * vocab) * sizeof *all), *one = malloc((size_t)(30 * vocab) * sizeof *one);
    batch_make(&packed, vocab, 3, lengths, 5);
    forward_logits(g.model, &packed.batch, &(struct forward_options){0}, all);
    for (int s = 0, at = 0; s < 3; at += lengths[s++]) {
        batch_make(&alone, vocab, 1, &lengths[s], 5);
        memcpy(alone.tokens, packed.tokens + at, (size_t)lengths[s] * sizeof *alone.tokens);
        forward_logits(g.model, &alone.batch, &(struct forward_options){0}, one);
        double error = relative_error_f32(all + at * vocab, one, (size_t)(lengths[s] * vocab));
        if (!(error < 1e-5)) fail_msg("document %d: logits differ by %g", s, error);
    }
    free(all);
    free(one);
    golden_close(&g);
}

/* Beyond max_position_embeddings the frequencies of a dynamic scaling would have to change: refused. */
static void dynamic_scaling_ends_with_the_context(void **state)
{
    struct fixture *f = *state;
    struct golden g;
    golden_open(&g, f, "families/llama_dynamic");
    g.batch.positions[47] = (int32_t)g.model->config.max_positions;
    int mark = scope_open(f->c);
    assert_null(llama_hidden(g.model, &g.batch.batch, &(struct forward_options){0}));
    assert_failed(f->c, E_INPUT, "dynamic rope scaling documents of at most 256");
    scope_close(f->c, mark);
    golden_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(logits_loss_and_gradients, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_cache_changes_nothing, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(checkpointing_changes_no_bit, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(documents_choose_their_own_frequencies, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(dynamic_scaling_ends_with_the_context, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
