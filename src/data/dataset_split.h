/* dataset_split: parts of a data set kept for validation. */
#ifndef YA_DATA_DATASET_SPLIT_H
#define YA_DATA_DATASET_SPLIT_H

#include "data/dataset.h"

/* Moves `share` (above 0, below 1) of the rows of the cache file at train_path into a new one at valid_path and writes the
 * rest to train_path again. Which rows follows from their tokens alone, not from their order, and rows of equal
 * tokens stay together, so that nothing is validated on what was trained; their number is the nearest to the share, at least
 * one, and more where equal rows come with the last one. Both files list all source files; in the counts the skipped rows
 * stay with the training rows. E_INPUT when no row would be left to train on; the errors of dataset_open and of writing. */
enum status dataset_split(struct ctx *c, const char *train_path, const char *valid_path, double share);

#endif
