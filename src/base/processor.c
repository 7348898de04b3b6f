/* processor: see processor.h. The bits of cpuid and xgetbv are those of Intel's manual, volumes 1 (13.3) and 2A (CPUID). */
#include "base/processor.h"

#include <pthread.h>
#include <stdint.h>

#include "base/system.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static bool has[PROCESSOR_FEATURES];

#if defined(__x86_64__)
/* One leaf of cpuid; zeros where this processor has no such leaf. */
struct cpuid {
    unsigned a, b, c, d;
};

static struct cpuid processor_leaf(unsigned leaf, unsigned part)
{
    struct cpuid r = {0};
    __get_cpuid_count(leaf, part, &r.a, &r.b, &r.c, &r.d);
    return r;
}

/* Whether all bits of a list, such as (int[]){5, 12, -1}, are set. */
static bool all_set(unsigned word, const int *bits)
{
    for (; *bits >= 0; bits++)
        if (!(word >> *bits & 1)) return false;
    return true;
}
#define ALL_SET(word, ...) all_set(word, (const int[]){__VA_ARGS__, -1})

/* The registers that the system saves, XCR0; 0 where it uses no xsave. macOS sets the bits of AVX-512 only in threads that
 * have used it already: there AVX2 is taken. */
static uint64_t saved_registers(struct cpuid basic)
{
    uint32_t low = 0, high = 0;
    if (ALL_SET(basic.c, 27)) __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static void processor_detect(void)
{
    struct cpuid basic = processor_leaf(1, 0), more = processor_leaf(7, 0), newer = processor_leaf(7, 1);
    uint64_t saved = saved_registers(basic);
    bool avx = (saved & 0x6) == 0x6;   /* XMM and YMM */
    bool zmm = (saved & 0xe6) == 0xe6; /* and masks, and both parts of the ZMM registers */
    bool tiles = (saved & 0x60000) == 0x60000;
    has[PROCESSOR_SHA] = ALL_SET(basic.c, 9, 19) && ALL_SET(more.b, 29);
    has[PROCESSOR_AVX2] = avx && ALL_SET(basic.c, 12, 28, 29) && ALL_SET(more.b, 5);
    has[PROCESSOR_AVX512] = has[PROCESSOR_AVX2] && zmm && ALL_SET(more.b, 16, 17, 30, 31);
    has[PROCESSOR_AVX512VNNI] = has[PROCESSOR_AVX512] && ALL_SET(more.c, 11);
    has[PROCESSOR_AVX512BF16] = has[PROCESSOR_AVX512VNNI] && ALL_SET(newer.a, 5);
    has[PROCESSOR_AMX] = has[PROCESSOR_AVX512BF16] && tiles && ALL_SET(more.d, 22, 24, 25);
}
#else
static void processor_detect(void)
{
    has[PROCESSOR_NEON_DOT] = system_has_dot_product();
}
#endif

bool processor_has(enum processor_feature feature)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* cpuid is slow where a hypervisor catches it */
    pthread_once(&once, processor_detect);
    return has[feature];
}
