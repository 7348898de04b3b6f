/* Expressions: the first line of the input is one, the rest is text to cut by it. The segments must tile the text. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "io/tokenizer/expression.h"

static void cut(struct ctx *c, const struct expression *e, const char *text, size_t n)
{
    struct expression_work work = {0};
    struct expression_cut walk;
    struct expression_segment segment;
    size_t at = 0;
    if (expression_read(c, e, &work, text, n) == OK) {
        expression_cut_start(&walk, e, &work);
        while (expression_cut_next(&walk, &segment)) {
            if (segment.start != at || segment.end < at) abort();
            at = segment.end;
        }
        if (at != n) abort();
    }
    expression_work_release(c, &work);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    const uint8_t *end = memchr(data, '\n', size);
    size_t n = end ? (size_t)(end - data) : size, skip = end ? n + 1 : size;
    struct expression *e = expression_new(c, "fuzz", (const char *)data, n);
    if (e) cut(c, e, (const char *)data + skip, size - skip);
    expression_free(e);
    fuzz_check(c, size, 4096, 24 << 20);
    ctx_free(c);
    return 0;
}
