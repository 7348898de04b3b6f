/* machine: independent chains of multiply-adds, and sums over memory; the best of several short runs, because other
 * work on the machine only ever makes them slower. */
#include "eval/machine.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/threads.h"

enum { RUNS = 5, THREADS_MAX = 256 };

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

#if defined(__x86_64__)
#include <immintrin.h>

enum { ROUNDS = 5000000 };

/* Twelve chains cover the latency of two units. They start from different numbers, or the compiler makes them one; the sum
 * is returned so that they have to be computed. */
__attribute__((target("avx2,fma"))) static float multiply_add(void)
{
    __m256 a = _mm256_set1_ps(0.1f), b = a + a, d = a + b, e = a + d, f = a + e, g = a + f, h = a + g, i = a + h, j = a + i;
    __m256 k = a + j, l = a + k, m = a + l;
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
    for (int n = 0; n < ROUNDS; n++) {
        a = _mm256_fmadd_ps(a, x, y), b = _mm256_fmadd_ps(b, x, y), d = _mm256_fmadd_ps(d, x, y);
        e = _mm256_fmadd_ps(e, x, y), f = _mm256_fmadd_ps(f, x, y), g = _mm256_fmadd_ps(g, x, y);
        h = _mm256_fmadd_ps(h, x, y), i = _mm256_fmadd_ps(i, x, y), j = _mm256_fmadd_ps(j, x, y);
        k = _mm256_fmadd_ps(k, x, y), l = _mm256_fmadd_ps(l, x, y), m = _mm256_fmadd_ps(m, x, y);
    }
    a = a + b + d + e + f + g + h + i + j + k + l + m;
    return a[0];
}

/* What the integer tiles do: pairs of 16-bit numbers multiplied and added, and that added to a sum. */
__attribute__((target("avx2,fma"))) static float multiply_add_pairs(void)
{
    __m256i a = _mm256_set1_epi32(1), b = _mm256_add_epi32(a, a), d = _mm256_add_epi32(a, b), e = _mm256_add_epi32(a, d);
    __m256i f = _mm256_add_epi32(a, e), g = _mm256_add_epi32(a, f), h = _mm256_add_epi32(a, g), i = _mm256_add_epi32(a, h);
    __m256i j = _mm256_add_epi32(a, i), k = _mm256_add_epi32(a, j), l = _mm256_add_epi32(a, k), m = _mm256_add_epi32(a, l);
    const __m256i x = _mm256_set1_epi16(3), y = _mm256_set1_epi32(5);
#define STEP(c) c = _mm256_add_epi32(_mm256_madd_epi16(c, x), y)
    for (int n = 0; n < ROUNDS; n++) {
        STEP(a), STEP(b), STEP(d), STEP(e), STEP(f), STEP(g);
        STEP(h), STEP(i), STEP(j), STEP(k), STEP(l), STEP(m);
    }
#undef STEP
    a ^= b ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l ^ m;
    return (float)a[0];
}

struct peak {
    float (*loop)(void);
    volatile float sink[THREADS_MAX];
};

static void peak_job(void *arg, int64_t job, int worker)
{
    (void)worker;
    struct peak *p = arg;
    p->sink[job] = p->loop();
}

/* Twelve instructions a round, of `operations` each. */
static double peak_rate(struct ctx *c, int threads, float (*loop)(void), int operations)
{
    struct peak p = {.loop = loop};
    double best = 0;
    BUG_ON(c, threads < 1 || threads > threads_count(c), "%d threads of %d", threads, threads_count(c));
    if (threads > THREADS_MAX || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    for (int run = 0; run < RUNS; run++) {
        double start = machine_seconds();
        threads_run(c, threads, peak_job, &p);
        double rate = (double)threads * ROUNDS * 12 * operations / (machine_seconds() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

double machine_fma(struct ctx *c, int threads)
{
    return peak_rate(c, threads, multiply_add, 16);
}

double machine_int(struct ctx *c, int threads)
{
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

struct read_work {
    const uint64_t *data;
    size_t words; /* a job */
    volatile uint64_t sink[THREADS_MAX];
};

static void read_job(void *arg, int64_t job, int worker)
{
    (void)worker;
    struct read_work *w = arg;
    const uint64_t *p = w->data + (size_t)job * w->words;
    uint64_t s[8] = {0};
    for (size_t i = 0; i + 8 <= w->words; i += 8)
        for (int j = 0; j < 8; j++) s[j] += p[i + (size_t)j];
    w->sink[job] = s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
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
        threads_run(c, threads, read_job, &w);
        double rate = (double)bytes * threads / (machine_seconds() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    mem_free(c, data);
    return best;
}
