/* support_guard: a backend that checks every kernel call on its way to another backend.
 *
 * It holds the front ends to the contract of backend.h (dtypes, strides, sizes, axes) and the kernels to theirs: operands
 * and results are moved to buffers of their own with sentinels before, behind and between rows, results start as NaN, and
 * after the call every sentinel and every operand must be what it was. So each test that runs an op tests these as well. */
#ifndef YA_TESTS_SUPPORT_GUARD_H
#define YA_TESTS_SUPPORT_GUARD_H

#include "array/backend.h"

/* One guard at a time, in memory of its own; it owns `inner`, which must be a CPU backend. NULL when that is NULL. */
struct backend *guard_open(struct backend *inner);
/* How often the row's kernel ran since guard_open. */
int guard_count(enum op op);

#endif
