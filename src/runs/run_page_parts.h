/* run_page_parts: what the files of run_page share. */
#ifndef YA_RUNS_RUN_PAGE_PARTS_H
#define YA_RUNS_RUN_PAGE_PARTS_H

#include "runs/run_page.h"

/* The name of a run on the page: the last part of its path. */
const char *run_page_label(const struct run_read *r);

/* The charts of all runs: losses, validation, learning rate, norms, clipping, speed, memory. E_MEMORY. */
enum status run_charts_write(const struct run_read *runs, size_t n, struct buf *out);
/* Loss and share of the weight by source, of one run; nothing where there is one source only. E_MEMORY. */
enum status run_charts_sources(const struct run_read *r, struct buf *out);

/* Prompts with the answers before and after the training; nothing where the run has none. E_INPUT for a samples.json that is
 * not as train writes it, E_MEMORY. */
enum status run_samples_write(const struct run_read *r, struct buf *out);

/* Weights of the training rows: histogram of omega, groups, the heaviest and lightest documents. E_MEMORY. */
enum status run_weights_write(const struct run_read *r, struct buf *out);

/* Options of all runs side by side, those that differ marked; hashes and environment of each. E_MEMORY. */
enum status run_details_write(const struct run_read *runs, size_t n, struct buf *out);

#endif
