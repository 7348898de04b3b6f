/* wire: see wire.h. Numbers are little-endian, varints hold 7 bits a byte, the lowest first. */
#include "io/wire.h"

#include <string.h>

enum { VARINT_MAX_BYTES = 10 };

/* At most 10 bytes. False when the bytes end too early. */
static bool read_varint(struct wire_message *m, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 7 * VARINT_MAX_BYTES && m->at < m->end; shift += 7) {
        uint8_t byte = *m->at++;
        if (shift < 64) *out |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

/* n bytes, the lowest first. */
static bool wire_read_fixed(struct wire_message *m, size_t n, uint64_t *out)
{
    if ((size_t)(m->end - m->at) < n) return false;
    *out = 0;
    for (size_t i = 0; i < n; i++) *out |= (uint64_t)m->at[i] << (8 * i);
    m->at += n;
    return true;
}

bool wire_next(struct wire_message *m, struct wire_field *f, bool *broken)
{
    uint64_t key, n;
    if (m->at == m->end) return false;
    *broken = true;
    if (!read_varint(m, &key) || key >> 32) return false;
    *f = (struct wire_field){.number = (uint32_t)key >> 3, .kind = (uint32_t)key & 7};
    if (f->kind == WIRE_BYTES) {
        if (!read_varint(m, &n) || n > (uint64_t)(m->end - m->at)) return false;
        f->bytes = (struct wire_message){m->at, m->at + n};
        m->at += n;
    } else if (f->kind == WIRE_VARINT ? !read_varint(m, &f->value)
               : f->kind == WIRE_32   ? !wire_read_fixed(m, 4, &f->value)
               : f->kind == WIRE_64   ? !wire_read_fixed(m, 8, &f->value)
                                      : true) {
        return false;
    }
    *broken = false;
    return true;
}

bool wire_find(struct wire_message m, uint32_t number, struct wire_message *out, bool *broken)
{
    struct wire_field f;
    while (wire_next(&m, &f, broken))
        if (f.number == number && f.kind == WIRE_BYTES) {
            *out = f.bytes;
            return true;
        }
    return false;
}

bool wire_next_varint(struct wire_message *m, uint64_t *value, bool *broken)
{
    if (m->at == m->end) return false;
    if (read_varint(m, value)) return true;
    *broken = true;
    return false;
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

/* The bytes of a varint and how many they are. */
static size_t make_varint(uint64_t value, uint8_t out[VARINT_MAX_BYTES])
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

void wire_put_element(struct buf *b, uint64_t value)
{
    uint8_t bytes[VARINT_MAX_BYTES];
    buf_append(b, bytes, make_varint(value, bytes));
}

static void wire_put_key(struct buf *b, uint32_t number, enum wire_kind kind)
{
    wire_put_element(b, (uint64_t)number << 3 | kind);
}

void wire_put_varint(struct buf *b, uint32_t number, uint64_t value)
{
    wire_put_key(b, number, WIRE_VARINT);
    wire_put_element(b, value);
}

void wire_put_bytes(struct buf *b, uint32_t number, const void *bytes, size_t n)
{
    wire_put_key(b, number, WIRE_BYTES);
    wire_put_element(b, n);
    buf_append(b, bytes, n);
}

void wire_put_string(struct buf *b, uint32_t number, const char *text)
{
    wire_put_bytes(b, number, text, strlen(text));
}

size_t wire_begin(struct buf *b, uint32_t number)
{
    wire_put_key(b, number, WIRE_BYTES);
    return b->len;
}

/* The length stands in front of the message and is known only now, so the message moves up by its bytes. */
void wire_end(struct buf *b, size_t begun)
{
    uint8_t bytes[VARINT_MAX_BYTES];
    if (!buf_ok(b)) return;
    size_t length = b->len - begun, n = make_varint(length, bytes);
    buf_append(b, bytes, n);
    if (!buf_ok(b)) return;
    memmove(b->data + begun + n, b->data + begun, length);
    memcpy(b->data + begun, bytes, n);
}
