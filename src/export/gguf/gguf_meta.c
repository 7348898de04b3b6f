/* gguf_meta: the metadata of a model. The keys are those of the GGUF specification (ggml, docs/gguf.md); model/config_gguf.c
 * reads the same ones. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "export/gguf/gguf_model.h"
#include "model/weights.h"

enum { KEY_BYTES = 96, QUANTIZATION_VERSION = 2 };

static const char *arch_of(const struct model *m)
{
    return model_family_names(m->config.family)->gguf;
}

static const char *gguf_meta_key(const struct model *m, const char *name, char buf[KEY_BYTES])
{
    snprintf(buf, KEY_BYTES, "%s.%s", arch_of(m), name);
    return buf;
}

static void gguf_meta_put_u32(struct gguf_writer *w, const struct model *m, const char *name, int64_t v)
{
    char key[KEY_BYTES];
    gguf_writer_u32(w, gguf_meta_key(m, name, key), (uint32_t)v);
}

static void gguf_meta_put_f32(struct gguf_writer *w, const struct model *m, const char *name, double v)
{
    char key[KEY_BYTES];
    gguf_writer_f32(w, gguf_meta_key(m, name, key), (float)v);
}

static void gguf_meta_put_text(struct gguf_writer *w, const char *key, const char *text)
{
    gguf_writer_string(w, key, text, strlen(text));
}

/* ---- from a GGUF base ------------------------------------------------------------------------------------------------ */

/* What describes the old file and not the model. */
static bool is_of_old_file(const char *key)
{
    static const char *const names[] = {"general.file_type", "general.quantization_version", "general.alignment"};
    static const char *const starts[] = {"split.", "quantize."};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(key, names[i]) == 0) return true;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(key, starts[i], strlen(starts[i])) == 0) return true;
    return false;
}

static void copy_pairs(struct gguf_writer *w, const struct gguf *g)
{
    for (size_t i = 0; i < gguf_value_count(g); i++)
        if (!is_of_old_file(gguf_value(g, i)->key)) gguf_writer_copy(w, gguf_value(g, i));
}

/* ---- from a folder --------------------------------------------------------------------------------------------------- */

static void put_sizes(struct gguf_writer *w, const struct model *m)
{
    const struct model_config *k = &m->config;
    for (size_t i = 0; i < model_config_n_integers; i++) {
        const int64_t *v = (const void *)((const char *)k + model_config_integers[i].offset);
        if (model_config_integers[i].gguf) gguf_meta_put_u32(w, m, model_config_integers[i].gguf, *v);
    }
    for (size_t i = 0; i < model_config_n_reals; i++) {
        const double *v = (const void *)((const char *)k + model_config_reals[i].offset);
        if (model_config_reals[i].gguf) gguf_meta_put_f32(w, m, model_config_reals[i].gguf, *v);
    }
    gguf_meta_put_u32(w, m, "attention.value_length", k->head_dim);
    gguf_meta_put_u32(w, m, "rope.dimension_count", k->rotary_dims);
}

/* Llama 3's scaling is a tensor (gguf_rope_declare); dynamic scaling changes nothing within the context. */
static void put_scaling(struct gguf_writer *w, const struct model *m)
{
    const struct model_config *k = &m->config;
    char key[KEY_BYTES];
    bool linear = k->rope_scaling == ROPE_LINEAR, yarn = k->rope_scaling == ROPE_YARN;
    if (k->rope_scaling == ROPE_LONGROPE) {
        gguf_meta_put_u32(w, m, "rope.scaling.original_context_length", k->rope_original_positions);
        gguf_meta_put_f32(w, m, "rope.scaling.attn_factor", k->rope_attention_factor);
    }
    if (!linear && !yarn) return;
    gguf_meta_put_text(w, gguf_meta_key(m, "rope.scaling.type", key), linear ? "linear" : "yarn");
    gguf_meta_put_f32(w, m, "rope.scaling.factor", k->rope_factor);
    if (linear) return;
    gguf_meta_put_u32(w, m, "rope.scaling.original_context_length", k->rope_original_positions);
    gguf_meta_put_f32(w, m, "rope.scaling.yarn_beta_fast", k->rope_beta_fast);
    gguf_meta_put_f32(w, m, "rope.scaling.yarn_beta_slow", k->rope_beta_slow);
}

static void put_windows(struct gguf_writer *w, const struct model *m)
{
    bool flags[MODEL_MAX_LAYERS], all = true;
    char key[KEY_BYTES];
    if (m->config.sliding_window == 0) return;
    for (int64_t i = 0; i < m->config.n_layers; i++) all &= flags[i] = m->config.layer_flags[i] & LAYER_WINDOW;
    bool every = m->config.family == FAMILY_LLAMA || m->config.family == FAMILY_MISTRAL || m->config.family == FAMILY_PHI3;
    gguf_meta_put_u32(w, m, "attention.sliding_window", m->config.sliding_window);
    if (!all || !every)
        gguf_writer_bools(w, gguf_meta_key(m, "attention.sliding_window_pattern", key), flags, (uint64_t)m->config.n_layers);
}

static void put_multipliers(struct gguf_writer *w, const struct model *m)
{
    if (m->config.family != FAMILY_GRANITE) return;
    gguf_meta_put_f32(w, m, "embedding_scale", m->config.embedding_multiplier);
    gguf_meta_put_f32(w, m, "residual_scale", m->config.residual_multiplier);
    gguf_meta_put_f32(w, m, "attention.scale", m->config.attention_scale);
    gguf_meta_put_f32(w, m, "logit_scale", m->config.logits_divisor);
}

enum status gguf_meta_write(struct gguf_writer *w, const struct model *m, const struct gguf_file_type *file,
                            const char *name)
{
    const struct gguf *base = weights_gguf(m->files);
    if (!arch_of(m))
        return ctx_fail(m->c, E_UNSUPPORTED, "%s: GGUF has no architecture for %s; safetensors has", m->path,
                        m->config.architecture);
    if (base) {
        copy_pairs(w, base);
    } else {
        gguf_meta_put_text(w, "general.architecture", arch_of(m));
        gguf_meta_put_text(w, "general.type", "model");
        gguf_meta_put_text(w, "general.name", name);
        put_sizes(w, m);
        put_scaling(w, m);
        put_windows(w, m);
        put_multipliers(w, m);
    }
    gguf_writer_u32(w, "general.file_type", file->number);
    gguf_writer_u32(w, "general.quantization_version", QUANTIZATION_VERSION);
    return m->c->status;
}

/* ---- rotary factors -------------------------------------------------------------------------------------------------- */

/* Sends one of the vectors of factors, or with w->... declares it. `values` are n numbers. */
static void rope_tensor(struct gguf_writer *w, bool declare, const char *name, const float *values, int64_t n)
{
    if (declare)
        gguf_writer_tensor(w, name, TENSOR_F32, 1, &n);
    else
        gguf_writer_write(w, values, (size_t)n * sizeof *values);
}

/* Divisors of the plain frequencies, as rope_freqs.weight holds them. */
static void divisors_of(const struct model *m, float *out)
{
    struct model_config plain = m->config;
    plain.rope_scaling = ROPE_DEFAULT;
    model_config_inv_freq(&plain, false, out);
    for (int64_t i = 0; i < plain.rotary_dims / 2; i++) out[i] /= m->rope_frequencies[i];
}

static void rope_tensors(struct gguf_writer *w, const struct model *m, bool declare)
{
    const struct model_config *k = &m->config;
    int64_t n = k->rotary_dims / 2;
    float divisors[MODEL_MAX_PAIRS];
    if (k->rope_scaling == ROPE_LONGROPE) {
        rope_tensor(w, declare, "rope_factors_long.weight", k->rope_long_factors, n);
        rope_tensor(w, declare, "rope_factors_short.weight", k->rope_short_factors, n);
    } else if (k->rope_scaling == ROPE_LLAMA3 || k->rope_scaling == ROPE_FACTORS) {
        const struct gguf *base = weights_gguf(m->files);
        const struct tensor_view *stored = base ? gguf_find(base, "rope_freqs.weight") : NULL;
        if (stored && stored->type == TENSOR_F32 && stored->bytes == (size_t)n * sizeof *divisors)
            memcpy(divisors, stored->data, stored->bytes); /* the same bits */
        else
            divisors_of(m, divisors);
        rope_tensor(w, declare, "rope_freqs.weight", divisors, n);
    }
}

enum status gguf_rope_declare(struct gguf_writer *w, const struct model *m)
{
    rope_tensors(w, m, true);
    return m->c->status;
}

enum status gguf_rope_send(struct gguf_writer *w, const struct model *m)
{
    rope_tensors(w, m, false);
    return m->c->status;
}

/* ---- reading back ---------------------------------------------------------------------------------------------------- */

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fabs(a);
}

/* NULL, or what differs. Frequencies are compared as numbers, for one scaling may be said in several ways. */
static const char *difference_of(const struct model *a, const struct model *b)
{
    const struct model_config *x = &a->config, *y = &b->config;
    if (x->max_positions != y->max_positions) return "the context length";
    if (x->rotary_dims != y->rotary_dims) return "how many elements of a head are turned";
    if (x->sliding_window != y->sliding_window || memcmp(x->layer_flags, y->layer_flags, sizeof x->layer_flags) != 0)
        return "which layers have a sliding window or no positions";
    if (x->qk_norm != y->qk_norm || x->norm_after != y->norm_after) return "where its norms stand";
    if (!near(x->rms_eps, y->rms_eps)) return "the epsilon of its norms";
    if (!near(x->embedding_multiplier, y->embedding_multiplier) || !near(x->residual_multiplier, y->residual_multiplier) ||
        !near(x->attention_scale, y->attention_scale) || !near(x->logits_divisor, y->logits_divisor))
        return "its multipliers";
    if (!near(x->rope_attention_factor, y->rope_attention_factor) || x->rope_position_beta != y->rope_position_beta)
        return "the factor of its rotary embedding";
    for (int64_t i = 0; i < x->rotary_dims / 2; i++)
        if (fabsf(a->rope_frequencies[i] - b->rope_frequencies[i]) > 2e-6f * a->rope_frequencies[i])
            return "its rotary frequencies";
    return NULL;
}

enum status gguf_meta_check(const struct model *m, const char *path)
{
    struct model *written = model_open(m->c, path);
    const char *what = written ? difference_of(m, written) : NULL;
    model_free(written);
    if (!what) return m->c->status;
    return ctx_fail(m->c, E_UNSUPPORTED, "%s: GGUF cannot say %s of this model; safetensors can", m->path, what);
}
