/* lfs_pointer: repositories keep large files beside git (Git LFS) and a short text in their place. Who clones without LFS,
 * or downloads the wrong link, has that text under the name of the file: the most common wrong file there is. */
#ifndef YA_IO_LFS_POINTER_H
#define YA_IO_LFS_POINTER_H

#include "base/ctx.h"

/* When the first n bytes of a file are those of a Git LFS pointer: records E_INPUT, saying what the file is and what to do,
 * and returns true. */
bool lfs_pointer_refuse(struct ctx *c, const char *path, const void *bytes, size_t n);

#endif
