/* run_log: RUN/log.txt, a record of what a training showed: the page before step 1, kept lines, validations, warnings and
 * its end. It is appended to by every process that works on the run, each with a line of its own at the beginning. */
#ifndef YA_CLI_RUN_LOG_H
#define YA_CLI_RUN_LOG_H

#include <stdio.h>

#include "base/ctx.h"

/* Opens the log for appending and writes the first line: time, version, and the words of the command. NULL with E_IO, or
 * E_INPUT where something else than a file has its name. Owner the caller (fclose). */
FILE *run_log_open(struct ctx *c, const char *run, int argc, char *const *argv);

/* Calls print(user) with standard output going into the log; E_IO when that cannot be done. */
enum status run_log_page(struct ctx *c, FILE *log, enum status (*print)(void *user), void *user);

#endif
