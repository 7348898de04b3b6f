/* mem: checked allocation through the ctx. Every size that comes from outside goes through these or through checked.h. */
#ifndef YA_BASE_MEM_H
#define YA_BASE_MEM_H

#include "base/ctx.h"

/* count * size zeroed bytes, owner the caller. NULL with E_MEMORY (or E_INPUT "too large" when the product overflows).
 * count 0 gives a unique pointer. */
void *mem_alloc(struct ctx *c, size_t count, size_t size);

/* Grows or shrinks `p` from old_count to count elements; new elements are zeroed. `p` NULL allocates. On failure
 * NULL is returned and `p` stays valid. Not for blocks of mem_alloc_aligned. */
void *mem_resize(struct ctx *c, void *p, size_t old_count, size_t count, size_t size);

/* 64-byte aligned, not zeroed: a cache line, and the widest vector register. For array storage and packed panels. Owner
 * the caller, freed by mem_free. NULL with E_MEMORY. */
void *mem_alloc_aligned(struct ctx *c, size_t bytes);

/* Frees what the functions above and below returned. Accepts NULL. `c` must be the ctx of the allocation. */
void mem_free(struct ctx *c, void *p);

/* Gives memory that was freed back to the system, where the C library keeps some of it: after work that took much memory
 * for a short time. */
void mem_trim(void);
/* Frees every block of the ctx, whoever holds it: for ctx_free after a panic. */
void mem_free_all(struct ctx *c);

/* A copy of a string (of its first n bytes, NUL-terminated), owner the caller. NULL with E_MEMORY. */
char *mem_strdup(struct ctx *c, const char *s);
char *mem_strndup(struct ctx *c, const char *s, size_t n);

/* printf into fresh memory, owner the caller. NULL with E_MEMORY. */
char *mem_printf(struct ctx *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
