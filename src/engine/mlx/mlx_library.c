/* mlx_library: opening libmlxc with dlopen, looking up each of its functions, and its error handler. */
#include "engine/mlx/mlx_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Versions of MLX that results were compared with (docs/engine_mlx.md). mlx-c's signatures change with MLX's minor versions
 * and it cannot be asked for a version of its own, so another one is refused rather than called. */
static const char *const library_tested[] = {"0.31.1", "0.31.2"};

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

/* Opens a library by a name; what was opened is noted. */
static bool library_open_name(struct mlx_library *l, const char *name)
{
    l->handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (l->handle) snprintf(l->path, sizeof l->path, "%s", name);
    return l->handle != NULL;
}

static enum status library_find_file(struct ctx *c, struct mlx_library *l)
{
    const char *path = getenv("YA_LIBMLXC");
    if (path && *path) {
        if (library_open_name(l, path)) return OK;
        return ctx_fail(c, E_UNSUPPORTED, "MLX: mlx-c cannot be opened (YA_LIBMLXC names it): %s", dlerror());
    }
    if (!dlopen(NULL, RTLD_NOW)) /* not even the program itself: the dlopen of a static C library */
        return ctx_fail(c, E_UNSUPPORTED,
                        "MLX is not in this build: the program is linked statically and opens no libraries. Use --engine "
                        "native, or a build for a system with glibc");
    for (size_t i = 0; i < sizeof library_names / sizeof *library_names; i++)
        if (library_open_name(l, library_names[i])) return OK;
    return ctx_fail(c, E_UNSUPPORTED,
                    "MLX: mlx-c is missing (libmlxc is not found; YA_LIBMLXC may name it): install it, or use --engine "
                    "native");
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

/* "0.31.2 and 0.32.4": the versions that are accepted. */
static void library_list_tested(char *out, size_t bytes)
{
    const size_t n = sizeof library_tested / sizeof *library_tested;
    size_t used = 0;
    for (size_t i = 0; i < n && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%s",
                                 i == 0       ? ""
                                 : i == n - 1 ? " and "
                                              : ", ",
                                 library_tested[i]);
}

static enum status library_check_version(struct ctx *c, const struct mlx_library *l)
{
    char tested[64];
    for (size_t i = 0; i < sizeof library_tested / sizeof *library_tested; i++)
        if (strcmp(l->version_text, library_tested[i]) == 0) return OK;
    library_list_tested(tested, sizeof tested);
    return ctx_fail(c, E_UNSUPPORTED,
                    "MLX: this is version %s; the engine was tested with %s. Install one of these beside it and name its "
                    "libmlxc in YA_LIBMLXC, or use --engine native",
                    l->version_text, tested);
}

/* Opens and checks; *l then says what was found, whether it is usable or not. */
static enum status library_try(struct ctx *c, struct mlx_library *l)
{
    memset(l, 0, sizeof *l);
    TRY(library_find_file(c, l));
#define MLX_FIND(result, name, parameters) library_find(c, l->handle, "mlx_" #name, &l->name);
    MLX_CALLS(MLX_FIND)
#undef MLX_FIND
    if (!ctx_ok(c)) return c->status;
    library_users++;
    l->installed = true;
    l->set_error_handler(library_on_error, NULL, NULL);
    TRY(library_read_version(c, l));
    return library_check_version(c, l);
}

enum status mlx_library_open(struct ctx *c, struct mlx_library *l)
{
    if (library_try(c, l) != OK) mlx_library_close(l);
    return c->status;
}

/* A ctx of its own takes the failure. */
void mlx_library_describe(struct ctx *c, struct mlx_library_found *out)
{
    struct ctx *own = ctx_new(&c->hooks);
    struct mlx_library l;
    *out = (struct mlx_library_found){0};
    if (!own) {
        snprintf(out->problem, sizeof out->problem, "MLX: out of memory while it is looked for");
        return;
    }
    out->usable = library_try(own, &l) == OK;
    snprintf(out->path, sizeof out->path, "%s", l.path);
    snprintf(out->version, sizeof out->version, "%s", l.version_text);
    snprintf(out->problem, sizeof out->problem, "%s", own->message);
    mlx_library_close(&l);
    ctx_clear(own);
    ctx_free(own);
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
    mlx_library_forget();
    return status;
}

void mlx_library_forget(void)
{
    *library_message = '\0';
}
