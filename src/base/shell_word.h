/* shell_word: words of a command that a user copies from the screen into a shell. */
#ifndef YA_BASE_SHELL_WORD_H
#define YA_BASE_SHELL_WORD_H

#include "base/buf.h"

/* Appends a space and the word so that a shell reads it as it is: in single quotes when it has a character that means
 * something there. Example: it's -> 'it'\''s'. */
void shell_word_append(struct buf *b, const char *word);
/* The word alone, for a message that says what to type. Owner: the caller (mem_free); NULL with E_MEMORY. */
char *shell_word_new(struct ctx *c, const char *word);

#endif
