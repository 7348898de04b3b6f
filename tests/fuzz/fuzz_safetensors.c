#include "fuzz/fuzz.h"
#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    struct safetensors *s = safetensors_open(c, fuzz_file(data, size));
    for (size_t i = 0; s && i < safetensors_count(s); i++) {
        const struct tensor_view *t = safetensors_tensor(s, i);
        if (safetensors_find(s, t->name) != t) __builtin_trap();
        fuzz_read(t->data, t->bytes);
    }
    safetensors_close(s);
    fuzz_check(c, size, 16, 8192);
    ctx_free(c);
    return 0;
}
