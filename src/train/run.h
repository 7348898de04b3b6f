/* run: the folder of one training: what it was started with and on what.
 *
 *   config.json          every option with its value
 *   data_manifest.json   size and SHA-256 of each data file and of each file of the base model
 *   environment.json     program, its command line, machine, backend, threads, steps
 *   data.cache           the tokenised rows (data/dataset.h)
 *   metrics.jsonl, timing.jsonl, checkpoints/, adapter/ */
#ifndef YA_TRAIN_RUN_H
#define YA_TRAIN_RUN_H

#include "base/ctx.h"

/* Makes the folder with checkpoints/ in it. What a kill in the middle of an earlier setup left there is cleared away; any
 * other folder that is not empty is E_INPUT (with how to go on with a run that is in it), and so is one in which another
 * process is at work. E_IO when it cannot be made. */
enum status run_create(struct ctx *c, const char *dir);

/* True for a folder that holds nothing but what the setup of a run makes before config.json: run_create may clear it. */
bool run_is_unfinished_setup(struct ctx *c, const char *dir);

/* Writes n bytes as the file dir/name of the run, atomically. E_IO. */
enum status run_write(struct ctx *c, const char *dir, const char *name, const char *text, size_t n);

/* Writes data_manifest.json: `model` is a file, or a folder whose files are all listed; data files as given. Every byte is
 * read for the digests. E_IO. */
enum status run_write_manifest(struct ctx *c, const char *dir, const char *model, const char *const *data, size_t n_data);

/* Files that may stand for data files that are not at their place any more. */
struct run_moved {
    const char *const *paths; /* (n) */
    size_t n;
};

/* E_INPUT naming the file when one of those files is not the one of the manifest any more. A data file that is not at its
 * place is looked for, by size and SHA-256, among `moved`, and by its name in the run's folder and in the one that holds it;
 * what was found is logged. A file of `moved` that is none of the run's data files is E_INPUT, too. */
enum status run_check_manifest(struct ctx *c, const char *dir, const char *model, const char *const *data, size_t n_data,
                               const struct run_moved *moved);

/* What environment.json says beside the machine. */
struct run_environment {
    const char *backend;
    const char *norms;             /* fingerprint of the base model (model_norms.h), "" for none */
    const char *program, *command; /* version and command line of the host, "" where it does not tell */
    int64_t total_steps;
};

/* Writes environment.json. E_IO. */
enum status run_write_environment(struct ctx *c, const char *dir, const struct run_environment *e);

/* SHA-256 of the file dir/name, as hex with a NUL. E_IO. */
enum status run_sha256(struct ctx *c, const char *dir, const char *name, char hex[65]);

#endif
