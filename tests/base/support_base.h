/* What the base tests share: allocations that can be made to fail, a scratch folder, assertions on failures. */
#ifndef YA_TESTS_SUPPORT_BASE_H
#define YA_TESTS_SUPPORT_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ctx.h"
#include "support_oom.h"

/* A fresh folder, its path valid until the next call; scratch_end removes it. */
const char *scratch_begin(void);
void scratch_end(void);
/* Fixture of a test: a scratch folder and a ctx as *state; the end fails the test when anything is still allocated. */
int scratch_setup(void **state);
int scratch_teardown(void **state);
/* "SCRATCH/name" in one of 64 rotating buffers. */
const char *scratch_path(const char *name);

void scratch_write(const char *name, const void *bytes, size_t n);

/* The ctx failed with this status and a message that holds `part`; clears it. */
void assert_failed(struct ctx *c, enum status status, const char *part);

#endif
