/* mil_run: an interpreter for the ops that mil_build makes: what an exported package computes, on this machine. It is how an
 * export is checked, and the tests' reference for what each op means; loops are plain, and products use the ctx's threads.
 * It uses no op of src/array and no backend on purpose: the logits that it is compared with come from there, and a fault
 * that both had would not show.
 *
 * All values are held as f32 or i32. In half arithmetic the result of every op of type f16 is rounded to f16, as a processor
 * does that keeps its activations so and sums in f32; otherwise nothing is rounded but the weights, which are f16 already.
 */
#ifndef YA_EXPORT_MIL_RUN_H
#define YA_EXPORT_MIL_RUN_H

#include "export/coreml/mil.h"

struct mil_run;

/* `weights`: the bytes of the weights file. Program and bytes must outlive the run. States are zero. Owner of the result:
 * the caller (mil_run_free, which accepts NULL). NULL with E_MEMORY, or E_INPUT for states of a size that is not known. */
struct mil_run *mil_run_new(struct ctx *c, const struct mil_program *p, const char *name, const uint8_t *weights, size_t n,
                            bool half);
void mil_run_free(struct mil_run *r);

/* Sets an input, an i32 tensor, by its number in the program (its shape as declared, an unknown dimension takes what is
 * left). And computes the function once. E_INPUT for operands that do not go together or do not have the declared type,
 * E_UNSUPPORTED for ops that mil_build does not make, E_MEMORY. */
enum status mil_run_set(struct mil_run *r, size_t input, const int32_t *values, int64_t n);
enum status mil_run_call(struct mil_run *r);

/* The elements of an output of the last call, and its type with all dimensions known. Valid until the next call. */
const float *mil_run_output(const struct mil_run *r, size_t output, struct mil_type *type);

#endif
