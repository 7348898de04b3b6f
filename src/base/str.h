/* str: questions about C strings that libc does not answer. */
#ifndef YA_BASE_STR_H
#define YA_BASE_STR_H

#include <stdbool.h>
#include <string.h>

/* Whether s ends in `suffix`, as "model.gguf" does in ".gguf". */
static inline bool str_has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

#endif
