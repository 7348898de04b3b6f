/* verdict_page: how a run went, in words (runs/verdict.h), for the end of a training and for `inspect RUN`. */
#ifndef YA_CLI_VERDICT_PAGE_H
#define YA_CLI_VERDICT_PAGE_H

#include <stdio.h>

#include "runs/verdict.h"

/* One line a finding, what went wrong first, each with what helps on a line below it. */
void verdict_page_print(const struct verdict *v, FILE *out);

#endif
