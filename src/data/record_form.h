/* record_form: the forms that a JSON row may have, reduced to three: text, prompt and completion, messages. */
#ifndef YA_DATA_RECORD_FORM_H
#define YA_DATA_RECORD_FORM_H

#include "data/member_list.h"
#include "data/records.h"
#include "io/json.h"

/* Memory that is used again from row to row, and what was noticed on the way. */
struct record_form {
    struct ctx *c;
    enum row_form choice;
    json_t *messages, *tools, *more; /* owned: of the current row */
    struct buf codes;                /* one a message */
    struct buf joined;               /* Alpaca: instruction, newline, input */

    struct member_list unused_row, unused_turn; /* members that are not read */
    int64_t n_mixed;                            /* rows with more than one form, and the first of them */
    char mixed[96];                             /* "'messages' (not 'prompt')" */
    char *mixed_row;                            /* "FILE:ROW", owned */
};

/* Prepares *f for rows that are read in the form `choice`; allocates nothing. Undone by record_form_release. */
void record_form_init(struct record_form *f, struct ctx *c, enum row_form choice);
void record_form_release(struct record_form *f);

/* Fills kind, text, prompt and messages of *out from a JSON object; they point into the document and into *f. False with
 * E_INPUT "WHAT: ..." when the row has no form, or a faulty member. */
bool record_form_read(struct record_form *f, const char *what, const json_t *row, struct record *out);

/* Says what was noticed: rows of several forms, members that are not read. Once, after the last row. */
void record_form_report(const struct record_form *f);

#endif
