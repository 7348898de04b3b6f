#include "support_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "support_oom.h"

static int file_fd = -1;

const char *test_file(const void *bytes, size_t n)
{
    static char path[64];
    if (file_fd < 0) file_fd = memfd_create("test_file", MFD_CLOEXEC);
    assert_true(file_fd >= 0);
    assert_int_equal(ftruncate(file_fd, (off_t)n), 0); /* pages that stay are written over: cheaper than fresh ones */
    for (size_t done = 0; done < n;) {
        ssize_t written = pwrite(file_fd, (const char *)bytes + done, n - done, (off_t)done);
        assert_true(written > 0);
        done += (size_t)written;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", file_fd);
    return path;
}

void test_file_truncate(size_t n)
{
    assert_int_equal(ftruncate(file_fd, (off_t)n), 0);
}

char *test_load(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("missing test data: %s", path);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*n + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    bytes[*n] = 0;
    fclose(f);
    return bytes;
}

uint8_t *test_unhex(const char *hex, size_t *n)
{
    *n = strlen(hex) / 2;
    uint8_t *bytes = malloc(*n + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < *n; i++) {
        unsigned v;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
        bytes[i] = (uint8_t)v;
    }
    return bytes;
}

void test_expect(struct ctx *c, enum status status, const char *fragment, const char *label)
{
    if (c->status != status || !strstr(c->message, fragment)) {
        fail_msg("%s: expected %s \"...%s...\", got %s \"%s\"", label, status_name(status), fragment, status_name(c->status),
                 c->message);
    }
    ctx_clear(c);
}

int test_every_allocation(void (*run)(struct ctx *c))
{
    for (int n = 0;; n++) {
        struct oom oom = {.fail_at = -1};
        struct ctx *c = oom_ctx(&oom);
        assert_non_null(c);
        oom.fail_at = oom.calls + n;
        run(c);
        bool failed = !ctx_ok(c);
        if (failed && c->status != E_MEMORY) fail_msg("allocation %d: %s: %s", n, status_name(c->status), c->message);
        assert_int_equal(c->alloc_bytes, 0);
        ctx_free(c);
        if (!failed) return n;
    }
}
