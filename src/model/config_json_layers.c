/* config_json_layers: which layers attend through a window and which do without positions. */
#include <string.h>

#include "model/config_json.h"

/* no_rope_layers holds a 1 for each layer that has positions; without it every no_rope_layer_interval-th has none. */
static enum status read_no_rope(struct ctx *c, const char *what, const json_t *doc, struct model_config *out)
{
    const json_t *list = json_object_get(doc, "no_rope_layers");
    int64_t interval = 4; /* the reference's default */
    if (!config_json_rules_of(out->family)->no_rope_layers) return OK;
    if (!json_member_i64(c, what, doc, "no_rope_layer_interval", false, 1, INT32_MAX, &interval)) return c->status;
    bool given = list && !json_is_null(list);
    if (given && (!json_is_array(list) || (int64_t)json_array_size(list) < out->n_layers))
        return ctx_fail(c, E_INPUT, "%s: \"no_rope_layers\" must be a list of %lld numbers, 1 for a layer with positions",
                        what, (long long)out->n_layers);
    for (int64_t i = 0; i < out->n_layers; i++) {
        const json_t *v = given ? json_array_get(list, (size_t)i) : NULL;
        bool rotated =
            given ? json_is_true(v) || (json_is_integer(v) && json_integer_value(v) == 1) : (i + 1) % interval != 0;
        if (given && !rotated && !json_is_false(v) && !(json_is_integer(v) && json_integer_value(v) == 0))
            return ctx_fail(c, E_INPUT, "%s: \"no_rope_layers\"[%lld] must be 0 or 1", what, (long long)i);
        if (!rotated) out->layer_flags[i] |= LAYER_NO_ROPE;
    }
    return OK;
}

/* layer_types: sets LAYER_WINDOW where it says "sliding_attention". */
static enum status layers_read_types(struct ctx *c, const char *what, const json_t *types, struct model_config *out)
{
    if (!json_is_array(types) || (int64_t)json_array_size(types) != out->n_layers)
        return ctx_fail(c, E_INPUT, "%s: \"layer_types\" must be a list of %lld names", what, (long long)out->n_layers);
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (type && strcmp(type, "full_attention") == 0) continue;
        if (!type || strcmp(type, "sliding_attention") != 0)
            return ctx_fail(c, E_UNSUPPORTED,
                            "%s: \"layer_types\"[%zu] is \"%.80s\"; only full_attention and sliding_attention are supported",
                            what, i, type ? type : "not a string");
        out->layer_flags[i] |= LAYER_WINDOW;
    }
    return OK;
}

/* Sets LAYER_WINDOW as the family does without layer_types. */
static enum status choose_layers(struct ctx *c, const char *what, const json_t *doc, struct model_config *out)
{
    enum config_window rule = config_json_rules_of(out->family)->window;
    int64_t first = 28; /* the reference's default */
    if (!json_member_i64(c, what, doc, "max_window_layers", false, 0, INT32_MAX, &first)) return c->status;
    for (int64_t i = 0; i < out->n_layers; i++) {
        bool slides = rule == WINDOW_FROM_LAYER ? i >= first : rule != WINDOW_NO_ROPE || out->layer_flags[i] & LAYER_NO_ROPE;
        if (slides) out->layer_flags[i] |= LAYER_WINDOW;
    }
    return OK;
}

/* sliding_window, 0 where it has no effect. */
static enum status read_width(struct ctx *c, const char *what, const json_t *doc, const struct model_config *config,
                              int64_t *window)
{
    const struct config_json_rules *rules = config_json_rules_of(config->family);
    bool asks = rules->window == WINDOW_FROM_LAYER || rules->window == WINDOW_NO_ROPE, use = !asks;
    *window = json_is_null(json_object_get(doc, "sliding_window")) ? 0 : rules->window_default;
    if (!json_member_i64(c, what, doc, "sliding_window", false, rules->window == WINDOW_NONE ? 0 : 1, INT32_MAX, window) ||
        !json_member_bool(c, what, doc, "use_sliding_window", false, &use))
        return c->status;
    if (rules->window == WINDOW_NONE && *window > 0)
        ctx_log(c, LOG_INFO, "%s: \"sliding_window\" has no effect in %s", what, config->architecture);
    if (rules->window == WINDOW_NONE || (asks && !use)) *window = 0;
    return OK;
}

/* Layers that the types say slide, of a family that does not read layer_types: they must not differ from what it does. */
static enum status compare_types(struct ctx *c, const char *what, const json_t *types, const struct model_config *config)
{
    struct model_config said = *config;
    model_config_set_window(&said, 0);
    TRY(layers_read_types(c, what, types, &said));
    for (int64_t i = 0; i < config->n_layers; i++)
        if (said.layer_flags[i] != config->layer_flags[i]) {
            ctx_log(c, LOG_WARN, "%s: \"layer_types\" is not read by transformers' %s, nor here: layer %lld has %s window",
                    what, config->architecture, (long long)i, config->layer_flags[i] & LAYER_WINDOW ? "the" : "no");
            return OK;
        }
    return OK;
}

/* Which layers have a window: those that layer_types names in families that read it, else those that the family's rule
 * chooses. Without a width no layer has one, and without such a layer there is no width, so that other code asks one of
 * both. */
enum status config_json_read_layers(struct ctx *c, const char *what, const json_t *doc, struct model_config *out)
{
    enum config_window rule = config_json_rules_of(out->family)->window;
    const json_t *types = json_object_get(doc, "layer_types");
    bool by_types = rule != WINDOW_NONE && rule != WINDOW_ALL, given = !config_json_is_unset(types);
    TRY(read_no_rope(c, what, doc, out));
    TRY(read_width(c, what, doc, out, &out->sliding_window));
    if (by_types && given)
        TRY(layers_read_types(c, what, types, out));
    else if (rule != WINDOW_NONE)
        TRY(choose_layers(c, what, doc, out));
    bool any = false;
    for (int64_t i = 0; i < out->n_layers; i++) {
        if (out->sliding_window == 0) out->layer_flags[i] &= (uint8_t)~LAYER_WINDOW;
        any = any || out->layer_flags[i] & LAYER_WINDOW;
    }
    if (!any) out->sliding_window = 0;
    return given && !by_types ? compare_types(c, what, types, out) : OK;
}
