/* planner: the plan against what a run really takes, the refusal and its advice, and free memory from fake /proc and /sys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "train/support_tiny.h"

static int teardown(void **state)
{
    (void)state;
    tiny_cleanup();
    return 0;
}

/* Planned bytes without the mapped weights and the page cache, over the most that the program ever held. */
static double planned_over_used(int grad_checkpoint, int64_t recomputed)
{
    const char *base = tiny_folder(), *data = strdup(tiny_path("%s/train.jsonl", base));
    char *model = strdup(tiny_path("%s/model", base)), *run = strdup(tiny_path("%s/run", base));
    const char *files[] = {data};
    struct ctx *c = tiny_ctx(1);
    tiny_model(c, model, false);
    tiny_rows(data, 400, 1);
    struct train_config k = tiny_config(model, run, files, NULL);
    k.rows.max_length = 512;
    k.packs.batch = 8;
    k.packs.accumulation = 1;
    k.max_steps = 2;
    k.grad_checkpoint = grad_checkpoint;
    k.recomputed_blocks = recomputed;
    struct trainer *t = trainer_new(c, &k, NULL, "{}\n");
    if (!t) fail_msg("%s", c->message);
    double planned = (double)(t->plan.total - t->plan.bytes[PLAN_WEIGHTS] - t->plan.bytes[PLAN_SAVE]);
    c->alloc_peak = c->alloc_bytes;
    assert_int_equal(trainer_run(t), OK);
    double ratio = planned / (double)c->alloc_peak;
    trainer_free(t);
    tiny_ctx_free(c);
    free(model);
    free(run);
    free((void *)(uintptr_t)data);
    return ratio;
}

static void plan_is_what_a_run_takes(void **state)
{
    (void)state;
    double off = planned_over_used(PLAN_CHECKPOINT_OFF, -1), on = planned_over_used(PLAN_CHECKPOINT_ON, -1);
    double all = planned_over_used(PLAN_CHECKPOINT_OFF, 2);
    print_message("planned / used: %.3f, with recomputation %.3f, of the last block too %.3f\n", off, on, all);
    assert_true(off > 0.95 && off < 1.3);
    assert_true(on > 0.95 && on < 1.3);
    assert_true(all > 0.95 && all < 1.3);
}

/* A 1-billion-parameter model on paper. */
static const struct model_config big = {.n_layers = 16,
                                        .hidden = 2048,
                                        .n_heads = 32,
                                        .n_kv_heads = 8,
                                        .head_dim = 64,
                                        .ffn = 8192,
                                        .vocab = 128256,
                                        .max_positions = 8192};

/* Every block that is computed again saves the same, one less does not fit; the last block is never one of them, and a
 * number of the user's own stands. */
static void as_few_blocks_as_fit(const struct plan_input *given, const struct plan *plain)
{
    struct plan_input in = *given;
    size_t before = plain->total, step = 0;
    for (int64_t n = 1; n < big.n_layers; n++) {
        struct plan p = plan_make(&in, before - 1);
        assert_int_equal(p.recomputed_blocks, n);
        assert_true(p.total < before);
        if (n > 1) assert_in_range(before - p.total, step - step / 100, step + step / 100);
        step = before - p.total;
        before = p.total;
    }
    assert_true(before < plain->total / 2);
    assert_int_equal(plan_make(&in, 0).recomputed_blocks, big.n_layers - 1);
    in.checkpoint = PLAN_CHECKPOINT_ON;
    assert_int_equal(plan_make(&in, SIZE_MAX).recomputed_blocks, big.n_layers - 1);
    in.recomputed_blocks = 5;
    assert_int_equal(plan_make(&in, SIZE_MAX).recomputed_blocks, 5);
    in.recomputed_blocks = 1000;
    assert_int_equal(plan_make(&in, SIZE_MAX).recomputed_blocks, big.n_layers);
    assert_true(plan_make(&in, SIZE_MAX).total == before); /* the last block comes back when all else is kept */
}

static void refusal_names_what_helps(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(1);
    struct lora_config config = {.rank = 16, .alpha = 16, .targets = 0x7f};
    struct lora *lora = lora_new(c, &big, &config);
    struct plan_input in = {.model = &big,
                            .lora = lora,
                            .parameters = lora_parameter_count(lora),
                            .weights_bytes = (size_t)2 << 30,
                            .longest_tokens = 8192,
                            .checkpoint = PLAN_CHECKPOINT_OFF,
                            .recomputed_blocks = -1,
                            .batch = 4,
                            .max_length = 2048,
                            .rank = 16};
    struct plan plan = plan_make(&in, (size_t)4 << 30);
    assert_int_equal(plan.recomputed_blocks, 0);
    assert_int_equal(plan_check(c, &in, &plan), E_FIT);
    assert_int_equal(status_exit_code(c->status), 3);
    assert_non_null(strstr(c->message, "4.00 free"));
    assert_non_null(strstr(c->message, "--grad-checkpoint on (-"));
    assert_non_null(strstr(c->message, "--batch 2 (-"));
    assert_non_null(strstr(c->message, "--max-length 1024 (-"));
    ctx_clear(c);
    /* auto recomputes when, and only when, that is needed */
    in.checkpoint = PLAN_CHECKPOINT_AUTO;
    struct plan saved = plan_make(&in, plan.total - 1);
    assert_int_equal(saved.recomputed_blocks, 1);
    assert_int_equal(plan_check(c, &in, &saved), OK);
    assert_int_equal(plan_make(&in, plan.total).recomputed_blocks, 0);
    as_few_blocks_as_fit(&in, &plan);
    /* the user's own limit counts when it is less than what is free, and is named when it refuses */
    in.max_bytes = plan.total - 1;
    saved = plan_make(&in, plan.total + 1);
    assert_true(saved.limited && saved.recomputed_blocks == 1 && saved.free_bytes == plan.total - 1);
    assert_int_equal(plan_check(c, &in, &saved), OK);
    in.max_bytes = plan.total + 1;
    assert_true(!plan_make(&in, plan.total).limited && plan_make(&in, SIZE_MAX).recomputed_blocks == 0);
    in.max_bytes = (size_t)3 << 30;
    in.checkpoint = PLAN_CHECKPOINT_OFF;
    saved = plan_make(&in, plan.total);
    assert_int_equal(plan_check(c, &in, &saved), E_FIT);
    assert_non_null(strstr(c->message, "3.00 allowed by --max-memory"));
    ctx_clear(c);
    lora_free(lora);
    tiny_ctx_free(c);
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
    assert_true(plan_free_bytes(root) == SIZE_MAX);
    fake(root, "/proc/meminfo", "MemTotal:       100 kB\nMemFree: 7 kB\nMemAvailable:    9000 kB\n");
    assert_true(plan_free_bytes(root) == 9000 * 1024);
    fake(root, "/proc/self/cgroup", "0::/box/inner\n");
    fake(root, "/sys/fs/cgroup/box/inner/memory.max", "max\n");
    fake(root, "/sys/fs/cgroup/box/inner/memory.current", "5\n");
    assert_true(plan_free_bytes(root) == 9000 * 1024);
    fake(root, "/sys/fs/cgroup/box/memory.max", "8000000\n");
    fake(root, "/sys/fs/cgroup/box/memory.current", "3000000\n");
    assert_true(plan_free_bytes(root) == 5000000);
    fake(root, "/sys/fs/cgroup/box/memory.stat", "anon 1\nfile 2\ninactive_file 1000000\n");
    assert_true(plan_free_bytes(root) == 6000000);
    fake(root, "/proc/self/cgroup", "5:cpu:/a\n4:memory:/job\n");
    fake(root, "/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "700\n");
    fake(root, "/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "900\n");
    assert_true(plan_free_bytes(root) == 0);
    assert_true(plan_free_bytes("") > (size_t)1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_is_what_a_run_takes),
        cmocka_unit_test(refusal_names_what_helps),
        cmocka_unit_test(free_memory_is_the_least_of_all_limits),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
