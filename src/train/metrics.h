/* metrics: what a run writes down while it trains. metrics.jsonl holds only what is a function of the command and its files
 * (no clock, no thread count), so two runs can be compared byte by byte; times and memory go to timing.jsonl.
 *
 * A checkpoint stores the length of metrics.jsonl at its step; resuming cuts the file back to it, so that an interrupted and
 * resumed run ends with the same bytes as an unbroken one. timing.jsonl is only appended to. */
#ifndef YA_TRAIN_METRICS_H
#define YA_TRAIN_METRICS_H

#include "base/ctx.h"
#include "train/source_loss.h"

struct metrics;

struct metrics_step {
    int64_t step, epoch;  /* both from 1 */
    double loss;          /* unweighted: mean negative log-likelihood (nats) of trained tokens */
    double weighted_loss; /* the objective: (1/N) sum of weight * nll */
    double distrust;      /* token-mean of the published term D; NaN (null) when rows have no scores */
    double total;         /* weighted_loss, plus lambda * mean(D) in additive mode */
    double lr, grad_norm; /* norm before clipping */
    double threshold;     /* of clipping; infinity is written as null */
    bool clipped;
    double clip_share; /* share of steps clipped so far */
    double omega;      /* token-mean of the step's weights */
    int64_t trained_tokens, tokens;
    const struct source_loss *sources; /* the step by source; NULL or without rows: nothing to tell apart */
};

struct metrics_eval {
    int64_t step;
    double loss, weighted_loss; /* of the validation rows */
    int64_t trained_tokens;
    bool best;
    const struct source_loss *sources; /* as in metrics_step */
};

struct metrics_timing {
    int64_t step;
    double seconds, tokens_per_s;
    size_t peak_bytes;
};

/* Opens (or makes) both files in a run folder and cuts metrics.jsonl back to keep_bytes; E_INPUT when it is shorter. */
struct metrics *metrics_open(struct ctx *c, const char *run_dir, uint64_t keep_bytes);
/* Closes without flushing more; accepts NULL. Data not yet synced may be lost, which resuming repairs. */
void metrics_close(struct metrics *m);

/* Appends one line, written at once. E_IO. Where sources are told apart, the line of a step ends with a member "sources" (of
 * a validation: "valid_sources"), a list with an object for each source that has trained tokens in it:
 *
 *   {"by": "source_type", "name": "patent", "trained_tokens": 64, "weight_share": 0.31, "loss": 2.1, "weighted_loss": 4.9}
 *
 * "by" is "source_type" or "file"; "name" is null for rows without a source_type; the row of the others has, instead of a
 * name, "others": how many it stands for. The losses are means over the source's trained tokens; the share is that of its
 * weight in the step's (or validation's), so those of all source types make 1, and so do those of all files. */
enum status metrics_add_step(struct metrics *m, const struct metrics_step *s);
enum status metrics_add_eval(struct metrics *m, const struct metrics_eval *e);
enum status metrics_add_timing(struct metrics *m, const struct metrics_timing *t);

/* fsyncs metrics.jsonl and returns its length through *bytes: what a checkpoint records. */
enum status metrics_sync(struct metrics *m, uint64_t *bytes);

#endif
