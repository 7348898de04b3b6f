/* support_host: elements of f32 arrays as host memory, for tests that look at them or set them. An array's data may be
 * memory that the host cannot reach (backend/walled.h), and tests run on such a backend too. */
#ifndef YA_TESTS_SUPPORT_HOST_H
#define YA_TESTS_SUPPORT_HOST_H

#include <stdlib.h>

#include "array/array.h"

/* Copies that were given out; freed when the process ends. */
static float **host_copies;
static size_t host_n_copies;

static inline void host_free(void)
{
    for (size_t i = 0; i < host_n_copies; i++) free(host_copies[i]);
    free(host_copies);
}

/* A copy of the elements, row-major; lives until the process ends. */
static inline float *host_f32(struct array *a)
{
    if (!host_copies) atexit(host_free);
    host_copies = realloc(host_copies, (host_n_copies + 1) * sizeof *host_copies);
    float *values = malloc((size_t)array_size(a) * sizeof *values);
    if (!host_copies || !values || array_to_host(a, DTYPE_F32, values) != OK) abort();
    host_copies[host_n_copies++] = values;
    return values;
}

/* Sets all elements of a contiguous f32 array. */
static inline void host_store(struct array *a, const float *values)
{
    if (array_upload(a, values, array_size(a)) != OK) abort();
}

#endif
