/* api_ctx: contexts and errors of your_ai.h. */
#include "api/api.h"

#include "backend/backend_open.h"
#include "base/mem.h"
#include "base/threads.h"
#include "your_ai_array.h"

const char *ya_version(void)
{
    return YA_VERSION;
}

ya_ctx *ya_ctx_new(void)
{
    struct ctx *c = ctx_new(NULL);
    if (!c) return NULL;
    ya_ctx *ctx = mem_alloc(c, 1, sizeof *ctx);
    if (!ctx || array_env_new(c, backend_open(c, NULL)) != OK) {
        mem_free(c, ctx);
        ctx_clear(c);
        ctx_free(c);
        return NULL;
    }
    ctx->c = c;
    return ctx;
}

void ya_ctx_free(ya_ctx *ctx)
{
    if (!ctx) return;
    struct ctx *c = ctx->c;
    while (ctx->arrays) ya_array_free(ctx->arrays);
    array_env_free(c);
    mem_free(c, ctx);
    ctx_clear(c);
    ctx_free(c);
}

int ya_ctx_set_threads(ya_ctx *ctx, int n)
{
    if (!ctx_ok(ctx->c)) return -1;
    if (n < 0) return ctx_fail(ctx->c, E_INPUT, "set_threads: %d is not a number of threads", n), -1;
    return ctx_set_threads(ctx->c, n) == OK ? 0 : -1;
}

const char *ya_error(const ya_ctx *ctx)
{
    return ctx_ok(ctx->c) ? NULL : ctx->c->message;
}

const char *ya_error_kind(const ya_ctx *ctx)
{
    return ctx_ok(ctx->c) ? NULL : status_name(ctx->c->status);
}

void ya_error_clear(ya_ctx *ctx)
{
    ctx_clear(ctx->c);
}
