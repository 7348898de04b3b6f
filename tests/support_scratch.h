/* support_scratch: where tests put their files. A disk is waited for whenever a file is synced or replaced, which tests do
 * thousands of times, so the place is memory where there is enough of it. tests/run_script.sh has the same rule for scripts.
 */
#ifndef YA_TESTS_SUPPORT_SCRATCH_H
#define YA_TESTS_SUPPORT_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SCRATCH_FREE_MIB = 2048 }; /* containers often have 64 MiB there */

/* Without a slash at its end. Programs may be started from it. */
static inline const char *scratch_root(void)
{
    struct statvfs s;
    bool there = access("/dev/shm", W_OK) == 0 && statvfs("/dev/shm", &s) == 0;
    if (!there || (uint64_t)s.f_bavail * s.f_frsize < (uint64_t)SCRATCH_FREE_MIB << 20) return "/tmp";
#ifdef ST_NOEXEC
    if (s.f_flag & ST_NOEXEC) return "/tmp";
#endif
    return "/dev/shm";
}

/* Writes "ROOT/your_ai_NAME_XXXXXX" for mkdtemp or mkstemp and returns it. */
static inline char *scratch_template(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/your_ai_%s_XXXXXX", scratch_root(), name);
    return path;
}

#endif
