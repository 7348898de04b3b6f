/* mil_run: see mil_run.h. Values are freed behind their last use; cells that several values share are counted. */
#include "export/coreml/mil_run_internal.h"

#include <stdio.h>
#include <string.h>

#include "array/dtype.h"
#include "base/mem.h"
#include "export/coreml/coreml_blob.h"

enum { ELEMENTS_MAX = 1 << 30 };

static enum status mil_run_read(struct mil_run *r);
static enum status mil_run_write(struct mil_run *r);

static const struct {
    const char *kind;
    mil_run_fn *fn;
    bool moves; /* elements only, which are rounded already */
} kinds[] = {
    {"abs", mil_run_unary, false},
    {"add", mil_run_binary, false},
    {"cast", mil_run_cast, false},
    {"concat", mil_run_concat, true},
    {"constexpr_blockwise_shift_scale", mil_run_int8, true},
    {"constexpr_lut_to_dense", mil_run_lut4, true},
    {"conv", mil_run_conv, false},
    {"expand_dims", mil_run_expand, true},
    {"gather", mil_run_gather, true},
    {"greater_equal", mil_run_binary, false},
    {"less", mil_run_binary, false},
    {"linear", mil_run_linear, false},
    {"logical_and", mil_run_binary, false},
    {"matmul", mil_run_matmul, false},
    {"maximum", mil_run_binary, false},
    {"mul", mil_run_binary, false},
    {"range_1d", mil_run_range, true},
    {"read_state", mil_run_read, true},
    {"real_div", mil_run_binary, false},
    {"reduce_max", mil_run_reduce, false},
    {"reduce_mean", mil_run_reduce, false},
    {"reshape", mil_run_reshape, true},
    {"rsqrt", mil_run_rsqrt, false},
    {"shape", mil_run_shape, true},
    {"silu", mil_run_unary, false},
    {"slice_by_index", mil_run_slice, true},
    {"slice_update", mil_run_update, true},
    {"softmax", mil_run_softmax, false},
    {"sub", mil_run_binary, false},
    {"transpose", mil_run_transpose, true},
    {"write_state", mil_run_write, true},
};

enum status mil_run_refuse(struct mil_run *r, const char *why)
{
    const char *out = r->op && r->op->out >= 0 ? r->p->vars[r->op->out].name : "";
    return ctx_fail(r->c, E_INPUT, "%s: ML program, %s %s: %s", r->name, r->op ? r->op->kind : "input", out, why);
}

/* ---- values ----------------------------------------------------------------------------------------------------------- */

static void drop_cells(struct mil_run *r, struct mil_tensor *t)
{
    if (t->cells && --t->cells->refs == 0) mem_free(r->c, t->cells);
    t->cells = NULL;
}

static struct mil_cells *new_cells(struct mil_run *r, const struct mil_type *type)
{
    int64_t n = mil_elements(type);
    if (n < 0 || n > ELEMENTS_MAX) {
        mil_run_refuse(r, "a value of more than 2^30 elements, or of a size that is not known");
        return NULL;
    }
    struct mil_cells *cells = mem_alloc_aligned(r->c, sizeof *cells + (size_t)n * sizeof cells->f[0]);
    if (cells) *cells = (struct mil_cells){.refs = 1, .n = n};
    return cells;
}

/* Whether a type with all dimensions known is what was declared. */
static bool is_declared(const struct mil_type *type, const struct mil_type *declared)
{
    if (type->dtype != declared->dtype || type->rank != declared->rank) return false;
    for (int i = 0; i < type->rank; i++)
        if (declared->dim[i] >= 0 && declared->dim[i] != type->dim[i]) return false;
    return true;
}

static struct mil_tensor *mil_run_result_of(struct mil_run *r, const struct mil_type *type)
{
    const struct mil_type *declared = r->op->out >= 0 ? &r->p->vars[r->op->out].type : NULL;
    char is[MIL_TYPE_TEXT], said[MIL_TYPE_TEXT], why[2 * MIL_TYPE_TEXT + 32];
    if (declared && is_declared(type, declared)) {
        struct mil_tensor *t = &r->values[r->op->out];
        drop_cells(r, t);
        *t = (struct mil_tensor){.type = *type};
        return t;
    }
    snprintf(why, sizeof why, "gives %s where %s is declared", mil_type_text(type, is),
             declared ? mil_type_text(declared, said) : "nothing");
    mil_run_refuse(r, why);
    return NULL;
}

struct mil_tensor *mil_run_make(struct mil_run *r, const struct mil_type *type)
{
    struct mil_tensor *t = mil_run_result_of(r, type);
    if (t) t->cells = new_cells(r, type);
    return t && t->cells ? t : NULL;
}

struct mil_tensor *mil_run_share(struct mil_run *r, const struct mil_tensor *x, const struct mil_type *type)
{
    struct mil_cells *cells = x->cells; /* x may be the result's place in a program that is wrong */
    struct mil_tensor *t = NULL;
    if (mil_elements(type) != cells->n) {
        mil_run_refuse(r, "another number of elements");
        return NULL;
    }
    cells->refs++;
    t = mil_run_result_of(r, type);
    if (t)
        t->cells = cells;
    else
        cells->refs--;
    return t;
}

const void *mil_run_blob(struct mil_run *r, const struct mil_value *v)
{
    int64_t elements = mil_elements(&v->type);
    if (!v->in_file) return v->data;
    return coreml_blob_data(r->c, r->name, r->weights, r->n_weights, v->offset, v->type.dtype,
                            mil_bytes(v->type.dtype, elements));
}

/* A constant as a value: floats as they are stored, anything else as elements. */
static enum status load_const(struct mil_run *r, const struct mil_value *v, struct mil_tensor *t)
{
    const void *bytes = v->type.dtype == MIL_STRING ? "" : mil_run_blob(r, v);
    int64_t rows = v->type.rank ? v->type.dim[0] : 1;
    if (!bytes) return r->c->status;
    *t = (struct mil_tensor){.type = v->type};
    t->stored = (struct mil_stored){.data = bytes, .rows = rows, .cols = rows ? mil_elements(&v->type) / rows : 0};
    if (v->type.dtype == MIL_F16) t->stored.form = MIL_STORE_F16;
    if (v->type.dtype == MIL_F32) t->stored.form = MIL_STORE_F32;
    if (v->type.dtype != MIL_I32 && v->type.dtype != MIL_BOOL) return OK;
    t->cells = new_cells(r, &v->type);
    for (int64_t i = 0; t->cells && i < t->cells->n; i++)
        t->cells->i[i] = v->type.dtype == MIL_I32 ? ((const int32_t *)bytes)[i] : ((const uint8_t *)bytes)[i];
    return r->c->status;
}

void mil_run_row(const struct mil_stored *s, int64_t i, float *out)
{
    int64_t n = s->cols;
    float scale = s->form == MIL_STORE_I8 ? f16_to_f32(s->with[i]) : 1;
    switch (s->form) {
    case MIL_STORE_F16:
        for (int64_t j = 0; j < n; j++) out[j] = f16_to_f32(((const uint16_t *)s->data)[i * n + j]);
        break;
    case MIL_STORE_F32:
        memcpy(out, (const float *)s->data + i * n, (size_t)n * sizeof *out);
        break;
    case MIL_STORE_I8: /* the product is of type f16 */
        for (int64_t j = 0; j < n; j++) out[j] = f16_to_f32(f32_to_f16((float)((const int8_t *)s->data)[i * n + j] * scale));
        break;
    case MIL_STORE_LUT4:
        for (int64_t j = 0; j < n; j++) {
            int64_t at = i * n + j;
            out[j] = f16_to_f32(s->with[16 * i + (((const uint8_t *)s->data)[at / 2] >> 4 * (at % 2) & 15)]);
        }
        break;
    case MIL_STORE_NONE:
        break;
    }
}

/* ---- arguments -------------------------------------------------------------------------------------------------------- */

struct mil_tensor *mil_run_weight(struct mil_run *r, const char *key)
{
    const struct mil_arg *a = mil_arg_of(r->op, key);
    struct mil_tensor *t = a && a->var >= 0 ? &r->values[a->var] : NULL;
    if (t && (t->cells || t->stored.form)) return t;
    mil_run_refuse(r, "an argument is missing or has no value yet");
    return NULL;
}

struct mil_tensor *mil_run_in(struct mil_run *r, const char *key)
{
    struct mil_tensor *t = mil_run_weight(r, key);
    if (!t || t->cells) return t;
    struct mil_cells *cells = new_cells(r, &t->type);
    if (!cells) return NULL;
    for (int64_t i = 0; i < t->stored.rows; i++) mil_run_row(&t->stored, i, cells->f + i * t->stored.cols);
    t->cells = cells;
    return t;
}

int mil_run_ints(struct mil_run *r, const char *key, int64_t out[MIL_RANK_MAX])
{
    struct mil_tensor *t = mil_run_in(r, key);
    if (!t) return -1;
    if (t->type.dtype != MIL_I32 || t->type.rank > 1 || t->cells->n > MIL_RANK_MAX)
        return mil_run_refuse(r, "an argument is not a short list of whole numbers"), -1;
    for (int64_t i = 0; i < t->cells->n; i++) out[i] = t->cells->i[i];
    return (int)t->cells->n;
}

int64_t mil_run_int(struct mil_run *r, const char *key, int64_t otherwise)
{
    int64_t out[MIL_RANK_MAX] = {0};
    if (!mil_arg_of(r->op, key)) return otherwise;
    struct mil_tensor *t = mil_run_in(r, key);
    if (t && t->type.dtype == MIL_BOOL && t->cells->n == 1) return t->cells->i[0];
    if (t && mil_run_ints(r, key, out) != 1) mil_run_refuse(r, "an argument is not one whole number");
    return out[0];
}

enum status mil_run_flags(struct mil_run *r, const char *key, int n, bool out[MIL_RANK_MAX])
{
    for (int i = 0; i < n; i++) out[i] = false;
    if (!mil_arg_of(r->op, key)) return OK;
    struct mil_tensor *t = mil_run_in(r, key);
    if (t && (t->type.dtype != MIL_BOOL || t->cells->n != n))
        return mil_run_refuse(r, "a mask of another size than the shape");
    for (int i = 0; t && i < n; i++) out[i] = t->cells->i[i];
    return r->c->status;
}

/* ---- states ----------------------------------------------------------------------------------------------------------- */

static struct mil_tensor *state_of(struct mil_run *r)
{
    const struct mil_arg *a = mil_arg_of(r->op, "input");
    if (a && a->var >= 0 && r->p->vars[a->var].type.is_state) return &r->values[a->var];
    mil_run_refuse(r, "its input is no state");
    return NULL;
}

static enum status mil_run_read(struct mil_run *r)
{
    struct mil_tensor *state = state_of(r);
    if (state) mil_run_share(r, state, &state->type);
    return r->c->status;
}

static enum status mil_run_write(struct mil_run *r)
{
    struct mil_tensor *state = state_of(r), *data = state ? mil_run_in(r, "data") : NULL;
    if (!data) return r->c->status;
    if (!is_declared(&data->type, &state->type)) return mil_run_refuse(r, "the data have another type than the state");
    data->cells->refs++;
    drop_cells(r, state);
    state->cells = data->cells;
    return OK;
}

/* ---- running ---------------------------------------------------------------------------------------------------------- */

/* States and outputs are not freed: one use of theirs is never over. */
static void count_uses(struct mil_run *r)
{
    for (size_t i = 0; i < r->p->n_ops; i++)
        for (int k = 0; k < r->p->ops[i].n_args; k++)
            if (r->p->ops[i].args[k].var >= 0) r->uses[r->p->ops[i].args[k].var]++;
    for (size_t i = 0; i < r->p->n_inputs; i++) r->uses[i]++;
    for (size_t i = 0; i < r->p->n_outputs; i++) r->uses[r->p->outputs[i]]++;
}

static enum status start_states(struct mil_run *r)
{
    for (size_t i = 0; i < r->p->n_inputs && ctx_ok(r->c); i++) {
        struct mil_tensor *t = &r->values[i];
        t->type = r->p->vars[i].type;
        t->type.is_state = false;
        if (r->p->vars[i].type.is_state) t->cells = new_cells(r, &t->type);
        if (t->cells) memset(t->cells->f, 0, (size_t)t->cells->n * sizeof t->cells->f[0]);
    }
    return r->c->status;
}

struct mil_run *mil_run_new(struct ctx *c, const struct mil_program *p, const char *name, const uint8_t *weights, size_t n,
                            bool half)
{
    struct mil_run *r = mem_alloc(c, 1, sizeof *r);
    if (!r) return NULL;
    *r = (struct mil_run){.c = c, .p = p, .name = name, .weights = weights, .n_weights = n, .half = half};
    r->values = mem_alloc(c, p->n_vars, sizeof *r->values);
    r->uses = mem_alloc(c, p->n_vars, sizeof *r->uses);
    r->left = mem_alloc(c, p->n_vars, sizeof *r->left);
    if (ctx_ok(c)) count_uses(r);
    if (ctx_ok(c) && start_states(r) == OK) return r;
    mil_run_free(r);
    return NULL;
}

void mil_run_free(struct mil_run *r)
{
    if (!r) return;
    for (size_t i = 0; r->values && i < r->p->n_vars; i++) drop_cells(r, &r->values[i]);
    mem_free(r->c, r->values);
    mem_free(r->c, r->uses);
    mem_free(r->c, r->left);
    mem_free(r->c, r);
}

enum status mil_run_set(struct mil_run *r, size_t input, const int32_t *values, int64_t n)
{
    struct mil_type type = r->p->vars[input].type;
    struct mil_tensor *t = &r->values[input];
    r->op = NULL;
    for (int i = 0; i < type.rank; i++)
        if (type.dim[i] < 0) type.dim[i] = n;
    if (input >= r->p->n_inputs || type.is_state || type.dtype != MIL_I32 || mil_elements(&type) != n)
        return mil_run_refuse(r, "is not an i32 tensor of so many elements");
    drop_cells(r, t);
    *t = (struct mil_tensor){.type = type, .cells = new_cells(r, &type)};
    if (t->cells) memcpy(t->cells->i, values, (size_t)n * sizeof *values);
    return r->c->status;
}

/* What the op gave, rounded to its type. */
static void round_result(struct mil_run *r)
{
    struct mil_tensor *t = r->op->out >= 0 ? &r->values[r->op->out] : NULL;
    if (!r->half || !t || !t->cells || t->type.dtype != MIL_F16) return;
    for (int64_t i = 0; i < t->cells->n; i++) t->cells->f[i] = f16_to_f32(f32_to_f16(t->cells->f[i]));
}

/* Lets go of values that no later op uses. */
static void release_args(struct mil_run *r)
{
    for (int i = 0; i < r->op->n_args; i++) {
        int var = r->op->args[i].var;
        if (var >= 0 && --r->left[var] == 0) drop_cells(r, &r->values[var]);
    }
}

static enum status run_op(struct mil_run *r)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].kind, r->op->kind) != 0) continue;
        TRY(kinds[i].fn(r));
        if (!kinds[i].moves) round_result(r);
        release_args(r);
        return OK;
    }
    return ctx_fail(r->c, E_UNSUPPORTED, "%s: ML program: op %.60s is not one of those that are written here", r->name,
                    r->op->kind);
}

enum status mil_run_call(struct mil_run *r)
{
    const struct mil_program *p = r->p;
    memcpy(r->left, r->uses, p->n_vars * sizeof *r->left);
    for (size_t i = p->n_inputs; i < p->n_vars && ctx_ok(r->c); i++) {
        drop_cells(r, &r->values[i]);
        if (p->vars[i].value) load_const(r, p->vars[i].value, &r->values[i]);
    }
    for (size_t i = 0; i < p->n_ops && ctx_ok(r->c); i++) {
        r->op = &p->ops[i];
        run_op(r);
    }
    return r->c->status;
}

const float *mil_run_output(const struct mil_run *r, size_t output, struct mil_type *type)
{
    const struct mil_tensor *t = &r->values[r->p->outputs[output]];
    *type = t->type;
    return t->cells ? t->cells->f : NULL;
}
