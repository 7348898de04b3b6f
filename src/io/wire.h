/* wire: the wire format of Protocol Buffers (described at protobuf.dev, "Encoding"): a message is a list of fields, each a
 * key (number << 3 | kind) and a value; a message inside a message is a field of bytes. Reading is a view on bytes that
 * checks every length; writing appends to a buf. What fields mean is the business of the formats that use this. */
#ifndef YA_IO_WIRE_H
#define YA_IO_WIRE_H

#include "base/buf.h"

enum wire_kind { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* Bytes of a message that are not read yet. */
struct wire_message {
    const uint8_t *at, *end;
};
/* One field: its number and kind, and its value or bytes. */
struct wire_field {
    uint32_t number, kind;
    uint64_t value; /* WIRE_VARINT, WIRE_32, WIRE_64 */
    struct wire_message bytes;
};

/* The next field; false at the end, and when the bytes are no message: then *broken is set. */
bool wire_next(struct wire_message *m, struct wire_field *f, bool *broken);
/* The bytes of the first field `number`, a message or a text; false when there is none. */
bool wire_find(struct wire_message m, uint32_t number, struct wire_message *out, bool *broken);
/* The next varint of a packed field (`repeated int32` and the like are the bytes of one field). Same result. */
bool wire_next_varint(struct wire_message *m, uint64_t *value, bool *broken);

/* Append one field to a message that is being written. An int32 below zero is written as the 64 bits of its sign
 * extension. */
void wire_put_varint(struct buf *b, uint32_t number, uint64_t value);
void wire_put_bytes(struct buf *b, uint32_t number, const void *bytes, size_t n);
void wire_put_string(struct buf *b, uint32_t number, const char *text);
/* Appends a bare varint: an element of a packed field. */
void wire_put_element(struct buf *b, uint64_t value);

/* Begins a message inside the one that is being written; fields that follow belong to it, until wire_end is called with
 * what wire_begin gave. Messages nest. */
size_t wire_begin(struct buf *b, uint32_t number);
void wire_end(struct buf *b, size_t begun);

#endif
