/* cuda_ptx: the instructions that CUDA C++ has no functions for: tensor core products, ldmatrix, asynchronous copies. The emulator
 * of the tests (tests/cuda/emulator) replaces this file by functions of the same names. */
#ifndef YA_BACKEND_CUDA_PTX_CUH
#define YA_BACKEND_CUDA_PTX_CUH

#include "backend/cuda/cuda_common.cuh"

/* Declares the shared memory whose size is given at the launch (struct cuda_grid): one array in each kernel. */
#define DYNAMIC_SHARED(type, name) extern __shared__ __align__(16) type name[]

typedef uint32_t shared_pointer; /* an address within shared memory */

/* The address within shared memory of what a generic pointer points to. */
static __device__ __forceinline__ shared_pointer shared_address(const void *p)
{
    return (shared_pointer)__cvta_generic_to_shared(p);
}

/* c (16, 8) += a (16, 16) b (16, 8), bf16 with f32 sums, by one warp; which lane holds which element: cuda_mma.cuh. */
static __device__ __forceinline__ void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* 2^x to 2 units in the last place; -inf gives 0. */
static __device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Eight bf16 that are read once, past the first-level cache. Volatile: several of these begin in the order of the source,
 * ahead of the first use, which the compiler would otherwise move them behind. */
static __device__ __forceinline__ octet octet_stream(const bf16_bits *from)
{
    uint4 w;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(w.x), "=r"(w.y), "=r"(w.z), "=r"(w.w) : "l"(from));
    octet value;
    memcpy(&value, &w, sizeof(value));
    return value;
}

/* The f32 of an f16's bits. */
static __device__ __forceinline__ float half_widen(uint16_t bits)
{
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(bits));
    return f;
}

/* Loads four 8 x 8 matrices of bf16 from shared memory into the warp's registers, in the layout of mma operands: lanes 8 i to
 * 8 i + 7 give the addresses of the eight rows of matrix i. ldmatrix_trans transposes each matrix on the way. */
static __device__ __forceinline__ void ldmatrix(uint32_t r[4], shared_pointer address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

/* ldmatrix with each of the four matrices transposed. */
static __device__ __forceinline__ void ldmatrix_trans(uint32_t r[4], shared_pointer address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

/* Starts copying 16 bytes from device to shared memory; zeros instead when `inside` is false. */
static __device__ __forceinline__ void fetch_octet(bf16_bits *to, const bf16_bits *from, bool inside)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(inside ? 16 : 0)
                 : "memory");
}

/* Copies started since the last fetch_commit become a group; fetch_wait returns when at most PENDING groups of this thread are
 * still under way. Other threads' copies are visible after a barrier. */
static __device__ __forceinline__ void fetch_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int PENDING> static __device__ __forceinline__ void fetch_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

/* A barrier in shared memory (mbarrier in the PTX manual). It counts arrivals and the bytes of copies that were announced; when
 * both are complete its phase ends, and the next begins with the same count. Phases are told apart by their parity: the first
 * has 0. barrier_begin lets the other threads and the copy engine see new barriers, after a __syncthreads. */
static __device__ __forceinline__ void barrier_make(uint64_t *b, int arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
}
static __device__ __forceinline__ void barrier_begin()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/* One arrival. What the thread wrote to shared memory before is visible to those who have waited. */
static __device__ __forceinline__ void barrier_arrive(uint64_t *b)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}

/* An arrival that also announces copies of so many bytes. */
static __device__ __forceinline__ void barrier_expect(uint64_t *b, int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
}

/* Waits until the phase of this parity has ended. */
static __device__ __forceinline__ void barrier_wait(uint64_t *b, int parity)
{
    uint32_t done;
    do {
        asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}\n"
                     : "=r"(done)
                     : "r"(shared_address(b)), "r"(parity)
                     : "memory");
    } while (!done);
}

/* Starts the copy of one box of a matrix, from this column and row on; its bytes count on the barrier. */
static __device__ __forceinline__ void box_fetch(bf16_bits *to, const cuda_tile_map *from, int col, int row, uint64_t *b)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(shared_address(b)), "r"(col), "r"(row)
                 : "memory");
}

#endif

#endif
