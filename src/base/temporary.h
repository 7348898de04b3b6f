/* temporary: the one place where temporary files and folders are made, all of them in $TMPDIR, else in /var/tmp: they may be
 * as large as the rows of a training, and /tmp is memory on many systems.
 *
 * A process that is killed leaves its folders behind. So each is locked (flock) by the process that made it for as long as
 * that and its children live, and who makes a folder first removes those beside it that nobody has locked any more. */
#ifndef YA_BASE_TEMPORARY_H
#define YA_BASE_TEMPORARY_H

#include "base/ctx.h"

/* Makes an empty file of a name of its own, which only this user may read, and opens it for reading and writing as *fd.
 * Returns its path. Owner of both: the caller, who also removes what was made, at once where it can. NULL with E_IO naming
 * TMPDIR, or E_MEMORY; *fd is then -1. */
char *temporary_new(struct ctx *c, int *fd);

struct temporary_folder {
    char *path; /* owned; NULL: none */
    int lock;   /* the open folder */
};

/* Makes an empty folder likewise, after removing those that killed processes left. E_IO, E_MEMORY; *f then has no path. */
enum status temporary_folder_open(struct ctx *c, struct temporary_folder *f);
/* Removes it with all that is in it. Does nothing where there is none. */
void temporary_folder_close(struct ctx *c, struct temporary_folder *f);

/* Removes folders of this user in `where` that processes left which are gone: those of our names that are not locked and did
 * not change for ten seconds, since a new one is not locked in its first moment. What cannot be removed is left. */
void temporary_sweep(struct ctx *c, const char *where);

#endif
