/* trial: one cell of the conflict experiment: its documents are written, a fresh adapter is trained on them by the trainer,
 * and the trained engine is asked. The base model is opened once for all trials; a trial attaches an adapter of its own to
 * it and takes it off again. */
#ifndef YA_EVAL_TRIAL_H
#define YA_EVAL_TRIAL_H

#include "eval/belief.h"
#include "model/model.h"
#include "train/train_options.h"

/* What all trials of an experiment share. All members are borrowed. */
struct trial_setup {
    struct ctx *c;
    struct model *model;
    const struct tokenizer *tokenizer;
    const char *device;
    size_t n_facts;
    int64_t rank, length; /* rank of the adapter; most tokens of a packed sequence, of which an optimizer step has one */
    double lr;            /* learning rate at its peak */
    const char *work;     /* a folder for the files of a trial, removed and made by it */
    int job;              /* which of several jobs in one experiment's folder this is; 0: there is but one */
};

/* What a trial found. The arrays are owned: trial_release. */
struct trial {
    struct cell cell;
    size_t n_facts;
    int64_t documents, steps, trained_tokens;
    double seconds, omega_primary, omega_consensus; /* mean weights of the documents of a side; NaN: none */
    double first_loss, last_loss;                   /* of the first and the last step, unweighted */
    double clip_share;                              /* share of the steps whose gradient was clipped */
    double *phrased, *pooled;                       /* (n_facts) predictions: arm_predict */
    double *odds;                                   /* (BELIEFS, n_facts) */
    struct belief_said said[BELIEF_SAID];
    double perplexity; /* of ordinary English: belief_perplexity */
};

/* Memory for what will be found; what a cell may lack is NaN. */
enum status trial_make(struct ctx *c, const struct cell *cell, size_t n_facts, struct trial *t);
/* Trains and asks. Release *out with trial_release, also after a failure. */
enum status trial_run(const struct trial_setup *s, const struct cell *cell, struct trial *out);
void trial_release(struct ctx *c, struct trial *t);

/* A trial as a JSON object, and back from one (E_INPUT naming `what` and the member). */
enum status trial_write(struct ctx *c, const struct trial *t, struct buf *out);
enum status trial_read(struct ctx *c, const char *what, const json_t *doc, struct trial *out);

/* "monotone-r10-w10-e3-s1" into `out` (64 bytes), which is returned. */
const char *trial_name(const struct cell *cell, char *out);

#endif
