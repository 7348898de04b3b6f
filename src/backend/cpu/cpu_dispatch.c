/* cpu_dispatch: which kernels run. The table below is the one list of tuned rows; every other row, and every call whose
 * operands are not f32 or not laid out as the tuned row wants, is the reference's. What is chosen depends on the row, its
 * dtypes and its layout only, never on sizes of caches or on timings. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_rows.h"

static bool is_f32(const struct array *a)
{
    return !a || a->dtype == DTYPE_F32;
}

static bool f32_operands(const struct op_call *call)
{
    return is_f32(call->in[0]);
}

static bool f32_contiguous(const struct op_call *call)
{
    for (int i = 0; i < OP_MAX_IN; i++)
        if (call->in[i] && (!is_f32(call->in[i]) || !array_is_contiguous(call->in[i]))) return false;
    return true;
}

/* Any view of f32 whose rows are contiguous on both sides. */
static bool f32_rows(const struct op_call *call)
{
    return is_f32(call->in[0]) && array_has_unit_last(call->in[0]) && array_has_unit_last(call->out[0]);
}

static bool f32_frozen_gain(const struct op_call *call)
{
    return is_f32(call->in[0]) && !call->out[1];
}

static bool f32_matrices(const struct op_call *call)
{
    return is_f32(call->in[0]) && call->in[0]->ndim == 2 && call->in[1]->ndim == 2;
}

static const struct tuned {
    cpu_row run;
    bool (*fits)(const struct op_call *call);
} tuned[OP_COUNT] = {
    [OP_LINEAR] = {cpu_linear, f32_operands},
    [OP_LINEAR_BWD] = {cpu_linear_bwd, f32_operands},
    [OP_ATTENTION] = {cpu_attention, f32_operands},
    [OP_ATTENTION_BWD] = {cpu_attention_bwd, f32_operands},
    [OP_LINEAR_CROSS_ENTROPY] = {cpu_loss, f32_operands},
    [OP_RMS_NORM] = {cpu_norm, f32_operands},
    [OP_RMS_NORM_BWD] = {cpu_norm_bwd, f32_frozen_gain},
    [OP_ROPE] = {cpu_rope, f32_operands},
    [OP_SWIGLU] = {cpu_swiglu, f32_operands},
    [OP_SWIGLU_BWD] = {cpu_swiglu_bwd, f32_operands},
    [OP_MATMUL] = {cpu_matmul, f32_matrices},
    [OP_ADD] = {cpu_elementwise_binary, f32_contiguous},
    [OP_MUL] = {cpu_elementwise_binary, f32_contiguous},
    [OP_COPY] = {cpu_elementwise_copy, f32_rows},
    [OP_EXP] = {cpu_elementwise_exp, f32_contiguous},
    [OP_ACCUMULATE] = {cpu_elementwise_accumulate, f32_contiguous},
    [OP_ADAMW] = {cpu_elementwise_adamw, f32_contiguous},
    [OP_SUM_SQUARES] = {cpu_elementwise_sum_squares, f32_contiguous},
};

static enum status run(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct tuned *t = &tuned[call->op];
    if (t->run && t->fits(call)) return t->run(c, call, kernels);
    return backend_cpu_reference()->kernel[call->op](c, call);
}

/* One backend for each table of inner loops: every row goes through `run`. */
static enum status run_portable(struct ctx *c, const struct op_call *call)
{
    return run(c, call, &cpu_kernels_portable);
}

static const struct backend portable = {
    .name = "cpu-portable",
    .kernel =
        {
#define OP(NAME, name, n_in, n_out, params, diff, saves) [OP_##NAME] = run_portable,
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

#if defined(__x86_64__)
static enum status run_avx2(struct ctx *c, const struct op_call *call)
{
    return run(c, call, &cpu_kernels_avx2);
}

static const struct backend avx2 = {
    .name = "cpu-avx2",
    .kernel =
        {
#define OP(NAME, name, n_in, n_out, params, diff, saves) [OP_##NAME] = run_avx2,
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

/* F16C came before AVX2 in every processor, and clang 14 cannot ask for it. */
static const struct backend *find_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &avx2 : NULL;
}
#else
static const struct backend *find_avx2(void)
{
    return NULL;
}
#endif

#if defined(__aarch64__)
static enum status run_neon(struct ctx *c, const struct op_call *call)
{
    return run(c, call, &cpu_kernels_neon);
}

static const struct backend neon = {
    .name = "cpu-neon",
    .kernel =
        {
#define OP(NAME, name, n_in, n_out, params, diff, saves) [OP_##NAME] = run_neon,
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

static const struct backend *find_neon(void)
{
    return &neon;
}
#else
static const struct backend *find_neon(void)
{
    return NULL;
}
#endif

const struct backend *backend_cpu(struct ctx *c)
{
    const char *wanted = getenv("YA_CPU");
    const struct backend *avx2_here = find_avx2(), *neon_here = find_neon();
    if (!wanted || !*wanted) return avx2_here ? avx2_here : neon_here ? neon_here : &portable;
    if (strcmp(wanted, "portable") == 0) return &portable;
    if (strcmp(wanted, "reference") == 0) return backend_cpu_reference();
    if (strcmp(wanted, "avx2") == 0) {
        if (!avx2_here) ctx_fail(c, E_UNSUPPORTED, "YA_CPU=avx2: this processor has no AVX2 and FMA; unset YA_CPU");
        return avx2_here;
    }
    if (strcmp(wanted, "neon") == 0) {
        if (!neon_here) ctx_fail(c, E_UNSUPPORTED, "YA_CPU=neon: this processor is no AArch64; unset YA_CPU");
        return neon_here;
    }
    ctx_fail(c, E_UNSUPPORTED, "YA_CPU=%s: must be portable, avx2, neon or reference", wanted);
    return NULL;
}
