/* json: jansson behind one header, strict: duplicate keys refused, NaN refused, depth and size capped. `json_t` is jansson's
 * reference-counted node; owner of a parsed document is the caller (json_decref). Strings of a document live as long as it
 * does. */
#ifndef YA_IO_JSON_H
#define YA_IO_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "base/ctx.h"

/* Parses n bytes; `what` names the source in messages ("train.jsonl:418"). NULL with E_INPUT: line, column and reason. */
json_t *json_parse(struct ctx *c, const char *what, const char *text, size_t n);
/* Reads and parses a file of at most max_bytes. NULL also with the errors of file_read. */
json_t *json_parse_file(struct ctx *c, const char *path, size_t max_bytes);

/* Typed members of an object; the message names `what`, the key and the range. `required` false: absent or null leaves *out
 * as it is and returns true. Return false (E_INPUT in the ctx) on a wrong type, out of range, or absent though required. min
 * and max are allowed themselves; a string lies in the document. */
bool json_member_i64(struct ctx *c, const char *what, const json_t *o, const char *key, bool required, int64_t min,
                     int64_t max, int64_t *out);
bool json_member_f64(struct ctx *c, const char *what, const json_t *o, const char *key, bool required, double min,
                     double max, double *out);
bool json_member_bool(struct ctx *c, const char *what, const json_t *o, const char *key, bool required, bool *out);
bool json_member_string(struct ctx *c, const char *what, const json_t *o, const char *key, bool required, const char **out);

/* Appends a JSON string literal with quotes and escapes (input: valid UTF-8, else replacement characters). */
void json_append_string(struct buf *b, const char *s, size_t n);
/* Appends a number that reads back to the same double ("%.17g" shortened), or null for NaN and infinity. */
void json_append_f64(struct buf *b, double v);
/* Appends a document to *out: indent 2 and sorted keys with pretty, else compact. E_MEMORY, or E_INPUT past the buffer's
 * cap. */
enum status json_write(struct ctx *c, const json_t *doc, bool pretty, struct buf *out);

#endif
