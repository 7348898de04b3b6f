/* config_json: the parts of reading config.json, each in a file of its own: config_json.c families and plain numbers,
 * config_json_rope.c rotary scaling, config_json_layers.c what differs from layer to layer, config_json_fields.c which
 * fields there may be. `what` is the file's path for messages; `out` has its family and sizes. E_INPUT, E_UNSUPPORTED. */
#ifndef YA_MODEL_CONFIG_JSON_H
#define YA_MODEL_CONFIG_JSON_H

#include "io/json.h"
#include "model/config.h"

enum { CONFIG_JSON_MAX_BYTES = 4 << 20 };

/* Which layers have the window. */
enum config_window {
    WINDOW_NONE,       /* sliding_window has no effect */
    WINDOW_ALL,        /* every layer, when sliding_window is set */
    WINDOW_TYPES,      /* those that layer_types says, without it every layer */
    WINDOW_FROM_LAYER, /* with use_sliding_window: those that layer_types says, without it those from max_window_layers on */
    WINDOW_NO_ROPE     /* with use_sliding_window: those that layer_types says, without it those without positions */
};

/* What the reference's class of a family honours beyond what all have in common, and its defaults where they differ from
 * false, 0 or, in brackets, the usual value. */
struct config_json_rules {
    bool attention_bias, always_qkv_bias, mlp_bias; /* attention_bias: q, k, v and o */
    bool multipliers;                               /* Granite's four */
    bool no_rope_layers, partial_rotary, fused_projections, norm_after, tied;
    enum qk_norm qk_norm;
    enum config_window window;
    int64_t window_default, head_dim, positions; /* sliding_window, head_dim [hidden / heads], max_position_embeddings */
    bool kv_heads_given;                         /* num_key_value_heads must be there [num_attention_heads] */
    double eps, theta;                           /* rms_norm_eps [1e-6], rope_theta [10000] */
};
/* The rules of a family; static. */
const struct config_json_rules *config_json_rules_of(enum model_family family);

/* Whether a field is without effect: absent (NULL), null, false, 0, or an empty list or object. */
bool config_json_is_unset(const json_t *v);
/* E_UNSUPPORTED when a field is set, with its value and `why`. */
enum status config_json_refuse_set(struct ctx *c, const char *what, const json_t *doc, const char *key, const char *why);

/* Refuses fields that change the computation and are not honoured, and logs the names of those that nobody here knows. */
enum status config_json_check_fields(struct ctx *c, const char *what, const json_t *doc, const struct model_config *config);
/* Fill in the rope_* fields and the layers' flags of *out. */
enum status config_json_read_rope(struct ctx *c, const char *what, const json_t *doc, struct model_config *out);
enum status config_json_read_layers(struct ctx *c, const char *what, const json_t *doc, struct model_config *out);

#endif
