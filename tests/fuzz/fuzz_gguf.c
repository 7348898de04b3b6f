#include "array/codec/quant.h"
#include "fuzz/fuzz.h"
#include "io/gguf.h"

/* Reads every item of a value in every way that its kind allows. */
static void read_value(struct ctx *c, const struct gguf *g, const struct gguf_value *v)
{
    struct gguf_string s;
    int64_t i64;
    double f64;
    bool b;
    if (gguf_get_string(c, g, v->key, &s)) fuzz_read(s.data, s.n);
    gguf_get_i64(c, g, v->key, &i64);
    gguf_get_f64(c, g, v->key, &f64);
    gguf_get_bool(c, g, v->key, &b);
    ctx_clear(c);
    for (uint64_t i = 0; v->kind == GGUF_ARRAY && i < v->n; i++) {
        if (v->item_kind == GGUF_STRING) {
            s = gguf_array_string(v, i);
            fuzz_read(s.data, s.n);
        } else if (v->item_kind != GGUF_BOOL) {
            f64 = gguf_array_f64(v, i);
            fuzz_read(&f64, sizeof f64);
        }
    }
}

/* Widens a tensor of weights, 1,024 elements at a time. */
static void widen(const struct tensor_view *t)
{
    enum { STEP = 1024 };
    const struct tensor_type_info *info = tensor_type_info(t->type);
    int64_t n = (int64_t)(t->bytes / (size_t)info->bytes) * info->block;
    float x[STEP];
    for (int64_t i = 0; quant_is_weight_type(t->type) && i < n; i += STEP) {
        int64_t some = n - i < STEP ? n - i : STEP;
        quant_to_f32(t->type, (const uint8_t *)t->data + i / info->block * info->bytes, x, some);
        fuzz_read(x, (size_t)some * sizeof *x);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    struct gguf *g = gguf_open(c, fuzz_file(data, size));
    for (size_t i = 0; g && i < gguf_value_count(g); i++) read_value(c, g, gguf_value(g, i));
    for (size_t i = 0; g && i < gguf_tensor_count(g); i++) {
        const struct tensor_view *t = gguf_tensor(g, i);
        if (gguf_find(g, t->name) != t) __builtin_trap();
        fuzz_read(t->data, t->bytes);
        widen(t);
    }
    gguf_close(g);
    fuzz_check(c, size, 16, 65536);
    ctx_free(c);
    return 0;
}
