/* mil_build: makes the ops of a program one call each, so that a model reads like its formula. Every call adds an op (and
 * the constants it needs, equal ones once), works out the type of its result and gives the number of the result's variable.
 * -1 stands for a failure, which is in the ctx, and goes through every call unharmed: it is looked for once at the end.
 *
 * Types are worked out here as coremltools does from its definitions of the ops; MIL_UNKNOWN goes through. Operands that do
 * not go together are a bug of the caller (BUG_ON). */
#ifndef YA_EXPORT_MIL_BUILD_H
#define YA_EXPORT_MIL_BUILD_H

#include "export/coreml/mil.h"

/* The type of a variable. */
struct mil_type mil_type_of(const struct mil_program *p, int var);
/* A type from its dimensions. */
struct mil_type mil_tensor(enum mil_dtype dtype, int rank, const int64_t *dim);

/* Inputs and states must be added before anything else. */
int mil_input(struct mil_program *p, const char *name, const struct mil_type *type);
/* Makes a variable an output, under its name. */
void mil_output(struct mil_program *p, int var);

/* Constants: whole numbers as a vector or scalar, floats as a scalar (f16 values are rounded), and one that lies in the
 * weights file at `offset`, which is called `name`. */
int mil_ints(struct mil_program *p, int n, const int32_t *values);
int mil_int(struct mil_program *p, int32_t value);
int mil_iota(struct mil_program *p, int32_t n); /* 0, 1, ..., n - 1 */
int mil_float(struct mil_program *p, enum mil_dtype dtype, float value);
int mil_file(struct mil_program *p, const char *name, const struct mil_type *type, uint64_t offset);

/* Weights of a stored form, which Core ML widens when it loads the model or reads them: int8 (rows, cols, ...) times a scale
 * for each row, and 4-bit indices into a table of 16 values for each row. `type` is that of the result, f16. */
int mil_int8_weight(struct mil_program *p, const char *name, const struct mil_type *type, uint64_t data, uint64_t scales);
int mil_lut4_weight(struct mil_program *p, const char *name, const struct mil_type *type, uint64_t indices, uint64_t tables);

/* Element by element: one operand ("silu", "abs"), or two, of which dimensions of 1 are spread ("add", "mul", "sub",
 * "maximum", "real_div", and "less", "greater_equal", "logical_and", which give bool). */
int mil_unary(struct mil_program *p, const char *kind, int x);
int mil_binary(struct mil_program *p, const char *kind, int x, int y);
int mil_cast(struct mil_program *p, int x, enum mil_dtype dtype);
int mil_rsqrt(struct mil_program *p, int x, float epsilon); /* 1 / sqrt(x + epsilon) */

/* Products. linear: x (..., K) with w (M, K), plus bias (M) unless it is -1. conv: x (1, K, 1, S) with w (M, K, 1, 1).
 * matmul: the last two dimensions, transposed where asked for; the others must be equal. */
int mil_linear(struct mil_program *p, int x, int w, int bias, const char *name);
int mil_conv(struct mil_program *p, int x, int w, int bias, const char *name);
int mil_matmul(struct mil_program *p, int x, int y, bool transpose_x, bool transpose_y);

/* Along one axis; the reductions ("reduce_mean", "reduce_max") keep it with a size of 1. */
int mil_reduce(struct mil_program *p, const char *kind, int x, int axis);
int mil_softmax(struct mil_program *p, int x, int axis);

/* Shapes. reshape: one dimension may be -1, what is left. slice: elements [first, end) of an axis. pick: one element of the
 * first axis, which disappears. gather: rows of x (N, ...) by i32 indices. */
int mil_reshape(struct mil_program *p, int x, int rank, const int32_t *dim);
int mil_transpose(struct mil_program *p, int x, const int32_t *order);
int mil_slice(struct mil_program *p, int x, int axis, int32_t first, int32_t end);
int mil_pick(struct mil_program *p, int x, int32_t at);
int mil_expand(struct mil_program *p, int x, int axis);
int mil_concat(struct mil_program *p, int n, const int *values, int axis); /* n: 1 to MIL_CONCAT_MAX */
int mil_gather(struct mil_program *p, int x, int indices);
int mil_shape(struct mil_program *p, int x);
int mil_range(struct mil_program *p, int start, int end);

/* States. update: x with `update` in place of its elements between `begin` and `end` (vectors of i32). */
int mil_read_state(struct mil_program *p, int state);
void mil_write_state(struct mil_program *p, int state, int value);
int mil_update(struct mil_program *p, int x, int update, int begin, int end);

#endif
