/* cuda_backend: the table of array/backend.h on one card. Activations are bf16; statistics, adapters, gradients and moments
 * are f32; products are bf16 with f32 sums (cuda_gemm.h).
 *
 * Weights lie in device memory in bf16, whatever the file holds, in Hugging Face order and one behind the other, so that
 * those which share an input are one matrix to a product (cuda_weight.c).
 *
 * A counting backend opens no card: it hands out address space, and launches and products return at once. Scratch of a call
 * is an array of the step pool, taken the same way in both, so that what is counted is what is taken. */
#ifndef YA_BACKEND_CUDA_CUDA_BACKEND_H
#define YA_BACKEND_CUDA_CUDA_BACKEND_H

#include "array/backend.h"
#include "backend/cuda/cuda_gemm.h"
#include "backend/cuda/cuda_kernels.h"

/* Opens card `index`, or what counts for it. NULL with E_UNSUPPORTED (no driver, no such card, too old), E_MEMORY. */
struct backend *cuda_backend_open(struct ctx *c, int index, bool counting);

/* ---- private to src/backend/cuda ------------------------------------------------------------------------------------- */

enum { CUDA_STAGE_BYTES = 32 << 20, CUDA_STAGE_PIECES = 4 };

/* Page-locked memory through which uploads go, in pieces that are reused when their copy is done. */
struct cuda_stage {
    char *host;
    CUevent copied[CUDA_STAGE_PIECES];
    bool queued[CUDA_STAGE_PIECES]; /* a copy out of the piece was queued and its event recorded */
    int piece;                      /* in use now */
    size_t used;                    /* of it */
};

/* Device memory of weights: one stretch of addresses, backed as it fills. */
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
    struct cuda_fault *fault;  /* page-locked; the card writes it, the host reads it when it waits */
    CUdeviceptr step, partial; /* struct cuda_adamw_step; CUDA_SUM_BLOCKS doubles */
};

static inline struct cuda_backend *cuda_backend_of(const struct backend *b)
{
    return (struct cuda_backend *)(uintptr_t)b;
}

/* cuda_copies.c */
enum status cuda_copies_open(struct cuda_backend *b);
void cuda_copies_close(struct cuda_backend *b);
/* The next free part of the stage: at most `most` bytes, *bytes of them, page-locked, the caller's until cuda_stage_send
 * queues its copy to the card. NULL with the failure in the ctx. */
void *cuda_stage_take(struct cuda_backend *b, size_t most, size_t *bytes);
void cuda_stage_send(struct cuda_backend *b, CUdeviceptr to, const void *part, size_t bytes);
void cuda_backend_upload(struct backend *b, void *to, const void *host, size_t bytes);
void cuda_backend_download(struct backend *b, void *host, const void *from, size_t bytes);
uint64_t cuda_backend_mark(struct backend *b);
enum status cuda_backend_wait(struct backend *b, uint64_t mark);

/* cuda_weight.c */
size_t cuda_weight_bytes(struct backend *b, const struct weight_source *source, enum weight_form form);
enum status cuda_weight_prepare(struct backend *b, struct weight *w, const char *name, const struct weight_source *source,
                                enum weight_form form);
void cuda_weight_release(struct backend *b, struct weight *w);
void cuda_weights_close(struct cuda_backend *b);
static inline int cuda_padded(int64_t n) /* to a multiple of 8 */
{
    return (int)((n + 7) / 8 * 8);
}

/* cuda_operand.c: operands as kernels want them. */
/* An array as rows of `cols` elements `stride` apart. */
struct cuda_rows {
    void *data;
    int64_t rows, stride;
    int cols;
};
/* Scratch of one call: n elements owned by the scope that the call runs in; NULL with E_MEMORY. */
void *cuda_scratch(struct cuda_backend *b, enum dtype dtype, int64_t n);
/* Rows of the last axis, or with keep > 1 of the last `keep` axes together. False when they are not evenly apart or do not
 * begin at multiples of 16 bytes. */
bool cuda_rows_fit(const struct array *a, int keep, struct cuda_rows *out);
/* The same of an operand; what does not fit is copied. */
enum status cuda_rows_in(struct cuda_backend *b, const struct array *a, int keep, struct cuda_rows *out);
/* The same of a result: what does not fit is written to scratch first; cuda_rows_done brings it where it belongs. */
enum status cuda_rows_out(struct cuda_backend *b, const struct array *a, int keep, struct cuda_rows *out);
enum status cuda_rows_done(struct cuda_backend *b, const struct array *a, const struct cuda_rows *rows);
/* E_UNSUPPORTED naming the row unless the dtype is that. */
enum status cuda_expect(struct cuda_backend *b, enum op op, const struct array *a, enum dtype dtype);
/* to = from, of one shape and dtype, any strides. */
enum status cuda_copy(struct cuda_backend *b, const struct array *to, const struct array *from);
/* An f32 array as contiguous bf16 in scratch; NULL on failure. */
bf16_bits *cuda_narrow(struct cuda_backend *b, const struct array *a);

/* Rows. cuda_generic_rows.c */
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
