/* api: what the files of the public interface share.
 *
 * Every handle but ya_array begins with a struct api_object, which puts it on its ctx's list, newest first, so that a host
 * may forget handles and ya_ctx_free still frees each in an order in which nothing is used after it is gone. */
#ifndef YA_API_API_H
#define YA_API_API_H

#include "array/array.h"
#include "train/train_options.h"
#include "your_ai.h"

struct ya_array;

struct api_object {
    ya_ctx *ctx;
    struct api_object *next, *previous;
    void (*release)(struct api_object *o); /* frees what the handle owns, and not its own memory */
};

struct ya_ctx {
    struct ctx *c;
    struct ya_array *arrays;    /* all live handles of your_ai_array.h */
    struct api_object *objects; /* all others */
    ya_hooks hooks;             /* as the host gave them */
    bool differentiating;       /* inside ya_value_and_grad */
    bool busy;                  /* inside a call that has handed control to a callback of the host */
};

/* False after a panic: nothing of the ctx may be looked at any more. */
static inline bool api_alive(const ya_ctx *ctx)
{
    return !ctx->c->panicked;
}
/* False when a call must do nothing: no ctx (the handle was NULL), or it holds a failure. */
bool api_usable(const ya_ctx *ctx);
/* The same for calls that run, open or free: also false, with E_UNSUPPORTED, inside a callback. `call` is the function's
 * name.
 */
bool api_enter(ya_ctx *ctx, const char *call);

/* Zeroed memory for a handle of `bytes`, on the ctx's list; NULL with E_MEMORY. */
void *api_object_new(ya_ctx *ctx, size_t bytes, void (*release)(struct api_object *));
/* Releases it, takes it off the list and frees its memory. Accepts NULL. After a panic it does nothing: ya_ctx_free gives
 * all memory back at once. */
void api_object_free(struct api_object *o);

/* Sets the options of `train` that are named in `allowed` (separated by spaces; NULL: all) from the host's pairs, the others
 * to their defaults. given (may be NULL) is filled like options_give's. Strings stay the host's. E_INPUT naming the option;
 * `call` is the function that they were given to. */
enum status api_options(ya_ctx *ctx, const char *call, const char *allowed, const ya_option *options, size_t n,
                        struct train_values *values, bool given[OPTION_MAX_SPECS]);

/* How ids go out: the first `capacity` of them are copied to `out`. Returns how many there are, or -1 when the ctx holds a
 * failure. */
int64_t api_give_ids(const ya_ctx *ctx, const struct ids *ids, int32_t *out, size_t capacity);

#endif
