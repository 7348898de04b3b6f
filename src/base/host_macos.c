/* host_macos: what macOS tells by sysctl and Mach. See host.h. Compiled and linked, but never run. */
#include <mach/mach.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/sysctl.h>

#include "base/host.h"

const char *host_cpu_name(char out[HOST_NAME_BYTES])
{
    size_t n = HOST_NAME_BYTES;
    if (sysctlbyname("machdep.cpu.brand_string", out, &n, NULL, 0) != 0) snprintf(out, HOST_NAME_BYTES, "unknown");
    return out;
}

/* No process is kept to some of the cores here. */
int host_cores_allowed(int machine)
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

/* Pages that are free, or hold what can be read again or is not needed: what Activity Monitor does not count as used, but
 * for memory that could be compressed. */
size_t host_memory_available(const char *root)
{
    vm_statistics64_data_t v;
    mach_msg_type_number_t n = HOST_VM_INFO64_COUNT;
    mach_port_t host = mach_host_self();
    (void)root;
    kern_return_t error = host_statistics64(host, HOST_VM_INFO64, (host_info64_t)&v, &n);
    mach_port_deallocate(mach_task_self(), host);
    if (error != KERN_SUCCESS) return SIZE_MAX;
    return ((size_t)v.free_count + v.external_page_count + v.purgeable_count) * (size_t)vm_page_size;
}

/* The footprint, by which the system itself judges a process. */
size_t host_memory_used(const char *root)
{
    task_vm_info_data_t v;
    mach_msg_type_number_t n = TASK_VM_INFO_COUNT;
    (void)root;
    if (task_info(mach_task_self(), TASK_VM_INFO, (task_info_t)&v, &n) != KERN_SUCCESS) return 0;
    return (size_t)v.phys_footprint;
}
