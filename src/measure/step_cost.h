/* step_cost: what a training step costs in operations, so that a speed measured on one model says something about another.
 */
#ifndef YA_MEASURE_STEP_COST_H
#define YA_MEASURE_STEP_COST_H

#include "model/known_models.h"

/* Floating-point operations for each token of a training step with a LoRA adapter of `rank` on all linear layers of the last
 * `adapted` blocks, in documents of `length` tokens, with the first `recomputed` blocks computed again in backward. A
 * multiply-add is two. Counted: products with frozen weights forward and with respect to the input (the head included),
 * three products for each adapter matrix, and causal attention, whose backward has five products to forward's two. Norms,
 * rotations and the update are left out: they are less than a hundredth. */
double step_cost_flops(const struct known_model *m, int64_t rank, int64_t adapted, int64_t length, int64_t recomputed);

/* Kinds of work in a step, each with a speed of its own. */
enum step_part {
    STEP_LINEAR,
    STEP_LINEAR_BACKWARD,
    STEP_ATTENTION,
    STEP_ATTENTION_BACKWARD,
    STEP_LOSS,   /* the head's product, softmax and its gradient */
    STEP_ROWS,   /* norms, rotations, swiglu, sums, and what is spent between kernels */
    STEP_UPDATE, /* norm of the gradient, AdamW */
    STEP_PARTS
};

/* One micro-batch with its update. Of a real one tokens and lengths are means. */
struct step_shape {
    const struct known_model *model;
    int64_t rank, adapted, recomputed; /* as of step_cost_flops; recomputed below 0 counts as 0 */
    double tokens, length;             /* in the micro-batch; of a document */
    double trained;                    /* tokens that the loss is computed on */
    bool forward;                      /* a validation: no backward, no update */
};

/* The work of each part in two amounts, as its time is the sum of two products: one that grows with every token (operations;
 * of STEP_ROWS bytes, of STEP_UPDATE trained values) and one that does not (weights that are read, blocks that are called;
 * of attention, whose operations grow with the length too, the elements that are read). */
struct step_work {
    double each[STEP_PARTS], fixed[STEP_PARTS];
};
void step_cost_work(const struct step_shape *s, struct step_work *out);

#endif
