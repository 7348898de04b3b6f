/* temporary: the one place where temporary files and folders are made, all of them in $TMPDIR, else in /var/tmp: they may be
 * as large as the rows of a training, and /tmp is memory on many systems. */
#ifndef YA_BASE_TEMPORARY_H
#define YA_BASE_TEMPORARY_H

#include "base/ctx.h"

/* Makes an empty file of a name of its own, which only this user may read, and opens it for reading and writing as *fd; with
 * fd NULL an empty folder. Returns its path. Owner of both: the caller, who also removes what was made. NULL with E_IO
 * naming TMPDIR, or E_MEMORY; *fd is then -1. */
char *temporary_new(struct ctx *c, int *fd);

#endif
