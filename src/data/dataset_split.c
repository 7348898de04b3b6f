/* dataset_split: see dataset_split.h. Every row gets a number, the first 8 bytes of the SHA-256 of its tokens, and the rows
 * with the smallest numbers are taken for validation. The numbers are as good as random, so the choice is a random sample;
 * and they depend on the row alone, so a shuffled file, or one with rows added at its end, gives nearly the same sample
 * again. Memory: 8 bytes a row, twice. */
#include "data/dataset_split.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "data/dataset_write.h"

/* Rows are runs of documents with the same file and number: pieces of a row stand together. */
struct splitter {
    struct ctx *c;
    struct dataset *all;
    uint64_t *numbers; /* (documents) that of the row, in the place of its first document */
    struct dataset_writer *out[2];
    struct dataset_counts counts[2]; /* training, validation */
};

/* One past the last document of the row that begins with document i. */
static int64_t row_end(const struct dataset *d, int64_t i)
{
    const struct dataset_document *first = dataset_document(d, i);
    int64_t n = dataset_n_documents(d);
    do i++;
    while (i < n && dataset_document(d, i)->row == first->row && dataset_document(d, i)->file == first->file);
    return i;
}

/* The number of the row that begins with document i. */
static uint64_t row_number(const struct dataset *d, int64_t i)
{
    struct sha256 s;
    uint8_t digest[32];
    uint64_t number;
    sha256_init(&s);
    for (int64_t end = row_end(d, i); i < end; i++)
        sha256_update(&s, dataset_tokens(d, i), (size_t)dataset_document(d, i)->n * sizeof(int32_t));
    sha256_final(&s, digest);
    memcpy(&number, digest, sizeof number);
    return number;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The number up to which rows are taken. */
static enum status find_limit(struct splitter *s, double share, uint64_t *limit)
{
    int64_t n = dataset_n_documents(s->all), rows = 0;
    uint64_t *sorted = mem_alloc(s->c, (size_t)n, sizeof *sorted);
    if (!sorted) return s->c->status;
    for (int64_t i = 0; i < n; i = row_end(s->all, i)) {
        s->numbers[i] = row_number(s->all, i);
        sorted[rows++] = s->numbers[i];
    }
    qsort(sorted, (size_t)rows, sizeof *sorted, compare);
    int64_t taken = (int64_t)((double)rows * share + 0.5);
    if (taken < 1) taken = 1;
    *limit = sorted[taken <= rows ? taken - 1 : rows - 1];
    bool all = *limit == sorted[rows - 1];
    mem_free(s->c, sorted);
    if (all)
        return ctx_fail(s->c, E_INPUT, "%g of %lld different rows for validation would leave none to train on", share,
                        (long long)rows);
    return OK;
}

/* Copies the row that begins with document i to its side. */
static enum status copy_row(struct splitter *s, int64_t i, int side)
{
    struct dataset_counts *counts = &s->counts[side];
    const struct dataset *d = s->all;
    int64_t end = row_end(d, i);
    counts->rows++;
    counts->split_rows += end - i > 1;
    for (; i < end; i++) {
        struct dataset_document document = *dataset_document(d, i);
        if (document.source_type >= 0)
            document.source_type = dataset_write_type(s->out[side], dataset_type(d, (size_t)document.source_type));
        TRY(dataset_write_document(s->out[side], &document, dataset_tokens(d, i), (const char *)dataset_trained(d, i)));
    }
    return OK;
}

/* What is known of all rows only stays with the training rows. */
static void settle_counts(struct splitter *s)
{
    struct dataset_counts *train = &s->counts[0], all = *dataset_counts(s->all);
    all.rows -= s->counts[1].rows;
    all.split_rows = train->split_rows;
    if (all.scored_rows > all.rows) all.scored_rows = all.rows;
    if (all.truncated_rows > all.rows) all.truncated_rows = all.rows;
    *train = all;
}

/* Both files, row by row. */
static enum status write_parts(struct splitter *s, uint64_t limit)
{
    int64_t n = dataset_n_documents(s->all);
    for (int64_t i = 0; i < n; i = row_end(s->all, i)) TRY(copy_row(s, i, s->numbers[i] <= limit));
    settle_counts(s);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < dataset_n_files(s->all); i++) {
            struct dataset_file file = dataset_file(s->all, i);
            dataset_write_file(s->out[side], &file);
        }
        struct dataset_writer *out = s->out[side];
        s->out[side] = NULL;
        TRY(dataset_write_commit(out, dataset_max_length(s->all), &s->counts[side]));
    }
    return OK;
}

enum status dataset_split(struct ctx *c, const char *train_path, const char *valid_path, double share)
{
    struct splitter s = {.c = c};
    uint64_t limit = 0;
    s.all = dataset_open(c, train_path);
    if (!s.all) return c->status;
    s.numbers = mem_alloc(c, (size_t)dataset_n_documents(s.all), sizeof *s.numbers);
    if (s.numbers && find_limit(&s, share, &limit) == OK) {
        s.out[0] = dataset_write_open(c, train_path);
        s.out[1] = s.out[0] ? dataset_write_open(c, valid_path) : NULL;
        if (s.out[1]) write_parts(&s, limit);
    }
    dataset_write_abort(s.out[0]);
    dataset_write_abort(s.out[1]);
    mem_free(c, s.numbers);
    dataset_close(s.all);
    return c->status;
}
