/* source_page: what a training says about its sources at its end. */
#ifndef YA_CLI_SOURCE_PAGE_H
#define YA_CLI_SOURCE_PAGE_H

#include "runs/history.h"
#include "train/trainer.h"

/* Prints a table by source_type and one by file, where there is more than one to compare: trained tokens, share of the
 * weight, mean loss over the first and over the last quarter of the steps, weighted loss over the last one, and loss in the
 * last validation. The history is the run's, so steps before a `resume` are in it. E_MEMORY. */
enum status source_page_print(const struct trainer *t, const struct history *h);

#endif
