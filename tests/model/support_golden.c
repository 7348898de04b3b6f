/* support_golden: opens a folder of golden values with its model, and compares what is computed with what is stored. */
#include "support_golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/tape.h"
#include "support_host.h"

const struct tensor_view *golden_value(struct golden *g, const char *name)
{
    const struct tensor_view *t = safetensors_find(g->values, name);
    if (!t) fail_msg("%s: golden.safetensors has no \"%s\"", g->family, name);
    return t;
}

void golden_open_with(struct golden *g, struct fixture *f, const char *family, const struct model_options *options)
{
    char path[512];
    memset(g, 0, sizeof *g);
    g->f = f;
    g->family = family;
    snprintf(path, sizeof path, TEST_DATA "/%s", family);
    g->model = model_open_with(f->c, path, options);
    assert_ok(f->c);
    snprintf(path, sizeof path, TEST_DATA "/%s/adapter", family);
    g->lora = lora_load_peft(f->c, &g->model->config, path);
    assert_ok(f->c);
    assert_int_equal(lora_make_gradients(g->lora), OK);
    snprintf(path, sizeof path, TEST_DATA "/%s/golden.safetensors", family);
    g->values = safetensors_open(f->c, path);
    assert_ok(f->c);
    const struct tensor_view *tokens = golden_value(g, "tokens");
    int n = (int)tokens->shape[0];
    assert_int_equal(tokens->type, TENSOR_I32);
    batch_make(&g->batch, g->model->config.vocab, 1, &n, 1);
    memcpy(g->batch.tokens, tokens->data, tokens->bytes);
    for (int i = 0; i + 1 < n; i++) g->batch.targets[i] = g->batch.tokens[i + 1];
}

void golden_open(struct golden *g, struct fixture *f, const char *family)
{
    golden_open_with(g, f, family, &(struct model_options){.base = BASE_AS_IS});
}

void golden_close(struct golden *g)
{
    model_free(g->model);
    lora_free(g->lora);
    safetensors_close(g->values);
}

static void check_logits(struct golden *g, const char *name)
{
    const struct tensor_view *t = golden_value(g, name);
    size_t n = (size_t)(t->shape[0] * t->shape[1]);
    float *ours = malloc(n * sizeof *ours);
    assert_int_equal(t->shape[0], g->batch.batch.n);
    forward_logits(g->model, &g->batch.batch, &(struct forward_options){0}, ours);
    double error = relative_error_f32(ours, t->data, n);
    print_message("%s: %s within %.2g\n", g->family, name, error);
    if (!(error < 1e-4)) fail_msg("%s: %s differ by %g relative", g->family, name, error);
    free(ours);
}

/* The rows that count, with what the loss needs of them. */
static struct array *rows_that_count(const struct golden *g, struct array **targets, struct array **weights)
{
    int32_t rows[64], target[64];
    float weight[64];
    int64_t n = 0;
    for (int64_t i = 0; i < g->batch.batch.n; i++) {
        if (g->batch.weights[i] == 0) continue;
        assert_true(n < 64);
        rows[n] = (int32_t)i;
        target[n] = g->batch.targets[i];
        weight[n++] = g->batch.weights[i];
    }
    assert_true(n > 0 && n < g->batch.batch.n);
    *targets = array_from_host(g->f->c, DTYPE_I32, 1, &n, target);
    *weights = array_from_host(g->f->c, DTYPE_F32, 1, &n, weight);
    return array_from_host(g->f->c, DTYPE_I32, 1, &n, rows);
}

/* The mean loss, and backward into the adapter's gradients; with `some` the last layer sees only the rows that count. */
double golden_train_step_on(struct golden *g, int64_t recomputed_blocks, bool some)
{
    struct ctx *c = g->f->c;
    struct cross_entropy_result result;
    int64_t n = g->batch.batch.n;
    int mark = scope_open(c);
    assert_int_equal(tape_begin(c), OK);
    for (size_t i = 0; i < g->lora->n_modules; i++) {
        tape_watch(c, g->lora->modules[i].slot.a, g->lora->modules[i].grad_a);
        tape_watch(c, g->lora->modules[i].slot.b, g->lora->modules[i].grad_b);
    }
    struct array *targets = array_from_host(c, DTYPE_I32, 1, &n, g->batch.targets);
    struct array *weights = array_from_host(c, DTYPE_F32, 1, &n, g->batch.weights);
    struct forward_options o = {.recomputed_blocks = recomputed_blocks};
    if (some) o.rows = rows_that_count(g, &targets, &weights);
    struct array *h = llama_hidden(g->model, &g->batch.batch, &o);
    assert_ok(c);
    assert_int_equal(h->shape[0], targets->shape[0]);
    op_linear_cross_entropy(c, h, &g->model->head, targets, weights, false, &result);
    assert_ok(c);
    double stats[3];
    array_to_host(result.stats, DTYPE_F64, stats);
    assert_int_equal(tape_backward(c, result.loss, 1 / stats[2]), OK);
    tape_end(c);
    scope_close(c, mark);
    return stats[0] / stats[2];
}

double golden_train_step(struct golden *g, int64_t recomputed_blocks)
{
    return golden_train_step_on(g, recomputed_blocks, false);
}

static void check_gradient(struct golden *g, const struct lora_module *m, const char *half, struct array *grad)
{
    char name[160];
    snprintf(name, sizeof name, "grad.base_model.model.model.layers.%lld.%s.%s.weight", (long long)m->layer,
             lora_place_path[m->place], half);
    const struct tensor_view *t = golden_value(g, name);
    assert_int_equal(t->shape[0], grad->shape[0]);
    assert_int_equal(t->shape[1], grad->shape[1]);
    double error = relative_error_f32(host_f32(grad), t->data, (size_t)(t->shape[0] * t->shape[1]));
    if (!(error < 1e-3)) fail_msg("%s: %s differs by %g relative", g->family, name, error);
}

void golden_check(struct fixture *f, const char *family, size_t n_modules)
{
    struct golden g;
    golden_open(&g, f, family);
    assert_int_equal(g.lora->n_modules, n_modules);
    check_logits(&g, "base_logits");
    model_attach_lora(g.model, g.lora);
    check_logits(&g, "logits");
    double loss = golden_train_step(&g, 0), golden = *(const double *)golden_value(&g, "loss")->data;
    if (!(loss - golden < 1e-4 * golden && golden - loss < 1e-4 * golden)) fail_msg("loss %.9g, not %.9g", loss, golden);
    for (size_t i = 0; i < g.lora->n_modules; i++) {
        check_gradient(&g, &g.lora->modules[i], "lora_A", g.lora->modules[i].grad_a);
        check_gradient(&g, &g.lora->modules[i], "lora_B", g.lora->modules[i].grad_b);
    }
    golden_close(&g);
}
