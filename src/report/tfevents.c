/* tfevents: see the header. Messages are small, so each is put together in a fixed array and its length is known before its
 * fields are written. */
#include "report/tfevents.h"

#include <string.h>

enum { TAG_BYTES_MAX = 200, MESSAGE_BYTES = TAG_BYTES_MAX + 64 };

/* Wire types of protobuf. */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* A message in the making. */
struct message {
    uint8_t bytes[MESSAGE_BYTES];
    size_t n;
};

uint32_t tfevents_crc32c(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static uint32_t mask(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* `bytes` bytes of a number, the lowest first. */
static void put_little(struct message *m, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) m->bytes[m->n++] = (uint8_t)(v >> 8 * i);
}

static void put_varint(struct message *m, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) m->bytes[m->n++] = (uint8_t)(v | 0x80);
    m->bytes[m->n++] = (uint8_t)v;
}

static void tfevents_put_key(struct message *m, unsigned field, unsigned wire)
{
    put_varint(m, field << 3 | wire);
}

static void tfevents_put_bytes(struct message *m, unsigned field, const void *bytes, size_t n)
{
    tfevents_put_key(m, field, WIRE_BYTES);
    put_varint(m, n);
    memcpy(m->bytes + m->n, bytes, n);
    m->n += n;
}

static void tfevents_put_double(struct message *m, unsigned field, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    tfevents_put_key(m, field, WIRE_64);
    put_little(m, bits, 8);
}

static void tfevents_put_float(struct message *m, unsigned field, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    tfevents_put_key(m, field, WIRE_32);
    put_little(m, bits, 4);
}

/* The record around an Event. */
static void append_record(struct buf *out, const struct message *event)
{
    struct message head = {.n = 0}, tail = {.n = 0};
    put_little(&head, event->n, 8);
    put_little(&head, mask(tfevents_crc32c(head.bytes, 8)), 4);
    put_little(&tail, mask(tfevents_crc32c(event->bytes, event->n)), 4);
    buf_append(out, head.bytes, head.n);
    buf_append(out, event->bytes, event->n);
    buf_append(out, tail.bytes, tail.n);
}

void tfevents_begin(struct buf *out, double wall_time)
{
    static const char version[] = "brain.Event:2";
    struct message event = {.n = 0};
    tfevents_put_double(&event, 1, wall_time);
    tfevents_put_bytes(&event, 3, version, sizeof version - 1);
    append_record(out, &event);
}

void tfevents_scalar(struct buf *out, double wall_time, int64_t step, const char *tag, double value)
{
    struct message one = {.n = 0}, summary = {.n = 0}, event = {.n = 0};
    size_t n = strlen(tag);
    BUG_ON(out->c, n > TAG_BYTES_MAX, "a tag of %zu bytes", n);
    tfevents_put_bytes(&one, 1, tag, n);
    tfevents_put_float(&one, 2, (float)value);
    tfevents_put_bytes(&summary, 1, one.bytes, one.n);
    tfevents_put_double(&event, 1, wall_time);
    tfevents_put_key(&event, 2, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
    tfevents_put_bytes(&event, 5, summary.bytes, summary.n);
    append_record(out, &event);
}
