/* experiment_write: results.json, cells.csv and report.html of an experiment's folder. */
#ifndef YA_EVAL_EXPERIMENT_WRITE_H
#define YA_EVAL_EXPERIMENT_WRITE_H

#include "eval/experiment_fit.h"

/* results.json: "fits" (struct fit) and "groups" (struct fit_group), numbers that do not exist as null. cells.csv: arm,
 * repeat, ratio, epochs, seed, way to ask, fact, predicted, measured: all points, empty where there is no number. Both are
 * written atomically. */
enum status experiment_write(const struct experiment *e, const struct experiment_fits *f, const char *dir);

/* report.html: the same as a self-contained page with plots, without script. */
enum status experiment_write_html(const struct experiment_fits *f, const char *dir);

#endif
