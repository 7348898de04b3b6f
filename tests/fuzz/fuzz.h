/* fuzz: what the targets share. A target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput; libFuzzer calls it when
 * YA_FUZZ is on, and fuzz_replay.c calls it in the ordinary tests. */
#ifndef YA_TESTS_FUZZ_H
#define YA_TESTS_FUZZ_H

#include "base/ctx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A path that reads as these bytes (memory only); the bytes of the call before are replaced. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* Reads n bytes, so that the sanitizers see a view that promises too much. */
void fuzz_read(const void *p, size_t n);

/* What must hold after every input, whatever the verdict: a clean status (OK, bad input, unsupported), nothing left
 * allocated, and never more than `factor` times the input plus `slack` bytes at once. Aborts otherwise. Forgets the error.
 */
void fuzz_check(struct ctx *c, size_t size, size_t factor, size_t slack);

#endif
