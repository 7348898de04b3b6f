/* row_path: a file of rows as a user writes it: PATH, or PATH:WEIGHT, which multiplies the loss_weight of its rows. "-" (or
 * "-:WEIGHT") is standard input. */
#ifndef YA_DATA_ROW_PATH_H
#define YA_DATA_ROW_PATH_H

#include "base/ctx.h"

struct row_path {
    char *path; /* owned: row_path_release */
    double weight;
};

/* What follows the last colon is the weight when it is a number and no file has the whole name; else the weight is 1.
 * E_INPUT for a weight that is not above 0 and at most RECORDS_LOSS_WEIGHT_MAX, and when files of both names exist (which is
 * meant?); E_MEMORY. After a failure *out holds nothing. A path at which there is no file is no error here. */
enum status row_path_parse(struct ctx *c, const char *text, struct row_path *out);
/* Frees the path; again is harmless. */
void row_path_release(struct ctx *c, struct row_path *p);

/* Whether rows come from standard input. */
bool row_path_is_stdin(const struct row_path *p);

#endif
