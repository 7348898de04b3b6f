/* gemm_edge: tiles whose last columns do not belong to C are computed beside it, rows nr apart, and copied. */
#ifndef YA_BACKEND_CPU_GEMM_EDGE_H
#define YA_BACKEND_CPU_GEMM_EDGE_H

#include <string.h>

#include "backend/cpu/cpu_kernels.h"

/* One tile of C that is computed in `beside`, (rows, nr), of which `columns` columns belong to C. */
struct gemm_edge {
    float beside[CPU_MAX_MR * CPU_MAX_NR];
    float *c;
    int64_t ldc, nr, columns;
    int rows;
};

/* Returns where the tile is to be computed; what C holds is brought there when it is added to. */
static inline float *gemm_edge_open(struct gemm_edge *e, bool accumulate)
{
    if (accumulate) {
        memset(e->beside, 0, sizeof e->beside);
        for (int i = 0; i < e->rows; i++)
            memcpy(e->beside + i * e->nr, e->c + i * e->ldc, (size_t)e->columns * sizeof(float));
    }
    return e->beside;
}

/* Copies the wanted columns to C. */
static inline void gemm_edge_close(const struct gemm_edge *e)
{
    for (int i = 0; i < e->rows; i++) memcpy(e->c + i * e->ldc, e->beside + i * e->nr, (size_t)e->columns * sizeof(float));
}

#endif
