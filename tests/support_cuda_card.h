/* support_cuda_card: the card of a test: the emulator of tests/cuda/emulator, or with YA_TEST_CUDA=card a real one. */
#ifndef SUPPORT_CUDA_CARD_H
#define SUPPORT_CUDA_CARD_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend_open.h"

enum { CARD_SKIPPED = 77 }; /* what a test without a card exits with */

/* Names the emulator to the program, unless a real card is asked for. False when there is no card, or no CUDA in the build.
 */
static inline bool card_find(void)
{
    const char *wanted = getenv("YA_TEST_CUDA");
    if (!wanted || strcmp(wanted, "card") != 0) {
        setenv("YA_LIBCUDA", BUILD_DIR "/tests/libcuda_emulated.so", 1);
        setenv("YA_LIBCUBLASLT", BUILD_DIR "/tests/libcuda_emulated.so", 1);
    }
    struct ctx *c = ctx_new(NULL);
    struct backend *b = backend_open(c, "cuda");
    if (!b) printf("skipped: %s\n", c->message);
    if (b) b->close(b);
    ctx_clear(c);
    ctx_free(c);
    return b != NULL;
}

/* A function of the emulator, to be called by its type; NULL on a real card, which counts nothing. */
static inline void *card_emulated(const char *name)
{
    void *driver = getenv("YA_TEST_CUDA") ? NULL : dlopen(getenv("YA_LIBCUDA"), RTLD_NOW);
    return driver ? dlsym(driver, name) : NULL;
}

/* How often a kernel ran on the emulator; of NULL: all of them. 0 on a real card. */
static inline size_t card_launches(const char *kernel)
{
    size_t (*count)(const char *) = NULL;
    *(void **)&count = card_emulated("emulated_kernel_launches");
    return count ? count(kernel) : 0;
}

#endif
