/* config_json: config.json of transformers, in the form of version 4 (rope_theta, rope_scaling) and of version 5
 * (rope_parameters). model_type decides, as in the reference, whatever class "architectures" names. Defaults are those of
 * the reference's configuration classes. */
#include "model/config_json.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

static const struct config_json_rules rules_of[FAMILY_COUNT] = {
    [FAMILY_LLAMA] = {.attention_bias = true, .mlp_bias = true, .positions = 2048},
    [FAMILY_MISTRAL] = {.window = WINDOW_ALL, .window_default = 4096, .positions = 131072, .kv_heads_given = true},
    [FAMILY_MINISTRAL] = {.window = WINDOW_TYPES, .window_default = 4096, .positions = 131072, .kv_heads_given = true},
    [FAMILY_MINISTRAL3] = {.window = WINDOW_ALL, .head_dim = 128, .positions = 262144, .kv_heads_given = true, .eps = 1e-5},
    [FAMILY_QWEN2] = {.always_qkv_bias = true,
                      .window = WINDOW_FROM_LAYER,
                      .window_default = 4096,
                      .positions = 32768,
                      .kv_heads_given = true},
    [FAMILY_QWEN3] = {.attention_bias = true,
                      .qk_norm = QK_NORM_HEAD,
                      .window = WINDOW_FROM_LAYER,
                      .window_default = 4096,
                      .head_dim = 128,
                      .positions = 32768,
                      .kv_heads_given = true},
    [FAMILY_SMOLLM3] = {.attention_bias = true,
                        .mlp_bias = true,
                        .no_rope_layers = true,
                        .tied = true,
                        .window = WINDOW_NO_ROPE,
                        .positions = 32768,
                        .kv_heads_given = true,
                        .theta = 2000000},
    [FAMILY_GRANITE] = {.attention_bias = true, .mlp_bias = true, .multipliers = true, .positions = 2048},
    [FAMILY_PHI3] =
        {.fused_projections = true, .partial_rotary = true, .window = WINDOW_ALL, .positions = 4096, .eps = 1e-5},
    [FAMILY_OLMO2] = {.attention_bias = true, .qk_norm = QK_NORM_WHOLE, .norm_after = true, .positions = 2048, .eps = 1e-5},
};

const struct config_json_rules *config_json_rules_of(enum model_family family)
{
    BUG_ON(NULL, (unsigned)family >= FAMILY_COUNT, "family %d", (int)family);
    return &rules_of[family];
}

/* ---- family ---------------------------------------------------------------------------------------------------------- */

/* "LlamaForCausalLM, MistralForCausalLM and ...": all that there are. */
static void append_families(struct buf *b)
{
    for (int f = 0; f < FAMILY_COUNT; f++)
        buf_printf(b, "%s%s",
                   f == 0                  ? ""
                   : f == FAMILY_COUNT - 1 ? " and "
                                           : ", ",
                   model_family_names((enum model_family)f)->architecture);
}

/* E_UNSUPPORTED with the list of families that are supported. */
static enum status refuse_family(struct ctx *c, const char *what, const char *name, bool by_type)
{
    struct buf known;
    buf_init(&known, c, CTX_MESSAGE_BYTES);
    append_families(&known);
    ctx_fail(c, E_UNSUPPORTED,
             "%s: %s \"%.80s\" is not supported (%s are). A model of another name that computes as one of them does can be "
             "opened with its \"model_type\" changed to theirs",
             what, by_type ? "model_type" : "architecture", name, buf_str(&known));
    buf_release(&known);
    return c->status;
}

/* The family with this model_type, or with this class name. */
static enum status find_family(struct ctx *c, const char *what, const char *name, bool by_type, struct model_config *out)
{
    for (int f = 0; f < FAMILY_COUNT; f++) {
        const struct model_family_names *names = model_family_names((enum model_family)f);
        if (strcmp(name, by_type ? names->model_type : names->architecture) != 0) continue;
        out->family = (enum model_family)f;
        snprintf(out->architecture, sizeof out->architecture, "%s", names->architecture);
        return OK;
    }
    return refuse_family(c, what, name, by_type);
}

/* model_type, or in files that have none the first of "architectures". */
static enum status read_family(struct ctx *c, const char *what, const json_t *doc, struct model_config *out)
{
    const json_t *first = json_array_get(json_object_get(doc, "architectures"), 0);
    const char *type = NULL;
    if (!json_member_string(c, what, doc, "model_type", !json_is_string(first), &type)) return c->status;
    return type ? find_family(c, what, type, true, out) : find_family(c, what, json_string_value(first), false, out);
}

/* ---- numbers --------------------------------------------------------------------------------------------------------- */

/* What a field is when config.json leaves it out, as the reference's configuration class has it. */
static void set_defaults(struct model_config *out)
{
    const struct config_json_rules *rules = config_json_rules_of(out->family);
    out->rms_eps = rules->eps > 0 ? rules->eps : 1e-6;
    out->rope_theta = rules->theta > 0 ? rules->theta : 10000;
    out->max_positions = rules->positions;
    out->tied_embeddings = rules->tied;
    out->qk_norm = rules->qk_norm;
    out->norm_after = rules->norm_after;
    out->fused_projections = rules->fused_projections;
    model_config_set_neutral(out);
}

/* The integer and real fields of the table in config.c, each within its range. */
static enum status config_json_numbers(struct ctx *c, const char *what, const json_t *doc, struct model_config *out)
{
    const struct config_json_rules *rules = config_json_rules_of(out->family);
    for (size_t i = 0; i < model_config_n_integers; i++) {
        const struct model_config_field *f = &model_config_integers[i];
        int64_t *at = (void *)((char *)out + f->offset);
        if (!json_member_i64(c, what, doc, f->json, f->required, (int64_t)f->min, (int64_t)f->max, at)) return c->status;
    }
    for (size_t i = 0; i < model_config_n_reals; i++) {
        const struct model_config_field *f = &model_config_reals[i];
        double *at = (void *)((char *)out + f->offset);
        if (f->json && !json_member_f64(c, what, doc, f->json, f->required, f->min, f->max, at)) return c->status;
    }
    if (out->head_dim == 0) out->head_dim = rules->head_dim;
    /* The defaults of these families differ between versions of the reference. */
    if (rules->kv_heads_given && !json_object_get(doc, "num_key_value_heads"))
        return ctx_fail(c, E_INPUT, "%s: \"num_key_value_heads\" is missing", what);
    return OK;
}

/* Which linear layers have a bias, and whether the head is the embeddings' table. */
static enum status read_biases(struct ctx *c, const char *what, const json_t *doc, struct model_config *out)
{
    bool attention = false;
    if (!json_member_bool(c, what, doc, "attention_bias", false, &attention) ||
        !json_member_bool(c, what, doc, "mlp_bias", false, &out->mlp_bias) ||
        !json_member_bool(c, what, doc, "tie_word_embeddings", false, &out->tied_embeddings))
        return c->status;
    out->qkv_bias = attention || config_json_rules_of(out->family)->always_qkv_bias;
    out->o_bias = attention;
    return OK;
}

/* Granite's four factors; other families have none. */
static enum status config_json_multipliers(struct ctx *c, const char *what, const json_t *doc, struct model_config *out)
{
    if (!config_json_rules_of(out->family)->multipliers) return OK;
    out->attention_scale = 1; /* the reference's default, and not 1 / sqrt(head_dim) */
    if (json_member_f64(c, what, doc, "embedding_multiplier", false, 1e-6, 1e6, &out->embedding_multiplier) &&
        json_member_f64(c, what, doc, "residual_multiplier", false, 1e-6, 1e6, &out->residual_multiplier) &&
        json_member_f64(c, what, doc, "attention_multiplier", false, 1e-6, 1e6, &out->attention_scale))
        json_member_f64(c, what, doc, "logits_scaling", false, 1e-6, 1e6, &out->logits_divisor);
    return c->status;
}

/* An id, null, -1 or a list of ids of which the first counts. */
static enum status config_json_token(struct ctx *c, const char *what, const json_t *doc, const char *key, int32_t *out)
{
    const json_t *v = json_object_get(doc, key);
    *out = -1;
    if (json_is_array(v)) v = json_array_get(v, 0);
    if (!v || json_is_null(v)) return OK;
    if (!json_is_integer(v) || json_integer_value(v) < -1 || json_integer_value(v) > INT32_MAX)
        return ctx_fail(c, E_INPUT, "%s: \"%s\" must be a token id, a list of them or null", what, key);
    *out = (int32_t)json_integer_value(v);
    return OK;
}

/* The whole of config.json in order: later parts read what earlier ones have set. */
static enum status config_json_read_document(struct ctx *c, const char *what, const json_t *doc, struct model_config *out)
{
    if (!json_is_object(doc)) return ctx_fail(c, E_INPUT, "%s: must hold a JSON object", what);
    TRY(read_family(c, what, doc, out));
    TRY(config_json_check_fields(c, what, doc, out));
    set_defaults(out);
    TRY(config_json_numbers(c, what, doc, out));
    TRY(read_biases(c, what, doc, out));
    TRY(config_json_multipliers(c, what, doc, out));
    TRY(config_json_token(c, what, doc, "bos_token_id", &out->bos));
    TRY(config_json_token(c, what, doc, "eos_token_id", &out->eos));
    TRY(model_config_check(c, what, out));
    TRY(config_json_read_rope(c, what, doc, out));
    return config_json_read_layers(c, what, doc, out);
}

enum status model_config_from_json(struct ctx *c, const char *path, struct model_config *out)
{
    memset(out, 0, sizeof *out);
    json_t *doc = json_parse_file(c, path, CONFIG_JSON_MAX_BYTES);
    if (!doc) return c->status;
    enum status status = config_json_read_document(c, path, doc, out);
    json_decref(doc);
    return status;
}
