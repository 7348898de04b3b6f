/* weight_view: where the weight of a training set lies: by source and file, and the documents that weigh most and least. The
 * page before step 1 and the page of a run show the same numbers. */
#ifndef YA_RUNS_WEIGHT_VIEW_H
#define YA_RUNS_WEIGHT_VIEW_H

#include "data/objective.h"
#include "io/tokenizer/tokenizer.h"

/* Sums over the documents of one source type or file. */
struct weight_group {
    const char *name; /* borrowed from the dataset */
    int64_t documents, tokens;
    double s, omega, weight; /* summed over trained tokens; s is NaN for rows without scores */
};

/* The groups by source_type (the last one: without) or by file, the heaviest first; *n of them, some of which may be empty.
 * Owner of the result: the caller (mem_free). NULL with E_MEMORY. */
struct weight_group *weight_view_types(struct ctx *c, const struct dataset *d, const struct objective *o, size_t *n);
struct weight_group *weight_view_files(struct ctx *c, const struct dataset *d, const struct objective *o, size_t *n);

/* What the loss of document i is multiplied by: omega times the row's own weight. */
double weight_view_of(const struct dataset *d, const struct objective *o, int64_t i);

enum { WEIGHT_VIEW_EXTREMES = 3 };

/* The documents with the largest weights (out[0]) and with the smallest (out[1]), the first of equals first; returns how
 * many of each, none of them in both lists: 0 where all weigh the same. */
int weight_view_extremes(const struct dataset *d, const struct objective *o, int64_t out[2][WEIGHT_VIEW_EXTREMES]);

/* Appends the first words that are trained of a document, at most most_bytes of them, on one line: control characters and
 * bytes that are not UTF-8 are spaces. E_MEMORY, or E_INPUT for a document whose text is too large. */
enum status weight_view_excerpt(struct ctx *c, const struct tokenizer *t, const struct dataset *d, int64_t i,
                                size_t most_bytes, struct buf *out);

#endif
