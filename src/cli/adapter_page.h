/* adapter_page: what the commands that write an adapter have in common: its option rows, writing it as a PEFT folder, and
 * the lines about it. */
#ifndef YA_CLI_ADAPTER_PAGE_H
#define YA_CLI_ADAPTER_PAGE_H

#include "base/options.h"
#include "export/export.h"
#include "model/model_rows.h"

/* Which model the adapters are for. */
struct adapter_base {
    const char *model;
    bool force;
    int64_t threads;
};
#define ADAPTER_BASE_ROWS(S, M)                                                                                             \
    STRING_ROW(S, M.model, "model", 'm', NULL, "MODEL", "Input",                                                            \
               "folder, .gguf file or cached owner/name of the model; without: the one that the run or adapter names"),     \
        FORCE_ADAPTER_ROW(S, M.force, "Input"),                                                                             \
        I64_ROW(S, M.threads, "threads", 't', "0", 0, 1024, "Running", "number of threads; 0: one for each usable core")

/* Starts threads and arrays on the CPU, and opens model and adapter (export_open_with). Close with export_close, also after
 * a failure. */
enum status adapter_page_open(struct export_source *s, struct ctx *c, const struct adapter_base *base, const char *operand);

/* Writes the source's adapter as the PEFT folder `out`, new or empty, opens it again and compares its logits with those of
 * the adapter in memory; prints what was written. `name` is what it calls its base model, NULL for the model's own. */
enum status adapter_page_write(struct export_source *s, const char *out, const char *name);

#endif
