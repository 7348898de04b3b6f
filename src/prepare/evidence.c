/* evidence: how topics are found and measured. evidence_new calls, in this order,
 *
 *   table_groups_read   reads the rows and their copy groups; look_at_terms keeps the terms of each row meanwhile
 *   find_topics         joins copy groups that share rare terms
 *   count_topics        rows, groups and kinds of each topic, and its entropy
 *   find_compression    reads some texts again, of those topics that have several groups
 *
 * A copy group and a topic are both named by the index of their first row. */
#include "prepare/evidence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "prepare/table_again.h"

/* Shared rare terms that join two groups: this many always, and so many where they are half of all that one has. */
enum { SHARED_MOST = 3, SHARED_LEAST = 2 };
/* A term is rare when no more groups have it than a twentieth of them, but at least and at most so many. */
enum { RARE_LEAST = 8, RARE_MOST = 64 };
enum { PAIRS_PASS = 1 << 22 }; /* pairs of groups that are held at a time: 32 MB */
/* Kinds of source in one numbering: those that the scorer sees in a text, none, and from KIND_BASE on those that rows name.
 */
enum { NO_KIND = 255, KIND_BASE = 256 };

struct evidence {
    struct ctx *c;
    struct row_table t;
    struct map64 *by_text;   /* digest of a text to its row */
    uint32_t *group, *topic; /* (n_rows): the first row of its copy group; of its topic */
    struct spill *of_in;
    struct score_evidence *of; /* (n_rows), at the first row of each topic */
    size_t n_topics, n_groups;
    char digest[65];
};

/* ---- terms of a row, on any thread ---- */

struct evidence_terms {
    uint64_t hash[EVIDENCE_TERMS]; /* ascending, no two the same */
    uint32_t n;
    uint32_t kind; /* the kind of source that the text shows most signs of; NO_KIND */
};

/* Keeps a hash among the smallest EVIDENCE_TERMS of the row, in order and once. */
static void keep_term(struct evidence_terms *t, uint64_t hash)
{
    uint32_t at = t->n;
    while (at > 0 && t->hash[at - 1] > hash) at--;
    if (at > 0 && t->hash[at - 1] == hash) return;
    if (at == EVIDENCE_TERMS) return;
    if (t->n < EVIDENCE_TERMS) t->n++;
    memmove(t->hash + at + 1, t->hash + at, (t->n - at - 1) * sizeof *t->hash);
    t->hash[at] = hash;
}

static bool is_alnum(uint8_t ch)
{
    return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') || ch >= 0x80;
}

/* Names: words of four and more letters whose first is a capital. Numbers: words that begin with a digit, of two and more.
 */
static void find_terms(struct evidence_terms *t, const uint8_t *p, size_t n)
{
    for (size_t at = 0, end; at < n; at = end + 1) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        for (end = at; end < n && is_alnum(p[end]); end++) hash = (hash ^ p[end]) * UINT64_C(0x100000001b3);
        bool number = end > at && p[at] >= '0' && p[at] <= '9', name = end > at && p[at] >= 'A' && p[at] <= 'Z';
        if (!(number && end - at >= 2) && !(name && end - at >= 4)) continue;
        hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
        keep_term(t, hash ^ hash >> 32);
    }
}

/* Called for each row of the first reading, on any thread: its terms, and the kind of source that its text shows most. */
static void look_at_terms(void *user, struct score_row *row, const char *bytes, size_t n, struct table_row *out, void *extra)
{
    struct evidence_terms *t = extra;
    const struct score_result *r = &row->result;
    (void)user, (void)bytes, (void)n, (void)out;
    t->n = 0;
    t->kind = NO_KIND;
    find_terms(t, (const uint8_t *)row->input.text, row->input.n);
    row->input.prior = (struct score_value){0};
    score_document(row->rules, row->counts, &row->input, &row->result);
    for (uint32_t i = 0, most = 0; i < row->rules->n_types; i++)
        if (r->types[i] > most) {
            most = r->types[i];
            t->kind = i;
        }
}

/* ---- topics ---- */

struct evidence_term {
    uint64_t hash;
    uint32_t row;
};

/* Whether term a comes before b: by hash, then by row. No two terms are the same. */
static bool is_before(const struct evidence_term *a, const struct evidence_term *b)
{
    return a->hash != b->hash ? a->hash < b->hash : a->row < b->row;
}

static void swap_terms(struct evidence_term *a, struct evidence_term *b)
{
    struct evidence_term was = *a;
    *a = *b;
    *b = was;
}

/* Hoare's partition around the first term: those before the returned place are at most the pivot, those from it on at least.
 */
static size_t part_terms(struct evidence_term *t, size_t n)
{
    struct evidence_term pivot = t[0];
    for (size_t i = 0, k = n - 1;; i++, k--) {
        while (is_before(&t[i], &pivot)) i++;
        while (is_before(&pivot, &t[k])) k--;
        if (i >= k) return k + 1;
        swap_terms(&t[i], &t[k]);
    }
}

/* Sorts terms where they lie, by quicksort with pivots that are chosen by chance, so that no file can choose an order that
 * takes long; the smaller part first, so that calls nest no deeper than the logarithm of n. qsort would take as much memory
 * again, and the terms may be in a file for want of it. */
static void sort_terms(struct evidence_term *t, size_t n, struct rng *rng)
{
    while (n > 1) {
        swap_terms(&t[0], &t[rng_below(rng, n)]);
        size_t low = part_terms(t, n);
        bool low_is_smaller = low <= n - low;
        sort_terms(low_is_smaller ? t : t + low, low_is_smaller ? low : n - low, rng);
        if (low_is_smaller) t += low;
        n = low_is_smaller ? n - low : low;
    }
}

static int by_pair(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The first row of i's topic, in a forest whose trees get flatter with each look (path halving, Tarjan and van Leeuwen
 * 1984). */
static uint32_t find_root(uint32_t *of, uint32_t i)
{
    while (of[i] != i) i = of[i] = of[of[i]];
    return i;
}

/* What look_at_terms kept of a row. */
static const struct evidence_terms *terms_of(const struct evidence *e, size_t row)
{
    return (const struct evidence_terms *)e->t.extra + row;
}

/* The terms of all copy groups (of their first rows), sorted; those of one run are the same term. `in`: where they are put.
 * NULL on failure. */
static struct evidence_term *gather_terms(struct evidence *e, struct spill *in, size_t *n)
{
    size_t all = 0;
    struct rng rng;
    e->n_groups = *n = 0;
    for (size_t i = 0; i < e->t.n_rows; i++)
        if (e->group[i] == i && !e->t.rows[i].faulty) all += terms_of(e, i)->n;
    struct evidence_term *terms = spill_resize(in, all, sizeof *terms);
    for (size_t i = 0; terms && i < e->t.n_rows; i++) {
        if (e->group[i] != i || e->t.rows[i].faulty) continue;
        const struct evidence_terms *t = terms_of(e, i);
        for (uint32_t k = 0; k < t->n; k++) terms[(*n)++] = (struct evidence_term){t->hash[k], (uint32_t)i};
        e->n_groups++;
    }
    rng_init(&rng, (uint64_t)(uintptr_t)terms, RNG_SHUFFLE, 0); /* unforeseen; the result does not depend on it */
    if (terms) sort_terms(terms, *n, &rng);
    return terms;
}

/* While topics are found. */
struct topic_search {
    struct evidence *e;
    const struct evidence_term *terms;
    size_t n_terms;
    uint32_t *rare, *pairs_of; /* (n_rows) rare terms of each group; pairs in which it is the first one */
    uint64_t *pairs;           /* (PAIRS_PASS) first and second group, one entry a shared term */
};

/* The next run of a term that is rare, from *at on: terms [*at, *end). */
static bool next_rare(const struct topic_search *s, size_t *at, size_t *end)
{
    size_t most = s->e->n_groups / 20;
    most = most < RARE_LEAST ? RARE_LEAST : most > RARE_MOST ? RARE_MOST : most;
    for (; *at < s->n_terms; *at = *end) {
        for (*end = *at; *end < s->n_terms && s->terms[*end].hash == s->terms[*at].hash;) ++*end;
        if (*end - *at >= 2 && *end - *at <= most) return true;
    }
    return false;
}

static void count_pairs(struct topic_search *s)
{
    for (size_t at = 0, end; next_rare(s, &at, &end); at = end)
        for (size_t a = at; a < end; a++) {
            s->rare[s->terms[a].row]++;
            s->pairs_of[s->terms[a].row] += (uint32_t)(end - 1 - a);
        }
}

/* The pairs whose first group is in [from, to). Returns how many. */
static size_t gather_pairs(struct topic_search *s, size_t from, size_t to)
{
    size_t n = 0;
    for (size_t at = 0, end; next_rare(s, &at, &end); at = end)
        for (size_t a = at; a < end; a++) {
            uint32_t row = s->terms[a].row;
            if (row < from || row >= to) continue;
            for (size_t b = a + 1; b < end; b++) s->pairs[n++] = (uint64_t)row << 32 | s->terms[b].row;
        }
    return n;
}

/* Joins groups that share three rare terms, or two that are half of what one of them has. */
static void join_pairs(struct topic_search *s, size_t n)
{
    struct evidence *e = s->e;
    uint64_t *pairs = s->pairs;
    const uint32_t *rare = s->rare;
    qsort(pairs, n, sizeof *pairs, by_pair);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && pairs[end] == pairs[i];) end++;
        uint32_t a = (uint32_t)(pairs[i] >> 32), b = (uint32_t)pairs[i], shared = (uint32_t)(end - i);
        uint32_t fewer = rare[a] < rare[b] ? rare[a] : rare[b];
        if (shared < SHARED_MOST && (shared < SHARED_LEAST || 2 * shared < fewer)) continue;
        uint32_t x = find_root(e->topic, a), y = find_root(e->topic, b);
        if (x != y) e->topic[x < y ? y : x] = x < y ? x : y;
    }
}

/* All pairs, PAIRS_PASS at a time: those of as many first groups as have no more. (A group has at most EVIDENCE_TERMS *
 * RARE_MOST, far fewer than that.) */
static void evidence_join_all(struct topic_search *s)
{
    count_pairs(s);
    for (size_t from = 0, to; from < s->e->t.n_rows; from = to) {
        size_t n = 0;
        for (to = from; to < s->e->t.n_rows && n + s->pairs_of[to] <= PAIRS_PASS; to++) n += s->pairs_of[to];
        if (n > 0) join_pairs(s, gather_pairs(s, from, to));
    }
}

/* Fills e->topic. */
static enum status find_topics(struct evidence *e)
{
    size_t rows = e->t.n_rows;
    struct topic_search s = {.e = e};
    struct spill *in = spill_new(e->c, &e->t.budget);
    s.rare = mem_alloc(e->c, rows, sizeof *s.rare);
    s.pairs_of = mem_alloc(e->c, rows, sizeof *s.pairs_of);
    s.pairs = mem_alloc(e->c, PAIRS_PASS, sizeof *s.pairs);
    for (size_t i = 0; i < rows; i++) e->topic[i] = (uint32_t)i;
    if (ctx_ok(e->c)) s.terms = gather_terms(e, in, &s.n_terms);
    if (s.terms) evidence_join_all(&s);
    for (size_t i = 0; i < rows; i++) {
        e->topic[i] = find_root(e->topic, e->group[i]);
        e->n_topics += e->topic[i] == i && !e->t.rows[i].faulty;
    }
    spill_free(in);
    mem_free(e->c, s.rare);
    mem_free(e->c, s.pairs_of);
    mem_free(e->c, s.pairs);
    return e->c->status;
}

/* ---- entropy ---- */

struct evidence_member {
    uint32_t topic, kind;
};

static int by_topic(const void *a, const void *b)
{
    const struct evidence_member *x = a, *y = b;
    if (x->topic != y->topic) return x->topic < y->topic ? -1 : 1;
    return (x->kind > y->kind) - (x->kind < y->kind);
}

/* H(kinds) + half of H(groups | kinds), of the n groups of a topic, sorted by kind. With k groups of a kind, p = k / n, each
 * group counted once: H(kinds) = -sum p log2 p, and H(groups | kinds) = sum p log2 k. */
static double entropy_of(const struct evidence_member *m, size_t n, int64_t *kinds)
{
    double of_kinds = 0, within = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && m[end].kind == m[i].kind;) end++;
        double p = (double)(end - i) / (double)n;
        of_kinds -= p * log2(p);
        within += p * log2((double)(end - i));
        ++*kinds;
    }
    return of_kinds + EVIDENCE_SAME_KIND * within;
}

/* Rows, groups, kinds, entropy and copies of each topic, at e->of of its first row. */
static enum status count_topics(struct evidence *e)
{
    size_t n = 0;
    struct evidence_member *m = mem_alloc(e->c, e->t.n_rows, sizeof *m);
    if (!m) return e->c->status;
    for (size_t i = 0; i < e->t.n_rows; i++) {
        const struct table_row *r = &e->t.rows[i];
        if (r->faulty) continue;
        e->of[e->topic[i]].rows++;
        if (e->group[i] != i) continue;
        uint32_t kind = r->kind == TABLE_NO_KIND ? terms_of(e, i)->kind : KIND_BASE + (uint32_t)r->kind;
        m[n++] = (struct evidence_member){e->topic[i], kind};
    }
    qsort(m, n, sizeof *m, by_topic);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && m[end].topic == m[i].topic;) end++;
        struct score_evidence *v = &e->of[m[i].topic];
        v->groups = (int64_t)(end - i);
        v->entropy = entropy_of(m + i, end - i, &v->kinds);
        v->copies = 1 - (double)v->groups / (double)v->rows;
    }
    mem_free(e->c, m);
    return OK;
}

/* ---- compression, in another reading ---- */

struct evidence_sample {
    uint32_t n;
    char text[EVIDENCE_TEXT_BYTES];
};

/* Samples of one topic stand together in `places` when they are sorted. */
struct sample_place {
    uint32_t topic, sample;
};

struct evidence_samples {
    struct evidence *e;
    struct spill *in;
    struct evidence_sample *samples; /* (n) */
    struct sample_place *places;     /* (n) */
    uint32_t *slot;                  /* (n_rows) index + 1 into samples */
    size_t n;
};

/* For table_again_look, on any thread: keeps the beginning of a text that was chosen as a sample. */
static enum status look_at_text(void *user, struct ctx *c, size_t row, const char *text, size_t n)
{
    struct evidence_samples *s = user;
    struct evidence_sample *sample = &s->samples[s->slot[row] - 1];
    (void)c;
    sample->n = (uint32_t)(n < EVIDENCE_TEXT_BYTES ? n : EVIDENCE_TEXT_BYTES);
    memcpy(sample->text, text, sample->n);
    return OK;
}

/* Chooses the first groups of each topic that has several; wanted (n_rows) is set for their first rows. */
static enum status choose_samples(struct evidence_samples *s, uint8_t *wanted)
{
    struct evidence *e = s->e;
    uint8_t *of_topic = mem_alloc(e->c, e->t.n_rows, sizeof *of_topic);
    s->slot = mem_alloc(e->c, e->t.n_rows, sizeof *s->slot);
    for (size_t i = 0; of_topic && s->slot && i < e->t.n_rows; i++) {
        uint32_t topic = e->topic[i];
        if (e->t.rows[i].faulty || e->group[i] != i || e->of[topic].groups < 2 || of_topic[topic] == EVIDENCE_SAMPLES)
            continue;
        of_topic[topic]++;
        wanted[i] = 1;
        s->slot[i] = (uint32_t)++s->n;
    }
    mem_free(e->c, of_topic);
    if (ctx_ok(e->c)) s->samples = spill_resize(s->in, s->n, sizeof *s->samples);
    s->places = mem_alloc(e->c, s->n, sizeof *s->places);
    for (size_t i = 0; s->samples && s->places && i < e->t.n_rows; i++)
        if (s->slot[i]) s->places[s->slot[i] - 1] = (struct sample_place){e->topic[i], s->slot[i] - 1};
    return e->c->status;
}

static int by_sample_topic(const void *a, const void *b)
{
    const struct sample_place *x = a, *y = b;
    if (x->topic != y->topic) return x->topic < y->topic ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

/* Whether a text comes before another: the texts of a topic are joined in an order that is not that of the rows. */
static bool sample_before(const struct evidence_sample *x, const struct evidence_sample *y)
{
    int order = memcmp(x->text, y->text, EVIDENCE_TEXT_BYTES);
    return order ? order < 0 : x->n < y->n;
}

/* The n (at most EVIDENCE_SAMPLES) samples of a topic, in their order. */
static void order_samples(const struct evidence_samples *s, const struct sample_place *p, size_t n,
                          const struct evidence_sample **out)
{
    for (size_t i = 0; i < n; i++) {
        const struct evidence_sample *sample = &s->samples[p[i].sample];
        size_t k = i;
        for (; k > 0 && sample_before(sample, out[k - 1]); k--) out[k] = out[k - 1];
        out[k] = sample;
    }
}

/* Bytes of a text compressed, without the frame's own. */
static double compressed(ZSTD_CCtx *z, const char *text, size_t n)
{
    static const size_t frame = 9; /* of an empty text, with its block's header */
    char out[2 * EVIDENCE_SAMPLES * EVIDENCE_TEXT_BYTES];
    size_t got = ZSTD_compressCCtx(z, out, sizeof out, text, n, 9);
    return ZSTD_isError(got) || got <= frame ? 1 : (double)(got - frame);
}

/* 1 - C(all) / sum of C(each), over what it would be if all were the same: 0 for texts with nothing in common, 1 for copies.
 */
static double compression_of(ZSTD_CCtx *z, const struct evidence_sample *const *s, size_t n)
{
    char all[EVIDENCE_SAMPLES * EVIDENCE_TEXT_BYTES];
    size_t at = 0;
    double alone = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(all + at, s[i]->text, s[i]->n);
        at += s[i]->n;
        alone += compressed(z, s[i]->text, s[i]->n);
    }
    double gap = 1 - compressed(z, all, at) / alone, most = 1 - 1 / (double)n;
    return gap <= 0 ? 0 : gap >= most ? 1 : gap / most;
}

/* Compression of each topic that has samples. */
static void compress_topics(struct evidence_samples *s)
{
    ZSTD_CCtx *z = ZSTD_createCCtx();
    if (!z) ctx_fail(s->e->c, E_MEMORY, "out of memory for zstd");
    if (z) qsort(s->places, s->n, sizeof *s->places, by_sample_topic);
    for (size_t i = 0, end; z && i < s->n; i = end) {
        const struct evidence_sample *of_topic[EVIDENCE_SAMPLES];
        for (end = i; end < s->n && s->places[end].topic == s->places[i].topic;) end++;
        order_samples(s, s->places + i, end - i, of_topic);
        s->e->of[s->places[i].topic].compression = compression_of(z, of_topic, end - i);
    }
    ZSTD_freeCCtx(z);
}

/* Fills compression and coordination of each topic; without a topic of several groups nothing is read again. */
static enum status find_compression(struct evidence *e)
{
    struct evidence_samples s = {.e = e, .in = spill_new(e->c, &e->t.budget)};
    uint8_t *wanted = mem_alloc(e->c, e->t.n_rows, sizeof *wanted);
    if (s.in && wanted && choose_samples(&s, wanted) == OK && s.n > 0 &&
        table_again_look(&e->t, wanted, look_at_text, &s) == OK)
        compress_topics(&s);
    for (size_t i = 0; ctx_ok(e->c) && i < e->t.n_rows; i++) {
        struct score_evidence *v = &e->of[i];
        v->coordination = 1 - (1 - v->copies) * (1 - v->compression);
    }
    spill_free(s.in);
    mem_free(e->c, s.places);
    mem_free(e->c, s.slot);
    mem_free(e->c, wanted);
    return e->c->status;
}

/* ---- the whole ---- */

/* Memory for the topics, and the map from a text to its row. 64 bits of a text's digest tell texts apart here. */
static enum status index_texts(struct evidence *e)
{
    e->by_text = map64_new(e->c, e->t.n_rows);
    e->topic = mem_alloc(e->c, e->t.n_rows, sizeof *e->topic);
    e->of_in = spill_new(e->c, &e->t.budget);
    if (e->of_in) e->of = spill_resize(e->of_in, e->t.n_rows, sizeof *e->of);
    /* from behind, so that of equal texts the first row stays */
    for (size_t i = e->t.n_rows; e->by_text && i-- > 0;)
        if (!e->t.rows[i].faulty) map64_put(e->by_text, e->t.rows[i].digest[0], i, NULL);
    return e->c->status;
}

/* SHA-256 of the options of grouping and of the files' own digests, in their order. */
static void take_digest(struct evidence *e, const struct group_options *o)
{
    struct sha256 sha;
    uint8_t digest[32];
    char options[128];
    sha256_init(&sha);
    int n = snprintf(options, sizeof options, "%d %.17g %lld %lld", o->near, o->threshold, (long long)o->permutations,
                     (long long)o->shingle);
    sha256_update(&sha, options, (size_t)n);
    for (size_t i = 0; i < e->t.n_files; i++) sha256_update(&sha, e->t.files[i].sha256, 64);
    sha256_final(&sha, digest);
    sha256_hex(digest, e->digest);
}

struct evidence *evidence_new(struct ctx *c, const struct group_options *groups, const char *const *paths, size_t n_paths)
{
    struct evidence *e = mem_alloc(c, 1, sizeof *e);
    struct minhash m = {0};
    struct copy_counts counts;
    if (!e) return NULL;
    e->c = e->t.c = c;
    struct table_options options = {
        .skip_faulty = true, .quiet = true, .look = look_at_terms, .extra_bytes = sizeof(struct evidence_terms)};
    if (table_groups_read(&e->t, &m, c, groups, options, paths, n_paths, &e->group, &counts) == OK && index_texts(e) == OK &&
        find_topics(e) == OK && count_topics(e) == OK)
        find_compression(e);
    minhash_release(&m, c);
    if (ctx_ok(c)) {
        take_digest(e, groups);
        return e;
    }
    evidence_free(e);
    return NULL;
}

void evidence_free(struct evidence *e)
{
    if (!e) return;
    map64_free(e->by_text);
    mem_free(e->c, e->group);
    mem_free(e->c, e->topic);
    spill_free(e->of_in);
    row_table_release(&e->t);
    mem_free(e->c, e);
}

bool evidence_find(const void *evidence, const char *text, size_t n, struct score_evidence *out)
{
    const struct evidence *e = evidence;
    uint64_t digest[2], row;
    table_digest(text, n, digest);
    if (!map64_get(e->by_text, digest[0], &row)) return false;
    *out = e->of[e->topic[row]];
    return true;
}

const char *evidence_digest(const struct evidence *e)
{
    return e->digest;
}

size_t evidence_topics(const struct evidence *e)
{
    return e->n_topics;
}

size_t evidence_groups(const struct evidence *e)
{
    return e->n_groups;
}
