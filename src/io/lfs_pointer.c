/* lfs_pointer: see lfs_pointer.h. The text is specified in Git LFS, docs/spec.md: its first line names the version. */
#include "io/lfs_pointer.h"

#include <string.h>

bool lfs_pointer_refuse(struct ctx *c, const char *path, const void *bytes, size_t n)
{
    static const char start[] = "version https://git-lfs";
    if (n < sizeof start - 1 || memcmp(bytes, start, sizeof start - 1) != 0) return false;
    ctx_fail(
        c, E_INPUT,
        "%s: this is a Git LFS pointer, a short text that stands for a file in a repository, and not the file itself: run "
        "\"git lfs pull\" in the repository, or download the file again",
        path);
    return true;
}
