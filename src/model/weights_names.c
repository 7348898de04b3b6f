/* weights_names: see weights_names.h. Names of safetensors are those of transformers' modules, names of GGUF those of its
 * specification (ggml, docs/gguf.md, "standardized tensor names"). */
#include "model/weights_names.h"

#include <stdio.h>

static const char *const gguf_linear[LORA_PLACES] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                                     "ffn_gate", "ffn_up", "ffn_down"};

static const struct weights_names hf_names = {
    .block = "model.layers",
    .linear = lora_place_path,
    .norm = {"input_layernorm", "post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm"},
    .embed = "model.embed_tokens.weight",
    .final_norm = "model.norm.weight",
    .head = "lm_head.weight",
};
static const struct weights_names gguf_names = {
    .block = "blk",
    .linear = gguf_linear,
    .norm = {"attn_norm", "ffn_norm", "attn_q_norm", "attn_k_norm"},
    .embed = "token_embd.weight",
    .final_norm = "output_norm.weight",
    .head = "output.weight",
};

const struct weights_names *weights_names_of(enum tensor_container container)
{
    return container == CONTAINER_GGUF ? &gguf_names : &hf_names;
}

const char *weights_block_name(const struct weights_names *names, int64_t layer, const char *tail, const char *part,
                               char out[WEIGHTS_NAME_BYTES])
{
    snprintf(out, WEIGHTS_NAME_BYTES, "%s.%lld.%s.%s", names->block, (long long)layer, tail, part);
    return out;
}
