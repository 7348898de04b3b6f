/* rewriter: runs the steps of rewriter.h one after the other, and keeps for each byte of the result the place in the
 * original text that it came from, so that a token's place in the user's text is known after the text was changed. Prepend
 * "_" and Replace " " by "_" turn "a b" into "_a_b" with the origins 0 0 1 2. */
#include "io/tokenizer/rewriter.h"

#include <string.h>

#include "base/mem.h"
#include "io/tokenizer/unicode.h"

/* How long a text may become. Of the steps that exist, NFKC makes the longest, 11 times the text; steps that multiply each
 * other end at the cap. */
enum { GROWTH = 64, GROWTH_FREE = 4096, TO_MAX = 64 };

void rewriter_release(struct ctx *c, struct rewriter *r)
{
    for (int i = 0; i < r->n; i++) {
        mem_free(c, r->steps[i].from);
        mem_free(c, r->steps[i].to);
        expression_free(r->steps[i].pattern);
    }
    *r = (struct rewriter){0};
}

enum status rewriter_add(struct ctx *c, struct rewriter *r, const char *name, const struct rewrite *step)
{
    if (r->n == REWRITES_MAX) return ctx_fail(c, E_UNSUPPORTED, "%s: more than %d normalizers", name, REWRITES_MAX);
    r->steps[r->n++] = *step;
    return OK;
}

enum status rewriter_add_prepend(struct ctx *c, struct rewriter *r, const char *name, const char *text, bool unless,
                                 bool first)
{
    if (strlen(text) > TO_MAX)
        return ctx_fail(c, E_UNSUPPORTED, "%s: normalizer Prepend of more than %d bytes", name, TO_MAX);
    TRY(rewriter_add(c, r, name, &(struct rewrite){.kind = REWRITE_PREPEND, .unless = unless, .first = first}));
    struct rewrite *step = &r->steps[r->n - 1];
    step->to = mem_strdup(c, text);
    step->n_to = strlen(text);
    return c->status;
}

enum status rewriter_add_replace(struct ctx *c, struct rewriter *r, const char *name, const char *from, size_t n_from,
                                 bool is_pattern, const char *to, size_t n_to)
{
    if (n_to > TO_MAX) return ctx_fail(c, E_UNSUPPORTED, "%s: normalizer Replace by more than %d bytes", name, TO_MAX);
    if (n_from == 0) return ctx_fail(c, E_UNSUPPORTED, "%s: normalizer Replace of an empty text is not supported", name);
    TRY(rewriter_add(c, r, name, &(struct rewrite){.kind = REWRITE_REPLACE, .n_from = n_from, .n_to = n_to}));
    struct rewrite *step = &r->steps[r->n - 1];
    step->to = mem_strndup(c, to, n_to);
    if (is_pattern)
        step->pattern = expression_new(c, name, from, n_from);
    else
        step->from = mem_strndup(c, from, n_from);
    return c->status;
}

void rewriter_work_init(struct rewriter_work *w, struct ctx *c, size_t cap, bool track)
{
    *w = (struct rewriter_work){.track = track};
    size_t places = cap < SIZE_MAX / 8 ? (cap + 1) * sizeof(uint32_t) : SIZE_MAX / 2;
    for (int i = 0; i < 2; i++) {
        buf_init(&w->texts[i], c, cap);
        buf_init(&w->origins[i], c, places);
    }
    buf_init(&w->scratch, c, places);
}

void rewriter_work_release(struct ctx *c, struct rewriter_work *w)
{
    for (int i = 0; i < 2; i++) {
        buf_release(&w->texts[i]);
        buf_release(&w->origins[i]);
    }
    buf_release(&w->scratch);
    expression_work_release(c, &w->pattern);
}

size_t rewriter_cap(size_t n)
{
    return n > (SIZE_MAX / 16 - GROWTH_FREE) / GROWTH ? SIZE_MAX / 16 : n * GROWTH + GROWTH_FREE;
}

/* One step: what it reads, and where it writes bytes and, when they are wanted, their places in what it reads. */
struct rewriter_step {
    struct rewriter_work *w;
    const char *text;
    size_t n;
    struct buf *out, *places;
};

/* Appends bytes that stand for text[from...]: with `copy` one for one, else all for the place `from`. */
static void rewriter_put(struct rewriter_step *s, const char *bytes, size_t n, size_t from, bool copy)
{
    buf_append(s->out, bytes, n);
    for (size_t i = 0; s->places && i < n; i++) {
        uint32_t place = (uint32_t)(copy ? from + i : from);
        buf_append(s->places, &place, sizeof place);
    }
}

/* Every occurrence from left to right, none overlapping another. */
static void replace_string(struct rewriter_step *s, const struct rewrite *r)
{
    size_t done = 0;
    for (const char *hit; done < s->n && (hit = memmem(s->text + done, s->n - done, r->from, r->n_from)) != NULL;) {
        size_t at = (size_t)(hit - s->text);
        rewriter_put(s, s->text + done, at - done, done, true);
        rewriter_put(s, r->to, r->n_to, at, false);
        done = at + r->n_from;
    }
    rewriter_put(s, s->text + done, s->n - done, done, true);
}

/* The same with the matches of an expression. */
static enum status replace_pattern(struct ctx *c, struct rewriter_step *s, const struct rewrite *r)
{
    struct expression_cut cut;
    struct expression_segment segment;
    TRY(expression_read(c, r->pattern, &s->w->pattern, s->text, s->n));
    expression_cut_start(&cut, r->pattern, &s->w->pattern);
    while (expression_cut_next(&cut, &segment)) {
        if (segment.is_match)
            rewriter_put(s, r->to, r->n_to, segment.start, false);
        else
            rewriter_put(s, s->text + segment.start, segment.end - segment.start, segment.start, true);
    }
    return OK;
}

/* Copies the text without the white space at the asked ends. */
static void strip(struct rewriter_step *s, const struct rewrite *r)
{
    size_t start = 0, end = s->n;
    while (r->left && start < end) {
        struct unicode_unit u = unicode_next(s->text + start, end - start);
        if (!(unicode_class(u.cp) & UNICODE_SPACE)) break;
        start += u.bytes;
    }
    while (r->right && start < end) {
        struct unicode_unit u = unicode_last(s->text + start, end - start);
        if (!(unicode_class(u.cp) & UNICODE_SPACE)) break;
        end -= u.bytes;
    }
    rewriter_put(s, s->text + start, end - start, start, true);
}

/* Whether the step would leave the text as it is, as far as that shows at a glance. */
static bool is_idle(const struct rewrite *r, const char *text, size_t n, bool first)
{
    switch (r->kind) {
    case REWRITE_NFC:
        return unicode_is_normal_quick(UNICODE_NFC, text, n);
    case REWRITE_NFKC:
        return unicode_is_normal_quick(UNICODE_NFKC, text, n);
    case REWRITE_PREPEND:
        return n == 0 || (r->first && !first) || (r->unless && n >= r->n_to && memcmp(text, r->to, r->n_to) == 0);
    case REWRITE_REPLACE:
        return !r->pattern && (n == 0 || !memmem(text, n, r->from, r->n_from));
    case REWRITE_STRIP:
        return n == 0;
    }
    return false;
}

/* Writes what the step makes of s->text. */
static enum status rewriter_run_step(struct ctx *c, struct rewriter_step *s, const struct rewrite *r)
{
    switch (r->kind) {
    case REWRITE_NFC:
        return unicode_normalize(c, UNICODE_NFC, s->text, s->n, s->out, s->places);
    case REWRITE_NFKC:
        return unicode_normalize(c, UNICODE_NFKC, s->text, s->n, s->out, s->places);
    case REWRITE_PREPEND:
        rewriter_put(s, r->to, r->n_to, 0, false);
        rewriter_put(s, s->text, s->n, 0, true);
        return OK;
    case REWRITE_REPLACE:
        if (r->pattern) return replace_pattern(c, s, r);
        replace_string(s, r);
        return OK;
    case REWRITE_STRIP:
        strip(s, r);
        return OK;
    }
    return OK;
}

/* Turns the places of a step, which lie in what it read, into places of the text before all steps. */
static void compose(struct rewriter_work *w, struct buf *places, struct buf *out, size_t n_read)
{
    uint32_t end = (uint32_t)n_read;
    buf_append(places, &end, sizeof end);
    buf_clear(out);
    for (size_t i = 0; buf_ok(places) && i < places->len / sizeof end; i++) {
        uint32_t at;
        memcpy(&at, places->data + i * sizeof at, sizeof at);
        if (w->origin) at = w->origin[at];
        buf_append(out, &at, sizeof at);
    }
}

/* Steps write in turn into two buffers, each reading what the one before it wrote. Steps that would change nothing are
 * passed over, so that ordinary text is not copied at all. */
enum status rewriter_run(struct ctx *c, const struct rewriter *r, struct rewriter_work *w, const char *text, size_t n,
                         bool first)
{
    w->text = text;
    w->n = n;
    w->origin = NULL;
    for (int i = 0, k = 0; i < r->n; i++) {
        if (is_idle(&r->steps[i], w->text, w->n, first)) continue;
        struct rewriter_step s = {w, w->text, w->n, &w->texts[k], w->track ? &w->scratch : NULL};
        buf_clear(s.out);
        buf_clear(&w->scratch);
        TRY(rewriter_run_step(c, &s, &r->steps[i]));
        if (w->track) compose(w, &w->scratch, &w->origins[k], w->n);
        if (!buf_ok(s.out) || !buf_ok(&w->scratch) || !buf_ok(&w->origins[k])) return c->status;
        w->text = buf_str(s.out);
        w->n = s.out->len;
        if (w->track) w->origin = (const uint32_t *)(const void *)w->origins[k].data;
        k = 1 - k;
    }
    return OK;
}
