/* host: see host.h. Linux tells in /proc and /sys, macOS by sysctl. */
#include "base/host.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/sysctl.h>
#else
#include <sched.h>
#endif

#include "base/cgroup.h"

#if defined(__APPLE__)
const char *host_cpu_name(char out[HOST_NAME_BYTES])
{
    size_t n = HOST_NAME_BYTES;
    if (sysctlbyname("machdep.cpu.brand_string", out, &n, NULL, 0) != 0) snprintf(out, HOST_NAME_BYTES, "unknown");
    return out;
}

static int cores_allowed(int machine)
{
    return machine;
}

size_t host_memory_bytes(const char *root)
{
    uint64_t bytes = 0;
    size_t n = sizeof bytes;
    (void)root;
    return sysctlbyname("hw.memsize", &bytes, &n, NULL, 0) == 0 ? (size_t)bytes : 0;
}
#else
const char *host_cpu_name(char out[HOST_NAME_BYTES])
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "re");
    snprintf(out, HOST_NAME_BYTES, "unknown");
    while (f && fgets(line, sizeof(line), f)) {
        char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (!colon || strlen(colon) < 3) continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(out, HOST_NAME_BYTES, "%s", colon + 2);
        break;
    }
    if (f) fclose(f);
    return out;
}

static int cores_allowed(int machine)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : machine;
    return n > 0 ? n : 1;
}

size_t host_memory_bytes(const char *root)
{
    char folder[4096];
    if (snprintf(folder, sizeof folder, "%s/proc", root) >= (int)sizeof folder) return 0;
    long long kib = cgroup_key(folder, "meminfo", "MemTotal:");
    return kib > 0 ? (size_t)kib * 1024 : 0;
}
#endif

/* The least quota of the groups: cpu.max holds "QUOTA PERIOD" or "max PERIOD" (v2), in microseconds. */
static void note_quota(void *user, const char *folder, bool v2)
{
    double *least = user;
    char path[4096];
    double quota = 0, period = 0;
    if (v2) {
        FILE *f = snprintf(path, sizeof path, "%s/cpu.max", folder) < (int)sizeof path ? fopen(path, "re") : NULL;
        if (f && fscanf(f, "%lf %lf", &quota, &period) != 2) quota = 0;
        if (f) fclose(f);
    } else {
        quota = (double)cgroup_number(folder, "cpu.cfs_quota_us");
        period = (double)cgroup_number(folder, "cpu.cfs_period_us");
    }
    if (!(quota > 0) || !(period > 0)) return;
    if (*least == 0 || quota / period < *least) *least = quota / period;
}

struct host_cores host_cores(const char *root)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    struct host_cores h = {.machine = n > 0 ? (int)n : 1};
    h.allowed = cores_allowed(h.machine);
    cgroup_each(root, "cpu", note_quota, &h.quota);
    return h;
}

int host_cores_usable(const char *root)
{
    struct host_cores h = host_cores(root);
    return h.quota > 0 && ceil(h.quota) < h.allowed ? (int)ceil(h.quota) : h.allowed;
}

static void note_memory_limit(void *user, const char *folder, bool v2)
{
    size_t *least = user;
    long long limit = cgroup_number(folder, v2 ? "memory.max" : "memory.limit_in_bytes");
    if (limit > 0 && (*least == 0 || (size_t)limit < *least)) *least = (size_t)limit;
}

size_t host_memory_limit(const char *root)
{
    size_t limit = 0, memory = host_memory_bytes(root);
    cgroup_each(root, "memory", note_memory_limit, &limit);
    return memory && limit >= memory ? 0 : limit; /* version 1 writes a huge number for none */
}
