/* grid: which trainings the conflict experiment does: arms x repeats x ratios x epochs x seeds, without those that would be
 * the same training twice. */
#ifndef YA_EVAL_GRID_H
#define YA_EVAL_GRID_H

#include "eval/arm.h"

enum grid_size { GRID_SMALL, GRID_MEDIUM, GRID_FULL, GRIDS };

enum { GRID_VALUES_MAX = 8 };

/* Lists end with 0. */
struct grid {
    uint32_t arms; /* bit a: enum arm a; the base model is always asked */
    int64_t repeats[GRID_VALUES_MAX], ratios[GRID_VALUES_MAX], epochs[GRID_VALUES_MAX];
    int64_t seeds;
    size_t facts;
};

/* The lists, arms, seeds and number of facts of a size. A value: nothing in it is owned. */
struct grid grid_of(enum grid_size size);

/* A set of arms from "off,monotone" or "all"; E_INPUT naming the word that is none. */
enum status grid_parse_arms(struct ctx *c, const char *text, uint32_t *arms);

/* The cells in the order in which they are run: seed by seed, so that an unfinished grid is a whole one of fewer seeds.
 * Owner of *out: the caller (mem_free). */
enum status grid_cells(struct ctx *c, const struct grid *g, struct cell **out, size_t *n);

#endif
