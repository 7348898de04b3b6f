/* dir: folders. Removal walks by descriptor and never follows a symbolic link, so a link planted in a checkpoint cannot
 * make it delete anything outside. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/system.h"

/* Makes each folder of the path in turn, as mkdir -p does, and syncs the parent of each new one. */
enum status dir_make(struct ctx *c, const char *path)
{
    char *partial = mem_strdup(c, path);
    if (!partial) return c->status;
    enum status status = OK;
    for (char *p = partial + 1; status == OK && partial[0]; p++) {
        if (*p != '/' && *p != '\0') continue;
        char stop = *p;
        *p = '\0';
        if (mkdir(partial, 0777) == 0)
            status = dir_sync_parent(c, partial); /* files that are fsynced in a folder whose name is lost are lost too */
        else if (errno != EEXIST)
            status = file_fail(c, "create folder", partial, errno);
        *p = stop;
        if (stop == '\0') break;
    }
    mem_free(c, partial);
    if (status == OK && !dir_exists(path)) status = ctx_fail(c, E_INPUT, "%s: exists and is not a folder", path);
    return status;
}

enum status dir_sync(struct ctx *c, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return file_fail(c, "open folder", path, errno);
    enum status status = OK;
    /* some file systems cannot fsync a folder and say EINVAL; they offer nothing better */
    if (system_sync(fd) != 0 && errno != EINVAL) status = file_fail(c, "fsync folder", path, errno);
    close(fd);
    return status;
}

enum status dir_sync_parent(struct ctx *c, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return dir_sync(c, ".");
    char *parent = mem_strndup(c, path, slash == path ? 1 : (size_t)(slash - path));
    if (!parent) return c->status;
    enum status status = dir_sync(c, parent);
    mem_free(c, parent);
    return status;
}

/* Removes what the open folder holds; takes over fd. Returns 0 or an errno. */
static int remove_entries(int fd)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        int error = errno;
        close(fd);
        return error;
    }
    int error = 0;
    for (struct dirent *e; error == 0 && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (unlinkat(dirfd(d), e->d_name, 0) == 0) continue;
        if (errno != EISDIR && errno != EPERM) {
            error = errno;
            break;
        }
        int inner = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        error = inner < 0 ? errno : remove_entries(inner);
        if (error == 0 && unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR) != 0) error = errno;
    }
    closedir(d);
    return error;
}

enum status dir_remove(struct ctx *c, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return OK;
    int error = fd < 0 ? errno : remove_entries(fd);
    if (error == 0 && rmdir(path) != 0) error = errno;
    return error == 0 ? OK : file_fail(c, "remove folder", path, error);
}

/* rename that refuses to replace anything, also an empty folder, which plain rename would. */
static int rename_new(const char *from, const char *to)
{
    if (system_rename_new(from, to) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno; /* a file system without the flag */
    struct stat st;
    if (lstat(to, &st) == 0) return EEXIST;
    return rename(from, to) == 0 ? 0 : errno;
}

enum status dir_commit(struct ctx *c, const char *temporary, const char *final)
{
    TRY(dir_sync(c, temporary)); /* the names inside come first */
    int error = rename_new(temporary, final);
    if (error != 0) return ctx_fail(c, E_IO, "cannot rename %s to %s: %s", temporary, final, strerror(error));
    return dir_sync_parent(c, final);
}

/* The lock is on the open folder and goes with the process, also after kill -9. A file system without locks gives none,
 * and no error: refusing to work there would be worse. */
int dir_lock(struct ctx *c, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        file_fail(c, "open folder", path, errno);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return fd;
    ctx_fail(c, E_INPUT, "%s: another process is at work in it; wait until it is done, or stop it", path);
    close(fd);
    return -1;
}

void dir_unlock(int fd)
{
    if (fd >= 0) close(fd);
}

/* For qsort: byte order, so that a listing is the same on every file system. */
static int dir_compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Appends a copy of the name to a list that grows by doubling. */
static enum status dir_add_name(struct ctx *c, const char *name, char ***names, size_t *n, size_t *capacity)
{
    if (*n == *capacity) {
        size_t wider = *capacity ? 2 * *capacity : 16;
        char **moved = mem_resize(c, *names, *capacity, wider, sizeof **names);
        if (!moved) return c->status;
        *names = moved;
        *capacity = wider;
    }
    (*names)[*n] = mem_strdup(c, name);
    if (!(*names)[*n]) return c->status;
    ++*n;
    return OK;
}

/* errno tells the end of the folder from a failure: readdir gives NULL for both and sets it only in the second case. */
enum status dir_list(struct ctx *c, const char *path, char ***names, size_t *n)
{
    size_t capacity = 0;
    *names = NULL;
    *n = 0;
    DIR *d = opendir(path);
    if (!d) return file_fail(c, "list", path, errno);
    enum status status = OK;
    errno = 0;
    for (struct dirent *e; status == OK && (e = readdir(d)) != NULL; errno = 0) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        status = dir_add_name(c, e->d_name, names, n, &capacity);
    }
    if (status == OK && errno != 0) status = file_fail(c, "list", path, errno);
    closedir(d);
    if (status != OK) {
        dir_list_free(c, *names, *n);
        *names = NULL;
        *n = 0;
        return status;
    }
    if (*n > 1) qsort(*names, *n, sizeof **names, dir_compare_names);
    return OK;
}

void dir_list_free(struct ctx *c, char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) mem_free(c, names[i]);
    mem_free(c, names);
}

enum status dir_make_empty(struct ctx *c, const char *path)
{
    char **names = NULL;
    size_t n = 0;
    TRY(dir_make(c, path));
    TRY(dir_list(c, path, &names, &n));
    if (n > 0) ctx_fail(c, E_INPUT, "%s: the folder is not empty (it holds \"%.80s\"); give a new one", path, names[0]);
    dir_list_free(c, names, n);
    return c->status;
}
