#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "runs/samples.h"

/* Answers of a run before and after its training. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    char *exact = malloc(size ? size : 1);
    struct samples s;
    if (!exact) abort();
    memcpy(exact, data, size);
    samples_parse(c, "samples.json", exact, size, &s);
    samples_release(&s);
    free(exact);
    fuzz_check(c, size, 64, 1 << 16);
    ctx_free(c);
    return 0;
}
