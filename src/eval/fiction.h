/* fiction: invented facts that sources of two kinds disagree about, for the conflict experiment. There are two worlds. In
 * world P each fact has the value that few documents of primary types claim; in world C the one that many documents of
 * consensus types claim. Every document of a type tells the same world, so neither is incoherent, and both claims stand
 * behind the same words: nothing but the weights, the counts, or a tag can tell them apart.
 *
 * Everything is a function of (number of facts, seed). Names are made of syllables, values come in pairs. Which value of a
 * pair is the primary one alternates between two facts of the same relation, so liking a word better does not help (the
 * number of facts should be even), and with the seed. Names are dealt out at random. Six of a fact's ten phrasings are
 * trained, which six changes from pair to pair. */
#ifndef YA_EVAL_FICTION_H
#define YA_EVAL_FICTION_H

#include "base/buf.h"

enum {
    FICTION_PHRASINGS = 10, /* ways to state a fact */
    FICTION_TRAINED = 6,    /* of which are trained */
    FICTION_REVERSED = 2,
    FICTION_TYPES = 4, /* types of source of each kind */
    FICTION_NAME_BYTES = 48,
    FICTION_TEXT_BYTES = 256,
    FICTION_FACTS_MAX = 1024
};

/* Which world a document or an answer belongs to. */
enum fiction_side { FICTION_PRIMARY, FICTION_CONSENSUS, FICTION_SIDES };

struct fiction_fact {
    int relation; /* which row of fiction_relations.def */
    char name[FICTION_NAME_BYTES];
    const char *value[FICTION_SIDES];
    int phrasing[FICTION_PHRASINGS]; /* order of the statements: the first FICTION_TRAINED are trained */
};

struct fiction {
    struct ctx *c;
    struct fiction_fact *facts; /* (n + n_unseen); those from n on are never trained */
    size_t n, n_unseen;
};

/* n facts to train on and n_unseen of the same kind that no document tells of; n + n_unseen <= FICTION_FACTS_MAX (E_INPUT).
 * Owner of the result: the caller. */
struct fiction *fiction_new(struct ctx *c, size_t n, size_t n_unseen, uint64_t seed);
void fiction_free(struct fiction *f); /* accepts NULL */

/* The name of a type of source, "field survey"; `type` counts around. */
const char *fiction_type(enum fiction_side side, size_t type);

/* The texts below go into `out` (FICTION_TEXT_BYTES), which is returned. Statement number k of a fact, without its value;
 * the reversed question number k for a value; the question; the yes/no question for a value. */
const char *fiction_statement(const struct fiction_fact *f, int k, char *out);
const char *fiction_reversed(const struct fiction_fact *f, int k, enum fiction_side side, char *out);
const char *fiction_question(const struct fiction_fact *f, char *out);
const char *fiction_yes_no(const struct fiction_fact *f, enum fiction_side side, char *out);

#endif
