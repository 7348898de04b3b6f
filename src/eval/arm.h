/* arm: what one training of the conflict experiment is fed with: the documents of both sides of every fact, in one of
 * several treatments, and what weighted maximum likelihood predicts from them.
 *
 * Of each fact and each trained phrasing there is one primary document and there are `repeat` consensus documents. `ratio`
 * is how many times as much a primary document should count. The scores that stand in the documents are those that give the
 * ratio in mode monotone: (0.05, 7 bits) for primary sources, and for the others authority 0.90 with the entropy that
 * follows (arm_entropy).
 *
 *   off         plain fine-tuning                          monotone    weights by score
 *   published   weights by the formula as published        upsampled   primary documents `ratio` times, no weights
 *   filtered    no consensus documents                     tag         "Source: field survey." in front, no weights
 *   score       the two scores in words in front           target      the two scores in words behind
 *   tag-weight  tag and monotone                           shuffled    monotone, scores dealt out at random
 *   inverted    monotone, the scores of both sides swapped poison      primary documents with loss_weight 1 / ratio
 */
#ifndef YA_EVAL_ARM_H
#define YA_EVAL_ARM_H

#include "data/objective.h"
#include "eval/fiction.h"

enum arm {
    ARM_BASE, /* no training at all */
    ARM_OFF,
    ARM_MONOTONE,
    ARM_PUBLISHED,
    ARM_UPSAMPLED,
    ARM_FILTERED,
    ARM_TAG,
    ARM_SCORE,
    ARM_TARGET,
    ARM_TAG_WEIGHT,
    ARM_SHUFFLED,
    ARM_INVERTED,
    ARM_POISON,
    ARMS
};
extern const char *const arm_name[ARMS]; /* as on the command line: "tag-weight" */

/* One training. Members that mean nothing to an arm are 1 (base: epochs 0). */
struct cell {
    enum arm arm;
    int64_t repeat, ratio, epochs, seed;
};

struct arm_document {
    int32_t fact, phrasing; /* phrasing: 0 .. FICTION_TRAINED - 1 of the fact's own order */
    int32_t side;           /* enum fiction_side */
    int32_t type;           /* of the source: an argument of fiction_type */
    double auth_weight, prov_entropy, loss_weight;
};

struct arm_documents {
    struct ctx *c;
    struct arm_document *items;
    size_t n;
};

/* Whether repeat, ratio change anything about an arm. */
bool arm_uses_repeat(enum arm arm);
bool arm_uses_ratio(enum arm arm);
/* Whether documents of an arm begin with a tag or a score, so that probes with it are worth asking. */
bool arm_is_tagged(enum arm arm);
/* The objective that an arm is trained with. */
enum distrust arm_mode(enum arm arm);

/* Entropy in bits of a source with authority 0.90 whose g is 1 / ratio of the primary sources'. */
double arm_entropy(double ratio);

/* The documents of a cell. Owner of what *out holds: the caller (arm_release, also after a failure). */
enum status arm_make(struct ctx *c, const struct fiction *f, const struct cell *cell, struct arm_documents *out);
void arm_release(struct arm_documents *d);

/* What stands in front of a text of the arm; "" for arms without. Into `out` (FICTION_TEXT_BYTES), returned. */
const char *arm_prefix(enum arm arm, enum fiction_side side, int type, double ratio, char *out);

/* Appends the rows, one JSON object a line. */
enum status arm_rows(const struct fiction *f, const struct cell *cell, const struct arm_documents *d, struct buf *out);

/* The log-odds of each fact (f->n values each) that a model has which fits the weighted counts: `phrased` as the mean over
 * the trained phrasings, each with its own documents; `pooled` from all documents of the fact. NaN where there is no
 * prediction: untrained, one side absent, or documents that a tag tells apart. */
void arm_predict(const struct fiction *f, const struct cell *cell, const struct arm_documents *d, const struct objective *o,
                 double *phrased, double *pooled);

#endif
