/* data_page: tables of the rows and their weights. See data_page.h; the warnings are in data_warn.c. */
#include "cli/data_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { LINES_SHOWN = 16, EXTREMES_SHOWN = 3, NAME_COLUMNS = 36, EXCERPT_BYTES = 60 };

/* Sums over the documents of one source type or file. */
struct page_group {
    const char *name;
    int64_t documents, tokens;
    double s, omega, weight; /* summed over trained tokens */
};

double data_page_omega(const struct objective *o, const struct dataset_document *d)
{
    return objective_omega(o, d->auth_weight, d->prov_entropy);
}

/* Adds a document to its group, each of its trained tokens counting once. */
static void add_document(struct page_group *g, const struct objective *o, const struct dataset_document *d)
{
    double omega = data_page_omega(o, d), n = d->n_trained;
    g->documents++;
    g->tokens += d->n_trained;
    g->s += n * objective_signed(d->auth_weight, d->prov_entropy);
    g->omega += n * omega;
    g->weight += n * omega * d->loss_weight;
}

/* Heaviest group first. */
static int by_weight(const void *a, const void *b)
{
    const struct page_group *x = a, *y = b;
    return x->weight > y->weight ? -1 : x->weight < y->weight;
}

/* A line of the table. s is undefined for rows without scores. */
static void print_group(const struct page_group *g, double all)
{
    size_t n = strlen(g->name);
    bool cut = n > NAME_COLUMNS; /* the end of a path tells more */
    const char *name = cut ? g->name + n - (NAME_COLUMNS - 3) : g->name;
    printf("  %s%-*s %9" PRId64 " %11" PRId64, cut ? "..." : "", cut ? NAME_COLUMNS - 3 : NAME_COLUMNS, name, g->documents,
           g->tokens);
    if (isnan(g->s))
        printf("        -");
    else
        printf(" %8.2f", g->s / (double)g->tokens);
    printf(" %10.3f %8.1f %%\n", g->omega / (double)g->tokens, 100 * g->weight / all);
}

/* A table of the groups that have documents, the heaviest first. With fewer than two there is nothing to compare. */
static void print_groups(const char *title, struct page_group *groups, size_t n)
{
    double all = 0;
    size_t shown = 0, filled = 0;
    for (size_t i = 0; i < n; i++) {
        all += groups[i].weight;
        filled += groups[i].documents > 0;
    }
    if (filled < 2 || !(all > 0)) return;
    qsort(groups, n, sizeof *groups, by_weight);
    printf("%-*s %9s %11s %8s %10s %10s\n", NAME_COLUMNS + 2, title, "documents", "tokens", "mean s", "mean omega",
           "of weight");
    for (size_t i = 0; i < n && shown < LINES_SHOWN; i++) {
        if (groups[i].documents == 0) continue;
        print_group(&groups[i], all);
        shown++;
    }
    if (filled > shown) printf("  and %zu more\n", filled - shown);
}

/* Source types, and in the last place the rows without one. */
static enum status print_types(const struct trainer *t)
{
    size_t n = dataset_n_types(t->data);
    struct page_group *groups = mem_alloc(t->c, n + 1, sizeof *groups);
    if (!groups) return t->c->status;
    for (size_t i = 0; i < n; i++) groups[i].name = dataset_type(t->data, i);
    groups[n].name = "(without)";
    for (int64_t i = 0; i < dataset_n_documents(t->data); i++) {
        const struct dataset_document *d = dataset_document(t->data, i);
        add_document(&groups[d->source_type < 0 ? (int64_t)n : d->source_type], &t->objective, d);
    }
    print_groups("by source_type", groups, n + 1);
    mem_free(t->c, groups);
    return OK;
}

/* The same by file. */
static enum status print_files(const struct trainer *t)
{
    size_t n = dataset_n_files(t->data);
    struct page_group *groups = mem_alloc(t->c, n, sizeof *groups);
    if (!groups) return t->c->status;
    for (size_t i = 0; i < n; i++) groups[i].name = dataset_file(t->data, i).path;
    for (int64_t i = 0; i < dataset_n_documents(t->data); i++) {
        const struct dataset_document *d = dataset_document(t->data, i);
        add_document(&groups[d->file], &t->objective, d);
    }
    print_groups("by file", groups, n);
    mem_free(t->c, groups);
    return OK;
}

/* ---- extremes ---- */

/* The first words that are trained of a document, on one line. */
static enum status print_excerpt(const struct trainer *t, int64_t i)
{
    const struct dataset_document *d = dataset_document(t->data, i);
    const uint8_t *trained = dataset_trained(t->data, i);
    struct buf text;
    int32_t from = 0, to;
    while (!trained[from]) from++;
    for (to = from; to < d->n && trained[to] && to - from < EXCERPT_BYTES;) to++;
    buf_init(&text, t->c, 1 << 20);
    enum status status =
        tokenizer_decode(t->c, t->tokenizer, dataset_tokens(t->data, i) + from, (size_t)(to - from), true, &text);
    for (size_t at = 0; status == OK && at < text.len && at < EXCERPT_BYTES;) {
        const uint8_t *p = (const uint8_t *)text.data + at;
        size_t k = utf8_length(p, text.len - at);
        bool plain = k > 1 ? p[0] != 0xc2 || p[1] >= 0xa0 : k == 1 && *p >= 0x20 && *p != 0x7f;
        if (plain)
            fwrite(p, 1, k, stdout);
        else
            putchar(' ');
        at += plain ? k : 1;
    }
    putchar('\n');
    buf_release(&text);
    return status;
}

/* What the loss of a document is multiplied by: omega times the row's own weight. */
static double weight_of(const struct trainer *t, int64_t i)
{
    const struct dataset_document *d = dataset_document(t->data, i);
    return data_page_omega(&t->objective, d) * d->loss_weight;
}

/* Indices of the documents with the largest weights (sign 1) or the smallest (-1), the first of equals first. */
static int find_extremes(const struct trainer *t, double sign, int64_t out[EXTREMES_SHOWN])
{
    int n = 0;
    for (int64_t i = 0; i < dataset_n_documents(t->data); i++) {
        double w = sign * weight_of(t, i);
        if (n == EXTREMES_SHOWN && w <= sign * weight_of(t, out[n - 1])) continue;
        int at = n < EXTREMES_SHOWN ? n++ : n - 1;
        for (; at > 0 && w > sign * weight_of(t, out[at - 1]); at--) out[at] = out[at - 1];
        out[at] = i;
    }
    return n;
}

/* The heaviest and the lightest rows, where weights differ: a wrong score is easiest to see there. */
static enum status print_extremes(const struct trainer *t)
{
    static const char *const names[] = {"heaviest rows", "lightest rows"};
    int64_t found[2][EXTREMES_SHOWN];
    int n = find_extremes(t, 1, found[0]);
    find_extremes(t, -1, found[1]);
    if (2 * n > dataset_n_documents(t->data)) n = (int)dataset_n_documents(t->data) / 2; /* none in both lists */
    if (weight_of(t, found[0][0]) == weight_of(t, found[1][0])) return OK;
    for (int side = 0; side < 2; side++) {
        puts(names[side]);
        for (int k = 0; k < n; k++) {
            const struct dataset_document *d = dataset_document(t->data, found[side][k]);
            printf("  %s:%" PRId64 "  weight %.3f: ", dataset_file(t->data, (size_t)d->file).path, d->row,
                   weight_of(t, found[side][k]));
            TRY(print_excerpt(t, found[side][k]));
        }
    }
    return OK;
}

enum status data_page_print(const struct trainer *t)
{
    TRY(print_types(t));
    TRY(print_files(t));
    return print_extremes(t);
}
