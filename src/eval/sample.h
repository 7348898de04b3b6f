/* sample: the choice of the next token from its logits. Greedy at temperature 0; otherwise softmax of logits / temperature,
 * cut to the top_k most probable tokens and then to the smallest set that holds top_p of what is left (nucleus sampling,
 * Holtzman et al. 2020), in that order. Ties fall to the lower id, so a seed gives the same tokens everywhere. */
#ifndef YA_EVAL_SAMPLE_H
#define YA_EVAL_SAMPLE_H

#include "base/ctx.h"
#include "base/rng.h"

struct sample_params {
    double temperature; /* >= 0; 0 takes the most probable token */
    int64_t top_k;      /* 0: all */
    double top_p;       /* in (0, 1]; 1: all */
    uint64_t seed;
};

/* One candidate: its id, and its logit, later its weight. */
struct sample_candidate {
    double value;
    int32_t id;
};

struct sample {
    struct ctx *c;
    struct sample_params params;
    struct rng rng;
    int64_t n_vocab;
    struct sample_candidate *candidates; /* (n_vocab), owned */
};

/* E_INPUT when a parameter is out of range. Release what it holds with sample_release, also after a failure. */
enum status sample_init(struct sample *s, struct ctx *c, const struct sample_params *params, int64_t n_vocab);
void sample_release(struct sample *s);

/* The next id from n_vocab logits. -inf is a token that cannot come; E_NUMERIC for NaN, +inf, or when none can come. Takes
 * one random number, none when greedy. */
enum status sample_next(struct sample *s, const float *logits, int32_t *id);

#endif
