/* matcher: the automaton of matcher.h, how it is built and how it is run.
 *
 * For the patterns "art", "part" and "arts" the trie has a node for each prefix: a, ar, art, arts, p, pa, par, part. A node
 * is a row of the table and a class of bytes is a column; next[row][class] is the row after one more byte. Where the trie
 * has no child, the longest suffix that is a prefix of some pattern takes over: in row "par" a "t" leads to "part", and in
 * row "part" an "s" leads to "arts", since "art" is a suffix of "part". So the search never goes back in the text.
 *
 * A row may be the end of several patterns: "part" is the end of "part" and, by its suffix, of "art". `outputs_of` lists the
 * patterns that end exactly there, `suffix` leads to the next shorter row with outputs.
 *
 * The table holds offsets of rows instead of their numbers, which saves the multiplication in the inner loop, and the rows
 * at which some pattern ends come last, so that one comparison tells whether there is anything to look at. A load depends on
 * the load before it, so a text is cut into four parts that are searched side by side (run_streams). Rejected: searching
 * each pattern by itself (a hundred passes), and a vectorised prefilter on the first bytes of patterns: every letter starts
 * some pattern, so it filters nothing out of English text. */
#include "score/matcher.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "io/tokenizer/unicode.h"
#include "score/word.h"

enum { SHORTEST_PART = 64 }; /* bytes; shorter texts are searched in one part */
enum { NONE = 0 };           /* as an index of outputs and links: the root has neither */

/* A pattern that ends at a node; several may. */
struct output {
    uint32_t pattern;
    uint32_t next; /* index of another output of the same node, or NONE */
};

struct matcher {
    const struct matcher_pattern *patterns;
    size_t n_patterns;
    bool any_space;
    size_t n_nodes, n_classes;
    uint8_t class_of[256]; /* 0: in no pattern */
    uint32_t *next;        /* (n_nodes, n_classes): offset of the next row */
    uint32_t first_hit;    /* offset from which on rows have outputs */
    uint32_t *outputs_of;  /* (n_nodes): index into outputs, of the patterns that end exactly here */
    uint32_t *suffix;      /* (n_nodes): the nearest row that is a suffix of this one and has outputs, or NONE */
    struct output *outputs;
    size_t n_outputs;
};

/* ---- building -------------------------------------------------------------------------------------------------------- */

/* The trie while it grows. Node numbers are in order of insertion. */
struct matcher_build {
    struct ctx *c;
    struct matcher *m;
    uint32_t *child; /* (room, n_classes); 0: none, since the root is nobody's child */
    uint32_t *outputs_of, *suffix, *fail, *order;
    uint8_t *ends_in_space; /* (room) */
    size_t room;
};

/* The byte that stands for all bytes which patterns do not tell apart: upper case falls to lower case, and white space to a
 * space where `any_space` is set. */
static uint8_t folded(const struct matcher *m, uint8_t byte)
{
    if (m->any_space && byte < 0x80 && (word_ascii[byte] & WORD_SPACE)) return ' ';
    return (uint8_t)word_lower((char)byte);
}

/* Gives each byte of the text a class of its own, shared with those that it is folded with. */
static void add_classes(struct matcher *m, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = folded(m, (uint8_t)text[i]);
        if (m->class_of[byte]) continue;
        for (int other = 0; other < 256; other++)
            if (folded(m, (uint8_t)other) == byte) m->class_of[other] = (uint8_t)m->n_classes;
        m->n_classes++;
    }
}

/* Walks one spelling of a pattern down the trie, makes the nodes that are missing, and notes the pattern at the last one.
 * Two spellings of a pattern may be the same bytes; it is noted once. */
static void add_path(struct matcher_build *b, const char *text, size_t n, uint32_t pattern)
{
    struct matcher *m = b->m;
    size_t node = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t *child = &b->child[node * m->n_classes + m->class_of[(uint8_t)text[i]]];
        if (*child == 0) {
            *child = (uint32_t)m->n_nodes;
            b->ends_in_space[m->n_nodes++] = folded(m, (uint8_t)text[i]) == ' ';
        }
        node = *child;
    }
    for (uint32_t o = b->outputs_of[node]; o != NONE; o = m->outputs[o].next)
        if (m->outputs[o].pattern == pattern) return;
    m->outputs[m->n_outputs] = (struct output){pattern, b->outputs_of[node]};
    b->outputs_of[node] = (uint32_t)m->n_outputs++;
}

enum case_form { FORM_GIVEN, FORM_LOWER, FORM_UPPER, FORM_TITLE, FORM_COUNT };

/* The pattern with its letters in one of the forms, by the simple case mapping of each character. Returns its bytes. */
static size_t case_form(const struct matcher_pattern *p, enum case_form form, char *out)
{
    size_t n = 0;
    bool starts = true; /* a word */
    for (size_t at = 0; at < p->bytes;) {
        struct unicode_unit u = unicode_next(p->text + at, p->bytes - at);
        utf8proc_int32_t cp = (utf8proc_int32_t)u.cp;
        if (u.cp >= 0x80 && u.cp != UNICODE_INVALID && form != FORM_GIVEN)
            cp = form == FORM_UPPER || (form == FORM_TITLE && starts) ? utf8proc_toupper(cp) : utf8proc_tolower(cp);
        if (u.cp == UNICODE_INVALID)
            out[n++] = p->text[at];
        else
            n += (size_t)utf8proc_encode_char(cp, (utf8proc_uint8_t *)out + n);
        at += u.bytes;
        starts = !word_ends_at(p->text, at);
    }
    return n;
}

/* Whether the pattern has no characters that need spellings of their own: the case of ASCII letters is folded by the
 * classes. */
static bool is_ascii(const struct matcher_pattern *p)
{
    for (size_t i = 0; i < p->bytes; i++)
        if ((uint8_t)p->text[i] >= 0x80) return false;
    return true;
}

/* Calls add_classes or add_path for each spelling of a pattern. A case mapping can lengthen a character to 4 bytes. */
static void each_form(struct matcher_build *b, uint32_t pattern, bool classes, char *scratch)
{
    const struct matcher_pattern *p = &b->m->patterns[pattern];
    bool once = (p->flags & MATCH_EXACT) || is_ascii(p);
    for (int form = FORM_GIVEN; form < (once ? FORM_LOWER : FORM_COUNT); form++) {
        size_t n = case_form(p, (enum case_form)form, scratch);
        if (classes)
            add_classes(b->m, scratch, n);
        else
            add_path(b, scratch, n, pattern);
    }
}

/* Failure links in breadth-first order, resolved into the table: what a node has no child for, the longest suffix of it that
 * is a prefix of some pattern answers. White space behind a node that ends in white space stays there. */
static void resolve(struct matcher_build *b)
{
    struct matcher *m = b->m;
    size_t nc = m->n_classes, head = 0, tail = 0;
    uint8_t space = m->any_space ? m->class_of[' '] : 0;
    for (size_t k = 0; k < nc; k++)
        if (b->child[k]) b->order[tail++] = b->child[k];
    while (head < tail) {
        size_t node = b->order[head++], fail = b->fail[node];
        b->suffix[node] = b->outputs_of[fail] ? (uint32_t)fail : b->suffix[fail];
        for (size_t k = 0; k < nc; k++) {
            uint32_t *child = &b->child[node * nc + k], other = b->child[fail * nc + k];
            if (space && k == space && b->ends_in_space[node]) {
                *child = (uint32_t)node;
            } else if (*child) {
                b->fail[*child] = other;
                b->order[tail++] = *child;
            } else {
                *child = other;
            }
        }
    }
}

/* Moves the rows without outputs to the front and writes the final tables. */
static void lay_out(struct matcher_build *b)
{
    struct matcher *m = b->m;
    size_t nc = m->n_classes, at = 0;
    uint32_t *place = b->fail; /* no longer needed as links */
    for (int hit = 0; hit < 2; hit++) {
        if (hit) m->first_hit = (uint32_t)(at * nc);
        for (size_t node = 0; node < m->n_nodes; node++)
            if ((b->outputs_of[node] != NONE || b->suffix[node] != NONE) == hit) b->order[at++] = (uint32_t)node;
    }
    for (size_t i = 0; i < m->n_nodes; i++) place[b->order[i]] = (uint32_t)i;
    for (size_t i = 0; i < m->n_nodes; i++) {
        size_t node = b->order[i];
        for (size_t k = 0; k < nc; k++) m->next[i * nc + k] = place[b->child[node * nc + k]] * (uint32_t)nc;
        m->outputs_of[i] = b->outputs_of[node];
        m->suffix[i] = b->suffix[node] == NONE ? NONE : place[b->suffix[node]];
    }
}

/* Refuses patterns over the limits. *bytes becomes what all spellings have together before case mapping. */
static enum status build_check(struct ctx *c, const struct matcher_pattern *patterns, size_t n, size_t *bytes)
{
    *bytes = 0;
    if (n > MATCHER_MAX_PATTERNS)
        return ctx_fail(c, E_INPUT, "%zu patterns: at most %d are allowed", n, MATCHER_MAX_PATTERNS);
    for (size_t i = 0; i < n; i++) {
        const struct matcher_pattern *p = &patterns[i];
        BUG_ON(c, p->bytes == 0, "pattern %zu is empty", i);
        size_t spellings = (p->flags & MATCH_EXACT) || is_ascii(p) ? 1 : FORM_COUNT;
        *bytes += spellings * p->bytes;
        if (p->bytes > MATCHER_MAX_BYTES || *bytes > MATCHER_MAX_BYTES)
            return ctx_fail(c, E_INPUT, "the patterns are longer than %d bytes in all", MATCHER_MAX_BYTES);
    }
    return OK;
}

/* Memory for the trie, for at most 2 * bytes nodes and the root. The table of children waits until the classes are known. */
static bool build_alloc(struct matcher_build *b, size_t bytes, size_t n)
{
    struct ctx *c = b->c;
    b->room = 2 * bytes + 1; /* a case mapping at most doubles a character's bytes */
    b->outputs_of = mem_alloc(c, b->room, sizeof *b->outputs_of);
    b->suffix = mem_alloc(c, b->room, sizeof *b->suffix);
    b->fail = mem_alloc(c, b->room, sizeof *b->fail);
    b->order = mem_alloc(c, b->room, sizeof *b->order);
    b->ends_in_space = mem_alloc(c, b->room, 1);
    b->m->outputs = mem_alloc(c, 1 + n * FORM_COUNT, sizeof *b->m->outputs);
    b->m->n_outputs = 1; /* number 0 means none */
    b->m->n_nodes = b->m->n_classes = 1;
    return ctx_ok(c);
}

/* First all classes, then all paths: a row of the table has a column for each class. */
static bool build_tables(struct matcher_build *b, size_t n, char *scratch)
{
    struct matcher *m = b->m;
    for (size_t i = 0; i < n; i++) each_form(b, (uint32_t)i, true, scratch);
    b->child = mem_alloc(b->c, b->room * m->n_classes, sizeof *b->child);
    if (!b->child) return false;
    for (size_t i = 0; i < n; i++) each_form(b, (uint32_t)i, false, scratch);
    BUG_ON(b->c, m->n_nodes > b->room, "%zu nodes for %zu", m->n_nodes, b->room);
    m->next = mem_alloc_aligned(b->c, m->n_nodes * m->n_classes * sizeof *m->next);
    m->outputs_of = mem_alloc(b->c, m->n_nodes, sizeof *m->outputs_of);
    m->suffix = mem_alloc(b->c, m->n_nodes, sizeof *m->suffix);
    if (!ctx_ok(b->c)) return false;
    resolve(b);
    lay_out(b);
    return true;
}

struct matcher *matcher_new(struct ctx *c, const struct matcher_pattern *patterns, size_t n, bool any_space)
{
    size_t bytes;
    if (!ctx_ok(c) || build_check(c, patterns, n, &bytes) != OK) return NULL;
    struct matcher *m = mem_alloc(c, 1, sizeof *m);
    if (!m) return NULL;
    m->patterns = patterns;
    m->n_patterns = n;
    m->any_space = any_space;
    struct matcher_build b = {.c = c, .m = m};
    char *scratch = mem_alloc(c, 2 * (size_t)MATCHER_MAX_BYTES + 8, 1);
    bool ok = scratch && build_alloc(&b, bytes, n) && build_tables(&b, n, scratch);
    mem_free(c, scratch);
    mem_free(c, b.child);
    mem_free(c, b.outputs_of);
    mem_free(c, b.suffix);
    mem_free(c, b.fail);
    mem_free(c, b.order);
    mem_free(c, b.ends_in_space);
    if (ok) return m;
    matcher_free(c, m);
    return NULL;
}

void matcher_free(struct ctx *c, struct matcher *m)
{
    if (!m) return;
    mem_free(c, m->next);
    mem_free(c, m->outputs_of);
    mem_free(c, m->suffix);
    mem_free(c, m->outputs);
    mem_free(c, m);
}

size_t matcher_states(const struct matcher *m)
{
    return m->n_nodes;
}

size_t matcher_classes(const struct matcher *m)
{
    return m->n_classes;
}

/* ---- searching ------------------------------------------------------------------------------------------------------- */

/* Where the occurrence that ends at `end` begins. Runs of white space may be longer in the text than in the pattern, and
 * a spelling beyond ASCII may have other bytes than the pattern: both are walked back character by character. */
static size_t matcher_begin_of(const struct matcher *m, const struct matcher_pattern *p, const char *text, size_t end)
{
    size_t at = end;
    for (size_t i = p->bytes; i > 0;) {
        if (m->any_space && p->text[i - 1] == ' ') {
            while (at > 0 && (uint8_t)text[at - 1] < 0x80 && (word_ascii[(uint8_t)text[at - 1]] & WORD_SPACE)) at--;
            i--;
        } else if ((uint8_t)p->text[i - 1] < 0x80) {
            at--;
            i--;
        } else {
            i -= unicode_last(p->text, i).bytes;
            at -= unicode_last(text, at).bytes;
        }
    }
    return at;
}

/* Whether text[begin, end) is the pattern with its own case; white space is equal by the automaton already. */
static bool same_case(const struct matcher *m, const struct matcher_pattern *p, const char *text, size_t begin)
{
    for (size_t i = 0; i < p->bytes; i++) {
        if (m->any_space && p->text[i] == ' ')
            while (word_ascii[(uint8_t)text[begin + 1]] & WORD_SPACE) begin++;
        else if (text[begin] != p->text[i])
            return false;
        begin++;
    }
    return true;
}

/* Where an occurrence was found: in which part of which text, and where it ends. */
struct hit {
    const char *text;
    size_t n, end;
    int stream;
};

/* A pattern ends here as far as bytes go: checks its boundaries, its case and its own test, and counts it unless it overlaps
 * an occurrence that was counted. */
static void take_hit(const struct matcher *m, uint32_t pattern, const struct hit *h, struct matcher_count *k)
{
    const struct matcher_pattern *p = &m->patterns[pattern];
    if (p->flags & MATCH_RIGHT && word_ends_at(h->text, h->end) && word_starts_at(h->text, h->n, h->end)) return;
    size_t begin = matcher_begin_of(m, p, h->text, h->end);
    if (p->flags & MATCH_LEFT && word_ends_at(h->text, begin) && word_starts_at(h->text, h->n, begin)) return;
    if (p->flags & MATCH_EXACT && !same_case(m, p, h->text, begin)) return;
    if (begin < k->end[h->stream]) return;
    if (p->accept && !p->accept(h->text, h->n, begin, h->end)) return;
    k->count++;
    k->end[h->stream] = (uint32_t)h->end;
}

/* All patterns that end at a row, the longest first. Not inlined: it is rare, and would only crowd the registers of the
 * loop. */
static __attribute__((noinline)) void take_hits(const struct matcher *m, size_t row, struct hit h,
                                                struct matcher_count *counts)
{
    for (; row != NONE; row = m->suffix[row])
        for (uint32_t o = m->outputs_of[row]; o != NONE; o = m->outputs[o].next)
            take_hit(m, m->outputs[o].pattern, &h, &counts[m->outputs[o].pattern]);
}

/* The part [from, to) of a text, from state s. */
static void run_part(const struct matcher *m, const char *text, size_t n, size_t from, size_t to, int stream, uint32_t s,
                     struct matcher_count *counts)
{
    const uint32_t *next = m->next, first_hit = m->first_hit;
    for (size_t i = from; i < to; i++) {
        s = next[s + m->class_of[(uint8_t)text[i]]];
        if (__builtin_expect(s >= first_hit, 0))
            take_hits(m, s / m->n_classes, (struct hit){text, n, i + 1, stream}, counts);
    }
}

/* Where to cut in [at, end): behind a byte of no pattern. SIZE_MAX: there is none. */
static size_t find_cut(const struct matcher *m, const char *text, size_t at, size_t end)
{
    for (size_t i = at; i < end; i++)
        if (m->class_of[(uint8_t)text[i]] == 0) return i + 1;
    return SIZE_MAX;
}

/* The parts [cut[k], cut[k + 1]) side by side for as long as the shortest one lasts, and then each to its end. */
static void run_streams(const struct matcher *m, const char *text, size_t n, const size_t *cut, struct matcher_count *counts)
{
    const uint32_t *next = m->next, first_hit = m->first_hit;
    const uint8_t *class_of = m->class_of, *from[MATCHER_STREAMS];
    uint32_t s[MATCHER_STREAMS] = {0};
    size_t shortest = SIZE_MAX;
    for (int k = 0; k < MATCHER_STREAMS; k++) {
        from[k] = (const uint8_t *)text + cut[k];
        if (cut[k + 1] - cut[k] < shortest) shortest = cut[k + 1] - cut[k];
    }
    for (size_t i = 0; i < shortest; i++) {
        s[0] = next[s[0] + class_of[from[0][i]]];
        s[1] = next[s[1] + class_of[from[1][i]]];
        s[2] = next[s[2] + class_of[from[2][i]]];
        s[3] = next[s[3] + class_of[from[3][i]]];
        if (__builtin_expect((s[0] >= first_hit) | (s[1] >= first_hit) | (s[2] >= first_hit) | (s[3] >= first_hit), 0))
            for (int k = 0; k < MATCHER_STREAMS; k++)
                if (s[k] >= first_hit) take_hits(m, s[k] / m->n_classes, (struct hit){text, n, cut[k] + i + 1, k}, counts);
    }
    for (int k = 0; k < MATCHER_STREAMS; k++) run_part(m, text, n, cut[k] + shortest, cut[k + 1], k, s[k], counts);
}

/* A text is cut behind bytes that are in no pattern, for no occurrence can cross such a byte; where there is none, or the
 * text is short, it is searched in one part. */
void matcher_run(const struct matcher *m, const char *text, size_t n, struct matcher_count *counts)
{
    size_t cut[MATCHER_STREAMS + 1] = {0, 0, 0, 0, n}, each = n / MATCHER_STREAMS;
    bool cuts = each >= SHORTEST_PART;
    for (size_t k = 1; k < MATCHER_STREAMS && cuts; k++) {
        cut[k] = find_cut(m, text, k * each, (k + 1) * each);
        cuts = cut[k] != SIZE_MAX;
    }
    if (cuts)
        run_streams(m, text, n, cut, counts);
    else
        run_part(m, text, n, 0, n, 0, 0, counts);
}
