/* support_form: what is asked of every form that rows are put into at load (nf4.h, int8.h). */
#ifndef YA_TESTS_SUPPORT_FORM_H
#define YA_TESTS_SUPPORT_FORM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "array/weight.h"

struct form_case {
    enum weight_form form;
    size_t (*row_bytes)(int64_t cols);
    bool (*quantise_row)(const float *x, int64_t cols, void *row);
    void (*to_f32)(const void *row, int64_t cols, int64_t first, int64_t n, float *out);
    void (*to_f64)(const void *row, int64_t cols, int64_t first, int64_t n, double *out);
};

/* Lines of a file of known answers: for each the check of its first word gets what follows. seen[i]: lines of kind i. */
struct form_kind {
    const char *kind;
    void (*check)(char *rest);
};
void form_vectors(const char *path, const char *made_by, const struct form_kind *kinds, int n, int *seen);
/* "3f800000,..." as floats; returns how many. */
int form_floats(const char *text, float *out);
enum { FORM_VALUES_MAX = 1 << 10 };
/* Draw i is that of a generator which the scripts of tools/ have too, times 1 + i / 4096. malloc. */
float *form_draws(int64_t n, uint32_t seed);
void form_assert_hash(const void *data, size_t bytes, const char *hex);

/* "row" lines: columns, input, bytes of the stored row, what it reads as. The row lies at an odd address. */
void form_check_row(const struct form_case *f, char *rest);
/* "long" lines: columns, seed, SHA-256 of the row and of what it reads as. */
void form_check_long(const struct form_case *f, char *rest);
/* Any piece is that piece of the whole. */
void form_check_pieces(const struct form_case *f, int64_t cols);
/* No NaN, no infinity, nothing above 1e30, wherever it stands. */
void form_check_unfit(const struct form_case *f);
/* Weights of every stored type behind a row map, for any number of threads. */
void form_check_weights(const struct form_case *f);
/* The first bad row is named, whoever met it, and the weight is as it was. */
void form_check_bad_weight(const struct form_case *f);

#endif
