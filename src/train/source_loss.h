/* source_loss: loss and weight by where rows come from, their source_type and their file. The total loss hides what weights
 * do: with a patent of weight 8 beside ten posts of weight 0.3, the patent's loss may fall while that of the posts, which
 * are most of the tokens, does not. Nothing is computed twice for it: the engine gives the log-probability of each trained
 * token beside the loss (engine.h), and here they are added up by source.
 *
 * A run may have thousands of files. Of each of the two, source_type and file, the SOURCE_NAMED_MAX with the most trained
 * tokens are told apart, and the rest is one row of "others". Where all rows have the same source_type (or none has one),
 * or come from one file, there is nothing to tell apart, and no row is made of it. */
#ifndef YA_TRAIN_SOURCE_LOSS_H
#define YA_TRAIN_SOURCE_LOSS_H

#include "base/buf.h"
#include "data/dataset.h"
#include "model/batch.h"

enum source_by { SOURCE_BY_TYPE, SOURCE_BY_FILE, SOURCE_BYS };
extern const char *const source_by_name[SOURCE_BYS]; /* "source_type", "file" */

enum { SOURCE_NAMED_MAX = 12 };

/* Sums over trained tokens. With weight = omega * v of a token's row: the mean loss is nll / tokens, the mean weighted loss
 * weighted / tokens, both in nats. */
struct source_sums {
    double nll, weighted, weight;
    int64_t tokens;
};

struct source_row {
    enum source_by by;
    const char *name; /* NULL: the rows without a source_type, or the others */
    int64_t others;   /* how many source types or files this row stands for; 0: it is one */
    struct source_sums sums;
};

struct source_loss {
    struct ctx *c;
    const struct dataset *data;
    struct source_row *rows;     /* (n_rows) largest first, "others" last; all source types, then all files */
    size_t n_rows;               /* 0: nothing to tell apart */
    int32_t *row_of[SOURCE_BYS]; /* which row a type (the last place: none) or a file counts in; NULL: not told apart */
};

/* The sources of a dataset, which is borrowed. A file's name is its path behind the folder that all files have in common.
 * Owner of the result: the caller (source_loss_free). NULL with E_MEMORY. */
struct source_loss *source_loss_new(struct ctx *c, const struct dataset *data);
void source_loss_free(struct source_loss *s); /* accepts NULL */

/* The row in which a document counts; -1: its kind is not told apart. */
int32_t source_loss_row(const struct source_loss *s, enum source_by by, int64_t document);

/* What a row is called on the screen: its name, "(without)", or "(3 others)" in `text`. */
enum { SOURCE_TEXT_BYTES = 32 };
const char *source_row_text(const struct source_row *row, char text[SOURCE_TEXT_BYTES]);

/* Appends its members "by" and "name" (null: without a source_type) or "others". */
void source_row_json(const struct source_row *row, struct buf *out);

/* Sets all sums to 0. */
void source_loss_clear(struct source_loss *s);
/* Adds a batch. documents: (b->n_seg) which documents of the dataset its segments are; logprobs: (b->n) log-probability of
 * each row's target, read only where its weight is not 0. Sums are made in the order of rows, so they are the same bits
 * however the batch was computed. */
void source_loss_add(struct source_loss *s, const struct batch *b, const int64_t *documents, const float *logprobs);

#endif
