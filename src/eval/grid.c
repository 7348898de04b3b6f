/* grid: the three sizes of the grid, and the cells of one. An arm that an option does not concern is trained once for all
 * values of it: the small grid (off, monotone and shuffled; repeats 1, 3 and 10; ratio 10; 3 epochs) has for each seed
 * the base model and three cells of each arm, 10 in all, and 20 with its two seeds. */
#include "eval/grid.h"

#include <string.h>

#include "base/mem.h"

#define BIT(ARM) (1u << (ARM))
/* All arms but ARM_BASE, which is bit 0 and is always asked. */
#define ALL_TRAINED (BIT(ARMS) - 1 - BIT(ARM_BASE))

static const struct grid grids[GRIDS] = {
    [GRID_SMALL] = {.arms = BIT(ARM_OFF) | BIT(ARM_MONOTONE) | BIT(ARM_SHUFFLED),
                    .repeats = {1, 3, 10},
                    .ratios = {10},
                    .epochs = {3},
                    .seeds = 2,
                    .facts = 12},
    [GRID_MEDIUM] =
        {.arms = ALL_TRAINED, .repeats = {1, 3, 10}, .ratios = {3, 10, 30}, .epochs = {3}, .seeds = 2, .facts = 48},
    [GRID_FULL] = {.arms = ALL_TRAINED,
                   .repeats = {1, 3, 10, 30, 100},
                   .ratios = {3, 10, 30},
                   .epochs = {1, 3, 10},
                   .seeds = 5,
                   .facts = 200},
};

struct grid grid_of(enum grid_size size)
{
    return grids[size];
}

enum status grid_parse_arms(struct ctx *c, const char *text, uint32_t *arms)
{
    *arms = ALL_TRAINED;
    if (strcmp(text, "all") == 0) return OK;
    *arms = 0;
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        int arm = ARM_OFF;
        while (arm < ARMS && !(strlen(arm_name[arm]) == n && strncmp(arm_name[arm], p, n) == 0)) arm++;
        if (arm == ARMS)
            return ctx_fail(c, E_INPUT,
                            "--arms: '%.*s' is no arm; there are all, or a list of off, monotone, published, upsampled, "
                            "filtered, tag, score, target, tag-weight, shuffled, inverted, poison",
                            (int)n, p);
        *arms |= BIT(arm);
        p += n;
        if (!*p) return OK;
    }
}

/* Adds the cells of one seed to `out`, which is long enough. Of repeats or ratios that change nothing about an arm only one
 * cell is made, with the value 1. */
static void add_seed(const struct grid *g, int64_t seed, struct cell *out, size_t *n)
{
    out[(*n)++] = (struct cell){.arm = ARM_BASE, .repeat = 1, .ratio = 1, .seed = seed};
    for (int arm = ARM_OFF; arm < ARMS; arm++)
        for (int e = 0; g->epochs[e] && g->arms & BIT(arm); e++)
            for (int r = 0; g->repeats[r]; r++)
                for (int w = 0; g->ratios[w]; w++) {
                    bool repeats = arm_uses_repeat((enum arm)arm), ratios = arm_uses_ratio((enum arm)arm);
                    if ((r && !repeats) || (w && !ratios)) continue;
                    out[(*n)++] = (struct cell){.arm = (enum arm)arm,
                                                .repeat = repeats ? g->repeats[r] : 1,
                                                .ratio = ratios ? g->ratios[w] : 1,
                                                .epochs = g->epochs[e],
                                                .seed = seed};
                }
}

enum status grid_cells(struct ctx *c, const struct grid *g, struct cell **out, size_t *n)
{
    size_t most = (size_t)g->seeds * (1 + ARMS * (size_t)GRID_VALUES_MAX * GRID_VALUES_MAX * GRID_VALUES_MAX);
    *n = 0;
    *out = mem_alloc(c, most, sizeof(**out));
    if (!*out) return c->status;
    for (int64_t seed = 0; seed < g->seeds; seed++) add_seed(g, seed, *out, n);
    return OK;
}
