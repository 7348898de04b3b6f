/* tape: recording, and the backward walk.
 *
 * The tape is a stack of nodes in the order in which their ops ran; backward pops it. A popped node has all of its
 * gradient, because everything that reads its outputs ran later and was popped before. The rule's results go to the nodes
 * that the edges name, and the node with all that it saved is freed at once, so memory falls while backward runs.
 *
 * A checkpointed function is one node. Popping it runs the function again with recording on, which pushes the nodes of its
 * inside onto the same stack, and the walk simply continues with them: their edges lead to older nodes or to leaves, as if
 * they had been recorded in the first place. So gradients have the same bits with and without checkpointing, captured
 * arrays work, and checkpoints nest. Rejected: a tape of its own per checkpoint, which needs copies of leaves and a second
 * sum of their gradients.
 *
 * What a row saves is usually an array. But an input that one cheap pass makes from what its own node saves (AGAIN in
 * ops.def: swiglu, the norm) is saved as that node and made again by the same kernel when backward arrives, before the
 * rule runs: the same bits for less memory. Example: down = linear(swiglu(gate, up)) would keep swiglu's output for dA;
 * since the swiglu node keeps gate and up for its own derivative, its output can be made from them at any time. Rejected:
 * a second backward rule for each pair of rows, which saves the pass and needs a kernel for each pair.
 *
 * Gradients of one array that arrive from several readers are added in place when nobody else can see the sum so far
 * (owned) and into a new array otherwise: a rule may hand the same array, or views of one, to several inputs. */
#include <string.h>

#include "array/backend.h"
#include "array/front.h"

static struct tape *tape_of(const struct ctx *c)
{
    return &c->array_env->tape;
}

/* ---- nodes -------------------------------------------------------------------------------------------------------- */

/* A node with one reference, the tape's. NULL with E_MEMORY. */
static struct node *node_new(struct ctx *c, int kind)
{
    struct node *n = pool_get(c->array_env->host, sizeof *n, NULL);
    if (!n) return NULL;
    memset(n, 0, sizeof *n);
    n->refs = 1;
    n->live = true;
    n->kind = kind;
    n->c = c;
    return n;
}

struct node *node_retain(struct node *n)
{
    n->refs++;
    return n;
}

void node_release(struct node *n)
{
    if (n && --n->refs == 0) pool_put(n->c->array_env->host, n, sizeof *n);
}

/* Releases n arrays and forgets them; entries may be NULL. */
static void release_all(struct array **arrays, int n)
{
    for (int i = 0; i < n; i++) {
        array_release(arrays[i]);
        arrays[i] = NULL;
    }
}

/* The tape is done with the node: everything that it held goes, arrays that still point to it become constants. */
static void node_drop(struct ctx *c, struct node *n)
{
    n->live = false;
    release_all(n->saved_in, OP_MAX_IN);
    release_all(n->saved_out, OP_MAX_OUT);
    release_all(n->grad, OP_MAX_OUT);
    release_all(&n->dy_all, 1);
    mem_free(c, n->arg);
    n->arg = NULL;
    if (n->aside) pool_put(env_aside(c), n->aside, n->aside_bytes);
    n->aside = NULL;
    node_release(n);
}

/* ---- recording ---------------------------------------------------------------------------------------------------- */

enum status tape_begin(struct ctx *c)
{
    struct tape *t = tape_of(c);
    if (!ctx_ok(c)) return c->status;
    BUG_ON(c, t->on, "tape_begin: a tape is recording already");
    t->on = true;
    t->keeps_all = false;
    t->paused = 0;
    return OK;
}

void tape_keep_all(struct ctx *c)
{
    tape_of(c)->keeps_all = true;
}

void tape_end(struct ctx *c)
{
    struct tape *t = tape_of(c);
    BUG_ON(c, !t->on, "tape_end without tape_begin");
    while (t->nodes.n > 0) node_drop(c, t->nodes.at[--t->nodes.n]);
    while (t->leaves.n > 0) {
        struct array *leaf = t->leaves.at[--t->leaves.n];
        node_drop(c, leaf->node);
        leaf->node = NULL;
        array_release(leaf);
    }
    t->on = false;
}

bool tape_recording(const struct ctx *c)
{
    return tape_of(c)->on && tape_of(c)->paused == 0;
}

void tape_pause(struct ctx *c)
{
    tape_of(c)->paused++;
}

void tape_resume(struct ctx *c)
{
    BUG_ON(c, tape_of(c)->paused == 0, "tape_resume without tape_pause");
    tape_of(c)->paused--;
}

enum status tape_watch(struct ctx *c, struct array *a, struct array *grad)
{
    struct tape *t = tape_of(c);
    if (!ctx_ok(c)) return c->status;
    BUG_ON(c, !t->on, "tape_watch outside tape_begin and tape_end");
    BUG_ON(c, a->node && a->node->live, "tape_watch: the array is watched already, or the result of a recorded op");
    BUG_ON(c, !dtype_is_float(a->dtype), "tape_watch: no gradient with respect to %s", dtype_name(a->dtype));
    BUG_ON(c, grad && (grad->dtype != a->dtype || !array_same_shape(grad, a) || !array_is_contiguous(grad)),
           "tape_watch: the gradient must be contiguous and have the array's shape and dtype");
    struct node *n = node_new(c, NODE_LEAF);
    if (!n) return c->status;
    if (pointers_push(c, &t->leaves, a) != OK) {
        node_drop(c, n);
        return c->status;
    }
    n->n_out = 1;
    n->grad[0] = array_retain(grad);
    n->grad_is_callers = grad != NULL;
    node_release(a->node); /* a dead one of an earlier tape */
    a->node = n;
    a->node_out = 0;
    array_retain(a);
    return OK;
}

bool tape_wants(const struct ctx *c, const struct array *a)
{
    return a && a->node && a->node->live && tape_recording(c);
}

/* Describes where the gradient of input `a` goes, without keeping `a` itself. */
static void set_edge(struct edge *e, const struct array *a)
{
    e->node = a->node;
    e->out = a->node_out;
    e->dtype = a->dtype;
    e->ndim = a->ndim;
    memcpy(e->shape, a->shape, sizeof e->shape);
}

void node_carry(struct array *out, struct node *n, int i)
{
    node_release(out->node);
    out->node = node_retain(n);
    out->node_out = i;
}

/* Bit i: input i is differentiable and comes from a live node. */
static uint32_t live_inputs(const struct op_call *call, const struct op_info *info)
{
    uint32_t mask = 0;
    for (int i = 0; i < info->n_in; i++) {
        const struct array *a = call->in[i];
        if (a && a->node && a->node->live && (info->diff >> i & 1)) mask |= 1u << i;
    }
    return mask;
}

/* Saves input i of the node, or only the node that made it when that can make it again. Such a node keeps arrays itself: a
 * chain of them would make recomputing as deep as the chain. */
static void save_input(struct node *n, int i, struct array *a)
{
    const struct node *from = n->in[i].node;
    if (from && from->again && a->node_out == 0) {
        n->again_in |= 1u << i;
    } else {
        n->saved_in[i] = array_retain(a);
    }
}

/* An input without a gradient leaves an edge without a node, which keeps its shape for the rule. The gradient of an x that
 * was rounded for a LINEAR is f32. `again` is given only to a node whose own inputs are saved as arrays (see save_input). */
struct node *tape_record(struct ctx *c, const struct op_call *call, int n_carry, uint32_t saves)
{
    struct tape *t = tape_of(c);
    const struct op_info *info = op_info(call->op);
    if (!ctx_ok(c) || !t->on || !dtype_is_float(call->out[0]->dtype)) return NULL;
    uint32_t wanted = live_inputs(call, info);
    if (wanted == 0) return NULL;
    if (t->paused) {
        if (t->paused == t->checkpoint_paused) t->touched = true;
        return NULL;
    }
    struct node *n = node_new(c, call->op);
    if (!n) return NULL;
    if (pointers_push(c, &t->nodes, n) != OK) {
        node_drop(c, n);
        return NULL;
    }
    n->n_in = info->n_in;
    n->n_out = n_carry;
    BUG_ON(c, (saves & ~info->saves) != 0, "%s saves what its row does not name", info->name);
    for (int i = 0; i < info->n_in; i++) {
        if (call->in[i]) set_edge(&n->in[i], call->in[i]);
        if (!(wanted >> i & 1)) n->in[i].node = NULL;
        if (call->op == OP_LINEAR && i == 0 && front_is_rounded(c, call->in[0])) n->in[0].dtype = DTYPE_F32;
        if (saves >> i & 1) save_input(n, i, call->in[i]);
    }
    n->again = !t->keeps_all && (saves & AGAIN) && n->again_in == 0;
    for (int i = 0; i < info->n_out; i++) {
        if (saves >> (16 + i) & 1) n->saved_out[i] = array_retain(call->out[i]);
        if (i < n_carry && call->out[i]) node_carry(call->out[i], n, i);
    }
    if (call->params) memcpy(n->params, call->params, info->params_bytes);
    return n;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* May `g`, held by one gradient slot, be changed where it lies? Storage that is counted once is seen by nobody else;
 * contiguous also means not broadcast. */
static bool owned(const struct array *g)
{
    return g->refs == 1 && g->storage->refs == 1 && array_is_contiguous(g) &&
           (g->dtype == DTYPE_F32 || g->dtype == DTYPE_F64 || g->dtype == front_activations(g->c));
}

/* Adds `g` to the gradient of output `out` of the node; the first one is kept as it is, without a copy. */
static void add_gradient(struct ctx *c, struct node *n, int out, struct array *g)
{
    struct array **slot = &n->grad[out];
    if (!*slot) {
        *slot = array_retain(g);
    } else if (n->grad_is_callers || owned(*slot)) {
        op_accumulate(c, *slot, g);
    } else {
        struct array *sum = array_retain(op_add(c, *slot, g));
        if (!sum) return;
        array_release(*slot);
        *slot = sum;
    }
}

/* Whether `g` is columns of the dy that a LINEAR node has rounded. */
static bool is_rounded_part(const struct node *n, const struct array *g)
{
    return n->kind == OP_LINEAR && n->dy_all && n->dy_all->storage == g->storage;
}

void vjp_give(struct ctx *c, struct node *n, int i, struct array *g)
{
    struct edge *e = &n->in[i];
    if (!g || !e->node) return;
    BUG_ON(c,
           (g->dtype != e->dtype && !is_rounded_part(e->node, g)) || g->ndim != e->ndim ||
               memcmp(g->shape, e->shape, (size_t)g->ndim * sizeof *g->shape) != 0,
           "the gradient of input %d of row %d has another shape or dtype than the input", i, n->kind);
    add_gradient(c, e->node, e->out, g);
}

struct array *vjp_buffer(const struct node *n, int i)
{
    const struct edge *e = &n->in[i];
    struct array *g = e->node ? e->node->grad[e->out] : NULL;
    return g && (e->node->grad_is_callers || owned(g)) ? g : NULL;
}

/* ---- backward ----------------------------------------------------------------------------------------------------- */

/* Puts a checkpoint's input aside in the host's memory. Its device memory is free again once nobody else holds the array. */
static enum status put_aside(struct ctx *c, struct node *n, struct array *x)
{
    struct backend *b = c->array_env->backend;
    struct pool *pool = env_aside(c);
    size_t bytes = (size_t)array_size(x) * dtype_size(x->dtype);
    n->aside = pool ? pool_get(pool, bytes, &n->aside_bytes) : NULL;
    if (!n->aside) return c->status;
    set_edge(&n->in[0], x);
    if (x->node && !x->node->live) n->in[0].node = NULL; /* of an earlier tape, which may go before this one is walked */
    b->offload(b, n->aside, x->data, bytes);
    return c->status;
}

/* A checkpoint's input, with the node that it came from: as it was kept, or fetched into a new array of the open scope. */
static struct array *checkpoint_input(struct ctx *c, struct node *n)
{
    struct backend *b = c->array_env->backend;
    const struct edge *e = &n->in[0];
    if (!n->aside) return n->saved_in[0];
    struct array *x = array_empty(c, e->dtype, e->ndim, e->shape);
    if (!x) return NULL;
    b->fetch(b, x->data, n->aside, (size_t)array_size(x) * dtype_size(x->dtype));
    if (e->node) node_carry(x, e->node, e->out);
    return x;
}

/* Runs a checkpointed function again, this time recording: the nodes of its inside land on the stack and are left next. */
static void replay(struct ctx *c, struct tape *t, struct node *n)
{
    int paused = t->paused;
    t->paused = 0;
    t->replaying = true;
    struct array *x = checkpoint_input(c, n), *y = x ? n->fn(c, n->arg, x) : NULL;
    t->replaying = false;
    t->paused = paused;
    if (!y) return;
    const struct array *dy = n->grad[0];
    BUG_ON(c, !array_same_shape(y, dy) || y->dtype != dy->dtype || !y->node || !y->node->live,
           "tape_checkpoint: the function gave another result when it ran again");
    add_gradient(c, y->node, y->node_out, n->grad[0]);
}

/* Whether any output of the node has received a gradient: if not, nothing behind it needs one. */
static bool has_gradient(const struct node *n)
{
    for (int i = 0; i < OP_MAX_OUT; i++) {
        if (n->grad[i]) return true;
    }
    return false;
}

/* Brings back the inputs that were saved as nodes. Those are older than n, so they have not been left yet. */
static void recall(struct ctx *c, struct node *n)
{
    for (int i = 0; i < n->n_in && ctx_ok(c); i++) {
        if (n->again_in >> i & 1) n->saved_in[i] = array_retain(vjp_again(c, n->in[i].node));
    }
}

/* Leads the gradients of a node's outputs to its inputs. */
static void tape_leave(struct ctx *c, struct tape *t, struct node *n)
{
    int mark = scope_open(c);
    if (n->kind == NODE_CHECKPOINT) {
        replay(c, t, n);
    } else {
        recall(c, n);
        if (ctx_ok(c)) vjp_find(n->kind)(c, n);
    }
    scope_close(c, mark);
}

/* Nodes are popped in the reverse order of recording, so each is left after all that read its outputs, and the nodes that a
 * checkpoint's replay pushes come next. Each is dropped at once: what it saved is free for the rest of backward. */
enum status tape_backward(struct ctx *c, struct array *y, double seed)
{
    char text[128];
    struct tape *t = tape_of(c);
    if (!ctx_ok(c)) return c->status;
    BUG_ON(c, !t->on, "tape_backward outside tape_begin and tape_end");
    if (y->ndim != 0 || !dtype_is_float(y->dtype)) {
        return ctx_fail(c, E_SHAPE, "backward starts from a float scalar, not from %s",
                        array_describe(y, text, sizeof text));
    }
    if (!y->node) return OK; /* a constant: every gradient is zero */
    BUG_ON(c, !y->node->live, "tape_backward: the tape of this value was walked already");
    tape_pause(c);
    int mark = scope_open(c);
    struct array *dy = array_scalar(c, y->dtype, seed);
    if (dy) add_gradient(c, y->node, y->node_out, dy);
    scope_close(c, mark);
    while (t->nodes.n > 0) {
        struct node *n = t->nodes.at[--t->nodes.n];
        if (ctx_ok(c) && has_gradient(n)) tape_leave(c, t, n);
        node_drop(c, n);
    }
    tape_resume(c);
    return c->status;
}

struct array *tape_grad(struct ctx *c, struct array *a)
{
    if (!ctx_ok(c) || !a) return NULL;
    BUG_ON(c, !a->node || !a->node->live || a->node->kind != NODE_LEAF, "tape_grad: the array is not watched");
    struct array *g = a->node->grad[0];
    return g ? scope_own(c, array_retain(g)) : NULL;
}

/* ---- checkpoints -------------------------------------------------------------------------------------------------- */

/* Runs fn without recording; says whether something inside, x included, wants a gradient. */
static struct array *run_unrecorded(struct ctx *c, tape_fn fn, void *arg, struct array *x, bool *touched)
{
    struct tape *t = tape_of(c);
    t->paused++;
    t->checkpoint_paused = t->paused;
    t->touched = false;
    bool replaying = t->replaying;
    t->replaying = false;
    struct array *y = fn(c, arg, x);
    t->replaying = replaying;
    *touched = t->touched;
    t->checkpoint_paused = 0;
    t->paused--;
    return y;
}

bool tape_replaying(const struct ctx *c)
{
    return tape_of(c)->replaying;
}

/* The node keeps x and a copy of `arg`, nothing of the inside. Where nothing inside wants a gradient, or fn gave back what
 * it was given, there is nothing to run again and no node. */
struct array *tape_checkpoint(struct ctx *c, tape_fn fn, void *arg, size_t arg_bytes, struct array *x, bool aside)
{
    bool touched;
    struct tape *t = tape_of(c);
    if (!x || !ctx_ok(c)) return NULL;
    if (!tape_recording(c)) return fn(c, arg, x);
    int mark = scope_open(c);
    struct array *y = scope_close_keep(c, mark, run_unrecorded(c, fn, arg, x, &touched));
    if (!y || !touched || !dtype_is_float(y->dtype)) return y;
    if (y->node && y->node->live) return y; /* fn gave back x or something captured */
    struct node *n = node_new(c, NODE_CHECKPOINT);
    void *copy = mem_alloc(c, 1, arg_bytes);
    if (!n || !copy || pointers_push(c, &t->nodes, n) != OK) {
        if (n) node_drop(c, n);
        mem_free(c, copy);
        return NULL;
    }
    if (arg_bytes) memcpy(copy, arg, arg_bytes);
    n->fn = fn;
    n->arg = copy;
    n->n_out = 1;
    if (!aside || !array_is_contiguous(x))
        n->saved_in[0] = array_retain(x);
    else if (put_aside(c, n, x) != OK)
        return NULL;
    node_carry(y, n, 0);
    return y;
}
