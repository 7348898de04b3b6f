/* weight_view: see the header. */
#include "runs/weight_view.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { EXCERPT_CAP_BYTES = 1 << 20 };

/* Adds a document to its group, each of its trained tokens counting once. */
static void weight_view_add_document(struct weight_group *g, const struct objective *o, const struct dataset_document *d)
{
    double omega = objective_omega(o, d->auth_weight, d->prov_entropy), n = d->n_trained;
    g->documents++;
    g->tokens += d->n_trained;
    g->s += n * objective_signed(d->auth_weight, d->prov_entropy);
    g->omega += n * omega;
    g->weight += n * omega * d->loss_weight;
}

/* Heaviest group first. */
static int by_weight(const void *a, const void *b)
{
    const struct weight_group *x = a, *y = b;
    return x->weight > y->weight ? -1 : x->weight < y->weight;
}

struct weight_group *weight_view_types(struct ctx *c, const struct dataset *d, const struct objective *o, size_t *n)
{
    size_t types = dataset_n_types(d);
    struct weight_group *groups = mem_alloc(c, types + 1, sizeof *groups);
    *n = groups ? types + 1 : 0;
    if (!groups) return NULL;
    for (size_t i = 0; i < types; i++) groups[i].name = dataset_type(d, i);
    groups[types].name = "(without)";
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        const struct dataset_document *k = dataset_document(d, i);
        weight_view_add_document(&groups[k->source_type < 0 ? (int64_t)types : k->source_type], o, k);
    }
    qsort(groups, *n, sizeof *groups, by_weight);
    return groups;
}

struct weight_group *weight_view_files(struct ctx *c, const struct dataset *d, const struct objective *o, size_t *n)
{
    *n = dataset_n_files(d);
    struct weight_group *groups = mem_alloc(c, *n, sizeof *groups);
    if (!groups) return NULL;
    for (size_t i = 0; i < *n; i++) groups[i].name = dataset_file(d, i).path;
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        const struct dataset_document *k = dataset_document(d, i);
        weight_view_add_document(&groups[k->file], o, k);
    }
    qsort(groups, *n, sizeof *groups, by_weight);
    return groups;
}

double weight_view_of(const struct dataset *d, const struct objective *o, int64_t i)
{
    const struct dataset_document *k = dataset_document(d, i);
    return objective_omega(o, k->auth_weight, k->prov_entropy) * k->loss_weight;
}

/* Indices of the documents with the largest weights (sign 1) or the smallest (-1), the first of equals first. */
static int find_extremes(const struct dataset *d, const struct objective *o, double sign, int64_t out[WEIGHT_VIEW_EXTREMES])
{
    int n = 0;
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        double w = sign * weight_view_of(d, o, i);
        if (n == WEIGHT_VIEW_EXTREMES && w <= sign * weight_view_of(d, o, out[n - 1])) continue;
        int at = n < WEIGHT_VIEW_EXTREMES ? n++ : n - 1;
        for (; at > 0 && w > sign * weight_view_of(d, o, out[at - 1]); at--) out[at] = out[at - 1];
        out[at] = i;
    }
    return n;
}

int weight_view_extremes(const struct dataset *d, const struct objective *o, int64_t out[2][WEIGHT_VIEW_EXTREMES])
{
    int n = find_extremes(d, o, 1, out[0]);
    find_extremes(d, o, -1, out[1]);
    if (2 * n > dataset_n_documents(d)) n = (int)dataset_n_documents(d) / 2; /* none in both lists */
    return weight_view_of(d, o, out[0][0]) == weight_view_of(d, o, out[1][0]) ? 0 : n;
}

enum status weight_view_excerpt(struct ctx *c, const struct tokenizer *t, const struct dataset *d, int64_t i,
                                size_t most_bytes, struct buf *out)
{
    const struct dataset_document *k = dataset_document(d, i);
    const uint8_t *trained = dataset_trained(d, i);
    struct buf text;
    int32_t from = 0, to;
    while (!trained[from]) from++;
    for (to = from; to < k->n && trained[to] && to - from < (int32_t)most_bytes;) to++;
    buf_init(&text, c, EXCERPT_CAP_BYTES);
    enum status status = tokenizer_decode(c, t, dataset_tokens(d, i) + from, (size_t)(to - from), true, &text);
    for (size_t at = 0; status == OK && at < text.len && at < most_bytes;) {
        const uint8_t *p = (const uint8_t *)text.data + at;
        size_t step = utf8_length(p, text.len - at);
        bool plain = step > 1 ? p[0] != 0xc2 || p[1] >= 0xa0 : step == 1 && *p >= 0x20 && *p != 0x7f;
        if (plain)
            buf_append(out, p, step);
        else
            buf_append_char(out, ' ');
        at += plain ? step : 1;
    }
    buf_release(&text);
    return status;
}
