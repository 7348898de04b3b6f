/* cuda_ptx of the emulator: what the instructions do by the PTX manual's drawings of fragments, lane by lane. */
#ifndef YA_BACKEND_CUDA_PTX_CUH
#define YA_BACKEND_CUDA_PTX_CUH

#include "backend/cuda/cuda_common.cuh"

extern unsigned char *emulated_shared;
#define DYNAMIC_SHARED(type, name) type *name = (type *)emulated_shared

typedef const bf16_bits *shared_pointer;

static inline shared_pointer shared_address(const void *p)
{
    return (shared_pointer)p;
}

static inline float exp2_fast(float x)
{
    return exp2f(x);
}

static inline octet octet_stream(const bf16_bits *from)
{
    return octet_load(from);
}

static inline float half_widen(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float size = exponent == 0    ? ldexpf((float)fraction, -24)
                 : exponent == 31 ? (fraction ? NAN : INFINITY)
                                  : ldexpf((float)(1024 + fraction), exponent - 25);
    return bits >> 15 ? -size : size;
}

static inline float emulated_half(uint32_t word, int upper)
{
    return __bfloat162float({(uint16_t)(word >> 16 * upper)});
}

/* c (16, 8) += a (16, 16) b (16, 8). Lane 4 g + t holds a[g | g + 8][2 t, 2 t + 1 | + 8], b[2 t, 2 t + 1 | + 8][g]. */
static inline void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
    const unsigned char(*all)[64] = emulated_gather(mine, sizeof(mine));
    int g = emulated_current->lane / 4, t = emulated_current->lane % 4;
    for (int e = 0; e < 4; e++) {
        int row = g + 8 * (e / 2), col = 2 * t + e % 2;
        double sum = c[e];
        for (int k = 0; k < 16; k++) {
            uint32_t left[6], right[6];
            memcpy(left, all[4 * (row % 8) + k % 8 / 2], sizeof(left));
            memcpy(right, all[4 * col + k % 8 / 2], sizeof(right));
            sum += (double)emulated_half(left[row / 8 + 2 * (k / 8)], k % 2) * emulated_half(right[4 + k / 8], k % 2);
        }
        c[e] = (float)sum;
    }
}

/* Lane 8 i + j gives the address of row j of matrix i (8 x 8); lane 4 g + t gets elements 2 t and 2 t + 1 of row g. */
static inline void emulated_ldmatrix(uint32_t r[4], shared_pointer address, bool transposed)
{
    const unsigned char(*all)[64] = emulated_gather(&address, sizeof(address));
    int g = emulated_current->lane / 4, t = emulated_current->lane % 4;
    for (int i = 0; i < 4; i++) {
        uint32_t word = 0;
        for (int e = 0; e < 2; e++) {
            shared_pointer row;
            memcpy(&row, all[8 * i + (transposed ? 2 * t + e : g)], sizeof(row));
            word |= (uint32_t)row[transposed ? g : 2 * t + e] << 16 * e;
        }
        r[i] = word;
    }
}
static inline void ldmatrix(uint32_t r[4], shared_pointer address)
{
    emulated_ldmatrix(r, address, false);
}
static inline void ldmatrix_trans(uint32_t r[4], shared_pointer address)
{
    emulated_ldmatrix(r, address, true);
}

/* Copies arrive at once: a wait that is missing does not show here. */
static inline void fetch_octet(bf16_bits *to, const bf16_bits *from, bool inside)
{
    if (inside) memcpy(to, from, 16);
    else memset(to, 0, 16);
}
static inline void fetch_commit()
{
}
template <int PENDING> static inline void fetch_wait()
{
}

/* A barrier in shared memory. Copies arrive at once, so what it counts are arrivals. */
struct emulated_barrier {
    uint16_t arrivals, missing;
    uint32_t phase;
};
void emulated_barrier_wait(const emulated_barrier *b, int parity);

static inline void barrier_make(uint64_t *b, int arrivals)
{
    emulated_barrier made = {(uint16_t)arrivals, (uint16_t)arrivals, 0};
    memcpy(b, &made, sizeof(made));
}
static inline void barrier_begin()
{
}
static inline void barrier_arrive(uint64_t *at)
{
    emulated_barrier *b = (emulated_barrier *)at;
    if (--b->missing == 0) b->missing = b->arrivals, b->phase++;
}
static inline void barrier_expect(uint64_t *b, int)
{
    barrier_arrive(b);
}
static inline void barrier_wait(uint64_t *b, int parity)
{
    emulated_barrier_wait((const emulated_barrier *)b, parity);
}

/* One box of 64 rows and 64 columns, swizzled; the map is what emulated_tiles.h makes. */
static inline void box_fetch(bf16_bits *to, const cuda_tile_map *map, int col, int row, uint64_t *)
{
    const bf16_bits *from = (const bf16_bits *)map->words[0];
    int cols = (int)map->words[1], rows = (int)map->words[2], stride = (int)map->words[3] / 2;
    for (int i = 0; i < 64 * 64; i++) {
        int r = i / 64, c = i % 64;
        bool inside = row + r < rows && col + c < cols;
        to[r * 64 + (((c >> 3) ^ (r & 7)) << 3) + (c & 7)] = inside ? from[(int64_t)(row + r) * stride + col + c] : 0;
    }
}

#endif
