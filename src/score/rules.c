/* rules: reads a rules file (docs/score.md has its form; data/score has the two built-in ones). Reading is driven by
 * tables, the sections of words and the weights with their ranges, so that a member that is in no table is unknown and
 * refused.
 *
 * A file becomes two arrays. `patterns` holds each different word once, with the way in which it is matched; the matcher
 * counts those. `uses` says what a pattern is evidence of: "letter" is one pattern with two uses, a word of primary sources
 * and a sign of oral history. The scorers walk the uses and look up their patterns' counts. */
#include "score/rules.h"

#include <stddef.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "score/citation.h"
#include "score/word.h"

/* What is being read, for messages, and how many patterns and uses there is memory for: the two arrays grow. */
struct rules_reader {
    struct ctx *c;
    const char *what; /* the file, for messages */
    struct rules *r;
    size_t patterns_room, uses_room;
};

/* ---- members --------------------------------------------------------------------------------------------------------- */

/* E_INPUT for a member that is not in the list (names separated by spaces). `where` names the object in messages. A key with
 * a space in it is in no list, though it might be a part of one. */
static bool only_members(struct rules_reader *s, const char *where, json_t *o, const char *names)
{
    if (!json_is_object(o)) return ctx_fail(s->c, E_INPUT, "%s: %s must be an object", s->what, where), false;
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value)
    {
        size_t n = strlen(key);
        const char *at = n > 0 && !strchr(key, ' ') ? names : NULL;
        for (; at; at = strchr(at, ' '), at = at ? at + 1 : NULL)
            if (strncmp(at, key, n) == 0 && (at[n] == ' ' || at[n] == 0)) break;
        if (!at) return ctx_fail(s->c, E_INPUT, "%s: %s has an unknown member \"%.60s\"", s->what, where, key), false;
    }
    return true;
}

/* An array member of at most `most` items; NULL with the failure in the ctx. */
static json_t *array_member(struct rules_reader *s, json_t *o, const char *key, size_t most)
{
    json_t *a = json_object_get(o, key);
    if (!json_is_array(a))
        ctx_fail(s->c, E_INPUT, "%s: \"%s\" must be an array%s", s->what, key, a ? "" : ", and is missing");
    else if (json_array_size(a) > most)
        ctx_fail(s->c, E_INPUT, "%s: \"%s\" has %zu items; at most %zu are allowed", s->what, key, json_array_size(a), most);
    else
        return a;
    return NULL;
}

/* A required number in [min, max]. False with the failure in the ctx, as for all readers below. */
static bool number(struct rules_reader *s, json_t *o, const char *key, double min, double max, double *out)
{
    return json_member_f64(s->c, s->what, o, key, true, min, max, out);
}

/* A required string that is not empty; it lies in the document. */
static bool string(struct rules_reader *s, json_t *o, const char *key, const char **out)
{
    if (!json_member_string(s->c, s->what, o, key, true, out)) return false;
    if (**out) return true;
    ctx_fail(s->c, E_INPUT, "%s: \"%s\" is empty", s->what, key);
    return false;
}

/* ---- weights of the formulas ----------------------------------------------------------------------------------------- */

/* A weight of the formulas: its member's name, the scorers that have it, its place in struct rules_weights, and its range.
 */
struct rules_weight {
    const char *name;
    unsigned scorers; /* bit 0: citation, bit 1: heuristic */
    size_t offset;
    double min, max;
};
#define WEIGHT(NAME, SCORERS, MIN, MAX)                                                                                     \
    {                                                                                                                       \
#NAME, SCORERS, offsetof(struct rules_weights, NAME), MIN, MAX                                                      \
    }
static const struct rules_weight weight_table[] = {
    WEIGHT(base, 1, 0, 1),
    WEIGHT(citation_factor, 3, 0, 1),
    WEIGHT(citation_cap, 3, 0, 1),
    WEIGHT(institution_step, 2, 0, 1),
    WEIGHT(institution_cap, 3, 0, 1),
    WEIGHT(consensus_step, 3, 0, 1),
    WEIGHT(consensus_cap, 1, 0, 1),
    WEIGHT(consensus_most, 2, 0, 1000),
    WEIGHT(age_old, 3, -1, 1),
    WEIGHT(age_middle, 3, -1, 1),
    WEIGHT(age_new, 3, -1, 1),
    WEIGHT(age_unknown, 2, -1, 1),
    WEIGHT(primary_step, 3, 0, 1),
    WEIGHT(primary_cap, 1, 0, 1),
    WEIGHT(primary_most, 2, 0, 1000),
    WEIGHT(citation_assumed, 2, 0, 1),
    WEIGHT(citation_assumed_above, 2, 0, 1000),
    WEIGHT(bits_old, 3, 0, 64),
    WEIGHT(bits_middle, 3, 0, 64),
    WEIGHT(bits_new, 3, 0, 64),
    WEIGHT(primary_bits_step, 1, 0, 64),
    WEIGHT(primary_bits_cap, 1, 0, 64),
    WEIGHT(variety_bits_step, 1, 0, 64),
    WEIGHT(variety_bits_cap, 1, 0, 64),
    WEIGHT(institution_bits, 3, 0, 64),
    WEIGHT(consensus_bits_step, 1, 0, 64),
    WEIGHT(consensus_bits_cap, 1, 0, 64),
    WEIGHT(uneditable_bits, 2, 0, 64),
    WEIGHT(scan_bits, 2, 0, 64),
    WEIGHT(variety_factor, 2, 0, 64),
    WEIGHT(consensus_bits, 2, 0, 64),
    WEIGHT(vintage_bits, 2, 0, 64),
    WEIGHT(prior_share, 1, 0, 1),
    WEIGHT(shortest, 3, 1, 1e6),
    WEIGHT(year_middle, 3, 1000, 3000),
    WEIGHT(year_new, 3, 1000, 3000),
};
enum { N_WEIGHTS = sizeof weight_table / sizeof *weight_table };

/* The object "weights": every weight of the scorer must be there, and nothing else. Nothing is left at a silent default. */
static bool read_weights(struct rules_reader *s, json_t *section)
{
    json_t *o = json_object_get(section, "weights");
    unsigned bit = 1u << s->r->scorer;
    size_t found = 0;
    for (int i = 0; i < N_WEIGHTS; i++) {
        const struct rules_weight *d = &weight_table[i];
        if (!(d->scorers & bit)) continue;
        if (!number(s, o, d->name, d->min, d->max, (double *)((char *)&s->r->weights + d->offset))) return false;
        found++;
    }
    if (json_object_size(o) == found) return true;
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value)
    {
        bool known = false;
        for (int i = 0; i < N_WEIGHTS; i++)
            known |= (weight_table[i].scorers & bit) && strcmp(weight_table[i].name, key) == 0;
        if (!known) ctx_fail(s->c, E_INPUT, "%s: \"weights\" has an unknown member \"%.60s\"", s->what, key);
    }
    return false;
}

/* ---- words ----------------------------------------------------------------------------------------------------------- */

/* Whether two words are matched alike, and so need to be searched once only. */
static bool same_pattern(const struct matcher_pattern *a, const struct matcher_pattern *b)
{
    return a->flags == b->flags && a->accept == b->accept && a->bytes == b->bytes && memcmp(a->text, b->text, a->bytes) == 0;
}

/* Index of the pattern, which is added unless it is there. Every pattern is compared: at most 4096 of them, once a run. */
static bool find_pattern(struct rules_reader *s, const struct matcher_pattern *p, uint32_t *index)
{
    struct rules *r = s->r;
    for (*index = 0; *index < r->n_patterns; ++*index)
        if (same_pattern(&r->patterns[*index], p)) return true;
    if (r->n_patterns == MATCHER_MAX_PATTERNS)
        return ctx_fail(s->c, E_INPUT, "%s: more than %d words", s->what, MATCHER_MAX_PATTERNS), false;
    if (r->n_patterns == s->patterns_room) {
        size_t wider = s->patterns_room ? 2 * s->patterns_room : 128;
        struct matcher_pattern *moved = mem_resize(s->c, r->patterns, s->patterns_room, wider, sizeof *moved);
        if (!moved) return false;
        r->patterns = moved;
        s->patterns_room = wider;
    }
    r->patterns[r->n_patterns++] = *p;
    return true;
}

/* Adds a use of the pattern; `use` has everything but the pattern's index. */
static bool add_use(struct rules_reader *s, const struct matcher_pattern *p, struct rules_use use)
{
    struct rules *r = s->r;
    if (!find_pattern(s, p, &use.pattern)) return false;
    if (r->n_uses == s->uses_room) {
        size_t wider = s->uses_room ? 2 * s->uses_room : 256;
        if (wider > 8 * MATCHER_MAX_PATTERNS) return ctx_fail(s->c, E_INPUT, "%s: too many words", s->what), false;
        struct rules_use *moved = mem_resize(s->c, r->uses, s->uses_room, wider, sizeof *moved);
        if (!moved) return false;
        r->uses = moved;
        s->uses_room = wider;
    }
    r->uses[r->n_uses++] = use;
    return true;
}

/* A word: a string that is not empty, not too long, and has single spaces only between other characters. */
static bool word_text(struct rules_reader *s, json_t *item, const char **text, size_t *bytes)
{
    *text = json_string_value(item);
    *bytes = *text ? json_string_length(item) : 0;
    if (*bytes == 0) return ctx_fail(s->c, E_INPUT, "%s: a word must be a string that is not empty", s->what), false;
    if (*bytes > RULES_MAX_WORD_BYTES)
        return ctx_fail(s->c, E_INPUT, "%s: \"%.40s...\" is longer than %d bytes", s->what, *text, RULES_MAX_WORD_BYTES),
               false;
    bool space = true; /* before the first character as after a space: no space may follow */
    for (size_t i = 0; i < *bytes; i++) {
        uint8_t ch = (uint8_t)(*text)[i];
        bool bad = ch < 0x20 || ch == 0x7f || (ch == ' ' && (space || i + 1 == *bytes));
        if (bad)
            return ctx_fail(
                       s->c, E_INPUT,
                       "%s: \"%.60s\": words have no control characters, and single spaces only between other characters",
                       s->what, *text),
                   false;
        space = ch == ' ';
    }
    return true;
}

/* "match" (word, prefix, anywhere) and "case" (exact, fold) as the flags of the matcher. */
static bool match_flags(struct rules_reader *s, json_t *o, unsigned *flags)
{
    const char *match, *spelling;
    if (!string(s, o, "match", &match) || !string(s, o, "case", &spelling)) return false;
    bool whole = strcmp(match, "word") == 0, prefix = strcmp(match, "prefix") == 0, exact = strcmp(spelling, "exact") == 0;
    if (!whole && !prefix && strcmp(match, "anywhere") != 0)
        return ctx_fail(s->c, E_INPUT, "%s: \"match\" is \"%.40s\": use word, prefix or anywhere", s->what, match), false;
    if (!exact && strcmp(spelling, "fold") != 0)
        return ctx_fail(s->c, E_INPUT, "%s: \"case\" is \"%.40s\": use exact or fold", s->what, spelling), false;
    *flags = (whole ? MATCH_LEFT | MATCH_RIGHT : prefix ? MATCH_LEFT : 0) | (exact ? MATCH_EXACT : 0);
    return true;
}

/* One set {"match", "case", "words" [, "value"]}. */
static bool read_words(struct rules_reader *s, const char *where, json_t *set, struct rules_use use, bool valued)
{
    struct matcher_pattern p = {0};
    if (!only_members(s, where, set, valued ? "match case words value" : "match case words")) return false;
    if (valued && !number(s, set, "value", 0, 64, &use.value)) return false;
    json_t *words = match_flags(s, set, &p.flags) ? array_member(s, set, "words", MATCHER_MAX_PATTERNS) : NULL;
    if (!words) return false;
    for (size_t i = 0; i < json_array_size(words); i++)
        if (!word_text(s, json_array_get(words, i), &p.text, &p.bytes) || !add_use(s, &p, use)) return false;
    return true;
}

/* An array of such sets under `key`, all of one group. */
static bool rules_read_sets(struct rules_reader *s, json_t *section, const char *key, enum rules_group group, bool valued)
{
    json_t *sets = array_member(s, section, key, 256);
    for (size_t i = 0; sets && i < json_array_size(sets); i++)
        if (!read_words(s, key, json_array_get(sets, i), (struct rules_use){.group = group}, valued)) return false;
    return sets != NULL;
}

/* ---- kinds of source that a text shows ------------------------------------------------------------------------------- */

/* Letters before the number of a patent: "US" in "US2345678". */
static bool read_prefixes(struct rules_reader *s, json_t *type, struct rules_use use)
{
    if (!json_object_get(type, "number_prefixes")) return true;
    json_t *list = array_member(s, type, "number_prefixes", 256);
    struct matcher_pattern p = {.flags = MATCH_LEFT | (s->r->original ? 0 : MATCH_EXACT),
                                .accept = s->r->original ? citation_number_any : citation_number_long};
    use.test = (uint32_t)s->r->n_tests++;
    for (size_t i = 0; list && i < json_array_size(list); i++)
        if (!word_text(s, json_array_get(list, i), &p.text, &p.bytes) || !add_use(s, &p, use)) return false;
    return list != NULL;
}

/* One kind of source that a text may show: its name and the tests that are signs of it. */
static bool rules_read_type(struct rules_reader *s, json_t *o)
{
    struct rules *r = s->r;
    if (!only_members(s, "a source type", o, "name tests number_prefixes")) return false;
    struct rules_use use = {.group = GROUP_TYPE, .type = (uint32_t)r->n_types};
    if (!string(s, o, "name", &r->types[r->n_types])) return false;
    for (const char *p = r->types[r->n_types]; *p; p++) /* it becomes a key in the output as it is */
        if ((uint8_t)*p >= 0x80 || !(*p == '-' || word_ascii[(uint8_t)*p] & WORD_LETTER))
            return ctx_fail(s->c, E_INPUT, "%s: source type \"%.60s\": use letters, digits, _ and -", s->what,
                            r->types[r->n_types]),
                   false;
    for (size_t i = 0; i < r->n_types; i++)
        if (strcmp(r->types[i], r->types[r->n_types]) == 0)
            return ctx_fail(s->c, E_INPUT, "%s: two source types \"%.60s\"", s->what, r->types[i]), false;
    r->n_types++;
    json_t *tests = array_member(s, o, "tests", 64);
    for (size_t i = 0; tests && i < json_array_size(tests); i++) {
        use.test = (uint32_t)r->n_tests++;
        if (!read_words(s, "a test", json_array_get(tests, i), use, false)) return false;
    }
    return tests && read_prefixes(s, o, use);
}

/* The array "source_types". */
static bool rules_read_types(struct rules_reader *s, json_t *section)
{
    json_t *list = array_member(s, section, "source_types", RULES_MAX_TYPES);
    for (size_t i = 0; list && i < json_array_size(list); i++)
        if (!rules_read_type(s, json_array_get(list, i))) return false;
    return list != NULL;
}

/* The index of a kind of source by its name. */
static bool find_type(struct rules_reader *s, const char *name, uint32_t *type)
{
    for (*type = 0; *type < s->r->n_types; ++*type)
        if (strcmp(s->r->types[*type], name) == 0) return true;
    ctx_fail(s->c, E_INPUT, "%s: \"declared\" names \"%.60s\", which is no source type", s->what, name);
    return false;
}

/* The array "declared": what a source_type that contains a text adds, to a kind of source (citation scorer) or to the
 * authority (heuristic scorer). */
static bool read_declared(struct rules_reader *s, json_t *section)
{
    struct rules *r = s->r;
    bool citation = r->scorer == SCORER_CITATION;
    json_t *list = array_member(s, section, "declared", RULES_MAX_DECLARED);
    if (!list) return false;
    r->declared = mem_alloc(s->c, json_array_size(list), sizeof *r->declared);
    for (size_t i = 0; r->declared && i < json_array_size(list); i++) {
        struct rules_declared *d = &r->declared[r->n_declared++];
        json_t *o = json_array_get(list, i);
        const char *name;
        if (!only_members(s, "an item of \"declared\"", o, citation ? "contains name adds" : "contains adds") ||
            !string(s, o, "contains", &d->contains) ||
            !number(s, o, "adds", citation ? 0 : -1, citation ? 1000 : 1, &d->adds) ||
            (citation && (!string(s, o, "name", &name) || !find_type(s, name, &d->type))))
            return false;
    }
    return r->declared != NULL;
}

/* ---- hosts and kinds ------------------------------------------------------------------------------------------------- */

/* The array "hosts": values of institutions by the host of a URL. {"value": 0.3, "hosts": ["who.int"]} holds for who.int and
 * for every host under it. */
static bool read_hosts(struct rules_reader *s, json_t *section)
{
    struct rules *r = s->r;
    json_t *list = array_member(s, section, "hosts", 256);
    r->hosts = list ? mem_alloc(s->c, RULES_MAX_HOSTS, sizeof *r->hosts) : NULL;
    for (size_t i = 0; r->hosts && i < json_array_size(list); i++) {
        json_t *o = json_array_get(list, i), *names;
        double value;
        if (!only_members(s, "an item of \"hosts\"", o, "value hosts") || !number(s, o, "value", 0, 1, &value)) return false;
        names = array_member(s, o, "hosts", RULES_MAX_HOSTS - r->n_hosts);
        for (size_t k = 0; names && k < json_array_size(names); k++) {
            size_t bytes;
            struct rules_host *h = &r->hosts[r->n_hosts++];
            if (!word_text(s, json_array_get(names, k), &h->host, &bytes)) return false;
            h->value = value;
        }
        if (!names) return false;
    }
    return r->hosts != NULL;
}

/* The array "kinds": the usual scores of each declared kind of source. One called "unknown" must be there, since it stands
 * for all others. */
static bool read_kinds(struct rules_reader *s)
{
    struct rules *r = s->r;
    json_t *list = array_member(s, r->doc, "kinds", RULES_MAX_KINDS);
    r->kinds = list ? mem_alloc(s->c, json_array_size(list), sizeof *r->kinds) : NULL;
    for (size_t i = 0; r->kinds && i < json_array_size(list); i++) {
        struct rules_kind *k = &r->kinds[r->n_kinds++];
        json_t *o = json_array_get(list, i);
        if (!only_members(s, "a kind", o, "source_type auth_weight prov_entropy about") ||
            !string(s, o, "source_type", &k->source_type) || !number(s, o, "auth_weight", 0, 0.99, &k->auth_weight) ||
            !number(s, o, "prov_entropy", 0, 64, &k->prov_entropy) || !string(s, o, "about", &k->about))
            return false;
    }
    if (!r->kinds) return false;
    if (strcmp(rules_kind(r, "unknown", 7)->source_type, "unknown") == 0) return true;
    ctx_fail(s->c, E_INPUT, "%s: \"kinds\" must have one with source_type \"unknown\", for all others", s->what);
    return false;
}

const struct rules_kind *rules_kind(const struct rules *r, const char *name, size_t n)
{
    static const struct rules_kind nothing = {"", "", 0, 0};
    const struct rules_kind *unknown = &nothing;
    for (size_t i = 0; i < r->n_kinds; i++) {
        const char *kind = r->kinds[i].source_type;
        if (strlen(kind) == n && memcmp(kind, name, n) == 0) return &r->kinds[i];
        if (strcmp(kind, "unknown") == 0) unknown = &r->kinds[i];
    }
    return unknown;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

/* ibid., op. cit., loc. cit.: part of how citations are written and so not of the file. */
static bool add_marks(struct rules_reader *s)
{
    bool original = s->r->original;
    /* op. cit. and loc. cit. are found by their second word; the accept function then looks at what stands before it */
    struct matcher_pattern ibid = {"ibid", 4, original ? 0 : MATCH_LEFT | MATCH_RIGHT, NULL};
    struct matcher_pattern cit = {"cit", 3, original ? 0 : MATCH_RIGHT, original ? citation_cit_any : citation_cit_word};
    struct rules_use use = {.group = GROUP_MARK};
    return add_use(s, &ibid, use) && add_use(s, &cit, use);
}

/* The section of the citation scorer. */
static bool read_citation(struct rules_reader *s, json_t *o)
{
    return only_members(s, "citation", o, "weights institution hosts consensus primary source_types declared") &&
           read_weights(s, o) && rules_read_sets(s, o, "institution", GROUP_INSTITUTION, true) && read_hosts(s, o) &&
           rules_read_sets(s, o, "consensus", GROUP_CONSENSUS, false) &&
           rules_read_sets(s, o, "primary", GROUP_PRIMARY, false) && rules_read_types(s, o) && read_declared(s, o) &&
           add_marks(s);
}

/* The section of the heuristic scorer. */
static bool read_heuristic(struct rules_reader *s, json_t *o)
{
    return only_members(s, "heuristic", o,
                        "weights institution uneditable vintage consensus coordinated variety scanned scan declared") &&
           read_weights(s, o) && rules_read_sets(s, o, "institution", GROUP_INSTITUTION, false) &&
           rules_read_sets(s, o, "uneditable", GROUP_UNEDITABLE, false) &&
           rules_read_sets(s, o, "vintage", GROUP_VINTAGE, false) &&
           rules_read_sets(s, o, "consensus", GROUP_CONSENSUS, false) &&
           rules_read_sets(s, o, "coordinated", GROUP_COORDINATED, false) &&
           rules_read_sets(s, o, "variety", GROUP_VARIETY, true) && rules_read_sets(s, o, "scanned", GROUP_SCANNED, false) &&
           rules_read_sets(s, o, "scan", GROUP_SCAN, false) && read_declared(s, o);
}

/* The whole file: its format and names, the kinds, the section of the scorer that is wanted, and the matcher for its words.
 * The other scorer's section is not looked at. */
static bool rules_read_all(struct rules_reader *s, const char *text, size_t n)
{
    struct rules *r = s->r;
    const char *format;
    bool cross_lines;
    r->doc = json_parse(s->c, s->what, text, n);
    if (!r->doc ||
        !only_members(s, "the file", r->doc, "format name version original phrases_cross_lines kinds citation heuristic") ||
        !string(s, r->doc, "format", &format))
        return false;
    if (strcmp(format, "your_ai score rules 1") != 0)
        return ctx_fail(s->c, E_UNSUPPORTED, "%s: \"format\" is \"%.60s\"; this program reads \"your_ai score rules 1\"",
                        s->what, format),
               false;
    if (!string(s, r->doc, "name", &r->name) || !string(s, r->doc, "version", &r->version) ||
        !json_member_bool(s->c, s->what, r->doc, "original", true, &r->original) ||
        !json_member_bool(s->c, s->what, r->doc, "phrases_cross_lines", true, &cross_lines) || !read_kinds(s))
        return false;
    json_t *section = json_object_get(r->doc, r->scorer == SCORER_CITATION ? "citation" : "heuristic");
    if (!(r->scorer == SCORER_CITATION ? read_citation : read_heuristic)(s, section)) return false;
    r->matcher = matcher_new(s->c, r->patterns, r->n_patterns, cross_lines);
    return r->matcher != NULL;
}

struct rules *rules_read(struct ctx *c, const char *what, const char *text, size_t n, enum scorer scorer)
{
    struct rules *r = mem_alloc(c, 1, sizeof *r);
    if (!r) return NULL;
    struct rules_reader s = {.c = c, .what = what, .r = r};
    struct sha256 sha;
    uint8_t digest[32];
    sha256_init(&sha);
    sha256_update(&sha, text, n);
    sha256_final(&sha, digest);
    sha256_hex(digest, r->sha256);
    r->scorer = scorer;
    if (rules_read_all(&s, text, n)) return r;
    BUG_ON(c, ctx_ok(c), "rules refused without a reason");
    rules_free(c, r);
    return NULL;
}

struct rules *rules_open(struct ctx *c, const char *path, bool original, enum scorer scorer)
{
    if (!path) {
        const char *text = original ? rules_text_original : rules_text_default;
        return rules_read(c, original ? "the original rules" : "the built-in rules", text, strlen(text), scorer);
    }
    size_t n;
    char *text = file_read(c, path, RULES_MAX_BYTES, &n);
    if (!text) return NULL;
    struct rules *r = rules_read(c, path, text, n, scorer);
    mem_free(c, text);
    return r;
}

void rules_free(struct ctx *c, struct rules *r)
{
    if (!r) return;
    matcher_free(c, r->matcher);
    mem_free(c, r->patterns);
    mem_free(c, r->uses);
    mem_free(c, r->declared);
    mem_free(c, r->hosts);
    mem_free(c, r->kinds);
    json_decref(r->doc);
    mem_free(c, r);
}
