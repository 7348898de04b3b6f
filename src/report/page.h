/* page: a self-contained HTML page: head, style for light and dark screens, escaping. Its own policy (a meta element) lets
 * the browser load nothing and run nothing, whatever text should get into it. */
#ifndef YA_REPORT_PAGE_H
#define YA_REPORT_PAGE_H

#include "base/buf.h"

/* Appends the page up to <body> with its heading; what stands between is the caller's; then the end. */
void page_begin(struct buf *out, const char *title);
void page_end(struct buf *out);

/* Appends text that may be anything: &, <, > and both quotes as entities, so that it is text in an element and in an
 * attribute; bytes that are not UTF-8 and control characters other than tab and line feed as U+FFFD. */
void page_text(struct buf *out, const char *text);
void page_text_n(struct buf *out, const char *text, size_t n);

#endif
