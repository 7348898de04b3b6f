/* cpu_backend: one opened CPU backend: a table of inner loops and the memory that it handed out. */
#ifndef YA_BACKEND_CPU_CPU_BACKEND_H
#define YA_BACKEND_CPU_CPU_BACKEND_H

#include "array/backend.h"
#include "backend/cpu/cpu_kernels.h"

struct cpu_backend {
    struct backend backend;            /* first: what kernels get is a pointer to it */
    const struct cpu_kernels *kernels; /* NULL: every row by its reference kernel */
    struct backend_stats stats;
};

/* Owner of the result: the caller (backend.close). `name` is static text. NULL with E_MEMORY. */
struct backend *cpu_backend_new(struct ctx *c, const char *name, const struct cpu_kernels *kernels, bool fast_integers,
                                bool counting);

/* Runs one call: by the tuned kernel of its row where there is one that takes its operands, else by the reference. */
enum status cpu_dispatch_run(struct backend *b, const struct op_call *call);

#endif
