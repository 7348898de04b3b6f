/* score_manifest: the record beside an output that says what it was made from. */
#ifndef YA_SCORE_MANIFEST_H
#define YA_SCORE_MANIFEST_H

#include "base/file.h"
#include "score/score_run.h"

struct score_file { /* an input or the output */
    const char *path;
    uint64_t bytes;
    char sha256[65];
    int64_t rows, skipped;
};

/* A writer that holds the manifest of `out`, which was made from in[0..n_in): it is to be committed together with the writer
 * of `out` (file_writers_commit), which owns it then. NULL with E_IO, E_MEMORY. */
struct file_writer *score_manifest_new(struct ctx *c, const struct score_run_options *o, const struct score_file *in,
                                       size_t n_in, const struct score_file *out);

/* Whether there is a manifest for the same question, and inputs and output are the bytes that it says: they are read to find
 * out. *result is then what it holds. A manifest that cannot be read, or answers another question, is none. */
enum status score_manifest_check(struct ctx *c, const struct score_run_options *o, const char *const *in, size_t n_in,
                                 const char *out, bool *same, struct score_run_result *result);

#endif
