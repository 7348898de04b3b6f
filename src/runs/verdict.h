/* verdict: how a run went, from what it wrote down, and what to do next. Each finding is a sentence with its numbers and,
 * for what went wrong, the option that helps. `inspect`, the end of a training and the page of a run all say the same
 * findings.
 *
 * "Start" is what stood before anything was learnt: of training the first step's loss or the mean of the first five,
 * whichever is lower; of validation the one that is made before step 1 where there is one. "End" is the mean of the last
 * tenth of the steps (1 to 20 of them), and the last validation. Of a run with steps left only what holds already is said:
 * that it diverged, overfits or is clipped, not how it ended. */
#ifndef YA_RUNS_VERDICT_H
#define YA_RUNS_VERDICT_H

#include "runs/history.h"

enum finding_kind {
    FINDING_LEARNT,     /* the loss fell */
    FINDING_EMPTY,      /* no step is done */
    FINDING_UNFINISHED, /* fewer steps than were meant, and not by early stopping */
    FINDING_EARLY,      /* stopped by --patience */
    FINDING_DIVERGED,   /* the loss ended far above its start */
    FINDING_WORSE,      /* loss or validation ended above its start */
    FINDING_FLAT,       /* less than 1 % was gained in 30 steps or more */
    FINDING_SHORT,      /* fewer than 30 steps */
    FINDING_OVERFIT,    /* the last validation is more than 2 % above the best one */
    FINDING_FALLING,    /* the last validation is the best, and by more than 1 % below the one before */
    FINDING_CLIPPED,    /* more than half of the steps were clipped */
    FINDING_UNCHECKED   /* there was no validation */
};

enum { FINDINGS_MAX = 8, FINDING_BYTES = 400 };

struct finding {
    enum finding_kind kind;
    bool bad;                 /* the run did not do what training is for */
    char text[FINDING_BYTES]; /* what was found, a sentence without a full stop */
    char next[FINDING_BYTES]; /* what to do; "" for nothing */
};

struct verdict {
    int64_t steps;
    double start_loss, end_loss;   /* NaN without a step */
    double start_valid, end_valid; /* weighted validation loss, NaN without */
    double best_valid;
    int64_t best_step; /* 0: none */
    double seconds;    /* of all steps */
    double tokens_per_s;
    size_t peak_bytes;
    struct finding findings[FINDINGS_MAX];
    size_t n;
    bool bad; /* any finding is */
};

/* What a verdict needs beside the history. */
struct verdict_options {
    int64_t total_steps; /* of the whole run; 0: not known */
    int64_t patience;    /* validations without improvement that end the run; 0: never */
    int64_t eval_every;
    double lr;          /* peak */
    bool finished;      /* the run ended by itself, also where its length was changed afterwards */
    const char *resume; /* command that continues the run, or NULL: continuing is not spoken of */
};

/* "learnt", "diverged", ... */
const char *finding_name(enum finding_kind kind);

/* Judges a run. Pure but for the text that it formats. */
struct verdict verdict_of(const struct history *h, const struct verdict_options *o);

#endif
