/* experiment_jobs: see experiment_jobs.h. Jobs take cells in the grid's order, each the next that nobody has. */
#include "cli/experiment_jobs.h"

#include <pthread.h>
#include <stdatomic.h>

#include "array/array.h"
#include "base/mem.h"

/* What all jobs share. */
struct jobs {
    const struct trial_setup *setup;
    const struct loaded_options *loaded;
    const struct grid *grid;
    const char *dir;
    const struct experiment_hooks *hooks;
    atomic_size_t next;   /* the first cell that no job has */
    atomic_bool stop;     /* a job has failed */
    pthread_mutex_t lock; /* around hooks and the failure */
};

struct job {
    struct jobs *all;
    int number; /* from 1 */
    size_t at;  /* the cell that it has taken, or SIZE_MAX */
    pthread_t thread;
    bool running;
};

/* Cells come in ascending order: a job looks at all of them, and has those that it takes before the others. */
static bool take_cell(void *user, size_t i)
{
    struct job *j = user;
    if (j->all->stop) return false;
    if (j->at == SIZE_MAX) j->at = j->all->next++;
    if (j->at != i) return false;
    j->at = SIZE_MAX;
    return true;
}

static void tell_cell(void *user, size_t i, size_t n, const struct trial *t, bool read)
{
    struct jobs *all = ((struct job *)user)->all;
    pthread_mutex_lock(&all->lock);
    all->hooks->cell(all->hooks->user, i, n, t, read);
    pthread_mutex_unlock(&all->lock);
}

/* Hands a job's failure to the caller's ctx, which keeps the first. */
static void job_failed(struct jobs *all, enum status status, const char *message)
{
    pthread_mutex_lock(&all->lock);
    ctx_fail(all->setup->c, status, "%s", message);
    all->stop = true;
    pthread_mutex_unlock(&all->lock);
}

static void job_cells(struct job *j, struct ctx *c)
{
    struct jobs *all = j->all;
    struct trial_setup setup = *all->setup;
    struct loaded l = {.c = c};
    struct experiment found = {.c = c};
    const struct experiment_hooks hooks = {.user = j, .cell = all->hooks->cell ? tell_cell : NULL, .take = take_cell};
    if (loaded_open(&l, c, all->loaded) == OK) {
        setup.c = c;
        setup.model = l.model;
        setup.tokenizer = l.tokenizer;
        setup.job = j->number;
        experiment_run(&setup, all->grid, all->dir, &hooks, &found);
    }
    experiment_release(&found);
    loaded_close(&l);
    if (c->array_env) array_env_free(c);
}

static void *job_main(void *arg)
{
    struct job *j = arg;
    struct ctx_hooks quiet = j->all->setup->c->hooks; /* what the caller's ctx has said already is not said again */
    quiet.log = NULL;
    struct ctx *c = ctx_new(&quiet);
    if (!c) {
        job_failed(j->all, E_MEMORY, "no memory for another job: take fewer --jobs");
        return NULL;
    }
    job_cells(j, c);
    if (!ctx_ok(c)) job_failed(j->all, c->status, c->message);
    ctx_free(c);
    return NULL;
}

enum status experiment_jobs_run(const struct trial_setup *setup, const struct loaded_options *loaded,
                                const struct grid *grid, const char *dir, int jobs, const struct experiment_hooks *hooks)
{
    struct ctx *c = setup->c;
    struct jobs all = {.setup = setup, .loaded = loaded, .grid = grid, .dir = dir, .hooks = hooks};
    TRY(experiment_open_folder(setup, dir));
    struct job *list = mem_alloc(c, (size_t)jobs, sizeof(*list));
    if (!list) return c->status;
    pthread_mutex_init(&all.lock, NULL);
    for (int i = 0; i < jobs; i++) {
        list[i] = (struct job){.all = &all, .number = i + 1, .at = SIZE_MAX};
        list[i].running = pthread_create(&list[i].thread, NULL, job_main, &list[i]) == 0;
        if (!list[i].running) job_failed(&all, E_MEMORY, "the system starts no further thread: take fewer --jobs");
    }
    for (int i = 0; i < jobs; i++)
        if (list[i].running) pthread_join(list[i].thread, NULL);
    pthread_mutex_destroy(&all.lock);
    mem_free(c, list);
    return c->status;
}
