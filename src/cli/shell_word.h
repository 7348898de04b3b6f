/* shell_word: words of a command that a user copies from the screen into a shell. */
#ifndef YA_CLI_SHELL_WORD_H
#define YA_CLI_SHELL_WORD_H

#include "base/buf.h"

/* Appends a space and the word so that a shell reads it as it is: in single quotes when it has a character that means
 * something there. Example: it's -> 'it'\''s'. */
void shell_word_append(struct buf *b, const char *word);

#endif
