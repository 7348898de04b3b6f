/* hardware: see hardware.h. */
#include "measure/hardware.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "backend/backend_open.h"
#include "engine/mlx/mlx_library.h"
#include "train/planner.h"

/* The tuned sets of kernels, best first, of all processors: which of them run is the backend's to say. */
static const char *const hardware_kernels[] = {"amx",  "avx512bf16", "avx512vnni", "avx512",
                                               "avx2", "neon-dot",   "neon",       "portable"};
_Static_assert(sizeof hardware_kernels / sizeof hardware_kernels[0] <= HARDWARE_KERNELS_MAX, "room for all");

/* A counting backend takes no memory and starts no threads. */
static void find_kernels(struct hardware *h)
{
    for (size_t i = 0; i < sizeof hardware_kernels / sizeof hardware_kernels[0]; i++) {
        char name[32];
        struct ctx *c = ctx_new(NULL);
        if (!c) return;
        snprintf(name, sizeof name, "cpu-%s", hardware_kernels[i]);
        struct backend *b = backend_open_counting(c, name);
        if (b) {
            h->kernels[h->n_kernels++] = hardware_kernels[i];
            b->close(b);
        }
        ctx_clear(c); /* an instruction set that is missing is an answer */
        ctx_free(c);
    }
}

static void find_mlx(struct ctx *c, struct hardware *h)
{
    struct mlx_library_found found;
    mlx_library_describe(c, &found);
    h->has_mlx = found.usable;
    snprintf(h->mlx, sizeof h->mlx, "%.*s", HARDWARE_TEXT_BYTES - 1, found.usable ? found.version : found.problem);
}

void hardware_find(struct ctx *c, struct hardware *h)
{
    struct utsname u;
    *h = (struct hardware){.cores = host_cores(""), .memory = host_memory_bytes(""), .limit = host_memory_limit("")};
    host_cpu_name(h->cpu);
    if (uname(&u) == 0) snprintf(h->system, sizeof h->system, "%.80s %.80s %.80s", u.sysname, u.release, u.machine);
    h->free = plan_free_bytes("", 0);
    find_kernels(h);
    while (h->n_cards < HARDWARE_CARDS_MAX &&
           backend_card(h->n_cards ? NULL : c, h->n_cards, h->cards[h->n_cards], sizeof h->cards[0]))
        h->n_cards++;
    find_mlx(c, h);
}

json_t *hardware_json(struct ctx *c, const struct hardware *h)
{
    json_t *kernels = json_array(), *cards = json_array();
    for (int i = 0; i < h->n_kernels; i++) json_array_append_new(kernels, json_string(h->kernels[i]));
    for (int i = 0; i < h->n_cards; i++) json_array_append_new(cards, json_string(h->cards[i]));
    json_t *o = json_pack("{s:s, s:s, s:i, s:i, s:f, s:I, s:I, s:o, s:o, s:b, s:s}", "cpu", h->cpu, "system", h->system,
                          "cores", h->cores.machine, "cores_allowed", h->cores.allowed, "cores_quota", h->cores.quota,
                          "memory_bytes", (json_int_t)h->memory, "memory_limit_bytes", (json_int_t)h->limit, "kernels",
                          kernels, "cards", cards, "mlx_found", h->has_mlx, "mlx", h->mlx);
    if (!o) ctx_fail(c, E_MEMORY, "no memory for the machine's description");
    if (o && h->free != SIZE_MAX) json_object_set_new(o, "memory_free_bytes", json_integer((json_int_t)h->free));
    return o;
}
