/* bench_compute: what computing in integers costs in precision, on a real model and real text.
 *
 * usage: bench_compute MODEL TEXT [BATCH [LENGTH [THREADS]]]: one step of a rank-16 adapter on all linear layers (B noise
 * of 0.02 instead of 0, so that A has a gradient too), BATCH documents of LENGTH tokens from the file TEXT. One JSON
 * object:
 *
 *   step     loss, gradient norm, and cosine and relative size of the difference of the adapter's gradient, all of it and
 *            the worst matrix, with each compute: against f32 on the same int8 base, and against f32 on the file's
 *            own weights.
 *   products relative error of each product alone on the operands of the f32 step, forward (y) and backward (dx), root mean
 *            square and largest over the layers: of int8x2 and int8 against f32 on the same int8 weights, and, to compare
 *            with, of these weights against the file's. outlier: largest over layers and rows of max |x| / rms(x).
 *
 * Products are measured by a backend that stands in front of the CPU's, calls it, and repeats LINEAR, LINEAR_BWD and
 * LINEAR_CROSS_ENTROPY with the other computes into arrays of its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/array.h"
#include "array/backend.h"
#include "backend/backend_open.h"
#include "backend/backend_wrap.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "io/tokenizer/tokenizer.h"
#include "model/llama.h"
#include "engine/engine.h"

enum { RANK = 16, KINDS = 10, VARIANTS = 3 /* int8x2, int8, the weights */ };

/* Products of one kind over all layers. */
struct kind {
    const char *name;
    int calls;
    double squares[VARIANTS], most[VARIANTS], outlier;
};

struct probe {
    struct backend_wrap wrap; /* first, as in backend/profile.h */
    struct model *stored;     /* the weights to compare with */
    struct kind kinds[KINDS];
    int n_kinds;
    bool on;
};

/* `p`, unless it is NULL: then the ctx's message and the end of the program. */
static void *must(struct ctx *c, void *p)
{
    if (p) return p;
    fprintf(stderr, "bench_compute: %s\n", c && !ctx_ok(c) ? c->message : "no memory");
    exit(1);
}

static void check(struct ctx *c)
{
    if (!ctx_ok(c)) must(c, NULL);
}

/* ---- products alone -------------------------------------------------------------------------------------------------- */

/* The sums of a kind of product, by name. */
static struct kind *kind_of(struct probe *p, const char *name)
{
    for (int i = 0; i < p->n_kinds; i++)
        if (strcmp(p->kinds[i].name, name) == 0) return &p->kinds[i];
    if (p->n_kinds == KINDS) abort();
    p->kinds[p->n_kinds].name = name;
    return &p->kinds[p->n_kinds++];
}

/* The weight of the same name in the model whose weights are as stored. */
static const struct weight *stored_weight(const struct probe *p, const struct weight *w)
{
    struct model *m = p->stored;
    if (strcmp(w->name, m->head.name) == 0) return &m->head;
    for (int64_t i = 0; i < m->config.n_layers; i++)
        for (int k = 0; k < LORA_SEPARATE_PLACES; k++) {
            struct weight *s = llama_block_linear(&m->blocks[i], (enum lora_place)k);
            if (strcmp(s->name, w->name) == 0) return s;
        }
    abort();
}

/* max |x| / rms(x) of the worst row. */
static double outlier(const struct array *x)
{
    double worst = 0;
    for (int64_t i = 0; i < x->shape[0]; i++) {
        const float *row = (const float *)x->data + i * x->stride[0];
        double squares = 0, most = 0;
        for (int64_t j = 0; j < x->shape[1]; j++) {
            squares += (double)row[j] * row[j];
            most = fmax(most, fabs((double)row[j]));
        }
        if (squares > 0) worst = fmax(worst, most / sqrt(squares / (double)x->shape[1]));
    }
    return worst;
}

/* ||a - b|| / ||b|| */
static double relative(const struct array *a, const struct array *b)
{
    double d = 0, n = 0;
    const float *x = a->data, *y = b->data;
    for (int64_t i = 0; i < array_size(b); i++) {
        d += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        n += (double)y[i] * y[i];
    }
    return n > 0 ? sqrt(d / n) : 0;
}

/* Which result is measured: y, or dx, which the first layer does not want. */
static int result_of(const struct op_call *call)
{
    return call->op == OP_LINEAR_CROSS_ENTROPY ? 3 : 0;
}

/* The call with other weights and result `out` alone, into an array of ours. Adapters are left out. */
struct repeat {
    struct op_call call;
    struct linear_params linear;
    struct linear_cross_entropy_params loss;
    struct weight w[LINEAR_MAX];
};

/* The result of a call computed again with another compute, or with the weights as stored, in an array of the scope. */
static struct array *repeat(struct ctx *c, struct probe *p, const struct op_call *call, enum compute compute, bool stored)
{
    struct repeat r = {.call = *call};
    bool is_loss = call->op == OP_LINEAR_CROSS_ENTROPY;
    int first_adapter = call->op == OP_LINEAR ? 1 : 2, n = 1;
    if (is_loss) {
        r.loss = *(const struct linear_cross_entropy_params *)call->params;
        r.w[0] = *r.loss.w;
        r.loss.w = &r.w[0];
        r.loss.want_logprobs = false;
        r.call.params = &r.loss;
        r.call.out[2] = NULL;
        r.call.out[0] = array_scalar(c, DTYPE_F32, 0);
        r.call.out[1] = array_zeros(c, DTYPE_F64, 1, (int64_t[]){3});
    } else {
        r.linear = *(const struct linear_params *)call->params;
        n = r.linear.n;
        for (int i = first_adapter; i < OP_MAX_IN; i++) r.call.in[i] = NULL;
        for (int i = 1; i < OP_MAX_OUT; i++) r.call.out[i] = NULL;
        for (int i = 0; i < n; i++) {
            r.w[i] = *r.linear.w[i];
            r.linear.w[i] = &r.w[i];
        }
        for (int i = 0; i < n; i++) r.linear.p[i] = 0;
        r.call.params = &r.linear;
    }
    for (int i = 0; i < n; i++) {
        if (stored) r.w[i] = *stored_weight(p, &r.w[i]);
        r.w[i].compute = compute;
        r.w[i].lora = NULL;
    }
    struct array *result = array_zeros(c, DTYPE_F32, 2, call->out[result_of(call)]->shape);
    check(c);
    r.call.out[result_of(call)] = result;
    if (backend_wrap_run(&p->wrap.backend, &r.call) != OK) must(c, NULL);
    return result;
}

/* Which kind of product a call is, from its weight's name. */
static const char *name_of(const struct op_call *call)
{
    if (call->op == OP_LINEAR_CROSS_ENTROPY) return "head dx";
    const char *name = ((const struct linear_params *)call->params)->w[0]->name;
    bool y = call->op == OP_LINEAR;
    if (strstr(name, "q_proj")) return y ? "q k v" : "q k v dx";
    if (strstr(name, "o_proj")) return y ? "o" : "o dx";
    if (strstr(name, "gate_proj")) return y ? "gate up" : "gate up dx";
    return y ? "down" : "down dx";
}

/* The errors of one call's product with each compute against f32 on the same int8 weights. */
static void measure(struct ctx *c, struct probe *p, const struct op_call *call)
{
    struct kind *k = kind_of(p, name_of(call));
    int mark = scope_open(c);
    const struct array *exact = repeat(c, p, call, COMPUTE_F32, false);
    for (int variant = 0; variant < VARIANTS; variant++) {
        bool weights = variant == VARIANTS - 1;
        const struct array *got =
            repeat(c, p, call, weights ? COMPUTE_F32 : (enum compute)(COMPUTE_INT8X2 + variant), weights);
        double e = weights ? relative(exact, got) : relative(got, exact);
        k->squares[variant] += e * e;
        k->most[variant] = fmax(k->most[variant], e);
    }
    k->outlier = fmax(k->outlier, outlier(call->in[0]));
    k->calls++;
    scope_close(c, mark);
}

/* Runs the call and then, for products, measures it. */
static enum status run_probed(struct backend *b, const struct op_call *call)
{
    struct probe *p = (struct probe *)b;
    enum status status = backend_wrap_run(b, call);
    bool product = call->op == OP_LINEAR || call->op == OP_LINEAR_BWD || call->op == OP_LINEAR_CROSS_ENTROPY;
    if (status == OK && p->on && product && call->out[result_of(call)]) measure(b->c, p, call);
    return status;
}

/* The part "products" of the output. */
static void print_kinds(const struct probe *p)
{
    static const char *const variant[VARIANTS] = {"int8x2", "int8", "int8_weights"};
    for (int i = 0; i < p->n_kinds; i++) {
        const struct kind *k = &p->kinds[i];
        printf("%s\n  {\"product\": \"%s\", \"outlier\": %.1f", i ? "," : "", k->name, k->outlier);
        for (int w = 0; w < VARIANTS; w++)
            printf(", \"%s\": {\"rms\": %.3g, \"most\": %.3g}", variant[w], sqrt(k->squares[w] / k->calls), k->most[w]);
        printf("}");
    }
}

/* ---- the step -------------------------------------------------------------------------------------------------------- */

struct outcome {
    double loss, norm;
    float *grad; /* of all parameters, in the engine's order */
};

/* Changes how all products of the model are computed, without preparing its weights again. */
static void set_compute(struct model *m, enum compute compute)
{
    m->head.compute = compute;
    for (int64_t i = 0; i < m->config.n_layers; i++)
        for (int k = 0; k < LORA_SEPARATE_PLACES; k++)
            llama_block_linear(&m->blocks[i], (enum lora_place)k)->compute = compute;
}

/* Loss, norm and gradient of one step whose update has a learning rate of 0. */
static struct outcome run_step(struct model *m, struct lora *l, const struct batch *b, double n)
{
    struct ctx *c = m->c;
    const struct engine_micro micro = {.step = 1, .count = 1, .inv_n = 1 / n};
    const struct engine_update update = {.step = 1, .threshold = INFINITY, .correction1 = 1, .correction2 = 1}; /* lr 0 */
    struct engine_result result;
    struct outcome r = {.grad = must(c, mem_alloc(c, (size_t)lora_parameter_count(l), sizeof(float)))};
    model_attach_lora(m, l);
    struct engine *e = must(c, engine_native_new(c, m, l));
    if (e->ops->step(e, b, &micro) != OK || e->ops->update(e, &update) != OK || e->ops->result(e, 1, &result, NULL) != OK)
        must(c, NULL);
    r.loss = result.loss.weighted / n;
    r.norm = result.norm;
    float *to = r.grad;
    for (size_t i = 0; i < e->parameters->n; i++) {
        if (e->ops->read(e, ENGINE_GRADIENTS, i, to) != OK) must(c, NULL);
        to += e->parameters->list[i].rows * e->parameters->list[i].cols;
    }
    e->ops->free(e);
    model_attach_lora(m, NULL);
    return r;
}

struct agreement {
    double dot, a, b, d;
};

/* Adds up what cosine and relative difference of two vectors are made of. */
static void agree(struct agreement *s, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double x = a[i], y = b[i];
        s->dot += x * y;
        s->a += x * x;
        s->b += y * y;
        s->d += (x - y) * (x - y);
    }
}

static double cosine(const struct agreement *s)
{
    return s->dot / sqrt(s->a * s->b);
}

/* Cosine and relative difference of two steps' gradients, of all of it and of the matrix that agrees least. */
static void print_agreement(const char *name, const struct lora *l, const struct outcome *a, const struct outcome *b)
{
    struct agreement all = {0};
    double least = 2;
    const struct lora_module *worst = NULL;
    char half = 'A';
    const float *x = a->grad, *y = b->grad;
    for (size_t i = 0; i < 2 * l->n_modules; i++) {
        const struct lora_module *m = &l->modules[i / 2];
        int64_t n = array_size(i % 2 ? m->slot.b : m->slot.a);
        struct agreement one = {0};
        agree(&one, x, y, n);
        agree(&all, x, y, n);
        if (cosine(&one) < least) least = cosine(&one), worst = m, half = i % 2 ? 'B' : 'A';
        x += n;
        y += n;
    }
    printf(",\n   \"%s\": {\"loss_relative\": %.3g, \"norm_relative\": %.3g, \"cosine\": %.8f, \"difference\": %.3g,", name,
           a->loss / b->loss - 1, a->norm / b->norm - 1, cosine(&all), sqrt(all.d / all.b));
    printf(" \"least_cosine\": %.8f, \"of\": \"layer %lld %s %c\"}", least, (long long)worst->layer,
           lora_place_name[worst->place], half);
}

/* ---- text ------------------------------------------------------------------------------------------------------------ */

/* `documents` pieces of `length` tokens; the last token of each has nothing to predict. */
static struct batch read_batch(struct ctx *c, const char *model, const char *path, int64_t documents, int64_t length)
{
    size_t bytes;
    struct ids ids = {0};
    struct tokenizer *t = must(c, tokenizer_open(c, model));
    char *text = must(c, file_read(c, path, 1 << 26, &bytes));
    int64_t n = documents * length;
    if (tokenizer_encode(c, t, text, bytes, false, &ids) != OK) must(c, NULL);
    if ((int64_t)ids.n <= n) {
        fprintf(stderr, "bench_compute: %s has %zu tokens, and %lld are wanted\n", path, ids.n, (long long)n + 1);
        exit(1);
    }
    int32_t *ints = must(c, mem_alloc(c, (size_t)(3 * n + documents + 1), sizeof *ints)), *cu = ints + 3 * n;
    float *weights = must(c, mem_alloc(c, (size_t)n, sizeof *weights));
    for (int64_t i = 0; i < n; i++) {
        ints[i] = ids.data[i];
        ints[n + i] = (int32_t)(i % length);
        ints[2 * n + i] = ids.data[i + 1];
        weights[i] = i % length == length - 1 ? 0.0f : 1.0f;
    }
    for (int64_t i = 0; i <= documents; i++) cu[i] = (int32_t)(i * length);
    ids_release(c, &ids);
    mem_free(c, text);
    tokenizer_free(t);
    return (struct batch){n, ints, ints + n, (int)documents, cu, ints + 2 * n, weights, 0};
}

/* An adapter whose B is noise of 0.02 instead of 0, so that A has a gradient. */
static struct lora *make_adapter(struct ctx *c, const struct model *m)
{
    const struct lora_config config = {.rank = RANK, .alpha = 2 * RANK, .targets = LORA_ALL};
    struct lora *l = must(c, lora_new(c, &m->config, &config));
    uint32_t x = 1;
    for (size_t i = 0; i < l->n_modules; i++) {
        const struct array *b = l->modules[i].slot.b;
        for (int64_t k = 0; k < array_size(b); k++) {
            x = x * 1664525u + 1013904223u;
            ((float *)b->data)[k] = ((float)(x >> 8) / (1 << 23) - 1.0f) * 0.02f;
        }
    }
    return l;
}

/* The whole measurement of one model. */
static void compare(struct ctx *c, struct probe *p, const char *path, const char *text, int64_t documents, int64_t length)
{
    struct model *m = must(c, model_open_with(c, path, &(struct model_options){.base = BASE_INT8}));
    p->stored = must(c, model_open(c, path));
    struct batch b = read_batch(c, path, text, documents, length);
    struct lora *l = make_adapter(c, m);
    double n = (double)(documents * (length - 1));
    struct outcome as_is = run_step(p->stored, l, &b, n), variant[COMPUTES];
    set_compute(p->stored, COMPUTE_BF16);
    struct outcome narrow = run_step(p->stored, l, &b, n);
    set_compute(p->stored, COMPUTE_F32);
    for (int i = 0; i < COMPUTES; i++) {
        set_compute(m, (enum compute)i);
        variant[i] = run_step(m, l, &b, n);
    }
    printf("{\"model\": \"%s\", \"backend\": \"%s\", \"threads\": %d, \"documents\": %lld, \"length\": %lld,\n", m->name,
           p->wrap.backend.name, threads_count(c), (long long)documents, (long long)length);
    printf(" \"step\": [\n  {\"base\": \"as-is\", \"compute\": \"f32\", \"loss\": %.9g, \"grad_norm\": %.9g}", as_is.loss,
           as_is.norm);
    printf(",\n  {\"base\": \"as-is\", \"compute\": \"bf16\", \"loss\": %.9g, \"grad_norm\": %.9g", narrow.loss,
           narrow.norm);
    print_agreement("against_the_file", l, &narrow, &as_is);
    printf("}");
    for (int i = 0; i < COMPUTES; i++) {
        printf(",\n  {\"base\": \"int8\", \"compute\": \"%s\", \"loss\": %.9g, \"grad_norm\": %.9g", compute_name[i],
               variant[i].loss, variant[i].norm);
        if (i != COMPUTE_F32) print_agreement("against_f32_on_int8", l, &variant[i], &variant[COMPUTE_F32]);
        print_agreement("against_the_file", l, &variant[i], &as_is);
        printf("}");
    }
    set_compute(m, COMPUTE_F32);
    p->on = true;
    mem_free(c, run_step(m, l, &b, n).grad);
    printf("],\n \"products\": [");
    print_kinds(p);
    printf("]}\n");
    for (int i = 0; i < COMPUTES; i++) mem_free(c, variant[i].grad);
    mem_free(c, as_is.grad);
    mem_free(c, narrow.grad);
    mem_free(c, (void *)(uintptr_t)b.tokens);
    mem_free(c, (void *)(uintptr_t)b.weights);
    lora_free(l);
    model_free(p->stored);
    model_free(m);
}

int main(int argc, char **argv)
{
    static struct probe p;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_compute MODEL TEXT [BATCH [LENGTH [THREADS]]]\n");
        return 2;
    }
    struct ctx *c = must(NULL, ctx_new(NULL));
    if (ctx_set_threads(c, argc > 5 ? atoi(argv[5]) : 0) != OK) must(c, NULL);
    backend_wrap_init(&p.wrap, must(c, backend_open(c, "cpu")));
    for (int op = 0; op < OP_COUNT; op++)
        if (p.wrap.backend.kernel[op]) p.wrap.backend.kernel[op] = run_probed;
    if (array_env_new(c, &p.wrap.backend) != OK) must(c, NULL);
    compare(c, &p, argv[1], argv[2], argc > 3 ? atoi(argv[3]) : 1, argc > 4 ? atoi(argv[4]) : 256);
    array_env_free(c);
    ctx_free(c);
    return 0;
}
