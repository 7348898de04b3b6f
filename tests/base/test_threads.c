/* threads: every block runs exactly once for any number of threads, all of them take part, and a panic inside a block
 * reaches the calling thread. */
#include "support_base.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/threads.h"

enum { BLOCKS = 1000 };

struct job {
    atomic_int times[BLOCKS];
    atomic_int bad_worker;
    int n_workers;
    double part[BLOCKS];
};

static void visit(void *arg, int64_t block, int worker)
{
    struct job *j = arg;
    atomic_fetch_add(&j->times[block], 1);
    if (worker < 0 || worker >= j->n_workers) atomic_store(&j->bad_worker, 1);
    double sum = 0;
    for (int i = 1; i < 50; i++) sum += 1.0 / (double)(block * 50 + i);
    j->part[block] = sum;
}

static double run(struct ctx *c, struct job *j, int64_t n_blocks)
{
    memset(j, 0, sizeof *j);
    j->n_workers = threads_count(c);
    threads_run(c, n_blocks, visit, j);
    double total = 0;
    for (int64_t b = 0; b < BLOCKS; b++) {
        assert_int_equal(j->times[b], b < n_blocks ? 1 : 0);
        total += j->part[b];
    }
    assert_int_equal(j->bad_worker, 0);
    return total;
}

static void every_block_once_for_any_number_of_threads(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 3, 7};
    static struct job j;
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(threads_count(c), 1);
    double expected = run(c, &j, BLOCKS); /* no pool at all */
    for (int k = 0; k < 4; k++) {
        assert_int_equal(ctx_set_threads(c, counts[k]), OK);
        assert_int_equal(threads_count(c), counts[k]);
        for (int rep = 0; rep < 200; rep++) assert_true(run(c, &j, BLOCKS) == expected);
        for (int64_t n = 0; n < 20; n++) run(c, &j, n);
    }
    ctx_free(c);
}

/* Loops of a few microseconds whose blocks all take the same time. */
enum { SHORT_BLOCKS = 12, SHORT_LOOPS = 50000 };
struct short_loop {
    int n_additions;
    struct {
        _Alignas(128) volatile double sum; /* a cache line of its own */
    } block[SHORT_BLOCKS];
};

static void add_some(void *arg, int64_t block, int worker)
{
    (void)worker;
    struct short_loop *l = arg;
    for (int i = 0; i < l->n_additions; i++) l->block[block].sum = l->block[block].sum + 1;
}

/* With more threads than cores, whoever finds nothing to do sleeps at once, so each of these loops is a chance to miss a
 * wake-up. A lost one shows as a test that does not end: on AArch64 under QEMU, with plain stores in threads.c, every second
 * time, and only as the first test of the program, while QEMU still translates. */
static void no_wake_up_is_lost(void **state)
{
    (void)state;
    static struct short_loop l;
    double sum = 0;
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(ctx_set_threads(c, 0), OK);
    assert_int_equal(ctx_set_threads(c, threads_count(c) + 1), OK);
    for (int i = 0; i < SHORT_LOOPS; i++) {
        sum += l.n_additions = i * 7 % 200;
        threads_run(c, SHORT_BLOCKS, add_some, &l);
    }
    for (int block = 0; block < SHORT_BLOCKS; block++) assert_true(l.block[block].sum == sum);
    ctx_free(c);
}

/* All threads must take part: each block waits until every worker has one. */
static void wait_for_all(void *arg, int64_t block, int worker)
{
    (void)block;
    (void)worker;
    pthread_barrier_wait(arg);
}

static void the_caller_and_all_workers_take_part(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(ctx_set_threads(c, 5), OK);
    for (int rep = 0; rep < 20; rep++) {
        pthread_barrier_t barrier;
        pthread_barrier_init(&barrier, NULL, 5);
        threads_run(c, 5, wait_for_all, &barrier);
        pthread_barrier_destroy(&barrier);
    }
    ctx_free(c);
}

/* The barrier makes sure that the workers do get a block each. */
struct mask_job {
    pthread_barrier_t barrier;
    atomic_int wrong;
};

static void signal_mask(void *arg, int64_t block, int worker)
{
    (void)block;
    struct mask_job *j = arg;
    sigset_t set;
    pthread_barrier_wait(&j->barrier);
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    if (worker != 0 && (!sigismember(&set, SIGINT) || sigismember(&set, SIGBUS))) atomic_store(&j->wrong, 1);
}

static void workers_leave_signals_to_the_program(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct mask_job j = {.wrong = 0};
    pthread_barrier_init(&j.barrier, NULL, 3);
    assert_int_equal(ctx_set_threads(c, 3), OK);
    threads_run(c, 3, signal_mask, &j);
    assert_int_equal(j.wrong, 0);
    pthread_barrier_destroy(&j.barrier);
    ctx_free(c);
}

static void counts_are_checked(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(ctx_set_threads(c, 0), OK);
    assert_true(threads_count(c) >= 1);
    assert_int_equal(ctx_set_threads(c, -1), E_INPUT);
    assert_failed(c, E_INPUT, "-1 threads");
    assert_int_equal(ctx_set_threads(c, 1 << 20), E_INPUT);
    assert_failed(c, E_INPUT, "1048576 threads");
    ctx_free(c);
}

static void no_memory_for_a_pool(void **state)
{
    (void)state;
    for (long n = 1; n < 3; n++) {
        struct oom oom = {.fail_at = n};
        struct ctx *c = oom_ctx(&oom);
        assert_int_equal(ctx_set_threads(c, 2), E_MEMORY);
        assert_int_equal(threads_count(c), 1);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
    }
}

/* ---- panics ----------------------------------------------------------------------------------------------------------- */

static jmp_buf after_panic;
static pthread_t panicked_on;
static char panic_text[256];

static void leave_by_jump(void *user, const char *message)
{
    (void)user;
    panicked_on = pthread_self();
    snprintf(panic_text, sizeof panic_text, "%s", message);
    longjmp(after_panic, 1);
}

struct broken {
    pthread_t caller;
    bool on_worker; /* only a block that a worker has taken breaks */
    atomic_int inside;
};

static void break_down(void *arg, int64_t block, int worker)
{
    struct broken *b = arg;
    atomic_fetch_add(&b->inside, 1);
    if (b->on_worker ? worker > 0 : block == 17) {
        atomic_fetch_sub(&b->inside, 1);
        BUG_ON(NULL, true, "planted in a block of %s", worker > 0 ? "a worker" : "the caller");
    }
    if (b->on_worker) usleep(100); /* so that workers wake up before the blocks are gone */
    atomic_fetch_sub(&b->inside, 1);
}

/* Runs what breaks; the message is in panic_text then. */
static __attribute__((noinline)) void run_broken(struct ctx *c, struct broken *b)
{
    panic_text[0] = '\0';
    if (setjmp(after_panic) == 0) {
        threads_run(c, 2000, break_down, b);
        fail_msg("the panic was lost");
    }
}

/* Whatever thread a block breaks on, the hook runs on the caller's and may leave by longjmp; nobody is at work then, and
 * ctx_free gives back everything, memory that nobody else will free included. */
static void panics_are_carried_to_the_caller(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        struct oom oom = {.fail_at = -1};
        struct ctx *c = ctx_new(&(struct ctx_hooks){.alloc = oom_alloc, .user = &oom, .panic = leave_by_jump});
        struct broken b = {.caller = pthread_self(), .on_worker = i % 2};
        assert_int_equal(ctx_set_threads(c, i % 3 + 2), OK);
        assert_non_null(mem_alloc(c, 10, 10));
        assert_non_null(mem_alloc_aligned(c, 1000));
        run_broken(c, &b);
        assert_true(pthread_equal(panicked_on, b.caller));
        assert_non_null(strstr(panic_text, "planted in a block of"));
        if (b.on_worker) assert_non_null(strstr(panic_text, "a worker"));
        assert_int_equal(b.inside, 0);
        assert_true(c->panicked && c->status == E_BUG);
        ctx_clear(c); /* does not help */
        assert_int_equal(ctx_fail(c, E_IO, "another failure"), E_IO);
        assert_non_null(strstr(c->message, "The ctx can only be freed now"));
        assert_string_equal(status_name(c->status), "bug");
        ctx_free(c);
        assert_int_equal(oom.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(every_block_once_for_any_number_of_threads),
        cmocka_unit_test(the_caller_and_all_workers_take_part),
        cmocka_unit_test(workers_leave_signals_to_the_program),
        cmocka_unit_test(counts_are_checked),
        cmocka_unit_test(no_memory_for_a_pool),
        cmocka_unit_test(panics_are_carried_to_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
