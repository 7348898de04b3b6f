/* record_turn: one message of a conversation, in the spellings that data sets use for it. */
#ifndef YA_DATA_RECORD_TURN_H
#define YA_DATA_RECORD_TURN_H

#include "data/member_list.h"
#include "io/json.h"
#include "io/template/chat_template.h"

/* Reads {"role" or "from", "content" or "value"} and what else changes its training into *out, whose strings point into the
 * document or into *joined, which must have room for the text of the row so that it does not move. Without `trained` the
 * turn is context only. Members that are not used are added to *unused. E_INPUT "WHAT: ..." for an unknown role, content
 * that is no text, a mask that is neither 0 nor 1, and members that hold text or pictures that would be left out. */
bool record_turn_read(struct ctx *c, const char *what, const json_t *turn, bool trained, struct buf *joined,
                      struct member_list *unused, struct chat_message *out);

/* A member; NULL when it is absent or null, because tables exported as JSON fill unused columns with null. */
const json_t *record_member(const json_t *o, const char *key);
/* "a string", "an object", ... */
const char *record_type_name(const json_t *v);
/* Whether a value holds nothing: null, "", [], {}, or NULL itself. */
bool record_is_empty(const json_t *v);

#endif
