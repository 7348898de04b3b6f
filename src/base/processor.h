/* processor: which instruction sets this processor has, as the processor itself (x86) or the system (AArch64) says. The
 * compilers' own question, __builtin_cpu_supports, is not asked: some toolchains link it to a table that nobody fills, and
 * then every answer is no. */
#ifndef YA_BASE_PROCESSOR_H
#define YA_BASE_PROCESSOR_H

#include <stdbool.h>

/* Each means that the system saves the registers, too. */
enum processor_feature {
    PROCESSOR_SHA,        /* SHA extensions, with SSSE3 and SSE4.1 */
    PROCESSOR_AVX2,       /* AVX2, FMA and F16C */
    PROCESSOR_AVX512,     /* AVX-512 F, BW, DQ and VL, and what AVX2 means */
    PROCESSOR_AVX512VNNI, /* and vpdpwssd and vpdpbusd: products of 16- and 8-bit integers that add to 32 bits */
    PROCESSOR_AVX512BF16, /* and products of bf16 */
    PROCESSOR_AMX,        /* and tiles of bf16 and int8; the system may still refuse them (system_allow_tiles) */
    PROCESSOR_NEON_DOT,   /* AArch64: sdot, four products of bytes that add to 32 bits */
    PROCESSOR_FEATURES
};

/* False on a processor of another kind. Asked of the processor once; from any thread. */
bool processor_has(enum processor_feature feature);

#endif
