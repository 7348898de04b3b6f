/* cpu_backend: the backend of one table of inner loops, every row through `run`; a text that cpu_dispatch.c includes once a
 * table, with TABLE the end of its name, LABEL what users see and FAST_INTEGERS what backend.h says. */
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define ROW         JOIN(run_, TABLE)

static enum status ROW(struct ctx *c, const struct op_call *call)
{
    return run(c, call, &JOIN(cpu_kernels_, TABLE));
}

static const struct backend TABLE = {
    .name = LABEL,
    .fast_integers = FAST_INTEGERS,
    .kernel =
        {
#define OP(NAME, name, n_in, n_out, params, diff, saves) [OP_##NAME] = ROW,
#define VIEW(NAME, name, n_in, n_out, params, diff, saves)
#include "array/ops.def"
        },
    .support =
        {
#define OP(NAME, name, n_in, n_out, params, diff, saves) [OP_##NAME] = BACKEND_KERNEL,
#define VIEW(NAME, name, n_in, n_out, params, diff, saves)
#include "array/ops.def"
        },
};

#undef JOIN_
#undef JOIN
#undef ROW
#undef TABLE
#undef LABEL
#undef FAST_INTEGERS
