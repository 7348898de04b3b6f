/* parquet: see parquet.h. Puts rows together again from columns.
 *
 * Parquet stores a table column by column, and a nested value as a flat column of its leaves. Beside each leaf stand two
 * small numbers, its levels, which say where in the row it belongs (Melnik et al., Dremel, 2010). The definition level
 * counts how many of the optional and repeated nodes above the leaf are there; the repetition level is 0 where a new row
 * begins, else the depth of the list that continues. For a column tags of two rows {"tags": ["a", "b"]} and {"tags": []},
 * with the schema optional list -> repeated item (definition 3 when a value is there):
 *
 *   value   def   rep
 *   "a"     3     0      a new row; the list, an item and its value are there
 *   "b"     3     1      the list of depth 1 continues
 *   -       1     0      a new row; the list is there, and no item
 *
 * Every part of a row looks at the levels of the first column below it, decides what is there, and moves all columns below
 * it. */
#include "io/parquet/parquet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/le.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/json.h"
#include "io/parquet/parquet_column.h"
#include "io/parquet/parquet_number.h"

/* A dictionary or a delta encoding can make few bytes stand for any number. Rows may take as much as PARQUET_ROW_RATIO times
 * the file, beyond the first PARQUET_FREE_BYTES. */
enum { PARQUET_ROW_RATIO = 1000, PARQUET_FREE_BYTES = 64 << 20 };
/* Pages that are unpacked at the same time may take PARQUET_PAGE_MAX and this for each byte of the file. */
enum { PAGES_PER_BYTE = 8 };

struct parquet {
    struct ctx *c;
    const char *path;
    struct file_map *map;
    struct parquet_meta meta;
    struct parquet_column *columns; /* (n_leaves) */
    struct parquet_budget budget;
    size_t group;   /* the next row group */
    int64_t left;   /* rows left in the open one */
    uint64_t given; /* bytes of rows */

    struct buf *row; /* while one is put together */
    size_t row_start, max_bytes;
    bool too_long;
};

struct parquet *parquet_open(struct ctx *c, const char *path)
{
    struct parquet *p = mem_alloc(c, 1, sizeof *p);
    if (!p) return NULL;
    p->c = c;
    p->path = path;
    p->meta.c = c;
    p->map = file_map_open(c, path);
    if (p->map && parquet_meta_read(c, path, file_map_data(p->map), file_map_size(p->map), &p->meta) == OK) {
        p->columns = mem_alloc(c, p->meta.n_leaves, sizeof *p->columns);
        p->budget.most = PARQUET_PAGE_MAX + PAGES_PER_BYTE * file_map_size(p->map);
        for (size_t i = 0; p->columns && i < p->meta.n_leaves; i++)
            parquet_column_init(&p->columns[i], c, path, &p->meta.nodes[p->meta.leaves[i]], &p->budget);
        if (p->columns) return p;
    }
    parquet_close(p);
    return NULL;
}

void parquet_close(struct parquet *p)
{
    if (!p) return;
    for (size_t i = 0; p->columns && i < p->meta.n_leaves; i++) parquet_column_release(&p->columns[i]);
    mem_free(p->c, p->columns);
    parquet_meta_release(&p->meta);
    file_map_close(p->map);
    mem_free(p->c, p);
}

static bool parquet_fail(struct parquet *p, const char *what)
{
    ctx_fail(p->c, E_INPUT, "%s: the Parquet file is corrupt: %s", p->path, what);
    return false;
}

/* ---- text ---- */

/* Strings of n bytes take up to 6 n and their quotes as JSON. */
static bool has_room(struct parquet *p, size_t n)
{
    if (p->too_long || n > p->max_bytes || p->row->len - p->row_start + 6 * n + 8 > p->max_bytes) p->too_long = true;
    return !p->too_long;
}

/* Appends text to the row, if it still fits. */
static void parquet_put(struct parquet *p, const char *text)
{
    if (has_room(p, strlen(text))) buf_append_str(p->row, text);
}

/* Text as a JSON string; what is not UTF-8 stays as it is between the quotes, so that the row is refused for that. */
static void parquet_put_text(struct parquet *p, const uint8_t *bytes, size_t n)
{
    if (!has_room(p, n)) return;
    if (utf8_check(bytes, n) == n) {
        json_append_string(p->row, (const char *)bytes, n);
        return;
    }
    buf_append_char(p->row, '"');
    buf_append(p->row, bytes, n);
    buf_append_char(p->row, '"');
}

/* Bytes that stand for nothing known, as hex digits. */
static void put_hex(struct parquet *p, const struct parquet_value *v)
{
    if (!has_room(p, v->n)) return;
    buf_append_char(p->row, '"');
    for (size_t i = 0; i < v->n; i++) buf_printf(p->row, "%02x", v->bytes[i]);
    buf_append_char(p->row, '"');
}

/* ---- values ---- */

/* The shortest decimal that reads back to the same float: 0.99 as f32 is 0.99 in JSON and not 0.990000009. */
static void parquet_put_float(struct parquet *p, float v)
{
    char text[32];
    int digits = 6;
    if (!isfinite(v)) return parquet_put(p, "null");
    do snprintf(text, sizeof text, "%.*g", digits, (double)v);
    while (strtof(text, NULL) != v && digits++ < 9);
    for (char *comma = text; (comma = strchr(comma, ',')) != NULL;) *comma = '.';
    parquet_put(p, text);
}

/* A double, or null for one that is no number. */
static void parquet_put_double(struct parquet *p, double v)
{
    if (has_room(p, 32)) json_append_f64(p->row, v);
}

/* An integer of 4 or 8 bytes, by the sign that the schema gives it. */
static void put_integer(struct parquet *p, const struct parquet_node *leaf, const struct parquet_value *v)
{
    char text[32];
    uint64_t number = le_uint(v->bytes, v->n);
    if (leaf->is_unsigned)
        snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    else
        snprintf(text, sizeof text, "%lld", v->n == 4 ? (long long)(int32_t)number : (long long)number);
    parquet_put(p, text);
}

/* A byte string: text where it is declared or valid as such. */
static void parquet_put_bytes(struct parquet *p, const struct parquet_node *leaf, const struct parquet_value *v)
{
    char text[48];
    if (leaf->is_text || utf8_check(v->bytes, v->n) == v->n) return parquet_put_text(p, v->bytes, v->n);
    snprintf(text, sizeof text, "{\"binary\":%zu}", v->n);
    parquet_put(p, text);
}

/* A decimal, whose integer the schema's scale divides. Integers lie with their least significant byte first, the others the
 * other way round. */
static bool put_decimal(struct parquet *p, const struct parquet_node *leaf, const struct parquet_value *v)
{
    char text[PARQUET_NUMBER_TEXT];
    uint8_t bytes[PARQUET_DECIMAL_BYTES];
    bool swap = leaf->type == PARQUET_INT32 || leaf->type == PARQUET_INT64;
    if (v->n > sizeof bytes) return parquet_fail(p, "a decimal of more than 32 bytes");
    for (size_t i = 0; i < v->n; i++) bytes[i] = v->bytes[swap ? v->n - 1 - i : i];
    parquet_decimal_text(bytes, v->n, leaf->scale, text);
    parquet_put(p, text);
    return true;
}

/* A half-precision number. */
static bool put_half(struct parquet *p, const struct parquet_value *v)
{
    char text[PARQUET_NUMBER_TEXT];
    parquet_half_text(le_u16(v->bytes), text);
    parquet_put(p, text);
    return true;
}

/* One value that is no more than its type says. */
static void put_plain(struct parquet *p, const struct parquet_node *leaf, const struct parquet_value *v)
{
    float f;
    double d;
    switch (leaf->type) {
    case PARQUET_BOOLEAN:
        return parquet_put(p, v->bytes[0] ? "true" : "false");
    case PARQUET_INT32:
    case PARQUET_INT64:
        return put_integer(p, leaf, v);
    case PARQUET_FLOAT:
        memcpy(&f, v->bytes, sizeof f);
        return parquet_put_float(p, f);
    case PARQUET_DOUBLE:
        memcpy(&d, v->bytes, sizeof d);
        return parquet_put_double(p, d);
    case PARQUET_BYTES:
        return parquet_put_bytes(p, leaf, v);
    default:
        return put_hex(p, v);
    }
}

/* One value, by the type of its column and what the schema says of it. */
static bool put_value(struct parquet *p, const struct parquet_node *leaf, const struct parquet_value *v)
{
    if (leaf->number == PARQUET_DECIMAL) return put_decimal(p, leaf, v);
    if (leaf->number == PARQUET_HALF) return put_half(p, v);
    put_plain(p, leaf, v);
    return true;
}

/* ---- rows ---- */

static bool put_node(struct parquet *p, int32_t i);

/* The first column below a node, whose levels say what is there. */
static struct parquet_column *first_column(struct parquet *p, const struct parquet_node *node)
{
    return &p->columns[node->leaf];
}

/* Passes over the entry that every column below a node has for what is not there. */
static bool pass_over(struct parquet *p, const struct parquet_node *node)
{
    for (int32_t leaf = node->leaf; leaf < node->leaf_end; leaf++) {
        if (!p->columns[leaf].have) return parquet_fail(p, "columns of different lengths");
        if (!parquet_column_advance(&p->columns[leaf])) return false;
    }
    return true;
}

/* The value of a column at this place of the row, or null. */
static bool put_leaf(struct parquet *p, const struct parquet_node *node)
{
    struct parquet_column *column = first_column(p, node);
    struct parquet_value v;
    if (!column->have) return parquet_fail(p, "columns of different lengths");
    if (column->def < node->max_def) {
        parquet_put(p, "null");
    } else {
        if (!parquet_column_value(column, &v) || !put_value(p, node, &v)) return false;
    }
    return parquet_column_advance(column);
}

/* A group as an object of its children. */
static bool put_group(struct parquet *p, int32_t i)
{
    const struct parquet_node *node = &p->meta.nodes[i];
    parquet_put(p, "{");
    for (int32_t child = i + 1; child < node->end; child = p->meta.nodes[child].end) {
        const struct parquet_node *n = &p->meta.nodes[child];
        if (child > i + 1) parquet_put(p, ",");
        parquet_put_text(p, (const uint8_t *)n->name, n->name_bytes);
        parquet_put(p, ":");
        if (!put_node(p, child)) return false;
    }
    parquet_put(p, "}");
    return true;
}

/* A node that is there, whatever its repetition. */
static bool put_present(struct parquet *p, int32_t i);

/* The item of a list whose repeated node is i. Of three levels (list, repeated group, item) the middle one is no item; older
 * writers have two, and then the repeated node is the item itself. */
static bool put_item(struct parquet *p, int32_t i, bool annotated)
{
    const struct parquet_node *node = &p->meta.nodes[i];
    bool middle = annotated && node->n_children == 1 && !(node->name_bytes == 5 && memcmp(node->name, "array", 5) == 0) &&
                  !(node->name_bytes > 6 && memcmp(node->name + node->name_bytes - 6, "_tuple", 6) == 0);
    return middle ? put_node(p, i + 1) : put_present(p, i);
}

/* A repeated node as an array: items follow as long as the repetition level says that this list continues. */
static bool put_list(struct parquet *p, int32_t i, bool annotated)
{
    const struct parquet_node *node = &p->meta.nodes[i];
    struct parquet_column *column = first_column(p, node);
    if (!column->have) return parquet_fail(p, "columns of different lengths");
    if (column->def < node->max_def) return parquet_put(p, "[]"), pass_over(p, node);
    for (const char *before = "[";; before = ",") {
        parquet_put(p, before);
        if (!put_item(p, i, annotated)) return false;
        if (!column->have || column->rep < node->max_rep) break;
        if (column->rep > node->max_rep || column->def < node->max_def) return parquet_fail(p, "levels of a list");
    }
    parquet_put(p, "]");
    return true;
}

static bool put_present(struct parquet *p, int32_t i)
{
    const struct parquet_node *node = &p->meta.nodes[i];
    if (node->type != PARQUET_GROUP) return put_leaf(p, node);
    return node->is_list ? put_list(p, i + 1, true) : put_group(p, i);
}

/* A node that may be absent. */
static bool put_node(struct parquet *p, int32_t i)
{
    const struct parquet_node *node = &p->meta.nodes[i];
    const struct parquet_column *column = first_column(p, node);
    if (node->repetition == PARQUET_REPEATED) return put_list(p, i, false);
    if (!column->have) return parquet_fail(p, "columns of different lengths");
    if (node->repetition == PARQUET_OPTIONAL && column->def < node->max_def)
        return parquet_put(p, "null"), pass_over(p, node);
    return put_present(p, i);
}

/* ---- row groups ---- */

/* Opens the next row group: one chunk of every column. */
static bool open_group(struct parquet *p)
{
    const struct parquet_group *g = &p->meta.groups[p->group++];
    p->left = g->rows;
    for (size_t i = 0; i < p->meta.n_leaves; i++)
        if (!parquet_column_open(&p->columns[i], file_map_data(p->map), &g->chunks[i])) return false;
    return true;
}

/* At the end of a row every column is at the start of the next one, or at its end. */
static bool check_row(struct parquet *p)
{
    for (size_t i = 0; i < p->meta.n_leaves; i++) {
        const struct parquet_column *column = &p->columns[i];
        if (column->have ? column->rep != 0 || p->left == 0 : p->left > 0)
            return parquet_fail(p, "columns of different lengths");
    }
    p->given += p->row->len - p->row_start;
    if (p->given > PARQUET_FREE_BYTES && p->given / PARQUET_ROW_RATIO > file_map_size(p->map))
        return parquet_fail(p, "its rows take more than a thousand times its size");
    return p->left > 0 || file_check(p->c, p->map) == OK;
}

bool parquet_next(struct parquet *p, struct buf *row, size_t max_bytes, bool *too_long)
{
    BUG_ON(p->c, row->cap_bytes <= max_bytes, "a row of %zu bytes may come into a buffer of %zu", max_bytes, row->cap_bytes);
    while (p->left == 0) {
        if (p->group == p->meta.n_groups) return false;
        if (!open_group(p)) return false;
    }
    p->row = row;
    p->row_start = row->len;
    p->max_bytes = max_bytes;
    p->too_long = false;
    p->left--;
    if (!put_group(p, 0) || !check_row(p)) return false;
    *too_long = p->too_long;
    return buf_ok(row);
}
