/* api_ctx: contexts, errors and the list of handles. A ya_ctx owns everything that was made with it: handles stand on a
 * list, and ya_ctx_free frees those that the host forgot, the newest first, because newer ones may refer to older ones. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "backend/backend_open.h"
#include "base/mem.h"
#include "base/threads.h"
#include "your_ai_array.h"

_Static_assert((int)YA_LOG_DEBUG == LOG_DEBUG && (int)YA_LOG_INFO == LOG_INFO && (int)YA_LOG_WARN == LOG_WARN,
               "the public levels are the ctx's");

const char *ya_version(void)
{
    return YA_VERSION;
}

/* ---- hooks -------------------------------------------------------------------------------------------------------- */

/* The ya_ctx is the `user` of the inner ctx's hooks, which pass on to the host's. */
static void *pass_alloc(void *user, void *old, size_t bytes)
{
    const ya_ctx *ctx = user;
    if (ctx->hooks.alloc) return ctx->hooks.alloc(ctx->hooks.user, old, bytes);
    if (bytes > 0) return realloc(old, bytes);
    free(old);
    return NULL;
}

/* Hands a line of the log to the host. */
static void pass_log(void *user, enum log_level level, const char *message)
{
    const ya_ctx *ctx = user;
    ctx->hooks.log(ctx->hooks.user, (ya_log_level)level, message);
}

/* Hands a fault of ours to the host, whose hook may leave by longjmp. */
static void pass_panic(void *user, const char *message)
{
    const ya_ctx *ctx = user;
    ctx->hooks.panic(ctx->hooks.user, message);
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

/* Frees the inner ctx, which may hold a failure. */
static void ctx_close(ya_ctx *ctx)
{
    if (ctx->c) {
        ctx_clear(ctx->c);
        ctx_free(ctx->c);
    }
    pass_alloc(ctx, ctx, 0);
}

ya_ctx *ya_ctx_new(const ya_hooks *hooks)
{
    ya_ctx first = {0};
    if (hooks) first.hooks = *hooks;
    ya_ctx *ctx = pass_alloc(&first, NULL, sizeof *ctx);
    if (!ctx) return NULL;
    *ctx = first;
    ctx->c = ctx_new(&(struct ctx_hooks){.user = ctx,
                                         .alloc = pass_alloc,
                                         .log = first.hooks.log ? pass_log : NULL,
                                         .panic = first.hooks.panic ? pass_panic : NULL});
    /* Arrays need rows that only the CPU's backend has all of: a card is taken when it is asked for, not where it is. */
    const char *device = getenv("YA_DEVICE");
    if (ctx->c && array_env_new(ctx->c, backend_open(ctx->c, device && *device ? device : "cpu")) == OK) return ctx;
    ctx_close(ctx);
    return NULL;
}

void ya_ctx_free(ya_ctx *ctx)
{
    if (!ctx) return;
    if (api_alive(ctx)) {
        while (ctx->objects) api_object_free(ctx->objects);
        while (ctx->arrays) ya_array_free(ctx->arrays);
        array_env_free(ctx->c);
    }
    ctx_close(ctx);
}

int ya_ctx_set_threads(ya_ctx *ctx, int n)
{
    if (!api_enter(ctx, "ya_ctx_set_threads")) return -1;
    if (n < 0) return ctx_fail(ctx->c, E_INPUT, "set_threads: %d is not a number of threads", n), -1;
    return ctx_set_threads(ctx->c, n) == OK ? 0 : -1;
}

const char *ya_error(const ya_ctx *ctx)
{
    if (!ctx) return "there is no ctx: ya_ctx_new had no memory, or YA_CPU names kernels that this machine cannot run";
    return ctx_ok(ctx->c) ? NULL : ctx->c->message;
}

const char *ya_error_kind(const ya_ctx *ctx)
{
    if (!ctx) return "memory";
    return ctx_ok(ctx->c) ? NULL : status_name(ctx->c->status);
}

void ya_error_clear(ya_ctx *ctx)
{
    if (ctx) ctx_clear(ctx->c);
}

/* ---- handles ------------------------------------------------------------------------------------------------------ */

bool api_usable(const ya_ctx *ctx)
{
    return ctx && ctx_ok(ctx->c);
}

bool api_enter(ya_ctx *ctx, const char *call)
{
    if (!api_usable(ctx)) return false;
    if (ctx->busy) ctx_fail(ctx->c, E_UNSUPPORTED, "%s was called from inside a callback of the same ctx", call);
    return !ctx->busy;
}

void *api_object_new(ya_ctx *ctx, size_t bytes, void (*release)(struct api_object *))
{
    struct api_object *o = mem_alloc(ctx->c, 1, bytes);
    if (!o) return NULL;
    *o = (struct api_object){.ctx = ctx, .next = ctx->objects, .release = release};
    if (o->next) o->next->previous = o;
    ctx->objects = o;
    return o;
}

void api_object_free(struct api_object *o)
{
    if (!o || !api_alive(o->ctx)) return;
    ya_ctx *ctx = o->ctx;
    o->release(o);
    if (o->previous)
        o->previous->next = o->next;
    else
        ctx->objects = o->next;
    if (o->next) o->next->previous = o->previous;
    mem_free(ctx->c, o);
}

/* ---- options ------------------------------------------------------------------------------------------------------ */

/* Whether a word is one of those in a text that spaces separate. */
static bool is_word_of(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; *p;) {
        size_t k = strcspn(p, " ");
        if (k == n && memcmp(p, word, n) == 0) return true;
        p += k + (p[k] != '\0');
    }
    return false;
}

enum status api_options(ya_ctx *ctx, const char *call, const char *allowed, const ya_option *options, size_t n,
                        struct train_values *values, bool given[OPTION_MAX_SPECS])
{
    bool mine[OPTION_MAX_SPECS] = {false};
    if (!given) given = mine;
    *values = (struct train_values){0};
    TRY(options_default(ctx->c, &train_table, values));
    for (size_t i = 0; i < n; i++) {
        const ya_option *o = &options[i];
        if (!o->name || !o->value) return ctx_fail(ctx->c, E_INPUT, "%s: option %zu has no name or no value", call, i);
        if (allowed && options_find(&train_table, o->name) >= 0 && !is_word_of(allowed, o->name))
            return ctx_fail(ctx->c, E_INPUT, "%s has no option %s; it has: %s", call, o->name, allowed);
        TRY(options_give(ctx->c, &train_table, o->name, o->value, values, given));
    }
    return OK;
}

int64_t api_give_ids(const ya_ctx *ctx, const struct ids *ids, int32_t *out, size_t capacity)
{
    if (!ctx_ok(ctx->c)) return -1;
    size_t n = ids->n < capacity ? ids->n : capacity;
    if (n > 0) memcpy(out, ids->data, n * sizeof *out);
    return (int64_t)ids->n;
}
