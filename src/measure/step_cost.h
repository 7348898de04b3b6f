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

#endif
