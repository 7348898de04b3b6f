/* run_read: see the header. */
#include "runs/run_read.h"

#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"

enum { ENVIRONMENT_CAP_BYTES = 1 << 20 };

static bool run_has(struct ctx *c, const char *dir, const char *name)
{
    char *path = path_join(c, dir, name);
    bool there = path && (file_exists(path) || dir_exists(path));
    mem_free(c, path);
    return there;
}

bool run_is_run(struct ctx *c, const char *dir)
{
    return run_has(c, dir, "config.json") && run_has(c, dir, "data_manifest.json");
}

/* environment.json; total_steps is in those of this version on. */
static enum status run_read_environment(struct run_read *r)
{
    char *path = path_join(r->c, r->run, "environment.json");
    if (path && file_exists(path)) r->environment = json_parse_file(r->c, path, ENVIRONMENT_CAP_BYTES);
    if (r->environment)
        json_member_i64(r->c, path, r->environment, "total_steps", false, 0, INT64_C(1) << 53, &r->total_steps);
    mem_free(r->c, path);
    return r->c->status;
}

/* The lock of the folder is what a training holds. */
static bool is_locked(struct ctx *c, const char *run)
{
    int lock = dir_lock(c, run);
    if (lock < 0) ctx_clear(c);
    dir_unlock(lock);
    return lock < 0;
}

enum status run_read_refresh(struct run_read *r)
{
    const struct train_config *k = &r->values.config;
    history_release(&r->history);
    r->history = (struct history){.c = r->c};
    r->finished = run_has(r->c, r->run, "adapter");
    if (run_has(r->c, r->run, "metrics.jsonl")) TRY(history_read(r->c, r->run, &r->history));
    TRY(run_size_of(r->c, r->run, &r->size));
    struct verdict_options o = {.total_steps = r->total_steps,
                                .patience = k->patience,
                                .eval_every = k->eval_every,
                                .lr = k->schedule.peak,
                                .finished = r->finished,
                                .resume = r->running ? NULL : r->resume};
    r->verdict = verdict_of(&r->history, &o);
    return r->c->status;
}

enum status run_read_open(struct ctx *c, const char *run, const char *program, struct run_read *r)
{
    *r = (struct run_read){.c = c, .run = run, .history.c = c};
    TRY(train_options_read(c, run, &r->values, &r->config));
    TRY(run_read_environment(r));
    r->running = is_locked(c, run);
    if (r->values.config.max_steps && !r->total_steps) r->total_steps = r->values.config.max_steps;
    snprintf(r->resume, sizeof r->resume, "%.500s resume %.1000s", program, run);
    return run_read_refresh(r);
}

void run_read_release(struct run_read *r)
{
    history_release(&r->history);
    json_decref(r->config);
    json_decref(r->environment);
    *r = (struct run_read){.c = r->c};
}
