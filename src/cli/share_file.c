/* share_file: goes two folders up from the program's own file. See share_file.h. */
#include "cli/share_file.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/system.h"

char *share_file_find(struct ctx *c, const char *name)
{
    char program[4096];
    if (!system_program_path(program, sizeof program)) return NULL;
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(program, '/');
        if (!slash) return NULL;
        *slash = '\0';
    }
    char *path = mem_printf(c, "%s/share/your_ai/%s", program, name);
    if (path && file_exists(path)) return path;
    mem_free(c, path);
    return NULL;
}
