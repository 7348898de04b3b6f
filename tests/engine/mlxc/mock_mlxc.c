/* mock_mlxc: a library with the functions of mlx-c that the engine uses, made of the project's own arrays (your_ai_array.h),
 * so that the engine's calls are tested where MLX is not installed.
 *
 * What it is strict about: every handle is of the kind that a call expects and is freed once (live handles are counted, and
 * AddressSanitizer sees the rest); an array's data is read only after it, or what it was made from, was evaluated; a
 * checkpointed function is called again after the forward pass is over, as MLX does in backward, so what it reads must
 * still be there. It computes at once what MLX would compute later, and its value_and_grad does not nest. */
#include "engine/mlxc/mock_mlxc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mlxc/mock_arrays.h"

EXPORT mock_mlxc_live_fn mock_mlxc_live;
EXPORT mock_mlxc_fail_fn mock_mlxc_fail;

enum kind { ARRAY = 0x6d01, VECTOR, CLOSURE, GRADIENT, STREAM, DEVICE, STRING };

/* What handles of one array share. */
struct content {
    ya_array *a;
    float *data; /* of f32 arrays, once asked for */
    bool evaluated;
    int references;
};

/* What every handle points to. */
struct object {
    int kind;
    struct content *content; /* of an array */
    struct content **items;  /* of a vector */
    size_t n;
    mlx_callback f; /* of a closure and a gradient */
    void *payload;
    bool checkpoint;
};

/* Calls of checkpointed functions that backward makes again. */
struct replay {
    struct object f, in;
};

ya_ctx *mock_context; /* while there are handles */
static int n_live, countdown, n_calls;
static void (*handler)(const char *message, void *data);
static struct replay replays[64];
static size_t n_replays;
static bool differentiating; /* inside value_and_grad */

/* ---- handles --------------------------------------------------------------------------------------------------------- */

static void die(const char *what)
{
    fprintf(stderr, "mock_mlxc: %s\n", what);
    abort();
}

static void *object_new(enum kind kind)
{
    struct object *o = calloc(1, sizeof *o);
    if (!o) die("no memory");
    if (!mock_context) mock_context = ya_ctx_new(NULL);
    o->kind = kind;
    n_live++;
    return o;
}

static struct object *object_of(const void *ctx, enum kind kind)
{
    struct object *o = (struct object *)(uintptr_t)ctx;
    if (!o || o->kind != (int)kind) die("a handle of another kind, or none");
    return o;
}

static void content_release(struct content *x)
{
    if (!x || --x->references > 0) return;
    ya_array_free(x->a);
    free(x->data);
    free(x);
}

static struct content *content_retain(struct content *x)
{
    x->references++;
    return x;
}

static void vector_clear(struct object *v)
{
    for (size_t i = 0; i < v->n; i++) content_release(v->items[i]);
    free(v->items);
    v->items = NULL;
    v->n = 0;
}

/* NULL is a handle without content, as mlx_array_new gives it. */
static int object_free(void *ctx, enum kind kind)
{
    if (!ctx) return 0;
    struct object *o = object_of(ctx, kind);
    content_release(o->content);
    vector_clear(o);
    o->kind = 0;
    free(o);
    if (--n_live > 0 || !mock_context) return 0;
    ya_ctx_free(mock_context);
    mock_context = NULL;
    return 0;
}

EXPORT int mock_mlxc_live(void)
{
    return n_live;
}

EXPORT int mock_mlxc_fail(int n)
{
    int calls = n_calls;
    n_calls = 0;
    countdown = n;
    return calls;
}

static int fail(const char *message)
{
    if (!handler) die(message);
    handler(message, NULL);
    return 1;
}

/* Counts a call that may fail, and whether this one does. */
static bool fails(void)
{
    n_calls++;
    if (countdown == 0 || --countdown > 0) return false;
    fail("injected 100% failure");
    return true;
}

/* Puts an array (owned from here on; NULL: the mock_context holds an error) into *out. */
int mock_give(struct mlx_array *out, ya_array *a)
{
    if (fails() || !a) {
        ya_array_free(a);
        if (a) return 1;
        fail(ya_error(mock_context) ? ya_error(mock_context) : "failed");
        ya_error_clear(mock_context);
        return 1;
    }
    struct content *x = calloc(1, sizeof *x);
    if (!x) die("no memory");
    *x = (struct content){.a = a, .references = 1};
    if (!out->ctx) out->ctx = object_new(ARRAY);
    struct object *o = object_of(out->ctx, ARRAY);
    content_release(o->content);
    o->content = x;
    return 0;
}

ya_array *mock_of(struct mlx_array a)
{
    return object_of(a.ctx, ARRAY)->content->a;
}

ya_array *mock_of_item(struct mlx_vector v, size_t i)
{
    return object_of(v.ctx, VECTOR)->items[i]->a;
}

static ya_array *of_item(const struct object *v, size_t i)
{
    return v->items[i]->a;
}

static void append(struct object *v, struct content *x)
{
    v->items = realloc(v->items, (v->n + 1) * sizeof *v->items);
    if (!v->items) die("no memory");
    v->items[v->n++] = content_retain(x);
}

/* A new content for a handle of the project's. */
static void append_array(struct object *v, ya_array *a)
{
    struct content *x = calloc(1, sizeof *x);
    if (!x) die("no memory");
    x->a = a;
    append(v, x);
}

/* ---- the library, devices, texts ------------------------------------------------------------------------------------- */

void mlx_set_error_handler(void (*f)(const char *message, void *data), void *data, void (*dtor)(void *))
{
    (void)data, (void)dtor;
    handler = f;
}

int mlx_version(struct mlx_string *out)
{
    (void)object_of(out->ctx, STRING);
    return fails();
}

struct mlx_string mlx_string_new(void)
{
    return (struct mlx_string){object_new(STRING)};
}

const char *mlx_string_data(struct mlx_string s)
{
    const char *version = getenv("MOCK_MLXC_VERSION");
    (void)object_of(s.ctx, STRING);
    return version ? version : "0.31.2";
}

int mlx_string_free(struct mlx_string s)
{
    return object_free(s.ctx, STRING);
}

struct mlx_device mlx_device_new(void)
{
    return (struct mlx_device){object_new(DEVICE)};
}

int mlx_device_free(struct mlx_device d)
{
    return object_free(d.ctx, DEVICE);
}

int mlx_get_default_device(struct mlx_device *out)
{
    (void)object_of(out->ctx, DEVICE);
    return fails();
}

int mlx_device_get_type(enum mlx_device_type *out, struct mlx_device d)
{
    (void)object_of(d.ctx, DEVICE);
    *out = MLX_DEVICE_CPU;
    return fails();
}

struct mlx_stream mlx_stream_new(void)
{
    return (struct mlx_stream){object_new(STREAM)};
}

int mlx_stream_free(struct mlx_stream s)
{
    return object_free(s.ctx, STREAM);
}

int mlx_get_default_stream(struct mlx_stream *out, struct mlx_device d)
{
    (void)object_of(out->ctx, STREAM);
    (void)object_of(d.ctx, DEVICE);
    return fails();
}

int mlx_get_peak_memory(size_t *out)
{
    *out = 4321;
    return fails();
}

int mlx_reset_peak_memory(void)
{
    return fails();
}

int mlx_set_memory_limit(size_t *before, size_t limit)
{
    *before = limit;
    return fails();
}

int mlx_set_cache_limit(size_t *before, size_t limit)
{
    *before = limit;
    return fails();
}

int mlx_set_wired_limit(size_t *before, size_t limit)
{
    (void)before, (void)limit;
    die("memory is wired on a GPU only");
    return 1;
}

/* ---- arrays ---------------------------------------------------------------------------------------------------------- */

struct mlx_array mlx_array_new(void)
{
    return (struct mlx_array){NULL};
}

int mlx_array_free(struct mlx_array a)
{
    return object_free(a.ctx, ARRAY);
}

int mlx_array_set(struct mlx_array *out, struct mlx_array from)
{
    struct content *x = content_retain(object_of(from.ctx, ARRAY)->content);
    if (!out->ctx) out->ctx = object_new(ARRAY);
    struct object *o = object_of(out->ctx, ARRAY);
    content_release(o->content);
    o->content = x;
    return fails();
}

ya_dtype mock_dtype(enum mlx_dtype dtype)
{
    switch (dtype) {
    case MLX_BOOL:
        return YA_BOOL;
    case MLX_U32: /* their bits, as words of quantised matrices */
    case MLX_I32:
        return YA_I32;
    case MLX_F16:
        return YA_F16;
    case MLX_BF16:
        return YA_BF16;
    case MLX_F32:
        break;
    }
    return YA_F32;
}

/* n values of 16 bits as f32. */
static float *widen(const uint16_t *data, int64_t n, bool bf16)
{
    float *out = malloc((size_t)n * sizeof *out);
    for (int64_t i = 0; out && i < n; i++) {
        uint32_t bits = (uint32_t)data[i] << 16, exponent = data[i] >> 10 & 31, fraction = data[i] & 1023;
        memcpy(out + i, &bits, sizeof bits);
        if (bf16) continue;
        out[i] = ldexpf((float)(exponent ? fraction | 1024 : fraction), (int)(exponent ? exponent : 1) - 25);
        if (data[i] >> 15) out[i] = -out[i];
    }
    return out;
}

static ya_array *array_of_data(const void *data, const int *shape, int ndim, enum mlx_dtype dtype)
{
    int64_t extents[YA_MAX_DIMS], n = 1;
    for (int i = 0; i < ndim; i++) n *= extents[i] = shape[i];
    if (!mock_context) mock_context = ya_ctx_new(NULL);
    if (dtype == MLX_F32) return ya_from_slice_f32(mock_context, data, n, ndim, extents);
    if (dtype == MLX_I32 || dtype == MLX_U32) return ya_from_slice_i32(mock_context, data, n, ndim, extents);
    if (dtype == MLX_BOOL) return ya_from_slice_bool(mock_context, data, n, ndim, extents);
    float *values = widen(data, n, dtype == MLX_BF16);
    ya_array *wide = values ? ya_from_slice_f32(mock_context, values, n, ndim, extents) : NULL;
    ya_array *a = ya_astype(wide, mock_dtype(dtype));
    ya_array_free(wide);
    free(values);
    return a;
}

struct mlx_array mlx_array_new_data(const void *data, const int *shape, int ndim, enum mlx_dtype dtype)
{
    struct mlx_array a = {NULL};
    mock_give(&a, array_of_data(data, shape, ndim, dtype));
    return a;
}

/* Copies, as MLX does where its device cannot read the memory in place. */
struct mlx_array mlx_array_new_data_managed_payload(void *data, const int *shape, int ndim, enum mlx_dtype dtype,
                                                    void *payload, void (*dtor)(void *))
{
    struct mlx_array a = mlx_array_new_data(data, shape, ndim, dtype);
    dtor(payload);
    return a;
}

size_t mlx_array_size(struct mlx_array a)
{
    return (size_t)ya_size(mock_of(a));
}

enum mlx_dtype mlx_array_dtype(struct mlx_array a)
{
    return ya_array_dtype(mock_of(a)) == YA_F32 ? MLX_F32 : MLX_BF16;
}

const float *mlx_array_data_float32(struct mlx_array a)
{
    struct content *x = object_of(a.ctx, ARRAY)->content;
    if (!x->evaluated) die("data of an array that was not evaluated");
    int64_t n = ya_size(x->a);
    if (!x->data) x->data = malloc((size_t)n * sizeof *x->data);
    return x->data && ya_as_slice_f32(x->a, x->data, n) == 0 ? x->data : NULL;
}

/* ---- vectors --------------------------------------------------------------------------------------------------------- */

struct mlx_vector mlx_vector_array_new(void)
{
    return (struct mlx_vector){object_new(VECTOR)};
}

struct mlx_vector mlx_vector_array_new_data(const struct mlx_array *arrays, size_t n)
{
    struct object *v = object_new(VECTOR);
    for (size_t i = 0; i < n; i++) append(v, object_of(arrays[i].ctx, ARRAY)->content);
    return (struct mlx_vector){v};
}

int mlx_vector_array_free(struct mlx_vector v)
{
    return object_free(v.ctx, VECTOR);
}

int mlx_vector_array_set_data(struct mlx_vector *out, const struct mlx_array *arrays, size_t n)
{
    if (fails()) return 1;
    if (!out->ctx) out->ctx = object_new(VECTOR);
    vector_clear(object_of(out->ctx, VECTOR));
    for (size_t i = 0; i < n; i++) append(object_of(out->ctx, VECTOR), object_of(arrays[i].ctx, ARRAY)->content);
    return 0;
}

size_t mlx_vector_array_size(struct mlx_vector v)
{
    return object_of(v.ctx, VECTOR)->n;
}

int mlx_vector_array_get(struct mlx_array *out, struct mlx_vector v, size_t i)
{
    struct object *from = object_of(v.ctx, VECTOR);
    if (i >= from->n) die("past the end of a vector");
    if (fails()) return 1;
    if (!out->ctx) out->ctx = object_new(ARRAY);
    struct object *o = object_of(out->ctx, ARRAY);
    content_release(o->content);
    o->content = content_retain(from->items[i]);
    return 0;
}

int mlx_eval(struct mlx_vector arrays)
{
    struct object *v = object_of(arrays.ctx, VECTOR);
    for (size_t i = 0; i < v->n; i++) v->items[i]->evaluated = true;
    return fails();
}

/* ---- functions ------------------------------------------------------------------------------------------------------- */

struct mlx_closure mlx_closure_new(void)
{
    return (struct mlx_closure){object_new(CLOSURE)};
}

struct mlx_closure mlx_closure_new_func_payload(mlx_callback f, void *payload, void (*dtor)(void *))
{
    struct object *o = object_new(CLOSURE);
    if (dtor) die("payloads are the engine's own");
    o->f = f;
    o->payload = payload;
    return (struct mlx_closure){o};
}

int mlx_closure_free(struct mlx_closure f)
{
    return object_free(f.ctx, CLOSURE);
}

/* Calls a function of the engine's on the arrays of `in` and puts what it gives into `out`, in place of what was there. */
static int call(const struct object *f, const struct object *in, struct object *out)
{
    struct mlx_vector arguments = mlx_vector_array_new(), results = {NULL}; /* MLX's is without content too */
    for (size_t i = 0; i < in->n; i++) append(object_of(arguments.ctx, VECTOR), in->items[i]);
    int failed = f->f(&results, arguments, f->payload);
    vector_clear(out);
    for (size_t i = 0; !failed && i < object_of(results.ctx, VECTOR)->n; i++)
        append(out, object_of(results.ctx, VECTOR)->items[i]);
    mlx_vector_array_free(arguments);
    mlx_vector_array_free(results);
    return failed ? fail("a closure returned a non-zero value") : 0;
}

static void remember(const struct object *f, const struct object *in)
{
    if (n_replays == sizeof replays / sizeof *replays) return;
    struct replay *r = &replays[n_replays++];
    *r = (struct replay){.f = *f, .in = {.kind = VECTOR}};
    for (size_t i = 0; i < in->n; i++) append(&r->in, in->items[i]);
}

int mlx_closure_apply(struct mlx_vector *out, struct mlx_closure f, struct mlx_vector in)
{
    const struct object *closure = object_of(f.ctx, CLOSURE), *inputs = object_of(in.ctx, VECTOR);
    if (fails()) return 1;
    if (closure->checkpoint && differentiating) remember(closure, inputs);
    return call(closure, inputs, object_of(out->ctx, VECTOR));
}

int mlx_checkpoint(struct mlx_closure *out, struct mlx_closure f)
{
    struct object *o = object_of(out->ctx, CLOSURE);
    const struct object *from = object_of(f.ctx, CLOSURE);
    o->f = from->f;
    o->payload = from->payload;
    o->checkpoint = true;
    return fails();
}

struct mlx_gradient mlx_closure_value_and_grad_new(void)
{
    return (struct mlx_gradient){object_new(GRADIENT)};
}

int mlx_closure_value_and_grad_free(struct mlx_gradient f)
{
    return object_free(f.ctx, GRADIENT);
}

int mlx_value_and_grad(struct mlx_gradient *out, struct mlx_closure f, const int *argnums, size_t n)
{
    struct object *o = object_of(out->ctx, GRADIENT);
    for (size_t i = 0; i < n; i++)
        if (argnums[i] != (int)i) die("derivatives with respect to some arguments only");
    o->f = object_of(f.ctx, CLOSURE)->f;
    o->payload = object_of(f.ctx, CLOSURE)->payload;
    return fails();
}

struct pass {
    const struct object *f;
    struct object *out;
};

/* A ya_function: the engine's, of which the first result is differentiated. */
static int run_pass(ya_ctx *ctx, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs)
{
    struct pass *p = user;
    struct object in = {.kind = VECTOR};
    (void)ctx, (void)n_outputs;
    for (int i = 0; i < n_args; i++) append_array(&in, ya_array_ref(args[i]));
    int failed = call(p->f, &in, p->out);
    vector_clear(&in);
    if (!failed) outputs[0] = ya_array_ref(of_item(p->out, 0));
    return failed;
}

/* What MLX does in backward: checkpointed functions are called a second time. Not after a failure. */
static int replay_all(int failed)
{
    for (size_t i = 0; i < n_replays; i++) {
        struct object out = {.kind = VECTOR};
        failed = failed || call(&replays[i].f, &replays[i].in, &out);
        vector_clear(&out);
        vector_clear(&replays[i].in);
    }
    n_replays = 0;
    return failed;
}

int mlx_closure_value_and_grad_apply(struct mlx_vector *values, struct mlx_vector *gradients, struct mlx_gradient f,
                                     struct mlx_vector in)
{
    const struct object *inputs = object_of(in.ctx, VECTOR);
    struct object *slopes = object_of(gradients->ctx, VECTOR);
    struct pass p = {object_of(f.ctx, GRADIENT), object_of(values->ctx, VECTOR)};
    int n = (int)inputs->n;
    ya_array **args = calloc((size_t)n, sizeof *args), **grads = calloc((size_t)n, sizeof *grads), *loss = NULL;
    int *argnums = calloc((size_t)n, sizeof *argnums);
    if (!args || !grads || !argnums) die("no memory");
    for (int i = 0; i < n; i++) argnums[i] = i;
    for (int i = 0; i < n; i++) args[i] = of_item(inputs, (size_t)i);
    differentiating = true;
    int failed = fails() || ya_value_and_grad(mock_context, run_pass, &p, args, n, argnums, n, &loss, 1, grads) != 0;
    differentiating = false;
    for (int i = 0; !failed && i < n; i++) append_array(slopes, grads[i]);
    ya_array_free(loss);
    ya_error_clear(mock_context);
    free(args);
    free(grads);
    free(argnums);
    return replay_all(failed);
}
