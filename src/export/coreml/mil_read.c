/* mil_read: the message Program of coremltools' MIL.proto into a mil_program. Only what mil_write says is read: one function
 * "main" with one block, ops without blocks of their own, values that are tensors. Every name that an op uses must have been
 * defined in front of it, so the ops can run in order. */
#include <string.h>

#include "base/mem.h"
#include "export/coreml/mil.h"
#include "io/wire.h"

/* What reading needs everywhere. */
struct mil_reader {
    struct mil_program *p;
    struct ctx *c;
    const char *name;
    bool broken; /* the bytes are no message */
};

static enum status mil_refuse(struct mil_reader *r, enum status status, const char *why)
{
    return ctx_fail(r->c, status, "%s: ML program: %s", r->name, why);
}

static bool same_text(struct wire_message m, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(m.end - m.at) == n && memcmp(m.at, text, n) == 0;
}

static const char *copy_text(struct mil_reader *r, struct wire_message m)
{
    return mil_copy(r->p, m.at, (size_t)(m.end - m.at));
}

/* An entry of a map: 1 key, 2 value. */
static void read_map_entry(struct mil_reader *r, struct wire_message m, struct wire_message *key, struct wire_message *value)
{
    struct wire_field f;
    *key = *value = (struct wire_message){m.end, m.end};
    while (wire_next(&m, &f, &r->broken)) {
        if (f.kind != WIRE_BYTES) continue;
        if (f.number == 1) *key = f.bytes;
        if (f.number == 2) *value = f.bytes;
    }
}

/* ---- types ------------------------------------------------------------------------------------------------------------ */

/* Dimension: 1 constant { 1 size } or 2 unknown. */
static enum status read_dimension(struct mil_reader *r, struct wire_message m, int64_t *out)
{
    struct wire_message constant;
    struct wire_field f;
    *out = MIL_UNKNOWN;
    if (!wire_find(m, 1, &constant, &r->broken)) return OK;
    *out = 0;
    while (wire_next(&constant, &f, &r->broken))
        if (f.number == 1 && f.kind == WIRE_VARINT) *out = f.value > INT64_MAX ? INT64_MAX : (int64_t)f.value;
    return OK;
}

static bool is_known_dtype(uint64_t dtype)
{
    static const uint8_t known[] = {MIL_BOOL, MIL_STRING, MIL_F16, MIL_F32, MIL_I8, MIL_I32, MIL_U8, MIL_U4};
    return dtype < 256 && dtype > 0 && memchr(known, (int)dtype, sizeof known);
}

/* TensorType: 1 dataType, 2 rank, 3 dimensions. */
static enum status read_tensor_type(struct mil_reader *r, struct wire_message m, struct mil_type *out)
{
    struct wire_field f;
    uint64_t rank = 0, dtype = 0;
    while (wire_next(&m, &f, &r->broken)) {
        if (f.number == 1 && f.kind == WIRE_VARINT) dtype = f.value;
        if (f.number == 2 && f.kind == WIRE_VARINT) rank = f.value;
        if (f.number != 3 || f.kind != WIRE_BYTES) continue;
        if (out->rank == MIL_RANK_MAX) return mil_refuse(r, E_UNSUPPORTED, "a tensor has more than 6 dimensions");
        TRY(read_dimension(r, f.bytes, &out->dim[out->rank++]));
    }
    if (rank != (uint64_t)out->rank) return mil_refuse(r, E_INPUT, "a tensor's rank is not the number of its dimensions");
    if (!is_known_dtype(dtype)) return mil_refuse(r, E_UNSUPPORTED, "a tensor has a data type that is not read here");
    out->dtype = (enum mil_dtype)dtype;
    return OK;
}

/* ValueType: 1 tensorType, 5 stateType { 1 wrappedType: ValueType }. */
static enum status read_type(struct mil_reader *r, struct wire_message m, struct mil_type *out)
{
    struct wire_message state, tensor;
    *out = (struct mil_type){.rank = 0};
    if (wire_find(m, 5, &state, &r->broken)) {
        out->is_state = true;
        if (!wire_find(state, 1, &m, &r->broken)) return mil_refuse(r, E_INPUT, "a state without a type");
    }
    if (!wire_find(m, 1, &tensor, &r->broken)) return mil_refuse(r, E_UNSUPPORTED, "a value is neither tensor nor state");
    return read_tensor_type(r, tensor, out);
}

/* ---- values ----------------------------------------------------------------------------------------------------------- */

/* Packed varints as i32, or as bytes for bool. */
static enum status read_packed(struct mil_reader *r, struct wire_message m, struct mil_value *v)
{
    size_t most = (size_t)(m.end - m.at), n = 0;
    int32_t *ints = v->type.dtype == MIL_I32 ? mil_alloc(r->p, most * sizeof *ints) : NULL;
    uint8_t *bools = ints ? NULL : mil_alloc(r->p, most);
    uint64_t value;
    if (!ints && !bools) return r->c->status;
    for (; wire_next_varint(&m, &value, &r->broken); n++)
        if (ints)
            ints[n] = (int32_t)(uint32_t)value;
        else
            bools[n] = value != 0;
    v->data = ints ? (void *)ints : bools;
    v->bytes = ints ? n * sizeof *ints : n;
    return OK;
}

/* TensorValue: 1 floats, 2 ints, 3 bools, 4 strings, 7 bytes. */
static enum status read_tensor_value(struct mil_reader *r, struct wire_message m, struct mil_value *v)
{
    enum mil_dtype t = v->type.dtype;
    uint32_t number = t == MIL_F32 ? 1 : t == MIL_I32 ? 2 : t == MIL_BOOL ? 3 : t == MIL_STRING ? 4 : 7;
    struct wire_message list, values;
    int64_t elements = mil_elements(&v->type);
    values = (struct wire_message){m.end, m.end};
    if (!wire_find(m, number, &list, &r->broken)) return mil_refuse(r, E_INPUT, "a constant without values of its type");
    wire_find(list, 1, &values, &r->broken);
    if (t == MIL_STRING) {
        v->text = copy_text(r, values);
        return v->type.rank == 0 ? r->c->status : mil_refuse(r, E_UNSUPPORTED, "a constant of several strings");
    }
    if (t == MIL_I32 || t == MIL_BOOL) {
        TRY(read_packed(r, values, v));
    } else {
        /* a copy, because the file's bytes need not be aligned as floats are */
        v->bytes = (size_t)(values.end - values.at);
        v->data = mil_copy(r->p, values.at, v->bytes);
    }
    if (elements < 0 || v->bytes != mil_bytes(t, elements))
        return mil_refuse(r, E_INPUT, "a constant has another number of values than its shape says");
    return r->c->status;
}

/* BlobFileValue: 1 fileName, 2 offset. There is one file of weights, so its name is not looked at. */
static void read_blob(struct mil_reader *r, struct wire_message m, struct mil_value *v)
{
    struct wire_field f;
    v->in_file = true;
    while (wire_next(&m, &f, &r->broken))
        if (f.number == 2 && f.kind == WIRE_VARINT) v->offset = f.value;
}

/* Value: 2 type, 3 immediateValue { 1 tensor }, 5 blobFileValue. NULL with the failure in the ctx. */
static const struct mil_value *read_value(struct mil_reader *r, struct wire_message m)
{
    struct wire_message type, how, tensor;
    struct mil_value *v = mil_alloc(r->p, sizeof *v);
    if (!v) return NULL;
    if (!wire_find(m, 2, &type, &r->broken)) return mil_refuse(r, E_INPUT, "a constant without a type"), NULL;
    if (read_type(r, type, &v->type) != OK) return NULL;
    if (v->type.is_state || mil_elements(&v->type) < 0)
        return mil_refuse(r, E_INPUT, "a constant whose size is not known"), NULL;
    if (wire_find(m, 5, &how, &r->broken))
        read_blob(r, how, v);
    else if (!wire_find(m, 3, &how, &r->broken) || !wire_find(how, 1, &tensor, &r->broken))
        mil_refuse(r, E_UNSUPPORTED, "a constant that is no tensor");
    else
        read_tensor_value(r, tensor, v);
    return ctx_ok(r->c) ? v : NULL;
}

/* ---- ops -------------------------------------------------------------------------------------------------------------- */

/* NamedValueType: 1 name, 2 type, as a new variable; its number or -1. */
static int read_named(struct mil_reader *r, struct wire_message m)
{
    struct wire_message name, type;
    struct mil_type t;
    read_map_entry(r, m, &name, &type); /* the same numbers of fields */
    if (read_type(r, type, &t) != OK) return -1;
    return mil_add_var(r->p, copy_text(r, name), &t);
}

/* Binding: 1 name or 2 value. */
static enum status read_binding(struct mil_reader *r, struct wire_message m, struct mil_arg *out)
{
    struct wire_message at;
    out->var = -1;
    if (wire_find(m, 1, &at, &r->broken)) {
        out->var = mil_find(r->p, (const char *)at.at, (size_t)(at.end - at.at));
        return out->var >= 0 ? OK : mil_refuse(r, E_INPUT, "an op uses a value that nothing in front of it gives");
    }
    if (!wire_find(m, 2, &at, &r->broken)) return mil_refuse(r, E_INPUT, "an argument is neither name nor value");
    out->value = read_value(r, at);
    return r->c->status;
}

/* The arguments of one key, into `args` (of MIL_ARGS_MAX in all). */
static enum status mil_read_input(struct mil_reader *r, struct wire_message m, struct mil_arg *args, int *n)
{
    struct wire_message key, argument;
    struct wire_field f;
    read_map_entry(r, m, &key, &argument);
    const char *text = copy_text(r, key);
    while (ctx_ok(r->c) && wire_next(&argument, &f, &r->broken)) {
        if (f.number != 1 || f.kind != WIRE_BYTES) continue;
        if (*n == MIL_ARGS_MAX) return mil_refuse(r, E_UNSUPPORTED, "an op has more than 512 arguments");
        args[*n] = (struct mil_arg){.key = text};
        TRY(read_binding(r, f.bytes, &args[(*n)++]));
    }
    return r->c->status;
}

/* Attribute "val" of a const. */
static enum status read_const(struct mil_reader *r, struct wire_message op, int out)
{
    struct wire_field f;
    struct wire_message key, value;
    while (wire_next(&op, &f, &r->broken)) {
        if (f.number != 5 || f.kind != WIRE_BYTES) continue;
        read_map_entry(r, f.bytes, &key, &value);
        if (!same_text(key, "val")) continue;
        r->p->vars[out].value = read_value(r, value);
        if (ctx_ok(r->c) && memcmp(&r->p->vars[out].type, &r->p->vars[out].value->type, sizeof(struct mil_type)) != 0)
            return mil_refuse(r, E_INPUT, "a constant has another type than its value");
        return r->c->status;
    }
    return mil_refuse(r, E_INPUT, "a const without a value");
}

/* Operation: 1 type, 2 inputs, 3 outputs, 4 blocks, 5 attributes. */
static enum status read_op(struct mil_reader *r, struct wire_message m, struct mil_arg *args)
{
    struct wire_message kind = {m.end, m.end}, all = m;
    struct wire_field f;
    int n = 0, out = -1, outputs = 0;
    while (ctx_ok(r->c) && wire_next(&m, &f, &r->broken)) {
        if (f.kind != WIRE_BYTES) continue;
        if (f.number == 1) kind = f.bytes;
        if (f.number == 2) mil_read_input(r, f.bytes, args, &n);
        if (f.number == 4) return mil_refuse(r, E_UNSUPPORTED, "an op with a block of its own");
        if (f.number != 3) continue;
        if (outputs++) return mil_refuse(r, E_UNSUPPORTED, "an op with several results");
        out = read_named(r, f.bytes);
    }
    if (!ctx_ok(r->c) || r->broken) return r->c->status;
    if (same_text(kind, "const"))
        return out >= 0 ? read_const(r, all, out) : mil_refuse(r, E_INPUT, "a const without a name");
    struct mil_op *op = mil_add_op(r->p, copy_text(r, kind), out, n);
    if (op) memcpy(op->args, args, (size_t)n * sizeof *args);
    return r->c->status;
}

/* Block: 2 outputs, 3 operations. */
static enum status read_block(struct mil_reader *r, struct wire_message m)
{
    struct wire_message all = m;
    struct wire_field f;
    struct mil_arg *args = mem_alloc(r->c, MIL_ARGS_MAX, sizeof *args);
    if (!args) return r->c->status;
    while (ctx_ok(r->c) && wire_next(&m, &f, &r->broken))
        if (f.number == 3 && f.kind == WIRE_BYTES) read_op(r, f.bytes, args);
    mem_free(r->c, args);
    while (ctx_ok(r->c) && wire_next(&all, &f, &r->broken)) {
        if (f.number != 2 || f.kind != WIRE_BYTES) continue;
        int var = mil_find(r->p, (const char *)f.bytes.at, (size_t)(f.bytes.end - f.bytes.at));
        if (var < 0 || r->p->n_outputs == MIL_OUTPUTS_MAX)
            return mil_refuse(r, E_INPUT, "an output that no op gives, or more than 64 of them");
        r->p->outputs[r->p->n_outputs++] = var;
    }
    return r->c->status;
}

/* Function: 1 inputs, 2 opset, 3 block_specializations. */
static enum status read_function(struct mil_reader *r, struct wire_message m)
{
    struct wire_message all = m, key, block;
    struct wire_field f;
    int blocks = 0;
    while (ctx_ok(r->c) && wire_next(&m, &f, &r->broken))
        if (f.number == 1 && f.kind == WIRE_BYTES && read_named(r, f.bytes) >= 0) r->p->n_inputs++;
    while (ctx_ok(r->c) && wire_next(&all, &f, &r->broken)) {
        if (f.number != 3 || f.kind != WIRE_BYTES) continue;
        if (blocks++) return mil_refuse(r, E_UNSUPPORTED, "a function for several sets of ops");
        read_map_entry(r, f.bytes, &key, &block);
        read_block(r, block);
    }
    return ctx_ok(r->c) && blocks == 0 ? mil_refuse(r, E_INPUT, "a function without a block") : r->c->status;
}

/* Program: 1 version, 2 functions. */
static enum status read_program(struct mil_reader *r, struct wire_message m)
{
    struct wire_message key, function;
    struct wire_field f;
    int functions = 0;
    while (ctx_ok(r->c) && wire_next(&m, &f, &r->broken)) {
        if (f.number != 2 || f.kind != WIRE_BYTES) continue;
        if (functions++) return mil_refuse(r, E_UNSUPPORTED, "several functions");
        read_map_entry(r, f.bytes, &key, &function);
        read_function(r, function);
    }
    if (ctx_ok(r->c) && (r->broken || functions == 0)) return mil_refuse(r, E_INPUT, "the bytes are no such message");
    return r->c->status;
}

struct mil_program *mil_read(struct ctx *c, const char *name, const uint8_t *bytes, size_t n)
{
    struct mil_reader r = {.p = mil_new(c), .c = c, .name = name};
    if (r.p && read_program(&r, (struct wire_message){bytes, bytes + n}) == OK) return r.p;
    mil_free(r.p);
    return NULL;
}
