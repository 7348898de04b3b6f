#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "io/json.h"

/* What is accepted must write, read back, and write to the same text again (json_equal knows no keys with U+0000). */
static void round_trip(struct ctx *c, const json_t *doc, bool pretty)
{
    struct buf first, second;
    buf_init(&first, c, 1 << 28);
    buf_init(&second, c, 1 << 28);
    if (json_write(c, doc, pretty, &first) != OK) __builtin_trap();
    json_t *again = json_parse(c, "again", buf_str(&first), first.len);
    if (!again || json_write(c, again, pretty, &second) != OK) __builtin_trap();
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0) __builtin_trap();
    json_decref(again);
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    char *exact = malloc(size ? size : 1);
    if (!exact) abort();
    memcpy(exact, data, size);
    json_t *doc = json_parse(c, "fuzz", exact, size);
    if (doc) {
        round_trip(c, doc, false);
        round_trip(c, doc, true);
    }
    json_decref(doc);
    free(exact);
    fuzz_check(c, size, 512, 65536); /* indentation: 128 levels of two spaces a value */
    ctx_free(c);
    return 0;
}
