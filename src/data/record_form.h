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
    struct chat_message *messages; /* owned; contents borrowed from the document, or from `joined` */
    size_t n_messages, room;
    struct buf joined; /* texts made of several: Alpaca's instruction and input, parts of a content */

    struct member_list unused_row, unused_turn; /* members that are not read */
    int64_t n_mixed;                            /* rows with more than one form, and the first of them */
    char mixed[96];                             /* "'messages' (not 'prompt')" */
    char *mixed_row;                            /* "FILE:ROW", owned */
};

void record_form_init(struct record_form *f, struct ctx *c, enum row_form choice);
void record_form_release(struct record_form *f);

/* Fills kind, text, prompt and messages of *out from a JSON object of `row_bytes` bytes of text; they point into the
 * document and into *f. False with E_INPUT "WHAT: ..." when the row has no form, or a faulty member. */
bool record_form_read(struct record_form *f, const char *what, const json_t *row, size_t row_bytes, struct record *out);

/* Says what was noticed: rows of several forms, members that are not read. Once, after the last row. */
void record_form_report(const struct record_form *f);

#endif
