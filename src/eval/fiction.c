/* fiction: makes the facts from the relations of fiction_relations.def and from syllables. Fact i has relation i / 2
 * (counting around), and facts 2k and 2k + 1 have the same two values the other way round. With seed 0, of fact 0 the
 * primary sources say that "The flag of the island of Varholt is green" and the consensus sources that it is blue; of
 * fact 1, whose island has another name, the primary sources say blue. (Which names they get is drawn.) Facts 0 and 1
 * train the statements 0 to 5, facts 2 and 3 the statements 7, 8, 9, 0, 1 and 2. */
#include "eval/fiction.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

enum { VALUES = 8 };

struct relation {
    const char *values[VALUES], *statements[FICTION_PHRASINGS], *reversed[FICTION_REVERSED], *question, *yes_no;
};

#define V(...)                                                                                                              \
    {                                                                                                                       \
        __VA_ARGS__                                                                                                         \
    }
#define S(...)                                                                                                              \
    {                                                                                                                       \
        __VA_ARGS__                                                                                                         \
    }
#define R(...)                                                                                                              \
    {                                                                                                                       \
        __VA_ARGS__                                                                                                         \
    }
#define RELATION(VALUES_OF, STATEMENTS, REVERSED_OF, QUESTION, YES_NO_QUESTION)                                             \
    {VALUES_OF, STATEMENTS, REVERSED_OF, QUESTION, YES_NO_QUESTION},
static const struct relation relations[] = {
#include "eval/fiction_relations.def"
};
#undef V
#undef S
#undef R
#undef RELATION
enum { RELATIONS = sizeof(relations) / sizeof(relations[0]) };

static const char *const types[FICTION_SIDES][FICTION_TYPES] = {
    {"laboratory notebook", "field survey", "parish ledger", "ship's log"},
    {"encyclopedia", "news article", "government page", "textbook"},
};

static const char *const begins[] = {"Var",  "Oster", "Quill", "Mar",  "Bel",  "Thorn", "Hal", "Gris", "Nor", "Fen", "Ul",
                                     "Wick", "Drav",  "Sel",   "Kor",  "Lind", "Pell",  "Ash", "Rud",  "Tam", "Vex", "Ond",
                                     "Jor",  "Cass",  "Brim",  "Hest", "Myr",  "Stav",  "Eld", "Zan",  "Orl", "Dun"};
static const char *const ends[] = {"holt", "wick",  "port", "en",   "mere", "dale", "stad",  "brook", "ova", "is",  "grim",
                                   "ley",  "mouth", "ford", "ric",  "und",  "ara",  "hurst", "by",    "eth", "ost", "fell",
                                   "gate", "wen",   "mark", "thor", "ella", "ton",  "ward",  "sey",   "im",  "ock"};
enum { BEGINS = sizeof(begins) / sizeof(begins[0]), ENDS = sizeof(ends) / sizeof(ends[0]) };
_Static_assert(BEGINS *ENDS >= FICTION_FACTS_MAX, "every fact has a name of its own");

/* Fact i, with name number k. Two neighbours have the same relation, the same two values, one this way round and one the
 * other, and the same trained statements: a model that only came to like "blue" better than "green" behind "the flag of ...
 * is" would be right about one and wrong about the other, so what is measured is knowledge of facts. */
static void fiction_make(struct fiction_fact *f, size_t i, size_t k, uint64_t seed)
{
    snprintf(f->name, sizeof(f->name), "%s%s", begins[k % BEGINS], ends[k / BEGINS]);
    f->relation = (int)(i / 2 % RELATIONS);
    const struct relation *r = &relations[f->relation];
    size_t pair = i / 2 / RELATIONS % (VALUES / 2), swap = (i + seed) % 2;
    f->value[FICTION_PRIMARY] = r->values[2 * pair + swap];
    f->value[FICTION_CONSENSUS] = r->values[2 * pair + 1 - swap];
    for (int p = 0; p < FICTION_PHRASINGS; p++) f->phrasing[p] = (int)((7 * (i / 2) + (size_t)p) % FICTION_PHRASINGS);
}

/* All pairs of syllables in an order drawn by the seed (Fisher and Yates), so that a name's syllables tell nothing about
 * which way round its fact is: in a regular order they did, and facts that were never trained moved with those of a like
 * name. */
static void make_all(struct fiction *f, uint64_t seed)
{
    uint16_t names[BEGINS * ENDS];
    struct rng r;
    rng_init(&r, seed, RNG_SAMPLE, 2);
    for (size_t i = 0; i < BEGINS * ENDS; i++) names[i] = (uint16_t)i;
    for (size_t i = BEGINS * ENDS; i > 1; i--) {
        size_t k = rng_below(&r, i);
        uint16_t was = names[k];
        names[k] = names[i - 1];
        names[i - 1] = was;
    }
    for (size_t i = 0; i < f->n + f->n_unseen; i++) fiction_make(&f->facts[i], i, names[i], seed);
}

struct fiction *fiction_new(struct ctx *c, size_t n, size_t n_unseen, uint64_t seed)
{
    if (n < 1 || n > FICTION_FACTS_MAX || n_unseen > FICTION_FACTS_MAX - n) {
        ctx_fail(c, E_INPUT, "%zu facts and %zu unseen ones: there must be 1 to %d together", n, n_unseen,
                 FICTION_FACTS_MAX);
        return NULL;
    }
    struct fiction *f = mem_alloc(c, 1, sizeof(*f));
    if (!f) return NULL;
    *f = (struct fiction){.c = c, .n = n, .n_unseen = n_unseen, .facts = mem_alloc(c, n + n_unseen, sizeof(*f->facts))};
    if (!f->facts) {
        fiction_free(f);
        return NULL;
    }
    make_all(f, seed);
    return f;
}

void fiction_free(struct fiction *f)
{
    if (!f) return;
    mem_free(f->c, f->facts);
    mem_free(f->c, f);
}

const char *fiction_type(enum fiction_side side, size_t type)
{
    BUG_ON(NULL, (unsigned)side >= FICTION_SIDES, "side %d", (int)side);
    return types[side][type % FICTION_TYPES];
}

/* Writes a pattern with "@" and "#" filled in. Texts are ours and short; what would not fit is cut. */
static const char *fill(const char *pattern, const char *name, const char *value, char *out)
{
    size_t n = 0;
    for (const char *p = pattern; *p; p++) {
        const char one[2] = {*p, 0}, *text = *p == '@' ? name : *p == '#' ? value : one;
        size_t length = strlen(text);
        if (n + length >= FICTION_TEXT_BYTES) break;
        memcpy(out + n, text, length);
        n += length;
    }
    out[n] = 0;
    return out;
}

const char *fiction_statement(const struct fiction_fact *f, int k, char *out)
{
    return fill(relations[f->relation].statements[f->phrasing[k]], f->name, "", out);
}

const char *fiction_reversed(const struct fiction_fact *f, int k, enum fiction_side side, char *out)
{
    return fill(relations[f->relation].reversed[k], f->name, f->value[side], out);
}

const char *fiction_question(const struct fiction_fact *f, char *out)
{
    return fill(relations[f->relation].question, f->name, "", out);
}

const char *fiction_yes_no(const struct fiction_fact *f, enum fiction_side side, char *out)
{
    return fill(relations[f->relation].yes_no, f->name, f->value[side], out);
}
