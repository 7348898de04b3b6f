/* tokenizer.model: the first line of the input is text to encode, the rest is the file. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "io/tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    const uint8_t *end = memchr(data, '\n', size);
    size_t n_text = end ? (size_t)(end - data) : 0, skip = end ? n_text + 1 : 0;
    struct tokenizer *t = tokenizer_open_proto(c, fuzz_file(data + skip, size - skip));
    if (t) {
        struct ids ids = {0};
        struct token_spans spans = {0};
        struct buf out;
        buf_init(&out, c, 1 << 28);
        if (tokenizer_encode_spans(c, t, (const char *)data, n_text, true, &ids, &spans) == OK)
            tokenizer_decode_text(c, t, ids.data, ids.n, false, &out);
        buf_release(&out);
        ids_release(c, &ids);
        token_spans_release(c, &spans);
        ctx_clear(c);
    }
    tokenizer_free(t);
    fuzz_check(c, size, 256, 8 << 20);
    ctx_free(c);
    return 0;
}
