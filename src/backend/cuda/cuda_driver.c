/* cuda_driver: opening the driver and cuBLASLt with dlopen and looking up each of their functions. */
#include "backend/cuda/cuda_driver.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define CUDA_TEXT(name)   #name
#define CUDA_SYMBOL(name) CUDA_TEXT(name)

/* A library that is opened at run time: what people call it, the environment variable that may name its file, what to do
 * when it is missing, and its usual names, tried in order. */
struct driver_library {
    const char *what, *variable, *remedy;
    const char *names[4];
};

static const struct driver_library DRIVER = {
    .what = "the NVIDIA driver",
    .variable = "YA_LIBCUDA",
    .remedy = "install the driver for this card, or use --device cpu",
    .names = {"libcuda.so.1", "libcuda.so"},
};
static const struct driver_library CUBLASLT = {
    .what = "cuBLASLt",
    .variable = "YA_LIBCUBLASLT",
    .remedy = "install the CUDA toolkit's run-time libraries, or use --device cpu",
    .names = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so", "/usr/local/cuda/lib64/libcublasLt.so"},
};

/* The path that an environment variable names, else the first of the usual names that opens. */
static void *driver_library_open(struct ctx *c, const struct driver_library *l)
{
    const char *path = getenv(l->variable);
    if (path && *path) {
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!handle)
            ctx_fail(c, E_UNSUPPORTED, "CUDA: %s cannot be opened (%s names it): %s", l->what, l->variable, dlerror());
        return handle;
    }
    for (size_t i = 0; i < sizeof(l->names) / sizeof(*l->names) && l->names[i]; i++) {
        void *handle = dlopen(l->names[i], RTLD_NOW | RTLD_LOCAL);
        if (handle) return handle;
    }
    ctx_fail(c, E_UNSUPPORTED, "CUDA: %s is missing (%s is not found; %s may name it): %s", l->what, l->names[0],
             l->variable, l->remedy);
    return NULL;
}

/* Looks a function up into *slot. The first that is missing is recorded. */
static void driver_find(struct ctx *c, void *library, const char *name, void *slot)
{
    void *symbol = dlsym(library, name);
    if (!symbol) ctx_fail(c, E_UNSUPPORTED, "CUDA: the installed library is too old: it has no %s", name);
    memcpy(slot, &symbol, sizeof(symbol)); /* ISO C has no cast from void * to a function pointer */
}

/* Starts the driver; it may be installed and still not work, for instance without a card or in a container. */
static enum status driver_start(struct ctx *c, struct cuda_driver *d)
{
    CUresult result = d->cuInit(0);
    if (result == CUDA_SUCCESS) return OK;
    const char *text = NULL;
    d->cuGetErrorString(result, &text);
    return ctx_fail(c, E_UNSUPPORTED, "CUDA: the driver does not start (%s): use --device cpu",
                    text ? text : "unknown error");
}

bool cuda_driver_is_installed(void)
{
    struct ctx *c = ctx_new(NULL);
    void *library = c ? driver_library_open(c, &DRIVER) : NULL;
    if (library) dlclose(library);
    if (c) ctx_clear(c);
    ctx_free(c);
    return library != NULL;
}

/* The lists of calls are macros over all names that are needed (cuda_driver.h), so a name that is added there is found here.
 */
enum status cuda_driver_open(struct ctx *c, struct cuda_driver *d)
{
    memset(d, 0, sizeof(*d));
    d->libcuda = driver_library_open(c, &DRIVER);
    if (d->libcuda) d->libcublaslt = driver_library_open(c, &CUBLASLT);
    if (d->libcublaslt) {
#define CUDA_FIND(name) driver_find(c, d->libcuda, CUDA_SYMBOL(name), &d->name);
        CUDA_DRIVER_CALLS(CUDA_FIND)
#undef CUDA_FIND
#define CUDA_FIND(name) driver_find(c, d->libcublaslt, CUDA_SYMBOL(name), &d->name);
        CUDA_LT_CALLS(CUDA_FIND)
#undef CUDA_FIND
        if (ctx_ok(c)) driver_start(c, d);
    }
    if (!ctx_ok(c)) cuda_driver_close(d);
    return c->status;
}

void cuda_driver_close(struct cuda_driver *d)
{
    if (d->libcublaslt) dlclose(d->libcublaslt);
    if (d->libcuda) dlclose(d->libcuda);
    memset(d, 0, sizeof(*d));
}
