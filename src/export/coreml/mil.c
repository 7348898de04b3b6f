/* mil: see mil.h. Names, arguments and constants are carved from chunks that are freed with the program. */
#include "export/coreml/mil.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/map.h"
#include "base/mem.h"

enum { CHUNK_BYTES = 16 << 10, CHUNK_ALIGN = 8, VARS_MAX = 1 << 20 };

struct mil_chunk {
    struct mil_chunk *next;
    size_t used, bytes;
    uint64_t data[]; /* as words, for alignment */
};

struct mil_program *mil_new(struct ctx *c)
{
    struct mil_program *p = mem_alloc(c, 1, sizeof *p);
    if (!p) return NULL;
    p->c = c;
    p->names = map_new(c, 0);
    if (p->names) return p;
    mil_free(p);
    return NULL;
}

void mil_free(struct mil_program *p)
{
    if (!p) return;
    for (struct mil_chunk *at = p->chunks, *next; at; at = next) {
        next = at->next;
        mem_free(p->c, at);
    }
    map_free(p->names);
    mem_free(p->c, p->vars);
    mem_free(p->c, p->ops);
    mem_free(p->c, p);
}

void *mil_alloc(struct mil_program *p, size_t n)
{
    size_t bytes = (n + CHUNK_ALIGN - 1) / CHUNK_ALIGN * CHUNK_ALIGN;
    struct mil_chunk *at = p->chunks;
    if (!at || bytes > at->bytes - at->used) {
        size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        at = mem_alloc(p->c, 1, sizeof *at + size);
        if (!at) return NULL;
        at->next = p->chunks;
        at->bytes = size;
        p->chunks = at;
    }
    void *out = (uint8_t *)at->data + at->used;
    at->used += bytes;
    return out;
}

const char *mil_copy(struct mil_program *p, const void *text, size_t n)
{
    char *out = mil_alloc(p, n + 1);
    if (out) memcpy(out, text, n);
    return out;
}

int mil_add_var(struct mil_program *p, const char *name, const struct mil_type *type)
{
    bool was_there = false;
    if (!name || !ctx_ok(p->c)) return -1;
    if (p->n_vars == p->most_vars) {
        size_t most = 2 * p->most_vars + 64;
        if (most > VARS_MAX) return ctx_fail(p->c, E_INPUT, "an ML program has more than %d values", VARS_MAX), -1;
        struct mil_var *vars = mem_resize(p->c, p->vars, p->most_vars, most, sizeof *vars);
        if (!vars) return -1;
        p->vars = vars;
        p->most_vars = most;
    }
    if (map_put(p->names, name, strlen(name), p->n_vars, &was_there) != OK) return -1;
    if (was_there) return ctx_fail(p->c, E_INPUT, "ML program: two values are called %.80s", name), -1;
    p->vars[p->n_vars] = (struct mil_var){.name = name, .type = *type};
    return (int)p->n_vars++;
}

struct mil_op *mil_add_op(struct mil_program *p, const char *kind, int out, int n_args)
{
    if (!kind || !ctx_ok(p->c)) return NULL;
    if (p->n_ops == p->most_ops) {
        size_t most = 2 * p->most_ops + 64;
        struct mil_op *ops = mem_resize(p->c, p->ops, p->most_ops, most, sizeof *ops);
        if (!ops) return NULL;
        p->ops = ops;
        p->most_ops = most;
    }
    struct mil_arg *args = mil_alloc(p, (size_t)n_args * sizeof *args);
    if (!args) return NULL;
    p->ops[p->n_ops] = (struct mil_op){.kind = kind, .out = out, .args = args, .n_args = n_args};
    return &p->ops[p->n_ops++];
}

int mil_find(const struct mil_program *p, const char *name, size_t n)
{
    uint64_t at;
    return map_get(p->names, name, n, &at) ? (int)at : -1;
}

const struct mil_arg *mil_arg_of(const struct mil_op *op, const char *key)
{
    for (int i = 0; i < op->n_args; i++)
        if (strcmp(op->args[i].key, key) == 0) return &op->args[i];
    return NULL;
}

size_t mil_bytes(enum mil_dtype dtype, int64_t elements)
{
    size_t n = (size_t)elements;
    switch (dtype) {
    case MIL_BOOL:
    case MIL_I8:
    case MIL_U8:
        return n;
    case MIL_F16:
        return 2 * n;
    case MIL_F32:
    case MIL_I32:
        return 4 * n;
    case MIL_U4:
        return (n + 1) / 2;
    case MIL_STRING:
        break;
    }
    return 0;
}

int64_t mil_elements(const struct mil_type *type)
{
    int64_t n = 1;
    bool empty = false;
    for (int i = 0; i < type->rank; i++) {
        empty |= type->dim[i] == 0;
        if (type->dim[i] < 0 || (type->dim[i] > 0 && !checked_mul_i64(n, type->dim[i], &n)) || n > (int64_t)1 << 40)
            return -1;
    }
    return empty ? 0 : n;
}

static const char *dtype_text(enum mil_dtype dtype)
{
    switch (dtype) {
    case MIL_BOOL:
        return "bool";
    case MIL_STRING:
        return "string";
    case MIL_F16:
        return "f16";
    case MIL_F32:
        return "f32";
    case MIL_I8:
        return "i8";
    case MIL_I32:
        return "i32";
    case MIL_U8:
        return "u8";
    case MIL_U4:
        return "u4";
    }
    return "?";
}

const char *mil_type_text(const struct mil_type *type, char out[MIL_TYPE_TEXT])
{
    int n = snprintf(out, MIL_TYPE_TEXT, "%s (", dtype_text(type->dtype));
    for (int i = 0; i < type->rank && n < MIL_TYPE_TEXT; i++) {
        const char *comma = i ? ", " : "";
        if (type->dim[i] < 0)
            n += snprintf(out + n, (size_t)(MIL_TYPE_TEXT - n), "%s?", comma);
        else
            n += snprintf(out + n, (size_t)(MIL_TYPE_TEXT - n), "%s%lld", comma, (long long)type->dim[i]);
    }
    if (n < MIL_TYPE_TEXT) snprintf(out + n, (size_t)(MIL_TYPE_TEXT - n), ")");
    return out;
}
