/* front: what the front ends of ops (op_*.c) share. Private to src/array.
 *
 * A front end is the function op_* that model code calls. It turns whatever operands it is given into those that kernels
 * may rely on (struct op_call in backend.h), allocates the outputs, runs the kernel and records the call. Functions here
 * that return an array give one of the innermost scope, or NULL with the failure in the ctx. */
#ifndef YA_ARRAY_FRONT_H
#define YA_ARRAY_FRONT_H

#include "array/env.h"

enum { FRONT_TEXT = 128 };
/* An operand in words for messages: FRONT_DESCRIBE(a) is "f32[2,3]", valid until the end of the enclosing block. */
#define FRONT_DESCRIBE(a) array_describe((a), (char[FRONT_TEXT]){0}, FRONT_TEXT)

/* True when the operand is there and no error is recorded. NULL without an error is a bug (BUG_ON): an op that fails
 * records why. */
bool front_operand(struct ctx *c, const struct array *a);

/* Runs the backend's kernel of the row; E_UNSUPPORTED when the backend refuses it. A call whose results are all empty is
 * done already. */
enum status front_run(struct ctx *c, const struct op_call *call);

/* Runs a call with one output, already in out[0], records it with `saves`, and returns out[0] or NULL. */
struct array *front_finish(struct ctx *c, const struct op_call *call, uint32_t saves);

/* The dtype in which generic rows compute values of type t: f16 and bf16 in f32, bool and u8 in i32. */
enum dtype front_compute_dtype(enum dtype t);
/* The backend's dtype of activations. */
enum dtype front_activations(const struct ctx *c);
/* The same for the rows that see activations as they are (struct op_call): t itself when it is their dtype. */
enum dtype front_activation_dtype(const struct ctx *c, enum dtype t);
/* t itself when it is a float, else f32: for rows that only exist for floats. */
enum dtype front_float_dtype(enum dtype t);

/* `a` cast to dtype (when it differs) and with unit last stride (copied when it has not). */
struct array *front_prepare(struct ctx *c, struct array *a, enum dtype dtype);

/* (rows, cols) zeros that take one row of memory (row stride 0), for an operand whose values nobody reads. */
struct array *front_zeros(struct ctx *c, enum dtype dtype, int64_t rows, int64_t cols);

/* The NumPy broadcast of two shapes; false when they do not go together. */
bool front_broadcast(int na, const int64_t *a, int nb, const int64_t *b, int *ndim, int64_t *shape);

/* Wraps a negative axis; E_SHAPE naming the op, axis and operand when it is out of range for ndim dimensions. */
enum status front_axis(struct ctx *c, const char *op, const struct array *a, int ndim, int *axis);
/* The set of n axes (n -1: all) as bits; E_SHAPE also for duplicates. */
enum status front_axes(struct ctx *c, const char *op, const struct array *a, const int *axes, int n, uint32_t *set);

/* ---- rounded operands (struct op_call) ------------------------------------------------------------------------------- */

/* (n, k) in bf16, k a multiple of ROUNDED_GROUP, for a kernel to fill: rows do not lie a multiple of 1 KiB apart, where they
 * would share few sets of a cache, and ROUNDED_GROUP rows may be read behind the last. */
struct array *front_rounded(struct ctx *c, int64_t n, int64_t k);
/* Whether `a` is such an array, or columns of one. */
bool front_is_rounded(const struct ctx *c, const struct array *a);
/* Whether products with the weight read n rows so, of x or of dy. */
bool front_takes_rounded(const struct ctx *c, const struct weight *w, int64_t n);
/* For SWIGLU to write to: as gate, or rounded. */
struct array *front_swiglu_result(struct ctx *c, const struct array *gate, bool rounded);

/* Ids as kernels want them: i32 (N), unit stride. E_DTYPE when they are not integers in one dimension, E_SHAPE "op: ids[i]
 * = v is not in [0, limit)" unless every id is in range; with `weights` (f32 (N), contiguous) only where the weight is not
 * 0. */
struct array *front_prepare_ids(struct ctx *c, const char *op, struct array *ids, struct array *weights, int64_t limit);

#endif
