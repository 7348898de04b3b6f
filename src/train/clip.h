/* clip: how far a gradient is scaled down before the update.
 *
 * A fixed norm clip undoes document weights: when a step holds one or two documents, the gradient of a document of weight 10
 * is 10 times as long, and clipping it to the same length as the others takes the weight away again. In the toy of
 * docs/train.md (weights 10:1 against counts 1:5) the primary claim then ends at 0.03 to 0.06 instead of 0.667. The default
 * threshold therefore grows with the weights of the step and with what gradients have been like:
 *
 *     threshold = Omega * max(c, 4 * median of the last 100 values of |g| / Omega)
 *
 * Omega is the step's token-mean of the weights that the loss used. The median is over steps before this one, so that an
 * outlier cannot raise its own limit; in the first step the threshold is Omega * c. What enters the window is the norm
 * before clipping. */
#ifndef YA_TRAIN_CLIP_H
#define YA_TRAIN_CLIP_H

#include <stdbool.h>
#include <stdint.h>

enum clip_mode { CLIP_RELATIVE, CLIP_FIXED, CLIP_OFF };
enum { CLIP_WINDOW = 100 };

/* All of it goes into a checkpoint. */
struct clip {
    enum clip_mode mode;
    double limit;               /* c; the norm itself for CLIP_FIXED */
    double window[CLIP_WINDOW]; /* last values of |g| / Omega, oldest overwritten first */
    int n, next;                /* values held; where the next one goes */
    int64_t steps, clipped;     /* counted since the start of the run */
};

/* An empty window: limit is c, or with CLIP_FIXED the norm itself. */
void clip_init(struct clip *k, enum clip_mode mode, double limit);

/* The norm above which the gradient of the next step, with its Omega (> 0), is scaled down to that norm: threshold / norm.
 * Infinity for CLIP_OFF. */
double clip_threshold(const struct clip *k, double omega);

/* Adds a finished step to the window and the counts: its norm before clipping (finite), its Omega, and whether it was
 * clipped. Every step is added before the threshold of the next is asked for. */
void clip_add(struct clip *k, double norm, double omega, bool clipped);

/* Share of steps so far that were clipped, 0 .. 1. */
double clip_share(const struct clip *k);

#endif
