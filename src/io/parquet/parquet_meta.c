/* parquet_meta: the footer of a file, FileMetaData of parquet.thrift (apache/parquet-format), with SchemaElement, RowGroup,
 * ColumnChunk and ColumnMetaData; the numbers of their fields stand where they are read.
 *
 * A file ends with the footer in Thrift's compact protocol, its length in 4 bytes, and "PAR1". The schema in it is a tree
 * that is written depth first, each group with the number of its children. It stays in that order here: a node's children
 * begin right behind it, and `end` says where its subtree is over, so walking the tree needs no pointers. */
#include "io/parquet/parquet_meta.h"

#include <string.h>

#include "base/le.h"
#include "base/mem.h"
#include "io/parquet/parquet_number.h"
#include "io/parquet/thrift.h"

/* Columns that are constant take few bytes for any number of values; more than this for each byte of the file is no file of
 * rows. */
enum { VALUES_PER_BYTE = 64 };

/* One call of parquet_meta_read. */
struct meta_reader {
    struct ctx *c;
    const char *name;
    struct thrift t;
    size_t file_bytes; /* in front of the footer */
    int64_t values;    /* that a file of this size may hold and that no column has taken yet */
    struct parquet_meta *out;
};

static enum status meta_fail(struct meta_reader *r, const char *what)
{
    return ctx_fail(r->c, E_INPUT, "%s: the footer of the Parquet file is corrupt: %s", r->name, what);
}

/* ---- schema ---- */

/* The scale of decimals, -1 for one that cannot be. */
static int32_t meta_scale(int64_t scale)
{
    return scale >= 0 && scale <= PARQUET_DECIMAL_SCALE ? (int32_t)scale : -1;
}

/* DecimalType: scale and precision. The scale stands in the element, too, for readers that are older than LogicalType. */
static void read_decimal(struct thrift *t, struct parquet_node *node)
{
    struct thrift_struct s = {0};
    node->number = PARQUET_DECIMAL;
    thrift_enter(t);
    while (thrift_field(t, &s)) {
        if (s.id == 1)
            node->scale = meta_scale(thrift_int(t, &s));
        else
            thrift_skip(t, s.type);
    }
}

/* LogicalType, a union: which of its members is set says what the bytes stand for. */
static void read_logical(struct thrift *t, struct parquet_node *node)
{
    struct thrift_struct s = {0};
    thrift_enter(t);
    while (thrift_field(t, &s)) {
        if (s.id == 1 || s.id == 4 || s.id == 12) node->is_text = true; /* STRING, ENUM, JSON */
        if (s.id == 2 || s.id == 3) node->is_list = true;               /* MAP, a list of keys and values; LIST */
        if (s.id == 15) node->number = PARQUET_HALF;                    /* FLOAT16 */
        if (s.id == 5 && s.type == THRIFT_STRUCT)
            read_decimal(t, node);
        else
            thrift_skip(t, s.type);
    }
}

/* ConvertedType, what LogicalType was before. */
static void meta_read_converted(int64_t converted, struct parquet_node *node)
{
    if (converted == 0 || converted == 4 || converted == 19) node->is_text = true; /* UTF8, ENUM, JSON */
    if (converted >= 1 && converted <= 3) node->is_list = true;                    /* MAP, MAP_KEY_VALUE, LIST */
    if (converted == 5) node->number = PARQUET_DECIMAL;
    if (converted >= 11 && converted <= 14) node->is_unsigned = true; /* UINT_8 to UINT_64 */
}

/* Whether numbers of a column can be what they are said to be. */
static enum status check_number(struct meta_reader *r, const struct parquet_node *node)
{
    bool bytes = node->type == PARQUET_BYTES || node->type == PARQUET_FIXED;
    if (node->number == PARQUET_HALF && (node->type != PARQUET_FIXED || node->fixed_bytes != 2))
        return meta_fail(r, "type of a column of half-precision numbers");
    if (node->number != PARQUET_DECIMAL) return OK;
    if (!bytes && node->type != PARQUET_INT32 && node->type != PARQUET_INT64)
        return meta_fail(r, "type of a column of decimals");
    if (node->scale < 0 || node->fixed_bytes > PARQUET_DECIMAL_BYTES)
        return meta_fail(r, "scale or length of a column of decimals");
    return OK;
}

/* One node of the schema. */
static enum status read_element(struct meta_reader *r, struct parquet_node *node)
{
    struct thrift *t = &r->t;
    struct thrift_struct s = {0};
    int64_t type = PARQUET_GROUP, repetition = PARQUET_REQUIRED, fixed = 0, children = 0;
    *node = (struct parquet_node){.name = ""};
    thrift_enter(t);
    while (thrift_field(t, &s)) {
        if (s.id == 1)
            type = thrift_int(t, &s);
        else if (s.id == 2)
            fixed = thrift_int(t, &s);
        else if (s.id == 3)
            repetition = thrift_int(t, &s);
        else if (s.id == 4)
            node->name = (const char *)thrift_bytes(t, &s, &node->name_bytes);
        else if (s.id == 5)
            children = thrift_int(t, &s);
        else if (s.id == 6)
            meta_read_converted(thrift_int(t, &s), node);
        else if (s.id == 7)
            node->scale = meta_scale(thrift_int(t, &s));
        else if (s.id == 10 && s.type == THRIFT_STRUCT)
            read_logical(t, node);
        else
            thrift_skip(t, s.type);
    }
    if (t->failed || !node->name) return meta_fail(r, "an element of the schema");
    if (type < PARQUET_GROUP || type > PARQUET_FIXED || repetition < 0 || repetition > PARQUET_REPEATED)
        return meta_fail(r, "type or repetition of a column");
    if (children < 0 || children > PARQUET_NODES_MAX || (type == PARQUET_GROUP) != (children > 0))
        return meta_fail(r, "number of children of a column");
    if (type == PARQUET_FIXED && (fixed < 1 || fixed > 1 << 20)) return meta_fail(r, "length of a column's values");
    node->type = (enum parquet_type)type;
    node->repetition = (enum parquet_repetition)repetition;
    node->fixed_bytes = (int32_t)fixed;
    node->n_children = (int32_t)children;
    return check_number(r, node);
}

/* All nodes, as they stand in the file. */
static enum status read_schema(struct meta_reader *r, const struct thrift_struct *s)
{
    struct parquet_meta *m = r->out;
    size_t n = thrift_list(&r->t, s, THRIFT_STRUCT);
    if (m->nodes || n < 1 || n > PARQUET_NODES_MAX) return meta_fail(r, "number of columns");
    m->nodes = mem_alloc(r->c, n, sizeof *m->nodes);
    if (!m->nodes) return r->c->status;
    for (; m->n_nodes < n; m->n_nodes++) TRY(read_element(r, &m->nodes[m->n_nodes]));
    return OK;
}

/* Sets what follows from a node's place: its end, its leaves and its levels. The nodes' own counts say where each ends; the
 * open ones lie on a stack. */
static enum status link_schema(struct meta_reader *r)
{
    struct parquet_meta *m = r->out;
    int32_t open[PARQUET_DEPTH_MAX], left[PARQUET_DEPTH_MAX];
    int depth = 0;
    for (int32_t i = 0; i < (int32_t)m->n_nodes; i++) {
        struct parquet_node *node = &m->nodes[i];
        const struct parquet_node *parent = depth ? &m->nodes[open[depth - 1]] : NULL;
        if (i > 0 && !parent) return meta_fail(r, "columns outside of the schema's tree");
        if (i == 0) node->repetition = PARQUET_REQUIRED; /* the root's is not used */
        node->max_def = (parent ? parent->max_def : 0) + (node->repetition != PARQUET_REQUIRED);
        node->max_rep = (parent ? parent->max_rep : 0) + (node->repetition == PARQUET_REPEATED);
        node->leaf = (int32_t)m->n_leaves;
        m->n_leaves += node->type != PARQUET_GROUP;
        if (parent) left[depth - 1]--;
        if (node->type == PARQUET_GROUP) {
            if (depth == PARQUET_DEPTH_MAX) return meta_fail(r, "columns too deep in each other");
            open[depth] = i;
            left[depth++] = node->n_children;
        } else {
            node->end = i + 1;
            node->leaf_end = node->leaf + 1;
        }
        for (; depth > 0 && left[depth - 1] == 0; depth--) {
            m->nodes[open[depth - 1]].end = i + 1;
            m->nodes[open[depth - 1]].leaf_end = (int32_t)m->n_leaves;
        }
    }
    if (depth > 0 || m->nodes[0].type != PARQUET_GROUP) return meta_fail(r, "an unfinished tree of columns");
    m->leaves = mem_alloc(r->c, m->n_leaves, sizeof *m->leaves);
    if (!m->leaves) return r->c->status;
    for (size_t i = 0; i < m->n_nodes; i++) {
        struct parquet_node *node = &m->nodes[i];
        if (node->type != PARQUET_GROUP) m->leaves[node->leaf] = (int32_t)i;
        node->is_list = node->is_list && node->n_children == 1 && m->nodes[i + 1].repetition == PARQUET_REPEATED;
    }
    return OK;
}

/* ---- row groups ---- */

/* ColumnMetaData as it is read, -1 where it says nothing. */
struct chunk_fields {
    int64_t type, codec, values, bytes, data_at, dictionary_at;
};

/* ColumnMetaData. */
static void read_chunk_meta(struct thrift *t, struct chunk_fields *f)
{
    struct thrift_struct s = {0};
    thrift_enter(t);
    while (thrift_field(t, &s)) {
        if (s.id == 1)
            f->type = thrift_int(t, &s);
        else if (s.id == 4)
            f->codec = thrift_int(t, &s);
        else if (s.id == 5)
            f->values = thrift_int(t, &s);
        else if (s.id == 7)
            f->bytes = thrift_int(t, &s);
        else if (s.id == 9)
            f->data_at = thrift_int(t, &s);
        else if (s.id == 11)
            f->dictionary_at = thrift_int(t, &s);
        else
            thrift_skip(t, s.type);
    }
}

/* ColumnChunk: where the pages of a column are. Offsets and sizes are checked against the file. */
static enum status read_chunk(struct meta_reader *r, size_t leaf, struct parquet_chunk *out)
{
    struct thrift *t = &r->t;
    struct thrift_struct s = {0};
    struct chunk_fields f = {.type = -1, .codec = -1, .values = -1, .bytes = -1, .data_at = -1, .dictionary_at = -1};
    bool elsewhere = false, encrypted = false;
    thrift_enter(t);
    while (thrift_field(t, &s)) {
        elsewhere |= s.id == 1;
        encrypted |= s.id == 8 || s.id == 9;
        if (s.id == 3 && s.type == THRIFT_STRUCT)
            read_chunk_meta(t, &f);
        else
            thrift_skip(t, s.type);
    }
    if (t->failed) return meta_fail(r, "a column of a row group");
    if (elsewhere || encrypted)
        return ctx_fail(r->c, E_UNSUPPORTED, "%s: its columns are %s", r->name, encrypted ? "encrypted" : "in other files");
    int64_t at = f.dictionary_at > 0 && f.dictionary_at < f.data_at ? f.dictionary_at : f.data_at;
    if (f.values == 0) at = f.bytes = 0; /* nothing is read of it, and some writers say nothing of where it lies */
    if (at < (f.values == 0 ? 0 : 4) || f.bytes < 0 || (uint64_t)at > r->file_bytes ||
        (uint64_t)f.bytes > r->file_bytes - (uint64_t)at)
        return meta_fail(r, "a column lies outside of the file");
    if (f.type != r->out->nodes[r->out->leaves[leaf]].type) return meta_fail(r, "a column is of another type");
    if (f.values < 0 || f.values > r->values) return meta_fail(r, "more values than the file has room for");
    r->values -= f.values;
    *out =
        (struct parquet_chunk){(size_t)at, (size_t)f.bytes, f.values, (int)(f.codec < 0 || f.codec > 100 ? 100 : f.codec)};
    return OK;
}

/* The columns of a row group, one for each leaf of the schema. */
static enum status read_chunks(struct meta_reader *r, const struct thrift_struct *s, struct parquet_group *group)
{
    size_t n = thrift_list(&r->t, s, THRIFT_STRUCT);
    if (group->chunks || n != r->out->n_leaves) return meta_fail(r, "number of columns of a row group");
    group->chunks = mem_alloc(r->c, n, sizeof *group->chunks);
    if (!group->chunks) return r->c->status;
    for (size_t i = 0; i < n; i++) TRY(read_chunk(r, i, &group->chunks[i]));
    return OK;
}

/* RowGroup. */
static enum status read_group(struct meta_reader *r, struct parquet_group *group)
{
    struct thrift *t = &r->t;
    struct thrift_struct s = {0};
    group->rows = -1;
    thrift_enter(t);
    while (thrift_field(t, &s)) {
        if (s.id == 1)
            TRY(read_chunks(r, &s, group));
        else if (s.id == 3)
            group->rows = thrift_int(t, &s);
        else
            thrift_skip(t, s.type);
    }
    if (t->failed || !group->chunks || group->rows < 0) return meta_fail(r, "a row group");
    for (size_t i = 0; i < r->out->n_leaves; i++)
        if (group->chunks[i].values < group->rows) return meta_fail(r, "a column with fewer values than rows");
    return OK;
}

/* All row groups. The schema must stand before them, or their columns could not be told apart. */
static enum status read_groups(struct meta_reader *r, const struct thrift_struct *s)
{
    struct parquet_meta *m = r->out;
    size_t n = thrift_list(&r->t, s, THRIFT_STRUCT);
    if (m->groups || !m->nodes) return meta_fail(r, "its parts are out of order");
    TRY(link_schema(r));
    m->groups = mem_alloc(r->c, n, sizeof *m->groups);
    if (!m->groups) return r->c->status;
    for (; m->n_groups < n && ctx_ok(r->c);) read_group(r, &m->groups[m->n_groups++]);
    return r->c->status;
}

/* ---- the whole ---- */

/* FileMetaData. The rows of the groups must add up to those of the file. */
static enum status read_file_meta(struct meta_reader *r)
{
    struct thrift *t = &r->t;
    struct thrift_struct s = {0};
    int64_t sum = 0;
    r->out->rows = -1;
    thrift_enter(t);
    while (thrift_field(t, &s)) {
        if (s.id == 2)
            TRY(read_schema(r, &s));
        else if (s.id == 3)
            r->out->rows = thrift_int(t, &s);
        else if (s.id == 4)
            TRY(read_groups(r, &s));
        else
            thrift_skip(t, s.type);
    }
    if (t->failed || !r->out->groups || r->out->rows < 0) return meta_fail(r, "it ends too early");
    for (size_t i = 0; i < r->out->n_groups; i++) {
        if (r->out->groups[i].rows > r->out->rows - sum) return meta_fail(r, "the row groups hold other numbers of rows");
        sum += r->out->groups[i].rows;
    }
    return sum == r->out->rows ? OK : meta_fail(r, "the row groups hold other numbers of rows");
}

enum status parquet_meta_read(struct ctx *c, const char *name, const uint8_t *bytes, size_t n, struct parquet_meta *out)
{
    struct meta_reader r = {.c = c, .name = name, .out = out};
    *out = (struct parquet_meta){.c = c};
    if (n < 12 || memcmp(bytes, "PAR1", 4) != 0 || memcmp(bytes + n - 4, "PAR1", 4) != 0)
        return ctx_fail(c, E_INPUT, "%s: a Parquet file that does not end as one: it may be cut short, download it again",
                        name);
    size_t footer = le_u32(bytes + n - 8);
    if (footer > n - 12) return meta_fail(&r, "its length");
    r.file_bytes = n - 8 - footer;
    r.values = (int64_t)n * VALUES_PER_BYTE;
    r.t = (struct thrift){.at = bytes + r.file_bytes, .end = bytes + n - 8};
    return read_file_meta(&r);
}

void parquet_meta_release(struct parquet_meta *m)
{
    for (size_t i = 0; i < m->n_groups; i++) mem_free(m->c, m->groups[i].chunks);
    mem_free(m->c, m->groups);
    mem_free(m->c, m->leaves);
    mem_free(m->c, m->nodes);
    *m = (struct parquet_meta){.c = m->c};
}
