/* config_gguf: the numbers of a model from GGUF metadata. Architectures "llama" (which Mistral shares), "qwen2" and "qwen3".
 * What config.json says with a field, GGUF says with the presence of a tensor: biases, tied embeddings, Llama 3's scaling
 * (rope_freqs.weight holds a divisor for each frequency). */
#include "model/config.h"

#include <stdio.h>
#include <string.h>

#include "io/gguf.h"

enum { KEY_BYTES = 96 };

static bool string_is(struct gguf_string s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.data, text, s.n) == 0;
}

static const char *key_of(char *buf, const struct model_config *config, const char *name)
{
    snprintf(buf, KEY_BYTES, "%s.%s", model_family_names(config->family)->gguf, name);
    return buf;
}

static enum status read_architecture(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    static const enum model_family known[] = {FAMILY_LLAMA, FAMILY_QWEN2, FAMILY_QWEN3};
    struct gguf_string name;
    if (!gguf_get_string(c, g, "general.architecture", &name)) {
        if (ctx_ok(c)) ctx_fail(c, E_INPUT, "%s: general.architecture is missing", gguf_path(g));
        return c->status;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!string_is(name, model_family_names(known[i])->gguf)) continue;
        out->family = known[i];
        snprintf(out->architecture, sizeof out->architecture, "%s", model_family_names(known[i])->architecture);
        return OK;
    }
    return ctx_fail(c, E_UNSUPPORTED, "%s: architecture \"%.*s\" is not supported (llama, qwen2 and qwen3 are)",
                    gguf_path(g), name.n > 80 ? 80 : (int)name.n, name.data);
}

/* One number by key: range-checked, its absence an error when required. */
static enum status read_number(struct ctx *c, const struct gguf *g, const struct model_config_field *f, bool integer,
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

static enum status read_numbers(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    out->rms_eps = 1e-6;
    out->rope_theta = 10000;
    out->rope_factor = 1;
    for (size_t i = 0; i < model_config_n_integers; i++) TRY(read_number(c, g, &model_config_integers[i], true, out));
    for (size_t i = 0; i < model_config_n_reals; i++) TRY(read_number(c, g, &model_config_reals[i], false, out));
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

static enum status read_rope(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    char key[KEY_BYTES];
    struct gguf_string type;
    struct model_config_field factor = {
        offsetof(struct model_config, rope_factor), NULL, "rope.scaling.factor", false, 1, 1e6};
    bool there = gguf_get_string(c, g, key_of(key, out, "rope.scaling.type"), &type);
    if (!ctx_ok(c)) return c->status;
    if (gguf_find(g, "rope_freqs.weight")) out->rope_scaling = ROPE_FACTORS;
    if (!there || string_is(type, "none")) return OK;
    if (!string_is(type, "linear") || out->rope_scaling == ROPE_FACTORS)
        return ctx_fail(c, E_UNSUPPORTED, "%s: %s \"%.*s\" is not supported (none and linear are)", gguf_path(g), key,
                        type.n > 80 ? 80 : (int)type.n, type.data);
    factor.required = true;
    out->rope_scaling = ROPE_LINEAR;
    return read_number(c, g, &factor, false, out);
}

static enum status read_window(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    struct model_config_field window = {
        offsetof(struct model_config, sliding_window), NULL, "attention.sliding_window", false, 0, INT32_MAX};
    TRY(read_number(c, g, &window, true, out));
    if (out->sliding_window != 0 && out->family != FAMILY_LLAMA) /* which layers slide is not said */
        return require_i64(c, g, out, window.gguf, 0);
    return OK;
}

/* 0xffffffff and negative ids stand for "none" in files. */
static enum status read_token(struct ctx *c, const struct gguf *g, const char *key, int32_t *out)
{
    int64_t id = -1;
    gguf_get_i64(c, g, key, &id);
    *out = id < 0 || id >= UINT32_MAX ? -1 : id > INT32_MAX ? INT32_MAX : (int32_t)id;
    return c->status;
}

static void read_presence(const struct gguf *g, struct model_config *out)
{
    out->tied_embeddings = !gguf_find(g, "output.weight");
    out->qkv_bias = out->family == FAMILY_QWEN2 || gguf_find(g, "blk.0.attn_q.bias");
    out->o_bias = gguf_find(g, "blk.0.attn_output.bias");
    out->mlp_bias = gguf_find(g, "blk.0.ffn_up.bias");
    out->qk_norm = out->family == FAMILY_QWEN3;
}

enum status model_config_from_gguf(struct ctx *c, const struct gguf *g, struct model_config *out)
{
    memset(out, 0, sizeof *out);
    TRY(read_architecture(c, g, out));
    TRY(read_numbers(c, g, out));
    TRY(read_rope(c, g, out));
    TRY(read_window(c, g, out));
    read_presence(g, out);
    TRY(read_token(c, g, "tokenizer.ggml.bos_token_id", &out->bos));
    TRY(read_token(c, g, "tokenizer.ggml.eos_token_id", &out->eos));
    TRY(model_config_check(c, gguf_path(g), out));
    TRY(require_i64(c, g, out, "rope.dimension_count", out->head_dim)); /* partial rotation */
    TRY(require_i64(c, g, out, "attention.value_length", out->head_dim));
    return require_i64(c, g, out, "expert_count", 0);
}
