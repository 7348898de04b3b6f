/* json_scan: a strict pull scanner for JSON (RFC 8259): one call, one token, no tree. Memory is the longest string that has
 * escapes in it, whatever the document's size, so a header with a million entries costs nothing but its bytes.
 *
 * Refused: anything after the document, depth over JSON_MAX_DEPTH, invalid UTF-8 (overlong, surrogates, beyond U+10FFFF),
 * escapes of lone surrogates, control characters in strings, a byte order mark, number literals over JSON_MAX_NUMBER bytes.
 * Duplicate keys are the caller's business: only it knows what it keeps. */
#ifndef YA_IO_JSON_SCAN_H
#define YA_IO_JSON_SCAN_H

#include "base/buf.h"
#include "base/ctx.h"

enum { JSON_MAX_DEPTH = 128, JSON_MAX_NUMBER = 1024 };

enum json_token {
    SCAN_FAILED, /* the ctx holds the message */
    SCAN_END,
    SCAN_OBJECT,
    SCAN_OBJECT_END,
    SCAN_ARRAY,
    SCAN_ARRAY_END,
    SCAN_KEY, /* its colon is already read */
    SCAN_STRING,
    SCAN_INTEGER, /* a number without fraction and exponent */
    SCAN_REAL,
    SCAN_TRUE,
    SCAN_FALSE,
    SCAN_NULL
};

/* What may come next. */
enum json_scan_expect { EXPECT_VALUE, EXPECT_VALUE_OR_END, EXPECT_KEY_OR_END, EXPECT_COMMA_OR_END, EXPECT_NOTHING };

struct json_scan {
    struct ctx *c;
    const char *what; /* source name for messages; must outlive the scan */
    const char *text;
    size_t n, at;
    size_t token_at;     /* offset of the last token */
    const char *string;  /* KEY, STRING: the decoded bytes; INTEGER, REAL: the literal. Valid until the next call. */
    size_t string_bytes; /* not NUL-terminated; may hold NUL (from an escape) */
    struct buf decoded;  /* owned: the last string that had escapes */
    enum json_scan_expect expect;
    int depth;
    bool in_object[JSON_MAX_DEPTH];
};

/* `text` must outlive the scan and is not copied. */
void json_scan_init(struct json_scan *s, struct ctx *c, const char *what, const char *text, size_t n);
/* Frees the buffer of decoded strings. */
void json_scan_release(struct json_scan *s);
/* Starts over on another text with the memory of the one before: for many small documents. The ctx must hold no failure. */
void json_scan_restart(struct json_scan *s, const char *what, const char *text, size_t n);

/* The next token. After SCAN_END or SCAN_FAILED it returns the same again. */
enum json_token json_scan_next(struct json_scan *s);

/* Skips the value that starts with token `t` (the last one returned). False on failure. */
bool json_scan_skip(struct json_scan *s, enum json_token t);

/* E_INPUT "what: line L, column C: message" at the last token; always returns false. */
bool json_scan_fail(struct json_scan *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether the decoded string equals the C string. */
bool json_scan_is(const struct json_scan *s, const char *name);

/* The last SCAN_INTEGER as a number; false when it does not fit in 64 bits. */
bool json_scan_i64(const struct json_scan *s, int64_t *out);

#endif
