/* config_gguf_keys: the metadata of a GGUF file that config_gguf.c does not read. llama.cpp decides by a model's
 * architecture which keys it looks at, so a key that is there may be one that it passes over; what would change the result
 * and is known to is refused, everything else is named once. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "io/gguf.h"
#include "model/config.h"
#include "model/config_gguf.h"

/* What stands behind "ARCHITECTURE." in keys that config_gguf.c reads. */
static const char *const read_keys[] = {"block_count",
                                        "embedding_length",
                                        "feed_forward_length",
                                        "context_length",
                                        "vocab_size",
                                        "attention.head_count",
                                        "attention.head_count_kv",
                                        "attention.key_length",
                                        "attention.value_length",
                                        "attention.layer_norm_rms_epsilon",
                                        "attention.sliding_window",
                                        "attention.sliding_window_pattern",
                                        "attention.causal",
                                        "rope.freq_base",
                                        "rope.dimension_count",
                                        "rope.scaling.type",
                                        "rope.scaling.factor",
                                        "rope.scale_linear",
                                        "rope.scaling.original_context_length",
                                        "rope.scaling.attn_factor",
                                        "rope.scaling.yarn_beta_fast",
                                        "rope.scaling.yarn_beta_slow",
                                        "rope.scaling.yarn_log_multiplier",
                                        "expert_count"};
/* Of Granite only. */
static const char *const granite_keys[] = {"embedding_scale", "residual_scale", "attention.scale", "logit_scale"};
/* Without effect on a model that is read here: how experts that it does not have are chosen, the order of the original
 * tensors, what a scaling was made by, how embeddings of a text are pooled. */
static const char *const harmless_keys[] = {
    "expert_used_count",      "expert_feed_forward_length",   "tensor_data_layout",          "pooling_type",
    "rope.scaling.finetuned", "rope.scaling.yarn_ext_factor", "attention.layer_norm_epsilon"};

#define HOLDS(list, name) gguf_keys_hold(list, sizeof list / sizeof *list, name)

static bool gguf_keys_hold(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0) return true;
    return false;
}

/* Logs the keys of the model's architecture that are in none of the lists. */
static void name_unread(struct ctx *c, const struct gguf *g, const struct model_config *config, const char *prefix)
{
    struct buf names;
    buf_init(&names, c, CTX_MESSAGE_BYTES);
    for (size_t i = 0; i < gguf_value_count(g); i++) {
        const char *key = gguf_value(g, i)->key, *name = key + strlen(prefix);
        if (strncmp(key, prefix, strlen(prefix)) != 0 || HOLDS(read_keys, name) || HOLDS(harmless_keys, name)) continue;
        if (config->family == FAMILY_GRANITE && HOLDS(granite_keys, name)) continue;
        if (names.len < CTX_MESSAGE_BYTES / 2) buf_printf(&names, "%s%.60s", names.len > 0 ? ", " : "", key);
    }
    if (names.len > 0 && buf_ok(&names))
        ctx_log(c, LOG_WARN,
                "%s: metadata that are not read here, though their names are those of this model's settings: %s. If another "
                "program computes by them, its results differ",
                gguf_path(g), buf_str(&names));
    buf_release(&names);
}

enum status model_config_check_gguf_keys(struct ctx *c, const struct gguf *g, const struct model_config *config)
{
    char prefix[32], key[64];
    bool causal = true;
    snprintf(prefix, sizeof prefix, "%s.", model_family_names(config->family)->gguf);
    snprintf(key, sizeof key, "%sattention.causal", prefix);
    gguf_get_bool(c, g, key, &causal);
    if (!ctx_ok(c)) return c->status;
    if (!causal)
        return ctx_fail(
            c, E_UNSUPPORTED,
            "%s: %s is false: every token of such a model sees those behind it, as in an encoder, and only models "
            "that write from left to right are computed here",
            gguf_path(g), key);
    name_unread(c, g, config, prefix);
    return OK;
}
