/* host: the machine that the program runs on, as its system describes it: processor, cores and memory, with what a container
 * or a service takes away of them. `root` goes before /proc and /sys ("" but in tests). */
#ifndef YA_BASE_HOST_H
#define YA_BASE_HOST_H

#include <stddef.h>

enum { HOST_NAME_BYTES = 256 };

/* The processor's own name; "unknown" where the system does not tell. Returns out. */
const char *host_cpu_name(char out[HOST_NAME_BYTES]);

/* Of `machine` cores, those that this process may run on. */
int host_cores_allowed(int machine);

struct host_cores {
    int machine;  /* that the system has online */
    int allowed;  /* that this process may run on: fewer under taskset, or in a container with a set of cores */
    double quota; /* processor time in cores that its control groups allow; 0: no limit */
};
/* The cores of this machine and process. */
struct host_cores host_cores(const char *root);
/* Threads that can run at once: `allowed`, or the quota rounded up where that is less. At least 1. */
int host_cores_usable(const char *root);

/* Physical memory in bytes, and the least limit that a control group sets below it; 0: not known, or no limit. */
size_t host_memory_bytes(const char *root);
size_t host_memory_limit(const char *root);
/* What the system could give away now without swapping, control groups not considered, in bytes; SIZE_MAX: not known. */
size_t host_memory_available(const char *root);
/* What this process holds by now, mapped files not counted; 0: not known. */
size_t host_memory_used(const char *root);

#endif
