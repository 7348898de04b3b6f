/* What config.json says of families, layers, factors and rotary scaling beyond Llama's own. */
#include "support_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct ctx_hooks saved;
static char logged[4096];

static void keep_log(void *user, enum log_level level, const char *message)
{
    (void)user;
    if (level == LOG_WARN) snprintf(logged + strlen(logged), sizeof logged - strlen(logged), "%s\n", message);
}

/* A config of 4 layers with more members; the warnings go to `logged`. */
static struct model_config read_with(struct fixture *f, const char *type, const char *members)
{
    char text[2048];
    struct model_config config;
    snprintf(text, sizeof text,
             "{%s \"model_type\": \"%s\", \"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 4, "
             "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 100}",
             members, type);
    fixture_write(f, "config.json", text);
    logged[0] = '\0';
    saved = f->c->hooks;
    f->c->hooks.log = keep_log;
    model_config_from_json(f->c, fixture_path(f, "config.json"), &config);
    f->c->hooks = saved;
    return config;
}

/* "WWF." for four layers: W a window, N no positions, B both, . neither. */
static void assert_layers(const struct model_config *c, const char *expected)
{
    char got[8] = "";
    for (int i = 0; i < 4; i++) got[i] = ".WNB"[c->layer_flags[i] & 3];
    assert_string_equal(got, expected);
}

static void defaults_of_families(void **state)
{
    struct fixture *f = *state;
    struct model_config c = read_with(f, "ministral", "");
    assert_int_equal(c.family, FAMILY_MINISTRAL);
    assert_true(c.sliding_window == 4096 && c.max_positions == 131072 && !c.tied_embeddings);
    assert_layers(&c, "WWWW");
    c = read_with(f, "smollm3", "");
    assert_true(c.rope_theta == 2000000 && c.tied_embeddings && c.sliding_window == 0 && c.max_positions == 32768);
    assert_layers(&c, "...N");
    c = read_with(f, "granite", "");
    assert_true(c.embedding_multiplier == 1 && c.residual_multiplier == 1 && c.logits_divisor == 1);
    assert_true(c.attention_scale == 1 && c.rms_eps == 1e-6);
    c = read_with(f, "phi3", "");
    assert_true(c.fused_projections && c.sliding_window == 0 && c.rms_eps == 1e-5 && c.max_positions == 4096);
    assert_true(c.attention_scale == 0.25 && c.rotary_dims == 16);
    c = read_with(f, "olmo2", "");
    assert_true(c.norm_after && c.qk_norm == QK_NORM_WHOLE && !c.fused_projections && c.rms_eps == 1e-5);
    c = read_with(f, "llama", "");
    assert_true(c.max_positions == 2048 && !c.norm_after && c.qk_norm == QK_NORM_NONE && c.rope_attention_factor == 1);
    assert_layers(&c, "....");
    assert_ok(f->c);
    assert_string_equal(logged, "");
}

/* model_type decides, whatever class wrote the file; what has no effect in its class is accepted. */
static void effect_decides_and_not_the_name(void **state)
{
    struct fixture *f = *state;
    static const char *const classes[] = {"FSDPQwen2ForCausalLM", "PeftModelForCausalLM", "LlamaModel",
                                          "MixtralForCausalLM"};
    for (int i = 0; i < 4; i++) {
        char text[128];
        snprintf(text, sizeof text, "\"architectures\": [\"%s\"],", classes[i]);
        struct model_config c = read_with(f, "qwen2", text);
        assert_ok(f->c);
        assert_string_equal(c.architecture, "Qwen2ForCausalLM");
    }
    struct model_config c = read_with(f, "llama", "\"sliding_window\": 16,");
    assert_true(ctx_ok(f->c) && c.sliding_window == 0);
    const char *full = "\"layer_types\": [\"full_attention\", \"full_attention\", \"full_attention\", \"full_attention\"],";
    c = read_with(f, "llama", full);
    assert_true(ctx_ok(f->c) && c.sliding_window == 0 && logged[0] == '\0');
    c = read_with(f, "mistral", full); /* transformers' Mistral slides on all layers, whatever the list says */
    assert_true(ctx_ok(f->c) && c.sliding_window == 4096);
    assert_non_null(strstr(logged, "\"layer_types\" is not read by transformers' MistralForCausalLM"));
}

static void layers(void **state)
{
    static const char mixed[] = "\"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\", "
                                "\"sliding_attention\"], \"sliding_window\": 8, \"use_sliding_window\": true,";
    struct fixture *f = *state;
    struct model_config c = read_with(f, "qwen2", mixed);
    assert_layers(&c, ".W.W");
    assert_int_equal(c.sliding_window, 8);
    c = read_with(f, "ministral", mixed);
    assert_layers(&c, ".W.W");
    c = read_with(f, "ministral", "\"sliding_window\": null,");
    assert_layers(&c, "....");
    c = read_with(f, "qwen3", "\"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 3,");
    assert_layers(&c, "...W");
    c = read_with(f, "qwen3", "\"use_sliding_window\": false, \"sliding_window\": 8, \"max_window_layers\": 3,");
    assert_layers(&c, "....");
    c = read_with(f, "smollm3", "\"no_rope_layers\": [1, 0, 1, 0], \"use_sliding_window\": true, \"sliding_window\": 8,");
    assert_layers(&c, ".B.B");
    c = read_with(f, "smollm3", "\"no_rope_layers\": [1, 0, 1, 0],");
    assert_layers(&c, ".N.N");
    c = read_with(f, "smollm3", "\"no_rope_layer_interval\": 3,");
    assert_layers(&c, "..N.");
    c = read_with(f, "phi3", "\"sliding_window\": 8,");
    assert_layers(&c, "WWWW");
    assert_ok(f->c);
}

static void refusals(void **state)
{
    static const struct {
        const char *type, *members;
        enum status status;
        const char *part;
    } cases[] = {
        {"gemma2", "", E_UNSUPPORTED, "Phi3ForCausalLM and Olmo2ForCausalLM are"},
        {"llama", "\"no_rope_layers\": [1, 1, 1, 0],", E_UNSUPPORTED, "no_rope_layers"},
        {"smollm3", "\"no_rope_layers\": [1, 1],", E_INPUT, "\"no_rope_layers\" must be a list of 4"},
        {"smollm3", "\"no_rope_layers\": [1, 1, 2, 0],", E_INPUT, "\"no_rope_layers\"[2]"},
        {"ministral", "\"layer_types\": [\"full_attention\"],", E_INPUT, "list of 4 names"},
        {"qwen2", "\"layer_types\": [\"full_attention\", \"chunked_attention\", \"x\", \"x\"],", E_UNSUPPORTED, "chunked"},
        {"llama", "\"residual_multiplier\": 0.2,", E_UNSUPPORTED, "residual_multiplier"},
        {"llama", "\"logits_scaling\": 8,", E_UNSUPPORTED, "logits_scaling"},
        {"granite", "\"logits_scaling\": 0,", E_INPUT, "logits_scaling"},
        {"phi3", "\"attention_bias\": true,", E_UNSUPPORTED, "attention_bias"},
        {"phi3", "\"partial_rotary_factor\": 0.7,", E_INPUT, "11 elements"},
        {"qwen2", "\"partial_rotary_factor\": 0.5,", E_UNSUPPORTED, "partial_rotary_factor"},
        {"llama", "\"sliding_window_pattern\": 6,", E_UNSUPPORTED, "layer_types"},
        {"llama", "\"text_config\": {\"a\": 1},", E_UNSUPPORTED, "only text is computed"},
        {"phi3", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2},", E_UNSUPPORTED, "default and longrope are"},
        {"phi3", "\"rope_scaling\": {\"type\": \"su\", \"short_factor\": [1], \"long_factor\": [1]},", E_INPUT,
         "\"short_factor\" must be a list of 8"},
        {"llama", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4, \"mrope_section\": [2]},", E_UNSUPPORTED,
         "mrope_section"},
        {"llama", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4, \"beta_fast\": \"x\"},", E_INPUT, "beta_fast"},
        {"ministral3", "", E_INPUT, "\"rope_parameters\" is missing"},
        {"ministral3", "\"rope_parameters\": {\"rope_type\": \"default\"},", E_INPUT, "llama_4_scaling_beta"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        read_with(f, cases[i].type, cases[i].members);
        assert_failed(f->c, cases[i].status, cases[i].part);
    }
}

static void unknown_fields_are_named(void **state)
{
    struct fixture *f = *state;
    read_with(f, "llama", "\"use_cache\": true, \"my_gate\": 0.5, \"unsloth_version\": \"2025.1\", \"off\": false,");
    assert_ok(f->c);
    assert_non_null(strstr(logged, "\"my_gate\": not read, here or by transformers' LlamaForCausalLM"));
    assert_null(strstr(logged, "use_cache"));
    assert_null(strstr(logged, "off"));
}

/* Values of ROPE_INIT_FUNCTIONS in transformers 5.24 at some pairs, and the factor of cos and sin. */
static void scaling_equals_the_references(void **state)
{
    static const int at[9] = {0, 1, 2, 10, 15, 20, 24, 28, 31};
    static const struct {
        const char *members;
        double attention, values[9];
    } cases[] = {
        {"\"max_position_embeddings\": 131072, \"rope_theta\": 1000000.0, \"rope_scaling\": {\"type\": \"yarn\", "
         "\"factor\": 4.0, "
         "\"original_max_position_embeddings\": 32768},",
         1.138629436111989,
         {1.0, 0.6493816375732422, 0.4216965138912201, 0.01333521492779255, 0.001026617712341249, 4.4456985051510856e-05,
          7.905693564680405e-06, 1.405853367941745e-06, 3.8498163235090033e-07}},
        {"\"max_position_embeddings\": 131072, \"rope_parameters\": {\"rope_type\": \"yarn\", \"rope_theta\": 10000.0, "
         "\"factor\": 16.0, \"beta_fast\": 20.0, \"beta_slow\": 2.0, \"truncate\": false, \"mscale\": 0.7, "
         "\"mscale_all_dim\": 1.1, \"original_max_position_embeddings\": 4096},",
         0.9150154451331364,
         {1.0, 0.7498942017555237, 0.5623413324356079, 0.05623412877321243, 0.008811453357338905, 0.00023662761668674648,
          6.25000029685907e-05, 1.9764236640185118e-05, 8.33450940262992e-06}},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char members[512];
        float got[MODEL_MAX_PAIRS];
        snprintf(members, sizeof members, "\"head_dim\": 64, %s", cases[i].members);
        struct model_config c = read_with(f, "llama", members);
        assert_ok(f->c);
        assert_true(fabs(c.rope_attention_factor / cases[i].attention - 1) < 1e-12);
        model_config_inv_freq(&c, false, got);
        for (int j = 0; j < 9; j++)
            if (fabs((double)got[at[j]] / cases[i].values[j] - 1) > 3e-7)
                fail_msg("case %zu: inv_freq[%d] is %.9g, not %.9g", i, at[j], (double)got[at[j]], cases[i].values[j]);
    }
}

/* Factors 1 + 0.05 i and 1 + 0.7 i on 24 of 32 pairs; "su" is an older name. */
static void longrope_equals_the_references(void **state)
{
    static const int at[7] = {0, 1, 2, 10, 15, 20, 23};
    static const double values[2][7] = {{1.0, 0.648849606513977, 0.42196258902549744, 0.014362899586558342,
                                         0.0018070158548653126, 0.00023207947378978133, 6.826974276918918e-05},
                                        {1.0, 0.4007600247859955, 0.19339953362941742, 0.0026930435560643673,
                                         0.0002749806735664606, 3.094393105129711e-05, 8.58362272992963e-06}};
    struct fixture *f = *state;
    char text[1536], *end = text + sizeof text, *p = text;
    p += snprintf(p, (size_t)(end - p),
                  "\"head_dim\": 64, \"max_position_embeddings\": 131072, \"original_max_position_embeddings\": 4096, "
                  "\"partial_rotary_factor\": 0.75, \"rope_scaling\": {\"type\": \"su\"");
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 24; i++)
            p += snprintf(p, (size_t)(end - p), "%s%g%s",
                          i   ? ", "
                          : k ? ", \"long_factor\": ["
                              : ", \"short_factor\": [",
                          1 + (k ? 0.7 : 0.05) * i, i == 23 ? "]" : "");
    snprintf(p, (size_t)(end - p), "},");
    struct model_config c = read_with(f, "phi3", text);
    assert_ok(f->c);
    assert_true(c.rotary_dims == 48 && fabs(c.rope_attention_factor / 1.1902380714238083 - 1) < 1e-12);
    for (int k = 0; k < 2; k++) {
        float got[MODEL_MAX_PAIRS];
        model_config_inv_freq(&c, k == 1, got);
        for (int j = 0; j < 7; j++)
            if (fabs((double)got[at[j]] / values[k][j] - 1) > 3e-7)
                fail_msg("set %d: inv_freq[%d] is %.9g, not %.9g", k, at[j], (double)got[at[j]], values[k][j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_of_families, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(effect_decides_and_not_the_name, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(layers, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(refusals, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(unknown_fields_are_named, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(scaling_equals_the_references, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(longrope_equals_the_references, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
