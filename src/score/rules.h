/* rules: what the scorers look for and how much it counts, read from a JSON file (docs/score.md describes it).
 *
 * Two sets are built in: `default`, whole words and corrected semantics, and `original`, which reproduces the scorer that
 * these rules come from, its false positives included. A file of the user's replaces them; it is untrusted: unknown members,
 * numbers outside their ranges, empty words and sets over the limits are refused by name. The SHA-256 of the file's bytes
 * identifies the rules in every output. */
#ifndef YA_SCORE_RULES_H
#define YA_SCORE_RULES_H

#include "io/json.h"
#include "score/matcher.h"

/* The built-in files, byte for byte (tools/gen_data_texts.py). */
extern const char rules_text_default[], rules_text_original[];

enum scorer { SCORER_CITATION, SCORER_HEURISTIC };

enum {
    RULES_MAX_BYTES = 1 << 20,
    RULES_MAX_WORD_BYTES = 256,
    RULES_MAX_TYPES = 64,
    RULES_MAX_KINDS = 1024,
    RULES_MAX_HOSTS = 1024,
    RULES_MAX_DECLARED = 256
};

/* What a word is evidence of. The first four belong to the citation scorer, the rest to the heuristic one. */
enum rules_group {
    GROUP_INSTITUTION, /* of both: the largest value counts, or the number of words present */
    GROUP_CONSENSUS,   /* of both: occurrences, or words present */
    GROUP_PRIMARY,     /* words of primary sources: occurrences */
    GROUP_TYPE,        /* a kind of source that the text shows: each test is 0 or 1 */
    GROUP_MARK,        /* ibid., op. cit., loc. cit.: occurrences are citations */
    GROUP_UNEDITABLE,  /* words of sources that cannot be edited afterwards: words present */
    GROUP_VINTAGE,     /* words of old texts: words present */
    GROUP_COORDINATED, /* words of coordinated statements: words present */
    GROUP_VARIETY,     /* the values of the words present are added */
    GROUP_SCANNED,     /* in the text */
    GROUP_SCAN         /* in the other members of the row */
};

/* One use of a pattern; a pattern may have several. Uses of a type's test stand together. */
struct rules_use {
    enum rules_group group;
    uint32_t pattern; /* index into patterns */
    uint32_t type;    /* GROUP_TYPE: index into types */
    uint32_t test;    /* GROUP_TYPE: number of the test; the words of a test count once together */
    double value;     /* GROUP_INSTITUTION, GROUP_VARIETY */
};

struct rules_kind { /* a declared kind of source and its usual scores */
    const char *source_type, *about;
    double auth_weight, prov_entropy;
};
struct rules_host { /* "who.int" is itself and all hosts under it */
    const char *host;
    double value;
};
struct rules_declared { /* a source_type that contains the text adds to a type, or to the authority */
    const char *contains;
    uint32_t type;
    double adds;
};

/* Numbers of the formulas in docs/score.md. Those that a scorer does not have are 0. */
struct rules_weights {
    double base, citation_factor, citation_cap, institution_step, institution_cap, consensus_step, consensus_cap;
    double consensus_most, age_old, age_middle, age_new, age_unknown, primary_step, primary_cap, primary_most;
    double citation_assumed, citation_assumed_above;
    double bits_old, bits_middle, bits_new, primary_bits_step, primary_bits_cap, variety_bits_step, variety_bits_cap;
    double institution_bits, consensus_bits_step, consensus_bits_cap, uneditable_bits, scan_bits, variety_factor;
    double consensus_bits, vintage_bits, prior_share, shortest, year_middle, year_new;
};

/* All strings lie in `doc`. Not changed after rules_read: threads may share it. */
struct rules {
    json_t *doc;
    const char *name, *version;
    char sha256[65];
    bool original; /* the semantics of the original where they are not a matter of words (docs/score.md lists them) */
    enum scorer scorer;
    struct rules_weights weights;
    struct matcher_pattern *patterns;
    size_t n_patterns;
    struct rules_use *uses;
    size_t n_uses, n_tests; /* tests of all types, numbered from 0 across them */
    const char *types[RULES_MAX_TYPES];
    size_t n_types;
    struct rules_declared *declared;
    size_t n_declared;
    struct rules_host *hosts;
    size_t n_hosts;
    struct rules_kind *kinds;
    size_t n_kinds;
    struct matcher *matcher;
};

/* Reads the rules of one scorer from n bytes; `what` names them in messages. NULL with E_INPUT, E_MEMORY. */
struct rules *rules_read(struct ctx *c, const char *what, const char *text, size_t n, enum scorer scorer);
/* The same from a file of at most RULES_MAX_BYTES, or the built-in rules for path NULL: the published originals where
 * `original`, else the defaults. NULL also with the errors of file_read. */
struct rules *rules_open(struct ctx *c, const char *path, bool original, enum scorer scorer);
void rules_free(struct ctx *c, struct rules *r); /* accepts NULL */

/* The kind of that name (n bytes), or the one called "unknown". Rules always have that one. */
const struct rules_kind *rules_kind(const struct rules *r, const char *name, size_t n);

#endif
