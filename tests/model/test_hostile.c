/* Damaged files: whatever one byte or a cut does to a sound file, the result is a model or one error, never a crash, and no
 * allocation that the file does not pay for. Under ASan and UBSan this is the memory-safety test of the layer. */
#include "support_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"

enum { FILE_CAP = 1 << 20, MEMORY_CAP = 64 << 20 };

/* One attempt on the damaged file; releases what it made. */
typedef void (*attempt)(struct fixture *f);

static void try_config(struct fixture *f)
{
    struct model_config config;
    model_config_from_json(f->c, fixture_path(f, "tiny/config.json"), &config);
}

static void try_model(struct fixture *f)
{
    model_free(model_open(f->c, fixture_path(f, "tiny")));
}

static void try_gguf(struct fixture *f)
{
    model_free(model_open(f->c, fixture_path(f, "tiny.gguf")));
}

static void try_adapter(struct fixture *f)
{
    struct model_config m = {.n_layers = tiny_llama.layers,
                             .hidden = tiny_llama.hidden,
                             .n_heads = tiny_llama.heads,
                             .n_kv_heads = tiny_llama.kv,
                             .head_dim = tiny_llama.dim,
                             .ffn = tiny_llama.ffn};
    lora_free(lora_load_peft(f->c, &m, fixture_path(f, "adapter")));
}

static void write_bytes(struct fixture *f, const char *name, const char *bytes, size_t n)
{
    FILE *out = fopen(fixture_path(f, name), "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(out);
}

/* Runs the attempt; an error must be the file's fault, with a message. Returns whether it was refused. */
static bool refused(struct fixture *f, attempt run)
{
    run(f);
    bool failed = !ctx_ok(f->c);
    if (failed && f->c->status != E_INPUT && f->c->status != E_UNSUPPORTED && f->c->status != E_IO)
        fail_msg("a damaged file gave %s: %s", status_name(f->c->status), f->c->message);
    if (failed) assert_true(f->c->message[0] != 0);
    assert_true(f->c->alloc_peak < MEMORY_CAP);
    ctx_clear(f->c);
    return failed;
}

/* Cuts at `n_cuts` places and changes bytes in the first `span` bytes, `n_flips` times. */
static void damage(struct fixture *f, const char *name, attempt run, size_t span, int n_cuts, int n_flips)
{
    size_t n;
    char *sound = file_read(f->c, fixture_path(f, name), FILE_CAP, &n);
    assert_non_null(sound);
    assert_false(refused(f, run));
    struct rng r;
    rng_init(&r, 11, RNG_TEST, 77);
    int refusals = 0;
    for (int i = 0; i < n_cuts; i++) {
        write_bytes(f, name, sound, n * (size_t)i / (size_t)n_cuts);
        refusals += refused(f, run);
    }
    assert_int_equal(refusals, n_cuts); /* a cut is never overlooked */
    for (int i = 0; i < n_flips; i++) {
        static const char picks[] = "0919eE-+\"{}[],: \\\x00\xff\x80";
        size_t at = (size_t)rng_below(&r, span < n ? span : n);
        char old = sound[at];
        sound[at] = i % 2 ? (char)rng_below(&r, 256) : picks[rng_below(&r, sizeof picks - 1)];
        write_bytes(f, name, sound, n);
        refused(f, run);
        sound[at] = old;
    }
    write_bytes(f, name, sound, n);
    assert_false(refused(f, run));
    mem_free(f->c, sound);
}

static void config(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    t.extra =
        "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4, "
        "\"original_max_position_embeddings\": 16}, \"eos_token_id\": [1, 2],";
    tiny_write_hf(f, &t, "tiny", NULL);
    damage(f, "tiny/config.json", try_config, 4096, 200, 2000);
    damage(f, "tiny/config.json", try_model, 4096, 20, 500);
}

static void tensors(void **state)
{
    struct fixture *f = *state;
    tiny_write_hf(f, &tiny_llama, "tiny", NULL);
    damage(f, "tiny/model.safetensors", try_model, 3000, 50, 1500);
}

static void gguf(void **state)
{
    struct fixture *f = *state;
    tiny_write_gguf(f, &tiny_llama, "tiny.gguf", NULL);
    damage(f, "tiny.gguf", try_gguf, 1700, 50, 1500);
}

static void adapter(void **state)
{
    struct fixture *f = *state;
    struct model_config m = {.n_layers = tiny_llama.layers,
                             .hidden = tiny_llama.hidden,
                             .n_heads = tiny_llama.heads,
                             .n_kv_heads = tiny_llama.kv,
                             .head_dim = tiny_llama.dim,
                             .ffn = tiny_llama.ffn};
    struct lora_config lora = {.rank = 2, .alpha = 4, .targets = 1u << LORA_Q | 1u << LORA_UP};
    struct lora *l = lora_empty(f->c, &m, &lora);
    assert_int_equal(lora_add(l, &m, 0, LORA_Q, 2, 4), OK);
    assert_int_equal(lora_add(l, &m, 1, LORA_UP, 3, 5), OK);
    assert_int_equal(lora_make_values(l), OK);
    assert_int_equal(dir_make(f->c, fixture_path(f, "adapter")), OK);
    assert_int_equal(lora_save_peft(f->c, l, fixture_path(f, "adapter"), "base"), OK);
    lora_free(l);
    damage(f, "adapter/adapter_config.json", try_adapter, 4096, 100, 1500);
    damage(f, "adapter/adapter_model.safetensors", try_adapter, 500, 50, 800);
}

/* Sizes that are allowed one by one and absurd together: refused by the first missing tensor, at once. */
static void large_claims_cost_nothing(void **state)
{
    struct fixture *f = *state;
    tiny_write_hf(f, &tiny_llama, "tiny", NULL);
    fixture_write(
        f, "tiny/config.json",
        "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 131072, \"intermediate_size\": 1048576, "
        "\"num_hidden_layers\": 1024, \"num_attention_heads\": 1024, \"head_dim\": 1024, \"vocab_size\": 16777216, "
        "\"max_position_embeddings\": 2147483647}");
    size_t before = f->c->alloc_peak;
    assert_null(model_open(f->c, fixture_path(f, "tiny")));
    assert_failed(f->c, E_INPUT, "model.embed_tokens.weight");
    assert_true(f->c->alloc_peak - before < 4 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(config, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(tensors, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(adapter, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(large_claims_cost_nothing, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
