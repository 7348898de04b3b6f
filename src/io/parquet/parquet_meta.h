/* parquet_meta: the footer of a Parquet file: its schema as a tree, and where the columns of each row group lie. */
#ifndef YA_IO_PARQUET_META_H
#define YA_IO_PARQUET_META_H

#include "base/ctx.h"

enum parquet_type {
    PARQUET_GROUP = -1,
    PARQUET_BOOLEAN,
    PARQUET_INT32,
    PARQUET_INT64,
    PARQUET_INT96,
    PARQUET_FLOAT,
    PARQUET_DOUBLE,
    PARQUET_BYTES,
    PARQUET_FIXED
};

/* What a column's values are beside their type: a DECIMAL is divided by a power of ten, a HALF is FLOAT16. */
enum parquet_number { PARQUET_AS_TYPE, PARQUET_DECIMAL, PARQUET_HALF };

enum parquet_repetition { PARQUET_REQUIRED, PARQUET_OPTIONAL, PARQUET_REPEATED };

enum { PARQUET_NODES_MAX = 4096, PARQUET_DEPTH_MAX = 24 };

/* A node of the schema. They stand depth first: the children of node i begin at i + 1. */
struct parquet_node {
    const char *name; /* in the file, not NUL-terminated */
    size_t name_bytes;
    enum parquet_type type;
    enum parquet_repetition repetition;
    int32_t fixed_bytes;       /* PARQUET_FIXED */
    int32_t n_children;        /* PARQUET_GROUP */
    int32_t end;               /* one past the last node below */
    int32_t leaf, leaf_end;    /* leaves at and below it, by their order */
    bool is_text, is_unsigned; /* what the numbers and bytes stand for */
    enum parquet_number number;
    int32_t scale;        /* PARQUET_DECIMAL: digits behind the point, 0 to PARQUET_DECIMAL_SCALE */
    bool is_list;         /* the group is a list, whose only child repeats */
    int max_def, max_rep; /* levels of a value that is there; max_rep counts the node's own repetition */
};

struct parquet_chunk {
    size_t at, bytes; /* of its pages in the file, the dictionary first */
    int64_t values;   /* with nulls */
    int codec;
};

struct parquet_group {
    int64_t rows;
    struct parquet_chunk *chunks; /* (n_leaves) owned */
};

struct parquet_meta {
    struct ctx *c;
    struct parquet_node *nodes; /* (n_nodes) owned; [0] is the root */
    size_t n_nodes, n_leaves;
    int32_t *leaves;              /* (n_leaves) their nodes; owned */
    struct parquet_group *groups; /* (n_groups) owned */
    size_t n_groups;
    int64_t rows;
};

/* Reads the footer of the n bytes of a file, which must stay while *out is used. E_INPUT "NAME: ..." when it is no whole
 * Parquet file or its metadata are corrupt, E_UNSUPPORTED when it is encrypted or keeps columns in other files. *out is to
 * be released in any case. */
enum status parquet_meta_read(struct ctx *c, const char *name, const uint8_t *bytes, size_t n, struct parquet_meta *out);
/* Frees what parquet_meta_read allocated, also after it failed. */
void parquet_meta_release(struct parquet_meta *m);

#endif
