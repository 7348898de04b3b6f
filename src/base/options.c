/* options: parsing of command lines by a typed table. See options.h for why it is a table. */
#include "base/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

enum { WORD_MAX = 64 };

/* Where the row's member lies in the command's struct. */
static void *value_at(const struct option_spec *spec, void *values)
{
    return (char *)values + spec->offset;
}

/* ---- one value ------------------------------------------------------------------------------------------------------- */

/* `origin` is how messages name the option: "--rank", or a key of config.json. */
static enum status set_i64(struct ctx *c, const struct option_spec *spec, const char *origin, const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (*text == '\0' || *end != '\0') return ctx_fail(c, E_INPUT, "%s: '%s' is not a whole number", origin, text);
    if (errno == ERANGE || (double)v < spec->min || (double)v > spec->max)
        return ctx_fail(c, E_INPUT, "%s: %s is outside %.15g to %.15g", origin, text, spec->min, spec->max);
    *out = v;
    return OK;
}

/* Infinity and NaN are refused: no option of this program means anything by them. */
static enum status set_f64(struct ctx *c, const struct option_spec *spec, const char *origin, const char *text, double *out)
{
    char *end;
    double v = strtod(text, &end);
    if (*text == '\0' || *end != '\0') return ctx_fail(c, E_INPUT, "%s: '%s' is not a number", origin, text);
    if (!isfinite(v) || v < spec->min || v > spec->max)
        return ctx_fail(c, E_INPUT, "%s: %s is outside %.15g to %.15g", origin, text, spec->min, spec->max);
    *out = v;
    return OK;
}

static enum status set_flag(struct ctx *c, const char *origin, const char *text, bool *out)
{
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0) return ctx_fail(c, E_INPUT, "%s: '%s' is neither true nor false", origin, text);
    *out = yes;
    return OK;
}

/* *out becomes the index of the text among "one|two|three". */
static enum status set_choice(struct ctx *c, const struct option_spec *spec, const char *origin, const char *text, int *out)
{
    size_t n = strlen(text);
    const char *p = spec->choices;
    for (int i = 0;; i++) {
        size_t k = strcspn(p, "|");
        if (k == n && memcmp(p, text, n) == 0) {
            *out = i;
            return OK;
        }
        if (p[k] == '\0') break;
        p += k + 1;
    }
    return ctx_fail(c, E_INPUT, "%s: '%s' is none of %s", origin, text, spec->choices);
}

static enum status add_to_list(struct ctx *c, const char *origin, const char *text, struct option_list *list)
{
    if (list->n == OPTION_LIST_MAX) return ctx_fail(c, E_INPUT, "%s: given more than %d times", origin, OPTION_LIST_MAX);
    list->items[list->n++] = text;
    return OK;
}

enum status options_set(struct ctx *c, const struct option_spec *spec, const char *origin, const char *text, void *values)
{
    void *at = value_at(spec, values);
    switch (spec->type) {
    case OPTION_FLAG:
        return set_flag(c, origin, text, at);
    case OPTION_I64:
        return set_i64(c, spec, origin, text, at);
    case OPTION_F64:
        return set_f64(c, spec, origin, text, at);
    case OPTION_CHOICE:
        return set_choice(c, spec, origin, text, at);
    case OPTION_LIST:
        return add_to_list(c, origin, text, at);
    case OPTION_STRING:
        *(const char **)at = text;
        return OK;
    }
    BUG_ON(c, true, "option %s has no type", spec->name);
    return OK;
}

const char *options_choice(const struct option_spec *spec, int index, char *out, size_t out_bytes)
{
    const char *p = spec->choices;
    for (int i = 0; i < index && *p; i++) p += strcspn(p, "|") + 1;
    size_t k = strcspn(p, "|");
    if (k >= out_bytes) k = out_bytes - 1;
    memcpy(out, p, k);
    out[k] = '\0';
    return out;
}

enum status options_default(struct ctx *c, const struct option_table *table, void *values)
{
    BUG_ON(c, table->n_specs > OPTION_MAX_SPECS, "%zu options: raise OPTION_MAX_SPECS", table->n_specs);
    for (size_t i = 0; i < table->n_specs; i++) {
        const struct option_spec *spec = &table->specs[i];
        if (!spec->default_text) continue;
        enum status status = options_set(c, spec, spec->name, spec->default_text, values);
        BUG_ON(c, status != OK, "default of --%s: %s", spec->name, c->message);
    }
    return OK;
}

/* ---- names ----------------------------------------------------------------------------------------------------------- */

/* Optimal string alignment distance: Levenshtein plus swaps of neighbours, three rows of the table at a time. */
size_t options_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na >= WORD_MAX || nb >= WORD_MAX) return WORD_MAX;
    size_t rows[3][WORD_MAX + 1] = {{0}};
    for (size_t j = 0; j <= nb; j++) rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *before2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best) best = before[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            bool swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swap && before2[j - 2] + 1 < best) best = before2[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[na % 3][nb];
}

const char *options_nearest(const struct option_table *table, const char *name)
{
    const char *best = NULL;
    size_t limit = strlen(name) / 3 > 2 ? strlen(name) / 3 : 2, least = limit + 1;
    for (size_t i = 0; i < table->n_specs; i++) {
        size_t d = options_distance(name, table->specs[i].name);
        if (d < least) {
            least = d;
            best = table->specs[i].name;
        }
    }
    return best;
}

/* Row of a long name of n bytes, or of a one-letter name; -1: none. */
static long find_long(const struct option_table *table, const char *name, size_t n)
{
    for (size_t i = 0; i < table->n_specs; i++) {
        const char *s = table->specs[i].name;
        if (strlen(s) == n && memcmp(s, name, n) == 0) return (long)i;
    }
    return -1;
}

long options_find(const struct option_table *table, const char *name)
{
    return find_long(table, name, strlen(name));
}

static long find_short(const struct option_table *table, char letter)
{
    for (size_t i = 0; i < table->n_specs; i++) {
        if (letter && table->specs[i].short_name == letter) return (long)i;
    }
    return -1;
}

/* ---- one option by its name --------------------------------------------------------------------------------------- */

enum status options_give(struct ctx *c, const struct option_table *table, const char *name, const char *text, void *values,
                         bool given[OPTION_MAX_SPECS])
{
    long i = options_find(table, name);
    if (i < 0) {
        char hint[OPTION_HINT_BYTES];
        return ctx_fail(c, E_INPUT, "unknown option '%s'%s", name, options_hint(table, name, "", hint, sizeof hint));
    }
    if (given[i] && table->specs[i].type != OPTION_LIST) return ctx_fail(c, E_INPUT, "%s is given twice", name);
    TRY(options_set(c, &table->specs[i], name, text, values));
    given[i] = true;
    return OK;
}

enum status options_check_required(struct ctx *c, const struct option_table *table, const bool given[OPTION_MAX_SPECS])
{
    for (size_t i = 0; i < table->n_specs; i++) {
        const struct option_spec *s = &table->specs[i];
        if (!s->required || given[i]) continue;
        char letter[8] = "";
        if (s->short_name) memcpy(letter, (char[]){'-', s->short_name, ',', ' ', '\0'}, 5);
        return ctx_fail(c, E_INPUT, "%s--%s %s is needed: %s", letter, s->name, s->value_name, s->help);
    }
    return OK;
}

/* ---- a command line -------------------------------------------------------------------------------------------------- */

struct line {
    struct ctx *c;
    const struct option_table *table;
    int argc, at;
    const char *const *argv;
    void *values;
    struct option_parse *parse;
};

/* The word as it goes into messages: "--rank" or "-r", without its value. */
static void origin_of(const char *word, char *out, size_t out_bytes)
{
    size_t k = strcspn(word, "=");
    if (k >= out_bytes) k = out_bytes - 1;
    memcpy(out, word, k);
    out[k] = '\0';
}

static enum status unknown_option(struct line *l, const char *origin)
{
    char hint[OPTION_HINT_BYTES];
    options_hint(l->table, origin + strspn(origin, "-"), "--", hint, sizeof hint);
    return ctx_fail(l->c, E_INPUT, "unknown option %s%s (--help lists all)", origin, hint);
}

/* Takes the value of row i: after '=' in the word, or the next word. */
static enum status options_take_value(struct line *l, long i, const char *origin, const char *after_equals)
{
    const struct option_spec *spec = &l->table->specs[i];
    const char *text = after_equals;
    if (spec->type == OPTION_FLAG) {
        if (after_equals) return ctx_fail(l->c, E_INPUT, "%s takes no value", origin);
        text = "true";
    } else if (!text) {
        if (l->at + 1 >= l->argc) return ctx_fail(l->c, E_INPUT, "%s needs a value", origin);
        text = l->argv[++l->at];
    }
    if (l->parse->given[i] && spec->type != OPTION_LIST) return ctx_fail(l->c, E_INPUT, "%s is given twice", origin);
    l->parse->given[i] = true;
    return options_set(l->c, spec, origin, text, l->values);
}

/* --name, --name=value, --name value, or --no-name for a flag. A name is looked for as it stands first, so that an option
 * may itself begin with "no-". */
static enum status parse_long(struct line *l, const char *word)
{
    char origin[WORD_MAX + 4];
    origin_of(word, origin, sizeof(origin));
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    long i = find_long(l->table, name, n);
    if (i >= 0) return options_take_value(l, i, origin, equals ? equals + 1 : NULL);
    bool negated = n > 3 && memcmp(name, "no-", 3) == 0;
    i = negated ? find_long(l->table, name + 3, n - 3) : -1;
    if (i < 0 || l->table->specs[i].type != OPTION_FLAG) return unknown_option(l, origin);
    if (equals) return ctx_fail(l->c, E_INPUT, "%s takes no value", origin);
    if (l->parse->given[i]) return ctx_fail(l->c, E_INPUT, "%s is given twice", origin);
    l->parse->given[i] = true;
    return options_set(l->c, &l->table->specs[i], origin, "false", l->values);
}

static enum status parse_short(struct line *l, const char *word)
{
    char origin[WORD_MAX + 4];
    origin_of(word, origin, sizeof(origin));
    long i = find_short(l->table, word[1]);
    if (i < 0 || (word[2] != '\0' && word[2] != '=')) return unknown_option(l, origin);
    return options_take_value(l, i, origin, word[2] == '=' ? word + 3 : NULL);
}

static enum status add_operand(struct line *l, const char *word)
{
    if (l->parse->n_operands == OPTION_MAX_OPERANDS)
        return ctx_fail(l->c, E_INPUT, "more than %d words that are no options", OPTION_MAX_OPERANDS);
    l->parse->operands[l->parse->n_operands++] = word;
    return OK;
}

static bool wants_help(int argc, const char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    }
    return false;
}

enum status options_parse_words(struct ctx *c, const struct option_table *table, int argc, const char *const *argv,
                                void *values, struct option_parse *parse)
{
    struct line l = {c, table, argc, 0, argv, values, parse};
    memset(parse, 0, sizeof(*parse));
    TRY(options_default(c, table, values));
    parse->help = wants_help(argc, argv);
    if (parse->help) return OK;
    bool only_operands = false;
    for (; l.at < argc; l.at++) {
        const char *word = argv[l.at];
        if (only_operands || word[0] != '-' || word[1] == '\0') {
            TRY(add_operand(&l, word));
        } else if (strcmp(word, "--") == 0) {
            only_operands = true;
        } else {
            TRY(word[1] == '-' ? parse_long(&l, word) : parse_short(&l, word));
        }
    }
    return OK;
}

enum status options_parse(struct ctx *c, const struct option_table *table, int argc, const char *const *argv, void *values,
                          struct option_parse *parse)
{
    TRY(options_parse_words(c, table, argc, argv, values, parse));
    return parse->help ? OK : options_check_required(c, table, parse->given);
}
