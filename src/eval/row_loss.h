/* row_loss: the loss of each document of a data set, and whether the model gives its answer. Rows become documents as in
 * training (data/dataset.h): the same chat template, the same tokens count. */
#ifndef YA_EVAL_ROW_LOSS_H
#define YA_EVAL_ROW_LOSS_H

#include "data/dataset.h"
#include "engine/engine.h"

/* Negative log-likelihood in nats of the trained tokens of each document: nll (n_documents). Each trained token counts 1,
 * whatever weights its row has. `batch`: tokens of a forward pass, in which documents are packed (at least one document).
 * E_NUMERIC naming file and row when a loss is no number. */
enum status row_loss_measure(struct engine *e, const struct dataset *d, int64_t batch, double *nll);

/* Whether greedy generation behind a document's prompt, what stands before its first trained token, says its answer, the
 * first run of trained tokens: the texts are the same up to white space at their ends. right (n_documents): 1, 0, or NaN for
 * a document that asks nothing, since it has no prompt (text, or a later piece of a split row) or its answer no text. At
 * most `limit` documents are asked (0: all), the others are NaN. An answer may take twice its tokens and 16 more. */
enum status row_loss_answers(struct engine *e, const struct tokenizer *t, const struct dataset *d, int64_t limit,
                             double *right);

#endif
