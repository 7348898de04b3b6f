/* Training on a base in NF4 or int8 is training on the numbers that its codes stand for: losses, gradients and adapters of a
 * few steps are those of a model that holds these numbers in f32, bit for bit, since panels are packed from the same values.
 * Computed in integers they are near that. And the plan counts each byte once. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/llama.h"
#include "support_tiny.h"
#include "engine/engine.h"

enum { STEPS = 5, TOKENS = 40, RANK = 3 };

struct run {
    struct model *model;
    struct lora *lora;
    struct engine *engine;
    double loss[STEPS], norm[STEPS];
    float *unpacked[64]; /* the numbers of the made weights in f32 */
    int n_unpacked;
};

static void open_run(struct ctx *c, struct run *r, const char *path, enum base_type base, enum compute compute,
                     double dropout)
{
    *r = (struct run){.model = model_open_with(c, path, &(struct model_options){.base = base, .compute = compute})};
    if (!r->model) fail_msg("%s", c->message);
    struct lora_config config = {.rank = RANK, .alpha = 6, .targets = LORA_ALL, .seed = 4};
    config.dropout = dropout;
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

/* Puts the numbers of `made` into w as plain f32 rows. */
static void unpack_weight(struct run *r, const struct weight *made, struct weight *w)
{
    float *rows = malloc((size_t)(w->rows * w->cols) * sizeof *rows);
    assert_non_null(rows);
    assert_true(made->form != WEIGHT_STORED);
    for (int64_t i = 0; i < w->rows; i++) weight_row_f32(made, i, rows + i * w->cols);
    w->type = TENSOR_F32;
    w->data = r->unpacked[r->n_unpacked++] = rows;
    w->row_bytes = (size_t)w->cols * sizeof *rows;
    w->row_map = NULL;
}

static void unpack(struct run *r, const struct model *from)
{
    for (int64_t layer = 0; layer < from->config.n_layers; layer++)
        for (int p = 0; p < LORA_SEPARATE_PLACES; p++)
            unpack_weight(r, llama_block_linear(&from->blocks[layer], (enum lora_place)p),
                          llama_block_linear(&r->model->blocks[layer], (enum lora_place)p));
    if (from->head.form == WEIGHT_STORED) return;
    unpack_weight(r, &from->head, &r->model->head); /* tied */
    r->model->embed = r->model->head;
}

/* Steps [0, steps), or with steps 0 the gradient of step 0 alone. */
static void train_steps(struct run *r, int steps, int64_t recomputed_blocks)
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
    for (int step = 0; step < (steps ? steps : 1); step++) {
        const struct engine_micro micro = {
            .step = step + 1, .count = 1, .inv_n = 1.0 / (TOKENS - 2), .recomputed_blocks = recomputed_blocks};
        const struct engine_update update = {.step = step + 1,
                                             .threshold = INFINITY,
                                             .lr = steps ? 1e-2 : 0,
                                             .beta1 = 0.9,
                                             .beta2 = 0.999,
                                             .eps = 1e-8,
                                             .correction1 = 1,
                                             .correction2 = 1};
        struct engine_result result;
        assert_int_equal(r->engine->ops->step(r->engine, &b, &micro), OK);
        assert_int_equal(r->engine->ops->update(r->engine, &update), OK);
        assert_int_equal(r->engine->ops->result(r->engine, step + 1, &result, NULL), OK);
        r->loss[step] = result.loss.weighted;
        r->norm[step] = result.norm;
    }
}

static void train(struct run *r, int64_t recomputed_blocks)
{
    train_steps(r, STEPS, recomputed_blocks);
}

static void same_run(const struct run *a, const struct run *b)
{
    assert_memory_equal(a->loss, b->loss, sizeof a->loss);
    assert_memory_equal(a->norm, b->norm, sizeof a->norm);
    for (size_t i = 0; i < a->engine->parameters->n; i++) {
        float *x = tiny_values(a->engine, ENGINE_PARAMETERS, i), *y = tiny_values(b->engine, ENGINE_PARAMETERS, i);
        assert_memory_equal(x, y, (size_t)tiny_size(a->engine, i) * sizeof *x);
        free(x);
        free(y);
    }
}

static void codes_train_as_their_numbers(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(2);
    const char *dir = tiny_folder();
    tiny_model(c, dir, false);
    for (int base = BASE_NF4; base < BASE_TYPES; base++) {
        struct run codes, numbers, plain, again;
        open_run(c, &codes, dir, (enum base_type)base, COMPUTE_F32, 0);
        open_run(c, &numbers, dir, BASE_AS_IS, COMPUTE_F32, 0);
        open_run(c, &plain, dir, BASE_AS_IS, COMPUTE_F32, 0);
        unpack(&numbers, codes.model);
        train(&codes, 0);
        train(&numbers, 0);
        train(&plain, 0);
        same_run(&codes, &numbers);
        assert_true(codes.loss[STEPS - 1] < codes.loss[0] * 0.99);
        assert_true(codes.loss[0] != plain.loss[0]); /* or the base was in no other form */
        open_run(c, &again, dir, (enum base_type)base, COMPUTE_F32, 0);
        train(&again, INT64_MAX); /* recomputed blocks */
        same_run(&codes, &again);
        close_run(&again);
        close_run(&codes);
        close_run(&numbers);
        close_run(&plain);
    }
    tiny_ctx_free(c);
    tiny_cleanup();
}

/* The gradient of an adapter whose B is not 0, so that A has one too. */
static void gradient(struct run *r)
{
    uint32_t x = 1;
    for (size_t i = 1; i < r->engine->parameters->n; i += 2) {
        float *b = tiny_values(r->engine, ENGINE_PARAMETERS, i);
        for (int64_t k = 0; k < tiny_size(r->engine, i); k++) {
            x = x * 1664525u + 1013904223u;
            b[k] = ((float)(x >> 8) / (1 << 23) - 1.0f) * 0.1f;
        }
        assert_int_equal(r->engine->ops->write(r->engine, ENGINE_PARAMETERS, i, b), OK);
        free(b);
    }
    train_steps(r, 0, 0);
}

static double cosine(const struct run *a, const struct run *b)
{
    double dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < a->engine->parameters->n; i++) {
        float *x = tiny_values(a->engine, ENGINE_GRADIENTS, i), *y = tiny_values(b->engine, ENGINE_GRADIENTS, i);
        for (int64_t k = 0; k < tiny_size(a->engine, i); k++) {
            double u = x[k], v = y[k];
            dot += u * v;
            aa += u * u;
            bb += v * v;
        }
        free(x);
        free(y);
    }
    return dot / sqrt(aa * bb);
}

/* Loss and gradient, without dropout and with it, which lets the operands through another way; and blocks that are
 * recomputed give the same bytes in integers too. */
static void integers_are_near_f32(void **state)
{
    (void)state;
    static const struct {
        double loss, cosine;
    } limits[COMPUTES] = {[COMPUTE_INT8X2] = {1e-4, 0.9999}, [COMPUTE_INT8] = {1e-2, 0.99}};
    struct ctx *c = tiny_ctx(2);
    const char *dir = tiny_folder();
    tiny_model(c, dir, false);
    for (int i = 0; i < 4; i++) {
        enum compute compute = i < 2 ? COMPUTE_INT8X2 : COMPUTE_INT8;
        double dropout = i % 2 ? 0.2 : 0;
        struct run f32, integers, again;
        open_run(c, &f32, dir, BASE_INT8, COMPUTE_F32, dropout);
        open_run(c, &integers, dir, BASE_AS_IS, compute, dropout);
        gradient(&f32);
        gradient(&integers);
        double change = fabs(integers.loss[0] / f32.loss[0] - 1), same = cosine(&integers, &f32);
        print_message("%s, dropout %g: loss %.2g, cosine %.8f\n", compute_name[compute], dropout, change, same);
        if (!(change < limits[compute].loss && same > limits[compute].cosine))
            fail_msg("%s, dropout %g: loss %g, cosine %g", compute_name[compute], dropout, change, same);
        assert_true(same < 1 - 1e-12); /* or nothing was computed in integers */
        close_run(&integers);
        open_run(c, &integers, dir, BASE_AS_IS, compute, dropout);
        open_run(c, &again, dir, BASE_INT8, compute, dropout);
        train(&integers, 0);
        train(&again, INT64_MAX);
        same_run(&integers, &again);
        close_run(&again);
        close_run(&integers);
        close_run(&f32);
    }
    tiny_ctx_free(c);
    tiny_cleanup();
}

/* Made weights are memory of ours: counted as weights, not again with the program. */
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
    size_t made[BASE_TYPES];
    for (int base = 0; base < BASE_TYPES; base++) {
        char run[128];
        strcpy(run, tiny_path("%s/run-%d", dir, base));
        struct train_config config = tiny_config(model, run, data, NULL);
        config.form.base = base;
        struct trainer *t = trainer_new(c, &config, NULL, "{}");
        if (!t) fail_msg("%s", c->message);
        assert_int_equal(t->plan.bytes[PLAN_WEIGHTS], model_weight_bytes(t->model));
        made[base] = model_made_bytes(t->model);
        trainer_free(t);
    }
    assert_true(made[BASE_AS_IS] == 0 && made[BASE_NF4] > 20000 && made[BASE_INT8] > 2 * made[BASE_NF4]);
    tiny_ctx_free(c);
    tiny_cleanup();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_train_as_their_numbers),
        cmocka_unit_test(integers_are_near_f32),
        cmocka_unit_test(the_plan_counts_them_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
