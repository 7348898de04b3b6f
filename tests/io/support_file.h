/* support_file: what the tests of file readers share: bytes as a file, corpora with a clear message when they are missing,
 * and an allocator that fails on demand. */
#ifndef YA_TESTS_SUPPORT_FILE_H
#define YA_TESTS_SUPPORT_FILE_H

#include "base/ctx.h"

/* A path that reads as these bytes (memory only). Each call replaces the bytes of the call before. */
const char *test_file(const void *bytes, size_t n);

/* Makes the file of the last test_file call shorter while it may be mapped. */
void test_file_truncate(size_t n);

/* Reads a file whole; fails the test with "missing test data: PATH" when it is not there. free() it. */
char *test_load(const char *path, size_t *n);

/* Hex digits to bytes; *n is their count. free() it. */
uint8_t *test_unhex(const char *hex, size_t *n);

/* Fails the test unless the ctx holds this status and its message has the fragment in it. Then clears it. */
void test_expect(struct ctx *c, enum status status, const char *fragment, const char *label);

/* Calls run(c) again and again, the first allocation failing, then the second and so on, until one run needs fewer
 * allocations. Each failing run must end in E_MEMORY with nothing left allocated. Returns how many runs failed. */
int test_every_allocation(void (*run)(struct ctx *c));

#endif
