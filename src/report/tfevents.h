/* tfevents: event files of TensorBoard, without its libraries: records that each hold one protobuf message Event.
 *
 *   record: u64 length, u32 masked CRC-32C of these 8 bytes, the message, u32 masked CRC-32C of it; little-endian
 *   Event:  1 wall_time (double), 2 step (varint), 3 file_version (string) or 5 summary (message)
 *   Summary: 1 value (message): 1 tag (string), 2 simple_value (float)
 *
 * mask(c) = ((c >> 15) | (c << 17)) + 0xa282ead8, so that a CRC over data that holds CRCs is not a trivial one. The name of
 * a file must have "tfevents" in it. */
#ifndef YA_REPORT_TFEVENTS_H
#define YA_REPORT_TFEVENTS_H

#include "base/buf.h"

/* Appends the first record of a file, which names its version. wall_time: seconds since 1970. */
void tfevents_begin(struct buf *out, double wall_time);

/* Appends one value. What is not finite is written as it is: TensorBoard marks it. tag: at most 200 bytes. */
void tfevents_scalar(struct buf *out, double wall_time, int64_t step, const char *tag, double value);

/* CRC-32C (Castagnoli) of n bytes; of "123456789": 0xe3069283. */
uint32_t tfevents_crc32c(const void *bytes, size_t n);

#endif
