/* The forward pass of every architecture on a card (or its emulator) against the CPU's in f32, from the same files. */
#include "support_model.h"

#include <math.h>
#include <string.h>

#include "support_cuda_card.h"

enum { VOCAB = 50, TOKENS = 27 };

/* Sizes that the kernels have: rows of multiples of 8, heads of 16. */
static const struct tiny shape = {
    .family = FAMILY_LLAMA, .layers = 2, .hidden = 32, .heads = 4, .kv = 2, .dim = 16, .ffn = 40, .vocab = VOCAB};

/* Logits of three packed documents on a device; *c, the ctx of the fixture, stays as it was. */
static void logits_on(const char *device, const char *path, float *out)
{
    struct batch_data b;
    struct ctx *c = ctx_new(NULL);
    if (array_env_new(c, backend_open(c, device)) != OK) fail_msg("%s", c->message);
    struct model *m = model_open(c, path);
    if (!m) fail_msg("%s", c->message);
    batch_make(&b, VOCAB, 3, (int[]){9, 1, 17}, 5);
    forward_logits(m, &b.batch, &(struct forward_options){0}, out);
    model_free(m);
    array_env_free(c);
    ctx_free(c);
}

static void compare(const char *path)
{
    static float card[TOKENS * VOCAB], cpu[TOKENS * VOCAB];
    logits_on("cpu", path, cpu);
    logits_on("cuda", path, card);
    double error = relative_error_f32(card, cpu, TOKENS * VOCAB);
    if (!(error < 2e-2)) fail_msg("%s: logits differ from the CPU's by %g", path, error);
}

static void compare_tiny(struct fixture *f, const struct tiny *t)
{
    tiny_write_hf(f, t, "m", NULL);
    compare(fixture_path(f, "m"));
}

static void plain(void **state)
{
    compare_tiny(*state, &shape);
}

static void every_bias(void **state)
{
    struct tiny t = shape;
    t.qkv_bias = t.o_bias = t.mlp_bias = t.tied = true;
    compare_tiny(*state, &t);
}

static void sliding_window(void **state)
{
    struct tiny t = shape;
    t.family = FAMILY_MISTRAL;
    t.extra = "\"sliding_window\": 5,";
    compare_tiny(*state, &t);
}

static void norms_of_heads(void **state)
{
    struct tiny t = shape;
    t.family = FAMILY_QWEN3;
    t.qk_norm = true;
    t.kv = 4;
    compare_tiny(*state, &t);
}

/* Rows of q and k are permuted in the file and not on the card. */
static void gguf(void **state)
{
    tiny_write_gguf(*state, &shape, "m.gguf", NULL);
    compare(fixture_path(*state, "m.gguf"));
}

static void odd_sizes_are_refused(void **state)
{
    struct fixture *f = *state;
    struct tiny t = shape;
    t.ffn = 42;
    tiny_write_hf(f, &t, "m", NULL);
    struct ctx *c = ctx_new(NULL);
    if (array_env_new(c, backend_open(c, "cuda")) != OK) fail_msg("%s", c->message);
    assert_null(model_open(c, fixture_path(f, "m")));
    assert_failed(c, E_UNSUPPORTED, "down_proj.weight has rows of 42 elements; on cuda:0");
    array_env_free(c);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(every_bias, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(sliding_window, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(norms_of_heads, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(odd_sizes_are_refused, fixture_setup, fixture_teardown),
    };
    if (!card_find()) return CARD_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
