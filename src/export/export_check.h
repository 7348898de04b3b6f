/* export_check: whether an export computes what was trained. */
#ifndef YA_EXPORT_EXPORT_CHECK_H
#define YA_EXPORT_EXPORT_CHECK_H

#include "export/export.h"

/* The ids of the fixed prompt and the logits of the source behind each of them. Owner: the caller (export_logits_free). */
struct export_logits {
    struct ctx *c;
    struct ids ids;
    int64_t vocab;
    float *values; /* owned: (ids.n, vocab) */
};

/* Logits of the model with whatever adapter is attached, on the prompt, with a cache for at least `capacity` tokens (0:
 * those of the prompt; longrope's frequencies depend on it). NULL with the failure in the ctx. */
struct export_logits *export_logits_new(const struct export_source *s, int64_t capacity);

/* Opens `path` (an adapter for the source's model, or a model), computes the prompt and compares. Of a model with a
 * tokenizer also whether that gives the ids of the prompt: E_NUMERIC when it does not, or when the vocabularies differ in
 * size. Does not judge the difference. */
enum status export_check_compare(const struct export_source *s, const struct export_logits *wanted, const char *path,
                                 bool is_adapter, struct export_difference *out);

/* The same for logits that were computed elsewhere, (ids.n, vocab). */
void export_check_values(const struct export_logits *wanted, const float *got, struct export_difference *out);

#endif
