/* planner_free: how much memory this process may still take: what the machine has available, or less where a
 * control group (a container, a service) is allowed less. `root` is "" and only tests put another folder in front of the
 * paths. */
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

/* The least of what the system has available and what each control group above us leaves. */
size_t plan_free_bytes(const char *root)
{
    size_t left = host_memory_available(root);
    cgroup_each(root, "memory", lower_by_group, &left);
    return left;
}
