/* your_ai: the public C interface: context and errors. Arrays and derivatives: your_ai_array.h.
 *
 * A ya_ctx owns memory, threads and the error. It and everything made with it belong to one thread at a time.
 *
 * Errors. A function that fails returns NULL (handles) or -1 (int) and ya_error says why, with the values. The first failure
 * stays: every later call on this ctx fails too until ya_error_clear, and a NULL argument gives NULL, so a chain of calls
 * reads like mathematics and is checked once at its end. Out-of-memory is an error like any other.
 */
#ifndef YOUR_AI_H
#define YOUR_AI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YA_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library is built with everything else hidden */

typedef struct ya_ctx ya_ctx;

/* Version of the library that runs; YA_VERSION is that of the header. While it is 0.x, a new minor version may change this
 * interface, and the name of the shared library changes with it (libyour_ai.so.0.1). */
const char *ya_version(void);

/* ---- context ------------------------------------------------------------------------------------------------------ */

/* NULL when memory is exhausted or YA_CPU in the environment names a backend that this machine cannot run. */
ya_ctx *ya_ctx_new(void);
void ya_ctx_free(ya_ctx *ctx); /* accepts NULL */
/* Uses n threads from now on; 0: one a core. Results are the same bytes for any n. */
int ya_ctx_set_threads(ya_ctx *ctx, int n);

/* The message of the first failure since the last clear, or NULL. One line; valid until the next call on this ctx. */
const char *ya_error(const ya_ctx *ctx);
/* Its kind in one word: "input", "io", "memory", "shape", "dtype", "unsupported", "numeric"; or NULL. */
const char *ya_error_kind(const ya_ctx *ctx);
void ya_error_clear(ya_ctx *ctx);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
