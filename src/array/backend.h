/* backend: the interface that a device fills. Ops reach kernels only through this table, found in the ctx's array_env.
 *
 * A backend says at start what it does with each row: KERNEL (has one), COMPOSED (built from other rows by its own function
 * in the same slot) or REFUSED (E_UNSUPPORTED, with the row's name). Nothing is decided silently per call. */
#ifndef YA_ARRAY_BACKEND_H
#define YA_ARRAY_BACKEND_H

#include "array/op.h"

/* One call of a row, validated by the front end: shapes and dtypes agree, every array has unit last stride (others were
 * copied first), outputs are allocated. in[] and out[] entries are NULL where the row's params say absent. */
struct op_call {
    enum op op;
    struct array *in[OP_MAX_IN];
    struct array *out[OP_MAX_OUT];
    const void *params;
};

typedef enum status (*op_kernel)(struct ctx *c, const struct op_call *call);

enum backend_support { BACKEND_REFUSED, BACKEND_KERNEL, BACKEND_COMPOSED };

struct backend {
    const char *name; /* "cpu-avx2", "cpu-portable", "cpu-reference", "cuda" */
    op_kernel kernel[OP_COUNT];
    uint8_t support[OP_COUNT];
    /* Optional: makes forms of a weight that kernels want (packed panels, int8 rows). NULL: none are needed. */
    enum status (*weight_prepare)(struct ctx *c, struct weight *w);
    void (*weight_release)(struct ctx *c, struct weight *w);
};

#endif
