/* config_json_fields: which fields a config.json may have. Three lists: those that are read, those that change nothing in
 * a forward pass, and those that change it and are refused when they are set. The rest is named in the log: the
 * reference's classes do not read them either, but the author of the file may have meant something by them. */
#include <string.h>

#include "base/buf.h"
#include "model/config_json.h"

bool config_json_is_unset(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) || (json_is_integer(v) && json_integer_value(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0) || (json_is_object(v) && json_object_size(v) == 0);
}

enum status config_json_refuse_set(struct ctx *c, const char *what, const json_t *doc, const char *key, const char *why)
{
    json_t *v = json_object_get(doc, key);
    if (config_json_is_unset(v)) return OK;
    struct buf text;
    buf_init(&text, c, CONFIG_JSON_MAX_BYTES);
    json_write(c, v, false, &text);
    ctx_fail(c, E_UNSUPPORTED, "%s: \"%s\" is %.80s, which is not supported: %s", what, key, buf_str(&text), why);
    buf_release(&text);
    return c->status;
}

/* ---- the lists ------------------------------------------------------------------------------------------------------- */

static const char *const read_fields[] = {
    "architectures",         "model_type",           "attention_bias",         "mlp_bias",
    "tie_word_embeddings",   "bos_token_id",         "eos_token_id",           "hidden_act",
    "hidden_activation",     "rope_scaling",         "rope_parameters",        "original_max_position_embeddings",
    "partial_rotary_factor", "sliding_window",       "use_sliding_window",     "max_window_layers",
    "layer_types",           "no_rope_layers",       "no_rope_layer_interval", "embedding_multiplier",
    "residual_multiplier",   "attention_multiplier", "logits_scaling",         "quantization",
};

/* Of the run that made the file, of other programs, of pre-training, or of generation. */
static const char *const harmless_fields[] = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_name_or_path",
    "attention_dropout",
    "attn_implementation",
    "auto_map",
    "chunk_size_feed_forward",
    "dtype",
    "embd_pdrop",
    "generation_config",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "max_length",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "pad_token_id",
    "padding_side",
    "pretraining_tp",
    "problem_type",
    "resid_pdrop",
    "return_dict",
    "task_specific_params",
    "tokenizer_class",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "use_return_dict",
};

static const struct refused_field {
    const char *name, *why;
} refused_fields[] = {
    {"num_local_experts", "mixtures of experts are not computed"},
    {"num_experts", "mixtures of experts are not computed"},
    {"n_routed_experts", "mixtures of experts are not computed"},
    {"moe_intermediate_size", "mixtures of experts are not computed"},
    {"rope_interleaved",
     "pairs of a head's neighbours are not rotated as here; convert the rows of q and k to half-split order"},
    {"add_cross_attention", "there is no second model to attend to"},
    {"is_encoder_decoder", "only decoders are computed"},
    {"final_logit_softcapping", "no family here caps logits"},
    {"attn_logit_softcapping", "no family here caps attention scores"},
    {"sliding_window_pattern", "say with \"layer_types\" which layers slide"},
    {"clip_qkv", "no family here clips q, k and v"},
    {"use_qk_norm", "norms of q and k come with the family (Qwen3, OLMo-2)"},
    {"qk_layernorm", "norms of q and k come with the family (Qwen3, OLMo-2)"},
    {"attention_chunk_size", "attention in chunks is not computed"},
    {"vision_config", "only text is computed; save the language model on its own"},
    {"text_config", "only text is computed; save the language model on its own"},
    {"audio_config", "only text is computed; save the language model on its own"},
};

/* Whether a list of names has this one. */
static bool fields_hold(const char *const *list, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], key) == 0) return true;
    return false;
}

/* Whether the table of numeric fields in config.c has this one. */
static bool is_number_field(const char *key)
{
    for (size_t i = 0; i < model_config_n_integers; i++)
        if (strcmp(model_config_integers[i].json, key) == 0) return true;
    for (size_t i = 0; i < model_config_n_reals; i++)
        if (strcmp(model_config_reals[i].json, key) == 0) return true;
    return false;
}

/* ---- fields of some families only ------------------------------------------------------------------------------------ */

/* A factor that must be 1 where the family does not have it. */
static enum status refuse_factor(struct ctx *c, const char *what, const json_t *doc, const char *key)
{
    const json_t *v = json_object_get(doc, key);
    if (json_is_number(v) && json_number_value(v) == 1) return OK;
    return config_json_refuse_set(c, what, doc, key, "this architecture does not have it");
}

/* Refuses fields that some families have and this one's class ignores: a file that sets them means something that would
 * not be computed. */
static enum status check_family_fields(struct ctx *c, const char *what, const json_t *doc, const struct model_config *config)
{
    static const char *const multipliers[] = {"embedding_multiplier", "residual_multiplier", "attention_multiplier",
                                              "logits_scaling"};
    const struct config_json_rules *rules = config_json_rules_of(config->family);
    const char *why = "this architecture does not have it";
    if (!rules->attention_bias) TRY(config_json_refuse_set(c, what, doc, "attention_bias", why));
    if (!rules->mlp_bias) TRY(config_json_refuse_set(c, what, doc, "mlp_bias", why));
    if (!rules->no_rope_layers) TRY(config_json_refuse_set(c, what, doc, "no_rope_layers", why));
    if (!rules->partial_rotary) TRY(refuse_factor(c, what, doc, "partial_rotary_factor"));
    for (size_t i = 0; !rules->multipliers && i < sizeof multipliers / sizeof *multipliers; i++)
        TRY(refuse_factor(c, what, doc, multipliers[i]));
    return OK;
}

/* silu and swish are two names of one function. */
static enum status check_activation(struct ctx *c, const char *what, const json_t *doc)
{
    static const char *const keys[] = {"hidden_act", "hidden_activation"};
    for (int i = 0; i < 2; i++) {
        const char *act = "silu";
        if (!json_member_string(c, what, doc, keys[i], false, &act)) return c->status;
        if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0)
            return ctx_fail(c, E_UNSUPPORTED, "%s: \"%s\" is \"%.80s\"; only silu is supported", what, keys[i], act);
    }
    return OK;
}

/* ---- MLX's quantised weights ----------------------------------------------------------------------------------------- */

/* "mode", "bits" and "group_size" of all matrices or of one. */
static enum status check_packing(struct ctx *c, const char *what, const json_t *how)
{
    const char *mode = "affine";
    int64_t bits = 4, group = 64;
    if (!json_member_string(c, what, how, "mode", false, &mode) ||
        !json_member_i64(c, what, how, "bits", false, 1, 32, &bits) ||
        !json_member_i64(c, what, how, "group_size", false, 1, 1 << 20, &group))
        return c->status;
    bool known = strcmp(mode, "affine") == 0 && (bits == 4 || bits == 8) && (group == 32 || group == 64 || group == 128);
    if (known) return OK;
    return ctx_fail(
        c, E_UNSUPPORTED,
        "%s: \"quantization\" has mode \"%.40s\" with %lld bits in groups of %lld; of MLX's forms \"affine\" with "
        "4 or 8 bits in groups of 32, 64 or 128 is supported",
        what, mode, (long long)bits, (long long)group);
}

/* "quantization" of mlx-lm: how all matrices are packed, and under the name of a layer how that one is, false for not at
 * all. mlx-lm writes the same once more as "quantization_config", which with any other content is another program's. */
static enum status check_quantization(struct ctx *c, const char *what, const json_t *doc)
{
    json_t *all = json_object_get(doc, "quantization"), *of_layer;
    const char *key;
    if (config_json_is_unset(all) || !json_equal(all, json_object_get(doc, "quantization_config")))
        TRY(config_json_refuse_set(
            c, what, doc, "quantization_config",
            "weights packed by another program (GPTQ, AWQ, bitsandbytes). Take the unpacked model and "
            "--base-type nf4, or a GGUF file"));
    if (config_json_is_unset(all)) return OK;
    if (!json_is_object(all)) return ctx_fail(c, E_INPUT, "%s: \"quantization\" must be an object", what);
    TRY(check_packing(c, what, all));
    json_object_foreach(all, key, of_layer) if (json_is_object(of_layer)) TRY(check_packing(c, what, of_layer));
    return OK;
}

/* Logs the fields that are in none of the lists. */
static void name_unknown(struct ctx *c, const char *what, const json_t *doc, const struct model_config *config)
{
    struct buf names;
    const char *key;
    json_t *value;
    buf_init(&names, c, CTX_MESSAGE_BYTES);
    json_object_foreach((json_t *)(uintptr_t)doc, key, value)
    {
        if (config_json_is_unset(value) || is_number_field(key)) continue;
        if (fields_hold(read_fields, sizeof read_fields / sizeof *read_fields, key)) continue;
        if (strcmp(key, "quantization_config") == 0) continue; /* checked above */
        if (fields_hold(harmless_fields, sizeof harmless_fields / sizeof *harmless_fields, key)) continue;
        if (names.len > CTX_MESSAGE_BYTES / 2) continue;
        buf_printf(&names, "%s\"%.60s\"", names.len > 0 ? ", " : "", key);
    }
    if (names.len > 0 && buf_ok(&names))
        ctx_log(c, LOG_WARN, "%s: %s: not read, here or by transformers' %s", what, buf_str(&names), config->architecture);
    buf_release(&names);
}

enum status config_json_check_fields(struct ctx *c, const char *what, const json_t *doc, const struct model_config *config)
{
    for (size_t i = 0; i < sizeof refused_fields / sizeof *refused_fields; i++)
        TRY(config_json_refuse_set(c, what, doc, refused_fields[i].name, refused_fields[i].why));
    TRY(check_quantization(c, what, doc));
    TRY(check_family_fields(c, what, doc, config));
    TRY(check_activation(c, what, doc));
    name_unknown(c, what, doc, config);
    return c->status;
}
