/* run_rows: rows read for a measurement as a run read them for its training: the row form, the chat template and what of a
 * conversation counts. A model that was trained with --template chatml and is measured in another template gives figures of
 * something else. */
#ifndef YA_CLI_RUN_ROWS_H
#define YA_CLI_RUN_ROWS_H

#include "cli/candidates.h"
#include "data/dataset.h"
#include "io/json.h"

/* Where a candidate is a run, sets --row-form, --raw, --template, --date, --train-on and --mask in *rows to the values of
 * the first such run, but for those that the user gave (given[] of the rows of `table`). What is set so is said, and so is
 * each option in which another run differs, or a run whose options cannot be read (as one of an older build). Strings of
 * *rows point into *doc, which the caller releases (json_decref) also after a failure. E_MEMORY. */
enum status run_rows_take(const struct candidates *a, const struct option_table *table, const bool *given,
                          struct dataset_options *rows, json_t **doc);

#endif
