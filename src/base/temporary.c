/* temporary: see temporary.h. The system chooses names (mkstemp, mkdtemp), so nobody can have put a link under one before.
 */
#include "base/temporary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static const char FOLDER[] = "/var/tmp";

char *temporary_new(struct ctx *c, int *fd)
{
    const char *folder = getenv("TMPDIR");
    char *path = path_join(c, folder && *folder ? folder : FOLDER, "your_ai_XXXXXX");
    if (fd) *fd = path ? mkstemp(path) : -1;
    if (path && (fd ? *fd >= 0 : mkdtemp(path) != NULL)) return path;
    if (path)
        ctx_fail(c, E_IO, "%s: a temporary %s cannot be made (%s): set TMPDIR to a folder on a disk with space", path,
                 fd ? "file" : "folder", strerror(errno));
    mem_free(c, path);
    return NULL;
}
