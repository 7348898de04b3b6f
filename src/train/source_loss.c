/* source_loss: ranks the sources of a dataset once, then adds tokens up by a table from source to row. */
#include "train/source_loss.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/json.h"

const char *const source_by_name[SOURCE_BYS] = {"source_type", "file"};

/* One source type or file while they are ranked. */
struct source_count {
    int32_t index; /* of the type (n_types: none) or the file */
    int64_t tokens;
};

/* Types, and one place more for rows without one; or files. */
static size_t sources_of(const struct source_loss *s, enum source_by by)
{
    return by == SOURCE_BY_FILE ? dataset_n_files(s->data) : dataset_n_types(s->data) + 1;
}

static size_t source_of(const struct source_loss *s, enum source_by by, const struct dataset_document *d)
{
    if (by == SOURCE_BY_FILE) return (size_t)d->file;
    return d->source_type < 0 ? dataset_n_types(s->data) : (size_t)d->source_type;
}

/* Most trained tokens first, then in the order of their appearance. */
static int by_tokens(const void *a, const void *b)
{
    const struct source_count *x = a, *y = b;
    if (x->tokens != y->tokens) return x->tokens > y->tokens ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Bytes of the folder that all files lie in, its "/" included: "/a/b/x.jsonl" and "/a/c.jsonl" have "/a/". */
static size_t common_folder(const struct dataset *d)
{
    const char *first = dataset_file(d, 0).path;
    size_t n = strlen(first);
    for (size_t i = 1; i < dataset_n_files(d); i++) {
        const char *path = dataset_file(d, i).path;
        size_t k = 0;
        while (k < n && path[k] == first[k]) k++;
        n = k;
    }
    while (n > 0 && first[n - 1] != '/') n--;
    return n;
}

static const char *source_name(const struct source_loss *s, enum source_by by, int32_t index, size_t folder)
{
    if (by == SOURCE_BY_FILE) return dataset_file(s->data, (size_t)index).path + folder;
    return (size_t)index < dataset_n_types(s->data) ? dataset_type(s->data, (size_t)index) : NULL;
}

/* Makes the rows of types or of files from their ranking, of which the first n have tokens. */
static void source_loss_make_rows(struct source_loss *s, enum source_by by, const struct source_count *ranked, size_t n)
{
    size_t folder = by == SOURCE_BY_FILE ? common_folder(s->data) : 0;
    size_t named = n <= SOURCE_NAMED_MAX ? n : SOURCE_NAMED_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t row = s->n_rows + (i < named ? i : named);
        s->row_of[by][ranked[i].index] = (int32_t)row;
        if (i < named)
            s->rows[row] = (struct source_row){.by = by, .name = source_name(s, by, ranked[i].index, folder)};
        else
            s->rows[row] = (struct source_row){.by = by, .others = (int64_t)(n - named)};
    }
    s->n_rows += named + (n > named);
}

/* Ranks types or files by their trained tokens; fewer than two are not told apart. */
static enum status rank_sources(struct source_loss *s, enum source_by by)
{
    size_t n = sources_of(s, by), filled = 0;
    struct source_count *counts = mem_alloc(s->c, n, sizeof *counts);
    for (size_t i = 0; counts && i < n; i++) counts[i].index = (int32_t)i;
    for (int64_t i = 0; counts && i < dataset_n_documents(s->data); i++) {
        const struct dataset_document *d = dataset_document(s->data, i);
        counts[source_of(s, by, d)].tokens += d->n_trained;
    }
    if (counts) qsort(counts, n, sizeof *counts, by_tokens);
    while (counts && filled < n && counts[filled].tokens > 0) filled++;
    if (filled > 1) s->row_of[by] = mem_alloc(s->c, n, sizeof *s->row_of[by]);
    if (s->row_of[by]) source_loss_make_rows(s, by, counts, filled);
    mem_free(s->c, counts);
    return s->c->status;
}

struct source_loss *source_loss_new(struct ctx *c, const struct dataset *data)
{
    struct source_loss *s = mem_alloc(c, 1, sizeof *s);
    if (!s) return NULL;
    s->c = c;
    s->data = data;
    s->rows = mem_alloc(c, SOURCE_BYS * (SOURCE_NAMED_MAX + 1), sizeof *s->rows);
    for (int by = 0; s->rows && by < SOURCE_BYS; by++) rank_sources(s, (enum source_by)by);
    if (ctx_ok(c)) return s;
    source_loss_free(s);
    return NULL;
}

void source_loss_free(struct source_loss *s)
{
    if (!s) return;
    for (int by = 0; by < SOURCE_BYS; by++) mem_free(s->c, s->row_of[by]);
    mem_free(s->c, s->rows);
    mem_free(s->c, s);
}

int32_t source_loss_row(const struct source_loss *s, enum source_by by, int64_t document)
{
    return s->row_of[by] ? s->row_of[by][source_of(s, by, dataset_document(s->data, document))] : -1;
}

const char *source_row_text(const struct source_row *row, char text[SOURCE_TEXT_BYTES])
{
    if (!row->others) return row->name ? row->name : "(without)";
    snprintf(text, SOURCE_TEXT_BYTES, "(%lld others)", (long long)row->others);
    return text;
}

void source_row_json(const struct source_row *row, struct buf *out)
{
    buf_printf(out, "\"by\":\"%s\",", source_by_name[row->by]);
    if (row->others)
        buf_printf(out, "\"others\":%lld", (long long)row->others);
    else
        buf_append_str(out, "\"name\":");
    if (row->name)
        json_append_string(out, row->name, strlen(row->name));
    else if (!row->others)
        buf_append_str(out, "null");
}

void source_loss_clear(struct source_loss *s)
{
    for (size_t i = 0; i < s->n_rows; i++) s->rows[i].sums = (struct source_sums){0};
}

void source_loss_add(struct source_loss *s, const struct batch *b, const int64_t *documents, const float *logprobs)
{
    for (int k = 0; k < b->n_seg; k++) {
        const struct dataset_document *d = dataset_document(s->data, documents[k]);
        struct source_sums sums = {0};
        for (int32_t i = b->cu[k]; i < b->cu[k + 1]; i++) {
            double weight = (double)b->weights[i];
            if (weight == 0) continue;
            sums.nll -= (double)logprobs[i];
            sums.weighted -= weight * (double)logprobs[i];
            sums.weight += weight;
            sums.tokens++;
        }
        for (int by = 0; by < SOURCE_BYS; by++) {
            if (!s->row_of[by]) continue;
            struct source_sums *to = &s->rows[s->row_of[by][source_of(s, (enum source_by)by, d)]].sums;
            to->nll += sums.nll;
            to->weighted += sums.weighted;
            to->weight += sums.weight;
            to->tokens += sums.tokens;
        }
    }
}
