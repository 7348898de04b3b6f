/* run_readme: RUN/README.md, for whoever finds the folder of a run later: what it is, how it went, what each file is for and
 * takes, and the commands that use it. */
#ifndef YA_CLI_RUN_README_H
#define YA_CLI_RUN_README_H

#include "cli/train_view.h"
#include "runs/verdict.h"

/* Writes it atomically. verdict: NULL while the run is not at its end. E_IO, E_MEMORY. */
enum status run_readme_write(const struct train_view *v, const struct trainer *t, const struct verdict *verdict);

#endif
