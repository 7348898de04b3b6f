/* chat_variables: a conversation as a chat template's variables, the way transformers' apply_chat_template hands it on. */
#ifndef YA_IO_CHAT_VARIABLES_H
#define YA_IO_CHAT_VARIABLES_H

#include <jansson.h>

#include "base/ctx.h"

/* A new object with `messages` (a list of objects), `tools`, `documents` and `add_generation_prompt`; tools and documents
 * may be NULL: then null. Members of a message that are null are left out, and reasoning, which has three names in use
 * (reasoning_content, thinking, reasoning), is given as the first two. Members of `more` (an object or NULL) come along.
 * Owner the caller (json_decref). NULL with E_INPUT when a message is no object, and with E_MEMORY. */
json_t *chat_variables_new(struct ctx *c, const json_t *messages, const json_t *tools, const json_t *more,
                           bool add_generation_prompt);

#endif
