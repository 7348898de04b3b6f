/* parameter: the table of what is trained. Values, gradients and the optimizer's two moments are each one flat f32 array
 * (a slab) in which every parameter has the same place, so zeroing, the norm and the update are one call over a slab,
 * whatever is trained: an adapter's matrices today, all weights of a model under full training later.
 *
 * The table holds no arrays and no model: who saves, restores or counts parameters needs only this. */
#ifndef YA_MODEL_PARAMETER_H
#define YA_MODEL_PARAMETER_H

#include <stdint.h>

#include "base/ctx.h"

struct array;

enum { PARAMETER_NAME_BYTES = 96 };

struct parameter {
    char name[PARAMETER_NAME_BYTES]; /* unique in its table: "layers.3.self_attn.q_proj.lora_A" */
    int64_t rows, cols;
    int64_t offset; /* of its first element in a slab; a multiple of 16 elements (64 bytes) */
};

struct parameters {
    struct parameter *list; /* owned */
    size_t n;
    int64_t count;     /* trained values: the sum of rows * cols */
    int64_t slab_size; /* elements of a slab: count and the few that align each parameter, which are 0 in every slab */
};

/* Appends a parameter of rows x cols to a table that starts zeroed; its place in every slab is behind the one before. The
 * name is copied. E_MEMORY. parameters_release frees the list and zeroes the table. */
enum status parameters_add(struct ctx *c, struct parameters *p, const char *name, int64_t rows, int64_t cols);
void parameters_release(struct ctx *c, struct parameters *p);

/* A zero-filled slab for the table, f32 (slab_size), and the (rows, cols) view of one parameter in it. The caller owns
 * both (array_release). NULL with E_MEMORY. */
struct array *parameters_slab(struct ctx *c, const struct parameters *p);
struct array *parameter_view(struct array *slab, const struct parameter *p);

/* rows * cols floats of a view made by parameter_view, row-major, to and from host memory. Both wait for the device; its
 * failure is returned. */
enum status parameter_read(struct array *view, float *out);
enum status parameter_write(struct array *view, const float *values);

/* ---- files ----------------------------------------------------------------------------------------------------------- */

/* One of the sets of values that a file holds for every parameter: tensors called PREFIX name SUFFIX. */
struct parameter_set {
    int which; /* passed on to the functions below */
    const char *prefix, *suffix;
};

/* Copies rows * cols floats of parameter i of set `which` out of, or into, whatever holds them. */
typedef enum status (*parameter_read_fn)(void *user, int which, size_t i, float *out);
typedef enum status (*parameter_write_fn)(void *user, int which, size_t i, const float *values);

/* Writes a safetensors file with the n_sets tensors of the first parameter, then those of the second, and so on, all f32.
 * The file appears when it is complete. E_IO, E_MEMORY, or the error of `read`. */
enum status parameters_save(struct ctx *c, const char *path, const struct parameter *list, size_t n,
                            const struct parameter_set *sets, size_t n_sets, parameter_read_fn read, void *user);

/* Reads such a file. It must hold exactly these tensors with these shapes (E_INPUT naming the one that differs). */
enum status parameters_load(struct ctx *c, const char *path, const struct parameter *list, size_t n,
                            const struct parameter_set *sets, size_t n_sets, parameter_write_fn write, void *user);

#endif
