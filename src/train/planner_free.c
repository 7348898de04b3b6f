/* planner_free: how much memory this process may still take on Linux: what the machine has available, or less where a
 * control group (a container, a service) is allowed less. `root` is "" and only tests put another folder in front of the
 * paths. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/planner.h"

enum { LINE_BYTES = 4096 };

/* The number after `key` at the start of a line of a file such as /proc/meminfo or memory.stat; -1 when absent. */
static long long read_key(const char *path, const char *key)
{
    char line[LINE_BYTES];
    long long value = -1;
    FILE *f = fopen(path, "re");
    while (f && value < 0 && fgets(line, sizeof(line), f)) {
        size_t n = strlen(key);
        if (strncmp(line, key, n) == 0) value = strtoll(line + n, NULL, 10);
    }
    if (f) fclose(f);
    return value;
}

/* The number that a file consists of; -1 when it is absent or a word ("max"). */
static long long read_number(const char *path)
{
    char line[64], *end;
    FILE *f = fopen(path, "re");
    if (!f) return -1;
    char *got = fgets(line, sizeof(line), f);
    fclose(f);
    if (!got) return -1;
    long long v = strtoll(line, &end, 10);
    return end == line ? -1 : v;
}

/* What one control group leaves: its limit less what it uses, inactive file pages not counted as used. */
static size_t group_left(const char *folder, const char *limit_name, const char *used_name, const char *stat_key)
{
    char path[LINE_BYTES];
    if (snprintf(path, sizeof(path), "%s/%s", folder, limit_name) >= (int)sizeof(path)) return SIZE_MAX;
    long long limit = read_number(path);
    if (limit < 0) return SIZE_MAX;
    if (snprintf(path, sizeof(path), "%s/%s", folder, used_name) >= (int)sizeof(path)) return SIZE_MAX;
    long long used = read_number(path);
    if (snprintf(path, sizeof(path), "%s/memory.stat", folder) >= (int)sizeof(path)) return SIZE_MAX;
    long long cache = read_key(path, stat_key);
    if (used > 0 && cache > 0) used -= cache < used ? cache : used;
    return used < limit ? (size_t)(limit - (used > 0 ? used : 0)) : 0;
}

/* SIZE_MAX stands for "no limit". */
static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* A limit may stand on any group between ours and the root of the mount, so all of them are asked. */
static size_t groups_left(const char *root, const char *mount, const char *group, bool v2)
{
    char folder[LINE_BYTES];
    size_t left = SIZE_MAX;
    if (snprintf(folder, sizeof(folder), "%s%s%s", root, mount, strcmp(group, "/") == 0 ? "" : group) >= (int)sizeof(folder))
        return left;
    size_t stop = strlen(root) + strlen(mount);
    for (;;) {
        left =
            least(left, v2 ? group_left(folder, "memory.max", "memory.current", "inactive_file ")
                           : group_left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "));
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < stop) return left;
        *slash = '\0';
    }
}

/* One line of /proc/self/cgroup: "0::/path" (v2) or "4:memory:/path" (v1). */
static size_t line_left(const char *root, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) return SIZE_MAX;
    *group++ = '\0';
    if (strcmp(line, "0:") == 0) return groups_left(root, "/sys/fs/cgroup", group, true);
    if (strcmp(controllers + 1, "memory") == 0) return groups_left(root, "/sys/fs/cgroup/memory", group, false);
    return SIZE_MAX;
}

/* Anonymous memory of this process so far, which the plan counts for itself: mapped files can be dropped by the kernel. */
size_t plan_used_bytes(const char *root)
{
    char path[LINE_BYTES];
    if (snprintf(path, sizeof(path), "%s/proc/self/status", root) >= (int)sizeof(path)) return 0;
    long long kib = read_key(path, "RssAnon:");
    return kib > 0 ? (size_t)kib * 1024 : 0;
}

/* The least of MemAvailable and what each control group above us leaves. */
size_t plan_free_bytes(const char *root)
{
    char path[LINE_BYTES], line[LINE_BYTES];
    size_t left = SIZE_MAX;
    if (snprintf(path, sizeof(path), "%s/proc/meminfo", root) >= (int)sizeof(path)) return left;
    long long kib = read_key(path, "MemAvailable:");
    if (kib >= 0) left = (size_t)kib * 1024;
    if (snprintf(path, sizeof(path), "%s/proc/self/cgroup", root) >= (int)sizeof(path)) return left;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) left = least(left, line_left(root, line));
    if (f) fclose(f);
    return left;
}
