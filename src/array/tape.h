/* tape: reverse-mode differentiation of what the ops did (Wengert list). Recording is on between tape_begin and tape_end;
 * an op records a node when at least one of its differentiable inputs has one. Derivative rules are in vjp.c. A step is
 *
 *   tape_begin(c);
 *   tape_watch(c, parameter, gradient);     for each parameter
 *   loss = ... ops ...;
 *   tape_backward(c, loss, 1);              adds into every `gradient`
 *   tape_end(c); */
#ifndef YA_ARRAY_TAPE_H
#define YA_ARRAY_TAPE_H

#include "array/op.h"

/* Starts recording. A ctx has one tape at a time. */
enum status tape_begin(struct ctx *c);
/* Drops every node and what they saved; leaves forget their nodes. */
void tape_end(struct ctx *c);
/* True between tape_begin and tape_end, except while paused. */
bool tape_recording(const struct ctx *c);
/* Until tape_end, outputs that backward could make again from what their nodes save (of norms and swiglu) are kept like any
 * other: more memory for less time, and the same bits. */
void tape_keep_all(struct ctx *c);
/* Recording off and on again, for parts that need no gradient (counts nest). */
void tape_pause(struct ctx *c);
void tape_resume(struct ctx *c);

/* Makes `a` a leaf whose gradient is wanted. `grad` (same shape and dtype, contiguous, caller-owned) receives it: backward
 * ADDS into it, so gradients of micro-batches accumulate; NULL: the tape allocates one, read by tape_grad. */
enum status tape_watch(struct ctx *c, struct array *a, struct array *grad);

/* Runs backward from `y`, a float scalar (shape []), whose own gradient is set to `seed`; E_SHAPE for anything else. Nodes
 * and what they saved are freed on the way, so a tape can be walked once. A y that depends on no watched array changes
 * nothing. */
enum status tape_backward(struct ctx *c, struct array *y, double seed);

/* The gradient of a watched array, or NULL when none reached it. Belongs to the innermost scope. */
struct array *tape_grad(struct ctx *c, struct array *a);

/* Gradient checkpointing: y = fn(arg, x), whose inside is not kept but computed again in backward (Chen et al. 2016). fn
 * must be a pure function of x, of watched leaves and of values that do not change until backward has run. `arg`
 * (arg_bytes of it) is copied for the second run. With `aside` a contiguous x is kept in the host's memory instead of the
 * device's until then. Without recording it is a plain call. NULL with E_MEMORY or whatever fn failed with. */
typedef struct array *(*tape_fn)(struct ctx *c, void *arg, struct array *x);
struct array *tape_checkpoint(struct ctx *c, tape_fn fn, void *arg, size_t arg_bytes, struct array *x, bool aside);
/* True while such a function runs again for backward: nobody reads the values of its result then, only what is recorded
 * counts. Not inside a checkpoint of its own, whose result it needs. */
bool tape_replaying(const struct ctx *c);

#endif
