/* copy_groups: which rows are copies of one another. Exact copies have the same text. Near copies have at least `threshold`
 * of their shingles in common, |A and B| / |A or B| (Jaccard). Pairs that may be near copies are found by locality-sensitive
 * hashing: signatures are cut into bands of some positions each, and only rows that agree in a whole band meet. Of those, a
 * pair whose estimate lies far below the threshold is left; of the others the share is computed from the sets of shingles,
 * so that no pair is joined by chance. A group is what pairs connect.
 *
 *   copy_groups_meet    which rows meet another one: the sets of these are needed (copy_sets.h)
 *   copy_groups_find    the groups */
#ifndef YA_PREPARE_COPY_GROUPS_H
#define YA_PREPARE_COPY_GROUPS_H

#include "prepare/copy_sets.h"
#include "prepare/minhash.h"

/* Texts: 128 bits of their SHA-256, and where near copies are looked for their signatures and the sets of rows that meet. */
struct copy_texts {
    size_t n;
    const uint64_t (*digest)[2];
    const int32_t *signatures;    /* (n, permutations); NULL: exact copies only */
    const bool *left_out;         /* (n) in a group of their own, whatever they are; NULL: none */
    const uint8_t *meets;         /* (n) from copy_groups_meet, for copy_groups_find */
    const struct copy_sets *sets; /* of the rows that meet, for copy_groups_find */
};

struct copy_counts {
    size_t groups;    /* of two rows and more */
    size_t exact;     /* rows whose text an earlier row has */
    size_t near_rows; /* further rows that are in the group of an earlier row */
    size_t compared;  /* pairs whose signatures were compared */
    size_t computed;  /* ... and whose share of shingles was computed */
};

enum { COPY_BANDS_MAX = MINHASH_PERMUTATIONS_MAX };

/* Bands and positions of each: as many positions as still let two rows whose signatures agree in `threshold` of them meet
 * with a probability of COPY_MEET. Since pairs that meet are compared, wrong ones cost time and are no mistakes; the usual
 * choice, which weighs both alike (as datasketch does), meets 40 % of the pairs at a threshold of 0.8 and 128 positions. */
#define COPY_MEET 0.99
/* Fills *bands and *positions so that bands * positions is at most `permutations`. threshold in (0, 1]. Cannot fail. */
void copy_bands(double threshold, int permutations, int *bands, int *positions);

/* Sets meets[i] (n) for each row that agrees with another in a band and whose share of shingles with it may reach the
 * threshold: the estimate is at most COPY_DOUBT standard errors below it, which leaves out one such pair in 30,000. Rows of
 * equal texts count once, for the first of them. E_MEMORY, E_INPUT for 2^32 rows. Memory: as copy_groups_find. */
#define COPY_DOUBT 4
enum status copy_groups_meet(struct ctx *c, const struct minhash *m, double threshold, const struct copy_texts *texts,
                             uint8_t *meets);

/* Fills group (n): the smallest index of each row's group, so group[i] == i for its first row. E_MEMORY, E_INPUT for 2^32
 * rows. threshold in (0, 1]. Memory: 16 bytes a row for the search beside
 * what is given, and 8 MB. A band that very many rows share costs COMPARED_MAX comparisons a row. */
enum status copy_groups_find(struct ctx *c, const struct minhash *m, double threshold, const struct copy_texts *texts,
                             uint32_t *group, struct copy_counts *counts);

#endif
