/* bench_peak: what a machine's cores do at most together, by loops that do nothing else; training by number of threads is
 * held against it.
 *
 * usage: bench_peak [THREADS ...] (1 2 4 8 16): a line for each. f32 multiply-adds of the widest vectors; tdpbf16ps alone
 * and with the four loads from L1 that four of them need in a product (0 where the processor has no AMX); reading memory
 * that no cache holds, and 8 MiB that all threads read over and over, as they do the packed panels of a product. Wall time,
 * the best of five runs (three of reading over and over). */
#include <stdio.h>
#include <stdlib.h>

#include "backend/backend_open.h"
#include "base/ctx.h"
#include "base/mem.h"
#include "base/processor.h"
#include "base/system.h"
#include "base/threads.h"
#include "measure/machine.h"
#ifdef __x86_64__
#include "backend/cpu/gemm/tiles_amx.h"
#endif

/* ROUND_OPERATIONS: of four tdpbf16ps, 16 x 16 x 32 multiply-adds each. */
enum {
    RUNS = 5,
    TILE_ROUNDS = 400000,
    ROUND_OPERATIONS = 4 * 2 * 16 * 16 * 32,
    SHARED_BYTES = 8 << 20,
    SHARED_TIMES = 20,
    MEMORY_BYTES = 1 << 30
};

typedef uint64_t line __attribute__((vector_size(64)));

/* A loop that every thread runs as a work item of its own. */
struct loop {
    const line *shared;
    volatile uint64_t sink[64];
};

#ifdef __x86_64__
/* `loads`: whether the operands are loaded for every four instructions, as a product does. */
static inline __attribute__((always_inline)) void tile_rounds(const bool loads)
{
    char a[4][TILE_ROWS * TILE_ROW_BYTES] __attribute__((aligned(64))) = {{0}};
    tiles_open();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, a[0], TILE_ROW_BYTES);
    _tile_loadd(5, a[1], TILE_ROW_BYTES);
    _tile_loadd(6, a[2], TILE_ROW_BYTES);
    _tile_loadd(7, a[3], TILE_ROW_BYTES);
    for (int i = 0; i < TILE_ROUNDS; i++) {
        if (loads) _tile_loadd(4, a[0], TILE_ROW_BYTES);
        if (loads) _tile_loadd(6, a[2], TILE_ROW_BYTES);
        _tile_dpbf16ps(0, 4, 6);
        if (loads) _tile_loadd(7, a[3], TILE_ROW_BYTES);
        _tile_dpbf16ps(1, 4, 7);
        if (loads) _tile_loadd(5, a[1], TILE_ROW_BYTES);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    tiles_close();
}

static void tiles_alone(void *arg, int64_t item, int worker)
{
    (void)arg, (void)item, (void)worker;
    tile_rounds(false);
}

static void tiles_loaded(void *arg, int64_t item, int worker)
{
    (void)arg, (void)item, (void)worker;
    tile_rounds(true);
}
#endif

/* Reads the shared bytes so many times, each thread from a place of its own on. */
static void read_shared(void *arg, int64_t item, int worker)
{
    (void)worker;
    struct loop *l = arg;
    const size_t lines = SHARED_BYTES / sizeof(line), from = (size_t)item % 64 * (lines / 64);
    line s[4] = {{0}};
    for (int time = 0; time < SHARED_TIMES; time++)
        for (size_t i = 0; i < lines; i += 4) {
            const line *p = l->shared + (from + i) % lines;
            for (int j = 0; j < 4; j++) s[j] += p[j];
        }
    s[0] += s[1] + s[2] + s[3];
    l->sink[item % 64] = s[0][0] + s[0][7];
}

/* The best of some runs of `amount` a thread, in 10^9 a second of all of them. */
static double rate(struct ctx *c, void (*fn)(void *arg, int64_t item, int worker), struct loop *l, double amount, int runs)
{
    double best = 0;
    for (int run = 0; run < runs; run++) {
        double start = machine_seconds();
        threads_run(c, threads_count(c), fn, l);
        double seconds = machine_seconds() - start, now = amount * threads_count(c) / seconds * 1e-9;
        best = now > best ? now : best;
    }
    return best;
}

/* One line for so many threads; false with the ctx's message. */
static bool print_line(struct ctx *c, struct loop *l, int threads)
{
    double alone = 0, loaded = 0;
    if (ctx_set_threads(c, threads) != OK) return false;
#ifdef __x86_64__
    if (processor_has(PROCESSOR_AMX) && system_allow_tiles()) {
        alone = rate(c, tiles_alone, l, (double)TILE_ROUNDS * ROUND_OPERATIONS, RUNS);
        loaded = rate(c, tiles_loaded, l, (double)TILE_ROUNDS * ROUND_OPERATIONS, RUNS);
    }
#endif
    double fma = machine_fma(c, threads), shared = rate(c, read_shared, l, (double)SHARED_BYTES * SHARED_TIMES, 3);
    double memory = machine_read(c, (size_t)MEMORY_BYTES / (size_t)threads / 64 * 64);
    printf("%3d threads  f32 multiply-adds %8.1f  tdpbf16ps %8.1f  with loads %8.1f GFLOP/s  memory %6.1f  shared 8 MiB "
           "%7.1f GB/s\n",
           threads, fma, alone, loaded, memory, shared);
    fflush(stdout);
    return ctx_ok(c);
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {"1", "2", "4", "8", "16"};
    static struct loop l;
    struct ctx *c = ctx_new(NULL);
    uint64_t *shared = c ? mem_alloc_aligned(c, SHARED_BYTES) : NULL;
    for (size_t i = 0; shared && i < SHARED_BYTES / sizeof *shared; i++) shared[i] = i;
    l.shared = (const line *)shared;
    int n = argc > 1 ? argc - 1 : (int)(sizeof usual / sizeof *usual);
    for (int i = 0; shared && ctx_ok(c) && i < n; i++) print_line(c, &l, atoi(argc > 1 ? argv[i + 1] : usual[i]));
    int failed = !c || !shared || !ctx_ok(c);
    if (failed) fprintf(stderr, "bench_peak: %s\n", c ? c->message : "out of memory");
    mem_free(c, shared);
    ctx_free(c);
    return failed;
}
