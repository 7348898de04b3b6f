/* cgroup: the control groups of Linux that limit this process (a container, a service), version 1 and 2. A limit may stand
 * on any group between that of the process and the root of the mount, so all of them are visited. On other systems there
 * are none. */
#ifndef YA_BASE_CGROUP_H
#define YA_BASE_CGROUP_H

#include <stdbool.h>

/* Called with the folder of a group and the version of its files. */
typedef void (*cgroup_visit)(void *user, const char *folder, bool v2);

/* Visits the groups of a controller ("memory", "cpu"), the process's own first. `root` goes before /proc and /sys ("" but in
 * tests). */
void cgroup_each(const char *root, const char *controller, cgroup_visit visit, void *user);

/* The number that the file folder/name begins with; -1 when it is absent, negative or begins with a word ("max"). */
long long cgroup_number(const char *folder, const char *name);
/* The number behind `key` at the start of a line of folder/name, such as /proc/meminfo or memory.stat; -1 when absent. */
long long cgroup_key(const char *folder, const char *name, const char *key);

#endif
