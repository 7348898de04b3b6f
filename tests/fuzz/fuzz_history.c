#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "runs/find_lr.h"
#include "runs/verdict.h"

/* Either file of a run's history; what is accepted is judged too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    char *exact = malloc(size ? size : 1);
    if (!exact) abort();
    memcpy(exact, data, size);
    struct history h = {.c = c};
    if (history_add_metrics(&h, "metrics.jsonl", exact, size) == OK) {
        struct verdict_options o = {.total_steps = 100, .patience = 2, .eval_every = 1, .lr = 1};
        verdict_of(&h, &o);
        find_lr_of(&h);
    }
    history_release(&h);
    ctx_clear(c);
    history_add_timing(&h, "timing.jsonl", exact, size);
    history_release(&h);
    free(exact);
    fuzz_check(c, size, 512, 1 << 17);
    ctx_free(c);
    return 0;
}
