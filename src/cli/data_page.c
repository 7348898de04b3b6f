/* data_page: tables of the rows and their weights. See data_page.h; the numbers are those of runs/weight_view.h, the
 * warnings are in data_warn.c. */
#include "cli/data_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "runs/weight_view.h"

enum { LINES_SHOWN = 16, NAME_COLUMNS = 36, EXCERPT_BYTES = 60, EXCERPT_CAP_BYTES = 1 << 12 };

double data_page_omega(const struct objective *o, const struct dataset_document *d)
{
    return objective_omega(o, d->auth_weight, d->prov_entropy);
}

/* A line of the table. s is undefined for rows without scores. */
static void data_page_print_group(const struct weight_group *g, double all)
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
static void print_groups(const char *title, const struct weight_group *groups, size_t n)
{
    double all = 0;
    size_t shown = 0, filled = 0;
    for (size_t i = 0; i < n; i++) {
        all += groups[i].weight;
        filled += groups[i].documents > 0;
    }
    if (filled < 2 || !(all > 0)) return;
    printf("%-*s %9s %11s %8s %10s %10s\n", NAME_COLUMNS + 2, title, "documents", "tokens", "mean s", "mean omega",
           "of weight");
    for (size_t i = 0; i < n && shown < LINES_SHOWN; i++) {
        if (groups[i].documents == 0) continue;
        data_page_print_group(&groups[i], all);
        shown++;
    }
    if (filled > shown) printf("  and %zu more\n", filled - shown);
}

/* ---- extremes ---- */

/* The first words that are trained of a document, on one line. */
static enum status print_excerpt(const struct trainer *t, int64_t i)
{
    struct buf text;
    buf_init(&text, t->c, EXCERPT_CAP_BYTES);
    enum status status = weight_view_excerpt(t->c, t->tokenizer, t->data, i, EXCERPT_BYTES, &text);
    if (status == OK) puts(buf_str(&text));
    buf_release(&text);
    return status;
}

/* The heaviest and the lightest rows, where weights differ: a wrong score is easiest to see there. */
static enum status print_extremes(const struct trainer *t)
{
    static const char *const names[] = {"heaviest rows", "lightest rows"};
    int64_t found[2][WEIGHT_VIEW_EXTREMES];
    int n = weight_view_extremes(t->data, &t->objective, found);
    for (int side = 0; n > 0 && side < 2; side++) {
        puts(names[side]);
        for (int k = 0; k < n; k++) {
            const struct dataset_document *d = dataset_document(t->data, found[side][k]);
            printf("  %s:%" PRId64 "  weight %.3f: ", dataset_file(t->data, (size_t)d->file).path, d->row,
                   weight_view_of(t->data, &t->objective, found[side][k]));
            TRY(print_excerpt(t, found[side][k]));
        }
    }
    return OK;
}

enum status data_page_print(const struct trainer *t)
{
    size_t n;
    struct weight_group *groups = weight_view_types(t->c, t->data, &t->objective, &n);
    if (groups) print_groups("by source_type", groups, n);
    mem_free(t->c, groups);
    groups = weight_view_files(t->c, t->data, &t->objective, &n);
    if (groups) print_groups("by file", groups, n);
    mem_free(t->c, groups);
    TRY(t->c->status);
    return print_extremes(t);
}
