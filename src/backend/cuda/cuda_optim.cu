/* cuda_optim: the squared norm of a flat gradient, and AdamW over flat slabs in one launch. */
#include "backend/cuda/cuda_common.cuh"

/* The sum of squares in two kernels: a fixed number of blocks take a fixed share each, then one block adds their sums. Neither the
 * card nor its load changes the order. */
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

/* The factor of all gradients: grad_scale, and below that what brings their norm down to the threshold of clipping. */
static __device__ float adamw_scale(const cuda_adamw_args &a)
{
    double scale = a.step->grad_scale;
    if (!a.sum_squares) return (float)scale;
    double norm = sqrt(*a.sum_squares) * scale;
    return (float)(norm > a.step->threshold ? scale * (a.step->threshold / norm) : scale);
}

struct adamw_factors {
    float scale, lr, inverse1, inverse2, beta1, rest1, beta2, rest2, eps, decay;
};

/* The formula of struct adamw_params for one parameter. */
static __device__ __forceinline__ void adamw_one(const adamw_factors &f, float g, float &p, float &m, float &v)
{
    g *= f.scale;
    m = f.beta1 * m + f.rest1 * g;
    v = f.beta2 * v + f.rest2 * g * g;
    p -= f.lr * (m * f.inverse1 / (sqrtf(v * f.inverse2) + f.eps) + f.decay * p);
}

/* Four neighbours for each thread and turn; the at most three elements behind the last four go to the first threads. */
extern "C" __global__ void __launch_bounds__(OPTIM_THREADS) adamw(const cuda_adamw_args a)
{
    if (adamw_refused(a)) return;
    const adamw_factors f = {adamw_scale(a), (float)a.step->lr, (float)(1.0 / a.step->correction1),
                             (float)(1.0 / a.step->correction2), (float)a.beta1, (float)(1.0 - a.beta1), (float)a.beta2,
                             (float)(1.0 - a.beta2), (float)a.eps, (float)a.weight_decay};
    int64_t step = (int64_t)gridDim.x * OPTIM_THREADS, quads = a.count / 4, at = (int64_t)blockIdx.x * OPTIM_THREADS + threadIdx.x;
    for (int64_t i = at; i < quads; i += step) {
        float4 g = ((const float4 *)a.grad)[i], p = ((float4 *)a.param)[i], m = ((float4 *)a.m)[i], v = ((float4 *)a.v)[i];
        adamw_one(f, g.x, p.x, m.x, v.x);
        adamw_one(f, g.y, p.y, m.y, v.y);
        adamw_one(f, g.z, p.z, m.z, v.z);
        adamw_one(f, g.w, p.w, m.w, v.w);
        ((float4 *)a.param)[i] = p, ((float4 *)a.m)[i] = m, ((float4 *)a.v)[i] = v;
        if (!a.shadow) continue;
        __nv_bfloat162 *shadow = (__nv_bfloat162 *)a.shadow + 2 * i;
        shadow[0] = __floats2bfloat162_rn(p.x, p.y);
        shadow[1] = __floats2bfloat162_rn(p.z, p.w);
    }
    int64_t i = quads * 4 + at;
    if (i >= a.count) return;
    adamw_one(f, a.grad[i], a.param[i], a.m[i], a.v[i]);
    if (a.shadow) a.shadow[i] = __bfloat16_as_ushort(__float2bfloat16_rn(a.param[i]));
}
