/* host_linux: what Linux tells of itself in /proc. See host.h. */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cgroup.h"
#include "base/host.h"

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

int host_cores_allowed(int machine)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : machine;
    return n > 0 ? n : 1;
}

/* A number of KiB behind a key of /proc/NAME, in bytes; -1 when absent. */
static long long host_read_kib(const char *root, const char *name, const char *key)
{
    char folder[4096];
    if (snprintf(folder, sizeof folder, "%s/proc", root) >= (int)sizeof folder) return -1;
    long long kib = cgroup_key(folder, name, key);
    return kib < 0 ? -1 : kib * 1024;
}

size_t host_memory_bytes(const char *root)
{
    long long bytes = host_read_kib(root, "meminfo", "MemTotal:");
    return bytes > 0 ? (size_t)bytes : 0;
}

size_t host_memory_available(const char *root)
{
    long long bytes = host_read_kib(root, "meminfo", "MemAvailable:");
    return bytes >= 0 ? (size_t)bytes : SIZE_MAX;
}

/* Mapped files are not counted: the kernel can drop them. */
size_t host_memory_used(const char *root)
{
    long long bytes = host_read_kib(root, "self/status", "RssAnon:");
    return bytes > 0 ? (size_t)bytes : 0;
}
