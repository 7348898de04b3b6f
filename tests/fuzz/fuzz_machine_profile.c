#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "measure/machine_profile.h"

/* The profile of a machine; what is accepted is written again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    char *exact = malloc(size ? size : 1);
    struct machine_profile p;
    if (!exact) abort();
    memcpy(exact, data, size);
    if (machine_profile_parse(c, "machine.json", exact, size, &p) == OK) json_decref(machine_profile_json(c, &p));
    free(exact);
    fuzz_check(c, size, 64, 1 << 16);
    ctx_free(c);
    return 0;
}
