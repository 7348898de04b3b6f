/* stop_text: ends a generated text at one of the caller's strings. Bytes that may be the beginning of one are held back
 * until it is known, so that what has been passed on never has to be taken back: of "Hello\nUser" with the string "\nUser:"
 * only "Hello" is passed on. */
#ifndef YA_EVAL_STOP_TEXT_H
#define YA_EVAL_STOP_TEXT_H

#include "base/buf.h"

enum { STOP_TEXT_MAX = 16, STOP_TEXT_BYTES = 256 };

struct stop_text {
    const char *const *strings; /* (n) borrowed */
    size_t n;
    struct buf held; /* owned */
    bool met;
};

/* E_INPUT: more than STOP_TEXT_MAX strings, an empty one, or one of more than STOP_TEXT_BYTES. Release it also after a
 * failure. */
enum status stop_text_init(struct stop_text *s, struct ctx *c, const char *const *strings, size_t n);
void stop_text_release(struct stop_text *s);

/* Takes n more bytes and appends to *out what can be passed on. Once a string is met, s->met is true, *out ends before it
 * and nothing more comes. E_MEMORY. */
enum status stop_text_feed(struct stop_text *s, const char *bytes, size_t n, struct buf *out);
/* Appends what was held back, at the end of the text. */
enum status stop_text_flush(struct stop_text *s, struct buf *out);

#endif
