/* temporary: see temporary.h. The system chooses names (mkstemp, mkdtemp), so nobody can have put a link under one before.
 */
#include "base/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static const char FOLDER[] = "/var/tmp";
/* Of folders; earlier versions called theirs your_ai_XXXXXX and locked none. */
#define FOLDER_PREFIX "your_ai_tmp_"
enum { FOLDER_NAME_BYTES = sizeof FOLDER_PREFIX - 1 + 6, SWEEP_AGE_SECONDS = 10 };

static const char *temporary_where(void)
{
    const char *folder = getenv("TMPDIR");
    return folder && *folder ? folder : FOLDER;
}

static void temporary_fail(struct ctx *c, const char *what, char *path)
{
    if (path)
        ctx_fail(c, E_IO, "%s: a temporary %s cannot be made (%s): set TMPDIR to a folder on a disk with space", path, what,
                 strerror(errno));
    mem_free(c, path);
}

char *temporary_new(struct ctx *c, int *fd)
{
    char *path = path_join(c, temporary_where(), "your_ai_XXXXXX");
    *fd = path ? mkstemp(path) : -1;
    if (path && *fd >= 0) return path;
    temporary_fail(c, "file", path);
    return NULL;
}

/* ---- folders --------------------------------------------------------------------------------------------------------- */

enum status temporary_folder_open(struct ctx *c, struct temporary_folder *f)
{
    *f = (struct temporary_folder){NULL, -1};
    temporary_sweep(c, temporary_where());
    char *path = path_join(c, temporary_where(), FOLDER_PREFIX "XXXXXX");
    if (!path || !mkdtemp(path)) {
        temporary_fail(c, "folder", path);
        return c->status;
    }
    f->path = path;
    f->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->lock >= 0) flock(f->lock, LOCK_SH | LOCK_NB); /* a file system without locks gives none, and is not swept */
    return OK;
}

void temporary_folder_close(struct ctx *c, struct temporary_folder *f)
{
    if (f->path) dir_remove(c, f->path);
    if (f->lock >= 0 && f->path) close(f->lock);
    mem_free(c, f->path);
    *f = (struct temporary_folder){NULL, -1};
}

/* Whether the open folder is one that its process left. The lock that is taken here goes with the descriptor. */
static bool is_left(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid()) return false;
    return st.st_mtime + SWEEP_AGE_SECONDS < time(NULL) && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

/* One name of the list, which may be anybody's. */
static void sweep_one(struct ctx *c, const char *where, const char *name)
{
    if (strlen(name) != FOLDER_NAME_BYTES || strncmp(name, FOLDER_PREFIX, sizeof FOLDER_PREFIX - 1) != 0) return;
    char *path = path_join(c, where, name);
    int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd >= 0 && is_left(fd)) dir_remove(c, path);
    if (fd >= 0) close(fd);
    mem_free(c, path);
}

void temporary_sweep(struct ctx *c, const char *where)
{
    char **names = NULL;
    size_t n = 0;
    if (!ctx_ok(c)) return;
    if (dir_list(c, where, &names, &n) == OK)
        for (size_t i = 0; i < n; i++) {
            sweep_one(c, where, names[i]);
            if (!ctx_ok(c) && c->status != E_MEMORY) ctx_clear(c);
        }
    if (!ctx_ok(c) && c->status != E_MEMORY) ctx_clear(c);
    dir_list_free(c, names, n);
}
