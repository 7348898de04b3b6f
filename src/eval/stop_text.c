/* stop_text: see stop_text.h. What is held is shorter than the longest string, so looking at every place of it is cheap. */
#include "eval/stop_text.h"

#include <string.h>

enum { HELD_CAP_BYTES = 1 << 20 };

enum status stop_text_init(struct stop_text *s, struct ctx *c, const char *const *strings, size_t n)
{
    *s = (struct stop_text){.strings = strings, .n = n};
    buf_init(&s->held, c, HELD_CAP_BYTES);
    if (n > STOP_TEXT_MAX) return ctx_fail(c, E_INPUT, "%zu stop strings, at most %d", n, STOP_TEXT_MAX);
    for (size_t i = 0; i < n; i++) {
        size_t k = strlen(strings[i]);
        if (k == 0 || k > STOP_TEXT_BYTES)
            return ctx_fail(c, E_INPUT, "a stop string of %zu bytes: 1 to %d are allowed", k, STOP_TEXT_BYTES);
    }
    return OK;
}

void stop_text_release(struct stop_text *s)
{
    buf_release(&s->held);
}

/* Whether a string is whole at `at`, or could become so with more bytes. */
static void stop_text_look(const struct stop_text *s, const char *at, size_t left, bool *whole, bool *begun)
{
    *whole = *begun = false;
    for (size_t i = 0; i < s->n; i++) {
        size_t k = strlen(s->strings[i]), common = k < left ? k : left;
        if (memcmp(at, s->strings[i], common) != 0) continue;
        if (common == k) *whole = true;
        if (common < k) *begun = true;
    }
}

enum status stop_text_feed(struct stop_text *s, const char *bytes, size_t n, struct buf *out)
{
    bool whole = false, begun = false;
    size_t i = 0;
    if (s->met) return OK;
    buf_append(&s->held, bytes, n);
    if (!buf_ok(&s->held)) return s->held.c->status;
    const char *text = buf_str(&s->held);
    for (; i < s->held.len && !whole && !begun; i++) stop_text_look(s, text + i, s->held.len - i, &whole, &begun);
    if (whole || begun) i--; /* the place that was found */
    buf_append(out, text, i);
    s->met = whole;
    size_t left = s->held.len - i;
    if (left) memmove(s->held.data, s->held.data + i, left);
    s->held.len = left;
    return buf_ok(out) ? OK : out->c->status;
}

enum status stop_text_flush(struct stop_text *s, struct buf *out)
{
    if (!s->met) buf_append(out, buf_str(&s->held), s->held.len);
    buf_clear(&s->held);
    return buf_ok(out) ? OK : out->c->status;
}
