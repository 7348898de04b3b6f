/* cuda_backend: the table of array/backend.h on one card. Activations are bf16; statistics, adapters, gradients and
 * moments are f32; products are bf16 with f32 sums (cuda_gemm.h).
 *
 * Weights lie in device memory in bf16 or compressed (enum cuda_code), in Hugging Face order and one behind the other, so
 * that those which share an input are one matrix to a product (cuda_weight.c).
 *
 * The files of this folder, from the table down to the card: cuda_*_rows.c and cuda_linear.c have one function for each
 * row of ops.def, which brings operands into the layout that kernels read (cuda_operand.c) and fills an argument struct
 * (cuda_args.h); cuda_kernels.c chooses grid and shared memory of a kernel and launches it; cuda_device.c holds the opened
 * card; cuda_driver.c finds NVIDIA's libraries at run time. The kernels themselves are the .cu files.
 *
 * Everything is queued on one stream in the order of the calls, so a kernel may read what the call before it writes, and
 * scratch may be given back to the pool as soon as its work is queued: whoever gets the block next is queued behind it.
 *
 * A counting backend opens no card: it hands out address space, and launches and products return at once. Scratch of a
 * call is an array of the step pool in both, so what is counted is what a run allocates. */
#ifndef YA_BACKEND_CUDA_CUDA_BACKEND_H
#define YA_BACKEND_CUDA_CUDA_BACKEND_H

#include "array/backend.h"
#include "backend/cuda/cuda_adapters.h"
#include "backend/cuda/cuda_gemm.h"
#include "backend/cuda/cuda_kernels.h"

/* Opens card `index` (0 is the first that the driver shows), or with `counting` a backend that only counts memory and
 * needs no card. The caller owns the result and gives it back through its `close`. NULL with E_UNSUPPORTED (no driver, no
 * such card, a card older than compute capability 8.0), E_FIT (device memory) or E_MEMORY (host memory). */
struct backend *cuda_backend_open(struct ctx *c, int index, bool counting);

/* ---- private to src/backend/cuda ------------------------------------------------------------------------------------- */

enum { CUDA_STAGE_BYTES = 32 << 20, CUDA_STAGE_PIECES = 4 };

/* Page-locked host memory through which uploads go, in pieces that are reused when their copy is done. A copy from
 * page-locked memory runs beside the host's work; one from ordinary memory would make the host wait for the queue. */
struct cuda_stage {
    char *host;
    CUevent copied[CUDA_STAGE_PIECES];
    bool queued[CUDA_STAGE_PIECES]; /* a copy out of the piece was queued and its event recorded */
    int piece;                      /* in use now */
    size_t used;                    /* of it */
};

/* Device memory of weights: one range of addresses, as long as the card's memory, backed by chunks as it fills. A plain
 * allocation for each weight would leave gaps between them; here the next weight begins where the last one ends. */
struct cuda_arena {
    CUdeviceptr base;
    size_t reserved, backed, used, live; /* bytes; live: of weights not yet released */
    CUmemGenericAllocationHandle *chunks;
    size_t n_chunks;
};

struct cuda_backend {
    struct backend backend; /* first */
    struct cuda *d;         /* owned */
    char name[160], device[16];
    struct backend_stats stats;
    struct cuda_stage stage;
    struct cuda_arena arena;
    struct cuda_adapters adapters;
    struct cuda_fault *fault;  /* page-locked; the card writes it, the host reads it when it waits */
    CUdeviceptr step, partial; /* struct cuda_adamw_step; CUDA_SUM_BLOCKS doubles */
    bool entered;              /* counted by cuda_graphs_enter */
};

/* The whole of a backend whose table is `b`; it must have been made by cuda_backend_open. */
static inline struct cuda_backend *cuda_backend_of(const struct backend *b)
{
    return (struct cuda_backend *)(uintptr_t)b;
}

/* A thread's driver calls go to the context that the thread made current: every function of the table that calls the driver
 * begins with this, so that a backend may be used by one thread after another. */
static inline void cuda_bind(struct cuda_backend *b)
{
    if (!b->d->counting) cuda_check(b->d, b->d->driver.cuCtxSetCurrent(b->d->context), "taking the card's context");
}

/* Device memory in the statistics, for what the backend can do without: NULL where there is none, which is no error. It is
 * given back with its size. */
void *cuda_device_take(struct cuda_backend *b, size_t bytes);
void cuda_device_give(struct cuda_backend *b, void *block, size_t bytes);

/* cuda_copies.c. Makes the stage and the fault word that the card writes; the backend owns both. E_FIT, E_IO with the
 * driver's message; what was made until then is freed by close, which accepts a stage that is half made. */
enum status cuda_copies_open(struct cuda_backend *b);
void cuda_copies_close(struct cuda_backend *b);
/* The next free part of the stage: at most `most` bytes, *bytes of them, page-locked, the caller's until cuda_stage_send
 * queues its copy to the card. NULL with the failure in the ctx. */
void *cuda_stage_take(struct cuda_backend *b, size_t most, size_t *bytes);
/* Queues the copy of the first `bytes` of `part`, which cuda_stage_take gave, to device memory. */
void cuda_stage_send(struct cuda_backend *b, CUdeviceptr to, const void *part, size_t bytes);
/* Members `upload`, `download`, `mark` and `wait` of the table (array/backend.h). A download waits for all queued work.
 * wait is where a fault that a kernel found becomes an error: E_SHAPE for an id out of range, E_IO for a failed launch. */
void cuda_backend_upload(struct backend *b, void *to, const void *host, size_t bytes);
void cuda_backend_download(struct backend *b, void *host, const void *from, size_t bytes);
/* Members `offload` and `fetch`: the host's block is page-locked (MEMORY_HOST), so the copies are queued. */
void cuda_backend_offload(struct backend *b, void *block, const void *from, size_t bytes);
void cuda_backend_fetch(struct backend *b, void *to, const void *block, size_t bytes);
uint64_t cuda_backend_mark(struct backend *b);
enum status cuda_backend_wait(struct backend *b, uint64_t mark);

/* cuda_weight.c: members `weight_bytes`, `weight_prepare` and `weight_release` of the table (array/backend.h). Prepared is
 * a matrix (rows, cols) of bf16 in device memory, whatever type the source has; only WEIGHT_STORED is done, and rows must
 * be a multiple of 8 elements long: else E_UNSUPPORTED. E_FIT when the card is full. */
size_t cuda_weight_bytes(struct backend *b, const struct weight_source *source, enum weight_form form);
enum status cuda_weight_prepare(struct backend *b, struct weight *w, const char *name, const struct weight_source *source,
                                enum weight_form form);
void cuda_weight_release(struct backend *b, struct weight *w);
/* Gives the memory of all weights back to the driver, released or not. */
void cuda_weights_close(struct cuda_backend *b);
/* How a weight of that form and type lies on the card: CODE_BF16 also for types that the kernels cannot read. */
enum cuda_code cuda_code_of(enum weight_form form, enum tensor_type type);
static inline enum cuda_code cuda_weight_code(const struct weight *w)
{
    return cuda_code_of(w->form, w->type);
}
/* Queues to = rows of a compressed weight in bf16, rows apart by its columns: row ids[i] (ids on the card), or with ids NULL
 * row i. */
enum status cuda_weight_widen(struct cuda_backend *b, const struct weight *w, const int32_t *ids, int64_t rows,
                              bf16_bits *to);
/* n rounded up to a multiple of 8, the elements of bf16 that one 16-byte load reads. */
static inline int cuda_padded(int64_t n)
{
    return (int)((n + 7) / 8 * 8);
}

/* cuda_operand.c: operands as kernels read them. An array as rows of `cols` elements, whose beginnings are `stride`
 * elements apart. */
struct cuda_rows {
    void *data;
    int64_t rows, stride;
    int cols;
};
/* Scratch of one call: n elements from the step pool, owned by the scope that the call runs in; NULL with E_FIT or
 * E_MEMORY. */
void *cuda_scratch(struct cuda_backend *b, enum dtype dtype, int64_t n);
/* Describes `a` as rows of its last axis, or with keep > 1 of its last `keep` axes together: (N, H, D) with keep 2 is N
 * rows of H D elements. False when rows are not evenly apart or do not begin at multiples of 16 bytes, which kernels rely
 * on. */
bool cuda_rows_fit(const struct array *a, int keep, struct cuda_rows *out);
/* The same of an operand; one that does not fit is copied to scratch first. */
enum status cuda_rows_in(struct cuda_backend *b, const struct array *a, int keep, struct cuda_rows *out);
/* The same of a result: *out is where the kernel writes, scratch when `a` itself does not fit; after the launch
 * cuda_rows_done copies scratch to `a`, and does nothing when the kernel wrote to `a`. */
enum status cuda_rows_out(struct cuda_backend *b, const struct array *a, int keep, struct cuda_rows *out);
enum status cuda_rows_done(struct cuda_backend *b, const struct array *a, const struct cuda_rows *rows);
/* E_UNSUPPORTED, naming the row and both dtypes, unless `a` has this dtype. */
enum status cuda_expect(struct cuda_backend *b, enum op op, const struct array *a, enum dtype dtype);
/* to = from, of one shape and dtype, any strides. */
enum status cuda_copy(struct cuda_backend *b, const struct array *to, const struct array *from);
/* An f32 array rounded to contiguous bf16 in scratch, for the tensor cores. NULL with the failure in the ctx. */
bf16_bits *cuda_narrow(struct cuda_backend *b, const struct array *a);

/* Rows: one function for each row of ops.def that the card does, called through the table with inputs, outputs and params
 * as array/op.h gives them. Each queues its kernels and returns without waiting; the front end has checked shapes. They
 * fail with E_UNSUPPORTED where a dtype or a shape has no kernel, and with E_FIT where scratch does not fit.
 * cuda_generic_rows.c: */
enum status cuda_row_copy(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_cast(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_binary(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_fill(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_accumulate(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_take(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_take_bwd(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_check_ids(struct cuda_backend *b, const struct op_call *call);
/* cuda_fused_rows.c */
enum status cuda_row_embed(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_rms_norm(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_rms_norm_bwd(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_rope(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_attention(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_attention_bwd(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_swiglu(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_swiglu_bwd(struct cuda_backend *b, const struct op_call *call);
/* cuda_linear.c */
enum status cuda_row_linear(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_linear_bwd(struct cuda_backend *b, const struct op_call *call);
/* cuda_train_rows.c */
enum status cuda_row_cross_entropy(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_sum_squares(struct cuda_backend *b, const struct op_call *call);
enum status cuda_row_adamw(struct cuda_backend *b, const struct op_call *call);

#endif
