/* cuda_wgmma: products of 64 rows by a group of four warps, the tensor cores' full rate on compute capability 9.0: operands lie
 * in shared memory (or the left one in registers) and the instruction runs beside the warps until they wait for it.
 *
 * Tiles are laid out for it: halves of 64 columns one behind the other, each a block of rows of 128 bytes, from a multiple of
 * 1024 bytes on. Within a row chunk c of 16 bytes lies at place c XOR (row mod 8), the 128-byte swizzle: eight rows read at one
 * column then touch all banks of shared memory instead of one. Where there is no such instruction (another card's code, the
 * emulator of the tests) mma_bf16 makes the same products from the same tiles, slowly.
 *
 * Left operands in registers have the layout of accumulators (cuda_mma.cuh), warp w of the group holding rows [16 w, 16 w + 16),
 * so probabilities go from the first product into the second without passing through shared memory. */
#ifndef YA_BACKEND_CUDA_WGMMA_CUH
#define YA_BACKEND_CUDA_WGMMA_CUH

#include "backend/cuda/cuda_mma.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HAVE_WGMMA 1
#else
#define HAVE_WGMMA 0
#endif

/* Index of element (row, col) in a tile of ROWS rows, swizzled as above. */
template <int ROWS> static __device__ __forceinline__ int wide_at(int row, int col)
{
    return (col >> 6) * (ROWS * 64) + row * 64 + ((((col >> 3) & 7) ^ (row & 7)) << 3) + (col & 7);
}

/* The first multiple of BULK_ALIGN bytes in dynamic shared memory, which is asked for with so many more. */
static __device__ __forceinline__ bf16_bits *wide_begin(bf16_bits *shared)
{
    return shared + (BULK_ALIGN - (int)((uintptr_t)shared_address(shared) % BULK_ALIGN)) % BULK_ALIGN / 2;
}

#if HAVE_WGMMA

/* Orders earlier uses of the accumulators before the wgmma instructions that follow. */
static __device__ __forceinline__ void wgmma_begin()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

/* Closes the group of products queued since wgmma_begin and waits until it is done. */
static __device__ __forceinline__ void wgmma_wait()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

/* The same in two steps: closes a group; waits until at most PENDING of the groups that were closed last are still under way.
 * Groups end in their order. */
static __device__ __forceinline__ void wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int PENDING> static __device__ __forceinline__ void wgmma_pending()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

/* Registers of a thread of this group of four warps: fewer for one that only moves data, more for those that multiply. The
 * number is a multiple of 8; all warps of the group must call it. */
template <int N> static __device__ __forceinline__ void registers_give()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N> static __device__ __forceinline__ void registers_take()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

/* Keeps the compiler from moving uses of accumulators over a wait. */
template <int N> static __device__ __forceinline__ void wgmma_hold(float d[N][4])
{
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) asm volatile("" : "+f"(d[n][e])::"memory");
    }
}

/* The descriptor of an operand in shared memory (PTX manual, "Matrix descriptor"), in units of 16 bytes: its address in bits 0 to
 * 13; in bits 16 to 29 the distance of the halves of columns, in bytes `halves`, which matters only where a product crosses them;
 * in bits 32 to 45 the distance of groups of eight rows, 1024 bytes; and in bits 62 and 63 the code 1 for the 128-byte swizzle. */
static __device__ __forceinline__ uint64_t wgmma_operand(const bf16_bits *at, int halves)
{
    return (uint64_t)((shared_address(at) & 0x3ffff) >> 4) | (uint64_t)(halves >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}

#define WGMMA_OUT(d, i) "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])
#define WGMMA_FRESH(d, i) "=f"(d[i][0]), "=f"(d[i][1]), "=f"(d[i][2]), "=f"(d[i][3])
#define WGMMA_FRESH_8(d, i)                                                                                                   \
    WGMMA_FRESH(d, i), WGMMA_FRESH(d, i + 1), WGMMA_FRESH(d, i + 2), WGMMA_FRESH(d, i + 3), WGMMA_FRESH(d, i + 4), WGMMA_FRESH(d, i + 5), \
        WGMMA_FRESH(d, i + 6), WGMMA_FRESH(d, i + 7)
#define WGMMA_OUT_8(d, i)                                                                                                   \
    WGMMA_OUT(d, i), WGMMA_OUT(d, i + 1), WGMMA_OUT(d, i + 2), WGMMA_OUT(d, i + 3), WGMMA_OUT(d, i + 4), WGMMA_OUT(d, i + 5), \
        WGMMA_OUT(d, i + 6), WGMMA_OUT(d, i + 7)

/* The instructions, by the number of columns of the result (64 or 128) and by where the left operand lies. Their last constants
 * are: scale of a and of b (1), and which operands are transposed. `add` 0: d is overwritten, else added to. Products with shared
 * left operands have b as rows of the result's columns (S = q k^T); those with registers have b as it is (o += P v). */
#define WGMMA_SHARED_64(OUT, ADD)                                                                                           \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"                                                   \
                 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18,  "                   \
                 "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31 "                                         \
                 "}, %32, %33, " ADD ", 1, 1, 0, 0;\n"                                                                      \
                 : OUT(d, 0)                                                                                                \
                 : "l"(a), "l"(b))

/* d (64, 64) += a b^T, a in shared memory; or d = a b^T. */
template <bool ADD> static __device__ __forceinline__ void wgmma_shared(float (&d)[8][4], uint64_t a, uint64_t b)
{
    if (ADD) WGMMA_SHARED_64(WGMMA_OUT_8, "1");
    else WGMMA_SHARED_64(WGMMA_FRESH_8, "0");
}

/* d (64, 64) += a b, a in registers. */
static __device__ __forceinline__ void wgmma_registers_64(float d[8][4], const uint32_t a[4], uint64_t b)
{
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
                 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18,  "
                 "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31 "
                 "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 1;\n"
                 : WGMMA_OUT_8(d, 0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

#define WGMMA_SHARED_128(OUT, ADD)                                                                                          \
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"                                                  \
                 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18,  "                   \
                 "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35,  "                   \
                 "%36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52,  "                   \
                 "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63 "                                                   \
                 "}, %64, %65, " ADD ", 1, 1, 0, 0;\n"                                                                      \
                 : OUT(d, 0), OUT(d, 8)                                                                                     \
                 : "l"(a), "l"(b))

/* The same for 128 columns. */
template <bool ADD> static __device__ __forceinline__ void wgmma_shared(float (&d)[16][4], uint64_t a, uint64_t b)
{
    if (ADD) WGMMA_SHARED_128(WGMMA_OUT_8, "1");
    else WGMMA_SHARED_128(WGMMA_FRESH_8, "0");
}

/* d (64, 128) += a b, a in registers. */
static __device__ __forceinline__ void wgmma_registers_128(float d[16][4], const uint32_t a[4], uint64_t b)
{
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
                 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18,  "
                 "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35,  "
                 "%36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52,  "
                 "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63 "
                 "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 1;\n"
                 : WGMMA_OUT_8(d, 0), WGMMA_OUT_8(d, 8)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

/* Queues s (64, N) = rows [row, row + 64) of the tile a (A_ROWS, DIM) times the N rows of the tile b, transposed. */
template <int DIM, int N, int A_ROWS>
static __device__ __forceinline__ void wide_scores(float (&s)[N / 8][4], const bf16_bits *a, int row, const bf16_bits *b)
{
    uint64_t left = wgmma_operand(a + row * 64, 16), right = wgmma_operand(b, 16);
#pragma unroll
    for (int k = 0; k < DIM / 16; k++) { /* operands count 16 bytes: 8 elements */
        int of_left = ((k >> 2) * (A_ROWS * 64) + (k & 3) * 16) / 8, of_right = ((k >> 2) * (N * 64) + (k & 3) * 16) / 8;
        if (k == 0) wgmma_shared<false>(s, left, right);
        else wgmma_shared<true>(s, left + of_left, right + of_right);
    }
}

/* Rounds p (64, K) to bf16 as left operands of 16 columns each. */
template <int K> static __device__ __forceinline__ void wide_round(uint32_t left[K / 16][4], float p[K / 8][4])
{
#pragma unroll
    for (int k = 0; k < K / 16; k++) accumulators_as_a(left[k], p[2 * k], p[2 * k + 1]);
}

/* Queues o (64, DIM) += p (64, K) times the tile b (K, DIM). */
template <int DIM, int K>
static __device__ __forceinline__ void wide_weighted(float o[DIM / 8][4], const uint32_t left[K / 16][4], const bf16_bits *b)
{
    uint64_t right = wgmma_operand(b, K * 128);
#pragma unroll
    for (int k = 0; k < K / 16; k++) {
        if (DIM == 64) wgmma_registers_64(o, left[k], right + 16 * k * 64 / 8);
        else wgmma_registers_128(o, left[k], right + 16 * k * 64 / 8);
    }
}

#else

static __device__ __forceinline__ void wgmma_begin()
{
}
static __device__ __forceinline__ void wgmma_wait()
{
}
static __device__ __forceinline__ void wgmma_commit()
{
}
template <int PENDING> static __device__ __forceinline__ void wgmma_pending()
{
}
template <int N> static __device__ __forceinline__ void registers_give()
{
}
template <int N> static __device__ __forceinline__ void registers_take()
{
}
template <int N> static __device__ __forceinline__ void wgmma_hold(float d[N][4])
{
    (void)d;
}

/* Without wgmma: the same products by mma.sync, fragment by fragment. Only the names and results agree; nothing is queued, so the
 * fences have nothing to do. */

/* Two neighbours along a row, or one below the other, as one register. */
template <int ROWS> static __device__ __forceinline__ uint32_t wide_pair(const bf16_bits *t, int row, int col, bool below)
{
    bf16_bits x = t[wide_at<ROWS>(row, col)], y = below ? t[wide_at<ROWS>(row + 1, col)] : t[wide_at<ROWS>(row, col + 1)];
    return (uint32_t)x | (uint32_t)y << 16;
}

template <int DIM, int N, int A_ROWS>
static __device__ __forceinline__ void wide_scores(float (&s)[N / 8][4], const bf16_bits *a, int row, const bf16_bits *b)
{
    int lane = threadIdx.x & 31, g = lane >> 2, t = 2 * (lane & 3), r = row + 16 * ((threadIdx.x >> 5) & 3) + g;
    for (int n = 0; n < N / 8; n++) {
        for (int e = 0; e < 4; e++) s[n][e] = 0;
        for (int k = 0; k < DIM; k += 16) {
            const uint32_t left[4] = {wide_pair<A_ROWS>(a, r, k + t, false), wide_pair<A_ROWS>(a, r + 8, k + t, false),
                                      wide_pair<A_ROWS>(a, r, k + 8 + t, false), wide_pair<A_ROWS>(a, r + 8, k + 8 + t, false)};
            mma_bf16(s[n], left, wide_pair<N>(b, 8 * n + g, k + t, false), wide_pair<N>(b, 8 * n + g, k + 8 + t, false));
        }
    }
}

template <int K> static __device__ __forceinline__ void wide_round(uint32_t left[K / 16][4], float p[K / 8][4])
{
    for (int k = 0; k < K / 16; k++) accumulators_as_a(left[k], p[2 * k], p[2 * k + 1]);
}

template <int DIM, int K>
static __device__ __forceinline__ void wide_weighted(float o[DIM / 8][4], const uint32_t left[K / 16][4], const bf16_bits *b)
{
    int lane = threadIdx.x & 31, g = lane >> 2, t = 2 * (lane & 3);
    for (int n = 0; n < DIM / 8; n++) {
        for (int k = 0; k < K; k += 16)
            mma_bf16(o[n], left[k / 16], wide_pair<K>(b, k + t, 8 * n + g, true), wide_pair<K>(b, k + 8 + t, 8 * n + g, true));
    }
}

#endif
#endif
