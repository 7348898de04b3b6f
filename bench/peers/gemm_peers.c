/* gemm_peers: OpenBLAS and oneDNN behind gemm_peers.h. OpenBLAS is loaded by name: distributions choose by a link which
 * BLAS "libblas" is, and only this one can be asked what kernel it took. oneDNN's matmul primitive is kept until the shape
 * changes, as a program would keep it. */
#include "gemm_peers.h"

#include <dlfcn.h>
#include <dnnl.h>
#include <omp.h>
#include <stdio.h>

/* ---- OpenBLAS -------------------------------------------------------------------------------------------------------- */

enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 }; /* enums of cblas.h */

static struct {
    void (*sgemm)(int order, int turn_a, int turn_b, int m, int n, int k, float alpha, const float *a, int lda,
                  const float *b, int ldb, float beta, float *c, int ldc);
    void (*set_threads)(int n);
    char *(*core)(void);
    char *(*config)(void);
} openblas;

/* Row-major: y = x W^T, dx = dy W. */
static bool openblas_run(const struct gemm_peer_call *p)
{
    int t = (int)p->t, n = (int)(p->backward ? p->k : p->n), k = (int)(p->backward ? p->n : p->k);
    openblas.sgemm(ROW_MAJOR, PLAIN, p->backward ? PLAIN : TRANSPOSED, t, n, k, 1, p->a, k, p->w, (int)p->ldw, 0, p->out, n);
    return true;
}

static bool openblas_open(struct gemm_peer *peer)
{
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    *(void **)&openblas.sgemm = dlsym(library, "cblas_sgemm");
    *(void **)&openblas.set_threads = dlsym(library, "openblas_set_num_threads");
    *(void **)&openblas.core = dlsym(library, "openblas_get_corename");
    *(void **)&openblas.config = dlsym(library, "openblas_get_config");
    if (!openblas.sgemm || !openblas.set_threads || !openblas.core || !openblas.config) return false;
    *peer = (struct gemm_peer){.name = "openblas sgemm",
                               .version = openblas.config(),
                               .kernel = openblas.core(),
                               .set_threads = openblas.set_threads,
                               .run = openblas_run};
    return true;
}

/* ---- oneDNN ---------------------------------------------------------------------------------------------------------- */

/* oneDNN's f32 product by its BLAS-like call. */
static bool dnnl_sgemm_run(const struct gemm_peer_call *p)
{
    int64_t n = p->backward ? p->k : p->n, k = p->backward ? p->n : p->k;
    return dnnl_sgemm('N', p->backward ? 'N' : 'T', p->t, n, k, 1, p->a, k, p->w, p->ldw, 0, p->out, n) == dnnl_success;
}

/* oneDNN's product of unsigned with signed bytes. */
static bool dnnl_integer_run(const struct gemm_peer_call *p)
{
    int64_t n = p->backward ? p->k : p->n, k = p->backward ? p->n : p->k;
    const int32_t no_offset = 0;
    return dnnl_gemm_u8s8s32('N', p->backward ? 'N' : 'T', 'F', p->t, n, k, 1, p->a, k, 0, p->w, p->ldw, 0, 0, p->out, n,
                             &no_offset) == dnnl_success;
}

static struct {
    struct gemm_peer_call shape; /* that the primitive is made for */
    int threads;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, w, out;
} matmul;

/* A oneDNN memory object without data of its own. */
static bool memory_of(dnnl_memory_t *memory, const dnnl_memory_desc_t *desc)
{
    if (*memory) dnnl_memory_destroy(*memory);
    *memory = NULL;
    return dnnl_memory_create(memory, desc, matmul.engine, DNNL_MEMORY_NONE) == dnnl_success;
}

/* A primitive is made for one shape and number of threads; making one takes longer than a product. */
static bool matmul_make(const struct gemm_peer_call *p)
{
    int64_t n = p->backward ? p->k : p->n, k = p->backward ? p->n : p->k;
    dnnl_memory_desc_t a, w, out;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t made = NULL;
    dnnl_dims_t a_dims = {p->t, k}, w_dims = {k, n}, out_dims = {p->t, n};
    dnnl_dims_t a_strides = {k, 1}, w_strides = {p->backward ? p->ldw : 1, p->backward ? 1 : p->ldw}, out_strides = {n, 1};
    dnnl_memory_desc_init_by_strides(&a, 2, a_dims, dnnl_f32, a_strides);
    dnnl_memory_desc_init_by_strides(&w, 2, w_dims, dnnl_f32, w_strides);
    dnnl_memory_desc_init_by_strides(&out, 2, out_dims, dnnl_f32, out_strides);
    if (dnnl_matmul_desc_init(&desc, &a, &w, NULL, &out) != dnnl_success) return false;
    if (dnnl_primitive_desc_create(&made, &desc, NULL, matmul.engine, NULL) != dnnl_success) return false;
    if (matmul.primitive) dnnl_primitive_destroy(matmul.primitive);
    matmul.primitive = NULL;
    bool ok = dnnl_primitive_create(&matmul.primitive, made) == dnnl_success;
    dnnl_primitive_desc_destroy(made);
    matmul.shape = *p;
    matmul.threads = omp_get_max_threads();
    return ok && memory_of(&matmul.a, &a) && memory_of(&matmul.w, &w) && memory_of(&matmul.out, &out);
}

/* Whether the primitive that is there is for this call. */
static bool matmul_fits(const struct gemm_peer_call *p)
{
    const struct gemm_peer_call *q = &matmul.shape;
    return matmul.primitive && p->backward == q->backward && p->t == q->t && p->k == q->k && p->n == q->n &&
           p->ldw == q->ldw && matmul.threads == omp_get_max_threads();
}

/* oneDNN's matmul primitive. */
static bool matmul_run(const struct gemm_peer_call *p)
{
    if (!matmul_fits(p) && !matmul_make(p)) return false;
    dnnl_memory_set_data_handle(matmul.a, (void *)(uintptr_t)p->a);
    dnnl_memory_set_data_handle(matmul.w, (void *)(uintptr_t)p->w);
    dnnl_memory_set_data_handle(matmul.out, p->out);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, matmul.a}, {DNNL_ARG_WEIGHTS, matmul.w}, {DNNL_ARG_DST, matmul.out}};
    return dnnl_primitive_execute(matmul.primitive, matmul.stream, 3, args) == dnnl_success &&
           dnnl_stream_wait(matmul.stream) == dnnl_success;
}

static const char *isa_name(dnnl_cpu_isa_t isa)
{
    switch ((int)isa) {
    case dnnl_cpu_isa_sse41:
        return "sse41";
    case dnnl_cpu_isa_avx:
        return "avx";
    case dnnl_cpu_isa_avx2:
        return "avx2";
    case dnnl_cpu_isa_avx2_vnni:
        return "avx2_vnni";
    case dnnl_cpu_isa_avx512_core:
        return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni:
        return "avx512_core_vnni";
    default:
        return "another";
    }
}

static int dnnl_open(struct gemm_peer *list)
{
    static char version[64];
    const dnnl_version_t *v = dnnl_version();
    snprintf(version, sizeof version, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    if (dnnl_engine_create(&matmul.engine, dnnl_cpu, 0) != dnnl_success) return 0;
    if (dnnl_stream_create(&matmul.stream, matmul.engine, dnnl_stream_default_flags) != dnnl_success) return 0;
    struct gemm_peer peer = {.version = version, .kernel = isa_name(dnnl_get_effective_cpu_isa())};
    peer.set_threads = omp_set_num_threads;
    list[0] = list[1] = list[2] = peer;
    list[0].name = "onednn sgemm", list[0].run = dnnl_sgemm_run;
    list[1].name = "onednn matmul", list[1].run = matmul_run;
    list[2].name = "onednn gemm_u8s8s32", list[2].run = dnnl_integer_run, list[2].integer = true;
    return 3;
}

int gemm_peers_open(struct gemm_peer list[GEMM_MAX_PEERS])
{
    int n = openblas_open(list);
    return n + dnnl_open(list + n);
}
