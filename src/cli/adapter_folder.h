/* adapter_folder: where the adapter is that a user names: by its own folder, or by that of the run that trained it. */
#ifndef YA_CLI_ADAPTER_FOLDER_H
#define YA_CLI_ADAPTER_FOLDER_H

#include "base/ctx.h"

/* The folder of the adapter: "runs/first/adapter" for the run "runs/first", `name` itself for any other folder. *run:
 * whether it is a run's. Owner of the result: the caller. NULL with E_INPUT for a run that has no adapter yet, or E_MEMORY.
 */
char *adapter_folder_find(struct ctx *c, const char *name, bool *run);

#endif
