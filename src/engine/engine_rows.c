/* engine_rows: settles device and arithmetic for an engine. */
#include "engine/engine_rows.h"

#include <string.h>

#include "model/model_rows.h"

enum status engine_rows_settle(struct ctx *c, enum engine_kind kind, const char **device, struct model_options *form)
{
    if (kind != ENGINE_KIND_MLX) return OK;
    if (strcmp(*device, "auto") == 0) *device = "cpu";
    if (strncmp(*device, "cpu", 3) != 0)
        return ctx_fail(c, E_INPUT, "--device %s: with --engine mlx the device is MLX's own choice; leave --device out",
                        *device);
    if ((int)form->compute == MODEL_ROWS_AUTO) form->compute = COMPUTE_F32;
    return OK;
}
