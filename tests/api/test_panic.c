/* A fault of the library inside a host that lives on: it is found on a worker thread while text is generated or a model is
 * trained, the host's hook leaves by longjmp, the ctx accepts nothing but its free call, and that gives back memory, files,
 * mappings and the run's lock. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/threads.h"
#include "support_oom.h"
#include "train/support_tiny.h"
#include "your_ai_array.h"

#define OPTIONS(...) (const ya_option[]){__VA_ARGS__}, sizeof((const ya_option[]){__VA_ARGS__}) / sizeof(ya_option)

static struct tiny_files tiny;
static const char *run_dir;

struct host {
    struct oom oom; /* first: it is the user of the allocator */
    jmp_buf back;
    ya_ctx *ctx;
    char message[256];
    int steps;
};

static void *host_alloc(void *user, void *old, size_t bytes)
{
    return oom_alloc(&((struct host *)user)->oom, old, bytes);
}

static void host_panic(void *user, const char *message)
{
    struct host *h = user;
    snprintf(h->message, sizeof h->message, "%s", message);
    longjmp(h->back, 1);
}

static void open_host(struct host *h)
{
    *h = (struct host){.oom = {.fail_at = -1}};
    h->ctx = ya_ctx_new(&(ya_hooks){.user = h, .alloc = host_alloc, .panic = host_panic});
    assert_non_null(h->ctx);
    assert_int_equal(ya_ctx_set_threads(h->ctx, 3), 0);
}

/* Breaks in a block that a worker has taken, in the middle of whatever the ctx is at. */
static void break_on_worker(void *arg, int64_t block, int worker)
{
    (void)arg;
    BUG_ON(NULL, worker > 0, "planted in block %d", (int)block);
    usleep(100);
}

static void break_library(struct host *h)
{
    threads_run(h->ctx->c, 5000, break_on_worker, NULL);
    fail_msg("no worker took a block of 5000");
}

static int break_at_token(void *user, int32_t id, const char *text, size_t n_bytes)
{
    (void)id;
    (void)text;
    (void)n_bytes;
    break_library(user);
    return 0;
}

static void break_at_step(void *user, const ya_progress *p)
{
    struct host *h = user;
    (void)p;
    if (++h->steps == 2) break_library(h);
}

/* ---- what must be given back -------------------------------------------------------------------------------------- */

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static bool is_mapped(const char *path)
{
    char line[4096];
    bool found = false;
    FILE *f = fopen("/proc/self/maps", "re");
    while (fgets(line, sizeof line, f)) found = found || strstr(line, path);
    fclose(f);
    return found;
}

static void assert_dead(struct host *h, ya_model *m, ya_training *t, ya_array *a)
{
    ya_ctx *ctx = h->ctx;
    int32_t id = 97;
    float logits[TINY_VOCAB];
    double value;
    assert_non_null(strstr(h->message, "planted in block"));
    for (int i = 0; i < 2; i++) {
        assert_string_equal(ya_error_kind(ctx), "bug");
        assert_non_null(strstr(ya_error(ctx), "planted in block"));
        assert_non_null(strstr(ya_error(ctx), "can only be freed"));
        ya_error_clear(ctx);
    }
    assert_null(ya_model_open(ctx, tiny.model, NULL, 0));
    assert_null(ya_training_start(ctx, NULL, 0, NULL));
    assert_null(ya_training_resume(ctx, run_dir, NULL, 0, NULL));
    assert_null(ya_objective_new(ctx, NULL, 0));
    assert_null(ya_from_f32(ctx, 1));
    assert_int_equal(ya_ctx_set_threads(ctx, 1), -1);
    assert_int_equal(ya_logits(m, &id, 1, logits), -1);
    assert_int_equal(ya_tokenize(m, "a", 1, 0, &id, 1), -1);
    assert_int_equal(ya_generate(m, &id, 1, NULL, NULL, NULL, NULL, 0, NULL), -1);
    assert_int_equal(ya_model_vocab(m), -1);
    assert_int_equal(ya_training_run(t), -1);
    assert_int_equal(ya_training_step(t), -1);
    assert_int_equal(ya_ndim(a), -1);
    assert_int_equal(ya_item_f64(a, &value), -1);
    assert_null(ya_add(a, a));
    ya_array_free(a); /* these do nothing */
    ya_training_free(t);
    ya_model_free(m);
    assert_string_equal(ya_error_kind(ctx), "bug");
}

static void assert_given_back(struct host *h, int files)
{
    ya_ctx_free(h->ctx);
    assert_int_equal(h->oom.live, 0);
    assert_int_equal(open_files(), files);
    assert_false(is_mapped(tiny.model));
}

/* ---- tests -------------------------------------------------------------------------------------------------------- */

/* Not inlined: a function that calls setjmp shares no variables with what it returns to. */
static __attribute__((noinline)) void generate_until_broken(struct host *h, ya_model *m)
{
    if (setjmp(h->back) != 0) return;
    ya_generate(m, &(int32_t){97}, 1, NULL, break_at_token, h, NULL, 0, NULL);
    fail_msg("the generation went on");
}

static __attribute__((noinline)) void train_until_broken(struct host *h, ya_training *t)
{
    if (setjmp(h->back) != 0) return;
    ya_training_run(t);
    fail_msg("the training went on");
}

static void a_generation_breaks(void **state)
{
    (void)state;
    static struct host h;
    int files = open_files();
    open_host(&h);
    ya_model *m = ya_model_open(h.ctx, tiny.model, NULL, 0);
    ya_adapter *adapter = ya_adapter_new(m, OPTIONS({"rank", "2"}));
    ya_array *a = ya_from_f32(h.ctx, 1);
    assert_int_equal(ya_model_attach(m, adapter), 0);
    assert_true(is_mapped(tiny.model));
    generate_until_broken(&h, m);
    assert_dead(&h, m, NULL, a);
    assert_given_back(&h, files);
}

static void a_training_breaks_and_its_run_can_be_resumed(void **state)
{
    (void)state;
    static struct host h;
    int files = open_files();
    open_host(&h);
    ya_training_hooks hooks = {.user = &h, .step = break_at_step};
    ya_training *t =
        ya_training_start(h.ctx,
                          OPTIONS({"model", tiny.model}, {"data", tiny.rows}, {"output", run_dir}, {"rank", "4"},
                                  {"max-length", "48"}, {"batch", "2"}, {"max-steps", "3"}, {"save-every", "1"}),
                          &hooks);
    if (!t) fail_msg("%s", ya_error(h.ctx));
    train_until_broken(&h, t);
    assert_dead(&h, NULL, t, NULL);
    assert_given_back(&h, files);

    ya_ctx *ctx = ya_ctx_new(NULL);
    t = ya_training_resume(ctx, run_dir, NULL, 0, NULL);
    if (!t || ya_training_run(t) != 0) fail_msg("%s", ya_error(ctx));
    assert_int_equal(ya_training_step(t), 3);
    ya_ctx_free(ctx);
    assert_int_equal(open_files(), files);
}

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 40, 0);
    run_dir = tiny_keep(&tiny, "run");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_generation_breaks),
        cmocka_unit_test(a_training_breaks_and_its_run_can_be_resumed),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
