/* scorer: what both scorers share, and the choice between them. A text shorter than the rules' `shortest` characters is not
 * scored: it gets the scores of the kind "unknown", because a few words say nothing about where a text comes from. The two
 * formulas are in score_citation.c and score_heuristic.c. */
#include "score/scorer.h"

#include "base/mem.h"
#include "score/score_common.h"
#include "score/word.h"

/* Names of the parts in "provenance_score", in the order of the enums A_* and E_* of the two scorers. */
static const char *const citation_authority[] = {"base", "citations", "institution", "consensus", "age", "primary", NULL};
static const char *const citation_entropy[] = {"base", "types", "primary", "variety", "institution", "consensus", NULL};
static const char *const heuristic_authority[] = {"age", "institution", "citations", "type", "primary", "consensus", NULL};
static const char *const heuristic_entropy[] = {"base",        "uneditable", "scan",    "chain",
                                                "institution", "consensus",  "vintage", NULL};

const char *const *score_authority_names(enum scorer scorer)
{
    return scorer == SCORER_CITATION ? citation_authority : heuristic_authority;
}

const char *const *score_entropy_names(enum scorer scorer)
{
    return scorer == SCORER_CITATION ? citation_entropy : heuristic_entropy;
}

struct matcher_count *score_counts_new(struct ctx *c, const struct rules *r)
{
    return mem_alloc(c, r->n_patterns, sizeof(struct matcher_count));
}

double score_shannon(const uint32_t *counts, size_t n)
{
    double total = 0, entropy = 0;
    for (size_t i = 0; i < n; i++) total += counts[i];
    for (size_t i = 0; i < n; i++)
        if (counts[i] > 0) entropy -= counts[i] / total * log2(counts[i] / total);
    return entropy;
}

bool score_contains(const struct score_value *v, const char *word)
{
    size_t bytes = strlen(word);
    if (v->kind != VALUE_STRING) return false;
    for (size_t at = 0; at + bytes <= v->n; at++) {
        size_t i = 0;
        while (i < bytes && word_lower(v->text[at + i]) == word_lower(word[i])) i++;
        if (i == bytes) return true;
    }
    return false;
}

bool score_given_citations(const struct score_value *v, int64_t *citations)
{
    if (v->kind != VALUE_INTEGER || v->integer < 0) return false;
    *citations = v->integer;
    return true;
}

void score_take_evidence(struct score_result *r, const struct score_evidence *e)
{
    r->prov_entropy += (1 - e->coordination) * e->entropy;
    r->auth_weight = fmin(0.99, r->auth_weight + SCORE_COORDINATION * e->coordination);
}

/* Whether the text has fewer characters than the rules ask for. A UTF-8 character has at most four bytes, so texts of 4 *
 * shortest bytes are long enough without counting. */
static bool is_short(const struct rules *r, const struct score_input *in)
{
    size_t shortest = (size_t)r->weights.shortest;
    return in->n == 0 || (in->n < 4 * shortest && citation_head(in->text, in->n, shortest - 1) == in->n);
}

void score_document(const struct rules *r, struct matcher_count *counts, const struct score_input *in,
                    struct score_result *out)
{
    memset(out, 0, sizeof *out);
    if (is_short(r, in)) {
        const struct rules_kind *unknown = rules_kind(r, "unknown", 7);
        out->auth_weight = unknown->auth_weight;
        out->prov_entropy = unknown->prov_entropy;
        out->method = "default";
    } else if (r->scorer == SCORER_CITATION) {
        score_citation(r, counts, in, out);
    } else {
        score_heuristic(r, counts, in, out);
    }
}
