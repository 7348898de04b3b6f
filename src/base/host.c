/* host: see host.h. What the system tells of the machine is in host_linux.c and host_macos.c; this part is the limits of
 * control groups, which only Linux has. */
#include "base/host.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cgroup.h"

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
    h.allowed = host_cores_allowed(h.machine);
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
