/* data_page: what the page before step 1 says about the rows: where their weight lies, and what a user may not have meant.
 */
#ifndef YA_CLI_DATA_PAGE_H
#define YA_CLI_DATA_PAGE_H

#include "train/trainer.h"

/* Tables by source type and by file (documents, trained tokens, mean s, mean omega, share of the weight), where there is
 * more than one to compare, and the heaviest and lightest rows. Means are over trained tokens; the weight of a token is
 * omega times the loss_weight of its row. E_MEMORY. */
enum status data_page_print(const struct trainer *t);

/* Warnings, each with what helps: omega at its bound, a run too short to learn, tokens left out, equal rows, validation rows
 * that are trained on, a source type whose rows contradict each other. E_MEMORY. */
enum status data_page_warn(const struct trainer *t);

/* omega of a document under the objective of the run. */
double data_page_omega(const struct objective *o, const struct dataset_document *d);

#endif
