/* walled: a backend for tests that proves who touches device memory. It runs a CPU backend's kernels, but its device memory
 * can be read and written only while one of its own slots runs; at any other time a touch is a segmentation fault. What
 * works on it makes no use of the fact that the CPU's device memory is the host's. */
#ifndef YA_BACKEND_WALLED_H
#define YA_BACKEND_WALLED_H

#include "array/backend.h"

/* Puts the wall around `inner`, which must be a CPU backend and belongs to the result. Owner of that: the caller. NULL when
 * `inner` is NULL, or with E_MEMORY. */
struct backend *walled_open(struct backend *inner);

#endif
