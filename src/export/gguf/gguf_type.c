/* gguf_type: which tensor gets how many bits. The choice is that of llama.cpp's quantiser (its function
 * llama_tensor_get_type), without importance matrices, so that files of one name have one size everywhere. */
#include <strings.h>

#include "export/gguf/gguf_model.h"

/* The numbers are those of enum llama_ftype in llama.cpp's llama.h. */
static const struct gguf_file_type file_types[] = {
    {"f32", 0, TENSOR_F32, false},    {"f16", 1, TENSOR_F16, false},     {"q4_0", 2, TENSOR_Q4_0, false},
    {"q4_1", 3, TENSOR_Q4_1, false},  {"q8_0", 7, TENSOR_Q8_0, false},   {"q5_0", 8, TENSOR_Q5_0, false},
    {"q5_1", 9, TENSOR_Q5_1, false},  {"q4_k_m", 15, TENSOR_Q4_K, true}, {"q5_k_m", 17, TENSOR_Q5_K, true},
    {"q6_k", 18, TENSOR_Q6_K, false}, {"bf16", 32, TENSOR_BF16, false},
};

const struct gguf_file_type *gguf_file_type_find(const char *name)
{
    size_t n = sizeof file_types / sizeof *file_types, i = 0;
    while (i < n && strcasecmp(file_types[i].name, name) != 0) i++;
    BUG_ON(NULL, i == n, "no kind of GGUF file is called %s", name);
    return &file_types[i];
}

/* Layers whose errors cost most: the first and the last eighth, and every third between. */
static bool takes_more_bits(int64_t layer, int64_t n)
{
    return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

/* 80 layers with grouped heads ("70B"): eight heads share v, so more bits for it cost little. */
static bool shares_v(const struct model_config *config)
{
    return config->n_layers == 80 && config->n_heads != config->n_kv_heads;
}

static enum tensor_type type_of_linear(const struct model_config *config, const struct gguf_file_type *file,
                                       const struct merged_tensor *t)
{
    bool more = file->mixed && takes_more_bits(t->layer, config->n_layers);
    switch (t->place) {
    case LORA_V:
        if (more) return TENSOR_Q6_K;
        return file->type == TENSOR_Q4_K && shares_v(config) ? TENSOR_Q5_K : file->type;
    case LORA_DOWN:
        return more ? TENSOR_Q6_K : file->type;
    case LORA_QKV: /* q, k and v in one matrix (Phi-3): the next larger type, as llama.cpp does it */
        if (!file->mixed) return file->type;
        return file->type == TENSOR_Q4_K ? TENSOR_Q5_K : TENSOR_Q6_K;
    default:
        return file->type;
    }
}

static bool divides(int64_t cols, enum tensor_type type)
{
    return cols % tensor_type_info(type)->block == 0;
}

/* The nearest type whose blocks the columns fill. */
static enum tensor_type type_that_fits(enum tensor_type type, int64_t cols)
{
    if (divides(cols, type)) return type;
    if (type == TENSOR_Q4_K) type = TENSOR_Q5_0;
    if (type == TENSOR_Q5_K) type = TENSOR_Q5_1;
    if (type == TENSOR_Q6_K) type = TENSOR_Q8_0;
    return divides(cols, type) ? type : TENSOR_F16;
}

enum tensor_type gguf_type_of(const struct model_config *config, const struct gguf_file_type *file,
                              const struct merged_tensor *t)
{
    bool logits = t->kind == MERGED_HEAD || (t->kind == MERGED_EMBED && config->tied_embeddings);
    enum tensor_type type = file->type;
    if (!t->weight) return TENSOR_F32;
    if (tensor_type_info(type)->block == 1) return type;
    /* As llama.cpp: errors of the table that gives the logits reach every token, so it has six bits at least. */
    if (logits && !divides(t->cols, type))
        type = TENSOR_Q8_0;
    else if (logits && type != TENSOR_Q8_0)
        type = TENSOR_Q6_K;
    else if (t->kind == MERGED_LINEAR)
        type = type_of_linear(config, file, t);
    return type_that_fits(type, t->cols);
}
