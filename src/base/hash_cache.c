/* hash_cache: writes and reads the entries of the cache of digests, and decides whether an entry still fits its file. */
#include "base/hash_cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/system.h"
#include "base/user_folder.h"

enum { HEX_DIGITS = 64, ENTRY_MAX_BYTES = 512, SETTLED_SECONDS = 2 };

/* "your_ai sha256 1 HEX SIZE MTIME CTIME DEVICE INODE CHECK\n", where CHECK is the SHA-256 of what stands before it and of
 * the path. */
#define ENTRY_START "your_ai sha256 1 "

static void hash_text(const char *a, const char *b, char hex[65])
{
    struct sha256 s;
    uint8_t digest[32];
    sha256_init(&s);
    sha256_update(&s, a, strlen(a));
    sha256_update(&s, b, strlen(b));
    sha256_final(&s, digest);
    sha256_hex(digest, hex);
}

/* The entry that says of the file `st` at `path` that its digest is `hex`. */
static void make_entry(char out[ENTRY_MAX_BYTES], const char *path, const struct stat *st, const char *hex)
{
    char check[65];
    struct timespec modified = system_modified(st), changed = system_changed(st);
    int n = snprintf(out, ENTRY_MAX_BYTES, ENTRY_START "%.64s %jd %jd.%09ld %jd.%09ld %ju %ju ", hex, (intmax_t)st->st_size,
                     (intmax_t)modified.tv_sec, modified.tv_nsec, (intmax_t)changed.tv_sec, changed.tv_nsec,
                     (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
    hash_text(out, path, check);
    snprintf(out + n, ENTRY_MAX_BYTES - (size_t)n, "%s\n", check);
}

/* The folder of entries; NULL when the user has none. */
static char *entries_folder(struct ctx *c)
{
    char *mine = user_folder(c, "XDG_CACHE_HOME", ".cache"), *folder = mine ? path_join(c, mine, "sha256") : NULL;
    mem_free(c, mine);
    return folder;
}

/* Whether the entry is one of this file; its digest then goes to hex. */
static bool hash_cache_read_entry(struct ctx *c, const char *entry, const char *path, const struct stat *st, char hex[65])
{
    char want[ENTRY_MAX_BYTES];
    size_t n;
    char *text = file_exists(entry) ? file_read(c, entry, ENTRY_MAX_BYTES - 1, &n) : NULL;
    ctx_clear(c); /* what cannot be read is no entry */
    if (!text) return false;
    bool same = n > strlen(ENTRY_START) + HEX_DIGITS;
    if (same) {
        memcpy(hex, text + strlen(ENTRY_START), HEX_DIGITS);
        hex[HEX_DIGITS] = '\0';
        same = strspn(hex, "0123456789abcdef") == HEX_DIGITS;
    }
    if (same) {
        make_entry(want, path, st, hex);
        same = n == strlen(want) && memcmp(text, want, n) == 0;
    }
    mem_free(c, text);
    return same;
}

/* Never an error: the next run hashes again. */
static void write_entry(struct ctx *c, const char *folder, const char *entry, const char *path, const struct stat *st,
                        const char *hex)
{
    char text[ENTRY_MAX_BYTES];
    struct stat now;
    struct timespec modified = system_modified(st), again;
    time_t settled = time(NULL) - SETTLED_SECONDS;
    if (stat(path, &now) != 0 || now.st_size != st->st_size) return;
    again = system_modified(&now);
    if (again.tv_sec != modified.tv_sec || again.tv_nsec != modified.tv_nsec || modified.tv_sec >= settled ||
        system_changed(st).tv_sec >= settled)
        return;
    make_entry(text, path, st, hex);
    if (dir_make(c, folder) == OK) file_write_atomic(c, entry, text, strlen(text));
    ctx_clear(c);
}

/* Without a cache folder, or with an entry that is not this file's, the file is hashed. An entry is written only if as many
 * bytes were hashed as the file had before. */
enum status hash_cache_sha256(struct ctx *c, const char *path, char hex[65], uint64_t *bytes)
{
    struct stat st;
    char name[65];
    if (!ctx_ok(c)) return c->status;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < HASH_CACHE_FILE_MIN_BYTES)
        return file_sha256(c, path, hex, bytes);
    char *whole = path_absolute(c, path), *folder = entries_folder(c);
    hash_text("", whole ? whole : "", name);
    char *entry = whole && folder ? path_join(c, folder, name) : NULL;
    bool known = entry && hash_cache_read_entry(c, entry, whole, &st, hex);
    if (known)
        *bytes = (uint64_t)st.st_size;
    else if (ctx_ok(c) && file_sha256(c, path, hex, bytes) == OK && entry && *bytes == (uint64_t)st.st_size)
        write_entry(c, folder, entry, whole, &st, hex);
    mem_free(c, entry);
    mem_free(c, folder);
    mem_free(c, whole);
    return c->status;
}
