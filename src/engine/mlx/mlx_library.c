/* mlx_library: opening libmlxc with dlopen, looking up each of its functions, and its error handler. */
#include "engine/mlx/mlx_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Versions of MLX that results were compared with (docs/engine_mlx.md). mlx-c's signatures change with MLX's minor versions
 * and it cannot be asked for a version of its own, so another one is refused rather than called. */
static const char *const library_tested[] = {"0.31.2"};

/* Tried in this order. */
static const char *const library_names[] = {
    "libmlxc.dylib",
    "libmlxc.so",
    "/opt/homebrew/lib/libmlxc.dylib",
    "/usr/local/lib/libmlxc.dylib",
    "/usr/local/lib/libmlxc.so",
};

/* Open libraries of the process: mlx-c has one error handler for all. */
static _Atomic int library_users;

/* The message of the last error. MLX calls the handler on the thread that made the failing call. */
static _Thread_local char library_message[512];

static void library_on_error(const char *message, void *data)
{
    (void)data;
    snprintf(library_message, sizeof library_message, "%s", message);
}

static void *library_find_file(struct ctx *c)
{
    const char *path = getenv("YA_LIBMLXC");
    const int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    if (path && *path) {
        void *handle = dlopen(path, flags);
        if (!handle) ctx_fail(c, E_UNSUPPORTED, "MLX: mlx-c cannot be opened (YA_LIBMLXC names it): %s", dlerror());
        return handle;
    }
    for (size_t i = 0; i < sizeof library_names / sizeof *library_names; i++) {
        void *handle = dlopen(library_names[i], flags);
        if (handle) return handle;
    }
    ctx_fail(c, E_UNSUPPORTED,
             "MLX: mlx-c is missing (libmlxc is not found; YA_LIBMLXC may name it): install it, or use --engine native");
    return NULL;
}

/* Looks a function up into *slot. The first that is missing is recorded. */
static void library_find(struct ctx *c, void *handle, const char *name, void *slot)
{
    void *symbol = dlsym(handle, name);
    if (!symbol) ctx_fail(c, E_UNSUPPORTED, "MLX: this libmlxc has no %s: it is not the mlx-c of a tested version", name);
    memcpy(slot, &symbol, sizeof symbol); /* ISO C has no cast from void * to a function pointer */
}

static enum status library_read_version(struct ctx *c, struct mlx_library *l)
{
    struct mlx_string s = l->string_new();
    if (l->version(&s) != 0)
        mlx_library_fail(c, "the version");
    else
        snprintf(l->version_text, sizeof l->version_text, "%s", l->string_data(s));
    l->string_free(s);
    return c->status;
}

static enum status library_check_version(struct ctx *c, const struct mlx_library *l)
{
    for (size_t i = 0; i < sizeof library_tested / sizeof *library_tested; i++)
        if (strcmp(l->version_text, library_tested[i]) == 0) return OK;
    return ctx_fail(
        c, E_UNSUPPORTED,
        "MLX: this is version %s; the engine was tested with %s. Install that one beside it and name its libmlxc "
        "in YA_LIBMLXC, or use --engine native",
        l->version_text, library_tested[0]);
}

enum status mlx_library_open(struct ctx *c, struct mlx_library *l)
{
    memset(l, 0, sizeof *l);
    l->handle = library_find_file(c);
    if (!l->handle) return c->status;
#define MLX_FIND(result, name, parameters) library_find(c, l->handle, "mlx_" #name, &l->name);
    MLX_CALLS(MLX_FIND)
#undef MLX_FIND
    if (ctx_ok(c)) {
        library_users++;
        l->installed = true;
        l->set_error_handler(library_on_error, NULL, NULL);
        if (library_read_version(c, l) == OK) library_check_version(c, l);
    }
    if (!ctx_ok(c)) mlx_library_close(l);
    return c->status;
}

void mlx_library_close(struct mlx_library *l)
{
    if (l->installed && --library_users == 0) l->set_error_handler(NULL, NULL, NULL);
    if (l->handle) dlclose(l->handle);
    memset(l, 0, sizeof *l);
}

enum status mlx_library_fail(struct ctx *c, const char *what)
{
    enum status status =
        ctx_fail(c, E_UNSUPPORTED, "MLX: %s failed: %s", what, *library_message ? library_message : "no message");
    *library_message = '\0';
    return status;
}
