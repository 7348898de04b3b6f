/* prompt_file: a prompt or a message that is read from a file. */
#ifndef YA_CLI_PROMPT_FILE_H
#define YA_CLI_PROMPT_FILE_H

#include "base/ctx.h"

/* The text of `file` ("-": standard input) without the end of its last line, at most 64 MiB; the caller frees it (mem_free).
 * NULL with E_IO where it cannot be read, E_INPUT where there is nothing in it or a zero byte. */
char *prompt_file_read(struct ctx *c, const char *file);

#endif
