/* engine_rows: the option of the commands that may compute with another engine, and what follows from it. */
#ifndef YA_ENGINE_ENGINE_ROWS_H
#define YA_ENGINE_ENGINE_ROWS_H

#include "base/options.h"
#include "engine/engine.h"
#include "model/model.h"

/* S the values struct, M its member of type enum engine_kind. */
#define ENGINE_ROW(S, M, GROUP)                                                                                             \
    CHOICE_ROW(                                                                                                             \
        S, M, "engine", 0, "auto", ENGINE_CHOICES "|auto", GROUP,                                                           \
        "what runs the model: this program, or Apple's MLX through libmlxc (docs/engine_mlx.md); auto: MLX on Apple "       \
        "silicon where it is found, else this program")

/* What the user chose, and what becomes of it. */
struct engine_rows {
    enum engine_kind *kind;
    const char **device;
    struct model_options *form;
    double dropout; /* of a new adapter; 0 where nothing is trained */
};

/* Before a backend is opened and model_rows_settle. *kind AUTO becomes MLX on Apple silicon if libmlxc can be used and
 * nothing was asked for that MLX's engine lacks or that names a device; where it could have been but for one of these, the
 * log says so. Everywhere else it becomes NATIVE. With MLX the adapter stays on the CPU, so a device of "auto" becomes
 * "cpu", and a
 * --compute of auto f32, as what is fastest on this processor says nothing about MLX. E_INPUT for another device.
 *
 * YA_TEST_MACHINE=apple-silicon in the environment stands for such a machine, for tests. */
enum status engine_rows_settle(struct ctx *c, const struct engine_rows *r);

#endif
