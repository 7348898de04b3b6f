/* user_folder: where the user's own files of this program are, by the XDG base directory specification. */
#ifndef YA_BASE_USER_FOLDER_H
#define YA_BASE_USER_FOLDER_H

#include "base/ctx.h"

/* "$VARIABLE/your_ai" where the variable is an absolute path (others are to be ignored), else "$HOME/DEFAULT/your_ai":
 * XDG_CONFIG_HOME and .config, XDG_CACHE_HOME and .cache. Owner the caller. NULL without a failure where there is no HOME
 * either, or with E_MEMORY. The folder need not exist. */
char *user_folder(struct ctx *c, const char *variable, const char *fallback);

#endif
