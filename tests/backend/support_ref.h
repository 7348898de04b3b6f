/* support_ref: hand-made arrays for testing kernels without the array front end, and the golden values of
 * tools/gen_ref_golden.py. Every array lies in its own buffer with guard elements before, after and, when padded, between
 * its rows, all filled with 0xff (NaN as a float): a kernel that reads one gives NaN, one that writes one is caught when the
 * fixture closes. Outputs start as NaN too. */
#ifndef YA_TESTS_SUPPORT_REF_H
#define YA_TESTS_SUPPORT_REF_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>

#include <cmocka.h>

#include "array/backend.h"
#include "backend/backend_open.h"

enum { REF_ARRAYS_MAX = 512, GOLDEN_MAX = 512 };

struct golden {
    char key[64]; /* "case name" */
    int ndim;
    int64_t shape[ARRAY_MAX_DIMS];
    int64_t n;
    double *values;
};

struct ref_fixture {
    struct ctx *c;
    struct backend *backend; /* the reference, owned */
    enum dtype real;         /* dtype of floating arrays made from goldens */
    int64_t pad;             /* elements between rows */
    double tolerance;        /* of ref_check */
    struct array arrays[REF_ARRAYS_MAX];
    size_t buffer_bytes[REF_ARRAYS_MAX];
    char *buffer[REF_ARRAYS_MAX];
    int n_arrays;
    struct weight weights[16];
    int n_weights;
};

void ref_open(struct ref_fixture *f, enum dtype real, int64_t pad);
void ref_close(struct ref_fixture *f); /* checks every guard */

/* An array with undefined (NaN) elements; padded rows as the fixture says. */
struct array *ref_empty(struct ref_fixture *f, enum dtype dtype, int ndim, const int64_t *shape);
struct array *ref_like(struct ref_fixture *f, const struct array *a);
/* Filled row-major from doubles. */
struct array *ref_values(struct ref_fixture *f, enum dtype dtype, int ndim, const int64_t *shape, const double *values);
/* Filled with a fixed sequence of numbers in (-1, 1), the same for every dtype. */
struct array *ref_noise(struct ref_fixture *f, enum dtype dtype, int ndim, const int64_t *shape, uint64_t seed);

const struct golden *golden_find(const char *name_of_case, const char *name);
/* The golden tensor as an array (f->real), as i32, as f32, and as one number. */
struct array *ref_golden(struct ref_fixture *f, const char *name_of_case, const char *name);
struct array *ref_golden_as(struct ref_fixture *f, const char *name_of_case, const char *name, enum dtype dtype);
double golden_number(const char *name_of_case, const char *name);
/* The golden matrix as a weight of f->real. */
struct weight *ref_weight(struct ref_fixture *f, const char *name_of_case, const char *name);

int64_t ref_size(const struct array *a);
double ref_get(const struct array *a, int64_t i); /* element i, row-major */
void ref_set(struct array *a, int64_t i, double value);

/* Runs the kernel and fails the test on an error. */
void ref_run(struct ref_fixture *f, const struct op_call *call);

/* Largest difference from the golden, relative to its largest value (at least 1), within f->tolerance. -inf equals -inf. */
void ref_check_values(struct ref_fixture *f, const struct array *a, const double *expect, int64_t n, const char *what);
void ref_check(struct ref_fixture *f, const struct array *a, const char *name_of_case, const char *name);

/* SHAPE(2, 3) as arguments ndim, shape. */
#define SHAPE(...)                                                                                                          \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                                                  \
    {                                                                                                                       \
        __VA_ARGS__                                                                                                         \
    }

#endif
