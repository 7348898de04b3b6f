/* threads: one parallel loop at a time. threads_run opens the loop, works on it like any other thread, closes it when no
 * block is left and waits only for workers that joined: one that was still asleep finds the loop closed and never delays
 * the caller.
 *
 * The state of the loop is one 64-bit word: how many loops there have been, whether the present one is open, and how many
 * workers are inside. A worker joins by a compare-and-swap that adds 1 to a word that says open, so a loop costs no lock:
 * generating a token is some 200 loops of a few microseconds, and a lock that the caller still holds when the workers come
 * would send them to sleep. Blocks are handed out by an atomic counter.
 *
 * Idle workers watch the word for a short while before they sleep on a condition variable, because the next kernel usually
 * follows within microseconds. They do not when there are more threads than cores: spinning would then take the core from
 * the thread that has the work.
 *
 * No wake-up is lost: a thread that goes to sleep first says so (`asleep`, `waiting`) and then looks at the word once
 * more; a thread that changes the word looks for sleepers afterwards. These accesses are sequentially consistent, so at
 * least one of the two sees what the other did. Each of these changes is a read-modify-write even where a plain store would
 * do: QEMU 7.2 on x86-64 runs AArch64's sequentially consistent store and the load behind it as ordinary moves, of
 * which the processor may do the load first, and then both sides miss each other and the caller sleeps for good. */
#include "base/threads.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/host.h"
#include "base/mem.h"
#include "base/panic.h"

enum { SPINS = 1000, THREADS_MAX = 1024 };

/* The word: bits 0 to 30 count the workers inside, bit 31 says that the loop is open, bits 32 and up count loops. */
#define OPEN (UINT64_C(1) << 31)
#define LOOP (UINT64_C(1) << 32)

/* One thread of the pool; the caller of threads_run counts as worker 0 and has none. */
struct worker {
    struct threads *pool;
    int index;
    pthread_t thread;
};

struct threads {
    int n;         /* the caller included */
    int n_started; /* workers that exist */
    int spins;
    struct worker *workers; /* (n), the caller's slot 0 unused */
    pthread_mutex_t lock;   /* of the two conditions, for who sleeps and who wakes */
    pthread_cond_t wake;    /* a loop was opened, or stop */
    pthread_cond_t done;    /* the last worker left the closed loop */
    atomic_bool stop;
    atomic_int asleep;   /* workers that wait for wake */
    atomic_bool waiting; /* the caller waits for done */
    /* of the loop: written while it is closed and nobody is inside */
    void (*fn)(void *arg, int64_t block, int worker);
    void *arg;
    int64_t n_blocks;
    atomic_uint_fast64_t word;
    atomic_int_fast64_t next; /* block */
    /* a panic inside a block, first one wins; under `lock` */
    bool panicked;
    char panic_message[CTX_MESSAGE_BYTES];
};

/* Tells the processor that this is a spinning loop, so that it leaves the core's other hardware thread its share. */
static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Takes blocks until none is left. Not inlined into its caller, which calls setjmp and therefore keeps its variables in
 * memory instead of registers. */
static __attribute__((noinline)) void work(struct threads *t, int worker)
{
    for (;;) {
        int64_t block = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
        if (block >= t->n_blocks) return;
        t->fn(t->arg, block, worker);
    }
}

/* The same with a catch for panics around it. After a panic the counter is put at its end, so that no thread takes another
 * block, and threads_run raises the panic again on the calling thread. */
static void work_caught(struct threads *t, int worker)
{
    struct panic_catch here;
    if (PANIC_CATCH(&here)) {
        atomic_store(&t->next, t->n_blocks);
        pthread_mutex_lock(&t->lock);
        if (!t->panicked) memcpy(t->panic_message, here.message, sizeof t->panic_message);
        t->panicked = true;
        pthread_mutex_unlock(&t->lock);
    } else {
        work(t, worker);
    }
    panic_catch_close(&here);
}

/* True when there is something to wake up for: another parallel loop than number `seen`, or the end. */
static bool threads_is_new(struct threads *t, uint64_t seen)
{
    return atomic_load(&t->word) / LOOP != seen || atomic_load(&t->stop);
}

/* Watches the word for `spins` rounds, then sleeps. */
static void wait_for_loop(struct threads *t, uint64_t seen)
{
    for (int i = 0; i < t->spins; i++) {
        if (threads_is_new(t, seen)) return;
        relax();
    }
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->asleep, 1);
    while (!threads_is_new(t, seen)) pthread_cond_wait(&t->wake, &t->lock);
    atomic_fetch_sub(&t->asleep, 1);
    pthread_mutex_unlock(&t->lock);
}

/* Joins the present loop; false when it is closed. *seen becomes its number either way. */
static bool threads_join(struct threads *t, uint64_t *seen)
{
    uint64_t word = atomic_load(&t->word);
    while (word & OPEN)
        if (atomic_compare_exchange_weak(&t->word, &word, word + 1)) break;
    *seen = word / LOOP;
    return word & OPEN;
}

/* The last worker to leave a closed loop wakes the caller if that is asleep already. */
static void threads_leave(struct threads *t)
{
    uint64_t word = atomic_fetch_sub(&t->word, 1);
    if (word & OPEN || (word & (OPEN - 1)) != 1 || !atomic_load(&t->waiting)) return;
    pthread_mutex_lock(&t->lock); /* so that the signal cannot fall between the caller's test and its wait */
    pthread_cond_signal(&t->done);
    pthread_mutex_unlock(&t->lock);
}

/* The life of a worker: wait for a loop, join it, take blocks, leave it. */
static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct threads *t = w->pool;
    uint64_t seen = 0;
    for (;;) {
        wait_for_loop(t, seen);
        if (atomic_load(&t->stop)) return NULL;
        if (!threads_join(t, &seen)) continue;
        work_caught(t, w->index);
        threads_leave(t);
    }
}

/* Wakes the workers that sleep; without a system call while nobody does. */
static void wake_workers(struct threads *t)
{
    if (atomic_load(&t->asleep) == 0) return;
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

static void threads_free(struct ctx *c, struct threads *t)
{
    if (!t) return;
    atomic_exchange(&t->stop, true);
    wake_workers(t);
    for (int i = 1; i <= t->n_started; i++) pthread_join(t->workers[i].thread, NULL);
    pthread_cond_destroy(&t->done);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    mem_free(c, t->workers);
    mem_free(c, t);
}

/* Workers take no signals, so that Ctrl-C interrupts the program's own thread; faults stay deliverable, because a blocked
 * one kills the process where the guard of file.h would have mended it. */
static int start_workers(struct threads *t)
{
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = 0;
    for (int i = 1; i < t->n && error == 0; i++) {
        t->workers[i] = (struct worker){.pool = t, .index = i};
        error = pthread_create(&t->workers[i].thread, NULL, worker_main, &t->workers[i]);
        if (error == 0) t->n_started = i;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

/* With more threads than cores nobody spins: a waiting thread would keep the core from one that works. */
enum status ctx_set_threads(struct ctx *c, int n)
{
    int cores = host_cores_usable("");
    if (n == 0) n = cores;
    if (n < 0 || n > THREADS_MAX)
        return ctx_fail(c, E_INPUT, "%d threads: use 1 to %d, or 0 for one a core", n, THREADS_MAX);
    threads_free(c, c->threads);
    c->threads = NULL;
    if (n == 1) return OK;

    struct threads *t = mem_alloc(c, 1, sizeof *t);
    struct worker *workers = mem_alloc(c, (size_t)n, sizeof *workers);
    if (!t || !workers) {
        mem_free(c, t);
        mem_free(c, workers);
        return c->status;
    }
    t->n = n;
    t->workers = workers;
    t->spins = n <= cores ? SPINS : 0;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    pthread_cond_init(&t->done, NULL);
    int error = start_workers(t);
    if (error != 0) {
        threads_free(c, t);
        return ctx_fail(c, E_MEMORY, "cannot start %d threads (%s); fewer need less memory for their stacks", n,
                        strerror(error));
    }
    c->threads = t;
    return OK;
}

int threads_count(const struct ctx *c)
{
    return c->threads ? c->threads->n : 1;
}

static bool threads_is_empty(struct threads *t)
{
    return (atomic_load(&t->word) & (OPEN - 1)) == 0;
}

/* Returns when every worker has left the closed loop: then fn and arg may change. */
static void wait_for_workers(struct threads *t)
{
    for (int i = 0; i < t->spins; i++) {
        if (threads_is_empty(t)) return;
        relax();
    }
    if (threads_is_empty(t)) return;
    pthread_mutex_lock(&t->lock);
    atomic_exchange(&t->waiting, true);
    while (!threads_is_empty(t)) pthread_cond_wait(&t->done, &t->lock);
    atomic_store(&t->waiting, false);
    pthread_mutex_unlock(&t->lock);
}

void threads_idle(struct ctx *c, bool idle)
{
    c->threads_idle = idle;
}

/* Blocks are handed out one by one from an atomic counter, so a slow thread takes fewer of them. Which thread computes a
 * block is chance; what it computes is not. */
void threads_run(struct ctx *c, int64_t n_blocks, void (*fn)(void *arg, int64_t block, int worker), void *arg)
{
    struct threads *t = c->threads;
    if (c->threads_idle) return;
    if (!t || n_blocks <= 1) {
        for (int64_t block = 0; block < n_blocks; block++) fn(arg, block, 0);
        return;
    }
    uint64_t word = atomic_load(&t->word);
    BUG_ON(c, word & OPEN, "threads_run inside threads_run");
    t->fn = fn;
    t->arg = arg;
    t->n_blocks = n_blocks;
    atomic_store(&t->next, 0);
    atomic_exchange(&t->word, (word / LOOP + 1) * LOOP + OPEN);
    wake_workers(t);

    work_caught(t, 0);

    atomic_fetch_and(&t->word, ~OPEN); /* from here nobody joins */
    wait_for_workers(t);
    if (t->panicked) ctx_panic_again(c, t->panic_message);
}
