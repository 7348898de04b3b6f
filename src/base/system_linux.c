/* system_linux: see system.h. What glibc 2.17 has no function for is called by its number. */
#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

bool system_random(void *out, size_t n)
{
    return syscall(SYS_getrandom, out, n, GRND_NONBLOCK) == (long)n;
}

int system_rename_new(const char *from, const char *to)
{
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 28)
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
#elif defined(SYS_renameat2)
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1u /* RENAME_NOREPLACE */);
#else
    (void)from, (void)to;
    errno = ENOSYS;
    return -1;
#endif
}

int system_sync(int fd)
{
    return fsync(fd);
}

int system_allocate(int fd, size_t bytes)
{
    return posix_fallocate(fd, 0, (off_t)bytes);
}

struct timespec system_modified(const struct stat *st)
{
    return st->st_mtim;
}

struct timespec system_changed(const struct stat *st)
{
    return st->st_ctim;
}

size_t system_peak_bytes(void)
{
    struct rusage use;
    return getrusage(RUSAGE_SELF, &use) == 0 ? (size_t)use.ru_maxrss * 1024 : 0;
}

void system_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* On Linux a priority is a thread's. */
void system_yield_priority(void)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
}

/* The signal is for an end that is still to come, so whether the parent is there is asked after it was ordered. */
void system_end_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
}

const char *system_program(void)
{
    return program_invocation_name;
}

bool system_program_path(char *out, size_t n)
{
    ssize_t k = readlink("/proc/self/exe", out, n - 1);
    if (k <= 0 || (size_t)k == n - 1) return false;
    out[k] = '\0';
    return true;
}

/* 8 KiB that Linux (5.16 and later) gives the threads of a process only if it asks for them. */
bool system_allow_tiles(void)
{
#ifdef __x86_64__
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

bool system_has_dot_product(void)
{
#ifdef __aarch64__
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
    return false;
#endif
}
