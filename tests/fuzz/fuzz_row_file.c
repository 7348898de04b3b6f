/* Files of rows in every shape and packing, as far as their rows' bytes: one by one, and by batches, which must be the same
 * rows. */
#include "fuzz/fuzz.h"
#include "io/row_file.h"
#include "io/row_line.h"

/* A sum over rows that says where they begin and what they are, without the white space at their ends. */
static uint64_t mix(uint64_t sum, int64_t number, const char *bytes, size_t n)
{
    while (n > 0 && (bytes[n - 1] == ' ' || bytes[n - 1] == '\t' || bytes[n - 1] == '\r' || bytes[n - 1] == '\n')) n--;
    sum = (sum ^ (uint64_t)number) * 0x100000001b3;
    for (size_t i = 0; i < n; i++) sum = (sum ^ (uint8_t)bytes[i]) * 0x100000001b3;
    return sum;
}

static uint64_t read_batches(struct ctx *c, const char *path)
{
    struct row_batch batch = {0};
    uint64_t sum = 1;
    struct row_file *f = row_file_open(c, path);
    while (f && row_file_fill(f, &batch) == OK && batch.n_spans > 0)
        for (size_t i = 0; i < batch.n_spans; i++) {
            const struct row_span *s = &batch.spans[i];
            const char *bytes = batch.bytes + s->at;
            size_t at = 0, row_at = 0, n = s->n;
            while (s->is_line ? row_line_next(bytes, s->n, &at, &row_at, &n) : at++ == 0)
                sum = mix(sum, s->row, bytes + row_at, n);
        }
    row_file_close(f);
    row_batch_release(c, &batch);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    struct row_bytes row;
    uint64_t sum = 1;
    bool too_long = false;
    const char *path = fuzz_file(data, size);
    struct row_file *f = row_file_open(c, path);
    while (f && row_file_next(f, &row)) {
        too_long |= row.too_long;
        if (!row.too_long) sum = mix(sum, row.row, row.bytes, row.n);
        if (row.row < 1) __builtin_trap();
    }
    row_file_close(f);
    bool whole = ctx_ok(c);
    ctx_clear(c);
    uint64_t by_batches = read_batches(c, path);
    if (!too_long && (whole != ctx_ok(c) || (whole && sum != by_batches))) __builtin_trap();
    /* Some bytes of a packed file may stand for a row of any length up to the limit. */
    fuzz_check(c, size, 4, (size_t)ROW_FILE_MAX_BYTES * 2 + (32 << 20));
    ctx_free(c);
    return 0;
}
