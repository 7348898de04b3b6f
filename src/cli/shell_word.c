/* shell_word: quotes by the rule of POSIX shells that everything between single quotes stands for itself, except a single
 * quote: that one ends the quoted part, is written as \' and begins a new one. Words of letters, digits and a few
 * harmless characters stay as they are, and an empty word becomes ''. */
#include "cli/shell_word.h"

#include <string.h>

void shell_word_append(struct buf *b, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:@%,";
    buf_append_char(b, ' ');
    if (*word && word[strspn(word, plain)] == '\0') {
        buf_append_str(b, word);
        return;
    }
    buf_append_char(b, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_append_str(b, "'\\''");
        else
            buf_append_char(b, *word);
    }
    buf_append_char(b, '\'');
}
