/* config_gguf: a model's configuration from GGUF metadata. Several families share architecture "llama". What config.json
 * says with a field, GGUF says with the presence of a tensor: biases, tied embeddings, Llama 3's scaling
 * (rope_freqs.weight holds a divisor for each frequency). What neither says follows from the architecture, as in
 * llama.cpp. */
#include "model/config.h"

#include <stdio.h>
#include <string.h>

#include "io/gguf.h"
#include "model/config_gguf.h"

enum { KEY_BYTES = 96 };

/* Whether a string of the file equals a C string. */
static bool string_is(struct gguf_string s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.data, text, s.n) == 0;
}

/* "ARCHITECTURE.name": keys of a model carry the name of its architecture. Returns `buf`. */
static const char *key_of(char *buf, const struct model_config *config, const char *name)
{
    snprintf(buf, KEY_BYTES, "%s.%s", model_family_names(config->family)->gguf, name);
    return buf;
}

/* The family by general.architecture; GGUF has one name for several families that compute alike. */
static enum status read_architecture(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    struct gguf_string name;
    if (!gguf_get_string(c, g, "general.architecture", &name)) {
        if (ctx_ok(c)) ctx_fail(c, E_INPUT, "%s: general.architecture is missing", gguf_path(g));
        return c->status;
    }
    for (int i = 0; i < FAMILY_COUNT; i++) { /* of the families that share a name, the first */
        const struct model_family_names *names = model_family_names((enum model_family)i);
        if (!names->gguf || !string_is(name, names->gguf)) continue;
        out->family = (enum model_family)i;
        snprintf(out->architecture, sizeof out->architecture, "%s", names->architecture);
        return OK;
    }
    return ctx_fail(c, E_UNSUPPORTED,
                    "%s: architecture \"%.*s\" is not supported (llama, qwen2, qwen3, smollm3, granite, phi3 and olmo2 are)",
                    gguf_path(g), name.n > 80 ? 80 : (int)name.n, name.data);
}

/* One number by key: range-checked, its absence an error when required. */
static enum status config_gguf_number(struct ctx *c, const struct gguf *g, const struct model_config_field *f, bool integer,
                                      struct model_config *out)
{
    char key[KEY_BYTES];
    int64_t i = 0;
    double v = 0;
    key_of(key, out, f->gguf);
    bool there = integer ? gguf_get_i64(c, g, key, &i) : gguf_get_f64(c, g, key, &v);
    if (!ctx_ok(c)) return c->status;
    if (!there) return f->required ? ctx_fail(c, E_INPUT, "%s: metadata key %s is missing", gguf_path(g), key) : OK;
    if (integer) v = (double)i;
    if (!(v >= f->min && v <= f->max))
        return ctx_fail(c, E_INPUT, "%s: %s is %g; it must be in %.15g..%.15g", gguf_path(g), key, v, f->min, f->max);
    void *at = (char *)out + f->offset;
    if (integer)
        *(int64_t *)at = i;
    else
        *(double *)at = v;
    return OK;
}

/* config.json may leave the epsilon of norms to its class; GGUF names no class, and no number is right for all models. */
static enum status require_eps(struct ctx *c, const struct gguf *g, const struct model_config *out)
{
    char key[KEY_BYTES];
    if (gguf_get(g, key_of(key, out, "attention.layer_norm_rms_epsilon"))) return OK;
    return ctx_fail(c, E_INPUT, "%s: metadata key %s is missing: convert the model anew", gguf_path(g), key);
}

/* The integer and real fields of the table in config.c; those that the file leaves out keep their defaults. */
static enum status config_gguf_numbers(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    out->rms_eps = 1e-6;
    out->rope_theta = 10000;
    model_config_set_neutral(out);
    for (size_t i = 0; i < model_config_n_integers; i++) TRY(config_gguf_number(c, g, &model_config_integers[i], true, out));
    for (size_t i = 0; i < model_config_n_reals; i++) TRY(config_gguf_number(c, g, &model_config_reals[i], false, out));
    TRY(require_eps(c, g, out));
    const struct tensor_view *table = gguf_find(g, "token_embd.weight");
    if (out->vocab == 0 && table && table->ndim == 2 && table->shape[0] <= 1 << 24) out->vocab = table->shape[0];
    return OK;
}

/* Integer metadata that must be absent or have one value. */
static enum status require_i64(struct ctx *c, const struct gguf *g, const struct model_config *config, const char *name,
                               int64_t wanted)
{
    char key[KEY_BYTES];
    int64_t v = wanted;
    gguf_get_i64(c, g, key_of(key, config, name), &v);
    if (ctx_ok(c) && v != wanted)
        ctx_fail(c, E_UNSUPPORTED, "%s: %s is %lld; only %lld is supported", gguf_path(g), key, (long long)v,
                 (long long)wanted);
    return c->status;
}

/* A real number under a key; absent: *out stays, or E_INPUT when it is required. */
static enum status config_gguf_real(struct ctx *c, const struct gguf *g, const char *name, bool required, double min,
                                    double max, struct model_config *out, size_t offset)
{
    const struct model_config_field f = {offset, NULL, name, required, min, max};
    return config_gguf_number(c, g, &f, false, out);
}

/* ---- rotary scaling -------------------------------------------------------------------------------------------------- */

/* The factor, under the name that files of 2023 have where the usual one is absent. */
static enum status config_gguf_factor(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    char key[KEY_BYTES];
    bool old = !gguf_get(g, key_of(key, out, "rope.scaling.factor")) && gguf_get(g, key_of(key, out, "rope.scale_linear"));
    return config_gguf_real(c, g, old ? "rope.scale_linear" : "rope.scaling.factor", true, 1, 1e6, out,
                            offsetof(struct model_config, rope_factor));
}

/* Whether a file that names no type of scaling has a factor, which llama.cpp then takes for a linear one. It writes 0 or 1
 * for none. */
static bool config_gguf_has_factor(struct ctx *c, const struct gguf *g, const struct model_config *out)
{
    char key[KEY_BYTES];
    double factor = 0;
    if (!gguf_get_f64(c, g, key_of(key, out, "rope.scaling.factor"), &factor) && ctx_ok(c))
        gguf_get_f64(c, g, key_of(key, out, "rope.scale_linear"), &factor);
    return factor != 0 && factor != 1;
}

/* The context of pre-training, which is the model's whole context where the file says nothing else. */
static enum status config_gguf_original(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    const struct model_config_field f = {offsetof(struct model_config, rope_original_positions),
                                         NULL,
                                         "rope.scaling.original_context_length",
                                         false,
                                         1,
                                         INT32_MAX};
    out->rope_original_positions = out->max_positions;
    return config_gguf_number(c, g, &f, true, out);
}

/* llama.cpp multiplies what yarn makes of the factor by rope.scaling.attn_factor, and converters have not agreed on
 * whether the file's number is the whole of it: only files without one are clear. */
static enum status config_gguf_yarn(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    char key[KEY_BYTES];
    double factor = 1, log_multiplier = 0;
    TRY(config_gguf_factor(c, g, out));
    TRY(config_gguf_original(c, g, out));
    TRY(config_gguf_real(c, g, "rope.scaling.yarn_beta_fast", false, 1e-3, 1e6, out,
                         offsetof(struct model_config, rope_beta_fast)));
    TRY(config_gguf_real(c, g, "rope.scaling.yarn_beta_slow", false, 1e-3, 1e6, out,
                         offsetof(struct model_config, rope_beta_slow)));
    gguf_get_f64(c, g, key_of(key, out, "rope.scaling.yarn_log_multiplier"), &log_multiplier);
    if (ctx_ok(c) && log_multiplier != 0)
        return ctx_fail(c, E_UNSUPPORTED, "%s: %s is %g, which is not supported", gguf_path(g), key, log_multiplier);
    gguf_get_f64(c, g, key_of(key, out, "rope.scaling.attn_factor"), &factor);
    if (ctx_ok(c) && factor != 1)
        return ctx_fail(c, E_UNSUPPORTED, "%s: %s is %g beside yarn, which programs read differently; only 1 is supported",
                        gguf_path(g), key, factor);
    out->rope_attention_factor = model_config_yarn_attention(out->rope_factor, 1);
    return c->status;
}

/* Frequency divisors in a tensor of the file. */
static enum status config_gguf_factors(struct ctx *c, const struct gguf *g, const char *name, int64_t n, float *out)
{
    const struct tensor_view *t = gguf_find(g, name);
    if (!t || t->ndim != 1 || t->shape[0] != n || t->type != TENSOR_F32)
        return ctx_fail(c, E_INPUT, "%s: tensor \"%s\" is missing or is not %lld numbers of F32", gguf_path(g), name,
                        (long long)n);
    memcpy(out, t->data, (size_t)n * sizeof *out);
    for (int64_t i = 0; i < n; i++)
        if (!(out[i] >= 1e-6f && out[i] <= 1e6f))
            return ctx_fail(c, E_INPUT, "%s: %s[%lld] is %g; it must be in 1e-6..1e6", gguf_path(g), name, (long long)i,
                            (double)out[i]);
    return OK;
}

/* The file holds both sets and the factor of cos and sin; the key rope.scaling.type may be absent. */
static enum status config_gguf_longrope(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    int64_t n = out->rotary_dims / 2;
    TRY(config_gguf_original(c, g, out));
    if (out->rope_original_positions < 2)
        return ctx_fail(c, E_INPUT, "%s: longrope needs an original context of at least 2 positions", gguf_path(g));
    TRY(config_gguf_factors(c, g, "rope_factors_short.weight", n, out->rope_short_factors));
    TRY(config_gguf_factors(c, g, "rope_factors_long.weight", n, out->rope_long_factors));
    out->rope_scaling = ROPE_LONGROPE;
    out->rope_attention_factor = model_config_longrope_attention(
        (double)out->max_positions / (double)out->rope_original_positions, out->rope_original_positions);
    return config_gguf_real(c, g, "rope.scaling.attn_factor", false, 1e-3, 1e3, out,
                            offsetof(struct model_config, rope_attention_factor));
}

/* Which rope scaling the file asks for, by rope.scaling.type and by the presence of tensors with factors. Others are
 * refused. */
static enum status read_scaling(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    char key[KEY_BYTES];
    struct gguf_string type = {"none", 4};
    if (config_gguf_has_factor(c, g, out)) type = (struct gguf_string){"linear", 6};
    gguf_get_string(c, g, key_of(key, out, "rope.scaling.type"), &type);
    if (!ctx_ok(c)) return c->status;
    bool none = string_is(type, "none"), linear = string_is(type, "linear"), yarn = string_is(type, "yarn");
    bool two_sets = gguf_find(g, "rope_factors_long.weight"), factors = gguf_find(g, "rope_freqs.weight");
    if (string_is(type, "longrope") || (two_sets && none)) return config_gguf_longrope(c, g, out);
    if (factors) out->rope_scaling = ROPE_FACTORS;
    if (none) return OK;
    if ((!linear && !yarn) || factors || two_sets)
        return ctx_fail(c, E_UNSUPPORTED, "%s: %s \"%.*s\" is not supported%s (none, linear, yarn and longrope are)",
                        gguf_path(g), key, type.n > 80 ? 80 : (int)type.n, type.data,
                        factors || two_sets ? " beside factors in tensors" : "");
    out->rope_scaling = yarn ? ROPE_YARN : ROPE_LINEAR;
    return yarn ? config_gguf_yarn(c, g, out) : config_gguf_factor(c, g, out);
}

/* rope.dimension_count: how many elements of a head are rotated. */
static enum status read_rotary_dims(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    char key[KEY_BYTES];
    gguf_get_i64(c, g, key_of(key, out, "rope.dimension_count"), &out->rotary_dims);
    if (!ctx_ok(c)) return c->status;
    int64_t n = out->rotary_dims;
    if (n < 2 || n > out->head_dim || n % 2 != 0)
        return ctx_fail(c, E_INPUT, "%s: %s is %lld; it must be even and in 2..%lld", gguf_path(g), key, (long long)n,
                        (long long)out->head_dim);
    if (n == out->head_dim || !model_family_names(out->family)->gguf_permutes) return OK;
    return ctx_fail(c, E_UNSUPPORTED, "%s: %s is %lld; in this architecture only the whole head, %lld, is supported",
                    gguf_path(g), key, (long long)n, (long long)out->head_dim);
}

/* ---- layers ---------------------------------------------------------------------------------------------------------- */

/* attention.sliding_window_pattern: a flag for each layer, or n: each n-th layer sees everything. */
static enum status config_gguf_pattern(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    char key[KEY_BYTES];
    const struct gguf_value *v = gguf_get(g, key_of(key, out, "attention.sliding_window_pattern"));
    int64_t every = 0;
    if (!v) return OK;
    bool list = v->kind == GGUF_ARRAY && v->item_kind == GGUF_BOOL && v->n >= (uint64_t)out->n_layers;
    if (!list && (!gguf_get_i64(c, g, key, &every) || every < 1)) {
        ctx_clear(c);
        return ctx_fail(c, E_INPUT, "%s: %s must be %lld flags or a number above 0", gguf_path(g), key,
                        (long long)out->n_layers);
    }
    for (int64_t i = 0; i < out->n_layers; i++) {
        bool slides = list ? ((const uint8_t *)v->data)[i] != 0 : i % every < every - 1;
        if (!slides) out->layer_flags[i] &= (uint8_t)~LAYER_WINDOW;
    }
    return OK;
}

/* In "llama" and "phi3" files the window is that of every layer, which is what the models' own classes do (llama.cpp
 * leaves it out of phi3). In others, without a pattern, which layers slide is not said. */
static enum status read_layers(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    char key[KEY_BYTES];
    struct model_config_field window = {
        offsetof(struct model_config, sliding_window), NULL, "attention.sliding_window", false, 0, INT32_MAX};
    TRY(config_gguf_number(c, g, &window, true, out));
    bool every = out->family == FAMILY_LLAMA || out->family == FAMILY_PHI3;
    if (out->sliding_window != 0 && !every && !gguf_get(g, key_of(key, out, "attention.sliding_window_pattern")))
        TRY(require_i64(c, g, out, window.gguf, 0));
    model_config_set_window(out, out->sliding_window);
    if (out->sliding_window > 0) TRY(config_gguf_pattern(c, g, out));
    for (int64_t i = 3; out->family == FAMILY_SMOLLM3 && i < out->n_layers; i += 4) out->layer_flags[i] |= LAYER_NO_ROPE;
    return OK;
}

/* Granite's four factors; other families have none. */
static enum status config_gguf_multipliers(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    if (out->family != FAMILY_GRANITE) return OK;
    TRY(config_gguf_real(c, g, "embedding_scale", false, 1e-6, 1e6, out,
                         offsetof(struct model_config, embedding_multiplier)));
    TRY(config_gguf_real(c, g, "residual_scale", false, 1e-6, 1e6, out, offsetof(struct model_config, residual_multiplier)));
    TRY(config_gguf_real(c, g, "attention.scale", false, 1e-6, 1e6, out, offsetof(struct model_config, attention_scale)));
    return config_gguf_real(c, g, "logit_scale", false, 1e-6, 1e6, out, offsetof(struct model_config, logits_divisor));
}

/* ---- tokens, tensors -------------------------------------------------------------------------------------------------- */

/* 0xffffffff and negative ids stand for "none" in files. */
static enum status config_gguf_token(struct ctx *c, const struct gguf *g, const char *key, int32_t *out)
{
    int64_t id = -1;
    gguf_get_i64(c, g, key, &id);
    *out = id < 0 || id >= UINT32_MAX ? -1 : id > INT32_MAX ? INT32_MAX : (int32_t)id;
    return c->status;
}

/* What GGUF says by the presence of tensors: biases and tied embeddings; and what follows from the family. */
static void read_presence(const struct gguf *g, struct model_config *out)
{
    out->tied_embeddings = !gguf_find(g, "output.weight");
    out->qkv_bias = out->family == FAMILY_QWEN2 || gguf_find(g, "blk.0.attn_q.bias") || gguf_find(g, "blk.0.attn_qkv.bias");
    out->o_bias = gguf_find(g, "blk.0.attn_output.bias");
    out->mlp_bias = gguf_find(g, "blk.0.ffn_up.bias");
    out->qk_norm = out->family == FAMILY_QWEN3 ? QK_NORM_HEAD : out->family == FAMILY_OLMO2 ? QK_NORM_WHOLE : QK_NORM_NONE;
    out->norm_after = out->family == FAMILY_OLMO2;
    out->fused_projections = out->family == FAMILY_PHI3;
}

/* The order matters: model_config_check fills head_dim and what else follows from other fields, which the rotary fields and
 * the layers are then read against. */
enum status model_config_from_gguf(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    memset(out, 0, sizeof *out);
    TRY(read_architecture(c, g, out));
    TRY(config_gguf_numbers(c, g, out));
    read_presence(g, out);
    TRY(config_gguf_multipliers(c, g, out));
    TRY(config_gguf_token(c, g, "tokenizer.ggml.bos_token_id", &out->bos));
    TRY(config_gguf_token(c, g, "tokenizer.ggml.eos_token_id", &out->eos));
    TRY(model_config_check(c, gguf_path(g), out));
    TRY(read_rotary_dims(c, g, out));
    TRY(read_scaling(c, g, out));
    TRY(read_layers(c, g, out));
    TRY(require_i64(c, g, out, "attention.value_length", out->head_dim));
    TRY(require_i64(c, g, out, "expert_count", 0));
    return model_config_check_gguf_keys(c, g, out);
}
