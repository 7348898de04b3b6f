/* weights_names: see weights_names.h. Names of safetensors are those of transformers' modules, names of GGUF those of its
 * specification (ggml, docs/gguf.md, "standardized tensor names"). */
#include "model/weights_names.h"

#include <stdio.h>

static const char *const gguf_linear[LORA_PLACES] = {
    "attn_q", "attn_k",   "attn_v",   "attn_output", "ffn_gate",
    "ffn_up", "ffn_down", "attn_qkv", "ffn_up"}; /* fused layers: Phi-3's ffn_up is both */

static const struct weights_names hf_names = {
    .block = "model.layers",
    .linear = lora_place_path,
    .norm = {"input_layernorm", "post_attention_layernorm", "post_attention_layernorm", "post_feedforward_layernorm",
             "self_attn.q_norm", "self_attn.k_norm"},
    .embed = "model.embed_tokens.weight",
    .final_norm = "model.norm.weight",
    .head = "lm_head.weight",
};
static const struct weights_names gguf_names = {
    .block = "blk",
    .linear = gguf_linear,
    .norm = {"attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm", "attn_q_norm", "attn_k_norm"},
    .embed = "token_embd.weight",
    .final_norm = "output_norm.weight",
    .head = "output.weight",
};

const struct weights_names *weights_names_of(enum tensor_container container)
{
    return container == CONTAINER_GGUF ? &gguf_names : &hf_names;
}

int64_t weights_norm_size(const struct model_config *m, enum block_norm norm)
{
    bool whole = m->qk_norm == QK_NORM_WHOLE, none = m->qk_norm == QK_NORM_NONE;
    switch (norm) {
    case NORM_ATTN:
    case NORM_FFN:
        return m->norm_after ? 0 : m->hidden;
    case NORM_AFTER_ATTN:
    case NORM_AFTER_FFN:
        return m->norm_after ? m->hidden : 0;
    default:
        return none ? 0 : m->head_dim * (!whole ? 1 : norm == NORM_Q ? m->n_heads : m->n_kv_heads);
    }
}

const char *weights_block_name(const struct weights_names *names, int64_t layer, const char *tail, const char *part,
                               char out[WEIGHTS_NAME_BYTES])
{
    snprintf(out, WEIGHTS_NAME_BYTES, "%s.%lld.%s.%s", names->block, (long long)layer, tail, part);
    return out;
}
