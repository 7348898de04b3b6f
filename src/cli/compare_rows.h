/* compare_rows: candidates on rows of the user: `eval`, and a part of `compare`. */
#ifndef YA_CLI_COMPARE_ROWS_H
#define YA_CLI_COMPARE_ROWS_H

#include "cli/candidates.h"
#include "data/dataset.h"

struct compare_rows {
    const struct candidates *candidates; /* differences are against the first one */
    struct dataset_options rows;
    int64_t batch;   /* tokens of a forward pass */
    int64_t answers; /* so many documents are asked for their answer; 0: all, negative: none */
    bool json;
};

/* Tokenises the rows as training does, measures each candidate, and prints loss, perplexity and exact answers with standard
 * errors and paired differences, over all rows, by source_type and by file; or a JSON object a candidate. */
enum status compare_rows_run(const struct loaded *l, const struct compare_rows *v);

#endif
