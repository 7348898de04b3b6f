/* step_model: how long a training step of a model will take on this machine, from steps of a few small ones that `setup`
 * timed part by part.
 *
 * The time of each part (step_cost.h) is taken as a * each + b * fixed. Two lengths of micro-batches give a and b of a model
 * of one width; between widths they are interpolated by the logarithm of the width, and beyond the widest and the narrowest
 * its own count. So a micro-batch of few tokens, which is mostly weights being read, and a tiny model, which is mostly
 * calls, have their own times and not those of a large model divided by its operations. */
#ifndef YA_MEASURE_STEP_MODEL_H
#define YA_MEASURE_STEP_MODEL_H

#include "array/weight.h"
#include "measure/step_cost.h"

enum { STEP_SIZES = 4, STEP_LENGTHS = 2, STEP_RANK = 16 };

/* What is timed: one document of so many tokens in models of these shapes, the narrowest first, with an adapter of STEP_RANK
 * on all linear layers. Files of times are of these shapes: a change of them is a new version of machine_profile. */
extern const struct known_model step_model_sizes[STEP_SIZES];
extern const int64_t step_model_tokens[STEP_LENGTHS];

/* Seconds of each part: [size][length][part]. */
typedef double step_times[STEP_SIZES][STEP_LENGTHS][STEP_PARTS];

/* Seconds of a step by the times of one arithmetic; 0 when they are all 0, which is: not measured. */
double step_model_seconds(const step_times times, const struct step_shape *s);

#endif
