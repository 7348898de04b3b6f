/* shell_word: quotes by the rule of POSIX shells that everything between single quotes stands for itself, except a single
 * quote: that one ends the quoted part, is written as \' and begins a new one. Words of letters, digits and a few
 * harmless characters stay as they are, and an empty word becomes ''. */
#include "base/shell_word.h"

#include <string.h>

/* A path has at most 4096 bytes, and a quote becomes four. */
enum { SHELL_WORD_MAX_BYTES = 1 << 16 };

static void shell_word_quote(struct buf *b, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:@%,";
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

void shell_word_append(struct buf *b, const char *word)
{
    buf_append_char(b, ' ');
    shell_word_quote(b, word);
}

char *shell_word_new(struct ctx *c, const char *word)
{
    struct buf b;
    buf_init(&b, c, SHELL_WORD_MAX_BYTES);
    shell_word_quote(&b, word);
    return buf_take(&b);
}
