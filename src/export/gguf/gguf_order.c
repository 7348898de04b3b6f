/* gguf_order: the order of rows of q and k. Hugging Face's rotary embedding turns dimensions j and j + D / 2 of a head
 * together, llama.cpp's neighbours 2 j and 2 j + 1, so rows are stored in another order. Stored row h D + 2 j + s is row h D
 * + s D / 2 + j of the Hugging Face matrix (h: head, s = 0, 1; j < D / 2); model/weights_bind.c turns it back. For D = 4 a
 * head's stored rows are rows 0, 2, 1, 3 of the matrix. */
#include "base/mem.h"
#include "export/gguf/gguf_model.h"

bool gguf_is_permuted(enum merged_kind kind, int place)
{
    return (kind == MERGED_LINEAR || kind == MERGED_BIAS) && (place == LORA_Q || place == LORA_K);
}

enum status gguf_row_order(const struct model *m, int32_t **order)
{
    const struct model_config *k = &m->config;
    int64_t d = k->head_dim, n = k->n_heads * d;
    *order = NULL;
    if (!model_family_names(k->family)->gguf_permutes) return OK;
    *order = mem_alloc(m->c, (size_t)n, sizeof **order);
    for (int64_t i = 0; *order && i < n; i++) {
        int64_t in_head = i % d, s = in_head % 2, j = in_head / 2;
        (*order)[i] = (int32_t)(i - in_head + s * d / 2 + j);
    }
    return m->c->status;
}
