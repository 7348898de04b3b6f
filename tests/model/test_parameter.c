/* The table of trained parameters: places in a slab, and files of their values: what is written comes back, and a file that
 * does not hold exactly the table is refused by the tensor's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "array/array.h"
#include "backend/backend_open.h"
#include "model/parameter.h"
#include "support_scratch.h"

static struct ctx *open_ctx(void)
{
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(array_env_new(c, backend_open(c, NULL)), OK);
    return c;
}

static void close_ctx(struct ctx *c)
{
    array_env_free(c);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void parameters_have_places_of_their_own(void **state)
{
    (void)state;
    struct ctx *c = open_ctx();
    struct parameters p = {0};
    char name[32];
    int64_t count = 0;
    for (int i = 0; i < 100; i++) { /* more than the first allocation holds */
        snprintf(name, sizeof name, "p%d", i);
        assert_int_equal(parameters_add(c, &p, name, 1 + i % 3, 5), OK);
        count += (1 + i % 3) * 5;
    }
    assert_true(p.n == 100 && p.count == count && p.slab_size >= count && p.slab_size < count + 100 * 16);
    struct array *slab = parameters_slab(c, &p);
    const float values[15] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, zeros[15] = {0};
    float got[15];
    for (size_t i = 0; i < p.n; i++) {
        assert_true(p.list[i].offset % 16 == 0 &&
                    (i == 0 || p.list[i].offset >= p.list[i - 1].offset + p.list[i - 1].rows * 5));
        struct array *view = parameter_view(slab, &p.list[i]);
        assert_int_equal(parameter_read(view, got), OK);
        assert_memory_equal(got, zeros, (size_t)array_size(view) * sizeof *got); /* no other one lies here */
        assert_int_equal(parameter_write(view, values), OK);
        assert_int_equal(parameter_read(view, got), OK);
        assert_memory_equal(got, values, (size_t)array_size(view) * sizeof *got);
        array_release(view);
    }
    array_release(slab);
    parameters_release(c, &p);
    close_ctx(c);
}

/* Two sets of values of two parameters on the host. */
struct store {
    float values[2][2][6];
};

static enum status read_store(void *user, int which, size_t i, float *out)
{
    memcpy(out, ((struct store *)user)->values[which][i], (i ? 6 : 2) * sizeof *out);
    return OK;
}

static enum status write_store(void *user, int which, size_t i, const float *values)
{
    memcpy(((struct store *)user)->values[which][i], values, (i ? 6 : 2) * sizeof *values);
    return OK;
}

static const struct parameter_set sets[2] = {{0, "x.", ".first"}, {1, "", ".second"}};

static void refused(struct ctx *c, const char *path, const struct parameters *p, size_t n_sets, const char *why)
{
    struct store other = {0};
    assert_int_equal(parameters_load(c, path, p->list, p->n, sets, n_sets, write_store, &other), E_INPUT);
    if (!strstr(c->message, why)) fail_msg("\"%s\" does not say \"%s\"", c->message, why);
    ctx_clear(c);
}

static void files_come_back_and_others_are_refused(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct store store = {{{{1, 2}, {3, 4, 5, 6, 7, 8}}, {{-1, -2}, {-3, -4, -5, -6, -7, -8}}}}, back = {0};
    char path[64];
    int fd = mkstemp(scratch_template(path, sizeof path, "parameter"));
    assert_true(fd >= 0);
    close(fd);
    struct parameters p = {0}, renamed = {0}, shaped = {0};
    parameters_add(c, &p, "a", 1, 2);
    parameters_add(c, &p, "b", 2, 3);
    assert_int_equal(parameters_save(c, path, p.list, p.n, sets, 2, read_store, &store), OK);
    assert_int_equal(parameters_load(c, path, p.list, p.n, sets, 2, write_store, &back), OK);
    assert_memory_equal(&store, &back, sizeof store);
    parameters_add(c, &renamed, "a", 1, 2);
    parameters_add(c, &renamed, "c", 2, 3);
    parameters_add(c, &shaped, "a", 1, 2);
    parameters_add(c, &shaped, "b", 3, 2);
    refused(c, path, &renamed, 2, "tensor x.c.first is missing");
    refused(c, path, &shaped, 2, "tensor x.b.first is not F32 of 3 x 2");
    refused(c, path, &p, 1, "has 4 tensors, the run 2");
    unlink(path);
    parameters_release(c, &p);
    parameters_release(c, &renamed);
    parameters_release(c, &shaped);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_have_places_of_their_own),
        cmocka_unit_test(files_come_back_and_others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
