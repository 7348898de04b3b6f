/* mil_run_internal: what the files of the interpreter share. */
#ifndef YA_EXPORT_MIL_RUN_INTERNAL_H
#define YA_EXPORT_MIL_RUN_INTERNAL_H

#include "export/coreml/mil_run.h"

/* Elements, shared by all values that have the same ones in the same order. */
struct mil_cells {
    int refs;
    int64_t n;
    union {
        float f[1];   /* f16 and f32 */
        int32_t i[1]; /* i32 and bool */
    };
};

/* How a matrix of weights is stored: rows of `cols` elements. Widened one row at a time. */
enum mil_store { MIL_STORE_NONE, MIL_STORE_F16, MIL_STORE_F32, MIL_STORE_I8, MIL_STORE_LUT4 };
struct mil_stored {
    enum mil_store form;
    const void *data;     /* (rows, cols) */
    const uint16_t *with; /* scales (rows) of I8, tables (rows, 16) of LUT4; f16 */
    int64_t rows, cols;
};

/* A value: elements, or for weights how they are stored. */
struct mil_tensor {
    struct mil_type type; /* all dimensions known */
    struct mil_cells *cells;
    struct mil_stored stored;
};

struct mil_run {
    struct ctx *c;
    const struct mil_program *p;
    const char *name;
    const uint8_t *weights;
    size_t n_weights;
    bool half;
    struct mil_tensor *values; /* owned: one a variable; of a state its contents */
    int32_t *uses, *left;      /* owned: of each variable, in all and still to come */
    const struct mil_op *op;   /* that is being computed, for messages */
};

/* E_INPUT: "NAME: op linear of layer_3...: WHY". */
enum status mil_run_refuse(struct mil_run *r, const char *why);

/* Elements of a value; NULL with the failure in the ctx. Widens weights, so it is for small ones. */
struct mil_tensor *mil_run_in(struct mil_run *r, const char *key);
/* The same for a value that may be weights and is read by rows; no elements are made. */
struct mil_tensor *mil_run_weight(struct mil_run *r, const char *key);
/* The bytes of a constant, where they are. NULL with E_INPUT. */
const void *mil_run_blob(struct mil_run *r, const struct mil_value *v);
/* Row i of stored weights, as f32. May be called from any thread. */
void mil_run_row(const struct mil_stored *s, int64_t i, float *out);

/* Whole numbers that a constant or computed argument holds, at most MIL_RANK_MAX; how many, or -1. One number, or
 * `otherwise` where the op has no such argument. */
int mil_run_ints(struct mil_run *r, const char *key, int64_t out[MIL_RANK_MAX]);
int64_t mil_run_int(struct mil_run *r, const char *key, int64_t otherwise);
/* An argument of several booleans, all false where it is absent. */
enum status mil_run_flags(struct mil_run *r, const char *key, int n, bool out[MIL_RANK_MAX]);

/* The op's result: fresh elements of this type, or those of x under another shape. NULL with the failure in the ctx. */
struct mil_tensor *mil_run_make(struct mil_run *r, const struct mil_type *type);
struct mil_tensor *mil_run_share(struct mil_run *r, const struct mil_tensor *x, const struct mil_type *type);

/* One op each; dispatch is by the table in mil_run.c. */
typedef enum status mil_run_fn(struct mil_run *r);
mil_run_fn mil_run_unary, mil_run_binary, mil_run_cast, mil_run_rsqrt, mil_run_reduce, mil_run_softmax; /* mil_run_math.c */
mil_run_fn mil_run_linear, mil_run_conv, mil_run_matmul, mil_run_gather; /* mil_run_products.c */
mil_run_fn mil_run_int8, mil_run_lut4;
mil_run_fn mil_run_reshape, mil_run_transpose, mil_run_slice, mil_run_expand, mil_run_concat; /* mil_run_shapes.c */
mil_run_fn mil_run_shape, mil_run_range, mil_run_update;

#endif
