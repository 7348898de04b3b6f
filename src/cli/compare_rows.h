/* compare_rows: candidates on rows of the user: `eval`, and a part of `compare`. */
#ifndef YA_CLI_COMPARE_ROWS_H
#define YA_CLI_COMPARE_ROWS_H

#include "cli/candidates.h"
#include "data/data_rows.h"
#include "data/dataset.h"

/* What both commands ask of the user. */
struct compare_rows_options {
    struct option_list paths;
    struct dataset_options data; /* but for its paths */
    int64_t batch;               /* tokens of a forward pass */
    int64_t answers;             /* so many documents are asked for their answer; 0: all, negative: none */
};

/* S the values struct, M its member of that type; NEEDED: whether rows have to be given. */
#define COMPARE_ROWS(S, M, NEEDED, HELP, GROUP)                                                                             \
    LIST_ROW(S, M.paths, "data", 'd', NEEDED, "FILE", GROUP, HELP),                                                         \
        I64_ROW(S, M.answers, "answers", 0, "-1", -1, 1 << 30, GROUP,                                                       \
                "generate the answers of so many rows and count the exact ones; 0: of all, -1: of none"),                   \
        I64_ROW(S, M.batch, "batch-tokens", 0, "1024", 2, 1 << 24, GROUP, "tokens of a forward pass"),                      \
        DATA_ROWS(S, M.data, "2048", GROUP)

struct compare_rows {
    const struct candidates *candidates; /* differences are against the first one */
    const struct compare_rows_options *options;
    bool json;
};

/* Tokenises the rows as training does, measures each candidate, and prints loss, perplexity and exact answers with standard
 * errors and paired differences, over all rows, by source_type and by file; or a JSON object a candidate. */
enum status compare_rows_run(const struct loaded *l, const struct compare_rows *v);

#endif
