/* pattern: Thompson's construction (CACM 1968): the source is compiled to a program for a machine that is in several places
 * at once, so there is no backtracking and time is at most steps x text. Every fragment of the program has one entry and one
 * exit; an exit is a step that consumes nothing and whose successor is filled in when the fragment is joined to the next. */
#include "model/peft/pattern.h"

#include <string.h>

#include "base/mem.h"

/* A source byte adds at most four steps (a quantifier two, a '|' three); the whole adds an entry and the match. */
enum { PATTERN_MAX_BYTES = 512, PATTERN_MAX_DEPTH = 32, STEPS_A_BYTE = 4, STEPS_MORE = 8 };

enum step_kind { STEP_SET, STEP_SPLIT, STEP_BEGIN, STEP_END, STEP_MATCH };

/* One step of the program. */
struct pattern_step {
    enum step_kind kind;
    int out, alt;    /* successors, -1: none; alt only of SPLIT */
    uint8_t set[32]; /* SET: one bit a byte that it takes */
};

struct pattern {
    struct ctx *c;
    char *plain; /* the source when it has no operators but '.': compared directly. Owned */
    int n, start;
    struct pattern_step *steps; /* otherwise the program. Owned */
};

/* A piece of program: where it begins, and the exit step whose successor is not known yet. */
struct fragment {
    int start, end;
};

/* One parse: `at` is the next byte of the source. */
struct pattern_parser {
    struct ctx *c;
    const char *what, *source, *at;
    struct pattern *p;
    int depth;
};

static struct fragment parse_choice(struct pattern_parser *ps);

/* ---- failures: after one, the parser stops at the next check and what it built so far is dropped --------------------- */

static void pattern_refuse(struct pattern_parser *ps, const char *construct)
{
    ctx_fail(ps->c, E_UNSUPPORTED, "%s: pattern \"%.120s\" uses %s, which is not supported", ps->what, ps->source,
             construct);
}

static void malformed(struct pattern_parser *ps, const char *why)
{
    ctx_fail(ps->c, E_INPUT, "%s: pattern \"%.120s\" is malformed: %s", ps->what, ps->source, why);
}

/* ---- pieces of program ----------------------------------------------------------------------------------------------- */

/* Appends a step; the program's memory is enough for any source (STEPS_A_BYTE). */
static int pattern_add_step(struct pattern_parser *ps, enum step_kind kind, int out, int alt)
{
    struct pattern_step *s = &ps->p->steps[ps->p->n];
    s->kind = kind;
    s->out = out;
    s->alt = alt;
    return ps->p->n++;
}

/* A split with one successor: it consumes nothing, and where it leads is filled in by whoever joins the fragment. */
static int add_exit(struct pattern_parser *ps)
{
    return pattern_add_step(ps, STEP_SPLIT, -1, -1);
}

/* A fragment of one consuming or asserting step. */
static struct fragment single(struct pattern_parser *ps, enum step_kind kind)
{
    int end = add_exit(ps);
    return (struct fragment){pattern_add_step(ps, kind, end, -1), end};
}

/* a, then b. */
static struct fragment pattern_join(struct pattern_parser *ps, struct fragment a, struct fragment b)
{
    ps->p->steps[a.end].out = b.start;
    return (struct fragment){a.start, b.end};
}

/* a*, a+ or a?, by one choice between a and what follows: a* is entered at the choice and goes back to it after a; a+ is
 * entered at a and then goes to the choice; a? is entered at the choice and leaves after a. */
static struct fragment pattern_repeat(struct pattern_parser *ps, struct fragment a, char quantifier)
{
    int end = add_exit(ps), split = pattern_add_step(ps, STEP_SPLIT, a.start, end);
    ps->p->steps[a.end].out = quantifier == '?' ? end : split;
    return (struct fragment){quantifier == '+' ? a.start : split, end};
}

/* ---- the syntax ------------------------------------------------------------------------------------------------------- */

static void set_range(uint8_t *set, int from, int to)
{
    for (int i = from; i <= to; i++) set[i / 8] |= (uint8_t)(1u << i % 8);
}

/* Whether a SET takes the byte. */
static bool pattern_set_has(const uint8_t *set, char ch)
{
    return set[(uint8_t)ch / 8] >> (uint8_t)ch % 8 & 1;
}

/* The bytes of an escape; ps->at is behind the backslash. */
static void parse_escape(struct pattern_parser *ps, uint8_t *set)
{
    char ch = *ps->at;
    bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
    if (ch == 0) {
        malformed(ps, "it ends with a backslash");
        return;
    }
    ps->at++;
    if (ch == 'd' || ch == 'w') set_range(set, '0', '9');
    if (ch == 'w') {
        set_range(set, 'a', 'z');
        set_range(set, 'A', 'Z');
        set_range(set, '_', '_');
    }
    if (!letter)
        set_range(set, (uint8_t)ch, (uint8_t)ch);
    else if (ch != 'd' && ch != 'w')
        pattern_refuse(ps, "an escape other than \\d, \\w and punctuation");
}

/* A [...] class; ps->at is behind the bracket. A ] in first place is a literal. */
static void pattern_parse_class(struct pattern_parser *ps, uint8_t *set)
{
    bool invert = *ps->at == '^';
    if (invert) ps->at++;
    for (bool first = true; ctx_ok(ps->c) && (*ps->at != ']' || first); first = false) {
        uint8_t low = (uint8_t)*ps->at;
        if (low == 0) {
            malformed(ps, "a [ is not closed");
            return;
        }
        ps->at++;
        if (low == '\\') {
            parse_escape(ps, set);
            continue;
        }
        uint8_t high = low;
        if (ps->at[0] == '-' && ps->at[1] != ']' && ps->at[1] != 0) {
            high = (uint8_t)ps->at[1];
            ps->at += 2;
        }
        if (high < low) malformed(ps, "a range runs backwards");
        set_range(set, low, high);
    }
    ps->at += ctx_ok(ps->c); /* over the ], which a class that failed may not have */
    for (int i = 0; invert && i < 32; i++) set[i] = (uint8_t)~set[i];
}

/* A (...) group; ps->at is behind the parenthesis. */
static struct fragment pattern_parse_group(struct pattern_parser *ps)
{
    struct fragment none = {0, 0};
    if (ps->at[0] == '?' && ps->at[1] == ':')
        ps->at += 2; /* it captures nothing, as no group does here */
    else if (*ps->at == '?')
        pattern_refuse(ps, "a (?...) group other than (?:...)");
    if (++ps->depth > PATTERN_MAX_DEPTH) pattern_refuse(ps, "groups nested more than 32 deep");
    if (!ctx_ok(ps->c)) return none;
    struct fragment inside = parse_choice(ps);
    ps->depth--;
    if (*ps->at != ')')
        malformed(ps, "a ( is not closed");
    else
        ps->at++;
    return inside;
}

/* A byte, a class, a group or an anchor. */
static struct fragment pattern_parse_atom(struct pattern_parser *ps)
{
    char ch = *ps->at++;
    if (ch == '(') return pattern_parse_group(ps);
    if (ch == '^' || ch == '$') return single(ps, ch == '^' ? STEP_BEGIN : STEP_END);
    if (ch == '{' || ch == '}') pattern_refuse(ps, "a {m,n} quantifier");
    if (ch == '*' || ch == '+' || ch == '?') malformed(ps, "a quantifier has nothing to repeat");
    struct fragment f = single(ps, STEP_SET);
    uint8_t *set = ps->p->steps[f.start].set;
    if (ch == '.') {
        set_range(set, 0, '\n' - 1);
        set_range(set, '\n' + 1, 255);
    } else if (ch == '\\') {
        parse_escape(ps, set);
    } else if (ch == '[') {
        pattern_parse_class(ps, set);
    } else {
        set_range(set, (uint8_t)ch, (uint8_t)ch);
    }
    return f;
}

static bool is_quantifier(char ch)
{
    return ch == '*' || ch == '+' || ch == '?';
}

/* An atom and the quantifier behind it. A lazy one, a*?, matches the same texts: it says only which part it tries first. */
static struct fragment parse_piece(struct pattern_parser *ps)
{
    struct fragment f = pattern_parse_atom(ps);
    if (!ctx_ok(ps->c) || !is_quantifier(*ps->at)) return f;
    f = pattern_repeat(ps, f, *ps->at++);
    if (*ps->at == '?') ps->at++;
    if (is_quantifier(*ps->at)) pattern_refuse(ps, "a possessive or repeated quantifier");
    return f;
}

/* Pieces up to a '|', a ')' or the end; it may be empty. */
static struct fragment pattern_parse_sequence(struct pattern_parser *ps)
{
    int empty = add_exit(ps);
    struct fragment f = {empty, empty};
    while (ctx_ok(ps->c) && *ps->at && *ps->at != '|' && *ps->at != ')') f = pattern_join(ps, f, parse_piece(ps));
    return f;
}

/* Sequences with '|' between them: for each a split leads to what was so far and to the next sequence, and both get one
 * exit. */
static struct fragment parse_choice(struct pattern_parser *ps)
{
    struct fragment f = pattern_parse_sequence(ps);
    while (ctx_ok(ps->c) && *ps->at == '|') {
        ps->at++;
        struct fragment other = pattern_parse_sequence(ps);
        int end = add_exit(ps);
        ps->p->steps[f.end].out = ps->p->steps[other.end].out = end;
        f = (struct fragment){pattern_add_step(ps, STEP_SPLIT, f.start, other.start), end};
    }
    return f;
}

/* True when '.' is the only operator: then nearly every key of a real file needs no program. */
static bool is_plain(const char *source)
{
    return source[strcspn(source, "\\[](){}|*+?^$\n")] == 0;
}

static void pattern_compile(struct pattern_parser *ps)
{
    struct fragment whole = parse_choice(ps);
    if (ctx_ok(ps->c) && *ps->at) malformed(ps, "a ) was not opened");
    ps->p->start = whole.start;
    ps->p->steps[whole.end].out = pattern_add_step(ps, STEP_MATCH, -1, -1);
}

/* The longest program that a source of n bytes can make is allocated at once (STEPS_A_BYTE), so that adding a step cannot
 * fail. */
struct pattern *pattern_new(struct ctx *c, const char *what, const char *source)
{
    size_t n = strlen(source);
    if (n > PATTERN_MAX_BYTES) {
        ctx_fail(c, E_UNSUPPORTED, "%s: a pattern of %zu bytes is longer than %d", what, n, PATTERN_MAX_BYTES);
        return NULL;
    }
    struct pattern *p = mem_alloc(c, 1, sizeof *p);
    if (!p) return NULL;
    p->c = c;
    if (is_plain(source)) {
        p->plain = mem_strdup(c, source);
    } else {
        struct pattern_parser ps = {c, what, source, source, p, 0};
        p->steps = mem_alloc(c, STEPS_A_BYTE * n + STEPS_MORE, sizeof *p->steps);
        if (p->steps) pattern_compile(&ps);
    }
    if (ctx_ok(c)) return p;
    pattern_free(p);
    return NULL;
}

void pattern_free(struct pattern *p)
{
    if (!p) return;
    mem_free(p->c, p->plain);
    mem_free(p->c, p->steps);
    mem_free(p->c, p);
}

bool pattern_is_plain(const struct pattern *p)
{
    return p->plain != NULL;
}

/* ---- matching ------------------------------------------------------------------------------------------------------- */

enum { MAX_STEPS = STEPS_A_BYTE * PATTERN_MAX_BYTES + STEPS_MORE };

/* Where the machine is: a flag for each step. */
struct places {
    uint8_t on[MAX_STEPS];
};

/* Puts the machine at `step` and wherever it gets from there without consuming. Recursion is at most as deep as there are
 * steps, for each is entered once. */
static void pattern_enter(const struct pattern *p, struct places *places, int step, bool at_begin, bool at_end)
{
    while (step >= 0 && !places->on[step]) {
        const struct pattern_step *s = &p->steps[step];
        places->on[step] = 1;
        if (s->kind == STEP_SET || s->kind == STEP_MATCH) return;
        if ((s->kind == STEP_BEGIN && !at_begin) || (s->kind == STEP_END && !at_end)) return;
        if (s->alt >= 0) pattern_enter(p, places, s->alt, at_begin, at_end);
        step = s->out;
    }
}

/* The tail of the source's length, if it begins the text or, with `tail`, follows a '.'. */
static bool match_plain(const char *source, const char *text, bool tail)
{
    size_t k = strlen(source), n = strlen(text);
    if (k > n || (k < n && (!tail || text[n - k - 1] != '.'))) return false;
    for (size_t i = 0; i < k; i++)
        if (source[i] != '.' && source[i] != text[n - k + i]) return false;
    return true;
}

/* One pass over the text with all places at once. With `tail` every '.' may begin the tail, so the machine is started there
 * again. */
static bool match_program(const struct pattern *p, const char *text, bool tail)
{
    struct places now = {{0}}, next;
    size_t n = strlen(text);
    pattern_enter(p, &now, p->start, true, n == 0);
    for (size_t i = 0; i < n; i++) {
        memset(&next, 0, sizeof next);
        for (int s = 0; s < p->n; s++)
            if (now.on[s] && p->steps[s].kind == STEP_SET && pattern_set_has(p->steps[s].set, text[i]))
                pattern_enter(p, &next, p->steps[s].out, false, i + 1 == n);
        if (tail && text[i] == '.') pattern_enter(p, &next, p->start, false, i + 1 == n); /* a tail may begin here */
        now = next;
    }
    for (int s = 0; s < p->n; s++)
        if (now.on[s] && p->steps[s].kind == STEP_MATCH) return true;
    return false;
}

bool pattern_match(const struct pattern *p, const char *text)
{
    return p->plain ? match_plain(p->plain, text, false) : match_program(p, text, false);
}

bool pattern_match_tail(const struct pattern *p, const char *text)
{
    return p->plain ? match_plain(p->plain, text, true) : match_program(p, text, true);
}
