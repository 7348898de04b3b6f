/* plan_model: what is planned from shapes alone is what the planner says of a run on such a model; and the table of known
 * models has the sizes that are published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array/backend.h"
#include "array/env.h"
#include "base/file.h"
#include "model/random_model.h"
#include "train/plan_model.h"
#include "train/support_tiny.h"

enum { BATCH = 3, LENGTH = 96, PATH_BYTES = 4096 };

static int plan_model_teardown(void **state)
{
    (void)state;
    tiny_cleanup();
    return 0;
}

static const struct known_model *shape_of(const char *name)
{
    int at = known_model_find(name);
    if (at < 0) fail_msg("no model %s", name);
    return &known_models[at];
}

/* A run whose micro-batches are full. The configuration points to the paths, so they outlive it. */
static struct trainer *full_run(struct ctx *c, const struct known_model *m, const struct model_options *form, bool partly)
{
    static char data[PATH_BYTES], model[PATH_BYTES], run[PATH_BYTES];
    static const char *const files[] = {data};
    const char *base = tiny_folder();
    snprintf(data, sizeof data, "%s/train.jsonl", base);
    snprintf(model, sizeof model, "%s/model", base);
    snprintf(run, sizeof run, "%s/run", base);
    assert_int_equal(random_model_write(c, model, &(struct random_model){.shape = m, .seed = 1}), OK);
    FILE *f = fopen(data, "w");
    for (int i = 0; i < 12; i++) fprintf(f, "{\"text\": \"%0*d\"}\n", 4 * LENGTH, i);
    fclose(f);
    struct train_config k = tiny_config(model, run, files, NULL);
    k.rows.max_length = LENGTH;
    k.packs.batch = BATCH;
    k.packs.accumulation = 1;
    k.form = *form;
    k.adapter.dropout = 0;
    k.recomputed_blocks = -1;
    if (partly) { /* few target modules in the last layer, and all that can be recomputed is */
        k.targets = "q_proj,v_proj";
        k.adapter.last_layers = 1;
        k.grad_checkpoint = PLAN_CHECKPOINT_ON;
    }
    struct trainer *t = trainer_new(c, &k, NULL, "{}\n");
    if (!t) fail_msg("%s", c->message);
    return t;
}

static void as_a_run(const char *name, const struct model_options *form, bool partly)
{
    struct ctx *c = tiny_ctx(2);
    const struct known_model *m = shape_of(name);
    struct plan plan;
    int64_t parameters = 0;
    struct trainer *t = full_run(c, m, form, partly);
    struct plan_model p = {.model = m,
                           .form = *form,
                           .device = array_backend(c)->device,
                           .batch = BATCH,
                           .length = LENGTH,
                           .rank = t->config.adapter.rank,
                           .targets = t->lora->config.targets,
                           .last_layers = t->config.adapter.last_layers,
                           .checkpoint = t->config.grad_checkpoint,
                           .free_bytes = t->plan.free_bytes,
                           .program_bytes = 1 << 20};
    assert_int_equal(plan_model_make(c, &p, &plan, &parameters), OK);
    assert_int_equal(parameters, lora_parameter_count(t->lora));
    assert_int_equal(plan.recomputed_blocks, t->plan.recomputed_blocks);
    assert_true(plan.bytes[PLAN_PROGRAM] == (1 << 20) + plan_saving_bytes(&t->lora->parameters));
    for (int i = 0; i < PLAN_PROGRAM; i++) {
        double run = (double)t->plan.bytes[i], mine = (double)plan.bytes[i];
        double slack = i == PLAN_STEP ? 0.02 * run : 0; /* the run's documents have dropout keys and a sum of weights */
        if (mine < run - slack || mine > run + slack)
            fail_msg("%s, %s: %g, and %g in a run", name, plan_item_name[i], mine, run);
    }
    trainer_free(t);
    tiny_ctx_free(c);
}

static void shapes_are_planned_as_runs(void **state)
{
    (void)state;
    as_a_run("tiny", &(struct model_options){.compute = COMPUTE_F32}, false);
    as_a_run("tiny", &(struct model_options){.compute = COMPUTE_F32}, true);
    as_a_run("tiny", &(struct model_options){.base = BASE_NF4, .compute = COMPUTE_F32}, false);
    as_a_run("tiny", &(struct model_options){.base = BASE_INT8, .compute = COMPUTE_INT8X2}, false);
}

/* 8 billion parameters are planned without their memory, or the disk for it. */
static void large_models_cost_nothing(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(1);
    struct plan plan;
    int64_t parameters;
    struct plan_model p = {.model = shape_of("llama-3.1-8b"),
                           .form = {.base = BASE_NF4, .compute = COMPUTE_F32},
                           .device = array_backend(c)->device,
                           .batch = 1,
                           .length = 512,
                           .rank = 16,
                           .targets = LORA_ALL,
                           .free_bytes = (size_t)4 << 30};
    const char *place = tiny_path("%s/temporary", tiny_folder());
    char **names = NULL;
    size_t before = plan_used_bytes(""), n_names = 0;
    assert_int_equal(dir_make(c, place), OK);
    setenv("TMPDIR", place, 1);
    assert_int_equal(plan_model_make(c, &p, &plan, &parameters), OK);
    assert_true(plan_used_bytes("") < before + ((size_t)64 << 20));
    assert_int_equal(parameters, 41943040);
    assert_int_equal(plan.recomputed_blocks, 31); /* 4 GiB are not enough, so all that can be recomputed is */
    assert_true(plan.total > plan.free_bytes);
    assert_int_equal(dir_list(c, place, &names, &n_names), OK);
    assert_int_equal(n_names, 0); /* the hollow model is gone */
    dir_list_free(c, names, n_names);
    unsetenv("TMPDIR");
    p.length = 200000;
    assert_int_equal(plan_model_make(c, &p, &plan, &parameters), E_INPUT);
    ctx_clear(c);
    tiny_ctx_free(c);
}

/* As their model cards have them; opened, so that every tensor is where its family has it. */
static void published_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double millions;
    } sizes[] = {{"smollm2-135m", 134.5},  {"smollm2-360m", 361.8}, {"qwen2.5-0.5b", 494.0},       {"qwen3-0.6b", 596.0},
                 {"llama-3.2-1b", 1235.8}, {"qwen3-4b", 4022.5},    {"hermes-mistral-7b", 7241.9}, {"qwen2.5-7b", 7615.6},
                 {"llama-3.1-8b", 8030.3}, {"qwen3-8b", 8190.7},    {"qwen3-32b", 32762.1},        {"hermes-70b", 70553.7}};
    struct ctx *c = tiny_ctx(1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct known_model *m = shape_of(sizes[i].name);
        double have = (double)known_model_parameters(m) / 1e6;
        if (have < sizes[i].millions - 0.1 || have > sizes[i].millions + 0.1) fail_msg("%s: %.1f", m->name, have);
    }
    static const char *const families[] = {"smollm2-360m", "qwen2.5-0.5b", "qwen3-0.6b"};
    for (size_t i = 0; i < 3; i++) {
        const struct random_model hollow = {.shape = shape_of(families[i]), .hollow = true};
        const char *folder = tiny_path("%s/%zu", tiny_folder(), i);
        assert_int_equal(random_model_write(c, folder, &hollow), OK);
        struct model *m = model_open(c, folder);
        if (!m) fail_msg("%s", c->message);
        assert_true(model_weight_bytes(m) == known_model_bytes(hollow.shape));
        model_free(m);
    }
    tiny_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_planned_as_runs),
        cmocka_unit_test(large_models_cost_nothing),
        cmocka_unit_test(published_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, plan_model_teardown);
}
