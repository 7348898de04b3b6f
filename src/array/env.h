/* env: what the array layer keeps in a ctx. Private to src/array. */
#ifndef YA_ARRAY_ENV_H
#define YA_ARRAY_ENV_H

#include "array/backend.h"
#include "array/node.h"

/* Where a pool's blocks come from. */
struct env_memory {
    struct backend *backend;
    enum backend_memory kind;
};

struct array_env {
    struct env_memory device_memory, aside_memory; /* of the pools below */
    struct backend *backend;                       /* owned */
    struct pool *host, *device;                    /* owned: structs of arrays and nodes; elements of step arrays */
    struct pool *aside; /* owned: MEMORY_HOST, what a step puts aside (backend.offload). NULL until it is used */
    const struct step_values *values; /* of the open step, or zeros */
    struct pointers scope;            /* arrays owned by the open scopes, oldest first; a mark is an index into it */
    struct tape tape;
};

/* Puts a new array, whose one reference becomes the scope's, into the innermost scope. On failure releases it and returns
 * NULL. */
struct array *scope_own(struct ctx *c, struct array *a);

/* The pool of blocks that only the device's copies touch. NULL with E_MEMORY. */
struct pool *env_aside(struct ctx *c);

/* Checks a shape that may come from outside (E_SHAPE) and computes the bytes of a contiguous array of it. */
enum status array_check_shape(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, size_t *bytes);

#endif
