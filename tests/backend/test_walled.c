/* The walled backend: what runs on it gives the CPU's bytes, memory comes back, and a touch of device memory from outside
 * its slots is a segmentation fault, for reading and for writing, of persistent arrays and of step arrays alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "array/op.h"
#include "backend/backend_open.h"

static struct ctx *open_ctx(const char *device)
{
    struct ctx *c = ctx_new(NULL);
    assert_non_null(c);
    if (array_env_new(c, backend_open(c, device)) != OK) fail_msg("%s", c->message);
    return c;
}

static void close_ctx(struct ctx *c)
{
    array_env_free(c);
    ctx_free(c);
}

/* Whether `touch` of the array's first element kills a child process. */
static bool is_fatal(struct array *a, void (*touch)(volatile float *))
{
    int how = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGSEGV, SIG_DFL); /* not cmocka's handler, and no sanitizer's */
        touch(a->data);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFSIGNALED(how) && WTERMSIG(how) == SIGSEGV;
}

static void read_it(volatile float *p)
{
    (void)*p;
}

static void write_it(volatile float *p)
{
    *p = 1;
}

static void test_touches_are_found(void **state)
{
    (void)state;
    const int64_t n = 1000;
    for (int walled = 0; walled < 2; walled++) {
        struct ctx *c = open_ctx(walled ? "walled" : "cpu");
        struct array *kept = array_persistent(c, DTYPE_F32, 1, &n), *step = array_full(c, DTYPE_F32, 1, &n, 1);
        struct array *sum = op_add(c, kept, step); /* the wall was open meanwhile */
        assert_true(is_fatal(kept, read_it) == walled);
        assert_true(is_fatal(step, write_it) == walled);
        assert_true(is_fatal(sum, read_it) == walled);
        array_release(kept);
        close_ctx(c);
    }
}

/* A product large enough for scratch, on one and on three threads. */
static void compute(struct ctx *c, float *out)
{
    const int64_t shape[2] = {130, 130};
    int mark = scope_open(c);
    struct array *a = array_empty(c, DTYPE_F32, 2, shape);
    float values[130 * 130];
    for (int i = 0; i < 130 * 130; i++) values[i] = (float)(i % 17) - 8;
    assert_int_equal(array_upload(a, values, 130 * 130), OK);
    struct array *y = op_exp(c, op_mul(c, op_matmul(c, a, a), array_scalar(c, DTYPE_F32, 1e-3)));
    assert_int_equal(array_to_host(y, DTYPE_F32, out), OK);
    scope_close(c, mark);
}

static void test_same_bytes(void **state)
{
    (void)state;
    static float want[130 * 130], got[130 * 130];
    struct ctx *plain = open_ctx("cpu"), *c = open_ctx("walled");
    compute(plain, want);
    for (int i = 0; i < 3; i++) {
        memset(got, 0, sizeof got);
        compute(c, got);
        assert_memory_equal(got, want, sizeof got);
    }
    struct backend *b = array_backend(c);
    size_t peak = b->stats(b).peak_bytes;
    assert_true(peak >= 3 * sizeof want && b->stats(b).live_bytes <= peak);
    compute(c, got);
    assert_int_equal(b->stats(b).peak_bytes, peak); /* the second time nothing is taken any more */
    close_ctx(plain);
    close_ctx(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_touches_are_found), cmocka_unit_test(test_same_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
