/* hardware: what a machine has that matters to this program, for people to read. */
#ifndef YA_MEASURE_HARDWARE_H
#define YA_MEASURE_HARDWARE_H

#include "base/host.h"
#include "io/json.h"

enum { HARDWARE_CARDS_MAX = 16, HARDWARE_KERNELS_MAX = 8, HARDWARE_TEXT_BYTES = 256 };

struct hardware {
    char cpu[HOST_NAME_BYTES];
    char system[HARDWARE_TEXT_BYTES]; /* "Linux 6.1.0 x86_64" */
    struct host_cores cores;
    size_t memory, limit, free; /* bytes: physical, of the control groups (0: none), that this process may still take */
    /* Sets of the CPU's kernels that run here, the best first, without "cpu-": what the instruction sets come to. */
    const char *kernels[HARDWARE_KERNELS_MAX];
    int n_kernels;
    char cards[HARDWARE_CARDS_MAX][HARDWARE_TEXT_BYTES]; /* backend_card */
    int n_cards;
    char mlx[HARDWARE_TEXT_BYTES]; /* "0.31.2", or why it is not used */
    bool has_mlx;
};

/* Looks at the machine. Opens the libraries of a card and of MLX where they are installed, and no device. What cannot be
 * found out is left empty; why an installed driver cannot be used is logged to `c`. */
void hardware_find(struct ctx *c, struct hardware *h);

/* All of it as JSON: owner the caller. NULL with E_MEMORY. */
json_t *hardware_json(struct ctx *c, const struct hardware *h);

#endif
