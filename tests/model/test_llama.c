/* llama: the forward pass against plain loops in double, with every option that changes it, and against itself: packed and
 * separate documents, with and without a cache, from both containers. */
#include "support_model.h"
#include "support_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the forward pass is its definition ------------------------------------------------------------------------------ */

/* Ours against plain loops in double, three packed documents. */
static void compare(struct fixture *f, const struct tiny *t, struct lora *lora)
{
    struct model *m = tiny_open(f, t);
    struct batch_data b;
    if (lora) model_attach_lora(m, lora);
    batch_make(&b, t->vocab, 3, (int[]){9, 1, 17}, 5);
    size_t n = (size_t)(b.batch.n * t->vocab);
    float *ours = calloc(n, sizeof *ours);
    double *wanted = calloc(n, sizeof *wanted);
    forward_logits(m, &b.batch, &(struct forward_options){0}, ours);
    reference_logits(m, &b.batch, wanted);
    double error = relative_error(ours, wanted, n);
    if (!(error < 2e-6)) fail_msg("logits differ from the definition by %g relative", error);
    free(ours);
    free(wanted);
    model_free(m);
}

static void llama(void **state)
{
    compare(*state, &tiny_llama, NULL);
}

static void every_bias(void **state)
{
    struct tiny t = tiny_llama;
    t.qkv_bias = t.o_bias = t.mlp_bias = t.tied = true;
    compare(*state, &t, NULL);
}

static void sliding_window(void **state)
{
    struct tiny t = tiny_llama;
    t.family = FAMILY_MISTRAL;
    t.extra = "\"sliding_window\": 5,";
    compare(*state, &t, NULL);
}

static void qwen(void **state)
{
    struct tiny t = tiny_llama;
    t.family = FAMILY_QWEN2;
    t.qkv_bias = true;
    t.kv = 1;
    compare(*state, &t, NULL);
    t.family = FAMILY_QWEN3;
    t.qkv_bias = false;
    t.qk_norm = true;
    t.kv = 4;
    compare(*state, &t, NULL);
}

static void scaled_rope(void **state)
{
    struct tiny t = tiny_llama;
    t.extra = "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 3},";
    compare(*state, &t, NULL);
    t.extra =
        "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4, "
        "\"original_max_position_embeddings\": 16},";
    compare(*state, &t, NULL);
}

static void with_adapter(void **state)
{
    struct fixture *f = *state;
    struct model_config config = {.n_layers = tiny_llama.layers,
                                  .hidden = tiny_llama.hidden,
                                  .n_heads = tiny_llama.heads,
                                  .n_kv_heads = tiny_llama.kv,
                                  .head_dim = tiny_llama.dim,
                                  .ffn = tiny_llama.ffn};
    struct lora_config lora = {.rank = 3, .alpha = 5, .targets = LORA_ALL, .last_layers = 1, .seed = 9};
    struct lora *l = lora_new(f->c, &config, &lora);
    for (size_t i = 0; i < l->n_modules; i++) {
        float *b = host_f32(l->modules[i].slot.b);
        for (int64_t k = 0; k < array_size(l->modules[i].slot.b); k++) b[k] = 0.1f * (float)((k * 7 + (int64_t)i) % 11 - 5);
        host_store(l->modules[i].slot.b, b);
    }
    compare(f, &tiny_llama, l);
    lora_free(l);
}

/* An adapter changes the logits, and taking it off gives back the same bits. */
static void attach_and_detach(void **state)
{
    struct fixture *f = *state;
    struct model *m = tiny_open(f, &tiny_llama);
    struct lora_config config = {.rank = 2, .alpha = 4, .targets = 1u << LORA_K | 1u << LORA_DOWN, .seed = 1};
    struct lora *l = lora_new(f->c, &m->config, &config);
    for (size_t i = 0; i < l->n_modules; i++) {
        float *values = host_f32(l->modules[i].slot.b);
        values[0] = 1;
        host_store(l->modules[i].slot.b, values);
    }
    struct batch_data b;
    float logits[3][8 * 50];
    batch_make(&b, 50, 1, (int[]){8}, 2);
    for (int i = 0; i < 3; i++) {
        model_attach_lora(m, i == 1 ? l : NULL);
        forward_logits(m, &b.batch, &(struct forward_options){0}, logits[i]);
    }
    assert_memory_equal(logits[0], logits[2], sizeof logits[0]);
    assert_memory_not_equal(logits[0], logits[1], sizeof logits[0]);
    model_free(m);
    lora_free(l);
}

/* ---- packing, caching, formats --------------------------------------------------------------------------------------- */

/* Each document alone, then all packed: no token sees another document. */
static void packed_equals_separate(void **state)
{
    struct fixture *f = *state;
    struct model *m = tiny_open(f, &tiny_llama);
    struct batch_data b;
    const int lengths[3] = {7, 12, 4};
    float packed[23 * 50], alone[12 * 50];
    batch_make(&b, 50, 3, lengths, 8);
    forward_logits(m, &b.batch, &(struct forward_options){0}, packed);
    for (int s = 0; s < 3; s++) {
        int32_t cu[2] = {0, lengths[s]}, first = b.cu[s];
        struct batch one = {
            .n = lengths[s], .tokens = b.tokens + first, .positions = b.positions + first, .n_seg = 1, .cu = cu};
        forward_logits(m, &one, &(struct forward_options){0}, alone);
        double error = relative_error_f32(packed + first * 50, alone, (size_t)lengths[s] * 50);
        if (!(error < 1e-6)) fail_msg("document %d differs by %g relative when packed", s, error);
    }
    model_free(m);
}

/* Prefill of 6 tokens, then pieces of 1, 1, 3 and the rest, against one pass. */
static void decode_with_cache(struct fixture *f, const struct tiny *t)
{
    struct model *m = tiny_open(f, t);
    struct kv_cache *cache = kv_cache_new(f->c, &m->config, 20);
    struct batch_data b;
    float *full = calloc(20 * 50, sizeof *full), *pieces = calloc(20 * 50, sizeof *pieces);
    const int parts[] = {6, 1, 1, 3, 9};
    int at = 0;
    batch_make(&b, t->vocab, 1, (int[]){20}, 4);
    forward_logits(m, &b.batch, &(struct forward_options){0}, full);
    for (int i = 0; i < 5; at += parts[i++]) {
        int32_t cu[2] = {0, parts[i]};
        struct batch part = {.n = parts[i], .tokens = b.tokens + at, .positions = b.positions + at, .n_seg = 1, .cu = cu};
        forward_logits(m, &part, &(struct forward_options){.cache = cache}, pieces + at * 50);
        assert_int_equal(cache->n, at + parts[i]);
    }
    double error = relative_error_f32(pieces, full, 20 * 50);
    if (!(error < 1e-5)) fail_msg("decoding with a cache differs by %g relative", error);
    struct batch more = {.n = 1, .tokens = b.tokens, .positions = b.positions, .n_seg = 1, .cu = (int32_t[]){0, 1}};
    assert_null(llama_hidden(m, &more, &(struct forward_options){.cache = cache}));
    assert_failed(f->c, E_INPUT, "do not fit");
    free(full);
    free(pieces);
    kv_cache_free(cache);
    model_free(m);
}

static void cache_equals_full(void **state)
{
    struct tiny t = tiny_llama;
    decode_with_cache(*state, &t);
    t.family = FAMILY_MISTRAL;
    t.extra = "\"sliding_window\": 4,";
    decode_with_cache(*state, &t);
}

/* The permuted rows of a llama GGUF go through the row map in the product itself: same logits as the folder with the same
 * numbers. */
static void gguf_gives_the_same_logits(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    t.qkv_bias = t.o_bias = t.mlp_bias = true;
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    struct model *m[2] = {tiny_open(f, &t), model_open(f->c, fixture_path(f, "m.gguf"))};
    assert_ok(f->c);
    struct batch_data b;
    float logits[2][10 * 50];
    batch_make(&b, 50, 1, (int[]){10}, 3);
    for (int i = 0; i < 2; i++) {
        forward_logits(m[i], &b.batch, &(struct forward_options){0}, logits[i]);
        model_free(m[i]);
    }
    double error = relative_error_f32(logits[1], logits[0], 500);
    if (!(error < 1e-6)) fail_msg("the GGUF's logits differ by %g relative", error);
}

/* A GGUF says Llama 3's scaling with a divisor for each frequency; a folder with the parameters that give these divisors
 * has the same logits. With head_dim 10, theta 10000 and an original context of 16 the wavelengths are 6, 40, 250, 1578
 * and 9956: only the first is not above 16, and it lies between 16 / 4 and 16 / 1. */
static void gguf_rope_factors(void **state)
{
    struct fixture *f = *state;
    float plain[5], scaled[5], factors[5];
    struct model_config config = {.rotary_dims = 10, .rope_theta = 10000};
    model_config_inv_freq(&config, false, plain);
    struct tiny t = tiny_llama;
    t.extra = "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
              "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 16},";
    struct model *a = tiny_open(f, &t);
    memcpy(scaled, host_f32(a->inv_freq), sizeof scaled);
    for (int i = 0; i < 5; i++) factors[i] = plain[i] / scaled[i];
    assert_true(factors[0] > 1.1f && factors[0] < 7.9f);
    for (int i = 1; i < 5; i++) assert_true(factors[i] == 8);
    t.rope_factors = factors;
    tiny_write_gguf(f, &t, "scaled.gguf", NULL);
    struct model *b = model_open(f->c, fixture_path(f, "scaled.gguf"));
    assert_ok(f->c);
    assert_int_equal(b->config.rope_scaling, ROPE_FACTORS);
    for (int i = 0; i < 5; i++) {
        double difference = (double)host_f32(b->inv_freq)[i] - (double)scaled[i];
        assert_true(difference * difference < 1e-14 * (double)scaled[i] * (double)scaled[i]);
    }
    model_free(a);
    model_free(b);
    factors[2] = 0;
    tiny_write_gguf(f, &t, "bad.gguf", NULL);
    assert_null(model_open(f->c, fixture_path(f, "bad.gguf")));
    assert_failed(f->c, E_INPUT, "rope_freqs.weight[2]");
}

/* ---- failures -------------------------------------------------------------------------------------------------------- */

static void an_id_outside_the_vocabulary(void **state)
{
    struct fixture *f = *state;
    struct model *m = tiny_open(f, &tiny_llama);
    struct batch_data b;
    batch_make(&b, 50, 1, (int[]){4}, 3);
    b.tokens[2] = 50;
    assert_null(llama_hidden(m, &b.batch, &(struct forward_options){0}));
    assert_failed(f->c, E_SHAPE, "50");
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(llama, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(every_bias, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(sliding_window, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(qwen, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(scaled_rope, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(with_adapter, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(attach_and_detach, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(packed_equals_separate, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(cache_equals_full, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_gives_the_same_logits, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_rope_factors, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(an_id_outside_the_vocabulary, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
