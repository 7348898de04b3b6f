/* prompt_ids: a prompt of the command line as the model is to see it. */
#ifndef YA_CLI_PROMPT_IDS_H
#define YA_CLI_PROMPT_IDS_H

#include "cli/loaded.h"

struct prompt_options {
    bool chat;          /* the prompt is a message of the user in the chat template */
    int chat_template;  /* enum chat_choice */
    const char *system; /* a message before it, or NULL; only with chat */
    const char *date;   /* what the template takes for today; NULL: see chat_template.h */
};

/* Appends the ids: the plain text (control tokens in it are plain characters), or the conversation up to where the model
 * answers. E_INPUT for a system message without chat, and what the template refuses. */
enum status prompt_ids_encode(const struct loaded *l, const struct prompt_options *o, const char *prompt, struct ids *ids);

#endif
