/* planner_free: how much memory this process may still take: what the machine has available, or less where a
 * control group (a container, a service) or the process itself (ulimit) is allowed less. `root` is "" and only tests put
 * another folder in front of the paths. */
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/cgroup.h"
#include "base/host.h"
#include "train/planner.h"

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

/* What this process holds so far, which the plan counts for itself. */
size_t plan_used_bytes(const char *root)
{
    return host_memory_used(root);
}

/* What a limit of the process itself leaves, less what it has by now: a line of /proc/self/status, in KiB. SIZE_MAX without
 * a limit, or where the system does not tell what the process has. */
static size_t left_by_process(const char *root, int limit, const char *key)
{
    char folder[4096];
    struct rlimit most;
    if (getrlimit(limit, &most) != 0 || most.rlim_cur == RLIM_INFINITY || most.rlim_cur > SIZE_MAX) return SIZE_MAX;
    if (snprintf(folder, sizeof folder, "%s/proc", root) >= (int)sizeof folder) return SIZE_MAX;
    long long kib = cgroup_key(folder, "self/status", key);
    if (kib < 0) return SIZE_MAX;
    return (rlim_t)kib < most.rlim_cur / 1024 ? (size_t)(most.rlim_cur - (rlim_t)kib * 1024) : 0;
}

/* A limit of address space (ulimit -v) counts files that are mapped, and what is reserved and never written, such as the
 * stacks of threads; one of data (ulimit -d) counts private memory that can be written. Both count what the system refuses,
 * not what it has, so a run that fits by them may still be refused a block: address space is taken in larger pieces than the
 * plan counts. */
size_t plan_free_bytes(const char *root, size_t mapped_bytes)
{
    size_t left = host_memory_available(root), data = left_by_process(root, RLIMIT_DATA, "VmData:"),
           space = left_by_process(root, RLIMIT_AS, "VmSize:");
    cgroup_each(root, "memory", lower_by_group, &left);
    if (space < SIZE_MAX - mapped_bytes) space += mapped_bytes;
    if (space < left) left = space;
    return data < left ? data : left;
}

size_t plan_room_bytes(const char *root, size_t mapped_bytes)
{
    size_t left = plan_free_bytes(root, mapped_bytes);
    return left == SIZE_MAX ? SIZE_MAX : left + plan_used_bytes(root);
}
