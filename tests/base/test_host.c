/* host: cores and memory where a control group allows less than the machine has, from fake /proc and /sys. */
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cgroup.h"
#include "base/file.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/user_folder.h"
#include "support_scratch.h"

static char root[64];

static int host_setup(void **state)
{
    (void)state;
    return mkdtemp(scratch_template(root, sizeof root, "host")) ? 0 : -1;
}

static int host_teardown(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    dir_remove(c, root);
    ctx_free(c);
    return 0;
}

static void host_fake(const char *path, const char *text)
{
    struct ctx *c = ctx_new(NULL);
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    char *folder = mem_strndup(c, full, (size_t)(strrchr(full, '/') - full));
    assert_int_equal(dir_make(c, folder), OK);
    assert_int_equal(file_write_atomic(c, full, text, strlen(text)), OK);
    mem_free(c, folder);
    ctx_free(c);
}

static void cores(void **state)
{
    (void)state;
    struct host_cores all = host_cores(root);
    assert_true(all.machine >= 1 && all.allowed >= 1 && all.quota == 0);
    assert_int_equal(host_cores_usable(root), all.allowed);
    host_fake("/proc/self/cgroup", "0::/box/inner\n");
    host_fake("/sys/fs/cgroup/box/inner/cpu.max", "max 100000\n");
    assert_true(host_cores(root).quota == 0);
    host_fake("/sys/fs/cgroup/box/cpu.max", "50000 100000\n"); /* a group above counts, and half a core is one thread */
    assert_true(fabs(host_cores(root).quota - 0.5) < 1e-9);
    assert_int_equal(host_cores_usable(root), 1);
    host_fake("/sys/fs/cgroup/box/cpu.max", "1000000000 100000\n"); /* more than there are */
    assert_int_equal(host_cores_usable(root), all.allowed);
    host_fake("/sys/fs/cgroup/box/inner/cpu.max", "50000 100000\n"); /* the least of both counts, whichever is inside */
    host_fake("/sys/fs/cgroup/box/cpu.max", "75000 100000\n");
    assert_true(fabs(host_cores(root).quota - 0.5) < 1e-9);
    host_fake("/sys/fs/cgroup/box/cpu.max", "25000 100000\n");
    assert_true(fabs(host_cores(root).quota - 0.25) < 1e-9);
    host_fake("/sys/fs/cgroup/box/inner/cpu.max", "max 100000\n");
    host_fake("/sys/fs/cgroup/box/cpu.max", "nonsense\n");
    assert_true(host_cores(root).quota == 0);
    host_fake("/proc/self/cgroup", "3:cpu,cpuacct:/job\n"); /* version 1 */
    host_fake("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
    host_fake("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    assert_true(host_cores(root).quota == 0);
    host_fake("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "25000\n");
    assert_true(fabs(host_cores(root).quota - 0.25) < 1e-9);
    host_fake("/proc/self/cgroup", "3:cpuset:/job\n"); /* another controller's name begins with the same letters */
    assert_true(host_cores(root).quota == 0);
}

/* As taskset keeps a process to some cores. */
static void affinity(void **state)
{
    (void)state;
    cpu_set_t all, one;
    int first = 0;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_int_equal(host_cores(root).allowed, CPU_COUNT(&all));
    while (!CPU_ISSET(first, &all)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    struct host_cores kept = host_cores(root);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(kept.allowed, 1);
    assert_true(kept.machine >= CPU_COUNT(&all));
}

static void memory(void **state)
{
    (void)state;
    host_fake("/proc/meminfo", "MemTotal:       1000 kB\nMemAvailable: 7 kB\n");
    host_fake("/proc/self/cgroup", "0::/box\n");
    assert_int_equal(host_memory_bytes(root), 1000 * 1024);
    host_fake("/sys/fs/cgroup/box/memory.max", "max\n");
    assert_int_equal(host_memory_limit(root), 0);
    host_fake("/sys/fs/cgroup/box/memory.max", "512000\n");
    assert_int_equal(host_memory_limit(root), 512000);
    host_fake("/proc/self/cgroup", "0::/box/inner\n"); /* the least of both counts, whichever is inside */
    host_fake("/sys/fs/cgroup/box/inner/memory.max", "600000\n");
    assert_int_equal(host_memory_limit(root), 512000);
    host_fake("/sys/fs/cgroup/box/inner/memory.max", "400000\n");
    assert_int_equal(host_memory_limit(root), 400000);
    host_fake("/proc/self/cgroup", "0::/box\n");
    host_fake("/sys/fs/cgroup/box/memory.max", "9223372036854771712\n"); /* how version 1 writes none */
    assert_int_equal(host_memory_limit(root), 0);
}

static void memory_now(void **state)
{
    (void)state;
    host_fake("/proc/meminfo", "MemTotal:       1000 kB\n"); /* kernels before 3.14 do not tell */
    assert_true(host_memory_available(root) == SIZE_MAX);
    host_fake("/proc/meminfo", "MemTotal:       1000 kB\nMemFree: 3 kB\nMemAvailable: 7 kB\n");
    assert_int_equal(host_memory_available(root), 7 * 1024);
    assert_int_equal(host_memory_used(root), 0);
    host_fake("/proc/self/status", "VmSize: 900 kB\nVmRSS: 90 kB\nRssAnon: 40 kB\nRssFile: 50 kB\n");
    assert_int_equal(host_memory_used(root), 40 * 1024);
}

static void folders(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    setenv("HOME", "/home/me", 1);
    setenv("XDG_CONFIG_HOME", "relative", 1);
    char *path = user_folder(c, "XDG_CONFIG_HOME", ".config");
    assert_string_equal(path, "/home/me/.config/your_ai");
    mem_free(c, path);
    setenv("XDG_CONFIG_HOME", "/elsewhere", 1);
    path = user_folder(c, "XDG_CONFIG_HOME", ".config");
    assert_string_equal(path, "/elsewhere/your_ai");
    mem_free(c, path);
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", "home/me", 1);
    assert_null(user_folder(c, "XDG_CONFIG_HOME", ".config"));
    unsetenv("HOME");
    assert_null(user_folder(c, "XDG_CONFIG_HOME", ".config"));
    assert_true(ctx_ok(c));
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cores), cmocka_unit_test(affinity), cmocka_unit_test(memory),
                                       cmocka_unit_test(memory_now), cmocka_unit_test(folders)};
    return cmocka_run_group_tests(tests, host_setup, host_teardown);
}
