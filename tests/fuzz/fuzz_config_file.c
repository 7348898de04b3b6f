/* A configuration file: whatever it is, it is refused with its place or gives values, and what is printed from them reads
 * back as the same values. */
#include <stdlib.h>
#include <string.h>

#include "cli/config_file.h"
#include "fuzz/fuzz.h"
#include "train/train_options.h"

enum { PRINTED_BYTES = 1 << 22 };

/* Reads n bytes into values; false when they are refused. */
static bool read_values(struct ctx *c, const char *bytes, size_t n, struct config_file *f, struct train_values *v,
                        bool *given)
{
    if (options_default(c, &train_table, v) != OK) __builtin_trap();
    if (config_file_parse(f, c, &train_table, "config", bytes, n) != OK) return false;
    return config_file_apply(f, &train_table, v, given) == OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    struct config_file one, two;
    struct train_values v = {0}, w = {0};
    bool given[OPTION_MAX_SPECS] = {false}, again[OPTION_MAX_SPECS] = {false};
    struct buf text, printed;
    buf_init(&text, c, PRINTED_BYTES);
    buf_init(&printed, c, PRINTED_BYTES);
    if (read_values(c, (const char *)data, size, &one, &v, given)) {
        config_file_print(&train_table, &v, given, &text);
        if (!read_values(c, buf_str(&text), text.len, &two, &w, again)) __builtin_trap();
        config_file_print(&train_table, &w, given, &printed);
        if (strcmp(buf_str(&text), buf_str(&printed)) != 0) __builtin_trap();
        config_file_release(&two);
    }
    config_file_release(&one);
    buf_release(&text);
    buf_release(&printed);
    fuzz_check(c, size, 64, 1 << 20);
    ctx_free(c);
    return 0;
}
