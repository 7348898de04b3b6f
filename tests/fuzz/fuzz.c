#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Noreturn void finding(const char *what, const struct ctx *c)
{
    fprintf(stderr, "FINDING: %s: status %s \"%s\", %zu bytes live, %zu at the peak\n", what, status_name(c->status),
            c->message, c->alloc_bytes, c->alloc_peak);
    abort();
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
    return path;
}

void fuzz_read(const void *p, size_t n)
{
    static volatile uint8_t sink;
    uint8_t sum = 0;
    for (size_t i = 0; i < n; i++) sum ^= ((const uint8_t *)p)[i];
    sink = sum ^ sink;
}

void fuzz_check(struct ctx *c, size_t size, size_t factor, size_t slack)
{
    if (c->status != OK && c->status != E_INPUT && c->status != E_UNSUPPORTED) finding("not a clean status", c);
    if (c->status != OK && c->message[0] == 0) finding("no message", c);
    if (c->alloc_bytes != 0) finding("memory left", c);
    if (c->alloc_peak > factor * size + slack) finding("too much memory", c);
    ctx_clear(c);
    c->alloc_peak = 0;
}
