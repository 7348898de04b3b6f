/* dataset_temporary: rows tokenised for one look at them, without a run to keep the cache in. */
#ifndef YA_DATA_DATASET_TEMPORARY_H
#define YA_DATA_DATASET_TEMPORARY_H

#include "data/dataset.h"

/* Tokenises rows into a temporary folder (base/temporary.h) that is gone when this returns. The errors of
 * temporary_folder_open, dataset_build and dataset_open. Owner of the result: the caller (dataset_close). */
struct dataset *dataset_temporary_new(struct ctx *c, const struct tokenizer *t, const struct dataset_options *options);

#endif
