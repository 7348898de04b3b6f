/* Files of rows in every shape and packing, as far as their rows' bytes. */
#include "fuzz/fuzz.h"
#include "io/row_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    struct row_bytes row;
    struct row_file *f = row_file_open(c, fuzz_file(data, size));
    while (f && row_file_next(f, &row)) {
        if (!row.too_long) fuzz_read(row.bytes, row.n);
        if (row.row < 1) __builtin_trap();
    }
    row_file_close(f);
    /* Some bytes of a packed file may stand for a row of any length up to the limit. */
    fuzz_check(c, size, 4, (size_t)ROW_FILE_MAX_BYTES * 2 + (1 << 20));
    ctx_free(c);
    return 0;
}
