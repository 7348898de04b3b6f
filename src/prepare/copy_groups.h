/* copy_groups: which rows are copies of one another. Exact copies have the same text; near copies have signatures that agree
 * in at least `threshold` of their positions. Pairs to be compared are found by locality-sensitive hashing: signatures are
 * cut into bands of some positions each, and only rows that agree in a whole band meet. A group is what pairs connect. */
#ifndef YA_PREPARE_COPY_GROUPS_H
#define YA_PREPARE_COPY_GROUPS_H

#include "prepare/minhash.h"

/* Texts: 128 bits of their SHA-256, and where near copies are looked for their signatures. */
struct copy_texts {
    size_t n;
    const uint64_t (*digest)[2];
    const int32_t *signatures; /* (n, permutations); NULL: exact copies only */
    const bool *left_out;      /* (n) in a group of their own, whatever they are; NULL: none */
};

struct copy_counts {
    size_t groups;    /* of two rows and more */
    size_t exact;     /* rows whose text an earlier row has */
    size_t near_rows; /* further rows that are in the group of an earlier row */
    size_t compared;  /* pairs whose signatures were compared */
};

enum { COPY_BANDS_MAX = MINHASH_PERMUTATIONS_MAX };

/* Bands and positions of each: as many positions as still let two rows whose signatures agree in `threshold` of them meet
 * with a probability of COPY_MEET. Since pairs that meet are compared, wrong ones cost time and are no mistakes; the usual
 * choice, which weighs both alike (as datasketch does), meets 40 % of the pairs at a threshold of 0.8 and 128 positions. */
#define COPY_MEET 0.98
/* Fills *bands and *positions so that bands * positions is at most `permutations`. threshold in (0, 1]. Cannot fail. */
void copy_bands(double threshold, int permutations, int *bands, int *positions);

/* Fills group (n): the smallest index of each row's group, so group[i] == i for its first row. E_MEMORY, E_INPUT for 2^32
 * rows. threshold in (0, 1]. Memory: 16 bytes a row for the search beside
 * what is given. A band that very many rows share costs COMPARED_MAX comparisons a row. */
enum status copy_groups_find(struct ctx *c, const struct minhash *m, double threshold, const struct copy_texts *texts,
                             uint32_t *group, struct copy_counts *counts);

#endif
