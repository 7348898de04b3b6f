/* record_form: the forms that a JSON row may have, reduced to three: text, prompt and completion, messages. */
#ifndef YA_DATA_RECORD_FORM_H
#define YA_DATA_RECORD_FORM_H

#include "data/records.h"
#include "io/json.h"

/* Memory that is used again from row to row. */
struct record_form {
    struct ctx *c;
    struct chat_message *messages; /* owned; contents borrowed from the document, or from `joined` */
    size_t n_messages, room;
    struct buf joined; /* Alpaca: instruction, newline, input */
};

void record_form_init(struct record_form *f, struct ctx *c);
void record_form_release(struct record_form *f);

/* Fills kind, text, prompt and messages of *out from a JSON object; they point into the document and into *f. False with
 * E_INPUT "WHAT: ..." when the row has no form, several, or a faulty member. */
bool record_form_read(struct record_form *f, const char *what, const json_t *row, struct record *out);

#endif
