/* support_cuda: arrays on the card with known random contents, and comparison with references in f64. */
#ifndef SUPPORT_CUDA_H
#define SUPPORT_CUDA_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda_gemm.h"
#include "backend/cuda/cuda_kernels.h"

static inline float bf16_widen(bf16_bits x)
{
    uint32_t word = (uint32_t)x << 16;
    float f;
    memcpy(&f, &word, 4);
    return f;
}

static inline bf16_bits bf16_round(float f)
{
    uint32_t word;
    memcpy(&word, &f, 4);
    return (bf16_bits)((word + 0x7fff + (word >> 16 & 1)) >> 16);
}

/* Uniform numbers of mean 0 and variance `deviation` squared. */
static inline float random_value(uint64_t *state, float deviation)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return ((float)(*state >> 40) / 8388608.0f - 1.0f) * 1.7320508f * deviation;
}

/* (rows, cols) of f32 values on the host, all of them exact in bf16, and their copy on the card. */
struct values {
    float *host;
    CUdeviceptr device;
    int rows, cols;
    bool f32;
};

static inline struct values values_make(struct cuda *d, int rows, int cols, bool f32, float deviation, uint64_t *state)
{
    size_t n = (size_t)rows * (size_t)cols;
    struct values v = {malloc(n * 4), cuda_alloc(d, n * (f32 ? 4 : 2)), rows, cols, f32};
    bf16_bits *bits = malloc(n * 2);
    for (size_t i = 0; i < n; i++) {
        float x = random_value(state, deviation);
        bits[i] = bf16_round(x);
        v.host[i] = f32 ? x : bf16_widen(bits[i]);
    }
    if (f32)
        cuda_upload(d, v.device, v.host, n * 4);
    else
        cuda_upload(d, v.device, bits, n * 2);
    cuda_wait(d);
    free(bits);
    return v;
}

/* An output: NaN everywhere on the card until it is written. */
static inline struct values values_poison(struct cuda *d, int rows, int cols, bool f32)
{
    size_t n = (size_t)rows * (size_t)cols;
    struct values v = {calloc(n, 4), cuda_alloc(d, n * (f32 ? 4 : 2)), rows, cols, f32};
    d->driver.cuMemsetD8Async(v.device, 0xff, n * (f32 ? 4 : 2), d->stream);
    return v;
}

static inline void values_fetch(struct cuda *d, struct values *v)
{
    size_t n = (size_t)v->rows * (size_t)v->cols;
    if (v->f32) {
        cuda_download(d, v->host, v->device, n * 4);
        return;
    }
    bf16_bits *bits = malloc(n * 2);
    cuda_download(d, bits, v->device, n * 2);
    for (size_t i = 0; i < n; i++) v->host[i] = bf16_widen(bits[i]);
    free(bits);
}

static inline void values_free(struct cuda *d, struct values *v)
{
    free(v->host);
    cuda_free(d, v->device);
}

/* || got - want || / || want ||; infinite when anything is NaN. */
static inline double values_error(const float *got, const double *want, size_t n)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double e = (double)got[i] - want[i];
        difference += e * e;
        norm += want[i] * want[i];
    }
    double error = sqrt(difference / (norm > 0 ? norm : 1));
    return isfinite(error) ? error : INFINITY;
}

#endif
