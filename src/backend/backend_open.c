/* backend_open: the list of backends. */
#include "backend/backend_open.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/walled.h"

#ifdef YA_HAVE_CUDA
#include "backend/cuda/cuda_backend.h"
#else
/* Stands for CUDA in a program built without it: there are no cards. `told`: the ctx whose log is told why a card that is
 * there cannot be used, or NULL. */
static int cuda_count(struct ctx *told)
{
    (void)told;
    return 0;
}

static bool cuda_card(int index, char *out, size_t out_bytes)
{
    (void)index, (void)out, (void)out_bytes;
    return false;
}

/* The same: opening one fails with what to do. */
static struct backend *cuda_backend_open(struct ctx *c, int index, bool counting)
{
    (void)index, (void)counting;
    ctx_fail(c, E_UNSUPPORTED, "this program was built without CUDA (YA_CUDA): use --device cpu");
    return NULL;
}
#endif

/* The card's number in "cuda" (0) or "cuda:N", N of at most three digits so that strtol cannot overflow; -1 when the name is
 * neither. */
static int cuda_index(const char *name)
{
    if (strncmp(name, "cuda", 4) != 0) return -1;
    if (name[4] == '\0') return 0;
    if (name[4] != ':' || !isdigit((unsigned char)name[5]) || strlen(name) > 8) return -1;
    char *end;
    long index = strtol(name + 5, &end, 10);
    return *end == '\0' ? (int)index : -1;
}

/* What a name, YA_DEVICE or the machine says, in this order. A counting backend is opened beside one that runs, whose
 * opening has already logged why a card cannot be used: it logs nothing. */
static struct backend *open_named(struct ctx *c, const char *name, bool counting)
{
    if (!name || !*name || strcmp(name, "auto") == 0) name = getenv("YA_DEVICE");
    if (!name || !*name || strcmp(name, "auto") == 0) name = cuda_count(counting ? NULL : c) > 0 ? "cuda" : "cpu";
    if (strcmp(name, "cpu") == 0) return cpu_backend_open(c, NULL, counting);
    if (strncmp(name, "cpu-", 4) == 0) return cpu_backend_open(c, name, counting);
    if (cuda_index(name) >= 0) return cuda_backend_open(c, cuda_index(name), counting);
    if (strcmp(name, "walled") == 0)
        return counting ? cpu_backend_open(c, NULL, true) : walled_open(cpu_backend_open(c, NULL, false));
    ctx_fail(c, E_INPUT, "there is no device '%s'; it must be auto, cpu, cpu-NAME, cuda, cuda:N or walled", name);
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

bool backend_card(struct ctx *told, int index, char *out, size_t out_bytes)
{
    return index < cuda_count(told) && cuda_card(index, out, out_bytes);
}

bool backend_is(const struct backend *b, const char *name)
{
    if (!name || strcmp(name, "auto") == 0) return true;
    if (strcmp(name, "cpu") == 0) return strncmp(b->device, "cpu-", 4) == 0;
    return strcmp(strcmp(name, "cuda") == 0 ? "cuda:0" : name, b->device) == 0;
}
