/* score_citation: the citation scorer.
 *
 *   authority = clamp(base + citations + institution + consensus + age - primary, 0, 0.99)
 *   entropy   = max(0, base(age) + H(types) + primary + variety - institution - consensus)   bits
 *
 * H is Shannon's entropy over the kinds of source of which the text shows signs. With a prior (a declared kind of source),
 * both are prior_share * prior + (1 - prior_share) * these. */
#include "base/str.h"
#include "score/score_common.h"
#include "score/word.h"

enum { A_BASE, A_CITATIONS, A_INSTITUTION, A_CONSENSUS, A_AGE, A_PRIMARY };
enum { E_BASE, E_TYPES, E_PRIMARY, E_VARIETY, E_INSTITUTION, E_CONSENSUS };

/* Sums over the uses of the patterns that were found. */
struct citation_found {
    double institution;
    int64_t consensus, primary, marks;
};

/* Adds up what each found pattern is evidence of. `types` gets one count for each test of a kind of source of which at least
 * one word was found. */
static void citation_gather(const struct rules *r, const struct matcher_count *counts, struct citation_found *found,
                            uint32_t *types)
{
    uint32_t last_test = UINT32_MAX; /* the words of a test count once together, and stand together */
    for (size_t i = 0; i < r->n_uses; i++) {
        const struct rules_use *u = &r->uses[i];
        uint32_t count = counts[u->pattern].count;
        if (count == 0) continue;
        switch (u->group) {
        case GROUP_INSTITUTION:
            found->institution = fmax(found->institution, u->value);
            break;
        case GROUP_CONSENSUS:
            found->consensus += count;
            break;
        case GROUP_PRIMARY:
            found->primary += count;
            break;
        case GROUP_MARK:
            found->marks += count;
            break;
        case GROUP_TYPE:
            if (u->test != last_test) types[u->type]++;
            last_test = u->test;
            break;
        default:
            break;
        }
    }
}

static double institution_in_text(const struct rules *r, struct matcher_count *counts, const char *text, size_t n)
{
    struct citation_found found = {0};
    uint32_t types[RULES_MAX_TYPES];
    memset(counts, 0, r->n_patterns * sizeof *counts);
    matcher_run(r->matcher, text, n, counts);
    citation_gather(r, counts, &found, types);
    return found.institution;
}

/* Whether `host` is `rule` itself or lies under it. */
static bool is_under(const char *host, size_t n, const char *rule)
{
    size_t bytes = strlen(rule);
    if (n < bytes || (n > bytes && host[n - bytes - 1] != '.')) return false;
    for (size_t i = 0; i < bytes; i++)
        if (word_lower(host[n - bytes + i]) != word_lower(rule[i])) return false;
    return true;
}

/* The value of the longest rule that covers the host of a URL: "loc.gov" before "gov". What the path says does not count. */
static double institution_of_host(const struct rules *r, const char *url, size_t n)
{
    const char *scheme = memmem(url, n, "://", 3);
    const char *host = scheme ? scheme + 3 : url, *end = url + n;
    size_t bytes = 0, longest = 0;
    while (host + bytes < end && host[bytes] != '/' && host[bytes] != '?' && host[bytes] != '#') bytes++;
    const char *at = str_find_last(host, '@', bytes);
    if (at) {
        bytes -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    const char *port = memchr(host, ':', bytes);
    if (port) bytes = (size_t)(port - host);
    double value = 0;
    for (size_t i = 0; i < r->n_hosts; i++) {
        size_t rule = strlen(r->hosts[i].host);
        if (rule <= longest || !is_under(host, bytes, r->hosts[i].host)) continue;
        longest = rule;
        value = r->hosts[i].value;
    }
    return value;
}

/* The largest value of an institution that source, url and publisher name. Without rules for hosts a URL is plain text. */
static double institution_in_fields(const struct rules *r, struct matcher_count *counts, const struct score_input *in)
{
    double most = 0;
    for (int f = FIELD_SOURCE; f <= FIELD_PUBLISHER; f++) {
        const struct score_value *v = &in->field[f];
        if (v->kind == VALUE_ABSENT) continue;
        bool url = r->n_hosts > 0 && (f == FIELD_URL || (v->n > 0 && memmem(v->text, v->n, "://", 3)));
        most = fmax(most, url ? institution_of_host(r, v->text, v->n) : institution_in_text(r, counts, v->text, v->n));
    }
    return most;
}

/* The year that the row gives, else that of the text. The original takes any integer but 0 as a year, `true` as the year 1.
 */
static bool citation_find_year(const struct rules *r, const struct score_input *in, int *year)
{
    for (int f = FIELD_YEAR; f <= FIELD_PUBLISHED; f++) {
        const struct score_value *v = &in->field[f];
        int64_t number = v->kind == VALUE_TRUE ? 1 : v->integer;
        bool is_number = v->kind == VALUE_INTEGER || (v->kind == VALUE_TRUE && r->original);
        if (is_number && (r->original ? number != 0 : number >= 1000 && number <= 2030)) {
            *year = (int)(number > INT32_MAX ? INT32_MAX : number < INT32_MIN ? INT32_MIN : number);
            return true;
        }
        if ((v->kind == VALUE_STRING || v->kind == VALUE_OTHER) && citation_year_of_date(v->text, v->n, year)) return true;
    }
    return citation_year(in->text, in->n, r->original, year);
}

/* The original adds up what the text shows and ignores a given number of 0. */
static int64_t find_citations(const struct rules *r, const struct score_input *in, int64_t in_text)
{
    int64_t given;
    bool known = score_given_citations(&in->field[FIELD_CITATIONS], &given) ||
                 (!r->original && score_given_citations(&in->field[FIELD_CITATION_COUNT], &given));
    return known && (given > 0 || !r->original) ? given : in_text;
}

/* A declared source_type counts as found signs of its kind: {"contains": "patent", "name": "patent", "adds": 2} turns
 * "patent_pre1970" into two signs of a patent. Only the first rule that fits is used, as in the original. */
static void add_declared(const struct rules *r, const struct score_value *source_type, uint32_t *types)
{
    for (size_t i = 0; i < r->n_declared; i++) {
        if (!score_contains(source_type, r->declared[i].contains)) continue;
        types[r->declared[i].type] += (uint32_t)r->declared[i].adds;
        return;
    }
}

static double sum_of(const double *parts)
{
    double sum = 0;
    for (int i = 0; i < SCORE_PARTS; i++) sum += parts[i];
    return sum;
}

/* The terms of the authority in the order of the enum. The number of citations enters by its logarithm: the hundredth
 * citation says less than the first. */
static void citation_authority_parts(const struct rules_weights *w, const struct citation_found *found,
                                     struct score_result *out)
{
    double *a = out->authority;
    a[A_BASE] = w->base;
    a[A_CITATIONS] = fmin(w->citation_cap, log10((double)out->citations + 1) * w->citation_factor);
    a[A_INSTITUTION] = fmin(w->institution_cap, found->institution);
    a[A_CONSENSUS] = fmin(w->consensus_cap, (double)found->consensus * w->consensus_step);
    a[A_AGE] = out->has_year ? score_by_age(w, out->year, w->age_old, w->age_middle, w->age_new) : 0;
    a[A_PRIMARY] = -fmin(w->primary_cap, (double)found->primary * w->primary_step);
}

/* The terms of the entropy, in bits. */
static void citation_entropy_parts(const struct rules *r, const struct citation_found *found, struct score_result *out)
{
    const struct rules_weights *w = &r->weights;
    double *e = out->entropy;
    int variety = 0;
    for (size_t i = 0; i < r->n_types; i++) variety += out->types[i] > 0;
    e[E_BASE] = out->has_year ? score_by_age(w, out->year, w->bits_old, w->bits_middle, w->bits_new) : w->bits_new;
    e[E_TYPES] = score_shannon(out->types, r->n_types);
    e[E_PRIMARY] = fmin(w->primary_bits_cap, (double)found->primary * w->primary_bits_step);
    e[E_VARIETY] = fmin(w->variety_bits_cap, variety * w->variety_bits_step);
    e[E_INSTITUTION] = -out->authority[A_INSTITUTION] * w->institution_bits;
    e[E_CONSENSUS] = -fmin(w->consensus_bits_cap, (double)found->consensus * w->consensus_bits_step);
}

void score_citation(const struct rules *r, struct matcher_count *counts, const struct score_input *in,
                    struct score_result *out)
{
    struct citation_found found = {0};
    memset(counts, 0, r->n_patterns * sizeof *counts);
    matcher_run(r->matcher, in->text, in->n, counts);
    citation_gather(r, counts, &found, out->types);
    found.institution = fmax(found.institution, institution_in_fields(r, counts, in));
    add_declared(r, &in->field[FIELD_SOURCE_TYPE], out->types);
    out->citations = find_citations(r, in, found.marks + citation_count(in->text, in->n, r->original));
    out->primary = found.primary;
    out->has_year = citation_find_year(r, in, &out->year);
    citation_authority_parts(&r->weights, &found, out);
    citation_entropy_parts(r, &found, out);
    out->auth_weight = score_clamp_authority(sum_of(out->authority));
    out->prov_entropy = fmax(0.0, sum_of(out->entropy));
    out->method = "dynamic";
    if (in->prior.kind != VALUE_STRING) return;
    /* The blend with the declared kind of source: prior_share (0.7) of the usual scores of that kind. */
    const struct rules_kind *prior = rules_kind(r, in->prior.text, in->prior.n);
    double share = r->weights.prior_share;
    out->auth_weight = share * prior->auth_weight + (1 - share) * out->auth_weight;
    out->prov_entropy = share * prior->prov_entropy + (1 - share) * out->prov_entropy;
    out->method = "hybrid";
}
