/* progress_line: the parts of the line of a step, and the order in which they go where there is no room. See the header. */
#include "cli/progress_line.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum line_part {
    PART_STEP,
    PART_LOSS,
    PART_SMOOTHED,
    PART_WEIGHTED,
    PART_VALID,
    PART_LR,
    PART_SPEED,
    PART_NORM,
    PART_MEMORY,
    PART_ETA,
    PARTS
};
enum { PART_BYTES = PROGRESS_LINE_BYTES / PARTS };

/* The first of these goes first. Step and loss stay. */
static const enum line_part dispensable[] = {PART_MEMORY, PART_NORM,     PART_LR,    PART_WEIGHTED,
                                             PART_VALID,  PART_SMOOTHED, PART_SPEED, PART_ETA};

void progress_line_duration(double seconds, char *out, size_t out_bytes)
{
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, out_bytes, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, out_bytes, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
}

/* Used, and what there was when the run began where that is known. */
static void format_memory(size_t used, size_t free_bytes, char *out, size_t out_bytes)
{
    double gib = 1.0 / (double)((size_t)1 << 30);
    if (free_bytes == SIZE_MAX)
        snprintf(out, out_bytes, "  %.2f GiB", (double)used * gib);
    else
        snprintf(out, out_bytes, "  %.2f/%.1f GiB", (double)used * gib, (double)free_bytes * gib);
}

/* Each part with the spaces in front of it; an empty part is left out. */
static void progress_line_make_parts(const struct progress_line *l, char parts[PARTS][PART_BYTES])
{
    const struct train_progress *p = l->progress;
    char eta[32];
    memset(parts, 0, (size_t)PARTS * PART_BYTES);
    progress_line_duration(p->eta_seconds, eta, sizeof(eta));
    snprintf(parts[PART_STEP], PART_BYTES, "step %" PRId64 "/%" PRId64, p->step.step, p->total_steps);
    snprintf(parts[PART_LOSS], PART_BYTES, "  loss %.4f", p->step.loss);
    if (p->step.step > 1) snprintf(parts[PART_SMOOTHED], PART_BYTES, " (smoothed %.4f)", l->smoothed);
    snprintf(parts[PART_WEIGHTED], PART_BYTES, "  weighted %.4f", p->step.weighted_loss);
    if (p->evaluated && p->best_step > 0)
        snprintf(parts[PART_VALID], PART_BYTES, "  (val %.4f best@%" PRId64 ")", p->eval.weighted_loss, p->best_step);
    else if (p->evaluated)
        snprintf(parts[PART_VALID], PART_BYTES, "  (val %.4f)", p->eval.weighted_loss);
    snprintf(parts[PART_LR], PART_BYTES, "  lr %.2e", p->step.lr);
    snprintf(parts[PART_SPEED], PART_BYTES, "  %.0f tok/s", p->timing.tokens_per_s);
    snprintf(parts[PART_NORM], PART_BYTES, "  gnorm %.3f%s", p->step.grad_norm, p->step.clipped ? " clipped" : "");
    format_memory(p->timing.peak_bytes, l->free_bytes, parts[PART_MEMORY], PART_BYTES);
    snprintf(parts[PART_ETA], PART_BYTES, "  ETA %s", eta);
}

void progress_line_write(const struct progress_line *l, size_t columns, char out[PROGRESS_LINE_BYTES])
{
    char parts[PARTS][PART_BYTES];
    size_t width = 0, n = 0;
    progress_line_make_parts(l, parts);
    for (int i = 0; i < PARTS; i++) width += strlen(parts[i]);
    for (size_t i = 0; width >= columns && i < sizeof(dispensable) / sizeof(dispensable[0]); i++) {
        width -= strlen(parts[dispensable[i]]);
        parts[dispensable[i]][0] = '\0';
    }
    for (int i = 0; i < PARTS; i++) n += (size_t)snprintf(out + n, PROGRESS_LINE_BYTES - n, "%s", parts[i]);
    if (n >= columns) out[columns > 0 ? columns - 1 : 0] = '\0';
}
