/* inspect_page: see the header. Output goes through a buffer that is emptied every 64 KiB, so a list of a million tensors
 * needs no memory of its own. */
#include "cli/inspect_page.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { FLUSH_BYTES = 64 << 10, VALUE_COLUMNS = 72, OUT_CAP_BYTES = 1 << 30 };

void inspect_page_init(struct inspect_page *p, struct ctx *c, const char *path)
{
    *p = (struct inspect_page){.c = c, .path = path};
}

void inspect_page_release(struct inspect_page *p)
{
    for (size_t i = 0; i < p->n_facts; i++) {
        mem_free(p->c, p->facts[i].name);
        mem_free(p->c, p->facts[i].json);
    }
    mem_free(p->c, p->facts);
}

/* ---- facts ---- */

/* Takes the literal out of the buffer and stores it; the buffer is released. */
static void page_add(struct inspect_page *p, const char *name, struct buf *literal)
{
    if (p->n_facts == p->room) {
        size_t wanted = p->room ? 2 * p->room : 32;
        struct inspect_fact *grown = mem_resize(p->c, p->facts, p->room, wanted, sizeof *grown);
        if (grown) {
            p->facts = grown;
            p->room = wanted;
        }
    }
    if (ctx_ok(p->c) && p->n_facts < p->room) {
        struct inspect_fact *f = &p->facts[p->n_facts++];
        f->name = mem_strdup(p->c, name);
        f->json = buf_take(literal);
    }
    buf_release(literal);
}

void inspect_page_string(struct inspect_page *p, const char *name, const char *s, size_t n)
{
    struct buf b;
    buf_init(&b, p->c, OUT_CAP_BYTES);
    json_append_string(&b, s, n);
    page_add(p, name, &b);
}

void inspect_page_i64(struct inspect_page *p, const char *name, int64_t v)
{
    struct buf b;
    buf_init(&b, p->c, 64);
    buf_printf(&b, "%lld", (long long)v);
    page_add(p, name, &b);
}

void inspect_page_f64(struct inspect_page *p, const char *name, double v)
{
    struct buf b;
    buf_init(&b, p->c, 64);
    json_append_f64(&b, v);
    page_add(p, name, &b);
}

void inspect_page_json(struct inspect_page *p, const char *name, const json_t *v)
{
    struct buf b;
    buf_init(&b, p->c, OUT_CAP_BYTES);
    json_write(p->c, v, false, &b);
    page_add(p, name, &b);
}

void inspect_page_literal(struct inspect_page *p, const char *name, const char *json)
{
    struct buf b;
    buf_init(&b, p->c, OUT_CAP_BYTES);
    buf_append_str(&b, json);
    page_add(p, name, &b);
}

/* ---- printing ---- */

/* Prints what has been collected once that is enough, or all of it. */
static void flush(struct buf *b, bool all)
{
    if (!buf_ok(b) || (!all && b->len < FLUSH_BYTES)) return;
    fwrite(buf_str(b), 1, b->len, stdout);
    buf_clear(b);
}

/* At most `columns` characters (0: all), control characters and bytes that are not UTF-8 as \xNN. */
static void append_safe(struct buf *b, const char *s, size_t n, size_t columns)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t shown = 0, step;
    for (size_t i = 0; i < n; i += step, shown++) {
        step = utf8_length(p + i, n - i);
        if (columns && shown == columns) {
            buf_append_str(b, "...");
            return;
        }
        bool control = p[i] < 0x20 || p[i] == 0x7f || (p[i] == 0xc2 && step == 2 && p[i + 1] < 0xa0); /* C0, DEL, C1 */
        if (step > 0 && !control) {
            buf_append(b, s + i, step);
            continue;
        }
        step = step ? step : 1;
        for (size_t k = 0; k < step; k++) buf_printf(b, "\\x%02x", p[i + k]);
    }
}

/* Width of the column of names: the longest one. */
static int name_columns(const struct inspect_page *p)
{
    size_t widest = 8;
    for (size_t i = 0; i < p->n_facts; i++) {
        size_t n = strlen(p->facts[i].name);
        if (n > widest) widest = n;
    }
    return widest < 48 ? (int)widest : 48;
}

/* Spaces up to the column. */
static void inspect_page_pad(struct buf *b, size_t start, int columns)
{
    size_t used = b->len - start;
    buf_printf(b, "%*s", used < (size_t)columns ? columns - (int)used : 0, "");
}

/* A line for each fact, strings without their quotes. */
static void facts_table(const struct inspect_page *p, struct buf *b)
{
    int columns = name_columns(p);
    for (size_t i = 0; i < p->n_facts; i++) {
        const struct inspect_fact *f = &p->facts[i];
        size_t start = b->len, n = strlen(f->json);
        bool string = f->json[0] == '"';
        append_safe(b, f->name, strlen(f->name), 0);
        inspect_page_pad(b, start, columns);
        buf_append_str(b, "  ");
        append_safe(b, f->json + string, n - 2 * string, VALUE_COLUMNS);
        buf_append_char(b, '\n');
        flush(b, false);
    }
}

/* "4096, 128" or with another separator. */
static void append_shape(struct buf *b, const struct tensor_view *t, const char *separator)
{
    for (int i = 0; i < t->ndim; i++) buf_printf(b, "%s%lld", i ? separator : "", (long long)t->shape[i]);
}

/* Elements of a tensor: its bytes are known to be right, so the product fits. */
static uint64_t elements(const struct tensor_view *t)
{
    const struct tensor_type_info *info = tensor_type_info(t->type);
    return (uint64_t)(t->bytes / (size_t)info->bytes) * (uint64_t)info->block;
}

/* Sums over the tensors of a list. */
struct totals {
    uint64_t elements, bytes, bytes_of[TENSOR_TYPE_COUNT], count_of[TENSOR_TYPE_COUNT];
};

/* Sums over a list, in all and by type. */
static struct totals totals_of(const struct inspect_tensors *l)
{
    struct totals sum = {0};
    for (size_t i = 0; i < l->n; i++) {
        const struct tensor_view *t = l->at(l->owner, i);
        sum.elements += elements(t);
        sum.bytes += t->bytes;
        sum.bytes_of[t->type] += t->bytes;
        sum.count_of[t->type]++;
    }
    return sum;
}

/* Width of the column of tensor names. */
static int tensor_columns(const struct inspect_tensors *l)
{
    size_t widest = 4;
    for (size_t i = 0; i < l->n; i++) {
        size_t n = strlen(l->at(l->owner, i)->name);
        if (n > widest) widest = n;
    }
    return widest < 80 ? (int)widest : 80;
}

/* A line a tensor: name, type, shape, bytes; then the sums. */
static void tensors_table(const struct inspect_tensors *l, struct buf *b)
{
    int columns = tensor_columns(l);
    struct totals sum = totals_of(l);
    if (l->title[0]) buf_printf(b, "\n%s", l->title);
    buf_printf(b, "\n%-*s  %-5s  %-20s  %14s\n", columns, "name", "type", "shape", "bytes");
    for (size_t i = 0; i < l->n; i++) {
        const struct tensor_view *t = l->at(l->owner, i);
        size_t start = b->len;
        append_safe(b, t->name, strlen(t->name), 0);
        inspect_page_pad(b, start, columns);
        buf_printf(b, "  %-5s  ", tensor_type_info(t->type)->name);
        start = b->len;
        append_shape(b, t, " x ");
        inspect_page_pad(b, start, 20);
        buf_printf(b, "  %14zu\n", t->bytes);
        flush(b, false);
    }
    buf_printf(b, "\n%zu tensors, %llu parameters, %llu bytes", l->n, (unsigned long long)sum.elements,
               (unsigned long long)sum.bytes);
    const char *separator = ": ";
    for (int type = 0; type < TENSOR_TYPE_COUNT; type++) {
        if (!sum.count_of[type]) continue;
        buf_printf(b, "%s%llu %s (%llu bytes)", separator, (unsigned long long)sum.count_of[type],
                   tensor_type_info((enum tensor_type)type)->name, (unsigned long long)sum.bytes_of[type]);
        separator = ", ";
    }
    buf_append_char(b, '\n');
}

/* The page for people. */
static void page_table(const struct inspect_page *p, struct buf *b)
{
    append_safe(b, p->path, strlen(p->path), 0);
    buf_printf(b, ": %s\n\n", p->kind);
    facts_table(p, b);
    for (size_t i = 0; i < p->n_lists; i++) tensors_table(&p->lists[i], b);
}

/* The same as JSON. */
static void tensors_json(const struct inspect_tensors *l, struct buf *b)
{
    struct totals sum = totals_of(l);
    buf_append_str(b, "{\"file\":");
    json_append_string(b, l->title, strlen(l->title));
    buf_printf(b, ",\"count\":%zu,\"parameters\":%llu,\"bytes\":%llu,\"tensors\":[", l->n, (unsigned long long)sum.elements,
               (unsigned long long)sum.bytes);
    for (size_t i = 0; i < l->n; i++) {
        const struct tensor_view *t = l->at(l->owner, i);
        buf_append_str(b, i ? ",\n{\"name\":" : "\n{\"name\":");
        json_append_string(b, t->name, strlen(t->name));
        buf_printf(b, ",\"type\":\"%s\",\"shape\":[", tensor_type_info(t->type)->name);
        append_shape(b, t, ",");
        buf_printf(b, "],\"bytes\":%zu}", t->bytes);
        flush(b, false);
    }
    buf_append_str(b, "]}");
}

/* The page as one JSON document. */
static void page_json(const struct inspect_page *p, struct buf *b)
{
    buf_append_str(b, "{\"path\":");
    json_append_string(b, p->path, strlen(p->path));
    buf_append_str(b, ",\"kind\":");
    json_append_string(b, p->kind, strlen(p->kind));
    buf_append_str(b, ",\"facts\":{");
    for (size_t i = 0; i < p->n_facts; i++) {
        buf_append_str(b, i ? ",\n" : "\n");
        json_append_string(b, p->facts[i].name, strlen(p->facts[i].name));
        buf_printf(b, ":%s", p->facts[i].json);
        flush(b, false);
    }
    buf_append_str(b, "},\"files\":[");
    for (size_t i = 0; i < p->n_lists; i++) {
        if (i) buf_append_char(b, ',');
        tensors_json(&p->lists[i], b);
    }
    buf_append_str(b, "]}\n");
}

enum status inspect_page_print(const struct inspect_page *p, bool json)
{
    struct buf b;
    TRY(p->c->status);
    buf_init(&b, p->c, OUT_CAP_BYTES);
    if (json)
        page_json(p, &b);
    else
        page_table(p, &b);
    flush(&b, true);
    buf_release(&b);
    return p->c->status;
}
