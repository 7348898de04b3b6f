/* gguf_scores: the order of merges as scores of SentencePiece's pieces. */
#ifndef YA_EXPORT_GGUF_SCORES_H
#define YA_EXPORT_GGUF_SCORES_H

#include "io/gguf.h"
#include "io/tokenizer/tokenizer.h"

/* A list of merges: get gives the two texts of merge i, valid until the next call, and false behind the last. */
struct gguf_merges {
    bool (*get)(const void *user, size_t i, struct gguf_string *left, struct gguf_string *right);
    const void *user;
};

/* scores[i] = -(1 + rank of the merge that makes piece i), for the ids below n with is_piece[i] that the merges make; other
 * elements stay. Pieces that llama.cpp would make and the merges do not are warned of. E_UNSUPPORTED for a piece of more
 * than 256 characters; E_MEMORY. */
enum status gguf_scores_of_merges(struct ctx *c, const struct tokenizer *t, const struct gguf_merges *merges,
                                  const bool *is_piece, int64_t n, float *scores);

#endif
