/* Rows, bad ones fatal and bad ones skipped. */
#include <ctype.h>
#include <string.h>

#include "data/records.h"
#include "fuzz/fuzz.h"

static void read_all(struct ctx *c, const char *path, bool skip)
{
    const char *paths[] = {path};
    struct record row;
    struct records *r = records_open(c, paths, 1, skip, ROW_FORM_AUTO);
    while (r && records_next(r, &row)) {
        if (row.kind != RECORD_MESSAGES) fuzz_read(row.text, row.text_bytes);
        for (size_t i = 0; row.kind == RECORD_MESSAGES && i < row.n_messages; i++) {
            const json_t *content = json_object_get(json_array_get(row.messages, i), "content");
            if (json_is_string(content)) fuzz_read(json_string_value(content), json_string_length(content));
            fuzz_read(&row.codes[i], 1);
        }
    }
    records_close(r);
}

/* Whether the failure is a row's: "PATH:7: ...", and not the whole file's: "PATH: is UTF-16 text". */
static bool is_of_a_row(const struct ctx *c, const char *path)
{
    size_t n = strlen(path);
    return strncmp(c->message, path, n) == 0 && c->message[n] == ':' && isdigit((unsigned char)c->message[n + 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    read_all(c, fuzz_file(data, size), false);
    ctx_clear(c);
    const char *path = fuzz_file(data, size);
    read_all(c, path, true);
    if (!ctx_ok(c) && is_of_a_row(c, path)) __builtin_trap(); /* skipping means that no row is fatal */
    fuzz_check(c, size, 64, 1 << 20);
    ctx_free(c);
    return 0;
}
