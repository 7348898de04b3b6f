/* bench_kernels: every kernel of a training step at a model's shapes. Kernels are called through the backend's table, with
 * operands of noise, and the weights are those of block 0 as the file stores them, so that decoding them is in the time.
 * Rounds go over all kernels, so that a disturbance does not fall on one. */
#include "array/array.h"
#include "array/linear_view.h"
#include "base/threads.h"
#include "measure/bench.h"
#include "base/mem.h"
#include "measure/machine.h"

enum status bench_machine_run(struct ctx *c, struct bench *b)
{
    enum { READ_BYTES = 128 << 20 };
    int threads = threads_count(c);
    b->machine = (struct bench_machine){.threads = threads, .fma_one = machine_fma(c, 1), .fma = machine_fma(c, threads)};
    b->machine.int_one = machine_int(c, 1);
    b->machine.integer = machine_int(c, threads);
    b->machine.read = machine_read(c, READ_BYTES);
    return c->status;
}

/* ---- operands -------------------------------------------------------------------------------------------------------- */

/* The calls that are measured, with the parameters that they point to. One entry for each kernel of a step. */
struct list {
    struct ctx *c;
    const struct model *m;
    struct bench *b;
    int64_t n, length, rank; /* tokens, of a document; rank of adapters */
    struct op_call call[BENCH_MAX_KERNELS];
    struct linear_params linear[4];
    int n_linear;
    struct attention_params attention;
    struct linear_cross_entropy_params loss;
};

/* i32 (n): element i is i * step, modulo `modulus` unless that is 0. In the innermost scope. */
static struct array *counted(const struct list *l, int64_t n, int64_t step, int64_t modulus)
{
    int32_t *values = mem_alloc(l->c, (size_t)n, sizeof *values);
    for (int64_t i = 0; values && i < n; i++) values[i] = (int32_t)(modulus ? i * step % modulus : i * step);
    struct array *a = values ? array_from_host(l->c, DTYPE_I32, 1, &n, values) : NULL;
    mem_free(l->c, values);
    return a;
}

/* f32 (rows, columns) in [-0.1, 0.1), always the same (a linear congruential generator with the constants of Numerical
 * Recipes), so that neither zeros nor overflow change what a kernel costs. In the innermost scope; NULL with the failure in
 * the ctx. */
static struct array *noise(const struct list *l, int64_t rows, int64_t columns)
{
    float *values = mem_alloc(l->c, (size_t)(rows * columns), sizeof *values);
    uint32_t x = 12345;
    for (int64_t i = 0; values && i < rows * columns; i++) {
        x = x * 1664525u + 1013904223u;
        values[i] = ((float)(x >> 8) / (1 << 23) - 1.0f) * 0.1f;
    }
    struct array *a = values ? array_from_host(l->c, DTYPE_F32, 2, (int64_t[]){rows, columns}, values) : NULL;
    mem_free(l->c, values);
    return a;
}

/* (n, heads, head_dim) */
static struct array *heads_of(const struct list *l, int64_t n_heads, int64_t d)
{
    struct array *a = noise(l, l->n, n_heads * d);
    return a ? array_view(a, 3, (int64_t[]){l->n, n_heads, d}, (int64_t[]){n_heads * d, d, 1}, 0) : NULL;
}

static struct array *heads(const struct list *l, int64_t n_heads)
{
    return heads_of(l, n_heads, l->m->config.head_dim);
}

/* Columns [first * F, (first + 1) * F) of an array (N, 2 F): gate and up lie side by side, as one LINEAR writes them. */
static struct array *half(const struct list *l, struct array *wide, int64_t first)
{
    int64_t f = l->m->config.ffn;
    return wide ? array_view(wide, 2, (int64_t[]){l->n, f}, (int64_t[]){2 * f, 1}, first * f) : NULL;
}

/* Bytes of a call's inputs and outputs, each once: what has to move through memory at least. */
static double operand_bytes(const struct op_call *call)
{
    double sum = 0;
    for (int i = 0; i < OP_MAX_IN; i++)
        if (call->in[i]) sum += (double)array_size(call->in[i]) * (double)dtype_size(call->in[i]->dtype);
    for (int i = 0; i < OP_MAX_OUT; i++)
        if (call->out[i]) sum += (double)array_size(call->out[i]) * (double)dtype_size(call->out[i]->dtype);
    return sum;
}

/* Bytes of a frozen weight as the backend holds it. */
static double weight_bytes(const struct weight *w)
{
    return (double)w->rows * (double)w->row_bytes;
}

/* Adds a kernel to the list. flops: of one call, a multiplication and an addition are two; times: calls in a step. */
static struct bench_kernel *bench_add_row(struct list *l, const char *name, double flops, int64_t times,
                                          const struct op_call *call)
{
    struct bench *b = l->b;
    BUG_ON(l->c, b->n_kernels >= BENCH_MAX_KERNELS, "%d kernels", b->n_kernels);
    struct bench_kernel *k = &b->kernel[b->n_kernels];
    *k = (struct bench_kernel){.name = name, .flops = flops, .bytes = operand_bytes(call), .times = times, .seconds = 1e30};
    l->call[b->n_kernels++] = *call;
    return k;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

/* Forward and backward of n linear layers with adapters that share x. */
static void add_linear(struct list *l, const char *forward, const char *backward, const struct weight *const *w, int n)
{
    struct linear_params *p = &l->linear[l->n_linear++];
    int64_t total = 0, k = w[0]->cols;
    double flops = 0, grad_flops = 0, bytes = 0;
    *p = (struct linear_params){.n = n, .want_dx = true, .accumulate = true};
    struct op_call y = {.op = OP_LINEAR, .params = p}, d = {.op = OP_LINEAR_BWD, .params = p};
    struct linear_view v = {.x = noise(l, l->n, k), .dx = noise(l, l->n, k)};
    for (int i = 0; i < n; i++) {
        int64_t m = w[i]->rows;
        p->w[i] = w[i];
        p->scale[i] = 2;
        v.slot[i] = (struct linear_view_slot){.a = noise(l, l->rank, k),
                                              .b = noise(l, m, l->rank),
                                              .h = noise(l, l->n, l->rank),
                                              .da = noise(l, l->rank, k),
                                              .db = noise(l, m, l->rank)};
        flops += 2.0 * (double)l->n * ((double)k * (double)m + (double)l->rank * (double)(k + m));
        grad_flops += 2.0 * (double)l->n * (double)l->rank * (double)(k + m);
        bytes += weight_bytes(w[i]);
        total += m;
    }
    v.y = noise(l, l->n, total);
    v.dy = noise(l, l->n, total);
    linear_view_put(&v, &y);
    linear_view_put(&v, &d);
    bench_add_row(l, forward, flops, l->m->config.n_layers, &y)->bytes += bytes;
    bench_add_row(l, backward, flops + grad_flops, l->m->config.n_layers, &d)->bytes += bytes;
}

/* Attention forward and backward. A query of a document of length L sees (L + 1) / 2 keys on average under the causal mask;
 * two products (q k^T and p v) of 2 operations each make the 4 in front. Backward computes five products where forward has
 * two: 2.5. */
static void add_attention(struct list *l, struct array *cu)
{
    const struct model_config *m = &l->m->config;
    l->attention = (struct attention_params){.scale = 0.125, .window = (int)m->sliding_window};
    struct array *q = heads(l, m->n_heads), *k = heads(l, m->n_kv_heads), *v = heads(l, m->n_kv_heads);
    struct array *o = heads(l, m->n_heads), *lse = noise(l, l->n, m->n_heads);
    double seen = (double)(l->length + 1) / 2; /* keys of a query, of the lower triangle */
    if (m->sliding_window > 0 && (double)m->sliding_window < seen) seen = (double)m->sliding_window;
    double flops = 4.0 * (double)l->n * seen * (double)(m->n_heads * m->head_dim);
    bench_add_row(l, "attention", flops, m->n_layers,
                  &(struct op_call){OP_ATTENTION, .in = {q, k, v, cu, cu}, .out = {o, lse}, .params = &l->attention});
    struct op_call d = {OP_ATTENTION_BWD, .in = {q, k, v, o, lse, heads(l, m->n_heads), cu, cu}, .out = {NULL},
                        .params = &l->attention};
    d.out[0] = heads(l, m->n_heads);
    d.out[1] = heads(l, m->n_kv_heads);
    d.out[2] = heads(l, m->n_kv_heads);
    bench_add_row(l, "attention backward", 2.5 * flops, m->n_layers, &d);
}

/* The fused output layer and cross-entropy: logits forward and their gradient back, 2 operations each for every weight. */
static void add_loss(struct list *l)
{
    l->loss = (struct linear_cross_entropy_params){.want_dh = true, .w = &l->m->head};
    struct array *targets = array_zeros(l->c, DTYPE_I32, 1, &l->n), *weights = array_full(l->c, DTYPE_F32, 1, &l->n, 1);
    struct array *loss = array_scalar(l->c, DTYPE_F32, 0), *stats = array_zeros(l->c, DTYPE_F64, 1, (int64_t[]){3});
    int64_t c = l->m->config.hidden;
    struct op_call call = {OP_LINEAR_CROSS_ENTROPY, .in = {noise(l, l->n, c), targets, weights},
                           .out = {loss, stats, NULL, noise(l, l->n, c)}, .params = &l->loss};
    bench_add_row(l, "loss with gradient", 4.0 * (double)l->n * (double)l->m->head.rows * (double)c, 1, &call)->bytes +=
        weight_bytes(&l->m->head);
}

/* Rows that read and write more than they compute. Their operations are counted roughly, since bytes are what
 * limits them. Norms, rotation of q, SwiGLU and the additions of residuals. */
static void add_small(struct list *l)
{
    static const struct rms_norm_params norm = {.eps = 1e-5, .residual = true};
    static const struct rope_params rope = {.scale = 1};
    const struct model_config *m = &l->m->config;
    int64_t n = l->n, c = m->hidden, f = m->ffn, layers = m->n_layers;
    double nc = (double)n * (double)c, nf = (double)n * (double)f;
    struct array *x = noise(l, n, c), *gain = l->m->final_norm, *rstd = array_empty(l->c, DTYPE_F32, 1, &n);
    struct op_call call = {OP_RMS_NORM, .in = {x, gain, noise(l, n, c)}, .out = {noise(l, n, c), noise(l, n, c), rstd},
                           .params = &norm};
    bench_add_row(l, "rms_norm", 6 * nc, 2 * layers, &call);
    call = (struct op_call){OP_RMS_NORM_BWD, .in = {noise(l, n, c), noise(l, n, c), x, gain, rstd}, .out = {noise(l, n, c)},
                            .params = &norm};
    bench_add_row(l, "rms_norm backward", 10 * nc, 2 * layers, &call);

    struct array *positions = counted(l, n, 1, l->length);
    struct array *turned = heads_of(l, m->n_heads, m->rotary_dims), *q = heads_of(l, m->n_heads, m->rotary_dims);
    call = (struct op_call){OP_ROPE, .in = {q, positions, l->m->inv_freq}, .out = {turned}, .params = &rope};
    bench_add_row(l, "rope of q", 3.0 * (double)n * (double)(m->n_heads * m->rotary_dims), 2 * layers, &call);

    struct array *wide = noise(l, n, 2 * f), *dwide = noise(l, n, 2 * f), *y = noise(l, n, f);
    call = (struct op_call){OP_SWIGLU, .in = {half(l, wide, 0), half(l, wide, 1)}, .out = {y}};
    bench_add_row(l, "swiglu", 20 * nf, layers, &call);
    call = (struct op_call){OP_SWIGLU_BWD, .in = {y, half(l, wide, 0), half(l, wide, 1)},
                            .out = {half(l, dwide, 0), half(l, dwide, 1)}};
    bench_add_row(l, "swiglu backward", 25 * nf, layers, &call);
    bench_add_row(l, "add", nc, 3 * layers, &(struct op_call){OP_ADD, .in = {x, noise(l, n, c)}, .out = {noise(l, n, c)}});
}

/* AdamW over all parameters of the adapter, as one flat array: about twelve operations a parameter. */
static void add_update(struct list *l)
{
    static const struct adamw_params adamw = {
        .lr = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .correction1 = 1, .correction2 = 1, .grad_scale = 1};
    int64_t parameters = 0;
    for (int place = 0; place < LORA_PLACES; place++) {
        int64_t out, in;
        if (!lora_place_exists(&l->m->config, (enum lora_place)place)) continue;
        lora_place_shape(&l->m->config, (enum lora_place)place, &out, &in);
        parameters += l->rank * (out + in) * l->m->config.n_layers;
    }
    struct array *v = array_zeros(l->c, DTYPE_F32, 2, (int64_t[]){1, parameters});
    struct array *p = noise(l, 1, parameters), *g = noise(l, 1, parameters), *m = noise(l, 1, parameters);
    struct op_call call = {OP_ADAMW, .in = {p, g, m, v}, .out = {NULL}, .params = &adamw};
    bench_add_row(l, "adamw", 12.0 * (double)parameters, 1, &call);
}

/* All kernels of a step, in the order in which a block runs them. */
static void bench_add_rows(struct list *l, struct array *cu)
{
    const struct llama_block *k = &l->m->blocks[0];
    bool fused = l->m->config.fused_projections;
    const struct weight *qkv[] = {fused ? &k->qkv : &k->q, &k->k, &k->v}, *wide[] = {fused ? &k->gate_up : &k->gate, &k->up};
    add_linear(l, "q, k, v", "q, k, v backward", qkv, fused ? 1 : 3);
    add_linear(l, "o", "o backward", (const struct weight *[]){&k->o}, 1);
    add_linear(l, "gate, up", "gate, up backward", wide, fused ? 1 : 2);
    add_linear(l, "down", "down backward", (const struct weight *[]){&k->down}, 1);
    add_attention(l, cu);
    add_loss(l);
    add_small(l);
    add_update(l);
}

/* Each kernel is called once a round and keeps its fastest time. `wait` is part of the time: on a card the call only queues
 * it. */
static void measure(struct list *l, int64_t runs)
{
    struct bench *b = l->b;
    struct backend *backend = array_backend(l->c);
    for (int64_t run = 0; run < runs; run++)
        for (int i = 0; i < b->n_kernels && ctx_ok(l->c); i++) {
            double start = machine_seconds();
            backend->kernel[l->call[i].op](backend, &l->call[i]);
            backend->wait(backend, backend->mark(backend));
            double seconds = machine_seconds() - start;
            if (seconds < b->kernel[i].seconds) b->kernel[i].seconds = seconds;
        }
}

enum status bench_kernels_run(struct model *m, const struct bench_options *o, struct bench *b)
{
    struct ctx *c = m->c;
    struct list l = {.c = c, .m = m, .b = b, .n = o->documents * o->length, .length = o->length, .rank = o->rank};
    if (o->length > m->config.max_positions)
        return ctx_fail(c, E_INPUT, "documents of %lld tokens: the model's context holds %lld", (long long)o->length,
                        (long long)m->config.max_positions);
    int mark = scope_open(c);
    bench_add_rows(&l, counted(&l, o->documents + 1, o->length, 0));
    if (ctx_ok(c)) measure(&l, o->runs);
    scope_close(c, mark);
    return c->status;
}
