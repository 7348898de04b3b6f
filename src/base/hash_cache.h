/* hash_cache: SHA-256 of large files, each computed once.
 *
 * An entry is a small file in the user's cache folder (XDG_CACHE_HOME, else HOME/.cache, /your_ai/sha256), named by the path
 * that was hashed. It holds size, times of the last change of bytes and of the entry in the folder, device and inode, and a
 * digest over itself and the path: an entry that differs from the file in any of them, or that is damaged, is as good as
 * none. Where nothing can be written, nothing is cached. */
#ifndef YA_BASE_HASH_CACHE_H
#define YA_BASE_HASH_CACHE_H

#include "base/ctx.h"

/* Files smaller than this are hashed faster than an entry is read and written durably. */
enum { HASH_CACHE_FILE_MIN_BYTES = 1 << 20 };

/* As file_sha256: the digest of the file's bytes as hex, and its size. Files that were changed within the last two seconds
 * get no entry, as a further change could leave their times as they are. */
enum status hash_cache_sha256(struct ctx *c, const char *path, char hex[65], uint64_t *bytes);

#endif
