/* options_help: help pages as wide as the terminal, from the option table; options_help of options.h is the same at its full
 * width. Also the parts of a page that other pages (man, completions) are made of. */
#ifndef YA_BASE_OPTIONS_HELP_H
#define YA_BASE_OPTIONS_HELP_H

#include "base/options.h"

enum { HELP_WIDTH_MIN = 48, HELP_WIDTH_MAX = 110 };

/* As options_help, lines of at most `width` columns (HELP_WIDTH_MIN to HELP_WIDTH_MAX; others are taken as the nearer of
 * them). */
void options_help_wide(const struct option_table *table, size_t width, struct buf *out);

/* Appends a text, its lines filled anew to the width; lines that begin with a space, and empty ones, stay as they are. */
void options_help_fill(const char *text, size_t width, struct buf *out);

/* Appends what stands behind an option's sentence: " (default 16; 1 to 1024)". */
void options_help_tail(const struct option_spec *spec, struct buf *out);

#endif
