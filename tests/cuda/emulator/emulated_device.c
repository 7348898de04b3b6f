/* emulated_device: cuda_device.h and cuda_gemm.h on the host, so that the test of the kernels runs on the emulator as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda_gemm.h"
#include "emulated_tiles.h"

void emulator_launch(int kernel, unsigned x, unsigned y, unsigned threads, unsigned shared, const void *args);

static CUresult set_bytes(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream)
{
    (void)stream;
    memset((void *)to, value, bytes);
    return CUDA_SUCCESS;
}

static CUresult copy_bytes(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    (void)stream;
    memmove((void *)to, (const void *)from, bytes);
    return CUDA_SUCCESS;
}

struct cuda *cuda_open(struct ctx *c, int index)
{
    struct cuda *d = calloc(1, sizeof(*d));
    (void)index;
    d->c = c;
    strcpy(d->name, "emulator");
    d->major = 8, d->processors = 3, d->shared_bytes = 227 << 10;
    d->driver.cuMemsetD8Async = set_bytes;
    d->driver.cuMemcpyDtoDAsync = copy_bytes;
    d->driver.cuTensorMapEncodeTiled = emulated_encode_tiled;
    return d;
}

void cuda_close(struct cuda *d)
{
    free(d);
}

CUdeviceptr cuda_alloc(struct cuda *d, size_t bytes)
{
    (void)d;
    return (CUdeviceptr)aligned_alloc(256, (bytes + 255) / 256 * 256);
}

void cuda_free(struct cuda *d, CUdeviceptr block)
{
    (void)d;
    free((void *)block);
}

void cuda_upload(struct cuda *d, CUdeviceptr to, const void *from, size_t bytes)
{
    (void)d;
    memcpy((void *)to, from, bytes);
}

void cuda_download(struct cuda *d, void *to, CUdeviceptr from, size_t bytes)
{
    (void)d;
    memcpy(to, (const void *)from, bytes);
}

enum status cuda_wait(struct cuda *d)
{
    return d->c->status;
}

enum status cuda_check(struct cuda *d, CUresult result, const char *what)
{
    (void)result, (void)what;
    return d->c->status;
}

enum status cuda_launch(struct cuda *d, enum cuda_kernel kernel, struct cuda_grid g, const void *args)
{
    if (ctx_ok(d->c)) emulator_launch((int)kernel, g.x, g.y, g.threads, g.shared, args);
    return d->c->status;
}

/* ---- products -------------------------------------------------------------------------------------------------------- */

static float gemm_element(const struct cuda_matrix *m, int64_t row, int64_t col)
{
    int64_t at = m->transposed ? col * m->stride + row : row * m->stride + col;
    uint32_t word = m->f32 ? ((const uint32_t *)m->data)[at] : (uint32_t)((const uint16_t *)m->data)[at] << 16;
    float f;
    memcpy(&f, &word, 4);
    return f;
}

static void gemm_put(const struct cuda_matrix *m, int64_t row, int64_t col, float f)
{
    uint32_t word;
    memcpy(&word, &f, 4);
    if (m->f32)
        ((uint32_t *)m->data)[row * m->stride + col] = word;
    else
        ((uint16_t *)m->data)[row * m->stride + col] = (uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16);
}

enum status cuda_gemm(struct cuda *d, const struct cuda_matrix *a, const struct cuda_matrix *b, const struct cuda_matrix *c,
                      float alpha, float beta)
{
    int64_t depth = a->transposed ? a->rows : a->cols;
    for (int64_t i = 0; i < c->rows; i++) {
        for (int64_t j = 0; j < c->cols; j++) {
            double sum = 0;
            for (int64_t k = 0; k < depth; k++) sum += (double)gemm_element(a, i, k) * (double)gemm_element(b, k, j);
            gemm_put(c, i, j, (float)(alpha * sum + (beta != 0 ? beta * (double)gemm_element(c, i, j) : 0)));
        }
    }
    return d->c->status;
}
