/* expression_set: sets of characters as sorted lists of bounds (see the header). The letters a to z are the two bounds 97
 * and 123: at 97 membership begins, at 123 it ends. To negate a set is to add or remove the bound 0, and union and
 * intersection are one pass over two lists, however many characters are meant. */
#include "io/tokenizer/expression_set.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "io/tokenizer/unicode.h"

void set_release(struct ctx *c, struct set *s)
{
    mem_free(c, s->bounds);
    *s = (struct set){0};
}

/* How many bounds are at or below cp. */
static size_t bounds_below(const struct set *s, uint32_t cp)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->bounds[mid] <= cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool set_has(const struct set *s, uint32_t cp)
{
    return bounds_below(s, cp) % 2 == 1;
}

bool set_equal(const struct set *a, const struct set *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->bounds, b->bounds, a->n * sizeof *a->bounds) == 0);
}

/* Appends a bound; sets are sorted lists of places where membership changes. */
static enum status set_push(struct ctx *c, struct set *s, uint32_t bound)
{
    if (s->n == s->room) {
        size_t room = s->room * 2 + 8;
        uint32_t *bounds = mem_resize(c, s->bounds, s->room, room, sizeof *bounds);
        if (!bounds) return c->status;
        s->bounds = bounds;
        s->room = room;
    }
    s->bounds[s->n++] = bound;
    return OK;
}

enum status set_combine(struct ctx *c, struct set *s, const struct set *t, bool both)
{
    struct set out = {0};
    size_t i = 0, k = 0, needed = both ? 2 : 1;
    bool inside = false;
    enum status st = OK;
    while ((i < s->n || k < t->n) && st == OK) {
        uint32_t a = i < s->n ? s->bounds[i] : UINT32_MAX, b = k < t->n ? t->bounds[k] : UINT32_MAX;
        uint32_t at = a < b ? a : b;
        i += a == at;
        k += b == at;
        bool now = i % 2 + k % 2 >= needed;
        if (now != inside) st = set_push(c, &out, at);
        inside = now;
    }
    if (st != OK) {
        set_release(c, &out);
        return st;
    }
    set_release(c, s);
    *s = out;
    return OK;
}

enum status set_add(struct ctx *c, struct set *s, uint32_t first, uint32_t last)
{
    if (s->n == 0 || s->bounds[s->n - 1] < first) { /* the usual case: in rising order */
        if (s->n % 2 == 1) return OK;
        TRY(set_push(c, s, first));
        return set_push(c, s, last + 1);
    }
    if (s->n % 2 == 0 && s->bounds[s->n - 1] == first) {
        s->bounds[s->n - 1] = last + 1;
        return OK;
    }
    uint32_t bounds[2] = {first, last + 1};
    return set_combine(c, s, &(struct set){bounds, 2, 2}, false);
}

enum status set_negate(struct ctx *c, struct set *s)
{
    if (s->n > 0 && s->bounds[0] == 0) {
        memmove(s->bounds, s->bounds + 1, --s->n * sizeof *s->bounds);
        return OK;
    }
    TRY(set_push(c, s, 0));
    memmove(s->bounds + 1, s->bounds, (s->n - 1) * sizeof *s->bounds);
    s->bounds[0] = 0;
    return OK;
}

/* ---- properties ---- */

/* Adds what has a bit of unicode_class. */
static enum status add_bit(struct ctx *c, struct set *s, unsigned bit)
{
    for (size_t i = 0; i < unicode_table_rows; i++) {
        uint32_t end = i + 1 < unicode_table_rows ? unicode_table[i + 1].first : UNICODE_INVALID;
        if (unicode_table[i].bits & bit) TRY(set_add(c, s, unicode_table[i].first, end - 1));
    }
    return OK;
}

/* Adds the rows for which (value & mask) is in the bit set `wanted` once it is shifted down. */
static enum status set_add_rows(struct ctx *c, struct set *s, unsigned shift, unsigned mask, uint32_t wanted)
{
    for (size_t i = 0; i < unicode_category_rows; i++) {
        uint32_t end = i + 1 < unicode_category_rows ? unicode_category_table[i + 1].first : UNICODE_INVALID;
        unsigned value = unicode_category_table[i].value >> shift & mask;
        if (wanted >> value & 1) TRY(set_add(c, s, unicode_category_table[i].first, end - 1));
    }
    return OK;
}

/* Names of properties are compared without regard to case. */
static bool is_named(const char *name, size_t n, const char *known)
{
    return strlen(known) == n && strncasecmp(name, known, n) == 0;
}

enum status set_add_property(struct ctx *c, struct set *s, const char *name, size_t n, bool *known)
{
    struct set found = {0};
    uint32_t categories = 0, scripts = 0;
    for (unsigned i = 0; unicode_category_names[i]; i++)
        if (is_named(name, n, unicode_category_names[i]) || (n == 1 && strncasecmp(name, unicode_category_names[i], 1) == 0))
            categories |= 1u << i;
    for (unsigned i = 0; unicode_script_names[i]; i++)
        if (is_named(name, n, unicode_script_names[i])) scripts |= 1u << (i + 1);
    enum status st = OK;
    *known = true;
    if (n == 1 && name[0] == 's')
        st = add_bit(c, &found, UNICODE_SPACE);
    else if (n == 1 && name[0] == 'd')
        return set_add_property(c, s, "Nd", 2, known);
    else if (n == 1 && name[0] == 'w')
        st = set_add_rows(c, &found, 10, 1, 1u << 1);
    else if (is_named(name, n,
                      "=Punctuation")) /* no name of the reference's: what its Punctuation pre-tokenizer sets apart */
        st = add_bit(c, &found, UNICODE_MARK);
    else if (categories)
        st = set_add_rows(c, &found, 0, UNICODE_CATEGORY, categories);
    else if (scripts)
        st = set_add_rows(c, &found, UNICODE_SCRIPT_SHIFT, UNICODE_SCRIPT, scripts);
    else
        *known = false;
    if (st == OK) st = set_combine(c, s, &found, false);
    set_release(c, &found);
    return st;
}
