/* low_rank: what lies in a product B A of small rank, in f64: its singular values, and the nearest product of a smaller
 * rank.
 *
 * B A (out, in) is never formed. B^T = L_B Q_B and A = L_A Q_A, each with orthonormal rows of Q (Gram-Schmidt, every row
 * orthogonalised twice, which is enough: Giraud, Langou and Rozloznik 2005), so B A = Q_B^T (L_B^T L_A) Q_A, and the
 * singular values are those of the r x r matrix in the middle. One-sided Jacobi (Hestenes 1958) finds them, small ones with
 * as many digits as large ones, which squares of the matrix (B A)(B A)^T would not keep. */
#ifndef YA_MODEL_LOW_RANK_H
#define YA_MODEL_LOW_RANK_H

#include "base/ctx.h"

struct low_rank {
    struct ctx *c;
    int64_t out, in, rank;
    double *left, *right; /* owned: Q_B (rank, out) and Q_A (rank, in) */
    double *u, *v;        /* owned: (rank, rank), a row for each singular value: its vector in the rows of left and right */
    double *sigma;        /* owned: (rank), descending; 0 for each dimension that the product has less */
};

/* Decomposes scale B A: b (out, rank), a (rank, in), row-major; `what` names it in messages. About 4 rank^2 (out + in)
 * operations and some 50 rank^3. E_NUMERIC for values that are not finite, E_MEMORY. Release with low_rank_release, also
 * after a failure. */
enum status low_rank_open(struct low_rank *r, struct ctx *c, const char *what, const float *b, const float *a, int64_t out,
                          int64_t in, int64_t rank, double scale);
void low_rank_release(struct low_rank *r);

/* Of the sum of all squares of the product, the share that its best approximation of rank k keeps: the sum of the first k
 * squared singular values by that of all (Eckart and Young 1936). 1 for a product that is zero. */
double low_rank_energy(const struct low_rank *r, int64_t k);
/* The smallest k that keeps at least `share` of the squares; 0 for a product that is zero. */
int64_t low_rank_rank_for(const struct low_rank *r, double share);
/* exp of the entropy of sigma / sum sigma (Roy and Vetterli 2007): `rank` when all are equal, 1 when only one is not 0, and
 * 0 for a product that is zero. */
double low_rank_effective(const struct low_rank *r);

/* The best approximation of rank k <= rank, as b (out, k) and a (k, in) whose product it is: both carry the square root of
 * the singular values, so that neither is much larger than the other. */
void low_rank_truncate(const struct low_rank *r, int64_t k, float *b, float *a);

#endif
