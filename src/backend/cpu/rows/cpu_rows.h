/* cpu_rows: the tuned rows of ops.def, f32, for one table of inner loops. Operands are as array/backend.h promises. Each
 * cuts its work into blocks of a size that does not depend on the number of threads. E_MEMORY when scratch is refused.
 *
 * cpu_dispatch.c is the one list of which row uses which. */
#ifndef YA_BACKEND_CPU_CPU_ROWS_H
#define YA_BACKEND_CPU_CPU_ROWS_H

#include "array/backend.h"
#include "backend/cpu/cpu_kernels.h"

/* One tuned row. `kernels` is the table of the opened backend. Returns the ctx's status: E_MEMORY when scratch is refused,
 * and from attention E_SHAPE when the offsets do not cover queries and keys. Which file has which: linear/cpu_linear.c,
 * attention/cpu_attention*.c, loss/cpu_loss.c, rows/cpu_norm.c, cpu_rope.c, cpu_swiglu.c and cpu_elementwise.c,
 * gemm/cpu_matmul.c. */
typedef enum status (*cpu_row)(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_linear(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_linear_bwd(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_attention(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_attention_bwd(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_loss(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_norm(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_norm_bwd(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_rope(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_swiglu(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_swiglu_bwd(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_elementwise_binary(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_elementwise_copy(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_elementwise_exp(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_elementwise_accumulate(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_elementwise_adamw(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_elementwise_sum_squares(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_matmul(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);

#endif
