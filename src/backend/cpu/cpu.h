/* cpu: the CPU backends.
 *
 *   cpu-amx cpu-avx512bf16 cpu-avx512vnni cpu-avx512 cpu-avx2 cpu-neon-dot cpu-neon cpu-portable
 *                    tuned rows, one table of inner loops each, best first
 *   cpu-reference    the oracle: portable C, f32 and f64, every row
 *
 * f32 rows that have no tuned kernel, and all f64 rows, are the reference's in all of them: cpu_dispatch.c is the one list
 * of which is which. */
#ifndef YA_BACKEND_CPU_CPU_H
#define YA_BACKEND_CPU_CPU_H

#include "array/backend.h"

/* Opens a CPU backend by one of the names above, with or without "cpu-" in front. NULL: what YA_CPU in the environment
 * names, else the best that this processor runs. `counting`: see struct backend. Owner of the result: the caller, usually
 * array_env_new. NULL with E_UNSUPPORTED when the processor lacks the instruction set, or E_MEMORY. */
struct backend *cpu_backend_open(struct ctx *c, const char *name, bool counting);

#endif
