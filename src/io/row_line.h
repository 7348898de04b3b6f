/* row_line: the rows on one line of JSON Lines, of which there may be several. */
#ifndef YA_IO_ROW_LINE_H
#define YA_IO_ROW_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* White space as JSON has it. */
static inline bool row_line_is_space(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

/* The row that begins at or behind *at on a line of n bytes, as row_file_next would give it: its offset and length, *at
 * moved behind it. False when nothing but white space is left. */
bool row_line_next(const char *line, size_t n, size_t *at, size_t *row_at, size_t *row_n);

#endif
