/* doctor: finds what doctor.h lists. One reading of the evaluation items, whose runs of words go into a set, and one of the
 * rows, on the threads of which each row is looked at for itself; what concerns all rows is then found in the table. */
#include "prepare/doctor.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "data/objective.h"
#include "io/json.h"

enum { FLAG_LEAK = 1, FLAG_EMPTY_TURN = 2 }; /* in table_row.flags */
enum { INVERTED_ROWS = 30 };                 /* fewer pairs are too few for a correlation to mean anything */
static const double LENGTH_FACTOR = 32;      /* this many times longer or shorter than the median is odd */
static const double CONTRADICTS_BY = 0.5;    /* of auth_weight, against the usual one of the kind */
static const double FEW_SHARE = 0.2;         /* an effective share of the text below this is few rows */
static const double INVERTED_BELOW = -0.3;   /* correlation */

static const struct {
    const char *name, *advice;
} checks[DOCTOR_CHECKS] = {
    [DOCTOR_NO_TEXT] =
        {"no_text", "leave these rows out (--on-error skip), or give their text a name that is read (docs/data.md, Rows)"},
    [DOCTOR_FAULTY] = {"faulty", "mend or leave out these rows: they are no JSON object of UTF-8"},
    [DOCTOR_EQUAL] = {"equal_copies", "data dedup leaves one of each; a text that is there twice is trained twice as much"},
    [DOCTOR_NEAR] = {"near_copies", "data dedup leaves one of each, data split keeps them on one side"},
    [DOCTOR_LEAK] =
        {"evaluation_leak",
         "take these rows out of the training, or the items out of the evaluation: its results would mean nothing"},
    [DOCTOR_EMPTY_TURN] = {"empty_answer", "leave these rows out: they teach the model to say nothing"},
    [DOCTOR_LENGTH] = {"odd_length",
                       "look at the example: such texts are often whole books, tables, or what is left of a page"},
    [DOCTOR_SCORE_RANGE] =
        {"bad_scores",
         "auth_weight is in [0, 0.99], prov_entropy at least 0; give both or neither (data score --existing replace)"},
    [DOCTOR_UNSCORED] = {"without_scores",
                         "score these rows too (data score --existing keep): training refuses the mixture"},
    [DOCTOR_EQUAL_SCORES] = {"equal_scores",
                             "all weights come out as 1: give the sources different scores, or train with --distrust off"},
    [DOCTOR_FEW_ROWS] = {"few_rows_weigh", "lower --distrust-ratio or --lambda, or add rows of strong provenance: what "
                                           "these rows say is most of what is learned"},
    [DOCTOR_CONTRADICTS] = {"contradicts_source_type",
                            "compare with data sources: the source_type or the scores of these rows are mistaken"},
    [DOCTOR_INVERTED] = {"scores_inverted",
                         "a high auth_weight means that a row is trained less: perhaps the scores mean the opposite"},
};

const char *doctor_name(enum doctor_check check)
{
    return checks[check].name;
}

const char *doctor_advice(enum doctor_check check)
{
    return checks[check].advice;
}

struct doctor {
    struct ctx *c;
    struct doctor_result *r;
    struct minhash words; /* runs of words of evaluation items */
    struct map64 *items;
    pthread_mutex_t lock; /* of items, while they are read */
};

/* One more row for a finding; the first is its example. */
static void doctor_add(struct doctor_result *r, enum doctor_check check, size_t row)
{
    if (r->findings[check].count++ == 0) r->findings[check].example = row;
}

/* ---- one row, on any thread ---- */

/* For minhash_walk: every run of words of an item goes into the set. */
static bool doctor_keep_item(void *user, uint64_t hash)
{
    return map64_put(user, hash, 1, NULL) == OK;
}

static void look_at_item(void *user, struct score_row *row, const char *bytes, size_t n, struct table_row *out, void *extra)
{
    struct doctor *d = user;
    (void)bytes, (void)n, (void)out, (void)extra;
    pthread_mutex_lock(&d->lock); /* the set's memory is the caller's ctx's, which nobody else uses meanwhile */
    minhash_walk(&d->words, row->input.text, row->input.n, doctor_keep_item, d->items);
    pthread_mutex_unlock(&d->lock);
}

/* For minhash_walk: goes on as long as no run of words is one of an item. */
static bool doctor_is_new(void *user, uint64_t hash)
{
    uint64_t one;
    return !map64_get(user, hash, &one);
}

/* Whether a value is null or text of nothing but white space. A text with a zero byte in it is not blank. */
static bool is_blank(const json_t *text)
{
    const char *s = json_string_value(text);
    return json_is_null(text) || (s && s[strspn(s, " \t\r\n")] == '\0' && strlen(s) == json_string_length(text));
}

/* Whether an assistant's turn of the list says nothing. */
static bool has_empty_turn(const json_t *turns)
{
    for (size_t i = 0; i < json_array_size(turns); i++) {
        const json_t *turn = json_array_get(turns, i), *said = json_object_get(turn, "content");
        const char *role = json_string_value(json_object_get(turn, "role"));
        if (!role) role = json_string_value(json_object_get(turn, "from"));
        if (!said) said = json_object_get(turn, "value");
        bool assistant = role && (strcmp(role, "assistant") == 0 || strcmp(role, "gpt") == 0 ||
                                  strcmp(role, "chatgpt") == 0 || strcmp(role, "model") == 0);
        if (assistant && said && is_blank(said) && !json_object_get(turn, "tool_calls")) return true;
    }
    return false;
}

/* Whether the part of a row that is trained says nothing, in any form of rows. Most rows cannot, which a search of their
 * bytes for the members' names tells without parsing them. */
static bool has_empty_answer(struct ctx *c, const char *bytes, size_t n)
{
    if (!memmem(bytes, n, "\"messages\"", 10) && !memmem(bytes, n, "\"conversations\"", 15) &&
        !memmem(bytes, n, "\"completion\"", 12) && !memmem(bytes, n, "\"output\"", 8))
        return false;
    json_t *doc = json_parse(c, "", bytes, n);
    const json_t *completion = json_object_get(doc, "completion"), *output = json_object_get(doc, "output");
    bool empty = has_empty_turn(json_object_get(doc, "messages")) || has_empty_turn(json_object_get(doc, "conversations")) ||
                 has_empty_turn(completion) || (json_is_string(completion) && is_blank(completion)) ||
                 (json_is_string(output) && json_object_get(doc, "instruction") && is_blank(output));
    json_decref(doc);
    if (c->status == E_INPUT) ctx_clear(c); /* what only the strict parser refuses is not this check's finding */
    return empty;
}

/* Sets the row's flags, and scores its text alone (no prior), as the sign that its own scores are compared with. */
static void doctor_look_at_row(void *user, struct score_row *row, const char *bytes, size_t n, struct table_row *out,
                               void *extra)
{
    struct doctor *d = user;
    (void)extra;
    if (d->items && !minhash_walk(&d->words, row->input.text, row->input.n, doctor_is_new, d->items))
        out->flags |= FLAG_LEAK;
    if (has_empty_answer(row->c, bytes, n)) out->flags |= FLAG_EMPTY_TURN;
    row->input.prior = (struct score_value){0};
    score_document(row->rules, row->counts, &row->input, &row->result);
    out->estimate = log(1 - row->result.auth_weight + 1e-8) + row->result.prov_entropy;
}

/* ---- all rows ---- */

/* The findings that each row shows by itself or beside the first row of its copy group. Only rows among scored ones can lack
 * scores: a data set without any is plain fine-tuning. */
static void find_single(struct doctor *d, const uint32_t *group)
{
    struct row_table *t = &d->r->table;
    int64_t scored = 0;
    for (size_t i = 0; i < t->n_rows; i++) scored += !t->rows[i].faulty && !isnan(t->rows[i].auth);
    for (size_t i = 0; i < t->n_rows; i++) {
        const struct table_row *r = &t->rows[i], *first = &t->rows[group[i]];
        if (r->faulty) {
            doctor_add(d->r, r->no_text ? DOCTOR_NO_TEXT : DOCTOR_FAULTY, i);
            continue;
        }
        if (r->flags & FLAG_LEAK) doctor_add(d->r, DOCTOR_LEAK, i);
        if (r->flags & FLAG_EMPTY_TURN) doctor_add(d->r, DOCTOR_EMPTY_TURN, i);
        if (group[i] != i)
            doctor_add(d->r, memcmp(r->digest, first->digest, sizeof r->digest) == 0 ? DOCTOR_EQUAL : DOCTOR_NEAR, i);
        if (isnan(r->auth) && isnan(r->entropy) && scored > 0)
            doctor_add(d->r, DOCTOR_UNSCORED, i);
        else if (isnan(r->auth) != isnan(r->entropy) || r->auth < 0 || r->auth > OBJECTIVE_AUTH_MAX || r->entropy < 0 ||
                 r->entropy > OBJECTIVE_ENTROPY_MAX)
            doctor_add(d->r, DOCTOR_SCORE_RANGE, i);
    }
}

/* For qsort. */
static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Texts whose bytes are far from the median, which a few extreme ones cannot move as they would a mean. */
static enum status find_lengths(struct doctor *d)
{
    struct row_table *t = &d->r->table;
    double *lengths = mem_alloc(d->c, t->n_rows, sizeof *lengths);
    size_t n = 0;
    if (!lengths) return d->c->status;
    for (size_t i = 0; i < t->n_rows; i++)
        if (!t->rows[i].faulty) lengths[n++] = (double)t->rows[i].text_bytes;
    qsort(lengths, n, sizeof *lengths, by_number);
    double median = n > 0 ? lengths[n / 2] : 0;
    mem_free(d->c, lengths);
    for (size_t i = 0; i < t->n_rows; i++) {
        double length = (double)t->rows[i].text_bytes;
        if (!t->rows[i].faulty && (length > LENGTH_FACTOR * median || length * LENGTH_FACTOR < median))
            doctor_add(d->r, DOCTOR_LENGTH, i);
    }
    struct doctor_finding *f = &d->r->findings[DOCTOR_LENGTH];
    if (f->count > 0)
        snprintf(f->detail, sizeof f->detail, "the example has %.0f bytes, the median is %.0f",
                 (double)t->rows[f->example].text_bytes, median);
    return OK;
}

/* Whether a row has both scores within their ranges (NaN is in none). */
static bool has_scores(const struct table_row *r)
{
    return !r->faulty && r->auth >= 0 && r->auth <= OBJECTIVE_AUTH_MAX && r->entropy >= 0 &&
           r->entropy <= OBJECTIVE_ENTROPY_MAX;
}

/* Pearson's correlation of n pairs; 0 where one side does not vary. */
static double correlation(const double (*pairs)[2], size_t n)
{
    double mean[2] = {0, 0}, xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) mean[k] += pairs[i][k] / (double)n;
    for (size_t i = 0; i < n; i++) {
        double x = pairs[i][0] - mean[0], y = pairs[i][1] - mean[1];
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    return xx > 1e-9 && yy > 1e-9 ? xy / sqrt(xx * yy) : 0;
}

/* The usual scores of a row's kind, or NULL for a kind that has none. */
static const struct rules_kind *doctor_kind_of(const struct row_table *t, const struct table_row *r)
{
    if (r->kind == TABLE_NO_KIND) return NULL;
    const char *name = t->kinds[r->kind];
    const struct rules_kind *k = rules_kind(t->rules, name, strlen(name));
    return strcmp(k->source_type, name) == 0 && strcmp(name, "unknown") != 0 ? k : NULL;
}

/* Scores against the usual ones of the row's kind, and against what its text shows: first the kinds, and the texts only
 * where the kinds have found nothing. A correlation far below 0 says that high scores stand where low ones belong. The
 * example is the row of the largest s, which is trained most. */
static enum status find_contradictions(struct doctor *d)
{
    struct row_table *t = &d->r->table;
    double(*pairs)[2] = mem_alloc(d->c, t->n_rows, sizeof *pairs);
    if (!pairs) return d->c->status;
    struct doctor_finding *f = &d->r->findings[DOCTOR_INVERTED];
    for (int by_kind = 1; by_kind >= 0 && f->count == 0; by_kind--) {
        size_t n = 0, most = 0; /* most: the row that is trained most */
        for (size_t i = 0; i < t->n_rows; i++) {
            const struct table_row *r = &t->rows[i];
            const struct rules_kind *k = doctor_kind_of(t, r);
            if (!has_scores(r) || (by_kind && !k)) continue;
            if (by_kind && fabs(r->auth - k->auth_weight) > CONTRADICTS_BY) doctor_add(d->r, DOCTOR_CONTRADICTS, i);
            if (n == 0 || table_row_signed(r) > table_row_signed(&t->rows[most])) most = i;
            pairs[n][0] = table_row_signed(r);
            pairs[n++][1] = by_kind ? log(1 - k->auth_weight + 1e-8) + k->prov_entropy : r->estimate;
        }
        double r = correlation((const double(*)[2])pairs, n);
        if (n < INVERTED_ROWS || r > INVERTED_BELOW) continue;
        f->count = (int64_t)n;
        f->example = most;
        snprintf(f->detail, sizeof f->detail, "correlation %.2f with %s; the example is trained most", r,
                 by_kind ? "the usual scores of the kinds of source" : "scores of the texts");
    }
    mem_free(d->c, pairs);
    return OK;
}

/* A row with scores: its weight in the loss, and its bytes in the place of its tokens, which are not known here. */
struct doctor_weight {
    double omega, bytes;
    size_t row;
};

/* For qsort: the largest weight first, equal ones in the order of the rows. */
static int by_omega(const void *a, const void *b)
{
    const struct doctor_weight *x = a, *y = b;
    if (x->omega != y->omega) return x->omega > y->omega ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Effective share of the text: (sum omega b)^2 / (sum b sum omega^2 b), Kish's effective sample size over the size; 1 when
 * all weights are equal. Where it is small, the rows of the largest weights that hold half of all weight are counted. */
static void judge_weights(struct doctor *d, struct doctor_weight *w, size_t n)
{
    double bytes = 0, sum = 0, squares = 0, half = 0;
    qsort(w, n, sizeof *w, by_omega);
    for (size_t i = 0; i < n; i++) {
        bytes += w[i].bytes;
        sum += w[i].omega * w[i].bytes;
        squares += w[i].omega * w[i].omega * w[i].bytes;
    }
    if (w[0].omega - w[n - 1].omega < 1e-9) {
        d->r->findings[DOCTOR_EQUAL_SCORES] = (struct doctor_finding){.count = (int64_t)n, .example = w[0].row};
        return;
    }
    double effective = sum * sum / (bytes * squares);
    if (effective >= FEW_SHARE) return;
    struct doctor_finding *f = &d->r->findings[DOCTOR_FEW_ROWS];
    for (size_t i = 0; i < n && half < sum / 2; i++, f->count++) half += w[i].omega * w[i].bytes;
    f->example = w[0].row;
    snprintf(f->detail, sizeof f->detail,
             "half of the weight is on %lld of %zu rows; the effective share of the text is %.0f %%", (long long)f->count, n,
             100 * effective);
}

/* Fits the objective with its default options to the rows that have scores, as training would, and judges the weights. Bytes
 * stand for tokens; + 1 keeps them above 0, as the fit asks. */
static enum status find_weights(struct doctor *d)
{
    struct row_table *t = &d->r->table;
    size_t n = 0;
    struct doctor_weight *w = mem_alloc(d->c, t->n_rows, sizeof *w);
    double *auth = mem_alloc(d->c, t->n_rows, sizeof *auth), *entropy = mem_alloc(d->c, t->n_rows, sizeof *entropy);
    int64_t *bytes = mem_alloc(d->c, t->n_rows, sizeof *bytes);
    for (size_t i = 0; w && auth && entropy && bytes && i < t->n_rows; i++) {
        if (!has_scores(&t->rows[i])) continue;
        auth[n] = t->rows[i].auth;
        entropy[n] = t->rows[i].entropy;
        bytes[n] = (int64_t)t->rows[i].text_bytes + 1;
        w[n++].row = i;
    }
    struct objective_options o = objective_options_default();
    struct objective objective;
    if (n > 1 && objective_fit_scores(d->c, &o, &(struct objective_scores){auth, entropy, bytes, n}, &objective) == OK) {
        for (size_t i = 0; i < n; i++) {
            w[i].omega = objective_omega(&objective, auth[i], entropy[i]);
            w[i].bytes = (double)bytes[i];
        }
        judge_weights(d, w, n);
    }
    mem_free(d->c, w);
    mem_free(d->c, auth);
    mem_free(d->c, entropy);
    mem_free(d->c, bytes);
    return d->c->status;
}

/* ---- the whole ---- */

/* Reads the evaluation files: the hashes of all runs of eval_words words go into d->items. Only minhash's cutting of a text
 * into runs of words is used; the permutations are the fewest it takes. */
static enum status read_items(struct doctor *d, const struct doctor_options *o)
{
    struct row_table items = {.c = d->c};
    struct sources sources = {0};
    TRY(minhash_init(&d->words, d->c, MINHASH_LANES, (int)o->eval_words, 0));
    d->items = map64_new(d->c, 0);
    if (d->items && sources_open(&sources, d->c, NULL) == OK) {
        struct table_options options = {.sources = &sources, .look = look_at_item, .user = d};
        row_table_read(&items, d->c, o->eval, o->n_eval, options);
        d->r->items = (int64_t)items.n_rows;
    }
    row_table_release(&items);
    sources_release(&sources);
    return d->c->status;
}

enum status doctor_run(struct ctx *c, const struct doctor_options *o, const char *const *paths, size_t n_paths,
                       struct doctor_result *result)
{
    *result = (struct doctor_result){.table = {.c = c}};
    struct doctor d = {.c = c, .r = result, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct minhash m = {0};
    struct copy_counts counts;
    uint32_t *group = NULL;
    struct table_options table = {.skip_faulty = true, .quiet = true, .look = doctor_look_at_row, .user = &d};
    if (o->n_eval == 0 || read_items(&d, o) == OK)
        table_groups_read(&result->table, &m, c, &o->groups, table, paths, n_paths, &group, &counts);
    if (ctx_ok(c)) {
        find_single(&d, group);
        if (find_lengths(&d) == OK && find_contradictions(&d) == OK) find_weights(&d);
        for (int i = 0; i < DOCTOR_CHECKS; i++) result->found += result->findings[i].count > 0;
    }
    mem_free(c, group);
    minhash_release(&m, c);
    minhash_release(&d.words, c);
    map64_free(d.items);
    return c->status;
}

void doctor_release(struct doctor_result *result)
{
    row_table_release(&result->table);
}
