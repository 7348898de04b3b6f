/* expression_parse: from the text of a pattern to its tree, by recursive descent of bounded depth. The syntax is Oniguruma's
 * for Ruby where dialects differ: ^ and $ are the borders of lines, `.` is anything but a line feed, {n,m}+ is not
 * possessive but repeated.
 * From the outside in: alternatives (a|b), a sequence, a quantified atom (x+?), an atom (a group, class, character or
 * place). */
#include <string.h>

#include "base/mem.h"
#include "io/tokenizer/expression_internal.h"
#include "io/tokenizer/unicode.h"

/* One parse: `at` is the next byte of the source. Functions that make nodes return their index, or -1 with the failure in
 * the ctx. */
struct parser {
    struct ctx *c;
    const char *name, *source;
    size_t n, at;
    struct expression_tree *t;
    bool any_case; /* inside (?i: */
    int depth;
};

void expression_tree_release(struct ctx *c, struct expression_tree *t)
{
    for (int i = 0; i < t->n_sets; i++) set_release(c, &t->sets[i]);
    mem_free(c, t->sets);
    mem_free(c, t->nodes);
    *t = (struct expression_tree){0};
}

/* Always -1, the failed node. */
static int expression_refuse(struct parser *p, const char *what)
{
    ctx_fail(p->c, E_UNSUPPORTED, "%s: pattern \"%.*s\": %s (at byte %zu) is not supported", p->name,
             p->n < 120 ? (int)p->n : 120, p->source, what, p->at);
    return -1;
}

/* Appends a node. */
static int tree_add(struct parser *p, struct tree node)
{
    struct expression_tree *t = p->t;
    if (t->n == EXPRESSION_NODES_MAX) return expression_refuse(p, "a pattern of this length");
    if (t->n == t->room) {
        int room = t->room * 2 + 32;
        struct tree *nodes = mem_resize(p->c, t->nodes, (size_t)t->room, (size_t)room, sizeof *nodes);
        if (!nodes) return -1;
        t->nodes = nodes;
        t->room = room;
    }
    t->nodes[t->n] = node;
    return t->n++;
}

/* Index of the set among the pattern's, which takes it over; -1 on failure. */
static int set_intern(struct parser *p, struct set *s)
{
    struct expression_tree *t = p->t;
    for (int i = 0; i < t->n_sets; i++)
        if (set_equal(&t->sets[i], s)) {
            set_release(p->c, s);
            return i;
        }
    if (t->n_sets == EXPRESSION_SETS_MAX) {
        set_release(p->c, s);
        return expression_refuse(p, "a pattern with so many classes");
    }
    t->sets[t->n_sets] = *s;
    *s = (struct set){0};
    return t->n_sets++;
}

/* A node for one character of the set, which is taken over. */
static int tree_set(struct parser *p, struct set *s)
{
    int set = ctx_ok(p->c) ? set_intern(p, s) : -1;
    if (set < 0) {
        set_release(p->c, s);
        return -1;
    }
    return tree_add(p, (struct tree){.kind = TREE_SET, .set = set});
}

/* a then b, or a or b. What may match nothing is noted, because a repetition of it would be endless. */
static int tree_pair(struct parser *p, enum tree_kind kind, int a, int b)
{
    if (a < 0 || b < 0) return -1;
    bool na = p->t->nodes[a].nullable, nb = p->t->nodes[b].nullable;
    return tree_add(p, (struct tree){.kind = kind, .a = a, .b = b, .nullable = kind == TREE_CAT ? na && nb : na || nb});
}

/* (?=a) or (?!a). */
static int tree_ahead(struct parser *p, int a, bool negative)
{
    return a < 0 ? -1 : tree_add(p, (struct tree){.kind = TREE_AHEAD, .a = a, .negative = negative, .nullable = true});
}

/* A look-behind for one character of the set; `at_start` says whether it holds where nothing stands before. */
static int tree_behind(struct parser *p, struct set *s, bool at_start)
{
    int set = ctx_ok(p->c) ? set_intern(p, s) : -1;
    if (set < 0) {
        set_release(p->c, s);
        return -1;
    }
    return tree_add(p, (struct tree){.kind = TREE_BEHIND, .set = set, .at_start = at_start, .nullable = true});
}

/* ---- characters ---- */

/* Whether `text` comes next in the source. */
static bool peek(const struct parser *p, const char *text)
{
    size_t n = strlen(text);
    return p->n - p->at >= n && memcmp(p->source + p->at, text, n) == 0;
}

/* Steps over `text` if it is there. */
static bool expression_take(struct parser *p, const char *text)
{
    if (!peek(p, text)) return false;
    p->at += strlen(text);
    return true;
}

/* The next character. */
static uint32_t take_unit(struct parser *p)
{
    struct unicode_unit u = unicode_next(p->source + p->at, p->n - p->at);
    p->at += u.bytes;
    return u.cp;
}

/* An ASCII letter. */
static bool is_letter(uint32_t cp)
{
    return cp < 0x80 && ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z');
}

/* Adds a range of characters, in any case where (?i: asks for it. U+017F is an s and U+212A a k, as the reference folds. */
static enum status add_range(struct parser *p, struct set *s, uint32_t first, uint32_t last)
{
    TRY(set_add(p->c, s, first, last));
    if (!p->any_case) return OK;
    if (last >= 0x80) {
        expression_refuse(p, "a character outside ASCII in (?i:...)");
        return p->c->status;
    }
    for (uint32_t cp = first; cp <= last; cp++) {
        if (!is_letter(cp)) continue;
        TRY(set_add(p->c, s, cp ^ 0x20, cp ^ 0x20));
        if ((cp | 0x20) == 's') TRY(set_add(p->c, s, 0x17F, 0x17F));
        if ((cp | 0x20) == 'k') TRY(set_add(p->c, s, 0x212A, 0x212A));
    }
    return OK;
}

/* The value of a hexadecimal digit, or -1. */
static int hex_value(char ch)
{
    if (ch >= '0' && ch <= '9') return ch - '0';
    ch = (char)(ch | 0x20);
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* Up to `most` hexadecimal digits. */
static uint32_t take_hex(struct parser *p, int most)
{
    uint32_t value = 0;
    for (int i = 0; i < most && p->at < p->n && hex_value(p->source[p->at]) >= 0; i++)
        value = value * 16 + (uint32_t)hex_value(p->source[p->at++]);
    return value;
}

/* The character that an escape stands for, after its backslash; UINT32_MAX with the failure in the ctx. */
static uint32_t take_escape(struct parser *p)
{
    static const char letters[] = "nrtfvae", values[] = "\n\r\t\f\v\a\x1b";
    if (p->at >= p->n) {
        expression_refuse(p, "a backslash at the end");
        return UINT32_MAX;
    }
    uint32_t cp = take_unit(p), value = 0;
    const char *known = cp > 0 && cp < 0x80 ? strchr(letters, (int)cp) : NULL;
    if (known) return (uint8_t)values[known - letters];
    if (cp == 'u' || (cp == 'x' && !peek(p, "{"))) {
        size_t from = p->at;
        int digits = cp == 'u' ? 4 : 2;
        value = take_hex(p, digits);
        if (p->at == from + (size_t)digits && value < (cp == 'u' ? 0x110000u : 0x80u)) return value;
        expression_refuse(p, "this form of \\u or \\x");
        return UINT32_MAX;
    }
    if (cp == 'x') {
        p->at++;
        value = take_hex(p, 7);
        if (expression_take(p, "}") && value < 0x110000) return value;
        expression_refuse(p, "this form of \\x{...}");
        return UINT32_MAX;
    }
    if (is_letter(cp) || (cp >= '0' && cp <= '9')) {
        expression_refuse(p, "this escape");
        return UINT32_MAX;
    }
    return cp;
}

/* ---- classes ---- */

/* \p{...} or \P{...}, after the letter. */
static enum status add_named(struct parser *p, struct set *s, bool negative)
{
    const char *end = p->at < p->n ? memchr(p->source + p->at, '}', p->n - p->at) : NULL;
    if (!peek(p, "{") || !end) {
        expression_refuse(p, "\\p without a name in braces");
        return p->c->status;
    }
    p->at++;
    if (expression_take(p, "^")) negative = !negative;
    const char *name = p->source + p->at;
    size_t n = (size_t)(end - name);
    char upper = n == 1 ? (char)(name[0] & ~0x20) : 0;
    struct set found = {0};
    bool known = false;
    enum status st = set_add_property(p->c, &found, n == 1 ? &upper : name, n, &known);
    if (st == OK && !known) expression_refuse(p, "this property");
    if (st == OK && p->any_case && n == 2 && upper == 0 && (name[0] | 0x20) == 'l')
        expression_refuse(p, "a cased category in (?i:...)");
    if (ctx_ok(p->c) && negative) st = set_negate(p->c, &found);
    if (ctx_ok(p->c) && st == OK) st = set_combine(p->c, s, &found, false);
    set_release(p->c, &found);
    p->at += n + 1;
    return p->c->status;
}

/* Adds what \s, \d, \w, \h, \p and their capitals stand for; false when the text at hand is none of them. */
static bool add_shorthand(struct parser *p, struct set *s)
{
    static const char letters[] = "sSdDwWhHpP";
    if (p->n - p->at < 2 || p->source[p->at] != '\\') return false;
    char ch = p->source[p->at + 1];
    if (ch == '\0' || !strchr(letters, ch)) return false;
    bool negative = ch < 'a', known;
    char lower = (char)(ch | 0x20);
    p->at += 2;
    if (lower == 'p') {
        add_named(p, s, negative);
        return true;
    }
    struct set found = {0};
    if (lower == 'h') {
        if (set_add(p->c, &found, '0', '9') == OK && set_add(p->c, &found, 'A', 'F') == OK) set_add(p->c, &found, 'a', 'f');
    } else {
        set_add_property(p->c, &found, &lower, 1, &known);
    }
    if (ctx_ok(p->c) && negative) set_negate(p->c, &found);
    if (ctx_ok(p->c)) set_combine(p->c, s, &found, false);
    set_release(p->c, &found);
    return true;
}

static enum status expression_parse_class(struct parser *p, struct set *out);

/* One member of a class: a nested class, a shorthand, a character or a range. */
static enum status parse_member(struct parser *p, struct set *s)
{
    if (peek(p, "[:")) {
        expression_refuse(p, "a POSIX bracket");
        return p->c->status;
    }
    if (peek(p, "[")) {
        struct set inner = {0};
        if (expression_parse_class(p, &inner) == OK) set_combine(p->c, s, &inner, false);
        set_release(p->c, &inner);
        return p->c->status;
    }
    if (add_shorthand(p, s)) return p->c->status;
    uint32_t first = expression_take(p, "\\") ? take_escape(p) : take_unit(p), last = first;
    if (!ctx_ok(p->c)) return p->c->status;
    if (peek(p, "-") && p->at + 1 < p->n && p->source[p->at + 1] != ']') {
        p->at++;
        if (peek(p, "[") || peek(p, "\\p") || peek(p, "\\s") || peek(p, "\\w") || peek(p, "\\d"))
            expression_refuse(p, "a range that ends in a class");
        else
            last = expression_take(p, "\\") ? take_escape(p) : take_unit(p);
    }
    if (ctx_ok(p->c) && (last < first || last >= UNICODE_INVALID || first >= UNICODE_INVALID))
        expression_refuse(p, "this range");
    return ctx_ok(p->c) ? add_range(p, s, first, last) : p->c->status;
}

/* The members up to && or the closing bracket. */
static enum status parse_members(struct parser *p, struct set *s)
{
    bool first = true;
    while (p->at < p->n && !peek(p, "&&") && (first || !peek(p, "]"))) {
        if (first && peek(p, "]")) {
            expression_refuse(p, "a class that is empty or begins with ]");
            return p->c->status;
        }
        TRY(parse_member(p, s));
        first = false;
    }
    return OK;
}

/* From the opening bracket to behind the closing one. */
static enum status expression_parse_class(struct parser *p, struct set *out)
{
    if (++p->depth > EXPRESSION_DEPTH_MAX) {
        expression_refuse(p, "so deep a nesting");
        return p->c->status;
    }
    p->at++;
    bool negative = expression_take(p, "^");
    TRY(parse_members(p, out));
    while (expression_take(p, "&&")) {
        struct set right = {0};
        if (parse_members(p, &right) == OK) set_combine(p->c, out, &right, true);
        set_release(p->c, &right);
        TRY(p->c->status);
    }
    if (!expression_take(p, "]")) {
        expression_refuse(p, "a class without its closing bracket");
        return p->c->status;
    }
    p->depth--;
    return negative ? set_negate(p->c, out) : OK;
}

/* ---- atoms ---- */

static int parse_alternatives(struct parser *p);

/* The end of the text. */
static int tree_end(struct parser *p)
{
    return tree_add(p, (struct tree){.kind = TREE_END, .nullable = true});
}

/* A node for one character. */
static int tree_one(struct parser *p, uint32_t cp)
{
    struct set s = {0};
    set_add(p->c, &s, cp, cp);
    return tree_set(p, &s);
}

/* A look-behind for one character, or for its absence. */
static int behind_property(struct parser *p, const char *property, bool negative)
{
    struct set s = {0};
    bool known;
    if (set_add_property(p->c, &s, property, 1, &known) == OK && negative) set_negate(p->c, &s);
    return tree_behind(p, &s, negative);
}

/* A look-ahead for a word character, or for none. */
static int word_next(struct parser *p, bool negative)
{
    struct set s = {0};
    bool known;
    set_add_property(p->c, &s, "w", 1, &known);
    return tree_ahead(p, tree_set(p, &s), negative);
}

/* \b: a word character on exactly one side. */
static int word_border(struct parser *p)
{
    int ends = tree_pair(p, TREE_CAT, behind_property(p, "w", false), word_next(p, true));
    int starts = tree_pair(p, TREE_CAT, behind_property(p, "w", true), word_next(p, false));
    return tree_pair(p, TREE_ALT, ends, starts);
}

/* ^: at the start, or behind a line feed that is not the last character. */
static int line_start(struct parser *p)
{
    struct set none = {0}, feed = {0};
    int start = tree_behind(p, &none, true);
    set_add(p->c, &feed, '\n', '\n');
    int behind = tree_behind(p, &feed, false);
    return tree_pair(p, TREE_ALT, start, tree_pair(p, TREE_CAT, behind, tree_ahead(p, tree_end(p), true)));
}

/* (?<=X) and (?<!X) with one character as X, after the mark. */
static int parse_behind(struct parser *p, bool negative)
{
    int inner = parse_alternatives(p);
    if (inner < 0) return -1;
    if (p->t->nodes[inner].kind != TREE_SET) return expression_refuse(p, "a look-behind of more than one character");
    struct set s = {0};
    if (set_combine(p->c, &s, &p->t->sets[p->t->nodes[inner].set], false) == OK && negative) set_negate(p->c, &s);
    return tree_behind(p, &s, negative);
}

/* What stands in parentheses, after the opening one. */
static int parse_inside(struct parser *p)
{
    if (expression_take(p, "?=")) return tree_ahead(p, parse_alternatives(p), false);
    if (expression_take(p, "?!")) return tree_ahead(p, parse_alternatives(p), true);
    if (expression_take(p, "?<=")) return parse_behind(p, false);
    if (expression_take(p, "?<!")) return parse_behind(p, true);
    if (expression_take(p, "?i:")) {
        p->any_case = true;
        return parse_alternatives(p);
    }
    if (expression_take(p, "?:")) return parse_alternatives(p);
    if (peek(p, "?")) return expression_refuse(p, "this kind of group");
    return parse_alternatives(p);
}

/* From the opening parenthesis to behind the closing one; (?i: holds only inside. */
static int expression_parse_group(struct parser *p)
{
    bool any_case = p->any_case;
    if (++p->depth > EXPRESSION_DEPTH_MAX) return expression_refuse(p, "so deep a nesting");
    p->at++;
    int node = parse_inside(p);
    if (node >= 0 && !expression_take(p, ")")) return expression_refuse(p, "a group without its closing parenthesis");
    p->any_case = any_case;
    p->depth--;
    return node;
}

/* Escapes that stand for a place and not for a character: \A, \z, \Z, \b. */
static int parse_special_escape(struct parser *p, bool *found)
{
    struct set none = {0};
    *found = true;
    if (expression_take(p, "\\A")) return tree_behind(p, &none, true);
    if (expression_take(p, "\\z")) return tree_end(p);
    if (expression_take(p, "\\b")) return word_border(p);
    if (expression_take(p, "\\Z")) {
        int feed = tree_pair(p, TREE_CAT, tree_one(p, '\n'), tree_end(p));
        return tree_ahead(p, tree_pair(p, TREE_ALT, tree_end(p), feed), false);
    }
    *found = false;
    return -1;
}

/* A literal character; under (?i: it remembers its letter, because two of them may fold together with one ligature. */
static int parse_literal(struct parser *p)
{
    struct set s = {0};
    uint32_t cp = expression_take(p, "\\") ? take_escape(p) : take_unit(p);
    if (!ctx_ok(p->c)) return -1;
    if (cp >= UNICODE_INVALID) return expression_refuse(p, "a byte that is not UTF-8");
    add_range(p, &s, cp, cp);
    int node = tree_set(p, &s);
    if (node >= 0 && p->any_case && is_letter(cp)) p->t->nodes[node].fold_letter = (char)(cp | 0x20);
    return node;
}

/* One character, class, group or place. */
static int expression_parse_atom(struct parser *p)
{
    struct set s = {0};
    bool found;
    if (peek(p, "(")) return expression_parse_group(p);
    if (peek(p, "[")) {
        expression_parse_class(p, &s);
        return tree_set(p, &s);
    }
    if (expression_take(p, ".")) {
        if (set_add(p->c, &s, '\n', '\n') == OK) set_negate(p->c, &s);
        return tree_set(p, &s);
    }
    if (expression_take(p, "^")) return line_start(p);
    if (expression_take(p, "$")) return tree_ahead(p, tree_pair(p, TREE_ALT, tree_end(p), tree_one(p, '\n')), false);
    if (peek(p, "*") || peek(p, "+") || peek(p, "?")) return expression_refuse(p, "a quantifier with nothing before it");
    int special = parse_special_escape(p, &found);
    if (found) return special;
    if (add_shorthand(p, &s)) return tree_set(p, &s);
    return parse_literal(p);
}

/* ---- quantifiers and sequences ---- */

/* a{min,max}; what may match nothing cannot be repeated without end. */
static int expression_repeat(struct parser *p, int a, int min, int max)
{
    if (a < 0) return -1;
    struct tree inner = p->t->nodes[a];
    if (inner.nullable && max != 1 && max != 0) return expression_refuse(p, "the repetition of something that may be empty");
    return tree_add(
        p, (struct tree){.kind = TREE_REPEAT, .a = a, .min = min, .max = max, .nullable = min == 0 || inner.nullable});
}

/* A decimal number in an interval. */
static bool take_number(struct parser *p, int *out)
{
    size_t from = p->at;
    int value = 0;
    while (p->at < p->n && p->source[p->at] >= '0' && p->source[p->at] <= '9' && value <= EXPRESSION_REPEAT_MAX)
        value = value * 10 + p->source[p->at++] - '0';
    *out = value;
    return p->at > from;
}

/* {n}, {n,}, {n,m} or {,m}; anything else in braces is text, and the place stays where it is. */
static bool take_interval(struct parser *p, int *min, int *max)
{
    size_t from = p->at;
    if (!expression_take(p, "{")) return false;
    bool low = take_number(p, min);
    *max = *min;
    if (expression_take(p, ",")) {
        bool high = take_number(p, max);
        if (!high) *max = -1;
        if (!low && !high) *max = -2;
    } else if (!low) {
        *max = -2;
    }
    if (*max != -2 && expression_take(p, "}")) return true;
    p->at = from;
    return false;
}

/* `+` or `?` behind a quantifier. */
static int parse_suffix(struct parser *p, int node, bool interval)
{
    struct tree *t = &p->t->nodes[node];
    if (expression_take(p, "?")) {
        if (interval && t->min == t->max) return expression_refuse(p, "{n}?");
        t->lazy = true;
    } else if (expression_take(p, "+")) {
        if (interval) return expression_repeat(p, node, 1, -1);
        if (p->t->nodes[t->a].kind != TREE_SET) return expression_refuse(p, "a possessive quantifier behind a group");
        t->possessive = true;
    }
    return node;
}

/* An atom with the quantifiers behind it. */
static int parse_quantified(struct parser *p)
{
    int node = expression_parse_atom(p), min = 0, max = -1;
    for (bool again = false; node >= 0; again = true) {
        bool interval = false, plus = peek(p, "+"), maybe = peek(p, "?");
        if (plus || maybe || peek(p, "*")) {
            p->at++;
            min = plus;
            max = maybe ? 1 : -1;
        } else if (take_interval(p, &min, &max)) {
            interval = true;
            if (min > EXPRESSION_REPEAT_MAX || max > EXPRESSION_REPEAT_MAX || (max >= 0 && max < min))
                return expression_refuse(p, "this interval");
        } else {
            return node;
        }
        if (again) return expression_refuse(p, "two quantifiers in a row");
        node = expression_repeat(p, node, min, max);
        if (node >= 0) node = parse_suffix(p, node, interval);
    }
    return -1;
}

/* Letters that fold together with a ligature of Unicode (ss, st, ff, fi, fl). */
static bool folds_together(const struct parser *p, int a, int b)
{
    const struct tree *t = p->t->nodes;
    if (a < 0 || b < 0) return false;
    char first = t[a].kind == TREE_CAT ? t[t[a].b].fold_letter : t[a].fold_letter, second = t[b].fold_letter;
    return (first == 's' && (second == 's' || second == 't')) ||
           (first == 'f' && (second == 'f' || second == 'i' || second == 'l'));
}

/* What stands between two bars. */
static int expression_parse_sequence(struct parser *p)
{
    int node = -1;
    while (p->at < p->n && !peek(p, "|") && !peek(p, ")")) {
        int next = parse_quantified(p);
        if (next < 0) return -1;
        if (folds_together(p, node, next)) return expression_refuse(p, "ss, st, ff, fi or fl in (?i:...)");
        node = node < 0 ? next : tree_pair(p, TREE_CAT, node, next);
        if (node < 0) return -1;
    }
    return node < 0 ? tree_add(p, (struct tree){.kind = TREE_EMPTY, .nullable = true}) : node;
}

/* Sequences between bars; the first that matches wins. */
static int parse_alternatives(struct parser *p)
{
    int node = expression_parse_sequence(p);
    while (node >= 0 && expression_take(p, "|")) node = tree_pair(p, TREE_ALT, node, expression_parse_sequence(p));
    return node;
}

enum status expression_parse(struct ctx *c, struct expression_tree *t, const char *name, const char *source, size_t n)
{
    struct parser p = {.c = c, .name = name, .source = source, .n = n, .t = t};
    t->sets = mem_alloc(c, EXPRESSION_SETS_MAX, sizeof *t->sets);
    if (!t->sets) return c->status;
    if (n == 0) expression_refuse(&p, "an empty pattern");
    if (n > EXPRESSION_BYTES_MAX) expression_refuse(&p, "a pattern of more than 16 KiB");
    t->root = ctx_ok(c) ? parse_alternatives(&p) : -1;
    if (t->root >= 0 && p.at < n) expression_refuse(&p, "a closing parenthesis without its opening one");
    return c->status;
}
