/* cpu: the CPU backends. */
#ifndef YA_BACKEND_CPU_CPU_H
#define YA_BACKEND_CPU_CPU_H

#include "array/backend.h"

/* The oracle: portable C, f32 and f64 from one source (ref_*.c compiled twice), every row. */
const struct backend *backend_cpu_reference(void);

/* The best for this CPU, chosen once by what the processor reports: "cpu-amx", "cpu-avx512bf16", "cpu-avx512vnni",
 * "cpu-avx512", "cpu-avx2", "cpu-neon-dot", "cpu-neon", "cpu-portable". f32 rows that have no tuned kernel, and all f64
 * rows, are the reference's: cpu_dispatch.c is the one list of which is which. YA_CPU in the environment overrides the
 * choice (tests): one of these names without "cpu-", or "reference"; an instruction set that the CPU lacks is refused, with
 * NULL and E_UNSUPPORTED. */
const struct backend *backend_cpu(struct ctx *c);

#endif
