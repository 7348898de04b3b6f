/* engine_rows: the option of the commands that may compute with another engine, and what follows from it. */
#ifndef YA_ENGINE_ENGINE_ROWS_H
#define YA_ENGINE_ENGINE_ROWS_H

#include "base/options.h"
#include "engine/engine.h"
#include "model/model.h"

/* S the values struct, M its member of type enum engine_kind. */
#define ENGINE_ROW(S, M, GROUP)                                                                                             \
    CHOICE_ROW(S, M, "engine", 0, "native", ENGINE_CHOICES, GROUP,                                                          \
               "what runs the model: this program, or Apple's MLX through libmlxc (docs/engine_mlx.md)")

/* Before a backend is opened and model_rows_settle: with MLX the adapter stays on the CPU, so a device of "auto" becomes
 * "cpu", and a --compute of auto f32, as what is fastest on this processor says nothing about MLX. E_INPUT for another
 * device. */
enum status engine_rows_settle(struct ctx *c, enum engine_kind kind, const char **device, struct model_options *form);

#endif
