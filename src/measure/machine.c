/* machine: the ceilings that `bench` compares kernels with. Arithmetic: independent chains of multiply-adds in registers, so
 * that nothing waits for memory. Memory: sums over an array that is far larger than the caches. The best of several short
 * runs counts, because other work on the machine only ever makes them slower. */
#include "measure/machine.h"

#include <stdlib.h>
#include <time.h>

#include "array/array.h"
#include "array/backend.h"
#include "base/mem.h"
#include "base/processor.h"
#include "base/threads.h"

enum { RUNS = 5, THREADS_MAX = 256 /* more threads than these are not measured: 0 */ };

static double read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double machine_seconds(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double machine_cpu_seconds(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* Threads that are woken for less sleep for a part of it, which is no time of theirs but of the step. */
static const double SHORT_SECONDS = 0.02;

double machine_quiet_seconds(struct ctx *c, double seconds, double cpu_seconds)
{
    double busy = cpu_seconds / threads_count(c);
    if (!array_backend(c)->synchronous || seconds < SHORT_SECONDS) return seconds;
    return busy > seconds ? seconds : busy;
}

#if defined(__x86_64__)
#include <immintrin.h>

enum { ROUNDS = 5000000 };

/* Twelve chains cover the latency of two units. They start from different values, or the compiler makes them one; the sum
 * is returned so that they have to be computed. V: the vector of T; STEP(c): one step of a chain. */
#define CHAINS(V, T)                                                                                                        \
    V a = (V){0} + (T)1, b = a + a, d = a + b, e = a + d, f = a + e, g = a + f, h = a + g, i = a + h, j = a + i, k = a + j; \
    V l = a + k, m = a + l;                                                                                                 \
    for (int n = 0; n < ROUNDS; n++) {                                                                                      \
        STEP(a);                                                                                                            \
        STEP(b);                                                                                                            \
        STEP(d);                                                                                                            \
        STEP(e);                                                                                                            \
        STEP(f);                                                                                                            \
        STEP(g);                                                                                                            \
        STEP(h);                                                                                                            \
        STEP(i);                                                                                                            \
        STEP(j);                                                                                                            \
        STEP(k);                                                                                                            \
        STEP(l);                                                                                                            \
        STEP(m);                                                                                                            \
    }                                                                                                                       \
    a = a + b + d + e + f + g + h + i + j + k + l + m;                                                                      \
    return (float)a[0];

typedef uint32_t int_256 __attribute__((vector_size(32)));
typedef uint32_t int_512 __attribute__((vector_size(64)));

__attribute__((target("avx2,fma"))) static float multiply_add(void)
{
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
#define STEP(c) c = _mm256_fmadd_ps(c, x, y)
    CHAINS(__m256, float)
#undef STEP
}

__attribute__((target("avx512f"))) static float multiply_add_512(void)
{
    const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
#define STEP(c) c = _mm512_fmadd_ps(c, x, y)
    CHAINS(__m512, float)
#undef STEP
}

/* What the integer tiles do: pairs of 16-bit integers multiplied and added, and that added to a sum. */
__attribute__((target("avx2,fma"))) static float multiply_add_pairs(void)
{
    const __m256i x = _mm256_set1_epi16(3);
    const int_256 y = (int_256)_mm256_set1_epi32(5);
#define STEP(c) c = (int_256)_mm256_madd_epi16((__m256i)c, x) + y
    CHAINS(int_256, uint32_t)
#undef STEP
}

/* The same in one instruction. */
__attribute__((target("avx512f,avx512vnni"))) static float multiply_add_pairs_512(void)
{
    const __m512i x = _mm512_set1_epi16(3);
#define STEP(c) __asm__("vpdpwssd %1, %1, %0" : "+v"(c) : "v"(x))
    CHAINS(int_512, uint32_t)
#undef STEP
}

/* One measurement of arithmetic: the loop that all threads run, and a place for each to leave its result, so that the
 * compiler must compute it. */
struct peak {
    float (*loop)(void);
    volatile float sink[THREADS_MAX];
};

/* Work item `item` of threads_run: one thread's loop. */
static void peak_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    struct peak *p = arg;
    p->sink[item] = p->loop();
}

/* By processor time, one thread's peak is the same on a machine that others use too. With several threads the process's
 * processor time would be the sum of theirs, so the clock on the wall is taken. */
static double peak_clock(int threads)
{
    return threads == 1 ? machine_cpu_seconds() : machine_seconds();
}

/* The best rate of some runs, in 10^9 operations a second: a round is twelve instructions (CHAINS) of `operations` each, for
 * instance 16 for a multiply-add of eight f32. 0 when the processor has no AVX2 or there are more threads than places. */
static double peak_rate(struct ctx *c, int threads, float (*loop)(void), int operations)
{
    struct peak p = {.loop = loop};
    double best = 0;
    BUG_ON(c, threads < 1 || threads > threads_count(c), "%d threads of %d", threads, threads_count(c));
    if (threads > THREADS_MAX || !processor_has(PROCESSOR_AVX2)) return 0;
    for (int run = 0; run < RUNS; run++) {
        double start = peak_clock(threads);
        threads_run(c, threads, peak_item, &p);
        double rate = (double)threads * ROUNDS * 12 * operations / (peak_clock(threads) - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

double machine_fma(struct ctx *c, int threads)
{
    if (processor_has(PROCESSOR_AVX512)) return peak_rate(c, threads, multiply_add_512, 32);
    return peak_rate(c, threads, multiply_add, 16);
}

double machine_int(struct ctx *c, int threads)
{
    if (processor_has(PROCESSOR_AVX512VNNI)) return peak_rate(c, threads, multiply_add_pairs_512, 64);
    return peak_rate(c, threads, multiply_add_pairs, 32);
}
#else
double machine_fma(struct ctx *c, int threads)
{
    (void)c, (void)threads;
    return 0;
}

double machine_int(struct ctx *c, int threads)
{
    (void)c, (void)threads;
    return 0;
}
#endif

/* One measurement of reading: each thread sums `words` 64-bit words of its own part of `data`. */
struct read_work {
    const uint64_t *data;
    size_t words; /* of a work item */
    volatile uint64_t sink[THREADS_MAX];
};

/* Work item `item`: eight sums side by side, so that the additions do not wait for each other. */
static void machine_read_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    struct read_work *w = arg;
    const uint64_t *p = w->data + (size_t)item * w->words;
    uint64_t s[8] = {0};
    for (size_t i = 0; i + 8 <= w->words; i += 8)
        for (int j = 0; j < 8; j++) s[j] += p[i + (size_t)j];
    w->sink[item] = s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
}

double machine_read(struct ctx *c, size_t bytes)
{
    struct read_work w = {.words = bytes / sizeof(uint64_t)};
    int threads = threads_count(c);
    uint64_t *data = threads > THREADS_MAX ? NULL : mem_alloc_aligned(c, bytes * (size_t)threads);
    double best = 0;
    if (!data) return 0;
    for (size_t i = 0; i < bytes / sizeof *data * (size_t)threads; i++) data[i] = i;
    w.data = data;
    for (int run = 0; run < RUNS; run++) {
        double start = machine_seconds();
        threads_run(c, threads, machine_read_item, &w);
        double rate = (double)bytes * threads / (machine_seconds() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    mem_free(c, data);
    return best;
}
