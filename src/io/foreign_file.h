/* foreign_file: what a file is that was given in the place of a file of rows, so that the message says that, and what to do,
 * instead of where a JSON parser stopped. */
#ifndef YA_IO_FOREIGN_FILE_H
#define YA_IO_FOREIGN_FILE_H

#include "base/ctx.h"

/* `bytes` are the first n of the file (some hundred, or all). True when they are known to be something else than rows; then
 * E_INPUT or E_UNSUPPORTED "NAME: is ...: what to do" is recorded. */
bool foreign_file_refuse(struct ctx *c, const char *name, const char *bytes, size_t n);

#endif
