/* backend: the interface that a device fills in. Everything above src/backend reaches memory and kernels only through this
 * table, found in the ctx's array_env.
 *
 * Memory of a backend may be out of the host's reach: nothing above src/backend reads or writes an array's elements. Bytes
 * go in by `upload` and come out by `download` and `wait`.
 *
 * There is one queue. Calls happen, or seem to happen, in the order in which they were made; a kernel that uses queues of
 * its own joins them before it returns. So a block of memory may be used again for something else right after the last call
 * that reads it was made. */
#ifndef YA_ARRAY_BACKEND_H
#define YA_ARRAY_BACKEND_H

#include "array/op.h"

/* MEMORY_DEVICE: what kernels read and write. MEMORY_HOST: the host's side of copies, page-locked where that makes them
 * faster. */
enum backend_memory { MEMORY_DEVICE, MEMORY_HOST };

enum { ROUNDED_GROUP = 32 /* columns, and spare rows, of rounded operands: products read whole groups */ };

/* One call of a row, validated by the front end. in[] and out[] entries are NULL where the row's params say absent. What a
 * kernel may rely on:
 *  - Dtypes. COPY and CAST see every dtype. All other generic rows see operands of one dtype among f32, f64, i32 and i64
 *    (front ends widen f16 and bf16 to f32, bool and u8 to i32, and narrow the result); DIV, EXP, LOG, SQRT, SIGMOID,
 *    SOFTMAX, LOGSUMEXP and MATMUL see f32 and f64 only. EQUAL .. LESS_EQUAL write bool; WHERE's condition is bool; ids,
 *    targets, positions and offsets are i32. Elsewhere outputs have the operands' dtype.
 *  - Activations. On a backend whose `activations` is bf16, model code makes bf16 arrays. ADD, TAKE, TAKE_BWD and ACCUMULATE
 *    then see them as they are, and so do the fused rows, which otherwise see f32 and f64 only. Of a fused row on bf16, x,
 *    y, q, k, v, gate, h, dh and what has their names in backward are bf16; gains, adapters and their gradients, rstd, lse
 *    and the loss are f32. (On f64 all of them are f64.)
 *  - Rounded operands. On a backend of f32 activations that has a `rounded_from`, the x of LINEAR and LINEAR_BWD and the
 *    dy of LINEAR_BWD may be arrays of front_rounded, in bf16; all weights then compute in bf16, and no adapter that reads a
 *    rounded x has dropout. SWIGLU and SWIGLU_BWD write such arrays. Everything else is f32.
 *  - Strides. COPY's operand and output have any strides (0 on broadcast axes of the operand). Everything else has unit last
 *    stride (array_has_unit_last) and any strides before it, 0 on broadcast axes; 1-D helpers (ids, gain, targets, weights,
 *    rstd, lse, bias, offsets) have unit stride by that. Outputs are contiguous, but for COPY, for ROPE and SWIGLU_BWD,
 *    which may be told to write into columns of a wider array (any row stride), for those of front_rounded, and for the h
 *    of LINEAR on bf16, which are columns of one array in the order of the adapters. In place rows: unit last stride.
 *  - Sizes. No operand and no output has zero elements; axes are normalised to [0, ndim).
 *  - Values. Ids of EMBED, TAKE, TAKE_ALONG are in range, and so are targets where the weight is not 0: CHECK_IDS ran
 *    before. Offsets of ATTENTION have not been looked at: see attention_params.
 *  - Outputs never overlap operands, except RMS_NORM without residual: out[1] is in[0] itself then and is not written.
 *
 * `params` holds constants only; what differs from one step to the next is in `step`. */
struct op_call {
    enum op op;
    struct array *in[OP_MAX_IN];
    struct array *out[OP_MAX_OUT];
    const void *params;
    const struct step_values *step;
};

struct backend;
typedef enum status (*op_kernel)(struct backend *b, const struct op_call *call);

struct backend_stats {
    size_t live_bytes; /* device memory that alloc handed out and free did not take back; weights and kept_bytes counted */
    size_t peak_bytes; /* the most there ever was */
    size_t kept_bytes; /* of live_bytes: what the backend itself keeps between calls beside weights; 0: nothing */
};

struct backend {
    struct ctx *c;
    const char *name;           /* "cpu-avx2", "cpu-neon", "cpu-reference" (backend/cpu/cpu.h), "cuda:0 (NVIDIA H200)" */
    const char *device;         /* what backend_open is given to open it again: "cpu-avx2", "cuda:0" */
    enum dtype activations;     /* of hidden states and of what is made from them: DTYPE_F32 or DTYPE_BF16 */
    bool synchronous;           /* calls return when their work is done, so reading a result costs nothing at any time */
    bool host_memory;           /* device memory is the host's: AddressSanitizer may watch it */
    bool counting;              /* allocates address space only and computes nothing: for the planner */
    bool fast_integers;         /* products by COMPUTE_INT8X2 take less time than those in f32 */
    bool fast_bf16;             /* products by COMPUTE_BF16 take less time than f32's, and no more than integers' */
    int64_t rounded_from;       /* rows from which on products in bf16 take operands of front_rounded; 0: never */
    op_kernel kernel[OP_COUNT]; /* NULL: refused, with E_UNSUPPORTED and the row's name */

    /* At least 64-byte aligned, contents undefined, never of 0 bytes. NULL with E_MEMORY. `free` gets the same size and
     * kind. Step arrays do not come from here one by one but from a pool on top (array_env). */
    void *(*alloc)(struct backend *b, enum backend_memory kind, size_t bytes);
    void (*free)(struct backend *b, enum backend_memory kind, void *block, size_t bytes);
    /* Copies host bytes to device memory; `host` may be reused on return. */
    void (*upload)(struct backend *b, void *to, const void *host, size_t bytes);
    /* Copies device memory to the host; the bytes are there when wait() on a later mark has returned. */
    void (*download)(struct backend *b, void *host, const void *from, size_t bytes);
    /* Copies between device memory and a block of MEMORY_HOST, queued like kernels: nothing waits, and the host neither
     * reads nor writes the block. For what a step puts aside and takes back itself (tape_checkpoint). */
    void (*offload)(struct backend *b, void *block, const void *from, size_t bytes);
    void (*fetch)(struct backend *b, void *to, const void *block, size_t bytes);
    uint64_t (*mark)(struct backend *b); /* stands for everything that was queued so far */
    /* Returns when all up to the mark is done. A fault of the device shows up here and stays in the ctx. */
    enum status (*wait)(struct backend *b, uint64_t mark);

    /* Bytes of the backend's memory that a matrix takes in a form; 0 when kernels read the source's rows where they are. */
    size_t (*weight_bytes)(struct backend *b, const struct weight_source *source, enum weight_form form);
    /* Makes `w` the weight called `name` (not copied) of a source, in a form that this backend's kernels read; bias and
     * adapter are absent and compute is f32. The source must outlive the weight. E_INPUT naming the first row with a value
     * that the form cannot hold, E_MEMORY; w is then left as it was. */
    enum status (*weight_prepare)(struct backend *b, struct weight *w, const char *name, const struct weight_source *source,
                                  enum weight_form form);
    void (*weight_release)(struct backend *b, struct weight *w); /* gives back what weight_prepare took */
    /* Bytes of the backend's memory that weight_lay_out takes for a prepared weight, whose `compute` is set; 0: products
     * gain nothing by it. NULL, as the two that follow: this backend reads prepared weights as they are. */
    size_t (*layout_bytes)(struct backend *b, const struct weight *w);
    /* Makes w->laid_out, from which products then read the weight: the same results, sooner. E_MEMORY; nothing is laid out
     * then. weight_drop_layout gives it back, and accepts a weight without one. */
    enum status (*weight_lay_out)(struct backend *b, struct weight *w);
    void (*weight_drop_layout)(struct backend *b, struct weight *w);

    struct backend_stats (*stats)(const struct backend *b);
    /* Bytes of device memory that alloc can still hand out. NULL: device memory is the process's own, which the system gives
     * page by page as it is written, and what is free is the system's to say. */
    size_t (*free_bytes)(struct backend *b);
    void (*close)(struct backend *b); /* frees it */
};

#endif
