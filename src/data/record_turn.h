/* record_turn: one message of a conversation, in the spellings that data sets use for it. */
#ifndef YA_DATA_RECORD_TURN_H
#define YA_DATA_RECORD_TURN_H

#include "data/member_list.h"
#include "io/json.h"
#include "io/template/chat_train.h"

/* A message as chat templates know it, out of {"role" or "from", "content" or "value"} and what else it has: an object,
 * owner the caller, which shares its values with the document. *code says how the turn is trained if it is the assistant's
 * (chat_train.h). Members that are not known to be read by templates are added to *unused, and come along. NULL with
 * E_INPUT "WHAT: ..." for an unknown role, content that is no text, a mask that is neither 0 nor 1, a weight that cannot
 * be, and members that hold pictures. */
json_t *record_turn_read(struct ctx *c, const char *what, const json_t *turn, struct member_list *unused, uint8_t *code);

/* A member; NULL when it is absent or null, because tables exported as JSON fill unused columns with null. */
const json_t *record_member(const json_t *o, const char *key);
/* "a string", "an object", ... */
const char *record_type_name(const json_t *v);
/* Whether a value holds nothing: null, "", [], {}, or NULL itself. */
bool record_is_empty(const json_t *v);

#endif
