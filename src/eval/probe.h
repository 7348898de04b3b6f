/* probe: sums of log-probabilities of completions, many at a time. A probe is a prompt and a completion with a factor; it
 * adds factor * ln p(completion | prompt) to one of several sums. So the log-odds of two completions are two probes with
 * factors 1 and -1 for the same sum.
 *
 * Prompt and completion are tokenised apart, as training rows are, so that their boundary lies between two tokens; each
 * probe is a document of its own ([BOS] prompt completion), packed with others into one forward pass without attention
 * between documents. */
#ifndef YA_EVAL_PROBE_H
#define YA_EVAL_PROBE_H

#include "engine/engine.h"
#include "io/tokenizer/tokenizer.h"

struct probe_set; /* opaque */

/* An empty set for sums 0 .. n_sums - 1. `what` names a sum in messages ("claim": "claim 3: ..."), counted from 1; borrowed,
 * as are engine and tokenizer. Owner of the result: the caller. NULL with E_MEMORY. */
struct probe_set *probe_set_new(struct engine *e, const struct tokenizer *t, const char *what, double *sums, size_t n_sums);
void probe_set_free(struct probe_set *p); /* accepts NULL */

/* Adds a probe to sum number `sum` (from 0); runs the waiting ones when enough have come together. E_INPUT when it does not
 * fit the model's context or one of the two has no token. */
enum status probe_add(struct probe_set *p, const char *prompt, const char *completion, size_t sum, double factor);

/* The same for n ids, BOS and all, of which those from `start` on are the completion. What is longer than the model's
 * context loses ids in front. E_INPUT for an id outside the vocabulary, and when nothing is left to score. */
enum status probe_add_ids(struct probe_set *p, const int32_t *ids, size_t n, size_t start, size_t sum, double factor);

/* Runs what is waiting: afterwards all sums are complete. */
enum status probe_finish(struct probe_set *p);

#endif
