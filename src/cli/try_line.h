/* try_line: the command that a user copies after training, to see what was learned. */
#ifndef YA_CLI_TRY_LINE_H
#define YA_CLI_TRY_LINE_H

#include "train/trainer.h"

/* Prints "try it:  PROGRAM generate ..." with the program as it was called, the adapter of the run, and a prompt of the
 * training rows in the form that they were trained in: with --chat, --system, --template and --date where they had them. The
 * rows are read again for it; where that gives no short prompt (standard input, a file that has gone), the line asks for
 * one. Never fails the run: only E_MEMORY stays in the ctx. */
enum status try_line_print(const struct trainer *t);

#endif
