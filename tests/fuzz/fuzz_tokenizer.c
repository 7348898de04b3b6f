/* tokenizer.json: the first line of the input is text to encode, the rest is the file. */
/* mutations: 5000 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "io/tokenizer/tokenizer.h"

/* Encoding must not fail, and what it gives must decode. */
static void encode(struct ctx *c, const struct tokenizer *t, const char *text, size_t n)
{
    struct ids ids = {0};
    struct buf out;
    buf_init(&out, c, 1 << 28);
    for (int special = 0; special < 2; special++) {
        ids.n = 0;
        if (tokenizer_encode(c, t, text, n, special, &ids) == OK) tokenizer_decode(c, t, ids.data, ids.n, false, &out);
        ctx_clear(c); /* a vocabulary with holes may refuse some bytes: an error, which is fine */
    }
    buf_release(&out);
    ids_release(c, &ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    const uint8_t *end = memchr(data, '\n', size);
    size_t n_text = end ? (size_t)(end - data) : 0, skip = end ? n_text + 1 : 0;
    struct tokenizer *t = tokenizer_open_json(c, fuzz_file(data + skip, size - skip));
    if (t) encode(c, t, (const char *)data, n_text);
    tokenizer_free(t);
    fuzz_check(c, size, 256, 8 << 20);
    ctx_free(c);
    return 0;
}
