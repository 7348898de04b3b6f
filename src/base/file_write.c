/* file_write: a reader of `path` sees the old bytes or the new ones, never a part, whenever the power goes.
 *
 * Bytes go to a new file beside the target, are fsynced, and take its name by rename; the folder is fsynced last, because
 * until then the rename itself may be lost. After a failed fsync the kernel may have dropped the pages and marked them
 * clean, so a second fsync would lie: the temporary is thrown away instead. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/resource.h"
#include "base/system.h"

enum { BUFFER_BYTES = 1 << 18, NAMES_TRIED = 100 };

/* One file that is being written. It is a resource of the ctx, so a panic removes the temporary. */
struct file_writer {
    struct resource resource;
    struct ctx *c;
    char *path, *temporary;
    int fd;
    bool failed, sealed; /* sealed: all bytes are on disk, and the descriptor is closed */
    size_t n;            /* bytes waiting in the buffer */
    char buffer[BUFFER_BYTES];
};

/* A fresh file next to the target. O_EXCL: never through a link or over a file that somebody planted under the name. */
static bool open_temporary(struct file_writer *w)
{
    for (int i = 0; i < NAMES_TRIED; i++) {
        w->temporary = mem_printf(w->c, "%s.%ld-%d.tmp", w->path, (long)getpid(), i);
        if (!w->temporary) return false;
        w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd >= 0) return true;
        int error = errno;
        if (error != EEXIST) file_fail(w->c, "create", w->temporary, error);
        mem_free(w->c, w->temporary);
        w->temporary = NULL;
        if (error != EEXIST) return false;
    }
    ctx_fail(w->c, E_IO, "cannot create a temporary file for %s: %d names are taken", w->path, NAMES_TRIED);
    return false;
}

/* The temporary's name is read too: it is a string of the writer's own, and a file left behind would be the lesser harm. */
static void writer_give_back(struct resource *r)
{
    struct file_writer *w = (struct file_writer *)r;
    if (w->fd >= 0) close(w->fd);
    if (w->temporary) unlink(w->temporary);
}

static void writer_free(struct file_writer *w)
{
    resource_drop(w->c, &w->resource);
    writer_give_back(&w->resource);
    mem_free(w->c, w->temporary);
    mem_free(w->c, w->path);
    mem_free(w->c, w);
}

struct file_writer *file_writer_open(struct ctx *c, const char *path)
{
    struct file_writer *w = mem_alloc(c, 1, sizeof *w);
    if (!w) return NULL;
    w->c = c;
    w->fd = -1;
    resource_hold(c, &w->resource, writer_give_back);
    w->path = mem_strdup(c, path);
    if (w->path && open_temporary(w)) return w;
    writer_free(w);
    return NULL;
}

/* The first failure is recorded; all later calls of this writer then do nothing. */
static void file_write_fail(struct file_writer *w, const char *verb, int error)
{
    w->failed = true;
    ctx_fail(w->c, E_IO, "cannot %s %s: %s; %s is as it was before", verb, w->temporary, strerror(error), w->path);
}

/* Writes to the descriptor, again after short writes and interruptions. */
static void file_write_all(struct file_writer *w, const char *bytes, size_t n)
{
    while (n > 0 && !w->failed) {
        ssize_t done = write(w->fd, bytes, n);
        if (done > 0) {
            bytes += done;
            n -= (size_t)done;
        } else if (done == 0 || errno != EINTR) {
            file_write_fail(w, "write", done == 0 ? ENOSPC : errno);
        }
    }
}

void file_writer_write(struct file_writer *w, const void *bytes, size_t n)
{
    if (w->failed || n == 0) return;
    if (n > BUFFER_BYTES - w->n) {
        file_write_all(w, w->buffer, w->n);
        w->n = 0;
    }
    if (n >= BUFFER_BYTES) {
        file_write_all(w, bytes, n);
        return;
    }
    memcpy(w->buffer + w->n, bytes, n);
    w->n += n;
}

void file_writer_skip(struct file_writer *w, size_t n)
{
    if (w->failed || n == 0) return;
    file_write_all(w, w->buffer, w->n);
    w->n = 0;
    /* The file is made as long as it is by now, for a hole may be the last that is written. */
    off_t end = w->failed ? -1 : lseek(w->fd, (off_t)n, SEEK_CUR);
    if (!w->failed && (end < 0 || ftruncate(w->fd, end) != 0)) file_write_fail(w, "extend", errno);
}

/* Brings all bytes to the disk under the temporary's name. */
static void writer_seal(struct file_writer *w)
{
    if (!ctx_ok(w->c)) w->failed = true; /* what was to be written may be incomplete */
    if (w->sealed) return;
    w->sealed = true;
    if (!w->failed) file_write_all(w, w->buffer, w->n);
    if (!w->failed && system_sync(w->fd) != 0) file_write_fail(w, "fsync", errno);
    if (!w->failed) {
        int fd = w->fd;
        w->fd = -1; /* closed even when close reports an error */
        if (close(fd) != 0) file_write_fail(w, "close", errno);
    }
    bool lost = w->failed && ctx_ok(w->c); /* the owner cleared the ctx after a failed write: it still must not look good */
    if (lost) ctx_fail(w->c, E_IO, "%s was not written: an earlier write failed", w->path);
}

enum status file_writer_commit(struct file_writer *w)
{
    struct ctx *c = w->c;
    writer_seal(w);
    if (!w->failed && rename(w->temporary, w->path) != 0) file_write_fail(w, "rename", errno);
    if (!w->failed) {
        mem_free(c, w->temporary);
        w->temporary = NULL;
        dir_sync_parent(c, w->path);
    }
    writer_free(w);
    return c->status;
}

enum status file_writers_commit(struct ctx *c, struct file_writer **w, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++)
        if (w[i]) writer_seal(w[i]);
    for (size_t i = n; i-- > 0 && ctx_ok(c);) {
        if (unlink(w[i]->path) == 0)
            dir_sync_parent(c, w[i]->path);
        else if (errno != ENOENT)
            file_fail(c, "replace", w[i]->path, errno);
    }
    for (; done < n && ctx_ok(c) && rename(w[done]->temporary, w[done]->path) == 0; done++) {
        mem_free(c, w[done]->temporary);
        w[done]->temporary = NULL;
        dir_sync_parent(c, w[done]->path);
    }
    if (done < n && ctx_ok(c)) file_fail(c, "rename a temporary file to", w[done]->path, errno);
    for (size_t i = 0; i < done && !ctx_ok(c); i++) unlink(w[i]->path);
    for (size_t i = 0; i < n; i++) {
        file_writer_abort(w[i]);
        w[i] = NULL;
    }
    return c->status;
}

void file_writer_abort(struct file_writer *w)
{
    if (w) writer_free(w);
}

enum status file_write_atomic(struct ctx *c, const char *path, const void *bytes, size_t n)
{
    if (!ctx_ok(c)) return c->status;
    struct file_writer *w = file_writer_open(c, path);
    if (!w) return c->status;
    file_writer_write(w, bytes, n);
    return file_writer_commit(w);
}
