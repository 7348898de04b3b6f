/* support_gguf: makes random GGUF files that are right but for one chosen defect. */
#ifndef YA_TESTS_SUPPORT_GGUF_H
#define YA_TESTS_SUPPORT_GGUF_H

#include "base/rng.h"
#include "io/gguf.h"

struct gguf_defect {
    const char *name;
    enum status status;  /* OK: the file is right */
    const char *message; /* a fragment of the reader's message */
};
extern const struct gguf_defect gguf_defects[];
extern const int n_gguf_defects;

/* Builds a file with the defect; free() it. *n is its size. */
uint8_t *gguf_make(struct rng *r, int defect, size_t *n);

#endif
