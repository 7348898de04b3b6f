/* system: what Linux and macOS offer under different names, or only one of them. system_linux.c and system_macos.c, one of
 * which is compiled; nothing else in the program asks which system it is built for, but host_linux.c and host_macos.c. */
#ifndef YA_BASE_SYSTEM_H
#define YA_BASE_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/* n <= 256 random bytes, without waiting for them; false when there are none yet (early boot). */
bool system_random(void *out, size_t n);

/* rename that replaces nothing. 0, or -1 with errno: ENOSYS or EINVAL (ENOTSUP) where system or file system has no such
 * call. */
int system_rename_new(const char *from, const char *to);
/* fsync that returns when the bytes are on the medium, not in the drive's own memory. 0, or -1 with errno. */
int system_sync(int fd);
/* Makes a file `bytes` long with all of its blocks allocated, so that a store into a mapping of it meets no full disk. 0 or
 * an errno. */
int system_allocate(int fd, size_t bytes);

/* When a file's bytes, and when anything of it, were changed last. */
struct timespec system_modified(const struct stat *st);
struct timespec system_changed(const struct stat *st);

/* The most memory that this process has held at one time, files that it reads through mappings included; 0: not known. */
size_t system_peak_bytes(void);

/* Gives memory that was freed back to the system, where the C library keeps some of it. */
void system_trim(void);
/* Lets the calling thread run behind the others of the process. A failure changes nothing. */
void system_yield_priority(void);

/* In a child of `parent`: has the system end it (SIGKILL) when that process ends, also by SIGKILL; where it has ended
 * already, the child ends here, with exit code 1. `parent` is what getpid gave before the fork: afterwards the child cannot
 * tell its parent from the process that orphans go to. On macOS, which has no such call, a child whose parent ends later
 * goes on, and its result is not wanted by anybody. */
void system_end_with_parent(pid_t parent);

/* The program's name as it was called: argv[0]. */
const char *system_program(void);

/* The path of the program's own file, with its folder; false where the system does not tell (no /proc) or it does not fit.
 */
bool system_program_path(char *out, size_t n);

/* x86: asks for AMX's tile registers, which a process must before it uses them; false when they are refused. */
bool system_allow_tiles(void);
/* AArch64: whether the processor has sdot, which only the system can tell. */
bool system_has_dot_product(void);

#endif
