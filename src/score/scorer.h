/* scorer: the authority weight and the provenance entropy of one document, with what they are made of. Formulas, their
 * reasons and their limits: docs/score.md. The scores rate where a text seems to come from; they say nothing about whether
 * it is true. */
#ifndef YA_SCORE_SCORER_H
#define YA_SCORE_SCORER_H

#include "score/rules.h"

/* Members of a row that the scorers read beside its text. */
enum score_field {
    FIELD_SOURCE,
    FIELD_URL,
    FIELD_PUBLISHER,
    FIELD_SOURCE_TYPE,
    FIELD_TYPE,
    FIELD_YEAR,
    FIELD_DATE,
    FIELD_PUBLICATION_DATE,
    FIELD_PUBLISHED,
    FIELD_CREATED,
    FIELD_CITATIONS,
    FIELD_CITATION_COUNT,
    FIELD_HAS_SCAN,
    SCORE_FIELDS
};

/* VALUE_OTHER: a real number, true, false, an array or an object, as its JSON text. Null counts as absent. */
enum score_value_kind { VALUE_ABSENT, VALUE_STRING, VALUE_INTEGER, VALUE_TRUE, VALUE_OTHER };
struct score_value {
    enum score_value_kind kind;
    int64_t integer;
    const char *text; /* n bytes of UTF-8, borrowed */
    size_t n;
};

struct score_input {
    const char *text; /* n bytes of UTF-8, borrowed */
    size_t n;
    struct score_value field[SCORE_FIELDS];
    /* The kind of source that the row declares, as a prior; ABSENT: score the text alone. Usually the source_type. */
    struct score_value prior;
    const char *other; /* strings of all other members, between bytes 0x01: the heuristic scorer looks for words in them */
    size_t other_n;
    const char *const *chain; /* kinds of source of the evidence, when a caller knows them (heuristic scorer) */
    size_t n_chain;
};

enum { SCORE_PARTS = 8 };

struct score_result {
    double auth_weight;  /* in [0, 0.99] */
    double prov_entropy; /* bits, at least 0 */
    const char *method;  /* "default": too short to score; "dynamic": from the text; "hybrid": with a prior; "heuristic" */
    bool has_year;
    int year;
    int64_t citations;                                   /* found in the text, or given by the row */
    int64_t primary;                                     /* words of primary sources */
    double authority[SCORE_PARTS], entropy[SCORE_PARTS]; /* the parts, before they are added, clamped and blended */
    uint32_t types[RULES_MAX_TYPES];                     /* the kinds of source found (citation scorer) */
};

/* What the documents of a corpus say together about a text's topic (prepare/evidence.h). */
struct score_evidence {
    int64_t rows, groups, kinds; /* of the topic: rows, copy groups, kinds of source */
    double entropy;              /* bits, over the groups and their kinds */
    double copies, compression;  /* in [0, 1] */
    double coordination;         /* in [0, 1], of both */
};
#define SCORE_COORDINATION 0.2 /* what full coordination adds to auth_weight */

/* Takes the evidence into the scores: prov_entropy gains (1 - coordination) entropy, auth_weight gains SCORE_COORDINATION
 * coordination, up to 0.99. A text alone in its topic keeps its scores. */
void score_take_evidence(struct score_result *r, const struct score_evidence *e);

/* Names of the parts, up to a NULL. */
const char *const *score_authority_names(enum scorer scorer);
const char *const *score_entropy_names(enum scorer scorer);

/* Memory for the counts of one thread; owner the caller, mem_free. NULL with E_MEMORY. */
struct matcher_count *score_counts_new(struct ctx *c, const struct rules *r);

/* Scores a document by the rules' scorer. Pure: needs no ctx and may run on any thread. */
void score_document(const struct rules *r, struct matcher_count *counts, const struct score_input *in,
                    struct score_result *out);

/* Shannon's entropy in bits of counts that are not all 0; 0 when they are. */
double score_shannon(const uint32_t *counts, size_t n);

#endif
