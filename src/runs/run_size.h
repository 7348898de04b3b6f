/* run_size: what the folder of a run takes on the disk, by what it is for. */
#ifndef YA_RUNS_RUN_SIZE_H
#define YA_RUNS_RUN_SIZE_H

#include "base/ctx.h"

struct run_size {
    int64_t checkpoints;       /* folders in checkpoints/ */
    uint64_t checkpoint_bytes; /* of all of them: adapter, moments and state each */
    uint64_t adapter_bytes;    /* adapter/ */
    uint64_t cache_bytes;      /* the tokenised rows: data.cache, valid.cache */
    uint64_t other_bytes;      /* configuration, metrics, logs */
    uint64_t total_bytes;
};

/* Sums the sizes of the regular files, without following links. A file that goes while it is counted, as checkpoints of a
 * training run do, counts as nothing. E_IO when the folder cannot be listed, E_MEMORY. */
enum status run_size_of(struct ctx *c, const char *run, struct run_size *out);

#endif
