/* cpu_dispatch: which kernels run. The table below is the one list of tuned rows; every other row, and every call whose
 * operands are not f32 or not laid out as the tuned row wants, is the reference's. What is chosen depends on the row, its
 * dtypes and its layout only, never on sizes of caches or on timings. */
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "backend/cpu/cpu.h"
#include "backend/cpu/rows/cpu_rows.h"

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

/* The guard's two numbers are f64. */
static bool f32_update(const struct op_call *call)
{
    for (int i = 0; i < 4; i++)
        if (!is_f32(call->in[i]) || !array_is_contiguous(call->in[i])) return false;
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
    [OP_ADAMW] = {cpu_elementwise_adamw, f32_update},
    [OP_SUM_SQUARES] = {cpu_elementwise_sum_squares, f32_contiguous},
};

static enum status run(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct tuned *t = &tuned[call->op];
    if (t->run && t->fits(call)) return t->run(c, call, kernels);
    return backend_cpu_reference()->kernel[call->op](c, call);
}

#define TABLE         portable
#define LABEL         "cpu-portable"
#define FAST_INTEGERS false
#include "backend/cpu/cpu_backend.h"

static bool any_processor(void)
{
    return true;
}

#if defined(__x86_64__)
#define TABLE         avx2
#define LABEL         "cpu-avx2"
#define FAST_INTEGERS true
#include "backend/cpu/cpu_backend.h"

/* F16C came before AVX2 in every processor, and clang 14 cannot ask for it. */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#define TABLE         avx512
#define LABEL         "cpu-avx512"
#define FAST_INTEGERS false /* vpmaddwd and an addition take the ports of two multiply-adds */
#include "backend/cpu/cpu_backend.h"

#define TABLE         avx512vnni
#define LABEL         "cpu-avx512vnni"
#define FAST_INTEGERS true
#include "backend/cpu/cpu_backend.h"

#define TABLE         avx512bf16
#define LABEL         "cpu-avx512bf16"
#define FAST_INTEGERS true
#include "backend/cpu/cpu_backend.h"

#define TABLE         amx
#define LABEL         "cpu-amx"
#define FAST_INTEGERS true
#include "backend/cpu/cpu_backend.h"

/* The compilers' question is also whether the system saves the registers. */
static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx512vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

static bool has_avx512bf16(void)
{
    unsigned int eax = 0, ebx, ecx, edx; /* clang 14 cannot ask for it by name */
    return has_avx512vnni() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 5);
}

/* The tile registers are 8 KiB that Linux (5.16 and later) gives the threads of a process only if it asks for them. */
static bool has_amx(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    const unsigned int wanted = 1u << 22 | 1u << 24 | 1u << 25; /* AMX-BF16, AMX-TILE, AMX-INT8 */
    unsigned int eax, ebx, ecx, edx = 0;
    return has_avx512bf16() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & wanted) == wanted &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#endif

#if defined(__aarch64__)
#define TABLE         neon
#define LABEL         "cpu-neon"
#define FAST_INTEGERS false
#include "backend/cpu/cpu_backend.h"

#define TABLE         neon_dot
#define LABEL         "cpu-neon-dot"
#define FAST_INTEGERS true
#include "backend/cpu/cpu_backend.h"

static bool has_neon_dot(void)
{
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
}
#endif

/* Best first; the last runs anywhere. */
static const struct choice {
    const char *name;
    const struct backend *backend;
    bool (*runs_here)(void);
    const char *needs;
} choices[] = {
#if defined(__x86_64__)
    {"amx", &amx, has_amx, "AMX (tiles of bf16 and int8) and AVX-512 with VNNI and BF16, or the system does not allow it"},
    {"avx512bf16", &avx512bf16, has_avx512bf16, "AVX-512 F, BW, DQ, VL, VNNI and BF16"},
    {"avx512vnni", &avx512vnni, has_avx512vnni, "AVX-512 F, BW, DQ, VL and VNNI"},
    {"avx512", &avx512, has_avx512, "AVX-512 F, BW, DQ and VL"},
    {"avx2", &avx2, has_avx2, "AVX2 and FMA"},
#elif defined(__aarch64__)
    {"neon-dot", &neon_dot, has_neon_dot, "dot products of bytes (asimddp)"},
    {"neon", &neon, any_processor, NULL},
#endif
    {"portable", &portable, any_processor, NULL},
};

const struct backend *backend_cpu(struct ctx *c)
{
    const char *wanted = getenv("YA_CPU");
    bool any = !wanted || !*wanted;
    if (!any && strcmp(wanted, "reference") == 0) return backend_cpu_reference();
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const struct choice *choice = &choices[i];
        if (!any && strcmp(wanted, choice->name) != 0) continue;
        if (choice->runs_here()) return choice->backend;
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
