/* mil_write: a program as the message Program of coremltools' MIL.proto. The numbers of fields below are that file's. */
#include <string.h>

#include "export/coreml/mil.h"
#include "io/wire.h"

/* The set of ops that a program is written against: that of specification 9, which iOS 18 and macOS 15 read, the first with
 * states. */
static const char opset[] = "CoreML8";
static const char weights_file[] = "@model_path/weights/weight.bin";

/* ValueType: 1 tensorType { 1 dataType, 2 rank, 3 dimensions { 1 constant { 1 size } | 2 unknown { 1 variadic } } },
 * 5 stateType { 1 wrappedType: ValueType }. */
static void write_type(struct buf *b, uint32_t number, const struct mil_type *t)
{
    size_t value = wire_begin(b, number), state = 0, wrapped = 0;
    if (t->is_state) state = wire_begin(b, 5), wrapped = wire_begin(b, 1);
    size_t tensor = wire_begin(b, 1);
    wire_put_varint(b, 1, t->dtype);
    if (t->rank) wire_put_varint(b, 2, (uint64_t)t->rank);
    for (int i = 0; i < t->rank; i++) {
        size_t dimension = wire_begin(b, 3), kind = wire_begin(b, t->dim[i] < 0 ? 2 : 1);
        if (t->dim[i] >= 0) wire_put_varint(b, 1, (uint64_t)t->dim[i]);
        wire_end(b, kind);
        wire_end(b, dimension);
    }
    wire_end(b, tensor);
    if (t->is_state) wire_end(b, wrapped), wire_end(b, state);
    wire_end(b, value);
}

/* TensorValue: 1 floats, 2 ints, 3 bools, 4 strings, 7 bytes; each a message whose field 1 holds the values, packed. */
static void write_tensor(struct buf *b, const struct mil_value *v)
{
    size_t tensor = wire_begin(b, 1), elements = v->bytes / 4;
    if (v->type.dtype == MIL_STRING) {
        size_t strings = wire_begin(b, 4);
        wire_put_string(b, 1, v->text);
        wire_end(b, strings);
    } else if (v->type.dtype == MIL_I32) {
        const int32_t *ints = v->data;
        size_t list = wire_begin(b, 2), packed = wire_begin(b, 1);
        for (size_t i = 0; i < elements; i++) wire_put_element(b, (uint64_t)(int64_t)ints[i]);
        wire_end(b, packed);
        wire_end(b, list);
    } else {
        size_t list = wire_begin(b, v->type.dtype == MIL_F32 ? 1 : v->type.dtype == MIL_BOOL ? 3 : 7);
        wire_put_bytes(b, 1, v->data, v->bytes);
        wire_end(b, list);
    }
    wire_end(b, tensor);
}

/* Value: 2 type, 3 immediateValue { 1 tensor }, 5 blobFileValue { 1 fileName, 2 offset }. */
static void mil_write_value(struct buf *b, uint32_t number, const struct mil_value *v)
{
    size_t value = wire_begin(b, number);
    write_type(b, 2, &v->type);
    size_t how = wire_begin(b, v->in_file ? 5 : 3);
    if (v->in_file) {
        wire_put_string(b, 1, weights_file);
        wire_put_varint(b, 2, v->offset);
    } else {
        write_tensor(b, v);
    }
    wire_end(b, how);
    wire_end(b, value);
}

/* An entry of a map of values: 1 key, 2 value. */
static void write_attribute(struct buf *b, uint32_t number, const char *key, const struct mil_value *v)
{
    size_t entry = wire_begin(b, number);
    wire_put_string(b, 1, key);
    mil_write_value(b, 2, v);
    wire_end(b, entry);
}

/* Attribute "name" of an op: the name of what it gives, or of the op. */
static void write_name(struct buf *b, const char *name)
{
    write_attribute(b, 5, "name", &(struct mil_value){.type = {.dtype = MIL_STRING}, .text = name});
}

/* NamedValueType: 1 name, 2 type. */
static void mil_write_named(struct buf *b, uint32_t number, const struct mil_var *v)
{
    size_t named = wire_begin(b, number);
    wire_put_string(b, 1, v->name);
    write_type(b, 2, &v->type);
    wire_end(b, named);
}

/* Operation `const`: 1 type, 3 outputs, 5 attributes "name" and "val". */
static void write_const(struct buf *b, const struct mil_var *v)
{
    size_t op = wire_begin(b, 3);
    wire_put_string(b, 1, "const");
    mil_write_named(b, 3, v);
    write_name(b, v->name);
    write_attribute(b, 5, "val", v->value);
    wire_end(b, op);
}

/* An entry of Operation's 2 inputs: 1 key, 2 Argument { 1 arguments { 1 name | 2 value } }. Returns how many arguments have
 * this key. */
static int write_input(struct buf *b, const struct mil_program *p, const struct mil_op *op, int first)
{
    int i = first;
    size_t entry = wire_begin(b, 2);
    wire_put_string(b, 1, op->args[first].key);
    size_t argument = wire_begin(b, 2);
    for (; i < op->n_args && strcmp(op->args[i].key, op->args[first].key) == 0; i++) {
        size_t binding = wire_begin(b, 1);
        if (op->args[i].var >= 0)
            wire_put_string(b, 1, p->vars[op->args[i].var].name);
        else
            mil_write_value(b, 2, op->args[i].value);
        wire_end(b, binding);
    }
    wire_end(b, argument);
    wire_end(b, entry);
    return i - first;
}

static void write_op(struct buf *b, const struct mil_program *p, const struct mil_op *op)
{
    size_t message = wire_begin(b, 3);
    wire_put_string(b, 1, op->kind);
    for (int i = 0; i < op->n_args;) i += write_input(b, p, op, i);
    if (op->out >= 0) mil_write_named(b, 3, &p->vars[op->out]);
    if (op->out >= 0) write_name(b, p->vars[op->out].name);
    wire_end(b, message);
}

/* Block: 2 outputs, 3 operations. All constants come first. */
static void write_block(struct buf *b, uint32_t number, const struct mil_program *p)
{
    size_t block = wire_begin(b, number);
    for (size_t i = 0; i < p->n_outputs; i++) wire_put_string(b, 2, p->vars[p->outputs[i]].name);
    for (size_t i = 0; i < p->n_vars; i++)
        if (p->vars[i].value) write_const(b, &p->vars[i]);
    for (size_t i = 0; i < p->n_ops; i++) write_op(b, p, &p->ops[i]);
    wire_end(b, block);
}

/* Program: 1 version, 2 functions { 1 key, 2 Function { 1 inputs, 2 opset, 3 block_specializations { 1 key, 2 Block } } }.
 */
void mil_write(const struct mil_program *p, struct buf *out)
{
    wire_put_varint(out, 1, 1);
    size_t entry = wire_begin(out, 2);
    wire_put_string(out, 1, "main");
    size_t function = wire_begin(out, 2);
    for (size_t i = 0; i < p->n_inputs; i++) mil_write_named(out, 1, &p->vars[i]);
    wire_put_string(out, 2, opset);
    size_t specialization = wire_begin(out, 3);
    wire_put_string(out, 1, opset);
    write_block(out, 2, p);
    wire_end(out, specialization);
    wire_end(out, function);
    wire_end(out, entry);
}
