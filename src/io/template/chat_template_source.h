/* chat_template_source: looks at the Jinja source of a chat template and says what to do in its place. */
#ifndef YA_IO_CHAT_TEMPLATE_SOURCE_H
#define YA_IO_CHAT_TEMPLATE_SOURCE_H

#include "io/template/chat_template.h"

/* What a source asks for beyond its family's form. */
struct chat_recipe {
    enum chat_template kind;
    const char *system; /* ChatML: the default system message, in the source (not NUL-terminated); NULL: none */
    size_t system_bytes;
    bool reasoning; /* Qwen 3: assistant turns are rewritten */
    bool dates;     /* Llama 3.1 to 3.3: the conversation starts with two dates */
};

/* Fills in the recipe of a source. Returns NULL when every part of it is understood, else what is not (a word or phrase for
 * a message). out->kind is the family that it seems to belong to, or CHAT_NONE. */
const char *chat_template_source_read(const char *source, struct chat_recipe *out);

#endif
