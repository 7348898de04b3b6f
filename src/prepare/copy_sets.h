/* copy_sets: the sets of shingles of some rows, as sorted hashes of 64 bits, and what two of them have in common. They lie
 * one behind the other in an array that may be a file (spill.h): 8 bytes for each different shingle. */
#ifndef YA_PREPARE_COPY_SETS_H
#define YA_PREPARE_COPY_SETS_H

#include "base/spill.h"
#include "prepare/minhash.h"

struct copy_sets; /* opaque */

/* No sets, for n rows. Owner: the caller. NULL with E_MEMORY. */
struct copy_sets *copy_sets_new(struct ctx *c, struct spill_budget *budget, size_t n);
void copy_sets_free(struct copy_sets *s); /* accepts NULL */

/* Adds the set of a row's text. Any thread; `c` is that thread's, and failures of the common array go there too. */
enum status copy_sets_add(struct copy_sets *s, struct ctx *c, const struct minhash *m, size_t row, const char *text,
                          size_t n);

/* |A and B| / |A or B| of the sets of two rows; 0 when one has none. */
double copy_sets_share(const struct copy_sets *s, size_t a, size_t b);

#endif
