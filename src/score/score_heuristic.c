/* score_heuristic: the older, simpler scorer: which words are present, not how often.
 *
 *   authority = clamp(age + institution + citations + type - primary + consensus, 0, 0.99)
 *   entropy   = max(0, base(age) + uneditable + scan + chain - institution - consensus + vintage)   bits
 *
 * Words are looked for in the text and in the strings of the row's other members; those of consensus in the text alone. */
#include "base/ctx.h"
#include "score/score_common.h"

enum { A_AGE, A_INSTITUTION, A_CITATIONS, A_TYPE, A_PRIMARY, A_CONSENSUS };
enum { E_BASE, E_UNEDITABLE, E_SCAN, E_CHAIN, E_INSTITUTION, E_CONSENSUS, E_VINTAGE };

/* Words present, by group. */
struct heuristic_found {
    int present[GROUP_SCAN + 1];
    double variety;
};

/* text: the words were found in the text, else in the other members. A word found in both counts once: `seen` has those of
 * the text. */
static void heuristic_gather(const struct rules *r, const struct matcher_count *counts, bool text,
                             struct heuristic_found *found, uint64_t *seen)
{
    for (size_t i = 0; i < r->n_uses; i++) {
        const struct rules_use *u = &r->uses[i];
        bool text_only = u->group == GROUP_CONSENSUS || u->group == GROUP_COORDINATED || u->group == GROUP_SCANNED;
        if (counts[u->pattern].count == 0 || (text ? u->group == GROUP_SCAN : text_only)) continue;
        uint64_t bit = UINT64_C(1) << u->pattern % 64;
        if (!text && (seen[u->pattern / 64] & bit) && u->group != GROUP_SCAN) continue;
        found->present[u->group]++;
        if (u->group == GROUP_VARIETY) found->variety += u->value;
    }
    for (size_t i = 0; text && i < r->n_patterns; i++)
        if (counts[i].count > 0) seen[i / 64] |= UINT64_C(1) << i % 64;
}

/* The original takes any integer of the row's first three members, and only checks those that it looks at afterwards. */
static bool heuristic_find_year(const struct rules *r, const struct score_input *in, int *year)
{
    static const enum score_field given[] = {FIELD_YEAR, FIELD_DATE, FIELD_PUBLISHED};
    static const enum score_field checked[] = {FIELD_YEAR, FIELD_DATE, FIELD_PUBLISHED, FIELD_CREATED,
                                               FIELD_PUBLICATION_DATE};
    for (int i = 0; i < 3; i++) {
        const struct score_value *v = &in->field[given[i]];
        if (r->original && v->kind == VALUE_INTEGER && v->integer != 0) {
            *year = (int)(v->integer > 9999 ? 9999 : v->integer < 0 ? 0 : v->integer);
            return true;
        }
        if (v->kind == VALUE_STRING && citation_year_first(v->text, v->n, year)) return true;
    }
    for (int i = 0; i < 5; i++) {
        const struct score_value *v = &in->field[checked[i]];
        if (v->kind == VALUE_INTEGER && v->integer >= (r->original ? 1800 : 1000) && v->integer <= 2030) {
            *year = (int)v->integer;
            return true;
        }
        if (v->kind == VALUE_STRING && citation_year_first(v->text, v->n, year)) return true;
    }
    return citation_year_least(in->text, citation_head(in->text, in->n, 500), year);
}

/* What the declared kind of source adds to the authority; "source_type" before "type". */
static double type_part(const struct rules *r, const struct score_input *in)
{
    const struct score_value *v = &in->field[FIELD_SOURCE_TYPE];
    if (v->kind == VALUE_ABSENT) v = &in->field[FIELD_TYPE];
    for (size_t i = 0; i < r->n_declared; i++)
        if (score_contains(v, r->declared[i].contains)) return r->declared[i].adds;
    return 0;
}

/* Shannon's entropy over equal strings of the chain. */
static double chain_entropy(const struct score_input *in)
{
    double entropy = 0;
    for (size_t i = 0; i < in->n_chain; i++) {
        double same = 0;
        for (size_t k = 0; k < in->n_chain; k++) same += strcmp(in->chain[i], in->chain[k]) == 0;
        entropy -= log2(same / (double)in->n_chain) / (double)in->n_chain; /* each string adds its share of its kind */
    }
    return entropy;
}

/* The terms of the authority in the order of the enum. */
static void heuristic_authority_parts(const struct rules *r, const struct score_input *in,
                                      const struct heuristic_found *found, struct score_result *out)
{
    const struct rules_weights *w = &r->weights;
    double *a = out->authority;
    int institutions = found->present[GROUP_INSTITUTION];
    bool known = score_given_citations(&in->field[FIELD_CITATIONS], &out->citations) ||
                 score_given_citations(&in->field[FIELD_CITATION_COUNT], &out->citations);
    a[A_AGE] = out->has_year ? score_by_age(w, out->year, w->age_old, w->age_middle, w->age_new) : w->age_unknown;
    a[A_INSTITUTION] = fmin(w->institution_cap, institutions * w->institution_step);
    a[A_CITATIONS] = institutions > w->citation_assumed_above ? w->citation_assumed : 0;
    if (known) a[A_CITATIONS] = fmin(w->citation_cap, log10((double)out->citations + 1) * w->citation_factor);
    a[A_TYPE] = type_part(r, in);
    a[A_PRIMARY] = -w->primary_step * fmin(found->present[GROUP_UNEDITABLE], w->primary_most);
    a[A_CONSENSUS] = w->consensus_step * fmin(found->present[GROUP_CONSENSUS], w->consensus_most);
}

/* The terms of the entropy, in bits. */
static void heuristic_entropy_parts(const struct rules *r, const struct score_input *in, const struct heuristic_found *found,
                                    struct score_result *out)
{
    const struct rules_weights *w = &r->weights;
    double *e = out->entropy;
    bool scan = in->field[FIELD_HAS_SCAN].kind == VALUE_TRUE || found->present[GROUP_SCAN] || found->present[GROUP_SCANNED];
    e[E_BASE] = out->has_year ? score_by_age(w, out->year, w->bits_old, w->bits_middle, w->bits_new) : w->bits_new;
    e[E_UNEDITABLE] = found->present[GROUP_UNEDITABLE] * w->uneditable_bits;
    e[E_SCAN] = scan ? w->scan_bits : 0;
    e[E_CHAIN] = in->n_chain > 1 ? chain_entropy(in) : found->variety * w->variety_factor;
    e[E_INSTITUTION] = -found->present[GROUP_INSTITUTION] * w->institution_bits;
    e[E_CONSENSUS] = -found->present[GROUP_COORDINATED] * w->consensus_bits;
    e[E_VINTAGE] = found->present[GROUP_VINTAGE] * w->vintage_bits;
}

void score_heuristic(const struct rules *r, struct matcher_count *counts, const struct score_input *in,
                     struct score_result *out)
{
    struct heuristic_found found = {0};
    uint64_t seen[MATCHER_MAX_PATTERNS / 64 + 1] = {0};
    memset(counts, 0, r->n_patterns * sizeof *counts);
    matcher_run(r->matcher, in->text, in->n, counts);
    heuristic_gather(r, counts, true, &found, seen);
    if (in->other_n > 0) {
        memset(counts, 0, r->n_patterns * sizeof *counts);
        matcher_run(r->matcher, in->other, in->other_n, counts);
        heuristic_gather(r, counts, false, &found, seen);
    }
    out->has_year = heuristic_find_year(r, in, &out->year);
    out->primary = found.present[GROUP_UNEDITABLE];
    heuristic_authority_parts(r, in, &found, out);
    heuristic_entropy_parts(r, in, &found, out);
    double authority = 0, entropy = 0;
    for (int i = 0; i < SCORE_PARTS; i++) authority += out->authority[i], entropy += out->entropy[i];
    out->auth_weight = score_clamp_authority(authority);
    out->prov_entropy = fmax(0.0, entropy);
    out->method = "heuristic";
}
