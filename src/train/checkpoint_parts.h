/* checkpoint_parts: what the files that write and read checkpoints share. */
#ifndef YA_TRAIN_CHECKPOINT_PARTS_H
#define YA_TRAIN_CHECKPOINT_PARTS_H

#include "engine/engine.h"

/* A file of values of all parameters: the adapter, as PEFT names its tensors, and the moments, called
 * "layers.3.self_attn.q_proj.lora_A.exp_avg" and "...exp_avg_sq". */
struct checkpoint_file {
    const char *name;
    size_t n_sets;
    struct parameter_set sets[2]; /* `which` is an enum engine_values */
};
/* The adapter, and the moments. */
enum { CHECKPOINT_VALUE_FILES = 2 };
extern const struct checkpoint_file checkpoint_value_file[CHECKPOINT_VALUE_FILES];

/* Puts a finished temporary folder in the place of `final`. An older folder there moves to `aside` first and is deleted
 * last: a crash in between leaves both complete. E_IO. */
enum status checkpoint_replace(struct ctx *c, const char *temporary, const char *final, const char *aside);

#endif
