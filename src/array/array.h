/* array: n-dimensional strided views on reference-counted storage.
 *
 * Ownership. Every array that an op makes belongs to the innermost open scope of the ctx (array_env). scope_close releases
 * all of them; scope_close_keep lets one through to the enclosing scope. array_retain adds an owner of one's own (released
 * with array_release). The tape holds what its rows save, and nothing else, so storage goes back to the step pool as soon
 * as the last scope, owner or tape node lets go of it.
 *
 * NULL always means failure, never "absent"; every op returns NULL at once when the ctx holds an error, so model code
 * reads like mathematics and is checked once a step. */
#ifndef YA_ARRAY_ARRAY_H
#define YA_ARRAY_ARRAY_H

#include "array/dtype.h"
#include "base/ctx.h"
#include "base/pool.h"

enum { ARRAY_MAX_DIMS = 8 };

struct backend; /* array/backend.h */
struct node;    /* array/node.h */

/* Device memory of one or more arrays. Counted only because views share it. */
struct storage {
    int refs;
    bool persistent; /* the backend's own block; else one of the step pool */
    size_t bytes;    /* that arrays may reach */
    size_t taken;    /* of the block that they lie in */
    void *data;
    struct ctx *c;
};

struct array {
    int refs;
    enum dtype dtype;
    int ndim;
    int64_t shape[ARRAY_MAX_DIMS];
    int64_t stride[ARRAY_MAX_DIMS]; /* in elements; 0 for broadcast axes */
    void *data;                     /* first element, inside storage->data; only the backend may look at what it points to */
    struct storage *storage;
    struct node *node; /* the tape node that made it, or its leaf node; NULL: no gradient flows through it */
    int node_out;      /* which output of that node */
    struct ctx *c;
};

/* ---- environment -------------------------------------------------------------------------------------------------- */

/* Gives the ctx its step pool, base scope and backend (backend/backend_open.h), which it owns from now on and closes also
 * when this fails. A NULL backend is one that could not be opened: the ctx's error is returned. */
enum status array_env_new(struct ctx *c, struct backend *backend);
/* Closes the backend and frees both pools. Every array that has an owner of its own (array_retain, array_persistent) must
 * be released before, else BUG_ON; arrays of the base scope are released here. Does nothing without an array_env. */
void array_env_free(struct ctx *c);
/* The step pool's figures: what activations, gradients in flight and saved values take now and took at most. */
struct pool_stats array_pool_stats(const struct ctx *c);
/* Most bytes of the host's memory that were ever taken for what checkpoints put aside (tape_checkpoint). */
size_t array_aside_bytes(const struct ctx *c);
/* See pool_limit: of the step pool, and of the host's memory for what is put aside (0: no limit). */
void array_pool_limit(struct ctx *c, size_t bytes, size_t aside_bytes);
/* The backend that the ctx's arrays live on; owned by the array_env. */
struct backend *array_backend(const struct ctx *c);

/* Brackets the calls of a step: what changes from one step to the next and is no operand, such as the key of dropout's
 * masks, is in `values`, which must live until array_step_end. Steps do not nest. */
struct step_values; /* array/op.h */
void array_step_begin(struct ctx *c, const struct step_values *values);
void array_step_end(struct ctx *c);

/* Scopes nest. scope_open returns a mark for the matching close, which releases every array made since. Example:
 *
 *   int mark = scope_open(c);
 *   struct array *y = op_mul(c, op_exp(c, x), x);   (the array of op_exp is a temporary)
 *   return scope_close_keep(c, mark, y);            (y now belongs to the caller's scope)
 *
 * Closing in another order than opening is a bug (BUG_ON). A mark stays good behind what was moved there: in a loop,
 * x = scope_close_keep(c, mark, f(x)) keeps the last x alone. */
int scope_open(struct ctx *c);
void scope_close(struct ctx *c, int mark);
/* Closes and moves `result` (may be NULL) to the enclosing scope; returns it. */
struct array *scope_close_keep(struct ctx *c, int mark, struct array *result);
/* Closes and moves `n` arrays; entries may be NULL. */
void scope_close_keep_n(struct ctx *c, int mark, struct array **results, int n);

/* One owner more, and one less; the last release gives the storage back to the step pool. Both accept NULL. */
struct array *array_retain(struct array *a);
void array_release(struct array *a);

/* ---- making ------------------------------------------------------------------------------------------------------- */

/* Contiguous arrays from the step pool, in the innermost scope: contents undefined, zeros, or all `value`. ndim 0 is a
 * scalar. NULL with E_SHAPE for a shape that is none or too large, E_MEMORY or E_FIT when memory is short. */
struct array *array_empty(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape);
struct array *array_zeros(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape);
struct array *array_full(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, double value);
/* The same with the elements copied from host memory: as many of `dtype` as the shape has, row-major. `data` may be reused
 * on return. */
struct array *array_from_host(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, const void *data);
/* One element, shape []. */
struct array *array_scalar(struct ctx *c, enum dtype dtype, double value);

/* Zero-filled and contiguous, for what outlives every step: trainable parameters, gradients, moments, batches, key-value
 * caches. Not from the step pool, and in no scope: the caller owns it (array_release) and frees it before the
 * array_env. */
struct array *array_persistent(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape);

/* A view of `a` with its own shape, strides and element offset; no gradient edge (ops make differentiable views). */
struct array *array_view(struct array *a, int ndim, const int64_t *shape, const int64_t *stride, int64_t offset);

/* ---- asking ------------------------------------------------------------------------------------------------------- */

/* Number of elements: the product of the shape, 1 for a scalar. */
int64_t array_size(const struct array *a);
/* Whether elements lie one behind the other in row-major order (strides of axes of size 1 do not matter). */
bool array_is_contiguous(const struct array *a);
/* True when the last axis has stride 1 (or size 1): what kernels accept; see struct op_call in backend.h. */
bool array_has_unit_last(const struct array *a);
bool array_same_shape(const struct array *a, const struct array *b);
/* "f32[4,512]" into buf, for messages; returns buf. */
const char *array_describe(const struct array *a, char *buf, size_t bytes);

/* The single element as a number, converted; waits for queued work. NAN with E_SHAPE unless size is 1. */
double array_item(struct array *a);
/* All elements, row-major, converted to `dtype`, into host memory of array_size elements. Views give the elements that
 * they show. Waits for queued work, whose failure is returned. */
enum status array_to_host(struct array *a, enum dtype dtype, void *out);
/* The other direction: n elements of the array's dtype, row-major, into a contiguous array that nobody else is reading. */
enum status array_upload(struct array *a, const void *data, int64_t n);

#endif
