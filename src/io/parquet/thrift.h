/* thrift: reads structures in Thrift's compact protocol, in which Parquet keeps its metadata. A reader walks over the bytes;
 * what is not asked for is skipped. After the first fault every call does nothing, and the owner looks once at `failed`.
 *
 *   struct thrift t = {.at = bytes, .end = bytes + n};
 *   struct thrift_struct s = {0};
 *   thrift_enter(&t);
 *   while (thrift_field(&t, &s))
 *       if (s.id == 1) rows = thrift_int(&t, &s); else thrift_skip(&t, s.type);
 *   if (t.failed) ... */
#ifndef YA_IO_PARQUET_THRIFT_H
#define YA_IO_PARQUET_THRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum thrift_type {
    THRIFT_STOP,
    THRIFT_TRUE,
    THRIFT_FALSE,
    THRIFT_I8,
    THRIFT_I16,
    THRIFT_I32,
    THRIFT_I64,
    THRIFT_DOUBLE,
    THRIFT_BINARY,
    THRIFT_LIST,
    THRIFT_SET,
    THRIFT_MAP,
    THRIFT_STRUCT
};

struct thrift {
    const uint8_t *at, *end;
    bool failed;
    int depth; /* structures open around the reader, bounded */
};

/* A structure that is being read. */
struct thrift_struct {
    int64_t id; /* of the field that was read last */
    enum thrift_type type;
};

/* Moves to the next field of a structure that starts all zero. False at its end and on a fault. A field must be read or
 * skipped before the next call. */
bool thrift_field(struct thrift *t, struct thrift_struct *s);
/* Skips the value of the field. */
void thrift_skip(struct thrift *t, enum thrift_type type);

/* Values; a fault when the field has another type. */
int64_t thrift_int(struct thrift *t, const struct thrift_struct *s); /* I8 to I64 */
bool thrift_bool(struct thrift *t, const struct thrift_struct *s);
const uint8_t *thrift_bytes(struct thrift *t, const struct thrift_struct *s, size_t *n); /* in the input; NULL on a fault */
/* Number of items of a list of `type`, which follow; each takes at least a byte, so it is never more than what is left. */
size_t thrift_list(struct thrift *t, const struct thrift_struct *s, enum thrift_type type);
/* Enters a structure (a field's, or a list item's); thrift_field's end leaves it. A fault when too many are open. */
void thrift_enter(struct thrift *t);
/* A number that is a list's item. */
int64_t thrift_item_int(struct thrift *t);
/* An unsigned number of 7 bits a byte; also what other parts of Parquet are made of. */
uint64_t thrift_varint(struct thrift *t);

#endif
