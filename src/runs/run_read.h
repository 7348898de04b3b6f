/* run_read: everything that a reader of a finished or running training wants at once: its options, its history, the verdict
 * over it, and whether a process is at work in its folder. */
#ifndef YA_RUNS_RUN_READ_H
#define YA_RUNS_RUN_READ_H

#include "runs/run_size.h"
#include "runs/verdict.h"
#include "train/train_options.h"

struct run_read {
    struct ctx *c;
    const char *run; /* its folder; borrowed */
    struct train_values values;
    json_t *config, *environment; /* owned; environment NULL when the file is not there */
    struct history history;
    struct verdict verdict;
    struct run_size size;
    int64_t total_steps; /* that were meant; 0: not known (a run of an earlier version that did not end) */
    bool running;        /* a process trains in it now */
    bool finished;       /* adapter/ is there */
    char resume[1536];   /* the command that continues it */
};

/* True for a folder that train made: config.json with an `output`, and data_manifest.json. */
bool run_is_run(struct ctx *c, const char *dir);

/* Reads all of it. program: the word that calls this program, for r->resume. E_INPUT naming the file that is not as train
 * writes it, E_IO, E_MEMORY. Undone by run_read_release, also after a failure. */
enum status run_read_open(struct ctx *c, const char *run, const char *program, struct run_read *r);
/* Reads again what a training adds to: history, verdict, size. Errors of run_read_open. */
enum status run_read_refresh(struct run_read *r);
void run_read_release(struct run_read *r);

#endif
