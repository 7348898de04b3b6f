/* score_common: what the two scorers (score_citation.c, score_heuristic.c) share; score_document in scorer.c calls the one
 * that the rules name. The formulas are those of docs/score.md. */
#ifndef YA_SCORE_COMMON_H
#define YA_SCORE_COMMON_H

#include <math.h>
#include <string.h>

#include "score/citation.h"
#include "score/scorer.h"

/* The two scorers: fill *out from a text and the members of its row. counts (n_patterns): scratch. They cannot fail. */
void score_citation(const struct rules *r, struct matcher_count *counts, const struct score_input *in,
                    struct score_result *out);
void score_heuristic(const struct rules *r, struct matcher_count *counts, const struct score_input *in,
                     struct score_result *out);

/* Whether a value is the same text as, or contains, a lower-case word, whatever its own case. */
bool score_contains(const struct score_value *v, const char *word);

/* The number of citations that the row gives, at least 0; false: none, or nothing that can be one. */
bool score_given_citations(const struct score_value *v, int64_t *citations);

/* One of three values (an authority, or bits) by the rules' years: old before year_middle, modern from year_new on. */
static inline double score_by_age(const struct rules_weights *w, int year, double old, double middle, double modern)
{
    return year < w->year_middle ? old : year < w->year_new ? middle : modern;
}

/* An authority within its range, [0, 0.99]: at 1 the logarithm of s would have nothing left. */
static inline double score_clamp_authority(double v)
{
    return fmax(0.0, fmin(0.99, v));
}

#endif
