/* Training on a 4-bit base is training on the numbers that its codes stand for: losses, gradients and adapters of a few
 * steps are those of a model that holds these numbers in f32, bit for bit, since panels are packed from the same values. And
 * the plan counts each byte once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/llama.h"
#include "support_tiny.h"
#include "train/engine.h"

enum { STEPS = 5, TOKENS = 40, RANK = 3 };

struct run {
    struct model *model;
    struct lora *lora;
    struct engine *engine;
    double loss[STEPS], norm[STEPS];
    float *unpacked[64]; /* the numbers of the linears in f32 */
    int n_unpacked;
};

static void open_run(struct ctx *c, struct run *r, const char *path, enum base_type base)
{
    *r = (struct run){.model = model_open_with(c, path, &(struct model_options){.base = base})};
    if (!r->model) fail_msg("%s", c->message);
    const struct lora_config config = {.rank = RANK, .alpha = 6, .targets = (1u << LORA_PLACES) - 1, .seed = 4};
    r->lora = lora_new(c, &r->model->config, &config);
    assert_non_null(r->lora);
    model_attach_lora(r->model, r->lora);
    r->engine = engine_native_new(c, r->model, r->lora);
    assert_non_null(r->engine);
}

static void close_run(struct run *r)
{
    r->engine->ops->free(r->engine);
    model_attach_lora(r->model, NULL);
    lora_free(r->lora);
    model_free(r->model);
    for (int i = 0; i < r->n_unpacked; i++) free(r->unpacked[i]);
}

/* Puts the numbers of `from` into the linears of r as plain f32 rows. */
static void unpack(struct run *r, const struct model *from)
{
    for (int64_t layer = 0; layer < from->config.n_layers; layer++)
        for (int p = 0; p < LORA_PLACES; p++) {
            const struct weight *codes = llama_block_linear(&from->blocks[layer], (enum lora_place)p);
            struct weight *w = llama_block_linear(&r->model->blocks[layer], (enum lora_place)p);
            float *rows = malloc((size_t)(w->rows * w->cols) * sizeof *rows);
            assert_non_null(rows);
            assert_int_equal(codes->form, WEIGHT_NF4);
            for (int64_t i = 0; i < w->rows; i++) weight_row_f32(codes, i, rows + i * w->cols);
            w->type = TENSOR_F32;
            w->data = r->unpacked[r->n_unpacked++] = rows;
            w->row_bytes = (size_t)w->cols * sizeof *rows;
            w->row_map = NULL;
        }
}

static void train(struct run *r, int64_t recomputed_blocks)
{
    int32_t tokens[TOKENS], positions[TOKENS], targets[TOKENS];
    float weights[TOKENS];
    const int32_t cu[3] = {0, 17, TOKENS};
    for (int i = 0; i < TOKENS; i++) {
        tokens[i] = (i * 7919 + 3) % TINY_VOCAB;
        targets[i] = ((i + 1) * 7919 + 3) % TINY_VOCAB;
        positions[i] = i < cu[1] ? i : i - cu[1];
        weights[i] = i + 1 == cu[1] || i + 1 == TOKENS ? 0.0f : 1.0f;
    }
    const struct batch b = {TOKENS, tokens, positions, 2, cu, targets, weights, 0};
    for (int step = 0; step < STEPS; step++) {
        const struct engine_step_options o = {
            .inv_n = 1.0 / (TOKENS - 2), .step = step, .recomputed_blocks = recomputed_blocks};
        struct adamw_params adamw = {.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .grad_scale = 1};
        struct engine_loss loss;
        adamw.correction1 = adamw.correction2 = 1;
        r->engine->ops->zero_grad(r->engine);
        assert_int_equal(r->engine->ops->step(r->engine, &b, &o, &loss), OK);
        r->loss[step] = loss.weighted;
        r->norm[step] = r->engine->ops->grad_norm(r->engine);
        assert_int_equal(r->engine->ops->update(r->engine, &adamw), OK);
    }
}

static void same_run(const struct run *a, const struct run *b)
{
    assert_memory_equal(a->loss, b->loss, sizeof a->loss);
    assert_memory_equal(a->norm, b->norm, sizeof a->norm);
    for (size_t i = 0; i < a->engine->n_params; i++) {
        const struct array *x = engine_param(a->engine, i), *y = engine_param(b->engine, i);
        assert_memory_equal(x->data, y->data, (size_t)array_size(x) * sizeof(float));
    }
}

static void codes_train_as_their_numbers(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(2);
    const char *dir = tiny_folder();
    tiny_model(c, dir, false);
    struct run codes, numbers, plain;
    open_run(c, &codes, dir, BASE_NF4);
    open_run(c, &numbers, dir, BASE_AS_IS);
    open_run(c, &plain, dir, BASE_AS_IS);
    unpack(&numbers, codes.model);
    train(&codes, 0);
    train(&numbers, 0);
    train(&plain, 0);
    same_run(&codes, &numbers);
    assert_true(codes.loss[STEPS - 1] < codes.loss[0] * 0.99);
    assert_true(codes.loss[0] != plain.loss[0]); /* or the base was not in 4 bits */
    struct run again;
    open_run(c, &again, dir, BASE_NF4);
    train(&again, INT64_MAX); /* all blocks computed again */
    same_run(&codes, &again);
    close_run(&again);
    close_run(&codes);
    close_run(&numbers);
    close_run(&plain);
    tiny_ctx_free(c);
    tiny_cleanup();
}

/* The linears are memory of ours: counted as weights, not again with the program. */
static void the_plan_counts_them_once(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(1);
    const char *dir = tiny_folder();
    char model[128], rows[128];
    strcpy(model, tiny_path("%s/model", dir));
    strcpy(rows, tiny_path("%s/rows.jsonl", dir));
    tiny_model(c, model, false);
    tiny_rows(rows, 20, 1);
    const char *const data[] = {rows};
    size_t program[BASE_TYPES], made[BASE_TYPES];
    for (int base = 0; base < BASE_TYPES; base++) {
        char run[128];
        strcpy(run, tiny_path("%s/run-%d", dir, base));
        struct train_config config = tiny_config(model, run, data, NULL);
        config.base = base;
        struct trainer *t = trainer_new(c, &config, NULL, "{}");
        if (!t) fail_msg("%s", c->message);
        assert_int_equal(t->plan.bytes[PLAN_WEIGHTS], model_weight_bytes(t->model));
        program[base] = t->plan.bytes[PLAN_PROGRAM];
        made[base] = model_made_bytes(t->model);
        trainer_free(t);
    }
    assert_true(made[BASE_AS_IS] == 0 && made[BASE_NF4] > 20000);
    size_t more = program[BASE_NF4] > program[BASE_AS_IS] ? program[BASE_NF4] - program[BASE_AS_IS] : 0;
    if (more > 2000) fail_msg("the program grew by %zu bytes beside %zu of codes", more, made[BASE_NF4]);
    tiny_ctx_free(c);
    tiny_cleanup();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_train_as_their_numbers),
        cmocka_unit_test(the_plan_counts_them_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
