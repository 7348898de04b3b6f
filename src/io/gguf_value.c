/* gguf_value: reading metadata values. They stand unaligned in the file, so every read assembles bytes; type confusion (a
 * float list stored as bytes, a string where a number is wanted) is refused here, for scalars and for items alike. */
#include "io/gguf.h"

#include <string.h>

#include "base/le.h"

/* Item i of kind at data as an integer; false when the kind is none or the value does not fit. */
static bool load_i64(enum gguf_kind kind, const void *data, uint64_t i, int64_t *out)
{
    const uint8_t *p = data;
    switch (kind) {
    case GGUF_U8:
        *out = p[i];
        return true;
    case GGUF_I8:
        *out = (int8_t)p[i];
        return true;
    case GGUF_U16:
        *out = le_u16(p + 2 * i);
        return true;
    case GGUF_I16:
        *out = (int16_t)le_u16(p + 2 * i);
        return true;
    case GGUF_U32:
        *out = le_u32(p + 4 * i);
        return true;
    case GGUF_I32:
        *out = (int32_t)le_u32(p + 4 * i);
        return true;
    case GGUF_I64:
        *out = (int64_t)le_u64(p + 8 * i);
        return true;
    case GGUF_U64: {
        uint64_t v = le_u64(p + 8 * i);
        if (v > INT64_MAX) return false;
        *out = (int64_t)v;
        return true;
    }
    default:
        return false;
    }
}

/* Item i of kind at data as a double; an integer of any kind counts. */
static bool load_f64(enum gguf_kind kind, const void *data, uint64_t i, double *out)
{
    const uint8_t *p = data;
    int64_t v;
    if (kind == GGUF_F32) {
        uint32_t bits = le_u32(p + 4 * i);
        float f;
        memcpy(&f, &bits, 4);
        *out = f;
        return true;
    }
    if (kind == GGUF_F64) {
        uint64_t bits = le_u64(p + 8 * i);
        memcpy(out, &bits, 8);
        return true;
    }
    if (kind == GGUF_U64) {
        *out = (double)le_u64(p + 8 * i);
        return true;
    }
    if (!load_i64(kind, data, i, &v)) return false;
    *out = (double)v;
    return true;
}

static bool wrong_kind(struct ctx *c, const struct gguf *g, const char *key, const char *expected)
{
    ctx_fail(c, E_INPUT, "%s: \"%s\" is not %s", gguf_path(g), key, expected);
    return false;
}

bool gguf_get_i64(struct ctx *c, const struct gguf *g, const char *key, int64_t *out)
{
    const struct gguf_value *v = gguf_get(g, key);
    if (!v) return false;
    return load_i64(v->kind, v->data, 0, out) || wrong_kind(c, g, key, "an integer below 2^63");
}

bool gguf_get_f64(struct ctx *c, const struct gguf *g, const char *key, double *out)
{
    const struct gguf_value *v = gguf_get(g, key);
    if (!v) return false;
    return load_f64(v->kind, v->data, 0, out) || wrong_kind(c, g, key, "a number");
}

bool gguf_get_bool(struct ctx *c, const struct gguf *g, const char *key, bool *out)
{
    const struct gguf_value *v = gguf_get(g, key);
    if (!v) return false;
    if (v->kind != GGUF_BOOL) return wrong_kind(c, g, key, "a boolean");
    *out = *(const uint8_t *)v->data != 0;
    return true;
}

bool gguf_get_string(struct ctx *c, const struct gguf *g, const char *key, struct gguf_string *out)
{
    const struct gguf_value *v = gguf_get(g, key);
    if (!v) return false;
    if (v->kind != GGUF_STRING) return wrong_kind(c, g, key, "a string");
    *out = (struct gguf_string){v->data, (size_t)v->n};
    return true;
}

/* Whether items of a kind can be read as strings, integers (GGUF_I64) or numbers (GGUF_F64). */
static bool item_is_like(enum gguf_kind kind, enum gguf_kind like)
{
    if (like == GGUF_STRING) return kind == GGUF_STRING;
    if (kind == GGUF_STRING || kind == GGUF_BOOL || kind == GGUF_ARRAY) return false;
    return like == GGUF_F64 || (kind != GGUF_F32 && kind != GGUF_F64);
}

const struct gguf_value *gguf_get_array(struct ctx *c, const struct gguf *g, const char *key, enum gguf_kind like)
{
    const struct gguf_value *v = gguf_get(g, key);
    if (!v) return NULL;
    if (v->kind == GGUF_ARRAY && item_is_like(v->item_kind, like)) return v;
    wrong_kind(c, g, key,
               like == GGUF_STRING ? "an array of strings"
               : like == GGUF_I64  ? "an array of integers"
                                   : "an array of numbers");
    return NULL;
}

/* Whoever asks for an item has asked gguf_get_array before, so a wrong index is a fault of ours. */
static void check_item(const struct gguf_value *v, uint64_t i)
{
    BUG_ON(NULL, v->kind != GGUF_ARRAY, "\"%s\" is not an array", v->key);
    BUG_ON(NULL, i >= v->n, "item %llu of %llu in \"%s\"", (unsigned long long)i, (unsigned long long)v->n, v->key);
}

struct gguf_string gguf_array_string(const struct gguf_value *v, uint64_t i)
{
    check_item(v, i);
    BUG_ON(NULL, v->item_kind != GGUF_STRING, "\"%s\" is not an array of strings", v->key);
    return ((const struct gguf_string *)v->data)[i];
}

int64_t gguf_array_i64(const struct gguf_value *v, uint64_t i)
{
    int64_t out = INT64_MAX;
    check_item(v, i);
    BUG_ON(NULL, !item_is_like(v->item_kind, GGUF_I64), "\"%s\" is not an array of integers", v->key);
    load_i64(v->item_kind, v->data, i, &out); /* leaves INT64_MAX for what does not fit */
    return out;
}

double gguf_array_f64(const struct gguf_value *v, uint64_t i)
{
    double out = 0;
    check_item(v, i);
    BUG_ON(NULL, !item_is_like(v->item_kind, GGUF_F64), "\"%s\" is not an array of numbers", v->key);
    load_f64(v->item_kind, v->data, i, &out);
    return out;
}
