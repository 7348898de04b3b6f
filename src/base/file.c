/* file: whole-file reading, names and digests. Mappings are in file_map.c, writing in file_write.c, folders in dir.c. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sha256.h"

enum { CHUNK_BYTES = 1 << 16 };

/* A name that leads nowhere is the user's mistake; everything else but memory is the system's refusal. */
static bool is_wrong_name(int error)
{
    return error == ENOENT || error == ENOTDIR || error == EISDIR || error == ELOOP || error == ENAMETOOLONG;
}

enum status file_fail(struct ctx *c, const char *verb, const char *path, int error)
{
    enum status status = is_wrong_name(error) ? E_INPUT : error == ENOMEM ? E_MEMORY : E_IO;
    return ctx_fail(c, status, "cannot %s %s: %s", verb, path, strerror(error));
}

int file_open(struct ctx *c, const char *path, uint64_t *bytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        file_fail(c, "open", path, errno);
    } else if (!S_ISREG(st.st_mode)) {
        ctx_fail(c, E_INPUT, S_ISDIR(st.st_mode) ? "%s: is a folder, and a file is wanted here" : "%s: not a regular file",
                 path);
    } else {
        *bytes = (uint64_t)st.st_size;
        return fd;
    }
    if (fd >= 0) close(fd);
    return -1;
}

int64_t file_read_some(struct ctx *c, int fd, const char *path, void *to, size_t n)
{
    for (;;) {
        ssize_t got = read(fd, to, n);
        if (got >= 0) return got;
        if (errno == EINTR) continue;
        file_fail(c, "read", path, errno);
        return -1;
    }
}

/* Reads to the end of the file, whatever fstat said: files under /proc claim to be empty, others may be growing. */
static char *file_read_bytes(struct ctx *c, int fd, const char *path, size_t expected, size_t max_bytes, size_t *size)
{
    size_t n = 0, capacity = expected < max_bytes ? expected + 1 : max_bytes;
    char *text = mem_alloc(c, capacity + 1, 1);
    while (text) {
        if (n == capacity && capacity < max_bytes) {
            size_t wider = capacity < max_bytes / 2 ? 2 * capacity + CHUNK_BYTES : max_bytes;
            char *moved = mem_resize(c, text, capacity + 1, (wider < max_bytes ? wider : max_bytes) + 1, 1);
            if (!moved) break;
            text = moved;
            capacity = wider < max_bytes ? wider : max_bytes;
        }
        char beyond; /* at the cap, one more byte means "too large" */
        bool full = n == capacity;
        int64_t got = file_read_some(c, fd, path, full ? &beyond : text + n, full ? 1 : capacity - n);
        if (got < 0) break;
        if (got == 0) {
            text[n] = '\0';
            *size = n;
            return text;
        }
        if (full) {
            ctx_fail(c, E_INPUT, "%s: larger than the limit of %zu bytes", path, max_bytes);
            break;
        }
        n += (size_t)got;
    }
    mem_free(c, text);
    return NULL;
}

char *file_read(struct ctx *c, const char *path, size_t max_bytes, size_t *size)
{
    BUG_ON(c, max_bytes > SIZE_MAX / 4, "a cap of %zu bytes is no cap", max_bytes);
    uint64_t expected;
    int fd = file_open(c, path, &expected);
    if (fd < 0) return NULL;
    char *text = NULL;
    if (expected > max_bytes) {
        ctx_fail(c, E_INPUT, "%s: %" PRIu64 " bytes, larger than the limit of %zu", path, expected, max_bytes);
    } else {
        text = file_read_bytes(c, fd, path, (size_t)expected, max_bytes, size);
    }
    close(fd);
    return text;
}

enum status file_sha256(struct ctx *c, const char *path, char hex[65], uint64_t *bytes)
{
    uint64_t expected;
    int fd = file_open(c, path, &expected);
    if (fd < 0) return c->status;
    uint8_t chunk[CHUNK_BYTES], digest[32];
    struct sha256 s;
    sha256_init(&s);
    int64_t got;
    while ((got = file_read_some(c, fd, path, chunk, sizeof chunk)) > 0) sha256_update(&s, chunk, (size_t)got);
    close(fd);
    if (got < 0) return c->status;
    *bytes = s.bytes;
    sha256_final(&s, digest);
    sha256_hex(digest, hex);
    return OK;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool dir_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *path_join(struct ctx *c, const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return mem_printf(c, "%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name);
}

char *path_absolute(struct ctx *c, const char *path)
{
    if (path[0] == '/') return mem_strdup(c, path);
    char *here = getcwd(NULL, 0); /* of libc's allocator, which alone can size it */
    if (!here) {
        file_fail(c, "name", "the working folder", errno);
        return NULL;
    }
    while (path[0] == '.' && path[1] == '/') path += 2 + strspn(path + 2, "/");
    char *whole = path_join(c, here, path);
    free(here);
    return whole;
}
