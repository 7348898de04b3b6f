/* conflict: what weighting did on conflicting claims. A claim file holds prompts for which documents of two kinds of source
 * say different things; the measure is the log-odds of the primary sources' completion against the consensus completion,
 *
 *     delta = ln p(primary | prompt) - ln p(consensus | prompt),
 *
 * summed over the tokens of each completion. Weighted maximum likelihood on documents that share a prompt predicts
 *
 *     ln(sum of omega over primary documents) - ln(sum of omega over consensus documents),
 *
 * which is ln(w_p / w_c) + ln(n_p / n_c) when each side has one weight. Reported as measured, flattering or not. */
#ifndef YA_EVAL_CONFLICT_H
#define YA_EVAL_CONFLICT_H

#include "data/objective.h"
#include "engine/engine.h"
#include "io/tokenizer/tokenizer.h"

struct conflict_source {
    double auth_weight, prov_entropy;
};

struct conflict_claim {
    char *prompt, *primary, *consensus;                          /* owned; NUL-terminated, no NUL inside */
    struct conflict_source *primary_sources, *consensus_sources; /* owned */
    size_t n_primary, n_consensus;                               /* documents that claim each, >= 1 */
};

struct conflict_set {
    struct ctx *c;
    struct conflict_claim *claims;
    size_t n;
};

/* Reads JSONL rows {"prompt", "primary", "consensus", "primary_sources": [{"auth_weight", "prov_entropy"}, ...],
 * "consensus_sources": [...]}. E_INPUT naming file and row. Owner of the result: the caller. */
struct conflict_set *conflict_open(struct ctx *c, const char *path);
void conflict_close(struct conflict_set *s); /* accepts NULL */

/* delta of every claim (n doubles, nats) under the model that the engine runs. E_INPUT when a claim does
 * not fit the model's context or a completion has no token. */
enum status conflict_measure(struct engine *e, const struct tokenizer *t, const struct conflict_set *s, double *delta);

/* The prediction of every claim (n doubles, nats) for training with objective `o`. */
void conflict_predict(const struct conflict_set *s, const struct objective *o, double *predicted);

struct conflict_summary {
    double mean, sd;   /* over claims; sd with n - 1, 0 for a single claim */
    size_t n_positive; /* claims whose value is above 0 */
};
/* The summary of n >= 1 values, one for each claim. */
struct conflict_summary conflict_summarise(const double *values, size_t n);

#endif
