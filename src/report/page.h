/* page: a self-contained HTML page: head, style for light and dark screens, escaping. */
#ifndef YA_REPORT_PAGE_H
#define YA_REPORT_PAGE_H

#include "base/buf.h"

/* Appends the page up to <body> with its heading; what stands between is the caller's; then the end. */
void page_begin(struct buf *out, const char *title);
void page_end(struct buf *out);

/* Appends text with &, <, > and " escaped. */
void page_text(struct buf *out, const char *text);

#endif
