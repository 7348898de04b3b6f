/* backend_wrap: what backends that stand in front of another one share. Every slot hands its call on to the inner backend;
 * a wrapper replaces the slots that it is about. Kernels get the inner backend, so a wrapper's memory must be what the inner
 * one's kernels can work on. */
#ifndef YA_BACKEND_BACKEND_WRAP_H
#define YA_BACKEND_BACKEND_WRAP_H

#include "array/backend.h"

struct backend_wrap {
    struct backend backend; /* first: slots find the rest from it */
    struct backend *inner;  /* owned: closed with the wrapper */
};

/* Fills in `w`, whose owner the caller stays: `close` closes the inner backend and leaves `w` itself alone. */
void backend_wrap_init(struct backend_wrap *w, struct backend *inner);
/* The inner backend of one that backend_wrap_init filled in. */
struct backend *backend_wrap_inner(const struct backend *b);
/* Runs the call on the inner backend: what every kernel slot does unless it is replaced. */
enum status backend_wrap_run(struct backend *b, const struct op_call *call);

#endif
