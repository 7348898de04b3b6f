/* batch: micro-batches that come from no data set, for measurements and plans. */
#include "model/batch.h"

#include "base/mem.h"

struct batch *batch_repeat_new(struct ctx *c, int64_t documents, int64_t length, const int32_t *text, size_t n_text)
{
    int64_t n = documents * length;
    struct batch *b = mem_alloc(c, 1, sizeof *b);
    int32_t *indices = mem_alloc(c, (size_t)(3 * n + documents + 1), sizeof *indices);
    float *weights = mem_alloc(c, (size_t)n, sizeof *weights);
    if (!b || !indices || !weights) {
        mem_free(c, weights);
        mem_free(c, indices);
        mem_free(c, b);
        return NULL;
    }
    int32_t *tokens = indices, *positions = indices + n, *targets = indices + 2 * n, *cu = indices + 3 * n;
    for (int64_t i = 0; i < n; i++) {
        bool last = i % length == length - 1;
        tokens[i] = text[(size_t)i % n_text];
        targets[i] = last ? 0 : text[(size_t)(i + 1) % n_text];
        positions[i] = (int32_t)(i % length);
        weights[i] = last ? 0.0f : 1.0f;
    }
    for (int64_t i = 0; i <= documents; i++) cu[i] = (int32_t)(i * length);
    *b = (struct batch){.n = n, .tokens = tokens, .positions = positions, .n_seg = (int)documents, .cu = cu};
    b->targets = targets;
    b->weights = weights;
    return b;
}

/* The four arrays of i32 lie in one allocation, which begins with the tokens. */
void batch_repeat_free(struct ctx *c, struct batch *b)
{
    if (!b) return;
    mem_free(c, (void *)(uintptr_t)b->weights);
    mem_free(c, (void *)(uintptr_t)b->tokens);
    mem_free(c, b);
}
