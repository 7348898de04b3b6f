/* checkpoint_parts: what the files that write and read checkpoints share. */
#ifndef YA_TRAIN_CHECKPOINT_PARTS_H
#define YA_TRAIN_CHECKPOINT_PARTS_H

#include <stdio.h>

#include "engine/engine.h"

enum { CHECKPOINT_NAME_BYTES = 96 };

/* "layers.3.self_attn.q_proj.lora_A.exp_avg" for the first moment of parameter i of the engine, ".exp_avg_sq" for the
 * second. */
static inline void checkpoint_moment_name(const struct engine *e, size_t i, bool second, char *out)
{
    const struct lora_module *m = &e->lora->modules[i / 2];
    snprintf(out, CHECKPOINT_NAME_BYTES, "layers.%lld.%s.lora_%c.%s", (long long)m->layer, lora_place_path[m->place],
             i % 2 ? 'B' : 'A', second ? "exp_avg_sq" : "exp_avg");
}

/* Puts a finished temporary folder in the place of `final`. An older folder there moves to `aside` first and is deleted
 * last: a crash in between leaves both complete. E_IO. */
enum status checkpoint_replace(struct ctx *c, const char *temporary, const char *final, const char *aside);

#endif
