/* engine_rows: which engine, and its device and arithmetic. */
#include "engine/engine_rows.h"

#include <stdlib.h>
#include <string.h>

#include "engine/mlx/mlx_library.h"
#include "model/model_rows.h"

static bool rows_on_apple_silicon(void)
{
    const char *machine = getenv("YA_TEST_MACHINE");
    if (machine) return strcmp(machine, "apple-silicon") == 0;
#if defined(__APPLE__) && defined(__aarch64__)
    return true;
#else
    return false;
#endif
}

/* What of the options MLX's engine does not have; NULL: nothing. */
static const char *rows_beyond_mlx(const struct engine_rows *r)
{
    if (model_base(r->form) != BASE_AS_IS) return "MLX's engine has no nf4 and int8 base";
    return r->dropout > 0 ? "MLX's engine has no dropout" : NULL;
}

static enum engine_kind rows_choose(struct ctx *c, const struct engine_rows *r)
{
    struct mlx_library_found found = {0};
    if (!rows_on_apple_silicon() || strcmp(*r->device, "auto") != 0) return ENGINE_KIND_NATIVE;
    const char *reason = rows_beyond_mlx(r);
    if (!reason) mlx_library_describe(c, &found);
    if (found.usable) return ENGINE_KIND_MLX;
    ctx_log(c, LOG_INFO, "engine: auto takes native on this Apple silicon: %s", reason ? reason : found.problem);
    return ENGINE_KIND_NATIVE;
}

enum status engine_rows_settle(struct ctx *c, const struct engine_rows *r)
{
    if (*r->kind == ENGINE_KIND_AUTO) *r->kind = rows_choose(c, r);
    if (*r->kind != ENGINE_KIND_MLX) return OK;
    if (strcmp(*r->device, "auto") == 0) *r->device = "cpu";
    if (strncmp(*r->device, "cpu", 3) != 0)
        return ctx_fail(c, E_INPUT, "--device %s: with --engine mlx the device is MLX's own choice; leave --device out",
                        *r->device);
    if ((int)r->form->compute == MODEL_ROWS_AUTO) r->form->compute = COMPUTE_F32;
    return OK;
}
