/* env: the array layer's part of a ctx, and scopes.
 *
 * A scope is only a mark in one list of arrays: closing it releases everything behind the mark. That costs one push for
 * each array and needs no bookkeeping in the arrays themselves. Rejected: an arena reset once a step, which would keep
 * every activation of a step alive; reference counts alone, which put a release after every line of model code. */
#include "array/env.h"

enum status pointers_push(struct ctx *c, struct pointers *p, void *value)
{
    if (p->n == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : 64;
        void **at = mem_resize(c, p->at, p->capacity, capacity, sizeof *at);
        if (!at) return c->status;
        p->at = at;
        p->capacity = capacity;
    }
    p->at[p->n++] = value;
    return OK;
}

/* What calls outside of a step get. */
static const struct step_values no_values;

/* The source of a pool: one kind of the backend's memory. */
static void *env_alloc(void *user, size_t bytes)
{
    const struct env_memory *m = user;
    return m->backend->alloc(m->backend, m->kind, bytes);
}

static void env_free(void *user, void *block, size_t bytes)
{
    const struct env_memory *m = user;
    m->backend->free(m->backend, m->kind, block, bytes);
}

struct pool *env_aside(struct ctx *c)
{
    struct array_env *env = c->array_env;
    const struct pool_source source = {env_alloc, env_free, &env->aside_memory, false, false};
    if (!env->aside) env->aside = pool_new(c, &source);
    return env->aside;
}

/* The device's pool watches its blocks with AddressSanitizer only where they are the host's memory, and counts the pages
 * that are touched only for a counting backend. */
enum status array_env_new(struct ctx *c, struct backend *backend)
{
    if (!backend) return c->status;
    BUG_ON(c, c->array_env, "array_env_new: the ctx has one already");
    struct array_env *env = mem_alloc(c, 1, sizeof *env);
    if (env) {
        env->device_memory = (struct env_memory){backend, MEMORY_DEVICE};
        env->aside_memory = (struct env_memory){backend, MEMORY_HOST};
        const struct pool_source device = {env_alloc, env_free, &env->device_memory, backend->host_memory,
                                           backend->counting};
        env->backend = backend;
        env->values = &no_values;
        env->host = pool_new(c, NULL);
        env->device = env->host ? pool_new(c, &device) : NULL;
    }
    if (!env || !env->device) {
        pool_free(env ? env->host : NULL);
        mem_free(c, env);
        backend->close(backend);
        return c->status;
    }
    c->array_env = env;
    return OK;
}

/* Pools before the backend, whose memory they hold. */
void array_env_free(struct ctx *c)
{
    struct array_env *env = c->array_env;
    if (!env) return;
    if (env->tape.on) tape_end(c);
    scope_close(c, 0);
    mem_free(c, env->scope.at);
    mem_free(c, env->tape.nodes.at);
    mem_free(c, env->tape.leaves.at);
    c->array_env = NULL;
    pool_free(env->aside);
    pool_free(env->device);
    pool_free(env->host);
    env->backend->close(env->backend);
    mem_free(c, env);
}

struct pool_stats array_pool_stats(const struct ctx *c)
{
    return pool_stats(c->array_env->device);
}

size_t array_aside_bytes(const struct ctx *c)
{
    return c->array_env->aside ? pool_stats(c->array_env->aside).peak_held_bytes : 0;
}

void array_pool_limit(struct ctx *c, size_t bytes, size_t aside_bytes)
{
    pool_limit(c->array_env->device, bytes);
    if (aside_bytes && env_aside(c)) pool_limit(c->array_env->aside, aside_bytes);
}

struct backend *array_backend(const struct ctx *c)
{
    return c->array_env->backend;
}

/* ---- steps -------------------------------------------------------------------------------------------------------- */

/* From here until array_step_end every call carries `values`. */
void array_step_begin(struct ctx *c, const struct step_values *values)
{
    BUG_ON(c, c->array_env->values != &no_values, "array_step_begin: a step is open already");
    c->array_env->values = values;
}

void array_step_end(struct ctx *c)
{
    BUG_ON(c, c->array_env->values == &no_values, "array_step_end without array_step_begin");
    c->array_env->values = &no_values;
}

/* ---- scopes ------------------------------------------------------------------------------------------------------- */

int scope_open(struct ctx *c)
{
    return (int)c->array_env->scope.n;
}

void scope_close(struct ctx *c, int mark)
{
    struct pointers *scope = &c->array_env->scope;
    BUG_ON(c, mark < 0 || (size_t)mark > scope->n, "scope_close: mark %d of %zu: scopes closed out of order", mark,
           scope->n);
    while (scope->n > (size_t)mark) array_release(scope->at[--scope->n]);
}

/* A reference more on each result carries it over the closing. */
void scope_close_keep_n(struct ctx *c, int mark, struct array **results, int n)
{
    for (int i = 0; i < n; i++) array_retain(results[i]);
    scope_close(c, mark);
    for (int i = 0; i < n; i++) {
        if (results[i]) results[i] = scope_own(c, results[i]);
    }
}

struct array *scope_close_keep(struct ctx *c, int mark, struct array *result)
{
    scope_close_keep_n(c, mark, &result, 1);
    return result;
}

/* Hands the caller's reference to the innermost scope; NULL with E_MEMORY, and then the array is released. */
struct array *scope_own(struct ctx *c, struct array *a)
{
    if (pointers_push(c, &c->array_env->scope, a) == OK) return a;
    array_release(a);
    return NULL;
}
