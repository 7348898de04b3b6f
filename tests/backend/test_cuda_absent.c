/* Where the driver or cuBLASLt is missing, opening a card is an answer that names what is missing; the program itself
 * starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"

#ifdef YA_HAVE_CUDA
#include "backend/cuda/cuda_device.h"

static void expect_answer(const char *library, const char *variable)
{
    struct ctx *c = ctx_new(NULL);
    assert_null(cuda_open(c, 0));
    assert_int_equal(c->status, E_UNSUPPORTED);
    assert_non_null(strstr(c->message, library));
    assert_non_null(strstr(c->message, variable));
    ctx_free(c);
}

static void names_a_driver_that_is_not_there(void **state)
{
    (void)state;
    setenv("YA_LIBCUDA", "/nowhere/libcuda.so", 1);
    expect_answer("the NVIDIA driver", "YA_LIBCUDA");
    unsetenv("YA_LIBCUDA");
}

static void names_a_library_that_is_no_driver(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    setenv("YA_LIBCUDA", "libm.so.6", 1);
    setenv("YA_LIBCUBLASLT", "libm.so.6", 1);
    assert_null(cuda_open(c, 0));
    assert_int_equal(c->status, E_UNSUPPORTED);
    assert_non_null(strstr(c->message, "it has no cuInit"));
    unsetenv("YA_LIBCUDA");
    unsetenv("YA_LIBCUBLASLT");
    ctx_free(c);
}

/* With a driver, cuBLASLt is looked for next; without one, the driver is what is missing. Either way no crash. */
static void names_cublaslt(void **state)
{
    (void)state;
    setenv("YA_LIBCUDA", "libm.so.6", 1); /* opens, whatever it is */
    setenv("YA_LIBCUBLASLT", "/nowhere/libcublasLt.so", 1);
    expect_answer("cuBLASLt", "YA_LIBCUBLASLT");
    unsetenv("YA_LIBCUDA");
    unsetenv("YA_LIBCUBLASLT");
}

static void keep_log(void *user, enum log_level level, const char *message)
{
    (void)level;
    strncat(user, message, 1023 - strlen(user));
}

/* auto uses the CPU then, and says why where a driver is installed. */
static void auto_says_why_the_card_is_not_used(void **state)
{
    (void)state;
    char said[1024] = "";
    struct ctx *c = ctx_new(&(struct ctx_hooks){.log = keep_log, .user = said});
    setenv("YA_LIBCUDA", "libm.so.6", 1);
    setenv("YA_LIBCUBLASLT", "/nowhere/libcublasLt.so", 1);
    assert_int_equal(cuda_count(c), 0);
    assert_int_equal(c->status, OK);
    assert_non_null(strstr(said, "device: cpu, although an NVIDIA driver is installed"));
    assert_non_null(strstr(said, "cuBLASLt"));
    said[0] = '\0';
    assert_int_equal(cuda_count(NULL), 0);
    setenv("YA_LIBCUDA", "/nowhere/libcuda.so", 1);
    assert_int_equal(cuda_count(c), 0);
    assert_string_equal(said, "");
    unsetenv("YA_LIBCUDA");
    unsetenv("YA_LIBCUBLASLT");
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_says_why_the_card_is_not_used),
        cmocka_unit_test(names_a_driver_that_is_not_there),
        cmocka_unit_test(names_a_library_that_is_no_driver),
        cmocka_unit_test(names_cublaslt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void left_out(void **state)
{
    (void)state;
    skip(); /* built without CUDA (YA_CUDA) */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(left_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
