/* share_file: files that packages install beside the program: PREFIX/share/your_ai/NAME for PREFIX/bin/your_ai. */
#ifndef YA_CLI_SHARE_FILE_H
#define YA_CLI_SHARE_FILE_H

#include "base/ctx.h"

/* The path of such a file, such as "models/smollm2-135m.gguf"; NULL when there is none (no error), or with E_MEMORY. Owner:
 * the caller. */
char *share_file_find(struct ctx *c, const char *name);

#endif
