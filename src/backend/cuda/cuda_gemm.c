/* cuda_gemm: a table from shapes of products to cuBLASLt's descriptors and the algorithm that was chosen.
 *
 * Asking cuBLASLt for algorithms costs tens of microseconds, as long as a small product takes, so the answer is kept. What
 * it may depend on is the key: the three sizes, which operands are transposed, the strides, the result's type, whether the
 * result is added to, and how the operands are aligned. The table is an open hash of fixed size, at most half full. */
#include "backend/cuda/cuda_gemm.h"
#include "backend/cuda/cuda_graph.h"

#include <stdlib.h>
#include <string.h>

/* Packed batches differ in their number of tokens, so a long run meets as many shapes as it has steps: when GEMM_MOST of
 * them are known, all are forgotten and the table begins anew. */
enum { GEMM_CANDIDATES = 16, GEMM_REPEATS = 4, GEMM_SLOTS = 2048, GEMM_MOST = GEMM_SLOTS / 2 };

/* What the choice of an algorithm may depend on. Compared by its bytes: no padding. */
struct gemm_key {
    int32_t m, n, k, flags; /* flags: a transposed, b transposed, f32 result, beta is not 0, alignment of a, b and c */
    int64_t lda, ldb, ldc;
};

struct cuda_gemm_plan {
    struct gemm_key key;
    bool used;  /* this slot of the table is taken */
    bool ready; /* descriptors exist */
    cublasLtMatmulAlgo_t algo;
    bool chosen;
    uint64_t tag; /* of the algorithm, once it was queued (cuda_graph.h) */
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, c; /* in cuBLAS's order: a is our second operand */
};

struct gemm_operands {
    const void *a, *b, *c;
    void *result;
    float alpha, beta;
};

/* Records a failed call of cuBLASLt. */
static enum status gemm_check(struct cuda *d, cublasStatus_t status, const char *what)
{
    if (status == CUBLAS_STATUS_SUCCESS) return d->c->status;
    return ctx_fail(d->c, E_IO, "CUDA: cuBLASLt: %s failed with status %d", what, (int)status);
}

/* log2 of the bytes at whose multiples all rows of a matrix begin, at most 4 (16 bytes). */
static int gemm_alignment(const struct cuda_matrix *m)
{
    uint64_t at = (uint64_t)m->data | (uint64_t)m->stride * (m->f32 ? 4 : 2) | 16;
    return __builtin_ctzll(at);
}

/* The key of a product; shapes that do not multiply are a bug of ours. */
static struct gemm_key gemm_key_of(struct cuda *d, const struct cuda_matrix *a, const struct cuda_matrix *b,
                                   const struct cuda_matrix *c, float beta)
{
    struct gemm_key key = {
        .m = c->rows,
        .n = c->cols,
        .k = a->transposed ? a->rows : a->cols,
        .flags = a->transposed | b->transposed << 1 | c->f32 << 2 | (beta != 0) << 3 | gemm_alignment(a) << 4 |
                 gemm_alignment(b) << 8 | gemm_alignment(c) << 12,
        .lda = a->stride,
        .ldb = b->stride,
        .ldc = c->stride,
    };
    int am = a->transposed ? a->cols : a->rows, bk = b->transposed ? b->cols : b->rows,
        bn = b->transposed ? b->rows : b->cols;
    BUG_ON(d->c, am != key.m || bk != key.k || bn != key.n || a->f32 || b->f32 || c->transposed,
           "gemm: (%d, %d) x (%d, %d) is not (%d, %d)", am, key.k, bk, bn, key.m, key.n);
    return key;
}

/* cuBLAS counts columns first: what it sees in our memory is the transpose, so C^T = op(B)^T op(A)^T is asked for. */
static enum status gemm_describe(struct cuda *d, struct cuda_gemm_plan *p)
{
    const struct cuda_driver *f = &d->driver;
    const struct gemm_key *k = &p->key;
    cublasOperation_t first = k->flags & 2 ? CUBLAS_OP_T : CUBLAS_OP_N, second = k->flags & 1 ? CUBLAS_OP_T : CUBLAS_OP_N;
    cudaDataType_t type = k->flags & 4 ? CUDA_R_32F : CUDA_R_16BF;
    uint64_t n = (uint64_t)k->n, m = (uint64_t)k->m, depth = (uint64_t)k->k;
    TRY(gemm_check(d, f->cublasLtMatmulDescCreate(&p->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product"));
    TRY(gemm_check(d, f->cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof(first)),
                   "transa"));
    TRY(gemm_check(d, f->cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof(second)),
                   "transb"));
    TRY(gemm_check(d,
                   f->cublasLtMatrixLayoutCreate(&p->a, CUDA_R_16BF, first == CUBLAS_OP_T ? depth : n,
                                                 first == CUBLAS_OP_T ? n : depth, k->ldb),
                   "the layout of b"));
    TRY(gemm_check(d,
                   f->cublasLtMatrixLayoutCreate(&p->b, CUDA_R_16BF, second == CUBLAS_OP_T ? m : depth,
                                                 second == CUBLAS_OP_T ? depth : m, k->lda),
                   "the layout of a"));
    TRY(gemm_check(d, f->cublasLtMatrixLayoutCreate(&p->c, type, n, m, k->ldc), "the layout of c"));
    p->ready = true;
    return OK;
}

/* One product, queued. cuBLAS's first operand is our second (gemm_describe). */
static cublasStatus_t gemm_run(struct cuda *d, const struct cuda_gemm_plan *p, const cublasLtMatmulAlgo_t *algo,
                               const struct gemm_operands *o)
{
    return d->driver.cublasLtMatmul(d->lt, p->desc, &o->alpha, o->b, p->a, o->a, p->b, &o->beta, o->c, p->c, o->result, p->c,
                                    algo, (void *)d->workspace, CUDA_WORKSPACE_BYTES, d->stream);
}

/* Milliseconds of one run, or a negative number when the algorithm refuses. */
static float gemm_time(struct cuda *d, const struct cuda_gemm_plan *p, const cublasLtMatmulAlgo_t *algo,
                       const struct gemm_operands *o, CUevent from, CUevent to)
{
    if (gemm_run(d, p, algo, o) != CUBLAS_STATUS_SUCCESS) return -1;
    float total = 0;
    d->driver.cuEventRecord(from, d->stream);
    for (int i = 0; i < GEMM_REPEATS; i++) gemm_run(d, p, algo, o);
    d->driver.cuEventRecord(to, d->stream);
    if (d->driver.cuEventSynchronize(to) != CUDA_SUCCESS) return -1;
    d->driver.cuEventElapsedTime(&total, from, to);
    return total / GEMM_REPEATS;
}

/* By default algorithms may count on pointers at multiples of 256 bytes; columns and rows of larger arrays are at 16, and
 * at less in a matrix whose rows have an odd length. */
static void gemm_prefer_alignment(struct cuda *d, const struct cuda_gemm_plan *p, cublasLtMatmulPreference_t preference)
{
    static const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        int shift;
    } LIST[] = {{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 8}, /* cuBLAS's a is our b */
                {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 4},
                {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 12},
                {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 12}};
    for (int i = 0; i < 4; i++) {
        uint32_t bytes = 1u << (p->key.flags >> LIST[i].shift & 15);
        d->driver.cublasLtMatmulPreferenceSetAttribute(preference, LIST[i].attribute, &bytes, sizeof(bytes));
    }
}

/* Asks cuBLASLt for algorithms without a reduction over parts, within the workspace; returns how many it proposes. */
static int gemm_candidates(struct cuda *d, const struct cuda_gemm_plan *p, cublasLtMatmulHeuristicResult_t *results)
{
    const struct cuda_driver *f = &d->driver;
    cublasLtMatmulPreference_t preference = NULL;
    size_t workspace = CUDA_WORKSPACE_BYTES;
    uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE;
    int found = 0;
    if (gemm_check(d, f->cublasLtMatmulPreferenceCreate(&preference), "a preference") != OK) return 0;
    f->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                            sizeof(workspace));
    f->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions,
                                            sizeof(reductions));
    gemm_prefer_alignment(d, p, preference);
    gemm_check(d,
               f->cublasLtMatmulAlgoGetHeuristic(d->lt, p->desc, p->a, p->b, p->c, p->c, preference, GEMM_CANDIDATES,
                                                 results, &found),
               "asking for algorithms");
    f->cublasLtMatmulPreferenceDestroy(preference);
    return found;
}

/* Whether an algorithm splits the reduction, so that its sums depend on timing. */
static bool gemm_splits(struct cuda *d, const cublasLtMatmulAlgo_t *algo)
{
    int32_t splits = 0;
    size_t written = 0;
    d->driver.cublasLtMatmulAlgoConfigGetAttribute(algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &splits, sizeof(splits), &written);
    return splits > 1;
}

/* Times the candidates into a result of their own, so that the caller's is not added to more than once. */
static enum status gemm_time_all(struct cuda *d, struct cuda_gemm_plan *p, const struct gemm_operands *operands,
                                 const cublasLtMatmulHeuristicResult_t *results, int found)
{
    struct gemm_operands o = *operands;
    TRY(cuda_graph_send(d)); /* a recorded product takes no time */
    CUdeviceptr scratch = cuda_alloc(d, (size_t)p->key.m * (size_t)p->key.ldc * (p->key.flags & 4 ? 4 : 2));
    CUevent from = NULL, to = NULL;
    if (!scratch) return d->c->status;
    d->driver.cuEventCreate(&from, 0);
    d->driver.cuEventCreate(&to, 0);
    o.result = (void *)scratch;
    float best = -1;
    for (int i = 0; i < found; i++) {
        if (results[i].state != CUBLAS_STATUS_SUCCESS || gemm_splits(d, &results[i].algo)) continue;
        float time = gemm_time(d, p, &results[i].algo, &o, from, to);
        if (time < 0 || (best >= 0 && time >= best)) continue;
        best = time;
        p->algo = results[i].algo;
        p->chosen = true;
    }
    d->driver.cuEventDestroy(from);
    d->driver.cuEventDestroy(to);
    cuda_free(d, scratch);
    return d->c->status;
}

/* The first algorithm that cuBLASLt proposes, or the fastest by trial. The first is a function of the shape, the card and
 * the library's version, so that another run takes it too. */
static enum status gemm_tune(struct cuda *d, struct cuda_gemm_plan *p, const struct gemm_operands *operands)
{
    cublasLtMatmulHeuristicResult_t results[GEMM_CANDIDATES];
    int found = gemm_candidates(d, p, results);
    if (d->timed) TRY(gemm_time_all(d, p, operands, results, found));
    for (int i = 0; i < found && !p->chosen; i++) {
        if (results[i].state != CUBLAS_STATUS_SUCCESS || gemm_splits(d, &results[i].algo)) continue;
        p->algo = results[i].algo;
        p->chosen = true;
    }
    if (p->chosen) return d->c->status;
    return ctx_fail(d->c, E_UNSUPPORTED, "CUDA: cuBLASLt has no algorithm without split-K for %d x %d x %d (%d proposed)",
                    p->key.m, p->key.n, p->key.k, found);
}

void cuda_gemm_forget(struct cuda *d)
{
    for (int i = 0; d->plans && i < GEMM_SLOTS; i++) {
        struct cuda_gemm_plan *p = &d->plans[i];
        if (p->a) d->driver.cublasLtMatrixLayoutDestroy(p->a);
        if (p->b) d->driver.cublasLtMatrixLayoutDestroy(p->b);
        if (p->c) d->driver.cublasLtMatrixLayoutDestroy(p->c);
        if (p->desc) d->driver.cublasLtMatmulDescDestroy(p->desc);
    }
    free(d->plans);
    d->plans = NULL;
    d->n_plans = 0;
}

/* FNV-1a over words. */
static uint64_t gemm_hash(const void *words, size_t bytes)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i + sizeof(uint32_t) <= bytes; i += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, (const char *)words + i, sizeof(word));
        hash = (hash ^ word) * 0x100000001b3;
    }
    return hash ^ hash >> 32;
}

/* The plan of a shape, an empty one when the shape is new. NULL with E_MEMORY. */
static struct cuda_gemm_plan *gemm_plan(struct cuda *d, const struct gemm_key *key)
{
    if (d->n_plans == GEMM_MOST) cuda_gemm_forget(d);
    if (!d->plans) d->plans = calloc(GEMM_SLOTS, sizeof(*d->plans));
    if (!d->plans) {
        ctx_fail(d->c, E_MEMORY, "CUDA: no memory for the list of products");
        return NULL;
    }
    size_t i = gemm_hash(key, sizeof(*key)) % GEMM_SLOTS;
    while (d->plans[i].used && memcmp(&d->plans[i].key, key, sizeof(*key)) != 0) i = (i + 1) % GEMM_SLOTS;
    if (d->plans[i].used) return &d->plans[i];
    d->n_plans++;
    d->plans[i].used = true;
    d->plans[i].key = *key;
    return &d->plans[i];
}

/* Whether a product was queued before that ran the same kernels, as far as algorithm and alignment say. */
static bool gemm_is_known(struct cuda *d, struct cuda_gemm_plan *p)
{
    if (p->tag) return true;
    p->tag = (gemm_hash(&p->algo, sizeof(p->algo)) ^ (uint64_t)p->key.flags) | (uint64_t)1 << 63;
    for (int i = 0; i < d->n_products; i++)
        if (d->products[i] == p->tag) return true;
    if (d->n_products < CUDA_PRODUCTS_KNOWN) d->products[d->n_products++] = p->tag;
    return false;
}

enum status cuda_gemm(struct cuda *d, const struct cuda_matrix *a, const struct cuda_matrix *b, const struct cuda_matrix *c,
                      float alpha, float beta)
{
    if (!ctx_ok(d->c) || d->counting) return d->c->status;
    struct gemm_key key = gemm_key_of(d, a, b, c, beta);
    struct cuda_gemm_plan *p = gemm_plan(d, &key);
    if (!p) return d->c->status;
    struct gemm_operands o = {(void *)a->data, (void *)b->data, (void *)c->data, (void *)c->data, alpha, beta};
    if (!p->ready) TRY(gemm_describe(d, p));
    if (!p->chosen) TRY(gemm_tune(d, p, &o));
    bool known = gemm_is_known(d, p);
    if (cuda_queue_begin(d, p->tag, known) == OK) gemm_check(d, gemm_run(d, p, &p->algo, &o), "a product");
    cuda_queue_end(d);
    return d->c->status;
}
