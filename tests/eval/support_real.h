/* support_real: a real model against transformers on the same dequantised weights (tests/data/golden/NAME.json, made by
 * tools/gen_golden_real.py). One model a test program. */
#ifndef YA_TESTS_SUPPORT_REAL_H
#define YA_TESTS_SUPPORT_REAL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Opens models/MODEL_NAME.gguf and its golden answers; -1 with a message when one is missing or bad. */
int real_setup(const char *model_name, const char *golden_name);
int real_teardown(void **state);

/* Tests: token ids and log-probabilities of ten prompts; their greedy continuations of 32 tokens; the same with the
 * tokenizer's stop ids, which end at the first of them. */
void real_check_logprobs(void **state);
void real_check_continuations(void **state);
void real_check_stop(void **state);

#endif
