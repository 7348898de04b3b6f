/* run_page: one HTML page about one run or several side by side: how each went, charts, sources, weights, options, hashes.
 * It needs no network and no script, and holds nothing but text and SVG (report/page.h). Curves are thinned to the least and
 * the largest value of each column of pixels, so a page stays below 1 MB for 10,000 steps and a spike stays where it is. */
#ifndef YA_RUNS_RUN_PAGE_H
#define YA_RUNS_RUN_PAGE_H

#include "runs/run_read.h"

enum { RUN_PAGE_RUNS_MAX = 8, RUN_PAGE_CAP_BYTES = 64 << 20 };

/* Appends the whole page about runs (n, 1 to RUN_PAGE_RUNS_MAX). What cannot be shown (rows or a model that are gone) is
 * said in its place. E_MEMORY, or E_INPUT when the page would be larger than RUN_PAGE_CAP_BYTES. */
enum status run_page_write(const struct run_read *runs, size_t n, struct buf *out);

/* The part of it that follows a training: the table, how it goes, charts, sources. Reads nothing. Errors as above. */
enum status run_page_write_live(const struct run_read *r, struct buf *out);

#endif
