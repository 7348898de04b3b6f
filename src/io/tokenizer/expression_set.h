/* expression_set: sets of characters as lists of the places where membership changes, in rising order: a code point is a
 * member when an odd number of them is not above it. UNICODE_INVALID, a byte outside UTF-8, is a character like any other
 * here. */
#ifndef YA_IO_EXPRESSION_SET_H
#define YA_IO_EXPRESSION_SET_H

#include "base/ctx.h"

struct set {
    uint32_t *bounds; /* owned */
    size_t n, room;
};

/* Frees its ranges; the set is empty and may be used again. */
void set_release(struct ctx *c, struct set *s);
/* Whether a character is a member; whether two sets have the same members. */
bool set_has(const struct set *s, uint32_t cp);
bool set_equal(const struct set *a, const struct set *b);
/* Adds first to last. */
enum status set_add(struct ctx *c, struct set *s, uint32_t first, uint32_t last);
/* s becomes the union, or with `both` the intersection, of s and t. */
enum status set_combine(struct ctx *c, struct set *s, const struct set *t, bool both);
/* s becomes what was not in it. */
enum status set_negate(struct ctx *c, struct set *s);
/* Adds the members of a property: a general category (Lu), a group of them (L), a script (Han), or one of the letters s, d,
 * w that stand for \s, \d, \w. *known is false when there is none of that name. */
enum status set_add_property(struct ctx *c, struct set *s, const char *name, size_t n, bool *known);

#endif
