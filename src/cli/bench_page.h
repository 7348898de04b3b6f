/* bench_page: the results of `your_ai bench` as a table for people and as one JSON object. What was not measured is left
 * out of both. */
#ifndef YA_CLI_BENCH_PAGE_H
#define YA_CLI_BENCH_PAGE_H

#include "base/buf.h"
#include "measure/bench.h"

void bench_page_table(const struct bench *b, const struct model *m, struct buf *out);
/* Ends with a newline. Times in seconds, rates as their names say. */
void bench_page_json(const struct bench *b, const struct model *m, struct buf *out);

#endif
