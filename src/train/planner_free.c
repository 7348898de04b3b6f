/* planner_free: how much memory this process may still take on Linux: what the machine has available, or less where a
 * control group (a container, a service) is allowed less. `root` is "" and only tests put another folder in front of the
 * paths. */
#include <stdio.h>

#include "base/cgroup.h"
#include "train/planner.h"

enum { FOLDER_BYTES = 4096 };

/* A number of KiB behind a key of /proc/NAME, in bytes; -1 when absent. */
static long long read_kib(const char *root, const char *name, const char *key)
{
    char folder[FOLDER_BYTES];
    if (snprintf(folder, sizeof(folder), "%s/proc", root) >= (int)sizeof(folder)) return -1;
    long long kib = cgroup_key(folder, name, key);
    return kib < 0 ? -1 : kib * 1024;
}

/* What one control group leaves: its limit less what it uses, inactive file pages not counted as used. Lowers *user. */
static void lower_by_group(void *user, const char *folder, bool v2)
{
    size_t *left = user;
    long long limit = cgroup_number(folder, v2 ? "memory.max" : "memory.limit_in_bytes");
    if (limit < 0) return;
    long long used = cgroup_number(folder, v2 ? "memory.current" : "memory.usage_in_bytes");
    long long cache = cgroup_key(folder, "memory.stat", v2 ? "inactive_file " : "total_inactive_file ");
    if (used > 0 && cache > 0) used -= cache < used ? cache : used;
    size_t mine = used < limit ? (size_t)(limit - (used > 0 ? used : 0)) : 0;
    if (mine < *left) *left = mine;
}

/* Anonymous memory of this process so far, which the plan counts for itself: mapped files can be dropped by the kernel. */
size_t plan_used_bytes(const char *root)
{
    long long bytes = read_kib(root, "self/status", "RssAnon:");
    return bytes > 0 ? (size_t)bytes : 0;
}

/* The least of MemAvailable and what each control group above us leaves. */
size_t plan_free_bytes(const char *root)
{
    long long available = read_kib(root, "meminfo", "MemAvailable:");
    size_t left = available >= 0 ? (size_t)available : SIZE_MAX;
    cgroup_each(root, "memory", lower_by_group, &left);
    return left;
}
