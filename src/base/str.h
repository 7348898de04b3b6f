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

/* strtod with a decimal point, whatever locale a host program has set. */
double str_to_double(const char *s, char **end);

/* The last place of `byte` among the n bytes at s; NULL when it is not there. glibc has memrchr for this, macOS does not. */
static inline const char *str_find_last(const char *s, char byte, size_t n)
{
    while (n > 0)
        if (s[--n] == byte) return s + n;
    return NULL;
}

#endif
