/* unicode: NFC and NFKC are done here and not by utf8proc_map, because utf8proc (2.8) orders combining marks by neighbour
 * swaps: a few megabytes of marks in falling order would take hours. Decomposition and composition are utf8proc's, one call
 * a character and one a cluster; the canonical ordering between them is a stable counting sort by combining class (Unicode
 * Standard, D109).
 *
 * Text is cut into clusters at characters that can neither compose with what stands before them nor be reordered: everything
 * below U+0300 (NFKC: U+00A0) and the unified ideographs. So plain text costs one comparison a character and memory stays
 * small.
 */
#include "io/tokenizer/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"

/* The bits of unicode_table.c for a code point: a binary search over ranges. */
unsigned unicode_class(uint32_t cp)
{
    if (cp >= UNICODE_INVALID) return 0;
    size_t low = 0, high = unicode_table_rows; /* the row is in [low, high) */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (unicode_table[mid].first <= cp)
            low = mid;
        else
            high = mid;
    }
    return unicode_table[low].bits;
}

struct unicode_unit unicode_next(const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;
    switch (utf8_length(p, n)) {
    case 1:
        return (struct unicode_unit){p[0], 1};
    case 2:
        return (struct unicode_unit){(p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu), 2};
    case 3:
        return (struct unicode_unit){(p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu), 3};
    case 4:
        return (struct unicode_unit){(p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu), 4};
    default:
        return (struct unicode_unit){UNICODE_INVALID, 1};
    }
}

struct unicode_unit unicode_last(const char *s, size_t n)
{
    for (size_t back = 1; back <= 4 && back <= n; back++) {
        struct unicode_unit u = unicode_next(s + n - back, back);
        if (u.bytes == back && u.cp != UNICODE_INVALID) return u;
    }
    return (struct unicode_unit){UNICODE_INVALID, 1};
}

/* What the form neither changes nor lets take part in anything. */
static bool is_inert(enum unicode_form form, uint32_t cp)
{
    unsigned bits = form == UNICODE_NFC ? UNICODE_INERT : UNICODE_INERT | UNICODE_INERT_K;
    return cp == UNICODE_INVALID || (cp >= 0xA0 && (unicode_class(cp) & bits));
}

/* Nothing before such a character can change because of it, nor it because of them. */
static bool is_border(enum unicode_form form, uint32_t cp)
{
    return cp < 0xA0 || (form == UNICODE_NFC && cp < 0x300) || (cp >= 0x4E00 && cp <= 0x9FFF) || is_inert(form, cp);
}

bool unicode_is_normal_quick(enum unicode_form form, const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;
    unsigned first = form == UNICODE_NFC ? 0xCC : 0xC2; /* U+0300 is CC 80, U+00A0 C2 A0; smaller bytes lead smaller ones */
    for (size_t i = 0; i < n; i++)
        if (p[i] >= first) return false;
    return true;
}

/* The characters that are being gathered, up to the next border. unicode_normalize calls cluster_start at the first
 * character that is no border, cluster_push for each one, and cluster_flush at the next border. */
struct cluster {
    utf8proc_int32_t *cps;   /* owned: decomposed characters */
    utf8proc_int32_t *spare; /* owned: as many, for sort_marks */
    size_t n, room;          /* characters, and for how many there is memory */
    enum unicode_form form;
    size_t at; /* where in the source it begins */
};

/* Appends bytes that came from s[at...], one from each place. */
static void unicode_put(struct buf *out, struct buf *origins, const void *bytes, size_t n, size_t at)
{
    buf_append(out, bytes, n);
    for (size_t i = 0; origins && i < n; i++) {
        uint32_t from = (uint32_t)(at + i);
        buf_append(origins, &from, sizeof from);
    }
}

/* Origins of a cluster, s[at, end), whose form was appended to `out` from `start` on. Most clusters are in the form already
 * and all are in part: what is equal at both ends comes from its own place, and the rest from where it begins to differ. */
static void put_cluster_origins(const struct buf *out, size_t start, struct buf *origins, const char *s, size_t at,
                                size_t end)
{
    size_t n = out->len - start, old = end - at, shorter = n < old ? n : old, front = 0, back = 0;
    const char *form = out->data + start;
    while (front < shorter && form[front] == s[at + front]) front++;
    while (back < shorter - front && form[n - 1 - back] == s[end - 1 - back]) back++;
    for (size_t i = 0; i < n; i++) {
        uint32_t from = (uint32_t)(i < front ? at + i : i >= n - back ? end - (n - i) : at + front);
        buf_append(origins, &from, sizeof from);
    }
}

/* Memory for `need` characters. The two arrays grow one after the other, and `room` only when both did. */
static enum status cluster_reserve(struct ctx *c, struct cluster *k, size_t need)
{
    if (need <= k->room) return OK;
    size_t room = need + need / 2 + 64;
    utf8proc_int32_t *cps = mem_resize(c, k->cps, k->room, room, sizeof *cps);
    if (!cps) return c->status;
    k->cps = cps;
    utf8proc_int32_t *spare = mem_resize(c, k->spare, k->room, room, sizeof *spare);
    if (!spare) return c->status;
    k->spare = spare;
    k->room = room;
    return OK;
}

enum { MAX_DECOMPOSED = 32 }; /* no decomposition has more than 18 characters */

/* Appends the decomposition of one character. UTF8PROC_COMPOSE asks for the canonical decomposition here; composing is done
 * for the whole cluster (cluster_flush). */
static enum status cluster_push(struct ctx *c, struct cluster *k, uint32_t cp)
{
    TRY(cluster_reserve(c, k, k->n + MAX_DECOMPOSED));
    int boundary = 0;
    utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE | (k->form == UNICODE_NFKC ? UTF8PROC_COMPAT : 0);
    utf8proc_ssize_t got = utf8proc_decompose_char((utf8proc_int32_t)cp, k->cps + k->n, MAX_DECOMPOSED, options, &boundary);
    BUG_ON(c, got < 0 || got > MAX_DECOMPOSED, "utf8proc decomposes U+%04X into %ld", (unsigned)cp, (long)got);
    k->n += (size_t)got;
    return OK;
}

/* 0 for a base; marks are ordered by it. */
static unsigned combining_class(utf8proc_int32_t cp)
{
    return (unsigned)utf8proc_get_property(cp)->combining_class & 0xFF;
}

/* Stable sort of a run of marks (class > 0): by insertion while it is short, else by counting. */
static void sort_marks(utf8proc_int32_t *cps, utf8proc_int32_t *spare, size_t n)
{
    if (n <= 16) {
        for (size_t i = 1; i < n; i++) {
            utf8proc_int32_t cp = cps[i];
            size_t at = i;
            for (; at > 0 && combining_class(cps[at - 1]) > combining_class(cp); at--) cps[at] = cps[at - 1];
            cps[at] = cp;
        }
        return;
    }
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++) start[combining_class(cps[i]) + 1]++;
    for (size_t v = 1; v < 257; v++) start[v] += start[v - 1];
    for (size_t i = 0; i < n; i++) spare[start[combining_class(cps[i])]++] = cps[i];
    memcpy(cps, spare, n * sizeof *cps);
}

/* Orders, composes and writes the cluster, which ends at `end_at` in the source, and empties it. */
static void cluster_flush(struct ctx *c, struct cluster *k, const char *s, size_t end_at, struct buf *out,
                          struct buf *origins)
{
    size_t start = out->len;
    for (size_t i = 0; i < k->n;) {
        size_t end = i;
        while (end < k->n && combining_class(k->cps[end]) != 0) end++;
        if (end > i) sort_marks(k->cps + i, k->spare, end - i);
        i = end + 1;
    }
    utf8proc_ssize_t n = utf8proc_normalize_utf32(k->cps, (utf8proc_ssize_t)k->n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    BUG_ON(c, n < 0, "utf8proc_normalize_utf32: %s", utf8proc_errmsg(n));
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        utf8proc_uint8_t bytes[4];
        size_t length = (size_t)utf8proc_encode_char(k->cps[i], bytes);
        buf_append(out, bytes, length);
    }
    if (origins && buf_ok(out) && out->len > start) put_cluster_origins(out, start, origins, s, k->at, end_at);
    k->n = 0;
}

/* Starts a cluster at a character that is no border: the character before it (the end of the run of plain bytes from `run`
 * to `at`) may be its base and goes into the cluster; the rest of the run is written. */
static enum status cluster_start(struct ctx *c, struct cluster *k, const char *s, size_t run, size_t at, struct buf *out,
                                 struct buf *origins)
{
    struct unicode_unit base = {UNICODE_INVALID, 0};
    if (at > run) base = unicode_last(s + run, at - run);
    bool has_base = at > run && !is_inert(k->form, base.cp);
    k->at = has_base ? at - base.bytes : at;
    unicode_put(out, origins, s + run, k->at - run, run);
    return has_base ? cluster_push(c, k, base.cp) : OK;
}

enum status unicode_normalize(struct ctx *c, enum unicode_form form, const char *s, size_t n, struct buf *out,
                              struct buf *origins)
{
    struct cluster k = {.form = form};
    enum status st = OK;
    size_t run = 0; /* where the run of borders that is not yet written starts */
    for (size_t at = 0; at < n && st == OK;) {
        struct unicode_unit u = unicode_next(s + at, n - at);
        if (!is_border(form, u.cp)) {
            if (k.n == 0) st = cluster_start(c, &k, s, run, at, out, origins);
            if (st == OK) st = cluster_push(c, &k, u.cp);
            run = at + u.bytes;
        } else if (k.n > 0) {
            cluster_flush(c, &k, s, run, out, origins);
        }
        at += u.bytes;
    }
    if (k.n && st == OK) cluster_flush(c, &k, s, run, out, origins);
    unicode_put(out, origins, s + run, n - run, run);
    mem_free(c, k.cps);
    mem_free(c, k.spare);
    if (st != OK) return st;
    return buf_ok(out) && (!origins || buf_ok(origins)) ? OK : c->status;
}

/* str.isspace() of Python: the White_Space characters and the four information separators. */
static bool unicode_is_python_space(uint32_t cp)
{
    return (unicode_class(cp) & UNICODE_SPACE) || (cp >= 0x1C && cp <= 0x1F);
}

void unicode_strip(const char **s, size_t *n)
{
    while (*n > 0) {
        struct unicode_unit u = unicode_next(*s, *n);
        if (!unicode_is_python_space(u.cp)) break;
        *s += u.bytes;
        *n -= u.bytes;
    }
    while (*n > 0) {
        struct unicode_unit u = unicode_last(*s, *n);
        if (!unicode_is_python_space(u.cp)) break;
        *n -= u.bytes;
    }
}
