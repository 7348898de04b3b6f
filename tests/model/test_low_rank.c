/* low_rank against NumPy's SVD of the whole product (tools/gen_low_rank.py), and its approximations against the error that
 * the singular values say. */
#include "support_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/low_rank.h"

/* One case of the file, with its matrices. */
struct low_rank_case {
    char kind[16];
    long out, in, rank, seed;
    double scale, effective;
    double *sigma;
    float *a, *b;
};

static void draw(float *to, long n, uint32_t seed)
{
    for (long i = 0; i < n; i++) {
        seed = 1664525u * seed + 1013904223u;
        to[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
    }
}

/* As gen_low_rank.py says. */
static void make_matrices(struct ctx *c, struct low_rank_case *k)
{
    k->a = mem_alloc(c, (size_t)(k->rank * k->in), sizeof *k->a);
    k->b = mem_alloc(c, (size_t)(k->out * k->rank), sizeof *k->b);
    draw(k->b, k->out * k->rank, (uint32_t)k->seed);
    draw(k->a, k->rank * k->in, (uint32_t)k->seed + 1);
    for (long i = 0; i < k->rank * k->in; i++) {
        if (strcmp(k->kind, "graded") == 0) k->a[i] = ldexpf(k->a[i], (int)(-5 * (i / k->in)));
        if (strcmp(k->kind, "dependent") == 0 && i / k->in >= k->rank / 2) k->a[i] = k->a[i - k->rank / 2 * k->in];
    }
    if (strcmp(k->kind, "zero") == 0) memset(k->b, 0, (size_t)(k->out * k->rank) * sizeof *k->b);
}

static bool next_case(struct ctx *c, FILE *f, struct low_rank_case *k)
{
    if (fscanf(f, " case %15s %ld %ld %ld %ld %lf sigma", k->kind, &k->out, &k->in, &k->rank, &k->seed, &k->scale) != 6)
        return false;
    k->sigma = mem_alloc(c, (size_t)k->rank, sizeof *k->sigma);
    for (long i = 0; i < k->rank; i++) assert_int_equal(fscanf(f, "%lf", &k->sigma[i]), 1);
    assert_int_equal(fscanf(f, " effective %lf", &k->effective), 1);
    make_matrices(c, k);
    return true;
}

/* The squared Frobenius norm of scale B A - b a. */
static double squared_error(const struct low_rank_case *k, const float *b, const float *a, long rank)
{
    double sum = 0;
    for (long i = 0; i < k->out; i++)
        for (long j = 0; j < k->in; j++) {
            double e = 0;
            for (long r = 0; r < k->rank; r++) e += k->scale * (double)k->b[i * k->rank + r] * (double)k->a[r * k->in + j];
            for (long r = 0; r < rank; r++) e -= (double)b[i * rank + r] * (double)a[r * k->in + j];
            sum += e * e;
        }
    return sum;
}

/* No product of that rank is nearer: its error is that of the singular values that are left out. */
static void check_truncation(struct ctx *c, const struct low_rank_case *k, const struct low_rank *r, long rank)
{
    float *b = mem_alloc(c, (size_t)(k->out * rank), sizeof *b), *a = mem_alloc(c, (size_t)(rank * k->in), sizeof *a);
    double left = 0, all = 0;
    for (long i = 0; i < k->rank; i++) {
        all += k->sigma[i] * k->sigma[i];
        if (i >= rank) left += k->sigma[i] * k->sigma[i];
    }
    low_rank_truncate(r, rank, b, a);
    double error = sqrt(squared_error(k, b, a, rank)), want = sqrt(left);
    if (!(fabs(error - want) <= 1e-6 * sqrt(all))) fail_msg("%s, rank %ld: error %g, not %g", k->kind, rank, error, want);
    if (all > 0) assert_true(fabs(low_rank_energy(r, rank) - (1 - left / all)) < 1e-12);
    mem_free(c, b);
    mem_free(c, a);
}

static void check_case(struct ctx *c, const struct low_rank_case *k)
{
    struct low_rank r;
    assert_int_equal(low_rank_open(&r, c, "it", k->b, k->a, k->out, k->in, k->rank, k->scale), OK);
    for (long i = 0; i < k->rank; i++)
        if (!(fabs(r.sigma[i] - k->sigma[i]) <= 1e-13 * k->sigma[0]))
            fail_msg("%s, %ld x %ld of rank %ld: singular value %ld is %.17g, not %.17g", k->kind, k->out, k->in, k->rank, i,
                     r.sigma[i], k->sigma[i]);
    assert_true(fabs(low_rank_effective(&r) - k->effective) <= 1e-11 * (1 + k->effective));
    for (long rank = 1; rank <= k->rank; rank = rank < k->rank && 2 * rank > k->rank ? k->rank : 2 * rank)
        check_truncation(c, k, &r, rank);
    low_rank_release(&r);
}

static void as_numpy_finds_them(void **state)
{
    struct fixture *f = *state;
    struct low_rank_case k;
    int n = 0;
    FILE *file = fopen(TEST_DATA "/low_rank.txt", "r");
    assert_non_null(file);
    for (; next_case(f->c, file, &k); n++) {
        check_case(f->c, &k);
        mem_free(f->c, k.sigma);
        mem_free(f->c, k.a);
        mem_free(f->c, k.b);
    }
    fclose(file);
    assert_int_equal(n, 8);
}

/* Diagonal products, whose answers are known: how many values keep a share, and the effective rank. */
static void measures(void **state)
{
    struct fixture *f = *state;
    const float b[16] = {3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                even[16] = {2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2};
    const float a[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, none[16] = {0};
    struct low_rank r;
    assert_int_equal(low_rank_open(&r, f->c, "it", b, a, 4, 4, 4, 1), OK);
    assert_true(r.sigma[0] == 4 && r.sigma[1] == 3 && r.sigma[2] == 0);
    assert_true(fabs(low_rank_energy(&r, 1) - 0.64) < 1e-15);
    assert_true(low_rank_energy(&r, 4) == 1 && low_rank_energy(&r, 9) == 1);
    assert_int_equal(low_rank_rank_for(&r, 0.6), 1);
    assert_int_equal(low_rank_rank_for(&r, 0.9), 2);
    low_rank_release(&r);
    assert_int_equal(low_rank_open(&r, f->c, "it", even, a, 4, 4, 4, 1), OK);
    assert_true(fabs(low_rank_effective(&r) - 4) < 1e-12);
    low_rank_release(&r);
    assert_int_equal(low_rank_open(&r, f->c, "it", none, a, 4, 4, 4, 1), OK);
    assert_true(low_rank_effective(&r) == 0 && low_rank_energy(&r, 1) == 1);
    assert_int_equal(low_rank_rank_for(&r, 0.9), 0);
    low_rank_release(&r);
}

static void values_that_are_not_finite_are_refused(void **state)
{
    struct fixture *f = *state;
    const float bad[2][2] = {{1, NAN}, {INFINITY, 1}}, good[2] = {1, 2};
    struct low_rank r;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(low_rank_open(&r, f->c, "layer 3", bad[i], good, 2, 2, 1, 1), E_NUMERIC);
        assert_failed(f->c, E_NUMERIC, "layer 3: a value is not finite");
        low_rank_release(&r);
        assert_int_equal(low_rank_open(&r, f->c, "layer 3", good, bad[i], 2, 2, 1, 1), E_NUMERIC);
        ctx_clear(f->c);
        low_rank_release(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_numpy_finds_them, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(measures, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(values_that_are_not_finite_are_refused, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
