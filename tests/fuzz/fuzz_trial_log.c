#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "measure/trial_log.h"

/* A file of measurements. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    char *exact = malloc(size ? size : 1);
    struct trial_log log = {.c = c};
    if (!exact) abort();
    memcpy(exact, data, size);
    if (trial_log_parse(&log, "log.jsonl", exact, size) == OK) trial_log_find(&log, "a");
    trial_log_release(&log);
    free(exact);
    fuzz_check(c, size, 512, 1 << 17);
    ctx_free(c);
    return 0;
}
