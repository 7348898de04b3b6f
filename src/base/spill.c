/* spill: see spill.h. The file is allocated (system_allocate) before it is mapped, so no store meets a full disk. */
#include "base/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/mem.h"
#include "base/resource.h"
#include "base/system.h"
#include "base/temporary.h"

struct spill {
    struct resource resource;
    struct ctx *c;
    struct spill_budget *budget;
    void *data;
    size_t bytes;
    int fd; /* -1: data is a block of the ctx; else a mapping of this file */
};

static void spill_give_back(struct resource *r)
{
    struct spill *s = (struct spill *)r;
    if (s->fd < 0) return;
    if (s->data) munmap(s->data, s->bytes);
    close(s->fd);
}

struct spill *spill_new(struct ctx *c, struct spill_budget *budget)
{
    struct spill *s = mem_alloc(c, 1, sizeof *s);
    if (!s) return NULL;
    *s = (struct spill){.c = c, .budget = budget, .fd = -1};
    resource_hold(c, &s->resource, spill_give_back);
    return s;
}

void spill_free(struct spill *s)
{
    if (!s) return;
    resource_drop(s->c, &s->resource);
    spill_give_back(&s->resource);
    if (s->fd < 0) {
        s->budget->left += s->bytes;
        mem_free(s->c, s->data);
    }
    mem_free(s->c, s);
}

bool spill_is_file(const struct spill *s)
{
    return s->fd >= 0;
}

/* A file that has lost its name already, so that nothing is left whatever happens. */
static int open_file(struct ctx *c)
{
    int fd;
    char *path = temporary_new(c, &fd);
    if (path) unlink(path);
    mem_free(c, path);
    return fd;
}

/* The file grows, or is made, and is mapped anew; what a block of memory held is copied. */
static void *grow_file(struct spill *s, size_t bytes)
{
    struct ctx *c = s->c;
    int fd = s->fd >= 0 ? s->fd : open_file(c);
    if (fd < 0) return NULL;
    int error = system_allocate(fd, bytes);
    void *data = MAP_FAILED;
    if (error == 0) {
        data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED) error = errno;
    }
    if (error != 0) {
        if (fd != s->fd) close(fd);
        if (error == ENOMEM)
            ctx_fail(c, E_MEMORY, "out of address space for a temporary file of %.1f MB", (double)bytes / 1e6);
        else
            ctx_fail(c, E_IO, "a temporary file of %.1f MB cannot be made (%s): set TMPDIR to a folder on a disk with space",
                     (double)bytes / 1e6, strerror(error));
        return NULL;
    }
    if (s->fd >= 0) {
        munmap(s->data, s->bytes);
    } else if (s->data) {
        memcpy(data, s->data, s->bytes);
        mem_free(c, s->data);
        s->budget->left += s->bytes;
    }
    s->fd = fd;
    s->data = data;
    s->bytes = bytes;
    return data;
}

void *spill_resize(struct spill *s, size_t count, size_t size)
{
    size_t bytes;
    if (!checked_mul(count, size, &bytes) || bytes > INT64_MAX)
        return ctx_fail(s->c, E_INPUT, "%zu elements of %zu bytes: too large", count, size), NULL;
    if (bytes == 0) bytes = 1;
    if (bytes <= s->bytes) return s->data;
    if (s->fd >= 0 || bytes - s->bytes > s->budget->left) return grow_file(s, bytes);
    void *data = mem_resize(s->c, s->data, s->bytes, bytes, 1);
    if (!data) return NULL;
    s->budget->left -= bytes - s->bytes;
    s->data = data;
    s->bytes = bytes;
    return data;
}
