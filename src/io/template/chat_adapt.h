/* chat_adapt: messages in the spelling that a template can read. Some templates add a content to a string and so take no
 * list of parts; some write the arguments of a call as they are and some as JSON. What a template does is found out by
 * rendering a small conversation with it. */
#ifndef YA_IO_CHAT_ADAPT_H
#define YA_IO_CHAT_ADAPT_H

#include <jansson.h>

#include "io/template/jinja.h"

enum chat_ability { ABILITY_UNKNOWN, ABILITY_YES, ABILITY_NO };
struct chat_abilities {
    enum chat_ability parts;   /* reads a list of text parts */
    enum chat_ability strings; /* takes the arguments of a call as a string of JSON */
    enum chat_ability absent;  /* renders a turn that calls a tool and has no content */
};

/* The first n messages as a new list (owner the caller: json_decref); what need not change is shared with them. Abilities
 * are found out when they are needed first. NULL with E_MEMORY or E_INPUT. */
json_t *chat_adapt_messages(struct ctx *c, const struct jinja_template *t, const json_t *fixed,
                            struct chat_abilities *abilities, const json_t *messages, size_t n);

#endif
