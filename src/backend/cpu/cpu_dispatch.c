/* cpu_dispatch: which kernels run. The table below is the one list of tuned rows; every other row, and every call whose
 * operands are not f32 or not laid out as the tuned row wants, is the reference's. What is chosen depends on the row, its
 * dtypes and its layout only, never on sizes of caches or on timings. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/ref/ref_backend.h"
#include "backend/cpu/rows/cpu_rows.h"
#include "base/processor.h"
#include "base/system.h"
#include "base/threads.h"

/* An operand that is absent passes. */
static bool is_f32(const struct array *a)
{
    return !a || a->dtype == DTYPE_F32;
}

/* The fused rows: their front ends give all operands the dtype of the first. */
static bool f32_operands(const struct op_call *call)
{
    return is_f32(call->in[0]);
}

/* LINEAR's x and LINEAR_BWD's dy, which may be rounded. */
static bool f32_or_rounded(const struct op_call *call)
{
    return is_f32(call->in[0]) || call->in[0]->dtype == DTYPE_BF16;
}

/* For rows that see their operands as one run of elements. */
static bool f32_contiguous(const struct op_call *call)
{
    for (int i = 0; i < OP_MAX_IN; i++)
        if (call->in[i] && (!is_f32(call->in[i]) || !array_is_contiguous(call->in[i]))) return false;
    return true;
}

/* ADAMW: values, gradients and both moments. Inputs 4 and 5, the guard's squared norm and stop flag, are f64. */
static bool f32_update(const struct op_call *call)
{
    for (int i = 0; i < 4; i++)
        if (!is_f32(call->in[i]) || !array_is_contiguous(call->in[i])) return false;
    return true;
}

/* Any view of f32 whose rows are contiguous on both sides, or all one number in the first. */
static bool f32_rows(const struct op_call *call)
{
    const struct array *in = call->in[0];
    bool same = in->ndim > 0 && in->stride[in->ndim - 1] == 0;
    return is_f32(in) && (array_has_unit_last(in) || same) && array_has_unit_last(call->out[0]);
}

/* RMS_NORM_BWD without dg: the norm's gain is frozen under LoRA. */
static bool f32_frozen_gain(const struct op_call *call)
{
    return is_f32(call->in[0]) && !call->out[1];
}

/* MATMUL of two matrices, without leading axes. */
static bool f32_matrices(const struct op_call *call)
{
    return is_f32(call->in[0]) && call->in[0]->ndim == 2 && call->in[1]->ndim == 2;
}

/* The rows that have a tuned kernel, and the test that a call's operands must pass for it. */
static const struct tuned {
    cpu_row run;
    bool (*fits)(const struct op_call *call);
} tuned[OP_COUNT] = {
    [OP_LINEAR] = {cpu_linear, f32_or_rounded},
    [OP_LINEAR_BWD] = {cpu_linear_bwd, f32_or_rounded},
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
    [OP_ADAMW] = {cpu_elementwise_adamw, f32_update},
    [OP_SUM_SQUARES] = {cpu_elementwise_sum_squares, f32_contiguous},
};

/* A kernel that only counts plans its work and takes its scratch like any other, but its parallel loops run idle. Rows
 * without a tuned kernel take no scratch from the step pool, so there is nothing to count. */
static enum status run_tuned(struct ctx *c, const struct tuned *t, const struct op_call *call,
                             const struct cpu_kernels *kernels, bool counting)
{
    if (!counting) return t->run(c, call, kernels);
    threads_idle(c, true);
    enum status status = t->run(c, call, kernels);
    threads_idle(c, false);
    return status;
}

enum status cpu_dispatch_run(struct backend *b, const struct op_call *call)
{
    const struct cpu_backend *cpu = (const struct cpu_backend *)b;
    const struct tuned *t = &tuned[call->op];
    if (cpu->kernels && t->run && t->fits(call)) return run_tuned(b->c, t, call, cpu->kernels, b->counting);
    return b->counting ? OK : ref_backend_run(b->c, call);
}

static bool any_processor(void)
{
    return true;
}

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return processor_has(PROCESSOR_AVX2);
}

static bool has_avx512(void)
{
    return processor_has(PROCESSOR_AVX512);
}

static bool has_avx512vnni(void)
{
    return processor_has(PROCESSOR_AVX512VNNI);
}

static bool has_avx512bf16(void)
{
    return processor_has(PROCESSOR_AVX512BF16);
}

static bool has_amx(void)
{
    return processor_has(PROCESSOR_AMX) && system_allow_tiles();
}
#endif

#if defined(__aarch64__)
static bool has_neon_dot(void)
{
    return processor_has(PROCESSOR_NEON_DOT);
}
#endif

/* Best first; the last runs anywhere. fast_integers: see struct backend. On AVX-512 without VNNI they are not: vpmaddwd
 * and an addition take the ports of two multiply-adds. */
static const struct choice {
    const char *name;
    const struct cpu_kernels *kernels; /* NULL: every row by its reference kernel */
    bool fast_integers;
    bool (*runs_here)(void);
    const char *needs;
} choices[] = {
#if defined(__x86_64__)
    {"cpu-amx", &cpu_kernels_amx, true, has_amx,
     "AMX (tiles of bf16 and int8) and AVX-512 with VNNI and BF16, or the system does not allow it"},
    {"cpu-avx512bf16", &cpu_kernels_avx512bf16, true, has_avx512bf16, "AVX-512 F, BW, DQ, VL, VNNI and BF16"},
    {"cpu-avx512vnni", &cpu_kernels_avx512vnni, true, has_avx512vnni, "AVX-512 F, BW, DQ, VL and VNNI"},
    {"cpu-avx512", &cpu_kernels_avx512, false, has_avx512, "AVX-512 F, BW, DQ and VL"},
    {"cpu-avx2", &cpu_kernels_avx2, true, has_avx2, "AVX2 and FMA"},
#elif defined(__aarch64__)
    {"cpu-neon-dot", &cpu_kernels_neon_dot, true, has_neon_dot, "dot products of bytes (asimddp)"},
    {"cpu-neon", &cpu_kernels_neon, false, any_processor, NULL},
#endif
    {"cpu-portable", &cpu_kernels_portable, false, any_processor, NULL},
    {"cpu-reference", NULL, false, any_processor, NULL},
};

/* The entry that `wanted` names, with or without "cpu-" in front; the best that runs here when it is NULL or empty. */
static const struct choice *dispatch_choose(struct ctx *c, const char *wanted)
{
    bool any = !wanted || !*wanted;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const struct choice *choice = &choices[i];
        if (!any && strcmp(wanted, choice->name) != 0 && strcmp(wanted, choice->name + strlen("cpu-")) != 0) continue;
        if (choice->runs_here()) return choice;
        if (any) continue;
        ctx_fail(c, E_UNSUPPORTED, "YA_CPU=%s: this processor has no %s; unset YA_CPU", wanted, choice->needs);
        return NULL;
    }
    ctx_fail(c, E_UNSUPPORTED,
             "YA_CPU=%s: must be amx, avx512bf16, avx512vnni, avx512, avx2, neon-dot, neon, portable or reference, as the "
             "processor has it",
             wanted);
    return NULL;
}

struct backend *cpu_backend_open(struct ctx *c, const char *name, bool counting)
{
    if (!ctx_ok(c)) return NULL;
    const struct choice *choice = dispatch_choose(c, name ? name : getenv("YA_CPU"));
    return choice ? cpu_backend_new(c, choice->name, choice->kernels, choice->fast_integers, counting) : NULL;
}
