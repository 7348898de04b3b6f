/* mil_build: see mil_build.h. The names of ops and arguments are those of coremltools' op definitions (iOS 15 to iOS 18). */
#include "export/coreml/mil_build.h"

#include <stdio.h>
#include <string.h>

#include "array/dtype.h"
#include "base/mem.h"

enum { NAME_BYTES = 128, ARGUMENTS_MAX = 12 };

struct mil_type mil_type_of(const struct mil_program *p, int var)
{
    return var < 0 ? (struct mil_type){.rank = 0} : p->vars[var].type;
}

struct mil_type mil_tensor(enum mil_dtype dtype, int rank, const int64_t *dim)
{
    struct mil_type t = {.dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++) t.dim[i] = dim[i];
    return t;
}

int mil_input(struct mil_program *p, const char *name, const struct mil_type *type)
{
    int var = mil_add_var(p, mil_copy(p, name, strlen(name)), type);
    if (var >= 0) p->n_inputs++;
    return var;
}

void mil_output(struct mil_program *p, int var)
{
    if (var < 0) return;
    BUG_ON(p->c, p->n_outputs == MIL_OUTPUTS_MAX, "more than %d outputs", (int)MIL_OUTPUTS_MAX);
    p->outputs[p->n_outputs++] = var;
}

/* ---- constants -------------------------------------------------------------------------------------------------------- */

/* A constant of this name, made unless it is there: names of small constants say their values. */
static int constant(struct mil_program *p, const char *name, const struct mil_value *like, const void *data)
{
    int var = mil_find(p, name, strlen(name));
    if (var >= 0 || !ctx_ok(p->c)) return ctx_ok(p->c) ? var : -1;
    struct mil_value *v = mil_alloc(p, sizeof *v);
    if (!v) return -1;
    *v = *like;
    if (data) v->data = mil_copy(p, data, v->bytes);
    var = mil_add_var(p, mil_copy(p, name, strlen(name)), &v->type);
    if (var >= 0) p->vars[var].value = v;
    return var;
}

int mil_ints(struct mil_program *p, int n, const int32_t *values)
{
    char name[NAME_BYTES];
    struct mil_value v = {.type = mil_tensor(MIL_I32, 1, (int64_t[]){n}), .bytes = (size_t)n * sizeof *values};
    int at = snprintf(name, sizeof name, "ints");
    for (int i = 0; i < n && at < NAME_BYTES; i++)
        at += snprintf(name + at, (size_t)(NAME_BYTES - at), values[i] < 0 ? "_m%lld" : "_%lld",
                       values[i] < 0 ? -(long long)values[i] : (long long)values[i]);
    BUG_ON(p->c, at >= NAME_BYTES, "a constant of %d whole numbers", n);
    return constant(p, name, &v, values);
}

int mil_iota(struct mil_program *p, int32_t n)
{
    char name[NAME_BYTES];
    struct mil_value v = {.type = mil_tensor(MIL_I32, 1, (int64_t[]){n}), .bytes = (size_t)n * sizeof(int32_t)};
    int32_t *values = mem_alloc(p->c, (size_t)n, sizeof *values);
    if (!values) return -1;
    for (int32_t i = 0; i < n; i++) values[i] = i;
    snprintf(name, sizeof name, "iota_%d", n);
    int var = constant(p, name, &v, values);
    mem_free(p->c, values);
    return var;
}

int mil_int(struct mil_program *p, int32_t value)
{
    char name[NAME_BYTES];
    struct mil_value v = {.type = {.dtype = MIL_I32}, .bytes = sizeof value};
    snprintf(name, sizeof name, value < 0 ? "int_m%lld" : "int_%lld", value < 0 ? -(long long)value : (long long)value);
    return constant(p, name, &v, &value);
}

/* The name holds the bits, so that equal names are equal values. */
int mil_float(struct mil_program *p, enum mil_dtype dtype, float value)
{
    char name[NAME_BYTES];
    uint16_t half = f32_to_f16(value);
    uint32_t bits = half;
    struct mil_value v = {.type = {.dtype = dtype}, .bytes = mil_bytes(dtype, 1)};
    if (dtype == MIL_F32) memcpy(&bits, &value, sizeof bits);
    snprintf(name, sizeof name, "%s_%x", dtype == MIL_F32 ? "f32" : "f16", bits);
    return constant(p, name, &v, dtype == MIL_F32 ? (const void *)&value : &half);
}

static int mil_bools(struct mil_program *p, int n, const bool *values)
{
    char name[NAME_BYTES] = "bools_";
    uint8_t bytes[MIL_RANK_MAX];
    struct mil_value v = {.type = {.dtype = MIL_BOOL, .rank = 1, .dim = {n}}, .bytes = (size_t)n};
    for (int i = 0; i < n; i++) {
        bytes[i] = values[i];
        name[6 + i] = values[i] ? '1' : '0';
    }
    return constant(p, name, &v, bytes);
}

static int mil_flag(struct mil_program *p, bool value)
{
    struct mil_value v = {.type = {.dtype = MIL_BOOL}, .bytes = 1};
    return constant(p, value ? "flag_true" : "flag_false", &v, &(uint8_t){value});
}

static int mil_text(struct mil_program *p, const char *text)
{
    char name[NAME_BYTES];
    struct mil_value v = {.type = {.dtype = MIL_STRING}, .text = text}; /* a literal of this file */
    snprintf(name, sizeof name, "text_%s", text);
    return constant(p, name, &v, NULL);
}

int mil_file(struct mil_program *p, const char *name, const struct mil_type *type, uint64_t offset)
{
    return constant(p, name, &(struct mil_value){.type = *type, .in_file = true, .offset = offset}, NULL);
}

/* ---- ops -------------------------------------------------------------------------------------------------------------- */

/* An op with a result, called `name` or, with NULL, by its kind and a number. Arguments end at the first without a key. */
static int emit(struct mil_program *p, const char *kind, const char *name, const struct mil_type *type,
                const struct mil_arg args[ARGUMENTS_MAX])
{
    char made[NAME_BYTES];
    int n = 0;
    for (; n < ARGUMENTS_MAX && args[n].key; n++)
        if (args[n].var < 0 && !args[n].value) return -1;
    if (!name) {
        snprintf(made, sizeof made, "%s_%zu", kind, p->n_ops);
        name = made;
    }
    int out = mil_add_var(p, mil_copy(p, name, strlen(name)), type);
    struct mil_op *op = out >= 0 ? mil_add_op(p, kind, out, n) : NULL;
    if (!op) return -1;
    memcpy(op->args, args, (size_t)n * sizeof *args);
    return out;
}

/* Arguments that are variables, or constants written in place. */
#define VAR(k, v)                                                                                                           \
    {                                                                                                                       \
        .key = (k), .var = (v)                                                                                              \
    }
#define VALUE(k, v)                                                                                                         \
    {                                                                                                                       \
        .key = (k), .var = -1, .value = (v)                                                                                 \
    }
#define EMIT(p, kind, name, type, ...) emit(p, kind, name, type, (struct mil_arg[ARGUMENTS_MAX]){__VA_ARGS__})

static const struct mil_value *file_value(struct mil_program *p, struct mil_type type, uint64_t offset)
{
    struct mil_value *v = mil_alloc(p, sizeof *v);
    if (v) *v = (struct mil_value){.type = type, .in_file = true, .offset = offset};
    return v;
}

int mil_int8_weight(struct mil_program *p, const char *name, const struct mil_type *type, uint64_t data, uint64_t scales)
{
    struct mil_type bytes = *type, scale = *type;
    bytes.dtype = MIL_I8;
    for (int i = 1; i < scale.rank; i++) scale.dim[i] = 1;
    return EMIT(p, "constexpr_blockwise_shift_scale", name, type, VALUE("data", file_value(p, bytes, data)),
                VALUE("scale", file_value(p, scale, scales)));
}

/* The table has two more dimensions than the indices: 16 values, and vectors of one element. */
int mil_lut4_weight(struct mil_program *p, const char *name, const struct mil_type *type, uint64_t indices, uint64_t tables)
{
    struct mil_type bits = *type, table = *type;
    bits.dtype = MIL_U4;
    for (int i = 1; i < table.rank; i++) table.dim[i] = 1;
    BUG_ON(p->c, table.rank + 2 > MIL_RANK_MAX, "a table for a weight of rank %d", table.rank);
    table.dim[table.rank++] = 16;
    table.dim[table.rank++] = 1;
    return EMIT(p, "constexpr_lut_to_dense", name, type, VALUE("indices", file_value(p, bits, indices)),
                VALUE("lut", file_value(p, table, tables)));
}

int mil_unary(struct mil_program *p, const char *kind, int x)
{
    struct mil_type t = mil_type_of(p, x);
    return EMIT(p, kind, NULL, &t, VAR("x", x));
}

/* The dimension that two of them give: an unknown one is taken for what it stands beside. */
static int64_t mil_build_spread(struct ctx *c, int64_t x, int64_t y)
{
    BUG_ON(c, x > 1 && y > 1 && x != y, "dimensions of %lld and %lld", (long long)x, (long long)y);
    if (x == 1) return y;
    return y == 1 || x > 1 ? x : y;
}

int mil_binary(struct mil_program *p, const char *kind, int x, int y)
{
    struct mil_type a = mil_type_of(p, x), b = mil_type_of(p, y), out = {.dtype = a.dtype};
    if (x < 0 || y < 0) return -1;
    BUG_ON(p->c, a.dtype != b.dtype, "%s of two types", kind);
    out.rank = a.rank > b.rank ? a.rank : b.rank;
    for (int i = 1; i <= out.rank; i++)
        out.dim[out.rank - i] = i > a.rank   ? b.dim[b.rank - i]
                                : i > b.rank ? a.dim[a.rank - i]
                                             : mil_build_spread(p->c, a.dim[a.rank - i], b.dim[b.rank - i]);
    if (strncmp(kind, "greater", 7) == 0 || strcmp(kind, "less") == 0) out.dtype = MIL_BOOL;
    return EMIT(p, kind, NULL, &out, VAR("x", x), VAR("y", y));
}

int mil_cast(struct mil_program *p, int x, enum mil_dtype dtype)
{
    struct mil_type t = mil_type_of(p, x);
    if (x >= 0 && t.dtype == dtype) return x;
    t.dtype = dtype;
    return EMIT(p, "cast", NULL, &t, VAR("x", x), VAR("dtype", mil_text(p, dtype == MIL_F16 ? "fp16" : "fp32")));
}

int mil_rsqrt(struct mil_program *p, int x, float epsilon)
{
    struct mil_type t = mil_type_of(p, x);
    return EMIT(p, "rsqrt", NULL, &t, VAR("x", x), VAR("epsilon", mil_float(p, t.dtype, epsilon)));
}

/* ---- products --------------------------------------------------------------------------------------------------------- */

int mil_linear(struct mil_program *p, int x, int w, int bias, const char *name)
{
    struct mil_type t = mil_type_of(p, x), weight = mil_type_of(p, w);
    if (x < 0 || w < 0) return -1;
    BUG_ON(p->c, t.dim[t.rank - 1] != weight.dim[1], "linear: %lld columns for %lld", (long long)weight.dim[1],
           (long long)t.dim[t.rank - 1]);
    t.dim[t.rank - 1] = weight.dim[0];
    struct mil_arg args[ARGUMENTS_MAX] = {VAR("x", x), VAR("weight", w)};
    if (bias >= 0) args[2] = (struct mil_arg){.key = "bias", .var = bias};
    return emit(p, "linear", name, &t, args);
}

int mil_conv(struct mil_program *p, int x, int w, int bias, const char *name)
{
    struct mil_type t = mil_type_of(p, x), weight = mil_type_of(p, w);
    if (x < 0 || w < 0) return -1;
    BUG_ON(p->c, t.rank != 4 || t.dim[1] != weight.dim[1], "conv: %lld channels for %lld", (long long)weight.dim[1],
           (long long)t.dim[1]);
    t.dim[1] = weight.dim[0];
    const int32_t ones[2] = {1, 1}, zeros[4] = {0};
    struct mil_arg args[ARGUMENTS_MAX] = {VAR("x", x),
                                          VAR("weight", w),
                                          VAR("strides", mil_ints(p, 2, ones)),
                                          VAR("pad_type", mil_text(p, "valid")),
                                          VAR("pad", mil_ints(p, 4, zeros)),
                                          VAR("dilations", mil_ints(p, 2, ones)),
                                          VAR("groups", mil_int(p, 1))};
    if (bias >= 0) args[7] = (struct mil_arg){.key = "bias", .var = bias};
    return emit(p, "conv", name, &t, args);
}

int mil_matmul(struct mil_program *p, int x, int y, bool transpose_x, bool transpose_y)
{
    struct mil_type a = mil_type_of(p, x), b = mil_type_of(p, y), t = a;
    if (x < 0 || y < 0) return -1;
    int n = a.rank;
    BUG_ON(p->c, n != b.rank || n < 2, "matmul of ranks %d and %d", a.rank, b.rank);
    t.dim[n - 2] = a.dim[transpose_x ? n - 1 : n - 2];
    t.dim[n - 1] = b.dim[transpose_y ? n - 2 : n - 1];
    return EMIT(p, "matmul", NULL, &t, VAR("x", x), VAR("y", y), VAR("transpose_x", mil_flag(p, transpose_x)),
                VAR("transpose_y", mil_flag(p, transpose_y)));
}

int mil_reduce(struct mil_program *p, const char *kind, int x, int axis)
{
    struct mil_type t = mil_type_of(p, x);
    t.dim[axis] = 1;
    return EMIT(p, kind, NULL, &t, VAR("x", x), VAR("axes", mil_ints(p, 1, (int32_t[]){axis})),
                VAR("keep_dims", mil_flag(p, true)));
}

int mil_softmax(struct mil_program *p, int x, int axis)
{
    struct mil_type t = mil_type_of(p, x);
    return EMIT(p, "softmax", NULL, &t, VAR("x", x), VAR("axis", mil_int(p, axis)));
}

/* ---- shapes ----------------------------------------------------------------------------------------------------------- */

int mil_reshape(struct mil_program *p, int x, int rank, const int32_t *dim)
{
    struct mil_type from = mil_type_of(p, x), t = {.dtype = from.dtype, .rank = rank};
    int64_t all = mil_elements(&from), known = 1;
    if (x < 0) return -1;
    for (int i = 0; i < rank; i++)
        if (dim[i] >= 0) known *= dim[i];
    for (int i = 0; i < rank; i++) t.dim[i] = dim[i] >= 0 ? dim[i] : all < 0 ? MIL_UNKNOWN : all / known;
    return EMIT(p, "reshape", NULL, &t, VAR("x", x), VAR("shape", mil_ints(p, rank, dim)));
}

int mil_transpose(struct mil_program *p, int x, const int32_t *order)
{
    struct mil_type from = mil_type_of(p, x), t = from;
    for (int i = 0; i < t.rank; i++) t.dim[i] = from.dim[order[i]];
    return EMIT(p, "transpose", NULL, &t, VAR("x", x), VAR("perm", mil_ints(p, t.rank, order)));
}

/* All other axes are taken whole, which the masks say. */
int mil_slice(struct mil_program *p, int x, int axis, int32_t first, int32_t end)
{
    struct mil_type t = mil_type_of(p, x);
    int32_t begins[MIL_RANK_MAX] = {0}, ends[MIL_RANK_MAX] = {0};
    bool whole[MIL_RANK_MAX];
    if (x < 0) return -1;
    for (int i = 0; i < t.rank; i++) whole[i] = i != axis;
    begins[axis] = first;
    ends[axis] = end;
    t.dim[axis] = end - first;
    return EMIT(p, "slice_by_index", NULL, &t, VAR("x", x), VAR("begin", mil_ints(p, t.rank, begins)),
                VAR("end", mil_ints(p, t.rank, ends)), VAR("begin_mask", mil_bools(p, t.rank, whole)),
                VAR("end_mask", mil_bools(p, t.rank, whole)));
}

int mil_pick(struct mil_program *p, int x, int32_t at)
{
    struct mil_type from = mil_type_of(p, x), t = {.dtype = from.dtype, .rank = from.rank - 1};
    int32_t begins[MIL_RANK_MAX] = {at}, ends[MIL_RANK_MAX] = {at + 1};
    bool whole[MIL_RANK_MAX], dropped[MIL_RANK_MAX];
    if (x < 0) return -1;
    for (int i = 0; i < from.rank; i++) {
        whole[i] = i > 0;
        dropped[i] = i == 0;
        if (i > 0) t.dim[i - 1] = from.dim[i];
    }
    return EMIT(p, "slice_by_index", NULL, &t, VAR("x", x), VAR("begin", mil_ints(p, from.rank, begins)),
                VAR("end", mil_ints(p, from.rank, ends)), VAR("begin_mask", mil_bools(p, from.rank, whole)),
                VAR("end_mask", mil_bools(p, from.rank, whole)), VAR("squeeze_mask", mil_bools(p, from.rank, dropped)));
}

int mil_expand(struct mil_program *p, int x, int axis)
{
    struct mil_type from = mil_type_of(p, x), t = from;
    if (x < 0) return -1;
    t.rank++;
    for (int i = 0; i < t.rank; i++) t.dim[i] = i < axis ? from.dim[i] : i == axis ? 1 : from.dim[i - 1];
    return EMIT(p, "expand_dims", NULL, &t, VAR("x", x), VAR("axes", mil_ints(p, 1, (int32_t[]){axis})));
}

int mil_concat(struct mil_program *p, int n, const int *values, int axis)
{
    struct mil_type t = mil_type_of(p, values[0]);
    int name_at = (int)p->n_ops, out_axis = mil_int(p, axis), interleave = mil_flag(p, false);
    char name[NAME_BYTES];
    t.dim[axis] = 0;
    for (int i = 0; i < n; i++) {
        struct mil_type part = mil_type_of(p, values[i]);
        if (values[i] < 0) return -1;
        t.dim[axis] = part.dim[axis] < 0 || t.dim[axis] < 0 ? MIL_UNKNOWN : t.dim[axis] + part.dim[axis];
    }
    BUG_ON(p->c, n > MIL_CONCAT_MAX, "concat of %d values", n);
    snprintf(name, sizeof name, "concat_%d", name_at);
    int out = mil_add_var(p, mil_copy(p, name, strlen(name)), &t);
    struct mil_op *op = out >= 0 ? mil_add_op(p, "concat", out, n + 2) : NULL;
    if (!op) return -1;
    for (int i = 0; i < n; i++) op->args[i] = (struct mil_arg){.key = "values", .var = values[i]};
    op->args[n] = (struct mil_arg){.key = "axis", .var = out_axis};
    op->args[n + 1] = (struct mil_arg){.key = "interleave", .var = interleave};
    return out;
}

int mil_gather(struct mil_program *p, int x, int indices)
{
    struct mil_type from = mil_type_of(p, x), t = mil_type_of(p, indices);
    if (x < 0 || indices < 0) return -1;
    t.dtype = from.dtype;
    for (int i = 1; i < from.rank; i++) t.dim[t.rank++] = from.dim[i];
    return EMIT(p, "gather", NULL, &t, VAR("x", x), VAR("indices", indices), VAR("axis", mil_int(p, 0)),
                VAR("batch_dims", mil_int(p, 0)), VAR("validate_indices", mil_flag(p, false)));
}

int mil_shape(struct mil_program *p, int x)
{
    struct mil_type t = mil_tensor(MIL_I32, 1, (int64_t[]){mil_type_of(p, x).rank});
    return EMIT(p, "shape", NULL, &t, VAR("x", x));
}

int mil_range(struct mil_program *p, int start, int end)
{
    struct mil_type t = mil_tensor(MIL_I32, 1, (int64_t[]){MIL_UNKNOWN});
    return EMIT(p, "range_1d", NULL, &t, VAR("start", start), VAR("end", end), VAR("step", mil_int(p, 1)));
}

/* ---- states ----------------------------------------------------------------------------------------------------------- */

int mil_read_state(struct mil_program *p, int state)
{
    struct mil_type t = mil_type_of(p, state);
    t.is_state = false;
    return EMIT(p, "read_state", NULL, &t, VAR("input", state));
}

void mil_write_state(struct mil_program *p, int state, int value)
{
    struct mil_op *op = state >= 0 && value >= 0 ? mil_add_op(p, "write_state", -1, 2) : NULL;
    if (!op) return;
    op->args[0] = (struct mil_arg){.key = "input", .var = state};
    op->args[1] = (struct mil_arg){.key = "data", .var = value};
}

int mil_update(struct mil_program *p, int x, int update, int begin, int end)
{
    struct mil_type t = mil_type_of(p, x);
    return EMIT(p, "slice_update", NULL, &t, VAR("x", x), VAR("update", update), VAR("begin", begin), VAR("end", end));
}
