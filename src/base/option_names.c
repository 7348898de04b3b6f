/* option_names: hints for option names that other programs use. A user who knows one of them types its names; edit distance
 * would answer --iters with nothing and --steps with the wrong option. */
#include <stdio.h>
#include <string.h>

#include "base/options.h"

enum { NAME_BYTES = 64 };

static const struct option_name names[] = {
#define NAME(foreign, ours, note) {foreign, ours, note},
#include "base/option_names.def"
#undef NAME
};

const struct option_name *option_names(size_t *n)
{
    *n = sizeof names / sizeof names[0];
    return names;
}

/* TRL and Axolotl write options with "_", mlx-lm and llama.cpp with "-". False for a name that is too long to be one. */
static bool option_names_normalize(const char *name, char out[NAME_BYTES])
{
    size_t n = strlen(name);
    if (n >= NAME_BYTES) return false;
    for (size_t i = 0; i <= n; i++) out[i] = name[i] == '_' ? '-' : name[i];
    return true;
}

/* The first row of that name whose option is in the table, or else a row of that name that names no option at all. */
static const struct option_name *find_name(const struct option_table *table, const char *name)
{
    const struct option_name *none = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].foreign, name) != 0) continue;
        if (names[i].ours && options_find(table, names[i].ours) >= 0) return &names[i];
        if (!names[i].ours && !none) none = &names[i];
    }
    return none;
}

const char *options_hint(const struct option_table *table, const char *name, const char *dashes, char *out, size_t out_bytes)
{
    char plain[NAME_BYTES];
    out[0] = '\0';
    if (!option_names_normalize(name, plain)) return out;
    const struct option_name *known = options_find(table, plain) < 0 ? find_name(table, plain) : NULL;
    const char *near = known ? known->ours : options_nearest(table, plain);
    if (known && !near)
        snprintf(out, out_bytes, ": %s", known->note);
    else if (near)
        snprintf(out, out_bytes, "; did you mean %s%s?%s%s", dashes, near, known && known->note ? " " : "",
                 known && known->note ? known->note : "");
    return out;
}
