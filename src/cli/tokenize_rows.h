/* tokenize_rows: what training will see of rows, document by document. */
#ifndef YA_CLI_TOKENIZE_ROWS_H
#define YA_CLI_TOKENIZE_ROWS_H

#include "data/objective.h"

struct tokenize_rows_options {
    struct dataset_options rows; /* paths included */
    struct objective_options objective;
    bool json;
};

/* Prints every document: as text with the trained part marked (token_view.h), or with `json` as a line
 * {"row": 3, "ids": [...], "trained": [0, 1, ...], "omega": 1.25}, before it "file" when there are several. A row that
 * becomes several sequences gives several. omega is what the rows' scores make of it in a training on exactly these rows. */
enum status tokenize_rows(struct ctx *c, const struct tokenizer *t, const struct tokenize_rows_options *o);

#endif
