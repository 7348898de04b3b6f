/* dataset_temporary: rows tokenised for one look at them, without a run to keep the cache in. */
#ifndef YA_DATA_DATASET_TEMPORARY_H
#define YA_DATA_DATASET_TEMPORARY_H

#include "data/dataset.h"

/* Tokenises rows into a file in $TMPDIR (or /tmp) whose name is gone when this returns. The errors of dataset_build and
 * dataset_open; E_IO when the file cannot be made. Owner of the result: the caller (dataset_close). */
struct dataset *dataset_temporary_new(struct ctx *c, const struct tokenizer *t, const struct dataset_options *options);

#endif
