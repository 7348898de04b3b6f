/* progress_line: the line of a training step: "step 120/600  loss 2.4012 (smoothed 2.3120)  ...  ETA 4m10s". */
#ifndef YA_CLI_PROGRESS_LINE_H
#define YA_CLI_PROGRESS_LINE_H

#include "train/trainer.h"

enum { PROGRESS_LINE_BYTES = 800 };

struct progress_line {
    const struct train_progress *progress;
    double smoothed;   /* loss (watch.h) */
    size_t free_bytes; /* when the run began; SIZE_MAX: not known */
};

/* Writes the line, at most columns - 1 characters of it: parts are left out where the terminal is too narrow, because a line
 * that wraps could not be overwritten. SIZE_MAX: all of it. */
void progress_line_write(const struct progress_line *l, size_t columns, char out[PROGRESS_LINE_BYTES]);

/* "1h02m" or "3m20s". */
void progress_line_duration(double seconds, char *out, size_t out_bytes);

#endif
