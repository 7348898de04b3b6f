/* experiment_page: the tables that `experiment` ends with. */
#ifndef YA_CLI_EXPERIMENT_PAGE_H
#define YA_CLI_EXPERIMENT_PAGE_H

#include "eval/experiment_fit.h"

/* Groups and fits to stdout. */
void experiment_page_print(const struct experiment_fits *f, size_t n_facts);

#endif
