/* row_line: see row_line.h. Ends are found by counting brackets outside of strings, as in row_file.c. */
#include "io/row_line.h"

bool row_line_next(const char *line, size_t n, size_t *at, size_t *row_at, size_t *row_n)
{
    int depth = 0;
    while (*at < n && row_line_is_space(line[*at])) ++*at;
    *row_at = *at;
    for (bool in_string = false, whole = false; *at < n && !whole; ++*at) {
        char ch = line[*at];
        if (in_string && ch == '\\')
            *at += *at + 1 < n;
        else if (ch == '"')
            in_string = !in_string;
        else if (!in_string && (ch == '{' || ch == '['))
            depth++;
        else if (!in_string && (ch == '}' || ch == ']') && depth > 0)
            whole = --depth == 0;
    }
    *row_n = *at - *row_at;
    return *row_n > 0;
}
