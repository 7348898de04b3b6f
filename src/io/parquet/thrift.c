/* thrift: the compact protocol (Apache Thrift, doc/specs/thrift-compact-protocol.md). A structure is a sequence of fields
 * and a zero byte. A field begins with a byte of which the low four bits are its type and the high four the distance of its
 * number from that of the field before; 0 there means that the number follows. A boolean has no value: its type says which.
 * 15 then 0E is field 1, of type i32 (5), with the zigzag number 0E = 7. */
#include "io/parquet/thrift.h"

enum { DEPTH_MAX = 32 };

/* Stops the reader: from here on every call finds the end. */
static uint64_t thrift_fail(struct thrift *t)
{
    t->failed = true;
    t->at = t->end;
    return 0;
}

/* The next byte; 0 on a fault. */
static uint8_t take_byte(struct thrift *t)
{
    if (t->at == t->end) return (uint8_t)thrift_fail(t);
    return *t->at++;
}

uint64_t thrift_varint(struct thrift *t)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t byte = take_byte(t);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return t->failed ? 0 : v;
    }
    return thrift_fail(t);
}

/* The signed number behind a varint: 0, 1, 2, 3 are 0, -1, 1, -2. */
static int64_t zigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

bool thrift_field(struct thrift *t, struct thrift_struct *s)
{
    uint8_t head = take_byte(t);
    int delta = head >> 4;
    s->type = (enum thrift_type)(head & 15);
    if (t->failed || s->type == THRIFT_STOP) {
        t->depth--;
        return false;
    }
    int64_t id = delta ? s->id + delta : zigzag(thrift_varint(t));
    if (s->type > THRIFT_STRUCT || id < 0 || id > INT16_MAX) thrift_fail(t);
    s->id = id;
    return !t->failed;
}

void thrift_enter(struct thrift *t)
{
    if (++t->depth > DEPTH_MAX) thrift_fail(t);
}

/* ---- skipping ---- */

/* Moves over n bytes. */
static void skip_bytes(struct thrift *t, uint64_t n)
{
    if (n > (size_t)(t->end - t->at))
        thrift_fail(t);
    else
        t->at += n;
}

/* Size and type of a list; the type of booleans in lists is a byte of its own. */
static size_t list_head(struct thrift *t, enum thrift_type *type)
{
    uint8_t head = take_byte(t);
    uint64_t n = head >> 4 == 15 ? thrift_varint(t) : (uint64_t)head >> 4;
    *type = (enum thrift_type)(head & 15);
    if (*type < THRIFT_TRUE || *type > THRIFT_STRUCT || n > (size_t)(t->end - t->at)) return (size_t)thrift_fail(t);
    return (size_t)n;
}

/* An item of a list or map. */
static void skip_item(struct thrift *t, enum thrift_type type)
{
    if (type == THRIFT_TRUE || type == THRIFT_FALSE)
        take_byte(t);
    else
        thrift_skip(t, type);
}

/* A list or a set, item by item. */
static void skip_list(struct thrift *t)
{
    enum thrift_type type;
    for (size_t n = list_head(t, &type); n > 0 && !t->failed; n--) skip_item(t, type);
}

/* A map: its size, the types of keys and values in one byte, then pairs. */
static void skip_map(struct thrift *t)
{
    uint64_t n = thrift_varint(t);
    uint8_t types = n ? take_byte(t) : 0;
    for (; n > 0 && !t->failed; n--) {
        skip_item(t, (enum thrift_type)(types >> 4));
        skip_item(t, (enum thrift_type)(types & 15));
    }
}

/* The depth of what is skipped is bounded by the same count as that of what is read. */
void thrift_skip(struct thrift *t, enum thrift_type type)
{
    struct thrift_struct inner = {0};
    if (t->depth >= DEPTH_MAX) thrift_fail(t);
    if (t->failed) return;
    if (type == THRIFT_I8) {
        take_byte(t);
    } else if (type >= THRIFT_I16 && type <= THRIFT_I64) {
        thrift_varint(t);
    } else if (type == THRIFT_DOUBLE) {
        skip_bytes(t, 8);
    } else if (type == THRIFT_BINARY) {
        skip_bytes(t, thrift_varint(t));
    } else if (type == THRIFT_STRUCT) {
        thrift_enter(t);
        while (thrift_field(t, &inner)) thrift_skip(t, inner.type);
    } else if (type == THRIFT_LIST || type == THRIFT_SET || type == THRIFT_MAP) {
        t->depth++;
        if (type == THRIFT_MAP)
            skip_map(t);
        else
            skip_list(t);
        t->depth--;
    } else if (type != THRIFT_TRUE && type != THRIFT_FALSE) {
        thrift_fail(t);
    }
}

/* ---- values ---- */

int64_t thrift_int(struct thrift *t, const struct thrift_struct *s)
{
    if (s->type == THRIFT_I8) return (int8_t)take_byte(t);
    if (s->type < THRIFT_I16 || s->type > THRIFT_I64) return (int64_t)thrift_fail(t);
    return zigzag(thrift_varint(t));
}

int64_t thrift_item_int(struct thrift *t)
{
    return zigzag(thrift_varint(t));
}

bool thrift_bool(struct thrift *t, const struct thrift_struct *s)
{
    if (s->type != THRIFT_TRUE && s->type != THRIFT_FALSE) thrift_fail(t);
    return s->type == THRIFT_TRUE;
}

const uint8_t *thrift_bytes(struct thrift *t, const struct thrift_struct *s, size_t *n)
{
    *n = 0;
    if (s->type != THRIFT_BINARY) thrift_fail(t);
    uint64_t size = t->failed ? 0 : thrift_varint(t);
    const uint8_t *start = t->at;
    skip_bytes(t, size);
    if (t->failed) return NULL;
    *n = (size_t)size;
    return start;
}

size_t thrift_list(struct thrift *t, const struct thrift_struct *s, enum thrift_type type)
{
    enum thrift_type found;
    if (s->type != THRIFT_LIST) return (size_t)thrift_fail(t);
    size_t n = list_head(t, &found);
    return found == type || n == 0 ? n : (size_t)thrift_fail(t);
}
