/* shell_word: see shell_word.h. */
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
