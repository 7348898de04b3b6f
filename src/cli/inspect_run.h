/* inspect_run: what `inspect` says of the folder of a run. */
#ifndef YA_CLI_INSPECT_RUN_H
#define YA_CLI_INSPECT_RUN_H

#include "cli/inspect_page.h"
#include "runs/run_read.h"

/* Adds what a run was, took and came to as facts of the page; json: the findings too, which inspect_run_print says in words
 * otherwise. E_MEMORY. */
enum status inspect_run_fill(struct inspect_page *p, const struct run_read *r, bool json);

/* Prints what stands below the facts: the loss as a plot, how it went, and what to do next. */
enum status inspect_run_print(const struct run_read *r);

#endif
