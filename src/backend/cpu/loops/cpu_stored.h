/* cpu_stored: the loops over stored weights, a part of cpu_loops.h and compiled with it: vectors of LANES floats. Layouts
 * are described in array/codec. Types that are common have loops of their own; all others are taken apart by the codec
 * first. */
#include "array/codec/nf4.h"
#include "array/codec/quant.h"
#include "base/le.h"

typedef uint16_t vu16 __attribute__((vector_size(LANES * 2), aligned(1), may_alias));

/* LANES bytes as f32, and LANES bytes' nibbles, those from bit `shift` on. gcc 12 turns a conversion of a vector of bytes
 * into one of each element, so that instructions are named where they exist. */
#if defined(__AVX512F__)
INLINE vf bytes_to_f32(const int8_t *p)
{
    return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

INLINE vf nibbles_to_f32(const uint8_t *p, const int shift)
{
    __m128i bytes = _mm_srli_epi16(_mm_loadu_si128((const __m128i *)(const void *)p), shift);
    return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_and_si128(bytes, _mm_set1_epi8(15))));
}
#elif defined(__AVX2__)
INLINE vf bytes_to_f32(const int8_t *p)
{
    return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

INLINE vf nibbles_to_f32(const uint8_t *p, const int shift)
{
    __m128i bytes = _mm_srli_epi16(_mm_loadl_epi64((const __m128i *)(const void *)p), shift);
    return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_and_si128(bytes, _mm_set1_epi8(15))));
}
#else
INLINE vf bytes_to_f32(const int8_t *p)
{
    vf v;
    for (int i = 0; i < LANES; i++) v[i] = (float)p[i];
    return v;
}

INLINE vf nibbles_to_f32(const uint8_t *p, const int shift)
{
    vf v;
    for (int i = 0; i < LANES; i++) v[i] = (float)(p[i] >> shift & 15);
    return v;
}
#endif

enum { BLOCK = 32 };

/* bf16 is the upper half of an f32. */
static void widen_bf16(const uint8_t *p, float *dst, int64_t n)
{
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) store(dst + j, (vf)(__builtin_convertvector(*(const vu16 *)(p + j * 2), vu) << 16));
    for (; j < n; j++) dst[j] = bf16_to_f32(le_u16(p + j * 2));
}

/* A scale of a block, at any address. */
static float load_f16(const uint8_t *p)
{
    return f16_to_f32(le_u16(p));
}

/* Q8_0: an f16 scale and 32 signed bytes. */
static void widen_q8(const uint8_t *p, float *dst, int64_t n)
{
    for (int64_t j = 0; j < n; j += BLOCK, p += 2 + BLOCK) {
        float d = load_f16(p);
        for (int i = 0; i < BLOCK; i += LANES) store(dst + j + i, d * bytes_to_f32((const int8_t *)p + 2 + i));
    }
}

/* Both 4-bit types: element = d * (q - zero) + m, the sum rounded once because the product is exact. */
INLINE void widen_q4(const uint8_t *p, float *dst, int64_t n, const bool has_offset)
{
    const float zero = has_offset ? 0.0f : 8.0f;
    for (int64_t j = 0; j < n; j += BLOCK, p += BLOCK / 2) {
        float d = load_f16(p), m = has_offset ? load_f16(p + 2) : -0.0f;
        p += has_offset ? 4 : 2;
        for (int i = 0; i < BLOCK / 2; i += LANES) {
            store(dst + j + i, d * (nibbles_to_f32(p + i, 0) - zero) + m);
            store(dst + j + BLOCK / 2 + i, d * (nibbles_to_f32(p + i, 4) - zero) + m);
        }
    }
}

/* Elements i .. of a block, within a group. */
INLINE vf widen_codes(const struct quant_codes *c, int i)
{
    return c->scale[i / QUANT_GROUP] * bytes_to_f32(c->code + i) + c->offset[i / QUANT_GROUP];
}

/* Blocks of any type. */
static void widen_blocks(enum tensor_type type, const uint8_t *p, float *dst, int64_t n)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    quant_decode *decode = quant_decoder(type);
    struct quant_codes c;
    for (int64_t j = 0; j < n; j += info->block, p += info->bytes) {
        decode(p, &c);
        for (int i = 0; i < info->block; i += LANES) store(dst + j + i, widen_codes(&c, i));
    }
}

/* Rows of blocks of any type times a vector. */
static void loop_dot_blocks(const struct cpu_dot *d, float *out)
{
    const struct tensor_type_info *info = tensor_type_info(d->type);
    quant_decode *decode = quant_decoder(d->type);
    struct quant_codes c[CPU_DOT_ROWS];
    vf sum[CPU_DOT_ROWS] = {{0}};
    size_t at = 0;
    for (int64_t j = 0; j < d->k; j += info->block, at += (size_t)info->bytes) {
        for (int r = 0; r < CPU_DOT_ROWS; r++) {
            const uint8_t *block = (const uint8_t *)d->row[r] + at;
            for (int line = 0; line < info->bytes; line += 64) cpu_dot_prefetch(d, block + line);
            decode(block, &c[r]);
        }
        for (int i = 0; i < info->block; i += LANES) {
            vf x = load(d->x + j + i);
            for (int r = 0; r < CPU_DOT_ROWS; r++) sum[r] += widen_codes(&c[r], i) * x;
        }
    }
    for (int r = 0; r < CPU_DOT_ROWS; r++) out[r] = sum_lanes(sum[r]);
}

#if defined(__F16C__)
/* By the processor's conversion where there is one; false where there is none, and the codec converts. */
static bool widen_f16(const uint8_t *p, float *dst, int64_t n)
{
    int64_t j = 0;
    for (; j + 8 <= n; j += 8)
        _mm256_storeu_ps(dst + j, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + j * 2))));
    for (; j < n; j++) dst[j] = load_f16(p + j * 2);
    return true;
}
#elif defined(__aarch64__)
static bool widen_f16(const uint8_t *p, float *dst, int64_t n)
{
    int64_t j = 0;
    for (; j + 4 <= n; j += 4) vst1q_f32(dst + j, vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + j * 2))));
    for (; j < n; j++) dst[j] = load_f16(p + j * 2);
    return true;
}
#else
static bool widen_f16(const uint8_t *p, float *dst, int64_t n)
{
    (void)p, (void)dst, (void)n;
    return false;
}
#endif

/* struct cpu_kernels.widen: which loop widens which type. */
static bool loop_widen(enum tensor_type type, const void *src, float *dst, int64_t n)
{
    switch (type) {
    case TENSOR_BF16:
        widen_bf16(src, dst, n);
        return true;
    case TENSOR_F16:
        return widen_f16(src, dst, n);
    case TENSOR_Q8_0:
        widen_q8(src, dst, n);
        return true;
    case TENSOR_Q4_0:
        widen_q4(src, dst, n, false);
        return true;
    case TENSOR_Q4_1:
        widen_q4(src, dst, n, true);
        return true;
    default:
        if (!quant_decoder(type)) return false;
        widen_blocks(type, src, dst, n);
        return true;
    }
}

#if defined(__AVX512F__)
/* The 16 products scale * level are one register, which codes index by their low four bits: nothing need be masked. */
INLINE void nf4_whole_block(const struct nf4_block *b, float *dst)
{
    __m512 level = _mm512_mul_ps(_mm512_set1_ps(nf4_block_scale(b)), _mm512_loadu_ps(nf4_level));
    for (int i = 0; i < NF4_BLOCK / 2; i += 16) {
        __m512i c = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(b->codes + i)));
        _mm512_storeu_ps(dst + i, _mm512_permutexvar_ps(c, level));
        _mm512_storeu_ps(dst + NF4_BLOCK / 2 + i, _mm512_permutexvar_ps(_mm512_srli_epi32(c, 4), level));
    }
}
#elif defined(__AVX2__)
/* Eight elements whose codes are the low bits of eight lanes: the 16 products scale * level are two registers that codes
 * index by their low three bits; `top` has the fourth in the place of the sign, which blends. */
INLINE __m256 nf4_look_up(__m256 low, __m256 high, __m256i code, __m256i top)
{
    __m256 a = _mm256_permutevar8x32_ps(low, code), b = _mm256_permutevar8x32_ps(high, code);
    return _mm256_blendv_ps(a, b, _mm256_castsi256_ps(top));
}

INLINE void nf4_whole_block(const struct nf4_block *b, float *dst)
{
    __m256 scale = _mm256_set1_ps(nf4_block_scale(b));
    __m256 low = _mm256_mul_ps(scale, _mm256_loadu_ps(nf4_level)),
           high = _mm256_mul_ps(scale, _mm256_loadu_ps(nf4_level + 8));
    for (int i = 0; i < NF4_BLOCK / 2; i += 8) {
        __m256i c = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(b->codes + i)));
        _mm256_storeu_ps(dst + i, nf4_look_up(low, high, c, _mm256_slli_epi32(c, 28)));
        _mm256_storeu_ps(dst + NF4_BLOCK / 2 + i, nf4_look_up(low, high, _mm256_srli_epi32(c, 4), _mm256_slli_epi32(c, 24)));
    }
}
#elif defined(__aarch64__)
/* The 16 products scale * level are the 64 bytes that a look-up by bytes reaches: an element's indices are 4 code + 0 ..
 * 3. */
INLINE void nf4_look_up(float *dst, uint8x16x4_t products, uint8x16_t code_times_4)
{
    for (int i = 0; i < 4; i++) {
        uint8x16_t spread = vreinterpretq_u8_u32(vdupq_n_u32(0x01010101u * (uint32_t)i << 2) +
                                                 (uint32x4_t){0, 0x01010101u, 0x02020202u, 0x03030303u});
        uint8x16_t index = vqtbl1q_u8(code_times_4, spread) + vreinterpretq_u8_u32(vdupq_n_u32(0x03020100u));
        vst1q_f32(dst + 4 * i, vreinterpretq_f32_u8(vqtbl4q_u8(products, index)));
    }
}

INLINE void nf4_whole_block(const struct nf4_block *b, float *dst)
{
    float scale = nf4_block_scale(b);
    uint8x16x4_t products;
    for (int i = 0; i < 4; i++) products.val[i] = vreinterpretq_u8_f32(vmulq_n_f32(vld1q_f32(nf4_level + 4 * i), scale));
    for (int i = 0; i < NF4_BLOCK / 2; i += 16) {
        uint8x16_t codes = vld1q_u8(b->codes + i);
        nf4_look_up(dst + i, products, vshlq_n_u8(codes & vdupq_n_u8(15), 2));
        nf4_look_up(dst + NF4_BLOCK / 2 + i, products, vshlq_n_u8(vshrq_n_u8(codes, 4), 2));
    }
}
#endif

#if defined(__AVX2__) || defined(__aarch64__)
/* Whole blocks by table look-ups in registers; pieces of blocks at the ends by the codec. */
static void loop_widen_nf4(const void *row, int64_t cols, int64_t first, int64_t n, float *dst)
{
    for (int64_t at = first, end = first + n, m; at < end; at += m, dst += m) {
        struct nf4_block b = nf4_block_at(row, cols, at);
        int64_t left = b.n - at % NF4_BLOCK;
        m = end - at < left ? end - at : left;
        if (m == NF4_BLOCK)
            nf4_whole_block(&b, dst);
        else
            nf4_to_f32(row, cols, at, m, dst);
    }
}
#else
static void loop_widen_nf4(const void *row, int64_t cols, int64_t first, int64_t n, float *dst)
{
    nf4_to_f32(row, cols, first, n, dst);
}
#endif
