/* cgroup: finds the groups in /proc/self/cgroup and walks up from each. See cgroup.h. */
#include "base/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 4096 };

/* folder/name, open for reading; NULL when it is absent or its path is too long. */
static FILE *cgroup_open(const char *folder, const char *name)
{
    char path[LINE_BYTES];
    return snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path) ? fopen(path, "re") : NULL;
}

long long cgroup_number(const char *folder, const char *name)
{
    char line[64], *end;
    FILE *f = cgroup_open(folder, name);
    if (!f) return -1;
    char *got = fgets(line, sizeof(line), f);
    fclose(f);
    if (!got) return -1;
    long long v = strtoll(line, &end, 10);
    return end == line || v < 0 ? -1 : v;
}

long long cgroup_key(const char *folder, const char *name, const char *key)
{
    char line[LINE_BYTES];
    long long value = -1;
    FILE *f = cgroup_open(folder, name);
    while (f && value < 0 && fgets(line, sizeof(line), f)) {
        size_t n = strlen(key);
        if (strncmp(line, key, n) == 0) value = strtoll(line + n, NULL, 10);
    }
    if (f) fclose(f);
    return value;
}

/* One group and those above it. */
static void cgroup_walk(const char *root, const char *mount, const char *group, bool v2, cgroup_visit visit, void *user)
{
    char folder[LINE_BYTES];
    if (snprintf(folder, sizeof(folder), "%s%s%s", root, mount, strcmp(group, "/") == 0 ? "" : group) >= (int)sizeof(folder))
        return;
    size_t stop = strlen(root) + strlen(mount);
    for (;;) {
        visit(user, folder, v2);
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < stop) return;
        *slash = '\0';
    }
}

/* Whether a name is in a list with commas. */
static bool cgroup_lists(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list;; p++) {
        if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == '\0')) return true;
        p = strchr(p, ',');
        if (!p) return false;
    }
}

/* One line of /proc/self/cgroup: "0::/path" (v2) or "4:cpu,cpuacct:/path" (v1). */
static void cgroup_line(const char *root, const char *controller, char *line, cgroup_visit visit, void *user)
{
    char mount[64];
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) return;
    *group++ = '\0';
    snprintf(mount, sizeof mount, "/sys/fs/cgroup/%s", controller);
    if (strcmp(line, "0:") == 0)
        cgroup_walk(root, "/sys/fs/cgroup", group, true, visit, user);
    else if (cgroup_lists(controllers + 1, controller))
        cgroup_walk(root, mount, group, false, visit, user);
}

void cgroup_each(const char *root, const char *controller, cgroup_visit visit, void *user)
{
    char folder[LINE_BYTES], line[LINE_BYTES];
    if (snprintf(folder, sizeof(folder), "%s/proc/self", root) >= (int)sizeof(folder)) return;
    FILE *f = cgroup_open(folder, "cgroup");
    while (f && fgets(line, sizeof(line), f)) cgroup_line(root, controller, line, visit, user);
    if (f) fclose(f);
}
