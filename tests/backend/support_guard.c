/* support_guard: moves operands and results of a call to guarded buffers, runs it, and looks at the guards afterwards. */
#include "support_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend_wrap.h"

enum { MARGIN = 64, GAP = 3, SENTINEL = 0xA7 };

static struct backend_wrap guard;
static int counts[OP_COUNT];

/* An operand in guarded memory. */
struct guarded {
    struct array a; /* what the kernel sees */
    struct storage storage;
    uint8_t *block, *before; /* before: the block as it was handed to the kernel */
    size_t bytes;
};

/* Row-strided layouts keep strides of whole elements and stay aligned as arrays are: 64 bytes at the start. */
static void lay_out(struct guarded *g, const struct array *a, bool gaps)
{
    g->a = *a;
    g->a.node = NULL;
    int64_t step = 1;
    for (int i = a->ndim - 1; i >= 0; i--) {
        g->a.stride[i] = step;
        step *= a->shape[i];
        if (gaps && i == a->ndim - 1 && a->ndim > 1) step += GAP;
    }
    size_t used = (size_t)step * dtype_size(a->dtype);
    g->bytes = (used + 2 * MARGIN + 63) / 64 * 64;
    g->block = aligned_alloc(64, g->bytes);
    g->before = malloc(g->bytes);
    assert_true(g->block && g->before);
    memset(g->block, SENTINEL, g->bytes);
    g->a.data = g->block + MARGIN;
    g->storage = (struct storage){.refs = 1, .bytes = used, .data = g->a.data, .c = a->c};
    g->a.storage = &g->storage;
}

/* Calls fn for each element with its byte offsets in two layouts of one shape. */
static void each(const struct array *x, const struct array *y, void (*fn)(void *px, void *py, size_t bytes))
{
    int64_t index[ARRAY_MAX_DIMS] = {0}, n = array_size(x);
    size_t item = dtype_size(x->dtype);
    for (int64_t k = 0; k < n; k++) {
        int64_t ox = 0, oy = 0;
        for (int i = 0; i < x->ndim; i++) {
            ox += index[i] * x->stride[i];
            oy += index[i] * y->stride[i];
        }
        fn((char *)x->data + ox * (int64_t)item, (char *)y->data + oy * (int64_t)item, item);
        for (int i = x->ndim - 1; i >= 0 && ++index[i] == x->shape[i]; i--) index[i] = 0;
    }
}

static void copy_element(void *to, void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

static void fill_element(void *to, void *ignored, size_t bytes)
{
    (void)ignored;
    memset(to, 0xFF, bytes); /* NaN in every float format; an odd value elsewhere */
}

static bool changes_operand(enum op op, int i)
{
    return ((op == OP_ACCUMULATE || op == OP_FILL) && i == 0) || (op == OP_ADAMW && i != 1 && i != 4);
}

static bool writes_strided(enum op op)
{
    return op == OP_COPY || op == OP_ROPE || op == OP_SWIGLU || op == OP_SWIGLU_BWD;
}

/* ---- the front ends' half of the contract ---------------------------------------------------------------------------- */

static void check_dtype(enum op op, enum dtype t, bool is_output)
{
    switch (op) {
    case OP_COPY:
    case OP_CAST:
    case OP_FILL:
    case OP_CHECK_IDS:
        return;
    case OP_EQUAL:
    case OP_NOT_EQUAL:
    case OP_LESS:
    case OP_LESS_EQUAL:
        if (is_output) assert_int_equal(t, DTYPE_BOOL);
        if (is_output) return;
        break;
    default:
        break;
    }
    assert_true(t == DTYPE_F32 || t == DTYPE_F64 || t == DTYPE_I32 || t == DTYPE_I64);
    switch (op) {
    case OP_DIV:
    case OP_EXP:
    case OP_LOG:
    case OP_SQRT:
    case OP_SIGMOID:
    case OP_SOFTMAX:
    case OP_LOGSUMEXP:
    case OP_MATMUL:
        assert_true(dtype_is_float(t));
        break;
    default:
        break;
    }
}

static void check_operand(const struct op_call *call, const struct array *a, bool is_output)
{
    assert_true(array_size(a) > 0);
    if (call->op != OP_COPY) assert_true(array_has_unit_last(a));
    bool is_alias = is_output && a == call->in[0]; /* RMS_NORM without residual */
    if (is_output && !is_alias && !writes_strided(call->op)) assert_true(array_is_contiguous(a));
    bool is_mask = call->op == OP_WHERE && !is_output && a == call->in[0];
    if (is_mask) {
        assert_int_equal(a->dtype, DTYPE_BOOL);
    } else {
        check_dtype(call->op, a->dtype, is_output);
    }
}

static void check_call(const struct op_call *call)
{
    const struct op_info *info = op_info(call->op);
    for (int i = 0; i < info->n_in; i++) {
        if (call->in[i]) check_operand(call, call->in[i], false);
    }
    for (int i = 0; i < info->n_out; i++) {
        if (call->out[i]) check_operand(call, call->out[i], true);
    }
    if (call->op == OP_SUM || call->op == OP_MAX) {
        uint32_t axes = ((const struct axes_params *)call->params)->axes;
        assert_true(axes != 0 && axes >> call->in[0]->ndim == 0);
    }
}

/* ---- the kernels' half ------------------------------------------------------------------------------------------------ */

static struct array *guard_in(struct guarded *g, struct array *a)
{
    if (!a) return NULL;
    lay_out(g, a, true);
    each(&g->a, a, copy_element);
    memcpy(g->before, g->block, g->bytes);
    return &g->a;
}

/* Outputs start as NaN; those that a kernel adds to start as they are. */
static struct array *guard_out(struct guarded *g, struct array *a, bool gaps, bool keep)
{
    if (!a) return NULL;
    lay_out(g, a, gaps);
    each(&g->a, a, keep ? copy_element : fill_element);
    memcpy(g->before, g->block, g->bytes);
    return &g->a;
}

static void settle(struct guarded *g, struct array *a, enum op op, const char *what, int index, bool written)
{
    if (!g->block) return;
    if (written) each(a, &g->a, copy_element);
    if (written) { /* whatever is not an element must be what it was */
        struct guarded old = *g;
        old.a.data = g->before + MARGIN;
        each(&g->a, &old.a, copy_element);
    }
    if (memcmp(g->block, g->before, g->bytes) != 0) fail_msg("%s changed %s %d where it must not", op_name(op), what, index);
    free(g->block);
    free(g->before);
}

static enum status run(struct backend *b, const struct op_call *call)
{
    struct guarded in[OP_MAX_IN] = {0}, out[OP_MAX_OUT] = {0};
    struct op_call moved = *call;
    const struct op_info *info = op_info(call->op);
    check_call(call);
    for (int i = 0; i < info->n_in; i++) moved.in[i] = guard_in(&in[i], call->in[i]);
    for (int i = 0; i < info->n_out; i++) {
        bool keep = call->op == OP_LINEAR_BWD && i > 0 && ((const struct linear_params *)call->params)->accumulate;
        if (call->out[i] && call->out[i] == call->in[0]) { /* RMS_NORM without residual */
            moved.out[i] = moved.in[0];
        } else {
            moved.out[i] = guard_out(&out[i], call->out[i], writes_strided(call->op), keep);
        }
    }
    enum status status = backend_wrap_run(b, &moved);
    for (int i = 0; i < info->n_in; i++) settle(&in[i], call->in[i], call->op, "operand", i, changes_operand(call->op, i));
    for (int i = 0; i < info->n_out; i++) settle(&out[i], call->out[i], call->op, "result", i, true);
    counts[call->op]++;
    return status;
}

struct backend *guard_open(struct backend *inner)
{
    if (!inner) return NULL;
    backend_wrap_init(&guard, inner);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < OP_COUNT; i++)
        if (inner->kernel[i]) guard.backend.kernel[i] = run;
    return &guard.backend;
}

int guard_count(enum op op)
{
    return counts[op];
}
