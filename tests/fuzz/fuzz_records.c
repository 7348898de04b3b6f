/* JSONL rows, bad ones fatal and bad ones skipped. */
#include "data/records.h"
#include "fuzz/fuzz.h"

static void read_all(struct ctx *c, const char *path, bool skip)
{
    const char *paths[] = {path};
    struct record row;
    struct records *r = records_open(c, paths, 1, skip);
    while (r && records_next(r, &row)) {
        if (row.kind != RECORD_MESSAGES) fuzz_read(row.text, row.text_bytes);
        for (size_t i = 0; row.kind == RECORD_MESSAGES && i < row.n_messages; i++) {
            fuzz_read(row.messages[i].content, row.messages[i].content_bytes);
        }
    }
    records_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    read_all(c, fuzz_file(data, size), false);
    ctx_clear(c);
    read_all(c, fuzz_file(data, size), true);
    if (!ctx_ok(c)) __builtin_trap(); /* skipping means that nothing is fatal */
    fuzz_check(c, size, 64, 1 << 20);
    ctx_free(c);
    return 0;
}
