/* backend_open: the list of backends. */
#include "backend/backend_open.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/walled.h"

static struct backend *open_named(struct ctx *c, const char *name, bool counting)
{
    if (!name) name = getenv("YA_DEVICE");
    if (!name || !*name || strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0) return cpu_backend_open(c, NULL, counting);
    if (strncmp(name, "cpu-", 4) == 0) return cpu_backend_open(c, name, counting);
    if (strcmp(name, "walled") == 0)
        return counting ? cpu_backend_open(c, NULL, true) : walled_open(cpu_backend_open(c, NULL, false));
    ctx_fail(c, E_INPUT, "there is no device '%s'; it must be auto, cpu, cpu-NAME or walled", name);
    return NULL;
}

struct backend *backend_open(struct ctx *c, const char *name)
{
    return open_named(c, name, false);
}

struct backend *backend_open_counting(struct ctx *c, const char *name)
{
    return open_named(c, name, true);
}
