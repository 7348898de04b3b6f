/* config_json_rope: rotary scaling, as rope_scaling (version 4 of transformers) or as rope_parameters (version 5). "The
 * reference" is transformers: its modeling_rope_utils.py has the kinds, what each reads and the defaults, and what is read
 * here becomes frequencies in model_config_inv_freq. */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "model/config_json.h"

/* Where a rope object is: its fields, the document around it, and its name for messages. */
struct rope_object {
    struct ctx *c;
    const char *what;
    const json_t *rope, *doc;
};

/* A real member of the rope object, in [min, max]. */
static enum status rope_real(const struct rope_object *r, const char *key, bool required, double min, double max,
                             double *out)
{
    json_member_f64(r->c, r->what, r->rope, key, required, min, max, out);
    return r->c->status;
}

/* A value outside the object wins over one inside: the reference's order. */
static enum status rope_original(const struct rope_object *r, struct model_config *out)
{
    static const char key[] = "original_max_position_embeddings";
    if (json_member_i64(r->c, r->what, r->rope, key, false, 1, INT32_MAX, &out->rope_original_positions))
        json_member_i64(r->c, r->what, r->doc, key, false, 1, INT32_MAX, &out->rope_original_positions);
    return r->c->status;
}

/* ---- kinds ----------------------------------------------------------------------------------------------------------- */

/* Llama 3.1's scaling: both factors are needed, high above low. */
static enum status read_llama3(const struct rope_object *r, struct model_config *out)
{
    TRY(rope_real(r, "factor", true, 1, 1e6, &out->rope_factor));
    TRY(rope_real(r, "low_freq_factor", true, 1e-3, 1e3, &out->rope_low_freq_factor));
    TRY(rope_real(r, "high_freq_factor", true, 1e-3, 1e3, &out->rope_high_freq_factor));
    if (out->rope_high_freq_factor <= out->rope_low_freq_factor)
        return ctx_fail(r->c, E_INPUT, "%s: high_freq_factor %g must be above low_freq_factor %g", r->what,
                        out->rope_high_freq_factor, out->rope_low_freq_factor);
    return rope_original(r, out);
}

/* The one member of linear and dynamic, and the first of yarn: by how much the context is longer than the original one. */
static enum status rope_factor_of(const struct rope_object *r, struct model_config *out)
{
    return rope_real(r, "factor", true, 1, 1e6, &out->rope_factor);
}

/* Yarn: the attention factor is given, or follows from the two mscales, or from the factor alone. */
static enum status rope_yarn(const struct rope_object *r, struct model_config *out)
{
    double mscale = 0, mscale_all_dim = 0, given = 0;
    TRY(rope_factor_of(r, out));
    TRY(rope_original(r, out));
    TRY(rope_real(r, "beta_fast", false, 1e-3, 1e6, &out->rope_beta_fast));
    TRY(rope_real(r, "beta_slow", false, 1e-3, 1e6, &out->rope_beta_slow));
    TRY(rope_real(r, "mscale", false, 0, 1e3, &mscale));
    TRY(rope_real(r, "mscale_all_dim", false, 0, 1e3, &mscale_all_dim));
    TRY(rope_real(r, "attention_factor", false, 1e-3, 1e3, &given));
    if (!json_member_bool(r->c, r->what, r->rope, "truncate", false, &out->rope_whole_dims)) return r->c->status;
    if (out->rope_theta <= 1)
        return ctx_fail(r->c, E_INPUT, "%s: yarn needs a rope_theta above 1, not %g", r->what, out->rope_theta);
    double factor = out->rope_factor;
    out->rope_attention_factor = model_config_yarn_attention(factor, 1);
    if (mscale > 0 && mscale_all_dim > 0)
        out->rope_attention_factor =
            model_config_yarn_attention(factor, mscale) / model_config_yarn_attention(factor, mscale_all_dim);
    if (given > 0) out->rope_attention_factor = given;
    return OK;
}

/* A list of longrope, one factor for each rotary pair. */
static enum status rope_factors_of(const struct rope_object *r, const char *key, const struct model_config *config,
                                   float *out)
{
    const json_t *list = json_object_get(r->rope, key);
    int64_t n = config->rotary_dims / 2;
    if (!json_is_array(list) || (int64_t)json_array_size(list) != n)
        return ctx_fail(r->c, E_INPUT,
                        "%s: \"%s\" must be a list of %lld numbers, half of the %lld rotated elements of a head", r->what,
                        key, (long long)n, (long long)config->rotary_dims);
    for (int64_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        double x = json_is_number(v) ? json_number_value(v) : 0;
        if (!(x >= 1e-6 && x <= 1e6))
            return ctx_fail(r->c, E_INPUT, "%s: \"%s\"[%lld] must be a number in 1e-6..1e6", r->what, key, (long long)i);
        out[i] = (float)x;
    }
    return OK;
}

/* Longrope: two lists of factors, and an attention factor that follows from the ratio of the contexts unless it is
 * given. */
static enum status rope_longrope(const struct rope_object *r, struct model_config *out)
{
    double given = 0;
    if (out->family == FAMILY_PHI3) out->rope_original_positions = 4096; /* the reference's default */
    TRY(rope_original(r, out));
    TRY(rope_factors_of(r, "short_factor", out, out->rope_short_factors));
    TRY(rope_factors_of(r, "long_factor", out, out->rope_long_factors));
    double factor = (double)out->max_positions / (double)out->rope_original_positions;
    TRY(rope_real(r, "factor", false, 1e-3, 1e6, &factor));
    TRY(rope_real(r, "attention_factor", false, 1e-3, 1e3, &given));
    if (factor > 1 && out->rope_original_positions < 2)
        return ctx_fail(r->c, E_INPUT, "%s: longrope needs an original context of at least 2 positions", r->what);
    out->rope_attention_factor = given > 0 ? given : model_config_longrope_attention(factor, out->rope_original_positions);
    return OK;
}

static const struct rope_kind {
    const char *name;
    enum rope_scaling scaling;
    enum status (*read)(const struct rope_object *r, struct model_config *out);
} kinds[] = {
    {"default", ROPE_DEFAULT, NULL},      {"linear", ROPE_LINEAR, rope_factor_of},
    {"llama3", ROPE_LLAMA3, read_llama3}, {"dynamic", ROPE_DYNAMIC, rope_factor_of},
    {"yarn", ROPE_YARN, rope_yarn},       {"longrope", ROPE_LONGROPE, rope_longrope},
};

/* ---- the object ------------------------------------------------------------------------------------------------------ */

/* Every member that some kind reads, and two that none does. */
static enum status config_json_rope_check_members(const struct rope_object *r)
{
    static const char *const known[] = {"type",
                                        "rope_type",
                                        "rope_theta",
                                        "partial_rotary_factor",
                                        "factor",
                                        "beta_fast",
                                        "beta_slow",
                                        "original_max_position_embeddings",
                                        "mscale",
                                        "truncate",
                                        "attention_factor",
                                        "low_freq_factor",
                                        "short_factor",
                                        "long_factor",
                                        "high_freq_factor",
                                        "mscale_all_dim",
                                        "llama_4_scaling_beta",
                                        "finetuned",
                                        "max_position_embeddings"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)r->rope, key, value)
    {
        bool found = config_json_is_unset(value);
        for (size_t i = 0; !found && i < sizeof known / sizeof *known; i++) found = strcmp(known[i], key) == 0;
        if (!found)
            return ctx_fail(r->c, E_UNSUPPORTED, "%s: \"%.80s\" is set, which no kind of scaling here has", r->what, key);
    }
    return OK;
}

/* Phi-3's class calls longrope by two more names, "su" and "yarn", and has no others. */
static enum status rope_kind_of(const struct rope_object *r, const struct model_config *config,
                                const struct rope_kind **kind)
{
    const char *type = "default";
    if (!json_member_string(r->c, r->what, r->rope, "type", false, &type) ||
        !json_member_string(r->c, r->what, r->rope, "rope_type", false, &type))
        return r->c->status;
    bool phi3 = config->family == FAMILY_PHI3;
    if (phi3 && (strcmp(type, "su") == 0 || strcmp(type, "yarn") == 0)) type = "longrope";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bool has = !phi3 || kinds[i].scaling == ROPE_DEFAULT || kinds[i].scaling == ROPE_LONGROPE;
        if (!has || strcmp(kinds[i].name, type) != 0) continue;
        *kind = &kinds[i];
        return OK;
    }
    return ctx_fail(r->c, E_UNSUPPORTED, "%s: rope scaling type \"%.80s\" is not supported (%s are)", r->what, type,
                    phi3 ? "default and longrope" : "default, linear, llama3, dynamic, yarn and longrope");
}

/* partial_rotary_factor: which share of a head is rotated. */
static enum status read_partial(const struct rope_object *r, const json_t *holder, struct model_config *out)
{
    double partial = (double)out->rotary_dims / (double)out->head_dim;
    if (!json_member_f64(r->c, r->what, holder, "partial_rotary_factor", false, 0, 1, &partial)) return r->c->status;
    if (partial != 1 && !config_json_rules_of(out->family)->partial_rotary)
        return ctx_fail(r->c, E_UNSUPPORTED, "%s: \"partial_rotary_factor\" is %g; in %s only 1 is supported", r->what,
                        partial, out->architecture);
    out->rotary_dims = (int64_t)((double)out->head_dim * partial);
    if (out->rotary_dims < 2 || out->rotary_dims % 2 != 0)
        return ctx_fail(r->c, E_INPUT, "%s: \"partial_rotary_factor\" %g of heads of %lld is %lld elements; it must be even",
                        r->what, partial, (long long)out->head_dim, (long long)out->rotary_dims);
    return OK;
}

/* A rope object: its kind and that kind's members. Members that only other kinds read are ignored, as the reference does;
 * members that none reads were refused. */
static enum status rope_read_object(const struct rope_object *r, struct model_config *out)
{
    const struct rope_kind *kind = NULL;
    TRY(config_json_rope_check_members(r));
    TRY(rope_real(r, "rope_theta", false, 1, 1e15, &out->rope_theta));
    TRY(read_partial(r, r->rope, out));
    TRY(rope_kind_of(r, out, &kind));
    out->rope_scaling = kind->scaling;
    out->rope_original_positions = out->max_positions;
    if (kind->read) TRY(kind->read(r, out));
    if (out->family != FAMILY_MINISTRAL3) return OK;
    TRY(rope_original(r, out));
    return rope_real(r, "llama_4_scaling_beta", true, 0, 1e3, &out->rope_position_beta);
}

/* rope_scaling wins over rope_parameters when it is set, and a theta or partial_rotary_factor inside either wins over the
 * one outside: the reference's order. */
enum status config_json_read_rope(struct ctx *c, const char *what, const json_t *doc, struct model_config *out)
{
    const char *key = config_json_is_unset(json_object_get(doc, "rope_scaling")) ? "rope_parameters" : "rope_scaling";
    const json_t *rope = json_object_get(doc, key);
    struct rope_object r = {c, what, rope, doc};
    TRY(read_partial(&r, doc, out));
    if (config_json_is_unset(rope) && out->family == FAMILY_MINISTRAL3)
        return ctx_fail(c, E_INPUT, "%s: \"rope_parameters\" is missing", what);
    if (config_json_is_unset(rope)) return OK;
    if (!json_is_object(rope)) return ctx_fail(c, E_INPUT, "%s: \"%s\" must be an object or null", what, key);
    struct buf path;
    buf_init(&path, c, CTX_MESSAGE_BYTES);
    buf_printf(&path, "%s: %s", what, key);
    r.what = buf_str(&path);
    if (buf_ok(&path)) rope_read_object(&r, out);
    buf_release(&path);
    return c->status;
}
