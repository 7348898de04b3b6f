/* Chains of view ops with random parameters, against a plain array of numbers that every step is applied to by its
 * definition. Finds wrong strides, offsets and copies that no hand-made case has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend_open.h"
#include "base/rng.h"
#include "support_case.h"

enum { CHAINS = 400, STEPS = 6, MOST = 4096 };

/* The plain array: row-major numbers. */
struct plain {
    int ndim;
    int64_t shape[ARRAY_MAX_DIMS];
    int32_t values[MOST];
};

static int64_t size_of(int ndim, const int64_t *shape)
{
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    return n;
}

static void unravel(int64_t at, int ndim, const int64_t *shape, int64_t *index)
{
    for (int i = ndim - 1; i >= 0; i--) {
        index[i] = at % shape[i];
        at /= shape[i];
    }
}

static int64_t ravel(int ndim, const int64_t *shape, const int64_t *index)
{
    int64_t at = 0;
    for (int i = 0; i < ndim; i++) at = at * shape[i] + index[i];
    return at;
}

/* Makes `p` the array of this shape whose element at index comes from source(index) of the old one. */
static void rebuild(struct plain *p, int ndim, const int64_t *shape, const int64_t *mul, const int64_t *add, const int *axis)
{
    static struct plain old;
    old = *p;
    p->ndim = ndim;
    memcpy(p->shape, shape, sizeof p->shape);
    for (int64_t k = 0; k < size_of(ndim, shape); k++) {
        int64_t index[ARRAY_MAX_DIMS], from[ARRAY_MAX_DIMS] = {0};
        unravel(k, ndim, shape, index);
        for (int i = 0; i < ndim; i++) {
            if (axis[i] >= 0) from[axis[i]] = index[i] * mul[i] + add[i];
        }
        p->values[k] = old.values[ravel(old.ndim, old.shape, from)];
    }
}

static struct array *step_transpose(struct ctx *c, struct rng *r, struct array *a, struct plain *p)
{
    int perm[ARRAY_MAX_DIMS];
    int64_t shape[ARRAY_MAX_DIMS] = {0}, one[ARRAY_MAX_DIMS], none[ARRAY_MAX_DIMS] = {0};
    for (int i = 0; i < p->ndim; i++) perm[i] = i;
    for (int i = p->ndim - 1; i > 0; i--) {
        int j = (int)rng_below(r, (uint64_t)i + 1), swapped = perm[i];
        perm[i] = perm[j];
        perm[j] = swapped;
    }
    for (int i = 0; i < p->ndim; i++) {
        shape[i] = p->shape[perm[i]];
        one[i] = 1;
    }
    rebuild(p, p->ndim, shape, one, none, perm);
    return op_transpose(c, a, perm);
}

static struct array *step_slice(struct ctx *c, struct rng *r, struct array *a, struct plain *p)
{
    int64_t shape[ARRAY_MAX_DIMS] = {0}, start[ARRAY_MAX_DIMS], stop[ARRAY_MAX_DIMS], step[ARRAY_MAX_DIMS];
    int axis[ARRAY_MAX_DIMS];
    for (int i = 0; i < p->ndim; i++) {
        start[i] = (int64_t)rng_below(r, (uint64_t)p->shape[i]);
        stop[i] = start[i] + 1 + (int64_t)rng_below(r, (uint64_t)(p->shape[i] - start[i]));
        step[i] = 1 + (int64_t)rng_below(r, 3);
        shape[i] = (stop[i] - start[i] - 1) / step[i] + 1;
        axis[i] = i;
    }
    rebuild(p, p->ndim, shape, step, start, axis);
    return op_slice(c, a, start, stop, step);
}

/* New leading axes, and axes of size 1 stretched. */
static struct array *step_broadcast(struct ctx *c, struct rng *r, struct array *a, struct plain *p)
{
    int extra = p->ndim < 6 ? (int)rng_below(r, 2) : 0, axis[ARRAY_MAX_DIMS];
    int64_t shape[ARRAY_MAX_DIMS] = {0}, mul[ARRAY_MAX_DIMS], none[ARRAY_MAX_DIMS] = {0};
    for (int i = 0; i < p->ndim + extra; i++) {
        bool stretch = i < extra || p->shape[i - extra] == 1;
        shape[i] = stretch ? 1 + (int64_t)rng_below(r, 3) : p->shape[i - extra];
        axis[i] = i < extra ? -1 : i - extra;
        mul[i] = stretch ? 0 : 1;
    }
    if (size_of(p->ndim + extra, shape) > MOST) return a;
    int ndim = p->ndim + extra;
    rebuild(p, ndim, shape, mul, none, axis);
    return op_broadcast(c, a, ndim, shape);
}

/* The same numbers in row-major order: random factors of the size, with ones strewn in. */
static struct array *step_reshape(struct ctx *c, struct rng *r, struct array *a, struct plain *p)
{
    int64_t shape[ARRAY_MAX_DIMS], left = size_of(p->ndim, p->shape);
    int ndim = 0;
    while (left > 1 && ndim < 5) {
        int64_t factor = 2 + (int64_t)rng_below(r, 6);
        if (ndim == 4) factor = left;
        if (left % factor == 0) {
            shape[ndim++] = factor;
            left /= factor;
        } else if (rng_below(r, 4) == 0) {
            shape[ndim++] = rng_below(r, 2) ? 1 : left;
            if (shape[ndim - 1] != 1) left = 1;
        }
    }
    if (left > 1) shape[ndim++] = left;
    p->ndim = ndim;
    memcpy(p->shape, shape, (size_t)ndim * sizeof *shape);
    return op_reshape(c, a, ndim, shape);
}

static void run_chain(struct ctx *c, uint64_t seed)
{
    static struct plain p;
    static int32_t got[MOST];
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 1);
    p.ndim = 1 + (int)rng_below(&r, 4);
    for (int i = 0; i < p.ndim; i++) p.shape[i] = 1 + (int64_t)rng_below(&r, 6);
    for (int i = 0; i < MOST; i++) p.values[i] = i;
    struct array *a = array_from_host(c, DTYPE_I32, p.ndim, p.shape, p.values);
    for (int step = 0; step < STEPS; step++) {
        switch (rng_below(&r, 4)) {
        case 0:
            a = step_transpose(c, &r, a, &p);
            break;
        case 1:
            a = step_slice(c, &r, a, &p);
            break;
        case 2:
            a = step_broadcast(c, &r, a, &p);
            break;
        default:
            a = step_reshape(c, &r, a, &p);
            break;
        }
        if (!a) fail_msg("seed %d, step %d: %s", (int)seed, step, c->message);
        assert_int_equal(a->ndim, p.ndim);
        for (int i = 0; i < p.ndim; i++) assert_int_equal(a->shape[i], p.shape[i]);
        assert_int_equal(array_to_host(a, DTYPE_I32, got), OK);
        if (memcmp(got, p.values, (size_t)array_size(a) * sizeof *got)) fail_msg("seed %d, step %d", (int)seed, step);
    }
}

static void test_chains(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    for (uint64_t seed = 0; seed < CHAINS; seed++) {
        int mark = scope_open(c);
        run_chain(c, seed);
        scope_close(c, mark);
    }
    case_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chains)};
    return cmocka_run_group_tests_name("views", tests, NULL, NULL);
}
