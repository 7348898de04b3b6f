/* gemv_dots: which loop of an instruction set multiplies which kind of rows with a vector: the part that the tables of AVX2
 * and NEON share. A file defines one function for each kind of row that it knows, lists them in a struct gemv_dots, and its
 * struct cpu_kernels.dot_rows is gemv_dots_run on that list. */
#ifndef YA_BACKEND_CPU_GEMV_DOTS_H
#define YA_BACKEND_CPU_GEMV_DOTS_H

#include "backend/cpu/cpu_kernels.h"

/* out[i] = the dot product of d's vector and its row i, for i < CPU_DOT_ROWS. */
typedef void (*gemv_dot)(const struct cpu_dot *d, float *out);

struct gemv_dots {
    gemv_dot stored[TENSOR_TYPE_COUNT]; /* rows as a file holds them; NULL: this type is not known */
    gemv_dot int8;                      /* rows of WEIGHT_INT8 */
};

/* False for rows that the list does not have: they are widened first then. */
static inline bool gemv_dots_run(const struct gemv_dots *dots, const struct cpu_dot *d, float *out)
{
    gemv_dot dot = d->form == WEIGHT_STORED ? dots->stored[d->type] : d->form == WEIGHT_INT8 ? dots->int8 : NULL;
    if (dot) dot(d, out);
    return dot != NULL;
}

/* dot_f32, dot_f16 and dot_bf16 from the file's dot_plain(d, out, type, bytes), which is inlined, so that type and
 * bytes of an element are constants of its loop. */
#define GEMV_DOT_PLAIN(NAME, TYPE, BYTES)                                                                                   \
    static void NAME(const struct cpu_dot *d, float *out)                                                                   \
    {                                                                                                                       \
        dot_plain(d, out, TYPE, BYTES);                                                                                     \
    }
#define GEMV_DOTS_PLAIN                                                                                                     \
    GEMV_DOT_PLAIN(dot_f32, TENSOR_F32, 4) GEMV_DOT_PLAIN(dot_f16, TENSOR_F16, 2) GEMV_DOT_PLAIN(dot_bf16, TENSOR_BF16, 2)
#define GEMV_DOTS_PLAIN_LIST [TENSOR_F32] = dot_f32, [TENSOR_F16] = dot_f16, [TENSOR_BF16] = dot_bf16

#endif
