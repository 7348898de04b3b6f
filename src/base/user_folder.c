/* user_folder: reads the variables of the XDG specification at each call, as a test may change them. See user_folder.h. */
#include "base/user_folder.h"

#include <stdlib.h>

#include "base/mem.h"

char *user_folder(struct ctx *c, const char *variable, const char *fallback)
{
    const char *xdg = getenv(variable), *home = getenv("HOME");
    if (xdg && *xdg == '/') return mem_printf(c, "%s/your_ai", xdg);
    return home && *home == '/' ? mem_printf(c, "%s/%s/your_ai", home, fallback) : NULL;
}
