/* cuda_optim: the squared norm of a flat gradient, and AdamW over flat slabs in one launch. */
#include "backend/cuda/cuda_common.cuh"

enum { OPTIM_THREADS = 256 };

extern "C" __global__ void __launch_bounds__(OPTIM_THREADS) sum_squares_partial(const cuda_sum_squares_args a)
{
    double sum = 0;
    int64_t step = (int64_t)CUDA_SUM_BLOCKS * OPTIM_THREADS, quads = a.count / 4;
    const float4 *x = (const float4 *)a.x;
    for (int64_t i = (int64_t)blockIdx.x * OPTIM_THREADS + threadIdx.x; i < quads; i += step) {
        float4 f = x[i];
        sum += (double)f.x * f.x + (double)f.y * f.y + (double)f.z * f.z + (double)f.w * f.w;
    }
    int64_t tail = quads * 4 + blockIdx.x * OPTIM_THREADS + threadIdx.x;
    if (tail < a.count) sum += (double)a.x[tail] * a.x[tail];
    sum = block_sum(sum);
    if (threadIdx.x == 0) a.partial[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(CUDA_SUM_BLOCKS) sum_squares_total(const cuda_sum_squares_args a)
{
    double sum = block_sum(a.partial[threadIdx.x]);
    if (threadIdx.x == 0) *a.out = sum;
}

/* True: no update. The first launch that meets a norm that is not finite sets *stopped, and it stays set: whichever blocks see
 * it at once and whichever see the norm, all come to the same answer. */
static __device__ bool adamw_refused(const cuda_adamw_args &a)
{
    if (!a.sum_squares) return false;
    bool finite = isfinite(*a.sum_squares);
    if (!finite && blockIdx.x == 0 && threadIdx.x == 0) *a.stopped = 1.0;
    return !finite || *a.stopped != 0.0;
}

static __device__ float adamw_scale(const cuda_adamw_args &a)
{
    double scale = a.step->grad_scale;
    if (!a.sum_squares) return (float)scale;
    double norm = sqrt(*a.sum_squares) * scale;
    return (float)(norm > a.step->threshold ? scale * (a.step->threshold / norm) : scale);
}

extern "C" __global__ void __launch_bounds__(OPTIM_THREADS) adamw(const cuda_adamw_args a)
{
    if (adamw_refused(a)) return;
    float scale = adamw_scale(a), lr = (float)a.step->lr;
    float inverse1 = (float)(1.0 / a.step->correction1), inverse2 = (float)(1.0 / a.step->correction2);
    float beta1 = (float)a.beta1, rest1 = (float)(1.0 - a.beta1), beta2 = (float)a.beta2, rest2 = (float)(1.0 - a.beta2);
    float eps = (float)a.eps, decay = (float)a.weight_decay;
    int64_t step = (int64_t)gridDim.x * OPTIM_THREADS;
    for (int64_t i = (int64_t)blockIdx.x * OPTIM_THREADS + threadIdx.x; i < a.count; i += step) {
        float g = a.grad[i] * scale, p = a.param[i];
        float m = beta1 * a.m[i] + rest1 * g;
        float v = beta2 * a.v[i] + rest2 * g * g;
        p -= lr * (m * inverse1 / (sqrtf(v * inverse2) + eps) + decay * p);
        a.m[i] = m;
        a.v[i] = v;
        a.param[i] = p;
        if (a.shadow) a.shadow[i] = __bfloat16_as_ushort(__float2bfloat16_rn(p));
    }
}
