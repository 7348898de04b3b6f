/* config_json: config.json of transformers, in the form of version 4 (rope_theta, rope_scaling) and of version 5
 * (rope_parameters). Defaults are those of the reference's configuration classes. Fields that change the computation and are
 * not honoured here are refused by name; fields that do not (dropout of pre-training, initializer_range, cache) are ignored.
 */
#include "model/config.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "io/json.h"

enum { CONFIG_MAX_BYTES = 4 << 20 };

/* What each family allows beyond the common part. */
static const struct family_rules {
    bool attention_bias;     /* attention_bias: true is honoured (q, k, v and o) */
    bool always_qkv_bias;    /* q, k and v have biases without a field that says so */
    bool mlp_bias, qk_norm;  /* mlp_bias: true is honoured; q and k are normalised per head */
    bool window, use_window; /* has sliding_window; only with use_sliding_window */
    int64_t default_window, default_head_dim;
} family_rules[FAMILY_COUNT] = {
    [FAMILY_LLAMA] = {.attention_bias = true, .mlp_bias = true},
    [FAMILY_MISTRAL] = {.window = true, .default_window = 4096},
    [FAMILY_QWEN2] = {.always_qkv_bias = true, .window = true, .use_window = true, .default_window = 4096},
    [FAMILY_QWEN3] = {.attention_bias = true,
                      .qk_norm = true,
                      .window = true,
                      .use_window = true,
                      .default_window = 4096,
                      .default_head_dim = 128},
};

/* Fields that must be absent, null, false, 0 or empty in every family. */
static const char *const refused_fields[] = {
    "quantization_config",     "num_local_experts",      "num_experts",
    "n_routed_experts",        "rope_interleaved",       "add_cross_attention",
    "final_logit_softcapping", "attn_logit_softcapping", "no_rope_layers",
};

/* ---- helpers ------------------------------------------------------------------------------------------------------- */

static bool is_unset(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) || (json_is_integer(v) && json_integer_value(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0) || (json_is_object(v) && json_object_size(v) == 0);
}

static enum status refuse_set(struct ctx *c, const char *what, const json_t *doc, const char *key)
{
    json_t *v = json_object_get(doc, key);
    if (is_unset(v)) return OK;
    struct buf text;
    buf_init(&text, c, CONFIG_MAX_BYTES);
    json_write(c, v, false, &text);
    ctx_fail(c, E_UNSUPPORTED, "%s: \"%s\" is %.80s, which is not supported for this architecture", what, key,
             buf_str(&text));
    buf_release(&text);
    return c->status;
}

/* ---- architecture -------------------------------------------------------------------------------------------------- */

static enum status find_family(struct ctx *c, const char *what, const char *name, bool by_type, struct model_config *out)
{
    for (int f = 0; f < FAMILY_COUNT; f++) {
        const struct model_family_names *names = model_family_names((enum model_family)f);
        if (strcmp(name, by_type ? names->model_type : names->architecture) != 0) continue;
        out->family = (enum model_family)f;
        snprintf(out->architecture, sizeof out->architecture, "%s", names->architecture);
        return OK;
    }
    return ctx_fail(c, E_UNSUPPORTED,
                    "%s: %s \"%.80s\" is not supported (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and "
                    "Qwen3ForCausalLM are)",
                    what, by_type ? "model_type" : "architecture", name);
}

static enum status read_architecture(struct ctx *c, const char *what, const json_t *doc, struct model_config *out)
{
    const json_t *first = json_array_get(json_object_get(doc, "architectures"), 0);
    if (json_is_string(first)) return find_family(c, what, json_string_value(first), false, out);
    const char *type = NULL;
    if (!json_member_string(c, what, doc, "model_type", true, &type)) return c->status;
    return find_family(c, what, type, true, out);
}

/* ---- rotary scaling ------------------------------------------------------------------------------------------------- */

static enum status read_llama3_scaling(struct ctx *c, const char *what, const json_t *rope, const json_t *doc,
                                       struct model_config *out)
{
    const char *original = "original_max_position_embeddings";
    out->rope_scaling = ROPE_LLAMA3;
    out->rope_original_positions = out->max_positions;
    if (json_member_f64(c, what, rope, "low_freq_factor", true, 1e-3, 1e3, &out->rope_low_freq_factor) &&
        json_member_f64(c, what, rope, "high_freq_factor", true, 1e-3, 1e3, &out->rope_high_freq_factor) &&
        json_member_i64(c, what, rope, original, false, 1, INT32_MAX, &out->rope_original_positions))
        json_member_i64(c, what, doc, original, false, 1, INT32_MAX, &out->rope_original_positions);
    if (ctx_ok(c) && out->rope_high_freq_factor <= out->rope_low_freq_factor)
        ctx_fail(c, E_INPUT, "%s: high_freq_factor %g must be above low_freq_factor %g", what, out->rope_high_freq_factor,
                 out->rope_low_freq_factor);
    return c->status;
}

static enum status read_rope_type(struct ctx *c, const char *what, const json_t *rope, const json_t *doc,
                                  struct model_config *out)
{
    const char *type = "default";
    if (!json_member_string(c, what, rope, "type", false, &type) ||
        !json_member_string(c, what, rope, "rope_type", false, &type))
        return c->status;
    if (strcmp(type, "default") == 0) return OK;
    bool linear = strcmp(type, "linear") == 0;
    if (!linear && strcmp(type, "llama3") != 0)
        return ctx_fail(c, E_UNSUPPORTED,
                        "%s: rope scaling type \"%.80s\" is not supported (default, linear and llama3 are)", what, type);
    if (!json_member_f64(c, what, rope, "factor", true, 1, 1e6, &out->rope_factor)) return c->status;
    if (!linear) return read_llama3_scaling(c, what, rope, doc, out);
    out->rope_scaling = ROPE_LINEAR;
    return OK;
}

/* rope_scaling wins over rope_parameters when it is set, and a theta inside either wins over the one outside: the
 * reference's order. */
static enum status read_rope(struct ctx *c, const char *path, const json_t *doc, struct model_config *out)
{
    const char *key = is_unset(json_object_get(doc, "rope_scaling")) ? "rope_parameters" : "rope_scaling";
    const json_t *rope = json_object_get(doc, key);
    if (is_unset(rope)) return OK;
    if (!json_is_object(rope)) return ctx_fail(c, E_INPUT, "%s: \"%s\" must be an object or null", path, key);
    struct buf what;
    buf_init(&what, c, CTX_MESSAGE_BYTES);
    buf_printf(&what, "%s: %s", path, key);
    double partial = 1;
    if (buf_ok(&what) && json_member_f64(c, buf_str(&what), rope, "rope_theta", false, 1, 1e15, &out->rope_theta) &&
        json_member_f64(c, buf_str(&what), rope, "partial_rotary_factor", false, 0, 1, &partial))
        read_rope_type(c, buf_str(&what), rope, doc, out);
    if (ctx_ok(c) && partial != 1)
        ctx_fail(c, E_UNSUPPORTED, "%s: \"partial_rotary_factor\" is %g; only 1 is supported", buf_str(&what), partial);
    buf_release(&what);
    return c->status;
}

/* ---- sliding window --------------------------------------------------------------------------------------------------- */

/* Counts the layers that use the window: layer_types when given, else those from max_window_layers on. */
static enum status count_window_layers(struct ctx *c, const char *path, const json_t *doc, const struct model_config *config,
                                       int64_t *n)
{
    const json_t *types = json_object_get(doc, "layer_types");
    int64_t first = 28; /* the reference's default */
    *n = 0;
    if (is_unset(types)) {
        if (!json_member_i64(c, path, doc, "max_window_layers", false, 0, INT32_MAX, &first)) return c->status;
        *n = config->n_layers > first ? config->n_layers - first : 0;
        return OK;
    }
    if (!json_is_array(types) || (int64_t)json_array_size(types) != config->n_layers)
        return ctx_fail(c, E_INPUT, "%s: \"layer_types\" must be a list of %lld names", path, (long long)config->n_layers);
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (type && strcmp(type, "full_attention") == 0) continue;
        if (!type || strcmp(type, "sliding_attention") != 0)
            return ctx_fail(c, E_UNSUPPORTED, "%s: \"layer_types\"[%zu] is \"%.80s\", which is not supported", path, i,
                            type ? type : "not a string");
        ++*n;
    }
    return OK;
}

static enum status read_window(struct ctx *c, const char *path, const json_t *doc, struct model_config *out)
{
    const struct family_rules *rules = &family_rules[out->family];
    const json_t *field = json_object_get(doc, "sliding_window");
    if (!rules->window) return refuse_set(c, path, doc, "sliding_window");
    int64_t window = json_is_null(field) ? 0 : rules->default_window, n = out->n_layers;
    bool use = !rules->use_window;
    if (!json_member_i64(c, path, doc, "sliding_window", false, 1, INT32_MAX, &window) ||
        !json_member_bool(c, path, doc, "use_sliding_window", false, &use))
        return c->status;
    if (!rules->use_window)
        TRY(refuse_set(c, path, doc, "layer_types"));
    else
        TRY(count_window_layers(c, path, doc, out, &n));
    if (!use || window == 0 || n == 0) return OK;
    if (n != out->n_layers)
        return ctx_fail(c, E_UNSUPPORTED,
                        "%s: \"use_sliding_window\" with %lld of %lld layers sliding (\"max_window_layers\", "
                        "\"layer_types\") is not supported: all layers or none",
                        path, (long long)n, (long long)out->n_layers);
    out->sliding_window = window;
    return OK;
}

/* ---- the rest ------------------------------------------------------------------------------------------------------- */

static enum status read_numbers(struct ctx *c, const char *path, const json_t *doc, struct model_config *out)
{
    out->rms_eps = 1e-6;
    out->rope_theta = 10000;
    out->rope_factor = 1;
    for (size_t i = 0; i < model_config_n_integers; i++) {
        const struct model_config_field *f = &model_config_integers[i];
        int64_t *at = (void *)((char *)out + f->offset);
        if (!json_member_i64(c, path, doc, f->json, f->required, (int64_t)f->min, (int64_t)f->max, at)) return c->status;
    }
    for (size_t i = 0; i < model_config_n_reals; i++) {
        const struct model_config_field *f = &model_config_reals[i];
        double *at = (void *)((char *)out + f->offset);
        if (!json_member_f64(c, path, doc, f->json, f->required, f->min, f->max, at)) return c->status;
    }
    if (out->head_dim == 0) out->head_dim = family_rules[out->family].default_head_dim;
    /* Other families have defaults of their own here that differ between versions of the reference. */
    if (out->family != FAMILY_LLAMA && !json_object_get(doc, "num_key_value_heads"))
        return ctx_fail(c, E_INPUT, "%s: \"num_key_value_heads\" is missing", path);
    return OK;
}

static enum status read_biases(struct ctx *c, const char *path, const json_t *doc, struct model_config *out)
{
    const struct family_rules *rules = &family_rules[out->family];
    bool attention = false;
    out->qk_norm = rules->qk_norm;
    if (!rules->attention_bias) TRY(refuse_set(c, path, doc, "attention_bias"));
    if (!rules->mlp_bias) TRY(refuse_set(c, path, doc, "mlp_bias"));
    if (!json_member_bool(c, path, doc, "attention_bias", false, &attention) ||
        !json_member_bool(c, path, doc, "mlp_bias", false, &out->mlp_bias) ||
        !json_member_bool(c, path, doc, "tie_word_embeddings", false, &out->tied_embeddings))
        return c->status;
    out->qkv_bias = attention || rules->always_qkv_bias;
    out->o_bias = attention;
    return OK;
}

static enum status read_refused(struct ctx *c, const char *path, const json_t *doc)
{
    const char *act = "silu";
    double partial = 1;
    for (size_t i = 0; i < sizeof refused_fields / sizeof *refused_fields; i++)
        TRY(refuse_set(c, path, doc, refused_fields[i]));
    if (!json_member_string(c, path, doc, "hidden_act", false, &act) ||
        !json_member_f64(c, path, doc, "partial_rotary_factor", false, 0, 1, &partial))
        return c->status;
    if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0) /* two names of one function */
        return ctx_fail(c, E_UNSUPPORTED, "%s: \"hidden_act\" is \"%.80s\"; only silu is supported", path, act);
    if (partial != 1)
        return ctx_fail(c, E_UNSUPPORTED, "%s: \"partial_rotary_factor\" is %g; only 1 is supported", path, partial);
    return OK;
}

/* An id, null, -1 or a list of ids of which the first counts. */
static enum status read_token(struct ctx *c, const char *path, const json_t *doc, const char *key, int32_t *out)
{
    const json_t *v = json_object_get(doc, key);
    *out = -1;
    if (json_is_array(v)) v = json_array_get(v, 0);
    if (!v || json_is_null(v)) return OK;
    if (!json_is_integer(v) || json_integer_value(v) < -1 || json_integer_value(v) > INT32_MAX)
        return ctx_fail(c, E_INPUT, "%s: \"%s\" must be a token id, a list of them or null", path, key);
    *out = (int32_t)json_integer_value(v);
    return OK;
}

static enum status read_document(struct ctx *c, const char *path, const json_t *doc, struct model_config *out)
{
    if (!json_is_object(doc)) return ctx_fail(c, E_INPUT, "%s: must hold a JSON object", path);
    TRY(read_architecture(c, path, doc, out));
    TRY(read_refused(c, path, doc));
    TRY(read_numbers(c, path, doc, out));
    TRY(read_biases(c, path, doc, out));
    TRY(read_rope(c, path, doc, out));
    TRY(read_window(c, path, doc, out));
    TRY(read_token(c, path, doc, "bos_token_id", &out->bos));
    TRY(read_token(c, path, doc, "eos_token_id", &out->eos));
    return model_config_check(c, path, out);
}

enum status model_config_from_json(struct ctx *c, const char *path, struct model_config *out)
{
    memset(out, 0, sizeof *out);
    json_t *doc = json_parse_file(c, path, CONFIG_MAX_BYTES);
    if (!doc) return c->status;
    enum status status = read_document(c, path, doc, out);
    json_decref(doc);
    return status;
}
