/* packed_file: see packed_file.h. RFC 1952 (gzip, by zlib) and RFC 8878 (zstd). Both forms may hold several members or
 * frames one after the other, as `cat a.gz b.gz` makes; gzip may be followed by zeros, which tapes pad with.
 *
 * The first read looks at four bytes and decides how the file is packed (`start`). From then on packed_file_read turns in a
 * loop: refill when the block is empty, one step of the library, until a step gives bytes. The file has ended well only when
 * it ends between members (`inside` is false). */
#include "io/packed_file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"

enum { BLOCK_BYTES = 1 << 16 };

enum packing { PACKED_NOT, PACKED_GZIP, PACKED_ZSTD };

struct packed_file {
    struct ctx *c;
    const char *path, *name;
    int fd;
    struct sha256 sha;
    uint64_t size, taken, given; /* bytes of the file: in all (0: unknown), read; bytes handed out */
    enum packing packing;
    bool started, ended;
    bool inside;  /* a member or frame has begun and has not ended */
    bool padded;  /* zeros behind the last gzip member: nothing else may follow */
    size_t at, n; /* unread part of the block */
    uint8_t block[BLOCK_BYTES];
    z_stream gzip;
    ZSTD_DCtx *zstd;
};

/* Pipes (-d <(zcat rows.gz), a FIFO): the files of a run are read again to tell whether they changed, and a pipe is read
 * once.
 */
static bool is_pipe(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

struct packed_file *packed_file_open(struct ctx *c, const char *path)
{
    struct packed_file *f = mem_alloc(c, 1, sizeof *f);
    if (!f) return NULL;
    bool standard_input = strcmp(path, "-") == 0;
    f->c = c;
    f->path = path;
    f->name = standard_input ? "standard input" : path;
    sha256_init(&f->sha);
    if (!standard_input && is_pipe(path))
        ctx_fail(
            c, E_INPUT,
            "%s: is a pipe, which can be read only as standard input: give - for its name (as in zcat rows.gz | your_ai "
            "... -d -). Files packed by gzip or zstd are read as they are",
            path);
    f->fd = !ctx_ok(c) ? -1 : standard_input ? STDIN_FILENO : file_open(c, path, &f->size);
    if (f->fd >= 0) return f;
    packed_file_close(f);
    return NULL;
}

void packed_file_close(struct packed_file *f)
{
    if (!f) return;
    if (f->packing == PACKED_GZIP) inflateEnd(&f->gzip);
    ZSTD_freeDCtx(f->zstd);
    if (f->fd > STDIN_FILENO) close(f->fd);
    mem_free(f->c, f);
}

/* Moves what is unread to the front of the block and fills the rest from the file. False at its end and on failure. */
static bool refill(struct packed_file *f)
{
    size_t kept = f->n - f->at;
    memmove(f->block, f->block + f->at, kept);
    int64_t got = file_read_some(f->c, f->fd, f->name, f->block + kept, sizeof f->block - kept);
    f->at = 0;
    f->n = kept;
    if (got <= 0) return false;
    sha256_update(&f->sha, f->block + kept, (size_t)got);
    f->n += (size_t)got;
    f->taken += (uint64_t)got;
    return true;
}

static bool is_gzip(const struct packed_file *f)
{
    return f->n >= 2 && f->block[0] == 0x1f && f->block[1] == 0x8b;
}

/* A frame, or a skippable frame: magic numbers 0x184D2A50 to 0x184D2A5F. */
static bool is_zstd(const struct packed_file *f)
{
    const uint8_t *b = f->block;
    return f->n >= 4 && ((b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd) ||
                         ((b[0] & 0xf0) == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18));
}

/* Looks at the first bytes and prepares the library that reads them. */
static bool packed_file_start(struct packed_file *f)
{
    f->started = true;
    while (f->n < 4 && refill(f)) continue;
    if (!ctx_ok(f->c)) return false;
    if (is_gzip(f)) {
        if (inflateInit2(&f->gzip, 15 + 16) != Z_OK) /* 15: the largest window, 32 KiB; + 16: with gzip's header */
            return ctx_fail(f->c, E_MEMORY, "%s: no memory for zlib", f->name), false;
        f->packing = PACKED_GZIP;
    } else if (is_zstd(f)) {
        f->zstd = ZSTD_createDCtx();
        if (!f->zstd) return ctx_fail(f->c, E_MEMORY, "%s: no memory for zstd", f->name), false;
        ZSTD_DCtx_setParameter(f->zstd, ZSTD_d_windowLogMax, PACKED_FILE_WINDOW_LOG);
        f->packing = PACKED_ZSTD;
    }
    return true;
}

/* ---- one step of expanding: bytes written to `to`, or -1 ---- */

static int64_t fail_gzip(struct packed_file *f, const char *why)
{
    ctx_fail(f->c, E_INPUT, "%s: the gzip data cannot be expanded: %s", f->name, why);
    return -1;
}

/* Between members another one may follow, or zeros to the end. */
static bool begin_member(struct packed_file *f)
{
    if (f->block[f->at] == 0)
        f->padded = true;
    else if (f->padded || f->block[f->at] != 0x1f)
        return fail_gzip(f, "something else follows the compressed data"), false;
    f->inside = !f->padded;
    inflateReset(&f->gzip);
    return true;
}

/* zlib keeps its own place in the block; what it took is read off again afterwards. Z_BUF_ERROR says only that it could do
 * nothing without more input, which packed_file_read then gives it. */
static int64_t step_gzip(struct packed_file *f, uint8_t *to, size_t n)
{
    if (!f->inside && !begin_member(f)) return -1;
    if (f->padded) return f->at++, 0;
    f->gzip.next_in = f->block + f->at;
    f->gzip.avail_in = (uInt)(f->n - f->at);
    f->gzip.next_out = to;
    f->gzip.avail_out = (uInt)n;
    int result = inflate(&f->gzip, Z_NO_FLUSH);
    f->at = f->n - f->gzip.avail_in;
    if (result == Z_STREAM_END) f->inside = false;
    if (result == Z_MEM_ERROR) return ctx_fail(f->c, E_MEMORY, "%s: no memory for zlib", f->name), -1;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return fail_gzip(f, f->gzip.msg ? f->gzip.msg : "it is corrupt");
    return (int64_t)(n - f->gzip.avail_out);
}

/* The result of zstd is 0 when a frame is complete and all of it was handed out. */
static int64_t step_zstd(struct packed_file *f, uint8_t *to, size_t n)
{
    ZSTD_inBuffer in = {f->block + f->at, f->n - f->at, 0};
    ZSTD_outBuffer out = {to, n, 0};
    size_t result = ZSTD_decompressStream(f->zstd, &out, &in);
    f->at += in.pos;
    if (ZSTD_isError(result)) {
        ctx_fail(f->c, E_INPUT, "%s: the zstd data cannot be expanded: %s", f->name, ZSTD_getErrorName(result));
        return -1;
    }
    f->inside = result != 0;
    return (int64_t)out.pos;
}

static int64_t step_plain(struct packed_file *f, uint8_t *to, size_t n)
{
    size_t take = f->n - f->at < n ? f->n - f->at : n;
    memcpy(to, f->block + f->at, take);
    f->at += take;
    return (int64_t)take;
}

static int64_t step(struct packed_file *f, uint8_t *to, size_t n)
{
    if (f->packing == PACKED_GZIP) return step_gzip(f, to, n);
    return f->packing == PACKED_ZSTD ? step_zstd(f, to, n) : step_plain(f, to, n);
}

static int64_t end(struct packed_file *f)
{
    if (f->inside)
        return ctx_fail(f->c, E_INPUT, "%s: the compressed data ends too early: the file is incomplete", f->name), -1;
    f->ended = true;
    return 0;
}

/* A library that made no progress wants more input, or has output left that a further call gives. */
int64_t packed_file_read(struct packed_file *f, void *to, size_t n)
{
    if (!f->started && !packed_file_start(f)) return -1;
    for (;;) {
        bool drained = f->at == f->n && !f->inside;
        if (drained && !refill(f)) return ctx_ok(f->c) ? end(f) : -1;
        size_t before = f->at;
        int64_t got = step(f, to, n);
        if (got < 0) return -1;
        f->given += (uint64_t)got;
        if (f->packing != PACKED_NOT && f->given > PACKED_FILE_FREE_BYTES && f->given / PACKED_FILE_RATIO > f->taken) {
            ctx_fail(f->c, E_INPUT, "%s: expands to more than %d times its size, which no rows do: refused", f->name,
                     PACKED_FILE_RATIO);
            return -1;
        }
        if (got > 0) return got;
        if (f->at == before && !refill(f)) return ctx_ok(f->c) ? end(f) : -1;
    }
}

/* Past the first block a file that is not packed needs none: its bytes go to their place at once. */
int64_t packed_file_read_unhashed(struct packed_file *f, void *to, size_t n, size_t *fresh)
{
    *fresh = 0;
    if (!f->started || f->packing != PACKED_NOT || f->at < f->n) return packed_file_read(f, to, n);
    int64_t got = file_read_some(f->c, f->fd, f->name, to, n);
    if (got == 0) return end(f);
    if (got > 0) {
        *fresh = (size_t)got;
        f->taken += (uint64_t)got;
        f->given += (uint64_t)got;
    }
    return got;
}

void packed_file_hash(struct packed_file *f, const void *bytes, size_t n)
{
    sha256_update(&f->sha, bytes, n);
}

uint64_t packed_file_size(const struct packed_file *f)
{
    return f->size;
}

uint64_t packed_file_taken(const struct packed_file *f)
{
    return f->taken;
}

bool packed_file_is_plain(const struct packed_file *f)
{
    return f->packing == PACKED_NOT && f->fd != STDIN_FILENO;
}

const char *packed_file_name(const struct packed_file *f)
{
    return f->name;
}

void packed_file_digest(const struct packed_file *f, uint64_t *bytes, char hex[65])
{
    struct sha256 sha = f->sha; /* a copy: asking twice gives the same answer */
    uint8_t digest[32];
    BUG_ON(f->c, !f->ended, "%s has not been read to its end", f->name);
    *bytes = f->taken;
    sha256_final(&sha, digest);
    sha256_hex(digest, hex);
}
