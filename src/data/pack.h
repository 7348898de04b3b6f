/* pack: which documents make which micro-batch. A pure function of (dataset, objective, options, epoch): nothing is stored,
 * a resumed run computes it again.
 *
 * Documents are shuffled by the counter-based generator (key: seed, epoch) and put into sequences of at most max_length
 * tokens by best fit over a bounded window of open sequences; without packing a sequence is one document. A micro-batch is
 * `batch` consecutive sequences, an optimizer step is `accumulation` micro-batches; the last step of an epoch may be short.
 * The order of sequences does not depend on batch and accumulation, so 1 x 8 and 8 x 1 hold the same tokens in the same
 * order. Documents whose weight omega * loss_weight is 0 as a float take no part. */
#ifndef YA_DATA_PACK_H
#define YA_DATA_PACK_H

#include "data/dataset.h"
#include "data/objective.h"
#include "model/batch.h"

struct pack; /* opaque */

struct pack_options {
    int64_t max_length;   /* tokens a sequence; at least the longest document's, so dataset_max_length always does */
    int64_t batch;        /* sequences a micro-batch, >= 1 */
    int64_t accumulation; /* micro-batches a step, >= 1 */
    bool packing;
    uint64_t seed;
};

/* The packs of one epoch. Borrows dataset and objective. Owner of the result: the caller (pack_free). Memory: about 24 bytes
 * a document, twice that while it is made, and one micro-batch. NULL with E_INPUT (an option out of range, a document longer
 * than max_length, nothing to train on) or E_MEMORY. */
struct pack *pack_epoch_new(struct ctx *c, const struct dataset *d, const struct objective *o,
                            const struct pack_options *options, int64_t epoch);
/* All documents in their order (no shuffle): validation. seed is not used. */
struct pack *pack_ordered_new(struct ctx *c, const struct dataset *d, const struct objective *o,
                              const struct pack_options *options);
void pack_free(struct pack *p); /* accepts NULL */

/* Counts of the epoch: its optimizer steps (>= 1), its sequences, the micro-batches of a step (1 to accumulation), and all
 * tokens of a step, trained or not. */
int64_t pack_steps(const struct pack *p);
int64_t pack_sequences(const struct pack *p);
int64_t pack_micro_batches(const struct pack *p, int64_t step);
int64_t pack_step_tokens(const struct pack *p, int64_t step);
/* N of the loss: positions with weight != 0 over all micro-batches of the step; >= 1. */
int64_t pack_step_trained_tokens(const struct pack *p, int64_t step);
/* The Omega of relative clipping: mean of omega * loss_weight over those positions, > 0. loss_weight belongs in it for the
 * same reason as omega: it scales the gradient and must not be clipped away. */
double pack_step_mean_weight(const struct pack *p, int64_t step);
/* Most tokens of a micro-batch, and which micro-batch of which step that is (the first of that length; NULL: not asked). */
int64_t pack_longest_batch(const struct pack *p, int64_t *step, int64_t *micro);

/* The same for the micro-batch that is widest when the tokens of each segment count as a multiple of PACK_SEGMENT_TOKENS: of
 * many short documents it takes more scratch in attention, which works on so many keys at a time, than the longest one. */
enum { PACK_SEGMENT_TOKENS = 32 };
int64_t pack_widest_batch(const struct pack *p, int64_t *step, int64_t *micro);

/* Fills *b with micro-batch `micro` of `step`. The arrays belong to the pack and are valid until the next call. targets are
 * shifted inside each document (targets[t] = tokens[t + 1], weight 0 at a document's last token and where t + 1 is not
 * trained); positions restart at 0 in each document; one segment a document; first_token counts the tokens of the step
 * before this micro-batch. E_IO when the dataset's file changed under the program. */
enum status pack_batch(struct pack *p, int64_t step, int64_t micro, struct batch *b);
/* (n_seg) which documents of the dataset the segments of the last pack_batch are: to name rows in messages. */
const int64_t *pack_documents(const struct pack *p);

#endif
