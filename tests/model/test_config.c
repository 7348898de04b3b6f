/* config: what config.json and GGUF metadata say of a model, defaults and ranges, and that everything that would change
 * the computation and is not done is refused by name. */
#include "support_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/gguf.h"

/* ---- config.json ----------------------------------------------------------------------------------------------------- */

static struct model_config read_json(struct fixture *f, const char *text)
{
    struct model_config config;
    fixture_write(f, "config.json", text);
    model_config_from_json(f->c, fixture_path(f, "config.json"), &config);
    return config;
}

/* The smallest config of an architecture, with more members in front. */
static struct model_config read_with(struct fixture *f, const char *architecture, const char *members)
{
    char text[1024];
    snprintf(
        text, sizeof text,
        "{%s \"architectures\": [\"%s\"], \"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 3, "
        "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 100, \"max_position_embeddings\": 512}",
        members, architecture);
    return read_json(f, text);
}

static void defaults_are_the_references(void **state)
{
    struct fixture *f = *state;
    struct model_config c = read_with(f, "LlamaForCausalLM", "");
    assert_ok(f->c);
    assert_int_equal(c.family, FAMILY_LLAMA);
    assert_string_equal(c.architecture, "LlamaForCausalLM");
    assert_int_equal(c.head_dim, 16);
    assert_int_equal(c.n_layers, 3);
    assert_int_equal(c.ffn, 96);
    assert_true(c.rms_eps == 1e-6 && c.rope_theta == 10000);
    assert_true(!c.tied_embeddings && !c.qkv_bias && !c.o_bias && !c.mlp_bias && !c.qk_norm);
    assert_int_equal(c.sliding_window, 0);
    assert_int_equal(c.bos, -1);
    assert_int_equal(read_with(f, "MistralForCausalLM", "").sliding_window, 4096);
    assert_int_equal(read_with(f, "MistralForCausalLM", "\"sliding_window\": null,").sliding_window, 0);
    c = read_with(f, "Qwen2ForCausalLM", "");
    assert_true(c.qkv_bias && !c.o_bias && c.sliding_window == 0);
    c = read_with(f, "Qwen3ForCausalLM", "");
    assert_true(c.qk_norm && !c.qkv_bias && c.head_dim == 128);
    c = read_json(f, "{\"model_type\": \"llama\", \"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 3, "
                     "\"num_attention_heads\": 4, \"vocab_size\": 100, \"max_position_embeddings\": 512}");
    assert_ok(f->c);
    assert_int_equal(c.n_kv_heads, 4);
}

static void fields_are_read(void **state)
{
    struct fixture *f = *state;
    struct model_config c = read_with(f, "LlamaForCausalLM",
                                      "\"head_dim\": 24, \"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": true, "
                                      "\"attention_bias\": true, \"mlp_bias\": true, \"bos_token_id\": 5, "
                                      "\"eos_token_id\": [7, 8], \"rope_theta\": 500000, \"rope_scaling\": null,");
    assert_ok(f->c);
    assert_int_equal(c.head_dim, 24);
    assert_true(c.rms_eps == 1e-5 && c.rope_theta == 500000);
    assert_true(c.tied_embeddings && c.qkv_bias && c.o_bias && c.mlp_bias);
    assert_int_equal(c.bos, 5);
    assert_int_equal(c.eos, 7);
}

static void rope_of_both_generations(void **state)
{
    static const char *const llama3[] = {
        "\"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, "
        "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 256},",
        "\"rope_parameters\": {\"rope_theta\": 500000.0, \"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": "
        "1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 256},",
    };
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        struct model_config c = read_with(f, "LlamaForCausalLM", llama3[i]);
        assert_ok(f->c);
        assert_int_equal(c.rope_scaling, ROPE_LLAMA3);
        assert_true(c.rope_theta == 500000 && c.rope_factor == 8 && c.rope_low_freq_factor == 1);
        assert_true(c.rope_high_freq_factor == 4 && c.rope_original_positions == 256);
    }
    struct model_config c = read_with(f, "LlamaForCausalLM", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5},");
    assert_ok(f->c);
    assert_true(c.rope_scaling == ROPE_LINEAR && c.rope_factor == 2.5 && c.rope_theta == 10000);
    c = read_with(f, "LlamaForCausalLM", "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 7000},");
    assert_ok(f->c);
    assert_true(c.rope_scaling == ROPE_DEFAULT && c.rope_theta == 7000);
}

static void windows(void **state)
{
    struct fixture *f = *state;
    const char *sliding = "\"layer_types\": [\"sliding_attention\", \"sliding_attention\", \"sliding_attention\"],";
    assert_int_equal(read_with(f, "MistralForCausalLM", "\"sliding_window\": 8,").sliding_window, 8);
    assert_int_equal(read_with(f, "Qwen2ForCausalLM", "\"sliding_window\": 8,").sliding_window, 0);
    char text[256];
    snprintf(text, sizeof text, "\"use_sliding_window\": true, \"sliding_window\": 8, %s", sliding);
    assert_int_equal(read_with(f, "Qwen3ForCausalLM", text).sliding_window, 8);
    snprintf(text, sizeof text, "\"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 0,");
    assert_int_equal(read_with(f, "Qwen2ForCausalLM", text).sliding_window, 8);
    snprintf(text, sizeof text, "\"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 3,");
    assert_int_equal(read_with(f, "Qwen2ForCausalLM", text).sliding_window, 0);
    assert_ok(f->c);
}

static void what_is_not_honoured_is_refused_by_name(void **state)
{
    static const struct {
        const char *architecture, *members;
        enum status status;
        const char *part;
    } cases[] = {
        {"GemmaForCausalLM", "", E_UNSUPPORTED, "GemmaForCausalLM"},
        {"LlamaForCausalLM", "\"hidden_act\": \"gelu\",", E_UNSUPPORTED, "hidden_act"},
        {"LlamaForCausalLM", "\"quantization_config\": {\"bits\": 4},", E_UNSUPPORTED, "quantization_config"},
        {"LlamaForCausalLM", "\"partial_rotary_factor\": 0.5,", E_UNSUPPORTED, "partial_rotary_factor"},
        {"LlamaForCausalLM", "\"rope_parameters\": {\"partial_rotary_factor\": 0.5},", E_UNSUPPORTED,
         "partial_rotary_factor"},
        {"LlamaForCausalLM", "\"rope_scaling\": {\"rope_type\": \"ntk\", \"factor\": 4},", E_UNSUPPORTED, "\"ntk\""},
        {"LlamaForCausalLM", "\"rope_scaling\": {\"rope_type\": \"yarn\"},", E_INPUT, "factor"},
        {"LlamaForCausalLM", "\"rope_scaling\": {\"rope_type\": \"linear\"},", E_INPUT, "factor"},
        {"LlamaForCausalLM", "\"rope_scaling\": 3,", E_INPUT, "rope_scaling"},
        {"LlamaForCausalLM", "\"num_experts\": 8,", E_UNSUPPORTED, "num_experts"},
        {"LlamaForCausalLM", "\"rope_interleaved\": true,", E_UNSUPPORTED, "rope_interleaved"},
        {"MistralForCausalLM", "\"attention_bias\": true,", E_UNSUPPORTED, "attention_bias"},
        {"Qwen2ForCausalLM", "\"attention_bias\": true,", E_UNSUPPORTED, "attention_bias"},
        {"Qwen3ForCausalLM", "\"mlp_bias\": true,", E_UNSUPPORTED, "mlp_bias"},
        {"LlamaForCausalLM", "\"head_dim\": 15,", E_INPUT, "head_dim"},
        {"LlamaForCausalLM", "\"head_dim\": 100000,", E_INPUT, "head_dim"},
        {"LlamaForCausalLM", "\"rms_norm_eps\": -1,", E_INPUT, "rms_norm_eps"},
        {"LlamaForCausalLM", "\"rope_theta\": \"big\",", E_INPUT, "rope_theta"},
        {"LlamaForCausalLM", "\"bos_token_id\": 100,", E_INPUT, "bos_token_id"},
        {"LlamaForCausalLM", "\"eos_token_id\": \"x\",", E_INPUT, "eos_token_id"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        read_with(f, cases[i].architecture, cases[i].members);
        assert_failed(f->c, cases[i].status, cases[i].part);
    }
}

/* Every integer field: absent, of a wrong type, and on both sides of its range. */
static void ranges_of_every_integer(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < model_config_n_integers; i++) {
        const struct model_config_field *field = &model_config_integers[i];
        const char *bad[] = {"-1", "9007199254740993", "1.5", "\"12\"", "true"};
        for (int k = 0; k < 5; k++) {
            char text[2048];
            int n = snprintf(text, sizeof text, "{\"architectures\": [\"LlamaForCausalLM\"]");
            for (size_t j = 0; j < model_config_n_integers; j++) {
                const char *good = strcmp(model_config_integers[j].json, "vocab_size") == 0 ? "100" : "4";
                n += snprintf(text + n, sizeof text - (size_t)n, ", \"%s\": %s", model_config_integers[j].json,
                              i == j ? bad[k] : good);
            }
            snprintf(text + n, sizeof text - (size_t)n, "}");
            read_json(f, text);
            assert_failed(f->c, E_INPUT, field->json);
        }
    }
    read_json(f, "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 64}");
    assert_failed(f->c, E_INPUT, "num_hidden_layers");
    read_json(f, "[]");
    assert_failed(f->c, E_INPUT, "object");
    read_json(f, "{\"architectures\": 5, \"model_type\": \"mixtral\"}");
    assert_failed(f->c, E_UNSUPPORTED, "mixtral");
    model_config_from_json(f->c, fixture_path(f, "absent.json"), &(struct model_config){0});
    assert_failed(f->c, E_INPUT, "absent.json");
}

static void heads_must_divide(void **state)
{
    struct fixture *f = *state;
    read_json(f,
              "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 66, \"intermediate_size\": 96, "
              "\"num_hidden_layers\": 3, \"num_attention_heads\": 4, \"vocab_size\": 9, \"max_position_embeddings\": 512}");
    assert_failed(f->c, E_INPUT, "multiple of 4 heads");
    read_json(f, "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 64, \"intermediate_size\": 96, "
                 "\"num_hidden_layers\": 3, \"num_attention_heads\": 4, \"num_key_value_heads\": 3, \"vocab_size\": 9, "
                 "\"max_position_embeddings\": 512}");
    assert_failed(f->c, E_INPUT, "key-value heads");
}

/* ---- rotary frequencies: values of LlamaRotaryEmbedding in transformers 5.23 ----------------------------------------- */

static void frequencies_equal_the_references(void **state)
{
    static const int at[9] = {0, 1, 2, 10, 15, 20, 24, 28, 31};
    static const struct {
        struct model_config config;
        double values[9];
    } cases[] = {
        {{.rotary_dims = 64, .rope_theta = 100000},
         {1.0, 0.6978305578231812, 0.486967533826828, 0.0273841954767704, 0.004531583748757839, 0.0007498941849917173,
          0.00017782794020604342, 4.216965317027643e-05, 1.4330126759887207e-05}},
        {{.rotary_dims = 64,
          .rope_theta = 500000,
          .rope_scaling = ROPE_LLAMA3,
          .rope_factor = 32,
          .rope_low_freq_factor = 1,
          .rope_high_freq_factor = 4,
          .rope_original_positions = 8192},
         {1.0, 0.663601279258728, 0.44036662578582764, 0.016560440883040428, 0.0012905480107292533, 8.570255886297673e-06,
          1.6619674170215148e-06, 3.2229328894572973e-07, 9.418306490260875e-08}},
        {{.rotary_dims = 64, .rope_theta = 10000, .rope_scaling = ROPE_LINEAR, .rope_factor = 2.5},
         {0.4000000059604645, 0.2999576926231384, 0.22493652999401093, 0.022493651136755943, 0.005334085784852505,
          0.0012649111449718475, 0.0004000000189989805, 0.0001264911115868017, 5.3340860176831484e-05}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float got[32];
        model_config_inv_freq(&cases[i].config, false, got);
        for (int j = 0; j < 9; j++) {
            double want = cases[i].values[j];
            if (fabs((double)got[at[j]] - want) > 2e-7 * want)
                fail_msg("case %zu: inv_freq[%d] is %.9g, not %.9g", i, at[j], (double)got[at[j]], want);
        }
    }
}

/* ---- GGUF ------------------------------------------------------------------------------------------------------------ */

static void gguf_says_the_same(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    t.tied = true;
    t.qkv_bias = true;
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    struct gguf *g = gguf_open(f->c, fixture_path(f, "m.gguf"));
    struct model_config c;
    assert_int_equal(model_config_from_gguf(f->c, g, &c), OK);
    assert_string_equal(c.architecture, "LlamaForCausalLM");
    assert_int_equal(c.n_layers, t.layers);
    assert_int_equal(c.hidden, t.hidden);
    assert_int_equal(c.n_heads, t.heads);
    assert_int_equal(c.n_kv_heads, t.kv);
    assert_int_equal(c.head_dim, t.dim);
    assert_int_equal(c.ffn, t.ffn);
    assert_int_equal(c.vocab, t.vocab);
    assert_int_equal(c.max_positions, 128);
    assert_true(c.rms_eps == (double)1e-5f && c.rope_theta == 10000);
    assert_true(c.tied_embeddings && c.qkv_bias && !c.o_bias && !c.mlp_bias && !c.qk_norm);
    assert_int_equal(c.bos, -1);
    gguf_close(g);
}

/* The config of a tiny GGUF with one or two more keys. */
static struct model_config read_gguf_with(struct fixture *f, enum model_family family, struct tiny_key a, struct tiny_key b)
{
    struct tiny_key keys[] = {a, b};
    struct tiny t = tiny_llama;
    struct model_config c;
    t.family = family;
    t.keys = keys;
    t.n_keys = b.key ? 2 : 1;
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    struct gguf *g = gguf_open(f->c, fixture_path(f, "m.gguf"));
    assert_ok(f->c);
    model_config_from_gguf(f->c, g, &c);
    gguf_close(g);
    return c;
}

static void gguf_scaling_windows_and_tokens(void **state)
{
    struct fixture *f = *state;
    const struct tiny_key none = {0}, type = {.key = ".rope.scaling.type", .text = "linear"};
    const struct tiny_key factor = {.key = ".rope.scaling.factor", .real = true, .number = 2.5};
    struct model_config c = read_gguf_with(f, FAMILY_LLAMA, type, factor);
    assert_ok(f->c);
    assert_true(c.rope_scaling == ROPE_LINEAR && c.rope_factor == 2.5);
    c = read_gguf_with(f, FAMILY_LLAMA, factor, none); /* as in llama.cpp, a factor alone is a linear one */
    assert_true(ctx_ok(f->c) && c.rope_scaling == ROPE_LINEAR && c.rope_factor == 2.5);
    c = read_gguf_with(f, FAMILY_LLAMA, (struct tiny_key){.key = ".rope.scale_linear", .real = true, .number = 4}, none);
    assert_true(ctx_ok(f->c) && c.rope_scaling == ROPE_LINEAR && c.rope_factor == 4);
    c = read_gguf_with(f, FAMILY_LLAMA, type, (struct tiny_key){.key = ".rope.scale_linear", .real = true, .number = 4});
    assert_true(ctx_ok(f->c) && c.rope_scaling == ROPE_LINEAR && c.rope_factor == 4);
    for (int i = 0; i < 2; i++) {
        c = read_gguf_with(f, FAMILY_LLAMA, (struct tiny_key){.key = ".rope.scaling.factor", .real = true, .number = i},
                           none);
        assert_true(ctx_ok(f->c) && c.rope_scaling == ROPE_DEFAULT);
    }
    c = read_gguf_with(f, FAMILY_LLAMA, (struct tiny_key){.key = ".rope.scaling.type", .text = "none"}, factor);
    assert_true(ctx_ok(f->c) && c.rope_scaling == ROPE_DEFAULT);
    c = read_gguf_with(f, FAMILY_LLAMA, (struct tiny_key){.key = ".attention.sliding_window", .number = 8}, none);
    assert_true(ctx_ok(f->c) && c.sliding_window == 8);
    c = read_gguf_with(f, FAMILY_LLAMA, (struct tiny_key){.key = "tokenizer.ggml.bos_token_id", .number = 7},
                       (struct tiny_key){.key = "tokenizer.ggml.eos_token_id", .number = 0xffffffff});
    assert_true(ctx_ok(f->c) && c.bos == 7 && c.eos == -1);
}

static void gguf_refusals(void **state)
{
    static const struct {
        enum model_family family;
        struct tiny_key key;
        enum status status;
        const char *part;
    } cases[] = {
        {FAMILY_LLAMA, {.key = ".rope.scaling.type", .text = "dynamic"}, E_UNSUPPORTED, "\"dynamic\" is not supported"},
        {FAMILY_LLAMA, {.key = ".rope.scaling.type", .text = "yarn"}, E_INPUT, "rope.scaling.factor"},
        {FAMILY_PHI3, {.key = ".rope.scaling.type", .text = "longrope"}, E_INPUT, "rope_factors_short.weight"},
        {FAMILY_GRANITE, {.key = ".logit_scale", .real = true, .number = 0}, E_INPUT, "logit_scale"},
        {FAMILY_OLMO2, {.key = ".attention.sliding_window", .number = 8}, E_UNSUPPORTED, "sliding_window"},
        {FAMILY_LLAMA, {.key = ".rope.scaling.type", .text = "linear"}, E_INPUT, "rope.scaling.factor"},
        {FAMILY_QWEN2, {.key = ".attention.sliding_window", .number = 8}, E_UNSUPPORTED, "sliding_window"},
        {FAMILY_LLAMA, {.key = ".expert_count", .number = 8}, E_UNSUPPORTED, "expert_count is 8"},
        {FAMILY_LLAMA, {.key = "tokenizer.ggml.eos_token_id", .number = 50}, E_INPUT, "eos_token_id"},
        {FAMILY_LLAMA, {.key = ".vocab_size", .number = 1e9}, E_INPUT, "vocab_size"},
        {FAMILY_LLAMA, {.key = ".vocab_size", .text = "many"}, E_INPUT, "vocab_size"},
        {FAMILY_LLAMA, {.key = ".attention.causal", .flag = true}, E_UNSUPPORTED, "attention.causal is false"},
        {FAMILY_LLAMA, {.key = ".attention.causal", .number = 1}, E_INPUT, "attention.causal"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        read_gguf_with(f, cases[i].family, cases[i].key, (struct tiny_key){0});
        assert_failed(f->c, cases[i].status, cases[i].part);
    }
}

static char gguf_warnings[2048];

static void keep_gguf_warning(void *user, enum log_level level, const char *message)
{
    (void)user;
    if (level == LOG_WARN) snprintf(gguf_warnings, sizeof gguf_warnings, "%s", message);
}

/* Settings of the architecture that are not read are named, those that are read or do nothing are not. */
static void gguf_keys_are_named(void **state)
{
    struct fixture *f = *state;
    struct ctx_hooks saved = f->c->hooks;
    const struct tiny_key causal = {.key = ".attention.causal", .flag = true, .number = 1};
    f->c->hooks.log = keep_gguf_warning;
    gguf_warnings[0] = '\0';
    read_gguf_with(f, FAMILY_LLAMA, causal, (struct tiny_key){.key = ".tensor_data_layout", .text = "x"});
    assert_ok(f->c);
    read_gguf_with(f, FAMILY_GRANITE, (struct tiny_key){.key = ".logit_scale", .real = true, .number = 2},
                   (struct tiny_key){.key = "general.foo", .number = 2});
    assert_ok(f->c);
    assert_string_equal(gguf_warnings, "");
    read_gguf_with(f, FAMILY_LLAMA, (struct tiny_key){.key = ".logit_scale", .real = true, .number = 2},
                   (struct tiny_key){.key = ".attention.clamp_kqv", .real = true, .number = 2});
    assert_ok(f->c);
    assert_non_null(strstr(gguf_warnings, "llama.logit_scale, llama.attention.clamp_kqv"));
    f->c->hooks = saved;
}

static void norms_have_an_epsilon(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    struct model_config config;
    t.no_eps = true;
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    struct gguf *g = gguf_open(f->c, fixture_path(f, "m.gguf"));
    assert_ok(f->c);
    model_config_from_gguf(f->c, g, &config);
    assert_failed(f->c, E_INPUT, "llama.attention.layer_norm_rms_epsilon is missing");
    gguf_close(g);
}

static void real_gguf(void **state)
{
    struct fixture *f = *state;
    struct model_config c;
    struct gguf *g = gguf_open(f->c, SHARED_DIR "/corpora/models/stories260K.gguf");
    if (!g) fail_msg("this test needs shared/corpora/models/stories260K.gguf: %s", f->c->message);
    assert_int_equal(model_config_from_gguf(f->c, g, &c), OK);
    assert_int_equal(c.n_layers, 5);
    assert_int_equal(c.hidden, 64);
    assert_int_equal(c.n_heads, 8);
    assert_int_equal(c.n_kv_heads, 4);
    assert_int_equal(c.head_dim, 8);
    assert_int_equal(c.vocab, 512);
    assert_true(!c.tied_embeddings && c.bos == 1 && c.eos == 2);
    gguf_close(g);
}

/* With the word "corpora": the tests that need ../shared/corpora, which CI has and a clone has not. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_the_references, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(fields_are_read, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(rope_of_both_generations, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(windows, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_not_honoured_is_refused_by_name, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(ranges_of_every_integer, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(heads_must_divide, fixture_setup, fixture_teardown),
        cmocka_unit_test(frequencies_equal_the_references),
        cmocka_unit_test_setup_teardown(gguf_says_the_same, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_scaling_windows_and_tokens, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_refusals, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_keys_are_named, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(norms_have_an_epsilon, fixture_setup, fixture_teardown),
    };
    const struct CMUnitTest corpora[] = {
        cmocka_unit_test_setup_teardown(real_gguf, fixture_setup, fixture_teardown),
    };
    if (argc > 1 && strcmp(argv[1], "corpora") == 0) return cmocka_run_group_tests(corpora, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
