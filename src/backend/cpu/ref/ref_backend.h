/* ref_backend: the tables of reference kernels, one for each kind of element. ref_backend.c picks by op and dtype. */
#ifndef YA_BACKEND_CPU_REF_BACKEND_H
#define YA_BACKEND_CPU_REF_BACKEND_H

#include "array/backend.h"

/* One reference kernel. Operands are as array/backend.h promises. */
typedef enum status (*ref_row)(struct ctx *c, const struct op_call *call);

/* Runs a call by the kernel of its row and dtype; E_DTYPE when there is none. */
enum status ref_backend_run(struct ctx *c, const struct op_call *call);

/* Rows that only move elements, whatever their dtype: cast, copy, where, concat, take, take_along. */
extern const ref_row ref_kernels_move[OP_COUNT];
/* Elementwise rows and reductions of bool, u8, i32 and i64. */
extern const ref_row ref_kernels_int[OP_COUNT];
/* Every other row, from one source (ref_real.h), for float and for double. */
extern const ref_row ref_kernels_f32[OP_COUNT];
extern const ref_row ref_kernels_f64[OP_COUNT];

#endif
