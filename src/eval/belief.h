/* belief: what a model says about the facts of the conflict experiment, asked in several ways. */
#ifndef YA_EVAL_BELIEF_H
#define YA_EVAL_BELIEF_H

#include "engine/engine.h"
#include "eval/arm.h"
#include "io/tokenizer/tokenizer.h"

/* Ways to ask. Each gives one log-odds a fact, in nats: positive when the model leans to the primary claim.
 *   trained, held-out   the mean over the statements that were, were not trained
 *   question            "Question: ... Answer:" with the values as answers
 *   yes-no              ln p(yes)/p(no) of the primary value minus that of the consensus value, so that a liking for "yes"
 *                       cancels
 *   reversed            ln p(name | a question that holds the primary value) minus the same for the consensus value
 *   tag-primary         trained statements behind the tag or score that primary documents of the arm have (else NaN);
 *   tag-consensus       ... that consensus documents have
 *   unseen              statements of facts of the same kinds that no document told of: a control
 *   unseen-context      ... behind two documents of both kinds of source that disagree */
enum belief {
    BELIEF_TRAINED,
    BELIEF_HELD_OUT,
    BELIEF_QUESTION,
    BELIEF_YES_NO,
    BELIEF_REVERSED,
    BELIEF_TAG_PRIMARY,
    BELIEF_TAG_CONSENSUS,
    BELIEF_UNSEEN,
    BELIEF_UNSEEN_CONTEXT,
    BELIEFS
};
extern const char *const belief_name[BELIEFS];

/* Whether a way asks about facts that were never trained: then a row is about fact n + i of the fiction. */
bool belief_is_unseen(enum belief kind);

/* What greedy generation says behind a statement: counts over the first 12 facts (a token a pass is slow). */
struct belief_said {
    int64_t primary, consensus, neither;
};
enum { BELIEF_SAID = 2 /* behind a trained statement, behind one that was not */ };

/* (BELIEFS, f->n) log-odds into `odds`, NaN for ways that the cell's arm is not asked in; f->n_unseen must be f->n. E_INPUT
 * when a probe does not fit the model. */
enum status belief_measure(struct engine *e, const struct tokenizer *t, const struct fiction *f, const struct cell *cell,
                           double *odds);

/* Lets the model continue, greedily, the first trained statement and the first held-out one of each of the first 12 facts,
 * for as many tokens as the longer of the fact's two values has (8 at most), and counts with which value the text begins: in
 * said[0] and said[1]. Errors as of tokenizer_encode and generate_run. */
enum status belief_generate(struct engine *e, const struct tokenizer *t, const struct fiction *f,
                            struct belief_said said[BELIEF_SAID]);

/* Perplexity of ordinary English that has nothing to do with the facts: whether the training did harm. The text is ours, 300
 * words about everyday things (belief_text.def). */
enum status belief_perplexity(struct engine *e, const struct tokenizer *t, double *perplexity);

#endif
