/* planner: the plan against what a run really takes, the refusal and its advice, and free memory from fake /proc and /sys.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "train/support_tiny.h"

static int teardown(void **state)
{
    (void)state;
    tiny_cleanup();
    return 0;
}

/* The plan of a run on the small model, and what the process holds when it is done: the step pool gives nothing back, so
 * that is the peak but for what saving took meanwhile. */
struct plan_case {
    int grad_checkpoint;
    int64_t recomputed;
    bool packing; /* without it micro-batches of many lengths share one set of blocks */
    bool bits;    /* in bf16, of two long documents and many of one to four tokens */
};

/* Two documents that fill a sequence, one more token each than any sequence of the short ones has. */
static void write_bits(const char *path)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 2; i++) fprintf(f, "{\"text\": \"%0511d\"}\n", i);
    for (int i = 0; i < 1600; i++) fprintf(f, "{\"text\": \"%.*s\"}\n", 1 + i % 3, "abc");
    fclose(f);
}

/* No micro-batch of the epoch that is open may need more than the plan has for a step. */
static void check_every_batch(const struct trainer *t)
{
    for (int64_t step = 0; step < pack_steps(t->pack); step++)
        for (int64_t micro = 0; micro < pack_micro_batches(t->pack, step); micro++) {
            struct batch b;
            struct engine_need need = {0};
            assert_int_equal(pack_batch(t->pack, step, micro, &b), OK);
            assert_int_equal(
                t->engine->ops->count(t->engine, &b, t->plan.recomputed_blocks, t->plan.offloaded_blocks, &need), OK);
            size_t slack = t->plan.bytes[PLAN_STEP] / 1000 + 2 * 4096; /* size classes, and pages at the ends of blocks */
            if (need.touched_bytes > t->plan.bytes[PLAN_STEP] + slack)
                fail_msg("%lld tokens in %d segments need %zu bytes, and %zu are planned", (long long)b.n, b.n_seg,
                         need.touched_bytes, t->plan.bytes[PLAN_STEP]);
        }
}

static void check_plan(const struct plan_case *how)
{
    const char *base = tiny_folder(), *data = strdup(tiny_path("%s/train.jsonl", base));
    char *model = strdup(tiny_path("%s/model", base)), *run = strdup(tiny_path("%s/run", base));
    const char *files[] = {data};
    struct ctx *c = tiny_ctx(1);
    tiny_model(c, model, false);
    how->bits ? write_bits(data) : tiny_rows(data, 400, 1);
    struct train_config k = tiny_config(model, run, files, NULL);
    k.rows.max_length = 512;
    k.packs.batch = how->bits ? 1 : 16;
    if (how->bits) k.form.compute = COMPUTE_BF16;
    k.packs.accumulation = 1;
    k.packs.packing = how->packing;
    k.max_steps = how->bits ? 10 : 4;
    k.grad_checkpoint = how->grad_checkpoint;
    k.recomputed_blocks = how->recomputed;
    struct trainer *t = trainer_new(c, &k, NULL, "{}\n");
    if (!t) fail_msg("%s", c->message);
    double planned = (double)(t->plan.total - t->plan.bytes[PLAN_WEIGHTS]);
    check_every_batch(t);
    assert_int_equal(trainer_run(t), OK);
    assert_int_equal(t->plan.lays_out, how->bits); /* this machine has memory for twice a small model */
    assert_int_equal(t->model->blocks[0].q.laid_out[WEIGHT_FOR_DX] != NULL, how->bits);
    double used = (double)plan_used_bytes("");
    print_message("planned %.1f MiB, used %.1f MiB\n", planned / (1 << 20), used / (1 << 20));
    assert_true(t->plan.bytes[PLAN_STEP] > 1 << 20 && array_pool_stats(c).held_bytes <= t->plan.held_step_bytes);
    assert_true(used <= planned && planned - used <= fmax(0.05 * used, 8 << 20));
    trainer_free(t);
    tiny_ctx_free(c);
    free(model);
    free(run);
    free((void *)(uintptr_t)data);
}

static void plan_is_what_a_run_takes(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* a sanitizer's own memory is far more than the program's; the release build judges */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    skip();
#endif
#endif
    static const struct plan_case cases[] = {{PLAN_CHECKPOINT_OFF, -1, true, false},
                                             {PLAN_CHECKPOINT_ON, -1, true, false},
                                             {PLAN_CHECKPOINT_OFF, 2, true, false},
                                             {PLAN_CHECKPOINT_OFF, -1, false, false},
                                             {PLAN_CHECKPOINT_OFF, -1, true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int how = 0;
        pid_t child = fork(); /* what an earlier run left in the C library's heap would count as this one's */
        assert_true(child >= 0);
        if (child == 0) {
            check_plan(&cases[i]);
            tiny_cleanup();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
}

/* A model of 16 blocks on paper: each that is kept takes 64 MiB, each that is recomputed 4, on the
 * device or in the host's memory. */
enum { BLOCKS = 16 };

static enum status count_paper(void *user, int64_t recomputed, int64_t offloaded, struct plan_step *out)
{
    int *calls = user;
    ++*calls;
    out->touched = ((size_t)(BLOCKS - recomputed) * 64 + (size_t)(recomputed - offloaded) * 4) << 20;
    out->held = out->touched + 1;
    out->aside = (size_t)offloaded * 4 << 20;
    return OK;
}

static enum status count_failing(void *user, int64_t recomputed, int64_t offloaded, struct plan_step *out)
{
    (void)recomputed, (void)offloaded;
    *out = (struct plan_step){0};
    return ctx_fail(user, E_MEMORY, "no");
}

/* As count_paper, where the system has address space only for steps with nine blocks or more recomputed. */
struct refusing {
    struct ctx *c;
    int calls;
};
static enum status count_refused(void *user, int64_t recomputed, int64_t offloaded, struct plan_step *out)
{
    struct refusing *r = user;
    *out = (struct plan_step){0};
    if (recomputed < 9) return ctx_fail(r->c, E_MEMORY, "out of address space");
    return count_paper(&r->calls, recomputed, offloaded, out);
}

static struct plan made(const struct plan_input *in, size_t free_bytes)
{
    struct plan p;
    assert_int_equal(plan_make(in, free_bytes, &p), OK);
    return p;
}

/* Every block that is recomputed saves the same, one less does not fit; the last block is never one of them, and a number of
 * the user's own stands. */
static void as_few_blocks_as_fit(const struct plan_input *given, const struct plan *plain)
{
    struct plan_input in = *given;
    size_t before = plain->total, step = (size_t)60 << 20;
    for (int64_t n = 1; n < BLOCKS; n++) {
        struct plan p = made(&in, before - 1);
        assert_int_equal(p.recomputed_blocks, n);
        assert_int_equal(before - p.total, step);
        assert_int_equal(p.held_step_bytes, p.bytes[PLAN_STEP] + 1);
        before = p.total;
    }
    *(int *)in.user = 0;
    assert_int_equal(made(&in, 0).recomputed_blocks, BLOCKS - 1);
    assert_true(*(int *)in.user <= 6); /* found by halving */
    in.checkpoint = PLAN_CHECKPOINT_ON;
    assert_int_equal(made(&in, SIZE_MAX).recomputed_blocks, BLOCKS - 1);
    in.recomputed_blocks = 5;
    assert_int_equal(made(&in, SIZE_MAX).recomputed_blocks, 5);
    in.recomputed_blocks = 1000;
    assert_int_equal(made(&in, SIZE_MAX).recomputed_blocks, BLOCKS);
}

/* On a device with memory of its own the inputs of as few recomputed blocks as fit go to the host's; what that has not is
 * refused. Every block saves 4 MiB. */
static void as_few_inputs_as_fit_are_offloaded(const struct plan_input *given)
{
    struct ctx *c = tiny_ctx(1);
    struct plan_input in = *given;
    in.offloads = true;
    in.host_bytes = (size_t)20 << 20;
    in.checkpoint = PLAN_CHECKPOINT_AUTO;
    struct plan all = made(&in, SIZE_MAX), p;
    assert_int_equal(all.offloaded_blocks, 0);
    in.checkpoint = PLAN_CHECKPOINT_ON;
    all = made(&in, SIZE_MAX);
    for (int n = 0; n < BLOCKS; n++) {
        p = made(&in, all.total - ((size_t)n * 4 << 20));
        assert_int_equal(p.recomputed_blocks, BLOCKS - 1);
        assert_int_equal(p.offloaded_blocks, n);
        assert_int_equal(p.aside_bytes, (size_t)n * 4 << 20);
        assert_int_equal(plan_check(c, &in, &p), n > 5 ? E_FIT : OK);
        if (n > 5) assert_non_null(strstr(c->message, "the host's memory"));
        ctx_clear(c);
    }
    p = made(&in, 0);
    assert_int_equal(p.offloaded_blocks, BLOCKS - 1);
    assert_int_equal(plan_check(c, &in, &p), E_FIT);
    in.checkpoint = PLAN_CHECKPOINT_OFF; /* nothing is recomputed, so nothing is put aside */
    assert_int_equal(made(&in, 0).offloaded_blocks, 0);
    in.offloads = false;
    in.checkpoint = PLAN_CHECKPOINT_ON;
    assert_int_equal(made(&in, 0).offloaded_blocks, 0);
    ctx_clear(c);
    tiny_ctx_free(c);
}

/* Laying the base out only saves time: it is planned where all takes half of the free memory at most, and where nothing is
 * recomputed to save memory; what is free but unknown is not counted on. */
static void base_is_laid_out_where_memory_is_plenty(void **state)
{
    (void)state;
    int calls = 0;
    struct plan_input in = {.count = count_paper,
                            .user = &calls,
                            .n_blocks = BLOCKS,
                            .weights_bytes = (size_t)1 << 30,
                            .layout_bytes = (size_t)2 << 30,
                            .recomputed_blocks = -1};
    size_t without = ((size_t)1 << 30) + ((size_t)BLOCKS * 64 << 20), with = without + in.layout_bytes;
    struct plan p = made(&in, 2 * with);
    assert_true(p.lays_out && p.fits && p.total == with && p.bytes[PLAN_LAYOUT] == in.layout_bytes);
    p = made(&in, 2 * with - 2);
    assert_true(!p.lays_out && p.fits && p.total == without && p.bytes[PLAN_LAYOUT] == 0);
    assert_false(made(&in, SIZE_MAX).lays_out);
    in.max_bytes = 2 * with;
    assert_true(made(&in, SIZE_MAX).lays_out);
    in.checkpoint = PLAN_CHECKPOINT_ON;
    assert_false(made(&in, SIZE_MAX).lays_out);
    in.checkpoint = PLAN_CHECKPOINT_AUTO;
    in.layout_bytes = 0;
    assert_false(made(&in, SIZE_MAX).lays_out);
}

static void refusal_names_what_helps(void **state)
{
    (void)state;
    int calls = 0;
    struct ctx *c = tiny_ctx(1);
    struct plan_input in = {.count = count_paper,
                            .user = &calls,
                            .n_blocks = BLOCKS,
                            .parameters = 20 << 20,
                            .weights_bytes = (size_t)2 << 30,
                            .program_bytes = 50 << 20,
                            .checkpoint = PLAN_CHECKPOINT_OFF,
                            .recomputed_blocks = -1,
                            .batch = 4,
                            .max_length = 2048,
                            .rank = 16};
    struct plan plan = made(&in, (size_t)3 << 30);
    assert_int_equal(plan.recomputed_blocks, 0);
    assert_int_equal(plan.total, ((size_t)2048 + 4 * 80 + BLOCKS * 64 + 50) << 20);
    assert_int_equal(plan_check(c, &in, &plan), E_FIT);
    assert_int_equal(status_exit_code(c->status), 3);
    assert_non_null(strstr(c->message, "3.00 free"));
    assert_non_null(strstr(c->message, "--grad-checkpoint on (-0.88)"));
    assert_non_null(strstr(c->message, "--batch 2 (-0.50)"));
    assert_non_null(strstr(c->message, "--max-length 1024 (-0.50)"));
    ctx_clear(c);
    /* auto recomputes when, and only when, that is needed */
    in.checkpoint = PLAN_CHECKPOINT_AUTO;
    struct plan saved = made(&in, plan.total - 1);
    assert_int_equal(saved.recomputed_blocks, 1);
    assert_int_equal(plan_check(c, &in, &saved), OK);
    assert_int_equal(made(&in, plan.total).recomputed_blocks, 0);
    as_few_blocks_as_fit(&in, &plan);
    as_few_inputs_as_fit_are_offloaded(&in);
    /* the user's own limit counts when it is less than what is free, and is named when it refuses */
    in.max_bytes = plan.total - 1;
    saved = made(&in, plan.total + 1);
    assert_true(saved.limited && saved.recomputed_blocks == 1 && saved.free_bytes == plan.total - 1);
    assert_int_equal(plan_check(c, &in, &saved), OK);
    in.max_bytes = plan.total + 1;
    assert_true(!made(&in, plan.total).limited && made(&in, SIZE_MAX).recomputed_blocks == 0);
    /* where passes over memory are dear, nothing at all is made again as long as that fits */
    in.keeps_all = true;
    in.max_bytes = 0;
    assert_int_equal(made(&in, SIZE_MAX).recomputed_blocks, -1);
    assert_int_equal(made(&in, plan.total).recomputed_blocks, 0);
    assert_int_equal(made(&in, plan.total - 1).recomputed_blocks, 1);
    assert_int_equal(made(&in, 0).recomputed_blocks, BLOCKS - 1);
    in.n_blocks = 0; /* none to recompute: keeping less is still tried */
    assert_int_equal(made(&in, plan.total).recomputed_blocks, 0);
    in.n_blocks = BLOCKS;
    in.keeps_all = false;
    in.max_bytes = (size_t)3 << 30;
    in.checkpoint = PLAN_CHECKPOINT_OFF;
    saved = made(&in, plan.total);
    assert_int_equal(plan_check(c, &in, &saved), E_FIT);
    assert_non_null(strstr(c->message, "3.00 allowed by --max-memory"));
    ctx_clear(c);
    in.count = count_failing;
    in.user = c;
    assert_int_equal(plan_make(&in, SIZE_MAX, &saved), E_MEMORY);
    tiny_ctx_free(c);
}

/* AUTO goes on where the system refuses a step's address space; what no number of blocks makes possible is a failure. */
static void refused_address_space_is_a_step_that_does_not_fit(void **state)
{
    (void)state;
    struct refusing r = {.c = tiny_ctx(1)};
    struct plan plan;
    struct plan_input in = {.count = count_refused, .user = &r, .c = r.c, .n_blocks = BLOCKS, .recomputed_blocks = -1};
    assert_int_equal(plan_make(&in, SIZE_MAX, &plan), OK);
    assert_true(ctx_ok(r.c) && plan.fits && plan.recomputed_blocks == 9);
    in.checkpoint = PLAN_CHECKPOINT_OFF;
    assert_int_equal(plan_make(&in, SIZE_MAX, &plan), E_MEMORY);
    ctx_clear(r.c);
    in.checkpoint = PLAN_CHECKPOINT_AUTO;
    in.n_blocks = 8;
    assert_int_equal(plan_make(&in, SIZE_MAX, &plan), E_MEMORY);
    tiny_ctx_free(r.c);
}

static void fake(const char *root, const char *path, const char *text)
{
    struct ctx *c = ctx_new(NULL);
    char *full = strdup(tiny_path("%s%s", root, path));
    *strrchr(full, '/') = '\0';
    assert_int_equal(dir_make(c, full), OK);
    tiny_write(tiny_path("%s%s", root, path), text);
    free(full);
    ctx_free(c);
}

static void free_memory_is_the_least_of_all_limits(void **state)
{
    (void)state;
    const char *root = tiny_folder();
    assert_true(plan_free_bytes(root, 0) == SIZE_MAX);
    fake(root, "/proc/meminfo", "MemTotal:       100 kB\nMemFree: 7 kB\nMemAvailable:    9000 kB\n");
    assert_true(plan_free_bytes(root, 0) == 9000 * 1024);
    fake(root, "/proc/self/cgroup", "0::/box/inner\n");
    fake(root, "/sys/fs/cgroup/box/inner/memory.max", "max\n");
    fake(root, "/sys/fs/cgroup/box/inner/memory.current", "5\n");
    assert_true(plan_free_bytes(root, 0) == 9000 * 1024);
    fake(root, "/sys/fs/cgroup/box/memory.max", "8000000\n");
    fake(root, "/sys/fs/cgroup/box/memory.current", "3000000\n");
    assert_true(plan_free_bytes(root, 0) == 5000000);
    fake(root, "/sys/fs/cgroup/box/memory.stat", "anon 1\nfile 2\ninactive_file 1000000\n");
    assert_true(plan_free_bytes(root, 0) == 6000000);
    fake(root, "/proc/self/cgroup", "5:cpu:/a\n4:memory:/job\n");
    fake(root, "/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "700\n");
    fake(root, "/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "900\n");
    assert_true(plan_free_bytes(root, 0) == 0);
    assert_true(plan_free_bytes("", 0) > (size_t)1 << 20);
}

/* A soft limit so high that this process, and a sanitizer's shadow of it, lives on under it; it has almost as much by the
 * numbers that are faked. */
enum { LIMIT_KIB_BITS = 40 };

static size_t free_under(int limit, const char *root, size_t mapped)
{
    struct rlimit before, low;
    assert_int_equal(getrlimit(limit, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)1 << (LIMIT_KIB_BITS + 10);
    assert_int_equal(setrlimit(limit, &low), 0);
    size_t bytes = plan_free_bytes(root, mapped);
    assert_int_equal(setrlimit(limit, &before), 0);
    return bytes;
}

/* ulimit -v and -d: the least of all, and of address space what is mapped and planned is not counted as taken. */
static void limits_of_the_process(void **state)
{
    (void)state;
    char status[256];
    const char *root = tiny_path("%s/limits", tiny_folder());
    fake(root, "/proc/meminfo", "MemAvailable:    9000 kB\n");
    assert_true(free_under(RLIMIT_AS, root, 0) == 9000 * 1024); /* nothing is told of the process */
    snprintf(status, sizeof status, "VmSize:\t%lld kB\nRssAnon:\t 50 kB\nVmData:\t%lld kB\n", (1LL << LIMIT_KIB_BITS) - 3000,
             (1LL << LIMIT_KIB_BITS) - 2000);
    fake(root, "/proc/self/status", status);
    assert_true(plan_free_bytes(root, 0) == 9000 * 1024);
    assert_true(free_under(RLIMIT_AS, root, 0) == 3000 * 1024);
    assert_true(free_under(RLIMIT_AS, root, 1000) == 3000 * 1024 + 1000);
    assert_true(free_under(RLIMIT_AS, root, 1 << 30) == 9000 * 1024);
    assert_true(free_under(RLIMIT_DATA, root, 1000) == 2000 * 1024);
    assert_true(plan_room_bytes(root, 0) == 9050 * 1024);
    snprintf(status, sizeof status, "VmSize:\t%lld kB\n", (1LL << LIMIT_KIB_BITS) + 1);
    fake(root, "/proc/self/status", status);
    assert_true(free_under(RLIMIT_AS, root, 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_is_what_a_run_takes),
        cmocka_unit_test(base_is_laid_out_where_memory_is_plenty),
        cmocka_unit_test(refusal_names_what_helps),
        cmocka_unit_test(refused_address_space_is_a_step_that_does_not_fit),
        cmocka_unit_test(free_memory_is_the_least_of_all_limits),
        cmocka_unit_test(limits_of_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
