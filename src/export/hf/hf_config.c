/* hf_config: makes config.json from the fields of a model, for bases that have none (GGUF). It is written in the form of
 * transformers 4 (rope_theta, rope_scaling, torch_dtype), which version 5 reads as well.
 *
 * GGUF says some things with tensors that config.json says with fields, and those have to be found again. Llama 3's scaling
 * of rotary frequencies is the case that is hard: a GGUF file carries the finished factors, one for each pair of dimensions,
 * while config.json wants "factor", "low_freq_factor", "high_freq_factor" and "original_max_position_embeddings". The
 * frequencies depend on the last three only by the ratios original / low and original / high. So with the limits 1 and 4,
 * which every published model has, the factor is read off the longest wave, and the original context is found by trying the
 * powers of two from 16 to 1,048,576 until all frequencies agree. When none agrees the model is refused: a config.json that
 * is nearly right would load and give wrong text. */
#include "export/hf/hf_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config_json.h"

/* The shortest decimal that is the same float: 1e-05 and not 9.999999747378752e-06. */
static double shortest(double v)
{
    char text[40];
    for (int digits = 1; digits < 10; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if ((float)strtod(text, NULL) == (float)v) return strtod(text, NULL);
    }
    return v;
}

/* Whether the scaling in `trial` gives the model's own frequencies, each within a relative 1e-5. */
static bool frequencies_match(const struct model *m, const struct model_config *trial)
{
    float wanted[MODEL_MAX_PAIRS];
    const float *is = m->rope_frequencies;
    model_config_inv_freq(trial, false, wanted);
    for (int64_t j = 0; j < trial->rotary_dims / 2; j++)
        if (fabsf(wanted[j] - is[j]) > 1e-5f * is[j]) return false;
    return true;
}

/* Sets the scaling of *config that gives the model's frequencies. */
static bool find_scaling(const struct model *m, struct model_config *config)
{
    float plain[MODEL_MAX_PAIRS];
    const float *is = m->rope_frequencies;
    *config = m->config;
    if (m->config.rope_scaling != ROPE_FACTORS) return true;
    config->rope_scaling = ROPE_DEFAULT;
    if (frequencies_match(m, config)) return true;
    model_config_inv_freq(config, false, plain);
    int64_t last = config->rotary_dims / 2 - 1; /* the longest wave is stretched by the whole factor */
    config->rope_scaling = ROPE_LLAMA3;
    config->rope_factor = shortest(round(1e4 * (double)plain[last] / (double)is[last]) / 1e4);
    config->rope_low_freq_factor = 1;
    config->rope_high_freq_factor = 4;
    for (int bits = 4; bits <= 20; bits++) {
        config->rope_original_positions = (int64_t)1 << bits;
        if (frequencies_match(m, config)) return true;
    }
    return false;
}

/* A JSON array of floats, each as its shortest decimal. */
static json_t *list_of(const float *values, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) json_array_append_new(list, json_real(shortest((double)values[i])));
    return list;
}

/* The context before scaling, a member of several kinds of scaling. */
static void set_original(const struct model_config *config, json_t *rope)
{
    json_object_set_new(rope, "original_max_position_embeddings", json_integer(config->rope_original_positions));
}

static void set_llama3(const struct model_config *config, json_t *rope)
{
    json_object_set_new(rope, "low_freq_factor", json_real(config->rope_low_freq_factor));
    json_object_set_new(rope, "high_freq_factor", json_real(config->rope_high_freq_factor));
    set_original(config, rope);
}

static void set_yarn(const struct model_config *config, json_t *rope)
{
    json_object_set_new(rope, "beta_fast", json_real(shortest(config->rope_beta_fast)));
    json_object_set_new(rope, "beta_slow", json_real(shortest(config->rope_beta_slow)));
    set_original(config, rope);
}

/* Phi-3's class of version 4 takes an object of these three members only and the original context beside it; the factor of
 * cos and sin goes in only where it is not what follows from the contexts. */
static void set_longrope(const struct model_config *config, json_t *rope, json_t *doc)
{
    double follows = model_config_longrope_attention((double)config->max_positions / (double)config->rope_original_positions,
                                                     config->rope_original_positions);
    json_object_set_new(rope, "short_factor", list_of(config->rope_short_factors, config->rotary_dims / 2));
    json_object_set_new(rope, "long_factor", list_of(config->rope_long_factors, config->rotary_dims / 2));
    set_original(config, doc);
    if (fabs(follows - config->rope_attention_factor) > 1e-6 * follows)
        json_object_set_new(rope, "attention_factor", json_real(shortest(config->rope_attention_factor)));
}

/* The member "rope_scaling", null where positions are not scaled. */
static void set_scaling(const struct model_config *config, json_t *doc)
{
    static const char *const names[] = {[ROPE_LINEAR] = "linear",
                                        [ROPE_LLAMA3] = "llama3",
                                        [ROPE_DYNAMIC] = "dynamic",
                                        [ROPE_YARN] = "yarn",
                                        [ROPE_LONGROPE] = "longrope"};
    if (config->rope_scaling == ROPE_DEFAULT) {
        json_object_set_new(doc, "rope_scaling", json_null());
        return;
    }
    json_t *rope = json_object();
    json_object_set_new(rope, "rope_type", json_string(names[config->rope_scaling]));
    if (config->rope_scaling == ROPE_LONGROPE) /* the name of the member in version 4's check of Phi-3 */
        json_object_set_new(rope, "type", json_string(names[config->rope_scaling]));
    else
        json_object_set_new(rope, "factor", json_real(shortest(config->rope_factor)));
    if (config->rope_scaling == ROPE_LLAMA3) set_llama3(config, rope);
    if (config->rope_scaling == ROPE_YARN) set_yarn(config, rope);
    if (config->rope_scaling == ROPE_LONGROPE) set_longrope(config, rope, doc);
    json_object_set_new(doc, "rope_scaling", rope);
}

/* Integers by the table that the reader of config.json uses too, so that none can be forgotten on one side. */
static void set_sizes(const struct model_config *config, json_t *doc)
{
    for (size_t i = 0; i < model_config_n_integers; i++) {
        const int64_t *v = (const void *)((const char *)config + model_config_integers[i].offset);
        json_object_set_new(doc, model_config_integers[i].json, json_integer(*v));
    }
    json_object_set_new(doc, "rms_norm_eps", json_real(shortest(config->rms_eps)));
    json_object_set_new(doc, "rope_theta", json_real(shortest(config->rope_theta)));
}

/* A token id, or null for one that the model does not have. */
static json_t *token_or_null(int32_t id)
{
    return id < 0 ? json_null() : json_integer(id);
}

/* A "llama" GGUF with a window is a Mistral: the other architecture of that name. */
static enum model_family family_of(const struct model_config *config)
{
    return config->family == FAMILY_LLAMA && config->sliding_window ? FAMILY_MISTRAL : config->family;
}

/* Biases as the architecture's fields can say them. */
static bool biases_fit(const struct model_config *config)
{
    const struct config_json_rules *rules = config_json_rules_of(family_of(config));
    if (config->mlp_bias && !rules->mlp_bias) return false;
    if (rules->always_qkv_bias) return config->qkv_bias && !config->o_bias;
    return rules->attention_bias ? config->qkv_bias == config->o_bias : !config->qkv_bias && !config->o_bias;
}

/* Windows of some layers have to be listed, and the architecture must read the list. */
static bool windows_fit(const struct model_config *config)
{
    enum config_window rule = config_json_rules_of(family_of(config))->window;
    if (rule != WINDOW_ALL) return config->sliding_window == 0 || rule != WINDOW_NONE;
    for (int64_t i = 0; config->sliding_window && i < config->n_layers; i++)
        if (!(config->layer_flags[i] & LAYER_WINDOW)) return false;
    return true;
}

/* Sliding windows as the architecture writes them: for all layers, or by layer in "layer_types". */
static void set_windows(const struct model_config *config, json_t *doc)
{
    enum config_window rule = config_json_rules_of(family_of(config))->window;
    bool asks = rule == WINDOW_FROM_LAYER || rule == WINDOW_NO_ROPE, any = config->sliding_window > 0;
    if (rule == WINDOW_NONE) return;
    if (rule == WINDOW_ALL || any)
        json_object_set_new(doc, "sliding_window", any ? json_integer(config->sliding_window) : json_null());
    if (asks) json_object_set_new(doc, "use_sliding_window", json_boolean(any));
    if (rule == WINDOW_ALL || !any) return;
    json_t *types = json_array();
    for (int64_t i = 0; i < config->n_layers; i++)
        json_array_append_new(types,
                              json_string(config->layer_flags[i] & LAYER_WINDOW ? "sliding_attention" : "full_attention"));
    json_object_set_new(doc, "layer_types", types);
}

/* What only some architectures have: layers without positions, factors, partial rotation. */
static void set_special(const struct model_config *config, json_t *doc)
{
    const struct config_json_rules *rules = config_json_rules_of(family_of(config));
    if (rules->no_rope_layers) {
        json_t *list = json_array();
        for (int64_t i = 0; i < config->n_layers; i++)
            json_array_append_new(list, json_integer(!(config->layer_flags[i] & LAYER_NO_ROPE)));
        json_object_set_new(doc, "no_rope_layers", list);
    }
    if (rules->multipliers) {
        json_object_set_new(doc, "embedding_multiplier", json_real(shortest(config->embedding_multiplier)));
        json_object_set_new(doc, "residual_multiplier", json_real(shortest(config->residual_multiplier)));
        json_object_set_new(doc, "attention_multiplier", json_real(shortest(config->attention_scale)));
        json_object_set_new(doc, "logits_scaling", json_real(shortest(config->logits_divisor)));
    }
    if (rules->partial_rotary)
        json_object_set_new(doc, "partial_rotary_factor", json_real((double)config->rotary_dims / (double)config->head_dim));
}

/* The names of the architecture, what it has by definition, and what its fields can switch. */
static void set_architecture(const struct model_config *config, json_t *doc)
{
    enum model_family family = family_of(config);
    const struct model_family_names *names = model_family_names(family);
    const struct config_json_rules *rules = config_json_rules_of(family);
    json_t *list = json_array();
    json_array_append_new(list, json_string(names->architecture));
    json_object_set_new(doc, "architectures", list);
    json_object_set_new(doc, "model_type", json_string(names->model_type));
    json_object_set_new(doc, "hidden_act", json_string("silu"));
    json_object_set_new(doc, "tie_word_embeddings", json_boolean(config->tied_embeddings));
    if (rules->attention_bias) json_object_set_new(doc, "attention_bias", json_boolean(config->o_bias));
    if (rules->mlp_bias) json_object_set_new(doc, "mlp_bias", json_boolean(config->mlp_bias));
    set_windows(config, doc);
    set_special(config, doc);
}

/* NULL, or what of the model its architecture's fields cannot say. */
static const char *unsayable(const struct model_config *config)
{
    bool partial = config->rotary_dims != config->head_dim;
    if (!biases_fit(config)) return "which of the linear layers have biases";
    if (!windows_fit(config)) return "which layers have a sliding window";
    if (partial && !config_json_rules_of(family_of(config))->partial_rotary) return "that heads are turned in part";
    return NULL;
}

json_t *hf_config_make(const struct model *m)
{
    struct model_config config;
    if (!find_scaling(m, &config)) {
        ctx_fail(m->c, E_UNSUPPORTED,
                 "%s: the factors of rope_freqs.weight are not those of any llama3 scaling, so config.json "
                 "cannot say them",
                 m->path);
        return NULL;
    }
    const char *what = unsayable(&config);
    if (what) {
        ctx_fail(m->c, E_UNSUPPORTED, "%s: config.json cannot say %s", m->path, what);
        return NULL;
    }
    json_t *doc = json_object();
    set_architecture(&config, doc);
    set_sizes(&config, doc);
    set_scaling(&config, doc);
    json_object_set_new(doc, "bos_token_id", token_or_null(config.bos));
    json_object_set_new(doc, "eos_token_id", token_or_null(config.eos));
    json_object_set_new(doc, "pad_token_id", json_null()); /* a class's own default may lie beyond the vocabulary */
    return doc;
}
