/* str: reads decimal numbers, apart from the locale of the process. See str.h. */
#include "base/str.h"

#include <locale.h>
#include <pthread.h>
#include <stdlib.h>

static locale_t plain;

static void make_plain(void)
{
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Where the C locale could not be had, uselocale leaves the present one. Not strtod_l: it stands in another header on each
 * system. */
double str_to_double(const char *s, char **end)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_plain);
    locale_t before = uselocale(plain);
    double v = strtod(s, end);
    uselocale(before);
    return v;
}
