/* bench_page: the results of `your_ai bench` as a table for people and as one JSON object. What was not measured is left
 * out of both. */
#ifndef YA_CLI_BENCH_PAGE_H
#define YA_CLI_BENCH_PAGE_H

#include "base/buf.h"
#include "measure/bench.h"

/* Appends the tables for people: ms, GFLOP/s, GB/s, and shares of the machine's ceilings in percent. */
void bench_page_table(const struct bench *b, const struct model *m, struct buf *out);
/* Appends one JSON object and a line end. Times are in seconds, rates in the units that their names say, shares from 0 to 1.
 */
void bench_page_json(const struct bench *b, const struct model *m, struct buf *out);

#endif
