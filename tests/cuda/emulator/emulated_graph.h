/* emulated_graph: what is queued on the emulated stream: done at once, or recorded while the stream is captured and done
 * when the graph is launched, as on a card. Whoever waits, downloads, frees, maps
 * memory or launches a kernel for the first time while a capture is under way gets an error, and an update that puts another
 * kernel or algorithm in the place of one ends the test: on a card it would keep the other's kind of dependence. */
#ifndef YA_TESTS_CUDA_EMULATED_GRAPH_H
#define YA_TESTS_CUDA_EMULATED_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

enum emulated_kind { EMULATED_KERNEL, EMULATED_MOVE, EMULATED_SET, EMULATED_PRODUCT };

struct emulated_layout {
    int type; /* cudaDataType */
    uint64_t rows, cols;
    int64_t stride; /* from column to column */
};

/* One piece of work. */
struct emulated_work {
    enum emulated_kind kind;
    int kernel; /* of EMULATED_KERNEL, with its grid and a copy of its arguments, which the work owns */
    unsigned x, y, threads, shared;
    void *args;
    size_t args_bytes;
    void *to; /* of EMULATED_MOVE and EMULATED_SET */
    const void *from;
    size_t bytes;
    int value;
    struct { /* of EMULATED_PRODUCT: c = alpha op(a) op(b) + beta c, column-major */
        bool a_transposed, b_transposed;
        struct emulated_layout la, lb, lc;
        const void *a, *b, *c;
        void *d;
        float alpha, beta;
        int algorithm;
    } product;
};

/* Does the work at once, or records it while the stream is captured. */
CUresult emulated_queue(const struct emulated_work *work);
/* Does it (emulated_driver.c). */
void emulated_do(const struct emulated_work *work);
/* Whether the stream is captured, so that nothing may rely on what was queued. */
bool emulated_is_recording(void);

#endif
