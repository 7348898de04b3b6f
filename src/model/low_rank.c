/* low_rank: see low_rank.h. All matrices are row-major; vectors that are turned or orthogonalised are rows. */
#include "model/low_rank.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { SWEEPS_MAX = 60 }; /* 6 to 10 are usual */

/* Four sums, since one of them alone waits for each addition. */
static double dot_rows(const double *x, const double *y, int64_t n)
{
    double sum[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) sum[k] += x[i + k] * y[i + k];
    for (; i < n; i++) sum[0] += x[i] * y[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Takes from row `i` of q what lies along the rows before it; adds how much that was to row `i` of l. */
static void subtract_rows(double *q, double *l, int64_t i, int64_t rank, int64_t n)
{
    double *row = q + i * n;
    for (int64_t j = 0; j < i; j++) {
        double along = dot_rows(row, q + j * n, n);
        for (int64_t k = 0; k < n; k++) row[k] -= along * q[j * n + k];
        l[i * rank + j] += along;
    }
}

/* q (rank, n) becomes orthonormal rows and l (rank, rank), zeroed, a lower triangle, so that l q is what q was. A row that
 * lies in the span of those before it becomes 0: nothing is multiplied with it then. */
static void orthonormalise(double *q, double *l, int64_t rank, int64_t n)
{
    for (int64_t i = 0; i < rank; i++) {
        double *row = q + i * n, before = sqrt(dot_rows(row, row, n));
        subtract_rows(q, l, i, rank, n);
        subtract_rows(q, l, i, rank, n);
        double left = sqrt(dot_rows(row, row, n));
        if (!(left > 4 * (double)n * DBL_EPSILON * before)) left = 0;
        l[i * rank + i] = left;
        for (int64_t k = 0; k < n; k++) row[k] = left > 0 ? row[k] / left : 0;
    }
}

/* Turns rows x and y by the same angle. */
static void turn(double *x, double *y, int64_t n, double cosine, double sine)
{
    for (int64_t i = 0; i < n; i++) {
        double a = x[i], b = y[i];
        x[i] = cosine * a - sine * b;
        y[i] = sine * a + cosine * b;
    }
}

/* Makes two rows of w orthogonal, and turns those of u alike. False when they were, up to the rounding of their product, or
 * when one of them is no more than rounding itself: its square is at most `nothing`. */
static bool turn_pair(double *w, double *u, int64_t i, int64_t j, int64_t rank, double nothing)
{
    double *x = w + i * rank, *y = w + j * rank;
    double xx = dot_rows(x, x, rank), yy = dot_rows(y, y, rank), xy = dot_rows(x, y, rank);
    if (xx <= nothing || yy <= nothing) return false;
    if (fabs(xy) <= (double)(4 + rank) * DBL_EPSILON * sqrt(xx) * sqrt(yy)) return false;
    double zeta = (yy - xx) / (2 * xy), t = copysign(1, zeta) / (fabs(zeta) + hypot(1, zeta)), cosine = 1 / hypot(1, t);
    turn(x, y, rank, cosine, cosine * t);
    turn(u + i * rank, u + j * rank, rank, cosine, cosine * t);
    return true;
}

/* w = u^T diag(sigma) v for the w that comes in: rows of w are turned until they are orthogonal, and then they are sigma v.
 * u starts as the identity. */
static enum status turn_all(struct low_rank *r, const char *what, double *w, double nothing)
{
    bool turned = true;
    for (int sweep = 0; turned; sweep++) {
        if (sweep == SWEEPS_MAX)
            return ctx_fail(r->c, E_NUMERIC, "%s: its singular values were not found in %d sweeps", what, SWEEPS_MAX);
        turned = false;
        for (int64_t i = 0; i < r->rank; i++)
            for (int64_t j = i + 1; j < r->rank; j++) turned |= turn_pair(w, r->u, i, j, r->rank, nothing);
    }
    return OK;
}

static void swap_rows(double *x, int64_t i, int64_t j, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        double kept = x[i * n + k];
        x[i * n + k] = x[j * n + k];
        x[j * n + k] = kept;
    }
}

/* Norms of the rows of v, descending, as sigma; v becomes unit rows, or 0 where sigma is. */
static void order(struct low_rank *r, double nothing)
{
    const int64_t n = r->rank;
    for (int64_t i = 0; i < n; i++) {
        double square = dot_rows(r->v + i * n, r->v + i * n, n);
        r->sigma[i] = square > nothing ? sqrt(square) : 0;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t largest = i;
        for (int64_t j = i + 1; j < n; j++)
            if (r->sigma[j] > r->sigma[largest]) largest = j;
        double sigma = r->sigma[largest];
        r->sigma[largest] = r->sigma[i];
        r->sigma[i] = sigma;
        swap_rows(r->v, i, largest, n);
        swap_rows(r->u, i, largest, n);
        for (int64_t k = 0; k < n; k++) r->v[i * n + k] = sigma > 0 ? r->v[i * n + k] / sigma : 0;
    }
}

/* L_B^T L_A into r->v, and the identity into r->u. */
static void multiply_triangles(struct low_rank *r, const double *lb, const double *la)
{
    const int64_t n = r->rank;
    for (int64_t i = 0; i < n; i++) {
        r->u[i * n + i] = 1;
        for (int64_t k = i; k < n; k++) /* L_B^T is 0 for k < i */
            for (int64_t j = 0; j <= k; j++) r->v[i * n + j] += lb[k * n + i] * la[k * n + j];
    }
}

/* Copies as f64: b turned into (rank, out), a as it is. */
static enum status low_rank_load(struct low_rank *r, const char *what, const float *b, const float *a, double scale)
{
    double sum = 0;
    for (int64_t i = 0; i < r->out; i++)
        for (int64_t k = 0; k < r->rank; k++) r->left[k * r->out + i] = scale * (double)b[i * r->rank + k];
    for (int64_t i = 0; i < r->rank * r->in; i++) r->right[i] = (double)a[i];
    for (int64_t i = 0; i < r->rank * r->out; i++) sum += r->left[i] * 0;
    for (int64_t i = 0; i < r->rank * r->in; i++) sum += r->right[i] * 0;
    return sum == 0 ? OK : ctx_fail(r->c, E_NUMERIC, "%s: a value is not finite", what);
}

enum status low_rank_open(struct low_rank *r, struct ctx *c, const char *what, const float *b, const float *a, int64_t out,
                          int64_t in, int64_t rank, double scale)
{
    const size_t square = (size_t)(rank * rank);
    *r = (struct low_rank){.c = c, .out = out, .in = in, .rank = rank};
    r->left = mem_alloc(c, (size_t)(rank * out), sizeof *r->left);
    r->right = mem_alloc(c, (size_t)(rank * in), sizeof *r->right);
    r->u = mem_alloc(c, square, sizeof *r->u);
    r->v = mem_alloc(c, square, sizeof *r->v);
    r->sigma = mem_alloc(c, (size_t)rank, sizeof *r->sigma);
    double *l = mem_alloc(c, 2 * square, sizeof *l);
    if (ctx_ok(c) && low_rank_load(r, what, b, a, scale) == OK) {
        orthonormalise(r->left, l, rank, out);
        orthonormalise(r->right, l + square, rank, in);
        multiply_triangles(r, l, l + square);
        double rounding = (double)rank * DBL_EPSILON, nothing = rounding * rounding * dot_rows(r->v, r->v, rank * rank);
        if (turn_all(r, what, r->v, nothing) == OK) order(r, nothing);
    }
    mem_free(c, l);
    return c->status;
}

void low_rank_release(struct low_rank *r)
{
    mem_free(r->c, r->left);
    mem_free(r->c, r->right);
    mem_free(r->c, r->u);
    mem_free(r->c, r->v);
    mem_free(r->c, r->sigma);
    *r = (struct low_rank){.c = r->c};
}

/* ---- measures --------------------------------------------------------------------------------------------------------- */

double low_rank_energy(const struct low_rank *r, int64_t k)
{
    double all = dot_rows(r->sigma, r->sigma, r->rank);
    return all > 0 ? dot_rows(r->sigma, r->sigma, k < r->rank ? k : r->rank) / all : 1;
}

int64_t low_rank_rank_for(const struct low_rank *r, double share)
{
    int64_t k = 0;
    if (!(r->sigma[0] > 0)) return 0;
    while (k < r->rank && low_rank_energy(r, k) < share) k++;
    return k;
}

double low_rank_effective(const struct low_rank *r)
{
    double sum = 0, entropy = 0;
    for (int64_t i = 0; i < r->rank; i++) sum += r->sigma[i];
    for (int64_t i = 0; i < r->rank; i++)
        if (r->sigma[i] > 0) entropy -= r->sigma[i] / sum * log(r->sigma[i] / sum);
    return sum > 0 ? exp(entropy) : 0;
}

/* ---- a smaller rank --------------------------------------------------------------------------------------------------- */

/* Row `i` of mix times the rows of q, times `by`: to[0], to[step], ... */
static void mix_rows(const double *mix, const double *q, int64_t rank, int64_t n, double by, float *to, int64_t step)
{
    for (int64_t k = 0; k < n; k++) {
        double sum = 0;
        for (int64_t j = 0; j < rank; j++) sum += mix[j] * q[j * n + k];
        to[k * step] = (float)(by * sum);
    }
}

void low_rank_truncate(const struct low_rank *r, int64_t k, float *b, float *a)
{
    BUG_ON(r->c, k < 1 || k > r->rank, "a product of rank %lld is cut to %lld", (long long)r->rank, (long long)k);
    for (int64_t i = 0; i < k; i++) {
        double root = sqrt(r->sigma[i]);
        mix_rows(r->u + i * r->rank, r->left, r->rank, r->out, root, b + i, k);
        mix_rows(r->v + i * r->rank, r->right, r->rank, r->in, root, a + i * r->in, 1);
    }
}
