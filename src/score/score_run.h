/* score_run: scores files of rows into an output of rows, by several threads, in input order. The output is the same bytes
 * for any number of threads, since each row is scored by itself.
 *
 * Files are written by a temporary name, fsync and rename, and beside each stands OUT.manifest.json: what was asked (rules,
 * options, inputs with sizes and SHA-256) and what came out (rows, skipped rows, size and SHA-256). A run whose manifest
 * answers the same question, and whose output is still as it says, is not done again. */
#ifndef YA_SCORE_RUN_H
#define YA_SCORE_RUN_H

#include "score/score_row.h"

struct score_progress {
    uint64_t bytes_done, bytes_all; /* all: 0 when a pipe is read */
    int64_t rows, skipped;
};

struct score_run_options {
    const struct rules *rules;
    struct score_row_options row;
    bool skip_faulty; /* leave faulty rows out, count them and log the first ones; else the first one ends the run */
    const char *program_version;
    const char *evidence;                                         /* digest of what row.evidence was made of; NULL: none */
    void (*progress)(void *user, const struct score_progress *p); /* after each batch; NULL: none */
    void *user;
};

struct score_run_result {
    int64_t rows, skipped; /* rows written; faulty rows left out */
    bool done_before;      /* the manifest showed that the output is up to date; nothing was written */
};

/* Scores the files `in` ("-": standard input) one after the other into the file `out`, or to standard output for NULL (then
 * without a manifest; rows before a fault are written). Threads are the ctx's. E_INPUT "FILE:ROW: ..." for the first faulty
 * row unless skip_faulty, and where no row is left; E_IO, E_MEMORY, and the errors of row_file_open. A failure
 * leaves no new file `out`, and unless it is one of renaming, an older one as it was. A kill leaves no new file `out`
 * without its manifest, which takes its name first. */
enum status score_run(struct ctx *c, const struct score_run_options *o, const char *const *in, size_t n_in, const char *out,
                      struct score_run_result *result);

#endif
