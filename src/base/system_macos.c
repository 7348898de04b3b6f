/* system_macos: see system.h. Compiled and linked by scripts/package-portable.sh; nobody has run it yet. */
#include "base/system.h"

#include <crt_externs.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mach-o/dyld.h>
#include <malloc/malloc.h>
#include <pthread/qos.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysctl.h>
#include <unistd.h>

bool system_random(void *out, size_t n)
{
    arc4random_buf(out, n);
    return true;
}

int system_rename_new(const char *from, const char *to)
{
    int error = renamex_np(from, to, RENAME_EXCL);
    if (error != 0 && errno == ENOTSUP) errno = ENOSYS;
    return error;
}

/* fsync leaves bytes in the drive here. Network file systems know only that. */
int system_sync(int fd)
{
    return fcntl(fd, F_FULLFSYNC) == -1 ? fsync(fd) : 0;
}

/* F_PREALLOCATE takes what is missing behind the end and leaves the length alone. */
int system_allocate(int fd, size_t bytes)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return errno;
    if ((off_t)bytes <= st.st_size) return 0;
    fstore_t more = {.fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE, .fst_length = (off_t)bytes - st.st_size};
    if (fcntl(fd, F_PREALLOCATE, &more) == -1) return errno;
    return ftruncate(fd, (off_t)bytes) == 0 ? 0 : errno;
}

struct timespec system_modified(const struct stat *st)
{
    return st->st_mtimespec;
}

struct timespec system_changed(const struct stat *st)
{
    return st->st_ctimespec;
}

/* Bytes here, where Linux counts KiB. */
size_t system_peak_bytes(void)
{
    struct rusage use;
    return getrusage(RUSAGE_SELF, &use) == 0 ? (size_t)use.ru_maxrss : 0;
}

void system_trim(void)
{
    malloc_zone_pressure_relief(NULL, 0);
}

void system_yield_priority(void)
{
    pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0);
}

void system_end_with_parent(pid_t parent)
{
    if (getppid() != parent) _exit(1);
}

const char *system_program(void)
{
    return (*_NSGetArgv())[0];
}

/* The system gives the path that was called, which may go through links. */
bool system_program_path(char *out, size_t n)
{
    char called[PATH_MAX], real[PATH_MAX];
    uint32_t bytes = sizeof called;
    if (_NSGetExecutablePath(called, &bytes) != 0 || !realpath(called, real) || strlen(real) >= n) return false;
    memcpy(out, real, strlen(real) + 1);
    return true;
}

/* No Mac has AMX of this kind. */
bool system_allow_tiles(void)
{
    return false;
}

bool system_has_dot_product(void)
{
    int yes = 0;
    size_t n = sizeof yes;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &yes, &n, NULL, 0) == 0 && yes == 1;
}
