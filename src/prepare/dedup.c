/* dedup: finds the copy groups, chooses the row of each that stays, writes those rows, and reports the groups. dedup_run
 * calls table_groups_read, dedup_choose, report and table_write_rows, in this order. */
#include "prepare/dedup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/json.h"
#include "prepare/table_write.h"

/* Whether row a is a better one to keep than b, which comes before it: of equals the earlier one stays. */
static bool is_better(const struct row_table *t, size_t a, size_t b, enum dedup_keep keep)
{
    const struct table_row *x = &t->rows[a], *y = &t->rows[b];
    if (keep == DEDUP_LONGEST) return x->text_bytes > y->text_bytes;
    if (keep == DEDUP_FIRST) return false;
    double s = table_row_signed(x), other = table_row_signed(y);
    return isnan(other) ? !isnan(s) : s > other;
}

void dedup_choose(const struct row_table *t, const uint32_t *group, enum dedup_keep keep, uint8_t *stays)
{
    size_t n = t->n_rows;
    memset(stays, 0, n);
    for (size_t i = 0; i < n; i++) stays[i] = !t->rows[i].faulty && group[i] == i;
    if (keep == DEDUP_FIRST) return;
    /* best[g]: of the group whose first row is g, the row that stays so far. The first row is met before the others. */
    uint32_t *best = mem_alloc(t->c, n, sizeof *best);
    for (size_t i = 0; best && i < n; i++) {
        if (group[i] == i)
            best[i] = (uint32_t)i;
        else if (is_better(t, i, best[group[i]], keep))
            best[group[i]] = (uint32_t)i;
    }
    memset(stays, 0, n);
    for (size_t i = 0; best && i < n; i++)
        if (group[i] == i && !t->rows[i].faulty) stays[best[i]] = 1;
    mem_free(t->c, best);
}

/* ---- the file of groups ---- */

struct group_member {
    uint32_t group, row; /* the group's first row; the row */
};

static int by_group(const void *a, const void *b)
{
    const struct group_member *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static void dedup_add_name(const struct row_table *t, size_t i, struct buf *out)
{
    const struct table_row *r = &t->rows[i];
    char number[32];
    buf_append_str(out, "{\"file\":");
    json_append_string(out, t->files[r->file].name, strlen(t->files[r->file].name));
    snprintf(number, sizeof number, ",\"row\":%lld}", (long long)r->row);
    buf_append_str(out, number);
}

/* {"kept": {"file", "row"}, "rows": [...]} for each group of two and more. */
static struct file_writer *dedup_write_groups(const struct row_table *t, const struct group_member *members, size_t n,
                                              const uint8_t *stays, const char *path)
{
    struct file_writer *w = file_writer_open(t->c, path);
    if (!w) return NULL;
    struct buf line;
    buf_init(&line, t->c, (size_t)1 << 32);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && members[end].group == members[i].group;) end++;
        if (end - i < 2) continue;
        buf_clear(&line);
        buf_append_str(&line, "{\"kept\":");
        for (size_t k = i; k < end; k++)
            if (stays[members[k].row]) dedup_add_name(t, members[k].row, &line);
        buf_append_str(&line, ",\"rows\":[");
        for (size_t k = i; k < end; k++) {
            if (k > i) buf_append_char(&line, ',');
            dedup_add_name(t, members[k].row, &line);
        }
        buf_append_str(&line, "]}\n");
        if (buf_ok(&line)) file_writer_write(w, buf_str(&line), line.len);
    }
    buf_release(&line);
    return w;
}

/* Finds the largest group and, where a path is given, writes the groups: rows sorted by group stand together. The file of
 * groups is published together with the rows. */
static struct file_writer *report(const struct row_table *t, const uint32_t *group, const uint8_t *stays, const char *path,
                                  struct dedup_result *result)
{
    struct file_writer *w = NULL;
    struct group_member *members = mem_alloc(t->c, t->n_rows, sizeof *members);
    if (!members) return NULL;
    size_t n = 0;
    for (size_t i = 0; i < t->n_rows; i++)
        if (!t->rows[i].faulty) members[n++] = (struct group_member){group[i], (uint32_t)i};
    qsort(members, n, sizeof *members, by_group);
    for (size_t i = 0, first = 0; i < n; i++) {
        if (members[i].group != members[first].group) first = i;
        if ((int64_t)(i - first) + 1 > result->largest) result->largest = (int64_t)(i - first) + 1;
    }
    if (path) w = dedup_write_groups(t, members, n, stays, path);
    mem_free(t->c, members);
    return w;
}

/* E_INPUT when the file of groups is an input or the other output. */
static enum status check_groups_path(struct ctx *c, const char *groups, const char *const *paths, size_t n, const char *out)
{
    if (groups && strcmp(groups, out) == 0) return ctx_fail(c, E_INPUT, "%s is given for two outputs", out);
    for (size_t i = 0; groups && i < n; i++)
        if (strcmp(groups, paths[i]) == 0) return ctx_fail(c, E_INPUT, "%s is an input; choose another output", groups);
    return OK;
}

enum status dedup_run(struct ctx *c, const struct dedup_options *o, const char *const *paths, size_t n_paths,
                      const char *out, struct dedup_result *result)
{
    struct row_table t = {.c = c};
    struct minhash m = {0};
    struct copy_counts counts = {0};
    uint32_t *group = NULL;
    uint8_t *stays = NULL;
    *result = (struct dedup_result){0};
    TRY(check_groups_path(c, o->groups_path, paths, n_paths, out));
    struct table_options table = {.skip_faulty = o->skip_faulty};
    if (table_groups_read(&t, &m, c, &o->groups, table, paths, n_paths, &group, &counts) == OK)
        stays = mem_alloc(c, t.n_rows, sizeof *stays);
    if (stays) dedup_choose(&t, group, o->keep, stays);
    if (stays) {
        struct table_outputs outputs = {.paths = &out, .n = 1};
        outputs.beside = report(&t, group, stays, o->groups_path, result);
        table_write_rows(&t, stays, &outputs);
    }
    result->faulty = t.faulty;
    result->rows = (int64_t)t.n_rows - t.faulty;
    result->exact = (int64_t)counts.exact;
    result->near_copies = (int64_t)counts.near_rows;
    result->groups = (int64_t)counts.groups;
    result->kept = result->rows - result->exact - result->near_copies;
    mem_free(c, stays);
    mem_free(c, group);
    row_table_release(&t);
    minhash_release(&m, c);
    return c->status;
}
