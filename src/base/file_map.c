/* file_map: read-only mappings and the guard that makes a truncated one an error.
 *
 * The SIGBUS handler may use nothing that takes a lock, so mappings are entered in a fixed table of atomics. On a fault
 * inside one of them, the handler maps zero pages over everything from the missing page on (behind the new end of the file
 * nothing is left to lose, and one call keeps the number of kernel mappings small), marks the entry and returns; the
 * interrupted load then reads zeros. Faults elsewhere go to the handler that was there before. Copying files into memory
 * instead was rejected: a model's weights may be larger than the machine's memory. */
#include "base/file.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/resource.h"

enum { MAPPINGS_MAX = 4096 };

/* What the signal handler knows of a mapping. */
struct entry {
    atomic_uintptr_t begin, end; /* page-aligned; end 0: free */
    atomic_bool torn;
};

struct file_map {
    struct resource resource;
    struct ctx *c;
    char *path;
    int fd; /* kept open: its size tells of a cut inside the last page, which raises no signal */
    const uint8_t *data;
    size_t size;
    struct entry *entry; /* NULL for an empty file */
};

static struct entry entries[MAPPINGS_MAX];
static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER; /* taking entries and installing, not the handler */
static struct sigaction previous;
static uintptr_t page_bytes;

/* A fault that is none of ours. The other handler may in turn call this one (it was there first, or last): the second time
 * round, the default action ends it. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
    static _Thread_local volatile sig_atomic_t passing;
    if (passing ||
        (!(previous.sa_flags & SA_SIGINFO) && (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN))) {
        struct sigaction fallback = {.sa_handler = SIG_DFL};
        sigaction(sig, &fallback, NULL); /* takes effect when the instruction faults again on return */
        return;
    }
    passing = 1;
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(sig, info, context);
    } else {
        previous.sa_handler(sig);
    }
    passing = 0;
}

/* The handler for SIGBUS. si_addr is the address whose page could not be read. mmap is no function that POSIX allows in a
 * handler by name, but on Linux it is one system call and takes no lock of the process. */
static void on_bus_error(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    uintptr_t page = (uintptr_t)info->si_addr / page_bytes * page_bytes;
    for (int i = 0; i < MAPPINGS_MAX; i++) {
        uintptr_t end = atomic_load(&entries[i].end);
        if (page >= end || page < atomic_load(&entries[i].begin)) continue;
        void *zeros = mmap((void *)page, end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (zeros == MAP_FAILED) break;
        atomic_store(&entries[i].torn, true);
        errno = saved;
        return;
    }
    pass_on(sig, info, context);
    errno = saved;
}

void file_guard_install(void)
{
    pthread_mutex_lock(&guard_lock);
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct sigaction current;
    sigaction(SIGBUS, NULL, &current);
    if (!(current.sa_flags & SA_SIGINFO) || current.sa_sigaction != on_bus_error) {
        struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_RESTART};
        sigemptyset(&action.sa_mask);
        previous = current;
        sigaction(SIGBUS, &action, NULL);
    }
    pthread_mutex_unlock(&guard_lock);
}

/* Enters a mapping; NULL when the table is full. `end` is stored last, because it is what makes the entry count. */
static struct entry *entry_take(const void *data, size_t size)
{
    struct entry *taken = NULL;
    pthread_mutex_lock(&guard_lock);
    for (int i = 0; i < MAPPINGS_MAX && !taken; i++) {
        if (atomic_load(&entries[i].end) != 0) continue;
        taken = &entries[i];
        atomic_store(&taken->torn, false);
        atomic_store(&taken->begin, (uintptr_t)data);
        atomic_store(&taken->end, ((uintptr_t)data + size + page_bytes - 1) / page_bytes * page_bytes);
    }
    pthread_mutex_unlock(&guard_lock);
    return taken;
}

static void entry_return(struct entry *e)
{
    if (e) atomic_store(&e->end, 0);
}

/* Maps the whole file. An empty one cannot be mapped and needs no entry. */
static bool map_pages(struct file_map *m, uint64_t bytes)
{
    static const uint8_t nothing[1];
    m->data = nothing;
    m->size = (size_t)bytes;
    if (m->size == 0) return true;
    void *data = mmap(NULL, m->size, PROT_READ, MAP_SHARED, m->fd, 0);
    if (data == MAP_FAILED) {
        file_fail(m->c, "map", m->path, errno);
        return false;
    }
    m->entry = entry_take(data, m->size);
    if (!m->entry) {
        munmap(data, m->size);
        ctx_fail(m->c, E_IO, "%s: more than %d files are mapped", m->path, MAPPINGS_MAX);
        return false;
    }
    m->data = data;
    return true;
}

static void file_map_give_back(struct resource *r)
{
    struct file_map *m = (struct file_map *)r;
    if (m->entry) {
        munmap((void *)m->data, m->size);
        entry_return(m->entry);
    }
    if (m->fd >= 0) close(m->fd);
}

struct file_map *file_map_open(struct ctx *c, const char *path)
{
    file_guard_install();
    struct file_map *m = mem_alloc(c, 1, sizeof *m);
    uint64_t bytes;
    if (!m) return NULL;
    *m = (struct file_map){.c = c, .fd = -1, .path = mem_strdup(c, path)};
    resource_hold(c, &m->resource, file_map_give_back);
    if (m->path && (m->fd = file_open(c, path, &bytes)) >= 0 && map_pages(m, bytes)) return m;
    file_map_close(m);
    return NULL;
}

void file_map_close(struct file_map *m)
{
    if (!m) return;
    resource_drop(m->c, &m->resource);
    file_map_give_back(&m->resource);
    mem_free(m->c, m->path);
    mem_free(m->c, m);
}

const uint8_t *file_map_data(const struct file_map *m)
{
    return m->data;
}

size_t file_map_size(const struct file_map *m)
{
    return m->size;
}

const char *file_map_path(const struct file_map *m)
{
    return m->path;
}

void file_map_drop(const void *data, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)data + bytes) / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

enum status file_check(struct ctx *c, const struct file_map *m)
{
    struct stat st;
    if (fstat(m->fd, &st) != 0) return file_fail(c, "examine", m->path, errno);
    if ((size_t)st.st_size < m->size) {
        return ctx_fail(c, E_IO, "%s: truncated from %zu to %lld bytes while in use", m->path, m->size,
                        (long long)st.st_size);
    }
    if (m->entry && atomic_load(&m->entry->torn)) {
        return ctx_fail(c, E_IO, "%s: a part of the file could not be read while in use", m->path);
    }
    return OK;
}
