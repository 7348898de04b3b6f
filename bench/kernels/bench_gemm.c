/* bench_gemm: products with one frozen matrix, by the form of the matrix and by --compute, and beside them those of the
 * libraries that bench/peers/gemm_peers.c knows.
 *
 * usage: bench_gemm [-t THREADS] [-r ROUNDS] [-n N] [PEERS.so]: JSON on stdout, one line for each cell on stderr; -n: only
 * shapes of that many rows of W. bench/peers/run_gemm.sh builds the peers and makes a table.
 *
 * T = 512 tokens; y = x W^T and dx = dy W through the backend's rows, without adapters; every shape on one thread
 * (processor time counts, for a machine that others use too) and on THREADS (2, wall time). Contestants take turns within
 * a round, each for some calls, so that a disturbance of the machine does not fall on one; between turns of several
 * threads there is a pause, because threads of a library that has just worked go on spinning for a while. Calls go round
 * copies of W that do not fit into the caches together; x and y are reused. On the first shape results are held against
 * sums in double. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../peers/gemm_peers.h"
#include "array/backend.h"
#include "array/codec/int8.h"
#include "backend/backend_open.h"
#include "base/mem.h"
#include "base/threads.h"
#include "measure/machine.h"

enum {
    T = 512,
    SHAPES = 9,
    MAX_COPIES = 30,
    POOL_BYTES = 64 << 20, /* of copies of one W, at least: twice a large L3 */
    MAX_SAMPLES = 512,
    TURN_MS = 25,  /* a turn is over when it has taken this long */
    PAUSE_MS = 40, /* OpenBLAS spins for about 30 */
};

static const struct {
    int64_t k, n;
} shapes[SHAPES] = {{576, 192},   {576, 576},   {576, 1536},  {1536, 576},  {576, 49152},
                    {2048, 2048}, {2048, 5632}, {5632, 2048}, {4096, 14336}};

enum kept { F32, BF16, Q4_1, NF4, INT8, POOLS };

/* What can be done with a W. */
static const struct own {
    const char *name;
    enum kept pool;
    enum compute compute;
    double tolerance; /* on the first shape, of the largest result; integers round activations */
} owns[] = {{"f32", F32, COMPUTE_F32, 1e-5},          {"bf16", BF16, COMPUTE_F32, 1e-5},
            {"q4_1", Q4_1, COMPUTE_F32, 1e-5},        {"nf4", NF4, COMPUTE_F32, 1e-5},
            {"int8", INT8, COMPUTE_F32, 1e-5},        {"int8, int8x2", INT8, COMPUTE_INT8X2, 2e-4},
            {"int8, int8", INT8, COMPUTE_INT8, 2e-2}, {"bf16, bf16", BF16, COMPUTE_BF16, 1e-2}};
enum { OWNS = sizeof owns / sizeof *owns, CONTESTANTS = OWNS + GEMM_MAX_PEERS };

struct samples {
    int n;
    double seconds[MAX_SAMPLES];
};

struct bench {
    struct ctx *c;
    int threads, rounds;
    int64_t only_n; /* 0: every shape */
    int n_peers;
    struct gemm_peer peer[GEMM_MAX_PEERS];
    int n_results;
    /* the shape at hand */
    int64_t k, n;
    int copies[POOLS];
    struct weight w[POOLS][MAX_COPIES];
    struct array *x, *y, *dx, *dy;
    uint8_t *bytes; /* activations of integer peers, for x or dy; 7 bits: oneDNN saturates with 8 where VNNI is missing */
};

/* `p`, unless it is NULL: then the ctx's message and the end of the program. */
static void *must(struct ctx *c, void *p)
{
    if (p) return p;
    fprintf(stderr, "bench_gemm: %s\n", c->message);
    exit(1);
}

/* ---- operands -------------------------------------------------------------------------------------------------------- */

/* A linear congruential generator: numbers need only be the same in every run. */
static uint32_t next_random(void)
{
    static uint32_t x = 1;
    return x = x * 1664525u + 1013904223u;
}

/* Random bits that are tame numbers in every type: bf16 and f32 near 1/64 with either sign, blocks with small scales. */
static struct weight stored(struct ctx *c, enum tensor_type type, int64_t rows, int64_t cols)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    struct weight w = {.name = "w", .type = type, .rows = rows, .cols = cols};
    w.row_bytes = (size_t)(cols / info->block * info->bytes);
    size_t bytes = (size_t)rows * w.row_bytes;
    uint8_t *data = must(c, mem_alloc_aligned(c, bytes));
    for (size_t i = 0; i < bytes; i++) {
        size_t at = i % (size_t)info->bytes;
        uint8_t random = (uint8_t)(next_random() >> 24);
        if (info->block == 1 && at == (size_t)info->bytes - 1) random = 0x3c | (random & 0x80);
        if (info->block > 1 && (at == 1 || at == 3)) random = 0x24 | (random & 0x80);
        data[i] = random;
    }
    w.data = data;
    return w;
}

/* A weight in NF4 or int8, prepared from random bf16. */
static struct weight made(struct ctx *c, enum weight_form form, int64_t rows, int64_t cols)
{
    struct weight w = stored(c, TENSOR_BF16, rows, cols);
    const struct weight_source source = {
        .type = w.type, .rows = rows, .cols = cols, .data = w.data, .row_bytes = w.row_bytes};
    void *old = (void *)(uintptr_t)w.data, *codes = must(c, mem_alloc_aligned(c, weight_form_bytes(&source, form)));
    if (weight_prepare(c, &w, w.name, &source, form, codes) != OK) must(c, NULL);
    mem_free(c, old);
    return w;
}

/* Copies of one weight until they are larger than the caches, so that each call reads its weight from memory. */
static void make_pool(struct bench *b, enum kept pool)
{
    static const enum tensor_type types[POOLS] = {[F32] = TENSOR_F32, [BF16] = TENSOR_BF16, [Q4_1] = TENSOR_Q4_1};
    struct weight *w = b->w[pool];
    w[0] =
        pool < NF4 ? stored(b->c, types[pool], b->n, b->k) : made(b->c, pool == NF4 ? WEIGHT_NF4 : WEIGHT_INT8, b->n, b->k);
    size_t bytes = (size_t)b->n * w[0].row_bytes, wanted = (POOL_BYTES + bytes - 1) / bytes;
    b->copies[pool] = (int)(wanted < MAX_COPIES ? wanted : MAX_COPIES);
    for (int i = 1; i < b->copies[pool]; i++) {
        w[i] = w[0];
        w[i].data = memcpy(must(b->c, mem_alloc_aligned(b->c, bytes)), w[0].data, bytes);
    }
}

/* (T, cols) uniform in [-0.5, 0.5). */
static struct array *noise(struct ctx *c, int64_t cols)
{
    struct array *a = must(c, array_empty(c, DTYPE_F32, 2, (int64_t[]){T, cols}));
    for (int64_t i = 0; i < T * cols; i++) ((float *)a->data)[i] = (float)(next_random() >> 8) * 0x1p-24f - 0.5f;
    return a;
}

/* Weights and operands of one shape. */
static void open_shape(struct bench *b, int64_t k, int64_t n)
{
    b->k = k;
    b->n = n;
    for (int p = 0; p < POOLS; p++) make_pool(b, (enum kept)p);
    b->x = noise(b->c, k);
    b->dy = noise(b->c, n);
    b->y = must(b->c, array_empty(b->c, DTYPE_F32, 2, b->dy->shape));
    b->dx = must(b->c, array_empty(b->c, DTYPE_F32, 2, b->x->shape));
    size_t bytes = (size_t)(T * (k > n ? k : n));
    b->bytes = must(b->c, mem_alloc_aligned(b->c, bytes));
    for (size_t i = 0; i < bytes; i++) b->bytes[i] = (uint8_t)(next_random() >> 25);
}

/* Frees the weights; arrays belong to the scope. */
static void close_shape(struct bench *b)
{
    for (int p = 0; p < POOLS; p++)
        for (int i = 0; i < b->copies[p]; i++) mem_free(b->c, (void *)(uintptr_t)b->w[p][i].data);
    mem_free(b->c, b->bytes);
}

/* ---- one call -------------------------------------------------------------------------------------------------------- */

/* One product by this program's backend. */
static void call_own(struct bench *b, const struct own *own, bool backward, int copy)
{
    struct weight w = b->w[own->pool][copy % b->copies[own->pool]];
    w.compute = own->compute;
    struct linear_params p = {.n = 1, .w = {&w}, .want_dx = true};
    struct op_call forward_call = {.op = OP_LINEAR, .in = {b->x}, .out = {b->y}, .params = &p};
    struct op_call backward_call = {.op = OP_LINEAR_BWD, .in = {b->dy, b->x}, .out = {b->dx}, .params = &p};
    struct op_call *call = backward ? &backward_call : &forward_call;
    if (array_backend(b->c)->kernel[call->op](array_backend(b->c), call) != OK) must(b->c, NULL);
}

/* The same product by another library. */
static void call_peer(struct bench *b, const struct gemm_peer *peer, bool backward, int copy)
{
    enum kept pool = peer->integer ? INT8 : F32;
    const struct weight *w = &b->w[pool][copy % b->copies[pool]];
    struct gemm_peer_call call = {.backward = backward, .t = T, .k = b->k, .n = b->n};
    call.a = peer->integer ? (void *)b->bytes : backward ? b->dy->data : b->x->data;
    call.w = peer->integer ? (const void *)int8_row_codes(w->data) : w->data;
    call.ldw = (int64_t)w->row_bytes / (peer->integer ? 1 : (int64_t)sizeof(float));
    call.out = backward ? b->dx->data : b->y->data;
    if (peer->run(&call)) return;
    fprintf(stderr, "bench_gemm: %s refuses %lld x %lld\n", peer->name, (long long)b->k, (long long)b->n);
    exit(1);
}

static const char *contestant_name(const struct bench *b, int i)
{
    return i < OWNS ? owns[i].name : b->peer[i - OWNS].name;
}

/* Contestants are numbered: ours first, then the peers'. */
static void call_contestant(struct bench *b, int i, bool backward, int copy)
{
    if (i < OWNS)
        call_own(b, &owns[i], backward, copy);
    else
        call_peer(b, &b->peer[i - OWNS], backward, copy);
}

/* ---- are they right? ------------------------------------------------------------------------------------------------- */

/* Row `token` of the result in double: of y all n, of dx all k. */
static void true_row(const struct bench *b, int i, bool backward, int64_t token, double *out)
{
    bool integer = i >= OWNS && b->peer[i - OWNS].integer;
    const struct weight *w = b->w[i < OWNS ? owns[i].pool : integer ? INT8 : F32];
    int64_t columns = backward ? b->n : b->k;
    const struct array *a = backward ? b->dy : b->x;
    double *row = must(b->c, mem_alloc(b->c, (size_t)b->k, sizeof *row));
    memset(out, 0, (size_t)(backward ? b->k : b->n) * sizeof *out);
    for (int64_t r = 0; r < b->n; r++) {
        weight_row_f64(w, r, row);
        double scale = integer ? 1 / (double)int8_row_scale(weight_row(w, r)) : 1;
        for (int64_t j = 0; j < b->k; j++) {
            int64_t at = token * columns + (backward ? r : j);
            double x = integer ? b->bytes[at] : (double)((const float *)a->data)[at];
            out[backward ? j : r] += x * row[j] * scale;
        }
    }
    mem_free(b->c, row);
}

/* One row of the result against sums in double: a peer that computes something else must not be compared. */
static void verify(struct bench *b, int i, bool backward)
{
    int64_t token = T - 3, n = backward ? b->k : b->n;
    bool integer = i >= OWNS && b->peer[i - OWNS].integer;
    double largest = 0, worst = 0, *row = must(b->c, mem_alloc(b->c, (size_t)n, sizeof *row));
    const void *result = (backward ? b->dx : b->y)->data;
    call_contestant(b, i, backward, 0);
    true_row(b, i, backward, token, row);
    for (int64_t j = 0; j < n; j++) {
        int64_t at = token * n + j;
        double got = integer ? ((const int32_t *)result)[at] : (double)((const float *)result)[at];
        largest = fmax(largest, fabs(row[j]));
        worst = fmax(worst, fabs(got - row[j]));
    }
    mem_free(b->c, row);
    if (worst <= largest * (i < OWNS ? owns[i].tolerance : 1e-5)) return;
    fprintf(stderr, "bench_gemm: %s is wrong by %g of %g\n", contestant_name(b, i), worst, largest);
    exit(1);
}

/* ---- timing ---------------------------------------------------------------------------------------------------------- */

static void pause_ms(long ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000};
    nanosleep(&t, NULL);
}

static double clock_of(int threads)
{
    return threads == 1 ? machine_cpu_seconds() : machine_seconds();
}

/* Calls a contestant until its turn is over; contestants alternate, so that a busy moment of the machine hits all of
 * them. */
static void take_turn(struct bench *b, int i, bool backward, int threads, struct samples *s)
{
    double spent = 0;
    while (spent < TURN_MS * 1e-3 && s->n < MAX_SAMPLES) {
        double start = clock_of(threads);
        call_contestant(b, i, backward, s->n);
        s->seconds[s->n] = clock_of(threads) - start;
        spent += s->seconds[s->n++];
    }
    if (threads > 1) pause_ms(PAUSE_MS);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Best and median rate of one contestant at one shape, to stderr and as JSON. */
static void print_cell(struct bench *b, int i, bool backward, int threads, struct samples *s)
{
    qsort(s->seconds, (size_t)s->n, sizeof *s->seconds, by_size);
    double flops = 2.0 * T * (double)(b->k * b->n) * 1e-9, best = flops / s->seconds[0],
           median = flops / s->seconds[s->n / 2];
    fprintf(stderr, "%5lld x %5lld  %-3s %d thread%s  %-20s %7.1f best %7.1f median %4d calls\n", (long long)b->k,
            (long long)b->n, backward ? "dx" : "y", threads, threads > 1 ? "s" : " ", contestant_name(b, i), best, median,
            s->n);
    printf("%s\n  {\"k\": %lld, \"n\": %lld, \"result\": \"%s\", \"threads\": %d, \"peer\": %s, \"name\": \"%s\", \"best\": "
           "%.1f, "
           "\"median\": %.1f, \"calls\": %d}",
           b->n_results++ ? "," : "", (long long)b->k, (long long)b->n, backward ? "dx" : "y", threads,
           i < OWNS ? "false" : "true", contestant_name(b, i), best, median, s->n);
}

/* All contestants at one shape, in rounds. */
static void run_cells(struct bench *b, bool backward, int threads)
{
    static struct samples samples[CONTESTANTS];
    int n = OWNS + b->n_peers;
    for (int i = 0; i < n; i++) samples[i].n = 0;
    for (int round = 0; round < b->rounds; round++)
        for (int i = 0; i < n; i++) take_turn(b, i, backward, threads, &samples[i]);
    for (int i = 0; i < n; i++) print_cell(b, i, backward, threads, &samples[i]);
}

/* The number of threads of this program and of every peer; the pause lets their threads go to sleep. */
static void use_threads(struct bench *b, int threads)
{
    if (ctx_set_threads(b->c, threads) != OK) must(b->c, NULL);
    for (int i = 0; i < b->n_peers; i++) b->peer[i].set_threads(threads);
    pause_ms(PAUSE_MS);
}

/* One shape, on one thread and on all. */
static void run_shape(struct bench *b, int s)
{
    int mark = scope_open(b->c);
    open_shape(b, shapes[s].k, shapes[s].n);
    for (int wide = 0; wide < (b->threads > 1 ? 2 : 1); wide++) {
        int threads = wide ? b->threads : 1;
        use_threads(b, threads);
        for (int backward = 0; backward < 2; backward++) {
            for (int i = 0; s == 0 && i < OWNS + b->n_peers; i++) verify(b, i, backward);
            run_cells(b, backward, threads);
        }
    }
    close_shape(b);
    scope_close(b->c, mark);
}

/* ---- the program ----------------------------------------------------------------------------------------------------- */

/* Opens the shared library of bench/peers/gemm_peers.c. */
static void load_peers(struct bench *b, const char *path)
{
    int (*open_peers)(struct gemm_peer *) = NULL;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library) *(void **)&open_peers = dlsym(library, "gemm_peers_open");
    if (!open_peers) {
        fprintf(stderr, "bench_gemm: %s\n", dlerror());
        exit(1);
    }
    b->n_peers = open_peers(b->peer);
}

/* What the machine can do at most, by loops that only multiply and add. */
static void print_head(struct bench *b)
{
    if (ctx_set_threads(b->c, b->threads) != OK) must(b->c, NULL);
    double f32[2] = {machine_fma(b->c, 1), machine_fma(b->c, b->threads)};
    double integer[2] = {machine_int(b->c, 1), machine_int(b->c, b->threads)};
    fprintf(stderr, "multiply-adds, one thread and %d: f32 %.1f and %.1f GFLOP/s, 16-bit integers %.1f and %.1f Gop/s\n",
            b->threads, f32[0], f32[1], integer[0], integer[1]);
    printf("{\"backend\": \"%s\", \"tokens\": %d, \"threads\": %d, \"rounds\": %d,\n \"fma_gflops\": [%.1f, %.1f], "
           "\"int_gops\": [%.1f, "
           "%.1f],\n \"peers\": [",
           array_backend(b->c)->name, T, b->threads, b->rounds, f32[0], f32[1], integer[0], integer[1]);
    for (int i = 0; i < b->n_peers; i++) {
        const struct gemm_peer *p = &b->peer[i];
        fprintf(stderr, "%s: %s, kernel %s\n", p->name, p->version, p->kernel);
        printf("%s{\"name\": \"%s\", \"version\": \"%s\", \"kernel\": \"%s\"}", i ? ", " : "", p->name, p->version,
               p->kernel);
    }
    printf("],\n \"results\": [");
}

int main(int argc, char **argv)
{
    struct bench b = {.c = ctx_new(NULL), .threads = 2, .rounds = 3};
    if (!b.c || array_env_new(b.c, backend_open(b.c, NULL)) != OK) {
        fprintf(stderr, "bench_gemm: %s\n", b.c ? b.c->message : "out of memory");
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-t") == 0 && i + 1 < argc)
            b.threads = atoi(argv[++i]);
        else if (strcmp(argv[i], "-r") == 0 && i + 1 < argc)
            b.rounds = atoi(argv[++i]);
        else if (strcmp(argv[i], "-n") == 0 && i + 1 < argc)
            b.only_n = atoi(argv[++i]);
        else
            load_peers(&b, argv[i]);
    }
    if (b.threads < 1 || b.rounds < 1) {
        fprintf(stderr, "usage: bench_gemm [-t THREADS] [-r ROUNDS] [-n N] [PEERS.so]\n");
        return 1;
    }
    print_head(&b);
    for (int s = 0; s < SHAPES; s++)
        if (b.only_n == 0 || shapes[s].n == b.only_n) run_shape(&b, s);
    printf("]}\n");
    array_env_free(b.c);
    ctx_free(b.c);
    return 0;
}
