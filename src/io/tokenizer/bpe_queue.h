/* bpe_queue: merges a long piece in about linear time. */
#ifndef YA_IO_BPE_QUEUE_H
#define YA_IO_BPE_QUEUE_H

#include "io/tokenizer/bpe.h"

/* Merges n < 2^31 symbols (used up as working space) and appends what is left to *out. Working memory: about 14 bytes a
 * symbol. Time: O(n) table look-ups, and O(log m) whenever one of the m different merges gets its first position. */
enum status bpe_queue_run(struct ctx *c, const struct bpe *b, int32_t *symbols, size_t n, struct ids *out);

#endif
