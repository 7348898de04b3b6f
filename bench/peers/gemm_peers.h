/* gemm_peers: what bench_gemm knows of the libraries that it measures beside our products. They are built into a shared
 * object by run_gemm.sh and loaded when asked for, so that nothing of ours ever links them. */
#ifndef YA_BENCH_GEMM_PEERS_H
#define YA_BENCH_GEMM_PEERS_H

#include <stdbool.h>
#include <stdint.h>

/* y (T, N) = x (T, K) W^T, or dx (T, K) = dy (T, N) W, all row-major; rows of W (N, K) are ldw elements apart. */
struct gemm_peer_call {
    bool backward;
    int64_t t, k, n, ldw;
    const void *a; /* x or dy: f32, or u8 for an integer peer */
    const void *w; /* f32, or s8 */
    void *out;     /* f32, or s32 */
};

struct gemm_peer {
    const char *name, *version;
    const char *kernel; /* which of its kernels the library says that it takes */
    bool integer;
    void (*set_threads)(int n);
    bool (*run)(const struct gemm_peer_call *call); /* false: the library refused */
};

enum { GEMM_MAX_PEERS = 8 };
/* Fills the list with the libraries that are installed, and returns how many. The symbol that bench_gemm looks up. */
int gemm_peers_open(struct gemm_peer list[GEMM_MAX_PEERS]);

#endif
