/* prompt_file: see prompt_file.h. */
#include "cli/prompt_file.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

enum { PROMPT_CAP_BYTES = 1 << 26 };

/* All of standard input. */
static char *prompt_file_input(struct ctx *c, size_t *n)
{
    char part[4096];
    struct buf text;
    int64_t got;
    buf_init(&text, c, PROMPT_CAP_BYTES);
    while ((got = file_read_some(c, STDIN_FILENO, "standard input", part, sizeof part)) > 0)
        buf_append(&text, part, (size_t)got);
    *n = text.len;
    char *all = got == 0 ? buf_take(&text) : NULL;
    buf_release(&text);
    return all;
}

char *prompt_file_read(struct ctx *c, const char *file)
{
    size_t n = 0;
    char *text = strcmp(file, "-") == 0 ? prompt_file_input(c, &n) : file_read(c, file, PROMPT_CAP_BYTES, &n);
    if (text && n && text[n - 1] == '\n') text[--n] = '\0';
    if (text && (n == 0 || strlen(text) != n)) {
        ctx_fail(c, E_INPUT, "%s: %s", file, n ? "has a zero byte, so it is no text" : "there is no text in it");
        mem_free(c, text);
        return NULL;
    }
    return text;
}
