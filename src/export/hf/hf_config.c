/* hf_config: config.json from the numbers of a model, for bases that have none (GGUF). Written in the form of transformers 4
 * (rope_theta, rope_scaling, torch_dtype), which version 5 reads as well.
 *
 * What GGUF says with tensors has to be said with fields again. Llama 3's rotary factors are recognised by trying the
 * contexts that such models are made with: only the ratios of the context to the two limits are in the factors, so with the
 * limits 1 and 4 of every published model one context and one factor remain to be found. */
#include "export/hf/hf_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool frequencies_match(const struct model *m, const struct model_config *trial)
{
    float wanted[512];
    const float *is = m->rope_frequencies;
    model_config_inv_freq(trial, wanted);
    for (int64_t j = 0; j < trial->head_dim / 2; j++)
        if (fabsf(wanted[j] - is[j]) > 1e-5f * is[j]) return false;
    return true;
}

/* Sets the scaling of *config that gives the model's frequencies. */
static bool find_scaling(const struct model *m, struct model_config *config)
{
    float plain[512];
    const float *is = m->rope_frequencies;
    *config = m->config;
    if (m->config.rope_scaling != ROPE_FACTORS) return true;
    config->rope_scaling = ROPE_DEFAULT;
    if (frequencies_match(m, config)) return true;
    model_config_inv_freq(config, plain);
    int64_t last = config->head_dim / 2 - 1; /* the longest wave is stretched by the whole factor */
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

static void set_scaling(const struct model_config *config, json_t *doc)
{
    json_t *rope = json_object();
    json_object_set_new(rope, "rope_type", json_string(config->rope_scaling == ROPE_LINEAR ? "linear" : "llama3"));
    json_object_set_new(rope, "factor", json_real(config->rope_factor));
    if (config->rope_scaling == ROPE_LLAMA3) {
        json_object_set_new(rope, "low_freq_factor", json_real(config->rope_low_freq_factor));
        json_object_set_new(rope, "high_freq_factor", json_real(config->rope_high_freq_factor));
        json_object_set_new(rope, "original_max_position_embeddings", json_integer(config->rope_original_positions));
    }
    json_object_set_new(doc, "rope_scaling", config->rope_scaling == ROPE_DEFAULT ? json_null() : json_incref(rope));
    json_decref(rope);
}

static void set_sizes(const struct model_config *config, json_t *doc)
{
    for (size_t i = 0; i < model_config_n_integers; i++) {
        const int64_t *v = (const void *)((const char *)config + model_config_integers[i].offset);
        json_object_set_new(doc, model_config_integers[i].json, json_integer(*v));
    }
    json_object_set_new(doc, "rms_norm_eps", json_real(shortest(config->rms_eps)));
    json_object_set_new(doc, "rope_theta", json_real(shortest(config->rope_theta)));
}

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
    switch (family_of(config)) {
    case FAMILY_LLAMA:
        return config->qkv_bias == config->o_bias;
    case FAMILY_MISTRAL:
        return !config->qkv_bias && !config->o_bias && !config->mlp_bias;
    case FAMILY_QWEN2:
        return config->qkv_bias && !config->o_bias && !config->mlp_bias;
    default:
        return config->qkv_bias == config->o_bias && !config->mlp_bias;
    }
}

static void set_architecture(const struct model_config *config, json_t *doc)
{
    enum model_family family = family_of(config);
    const struct model_family_names *names = model_family_names(family);
    json_t *list = json_array();
    json_array_append_new(list, json_string(names->architecture));
    json_object_set_new(doc, "architectures", list);
    json_object_set_new(doc, "model_type", json_string(names->model_type));
    json_object_set_new(doc, "hidden_act", json_string("silu"));
    json_object_set_new(doc, "tie_word_embeddings", json_boolean(config->tied_embeddings));
    if (family == FAMILY_LLAMA || family == FAMILY_QWEN3)
        json_object_set_new(doc, "attention_bias", json_boolean(config->o_bias));
    if (family == FAMILY_LLAMA) json_object_set_new(doc, "mlp_bias", json_boolean(config->mlp_bias));
    if (family == FAMILY_MISTRAL)
        json_object_set_new(doc, "sliding_window",
                            config->sliding_window ? json_integer(config->sliding_window) : json_null());
    if (family == FAMILY_QWEN2 || family == FAMILY_QWEN3) json_object_set_new(doc, "use_sliding_window", json_false());
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
    if (!biases_fit(&config)) {
        ctx_fail(m->c, E_UNSUPPORTED, "%s: config.json cannot say which of the linear layers have biases", m->path);
        return NULL;
    }
    json_t *doc = json_object();
    set_architecture(&config, doc);
    set_sizes(&config, doc);
    set_scaling(&config, doc);
    json_object_set_new(doc, "bos_token_id", token_or_null(config.bos));
    json_object_set_new(doc, "eos_token_id", token_or_null(config.eos));
    return doc;
}
