/* Parquet files, read as rows. The magic numbers at both ends are put back, as a mutation of them ends the reader at once.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "io/row_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[1 << 14];
    if (size < 12 || size > sizeof bytes) return 0;
    memcpy(bytes, data, size);
    memcpy(bytes, "PAR1", 4);
    memcpy(bytes + size - 4, "PAR1", 4);
    struct ctx *c = ctx_new(NULL);
    struct row_bytes row;
    struct row_file *f = row_file_open(c, fuzz_file(bytes, size));
    while (f && row_file_next(f, &row))
        if (!row.too_long) fuzz_read(row.bytes, row.n);
    row_file_close(f);
    fuzz_check(c, size, 1100, (size_t)400 << 20); /* a row, and pages that expand */
    ctx_free(c);
    return 0;
}
