/* support_bigram: a second engine, so that what is built on engine.h is seen to need nothing else: no model of src/model, no
 * arrays, no backend. It is a bigram model, logits of the next token = table[token] + bias, trained by AdamW in plain C.
 *
 * It is as late as an engine may be: step and update only put work into a queue, and the work is done when somebody waits
 * for its outcome. */
#ifndef YA_TESTS_SUPPORT_BIGRAM_H
#define YA_TESTS_SUPPORT_BIGRAM_H

#include "engine/engine.h"

/* Parameters "bigram.table" (vocab, vocab) and "bigram.bias" (1, vocab) start at small pseudo-random values. The caller
 * frees it through ops->free. */
struct engine *bigram_new(struct ctx *c, int64_t vocab, int64_t context);

/* Pieces of queued work that nobody has waited for. */
size_t bigram_queued(const struct engine *e);

#endif
