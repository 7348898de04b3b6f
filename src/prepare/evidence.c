/* evidence: how topics are found and measured. evidence_new calls, in this order,
 *
 *   table_groups_read   reads the rows and their copy groups; look_at_terms keeps the terms of each row meanwhile
 *   find_topics         joins copy groups that share rare terms
 *   count_topics        rows, groups and kinds of each topic, and its entropy
 *   find_compression    reads the texts again, for those topics that have several groups
 *
 * A copy group and a topic are both named by the index of their first row. */
#include "prepare/evidence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/sha256.h"

/* Shared rare terms that join two groups: this many always, and so many where they are half of all that one has. */
enum { SHARED_MOST = 3, SHARED_LEAST = 2 };
/* A term is rare when no more groups have it than a twentieth of them, but at least and at most so many. */
enum { RARE_LEAST = 8, RARE_MOST = 64 };
/* Kinds of source in one numbering: those that the scorer sees in a text, none, and from KIND_BASE on those that rows name.
 */
enum { NO_KIND = 255, KIND_BASE = 256 };

struct evidence {
    struct ctx *c;
    struct row_table t;
    struct map64 *by_text;     /* digest of a text to its row */
    uint32_t *group, *topic;   /* (n_rows): the first row of its copy group; of its topic */
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

static int by_term(const void *a, const void *b)
{
    const struct evidence_term *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
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

/* The terms of all copy groups (of their first rows), sorted; those of one run are the same term. */
static size_t gather_terms(struct evidence *e, struct evidence_term *terms)
{
    size_t n = 0;
    e->n_groups = 0;
    for (size_t i = 0; i < e->t.n_rows; i++) {
        if (e->group[i] != i || e->t.rows[i].faulty) continue;
        const struct evidence_terms *t = terms_of(e, i);
        for (uint32_t k = 0; k < t->n; k++) terms[n++] = (struct evidence_term){t->hash[k], (uint32_t)i};
        e->n_groups++;
    }
    qsort(terms, n, sizeof *terms, by_term);
    return n;
}

/* Pairs of groups that share a rare term, one entry a term; pairs NULL: how many there are. rare (n_rows): rare terms of
 * each. */
static size_t gather_pairs(const struct evidence *e, const struct evidence_term *terms, size_t n, uint64_t *pairs,
                           uint32_t *rare)
{
    size_t most = e->n_groups / 20, n_pairs = 0;
    most = most < RARE_LEAST ? RARE_LEAST : most > RARE_MOST ? RARE_MOST : most;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && terms[end].hash == terms[i].hash;) end++;
        if (end - i < 2 || end - i > most) continue;
        for (size_t a = i; a < end; a++) {
            if (pairs) rare[terms[a].row]++;
            for (size_t b = a + 1; b < end; b++, n_pairs++)
                if (pairs) pairs[n_pairs] = (uint64_t)terms[a].row << 32 | terms[b].row;
        }
    }
    return n_pairs;
}

/* Joins groups that share three rare terms, or two that are half of what one of them has. */
static void join_pairs(struct evidence *e, uint64_t *pairs, size_t n, const uint32_t *rare)
{
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

/* Fills e->topic. Pairs are gathered twice, first only to be counted, so that they get the memory that they need. */
static enum status find_topics(struct evidence *e)
{
    size_t rows = e->t.n_rows;
    struct evidence_term *terms = mem_alloc(e->c, rows, EVIDENCE_TERMS * sizeof *terms);
    uint32_t *rare = mem_alloc(e->c, rows, sizeof *rare);
    uint64_t *pairs = NULL;
    for (size_t i = 0; i < rows; i++) e->topic[i] = (uint32_t)i;
    if (terms && rare) {
        size_t n = gather_terms(e, terms), n_pairs = gather_pairs(e, terms, n, NULL, rare);
        pairs = mem_alloc(e->c, n_pairs, sizeof *pairs);
        if (pairs) {
            gather_pairs(e, terms, n, pairs, rare);
            join_pairs(e, pairs, n_pairs, rare);
        }
    }
    for (size_t i = 0; i < rows; i++) {
        e->topic[i] = find_root(e->topic, e->group[i]);
        e->n_topics += e->topic[i] == i && !e->t.rows[i].faulty;
    }
    mem_free(e->c, terms);
    mem_free(e->c, rare);
    mem_free(e->c, pairs);
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

/* ---- compression, in a second reading ---- */

struct evidence_sample {
    uint32_t topic;
    uint32_t n;
    char text[EVIDENCE_TEXT_BYTES];
};

struct evidence_samples {
    struct evidence *e;
    struct evidence_sample *samples; /* (n) */
    uint32_t *slot;                  /* (n_rows) index + 1 into samples */
    size_t n;
};

/* Called for each row of the second reading, on any thread: keeps the beginning of a text that was chosen as a sample. */
static void look_at_text(void *user, struct score_row *row, const char *bytes, size_t n, struct table_row *out, void *extra)
{
    struct evidence_samples *s = user;
    uint64_t at;
    (void)bytes, (void)n, (void)extra;
    /* Only at the row itself, not at one of equal text, which another thread may be reading. A batch is of one file. */
    if (!map64_get(s->e->by_text, out->digest[0], &at) || s->slot[at] == 0 || out->row != s->e->t.rows[at].row) return;
    struct evidence_sample *sample = &s->samples[s->slot[at] - 1];
    size_t take = row->input.n < EVIDENCE_TEXT_BYTES ? row->input.n : EVIDENCE_TEXT_BYTES;
    memcpy(sample->text, row->input.text, take);
    sample->n = (uint32_t)take;
}

/* Chooses the first groups of each topic that has several. */
static enum status choose_samples(struct evidence_samples *s)
{
    struct evidence *e = s->e;
    uint8_t *of_topic = mem_alloc(e->c, e->t.n_rows, sizeof *of_topic);
    s->slot = mem_alloc(e->c, e->t.n_rows, sizeof *s->slot);
    for (size_t i = 0; of_topic && s->slot && i < e->t.n_rows; i++) {
        uint32_t topic = e->topic[i];
        if (e->t.rows[i].faulty || e->group[i] != i || e->of[topic].groups < 2 || of_topic[topic] == EVIDENCE_SAMPLES)
            continue;
        of_topic[topic]++;
        s->slot[i] = (uint32_t)++s->n;
    }
    mem_free(e->c, of_topic);
    s->samples = mem_alloc(e->c, s->n, sizeof *s->samples);
    for (size_t i = 0; s->samples && s->slot && i < e->t.n_rows; i++)
        if (s->slot[i]) s->samples[s->slot[i] - 1].topic = e->topic[i];
    return e->c->status;
}

/* By topic, then by text, so that the texts of a topic are joined in the same order whatever the order of the rows. */
static int by_sample_topic(const void *a, const void *b)
{
    const struct evidence_sample *x = a, *y = b;
    if (x->topic != y->topic) return x->topic < y->topic ? -1 : 1;
    int order = memcmp(x->text, y->text, EVIDENCE_TEXT_BYTES);
    return order ? order : (x->n > y->n) - (x->n < y->n);
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
static double compression_of(ZSTD_CCtx *z, const struct evidence_sample *s, size_t n)
{
    char all[EVIDENCE_SAMPLES * EVIDENCE_TEXT_BYTES];
    size_t at = 0;
    double alone = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(all + at, s[i].text, s[i].n);
        at += s[i].n;
        alone += compressed(z, s[i].text, s[i].n);
    }
    double gap = 1 - compressed(z, all, at) / alone, most = 1 - 1 / (double)n;
    return gap <= 0 ? 0 : gap >= most ? 1 : gap / most;
}

/* Fills compression and coordination of each topic; without a topic of several groups nothing is read again. */
static enum status find_compression(struct evidence *e, const char *const *paths, size_t n_paths)
{
    struct evidence_samples s = {.e = e};
    struct row_table again = {.c = e->c};
    ZSTD_CCtx *z = NULL;
    if (choose_samples(&s) == OK && s.n > 0) {
        struct table_options options = {.skip_faulty = true, .quiet = true, .look = look_at_text, .user = &s};
        row_table_read(&again, e->c, paths, n_paths, options);
        z = ZSTD_createCCtx();
        if (!z) ctx_fail(e->c, E_MEMORY, "out of memory for zstd");
    }
    if (z && ctx_ok(e->c)) {
        qsort(s.samples, s.n, sizeof *s.samples, by_sample_topic);
        for (size_t i = 0, end; i < s.n; i = end) {
            for (end = i; end < s.n && s.samples[end].topic == s.samples[i].topic;) end++;
            e->of[s.samples[i].topic].compression = compression_of(z, s.samples + i, end - i);
        }
    }
    for (size_t i = 0; ctx_ok(e->c) && i < e->t.n_rows; i++) {
        struct score_evidence *v = &e->of[i];
        v->coordination = 1 - (1 - v->copies) * (1 - v->compression);
    }
    ZSTD_freeCCtx(z);
    row_table_release(&again);
    mem_free(e->c, s.slot);
    mem_free(e->c, s.samples);
    return e->c->status;
}

/* ---- the whole ---- */

/* Memory for the topics, and the map from a text to its row. 64 bits of a text's digest tell texts apart here. */
static enum status index_texts(struct evidence *e)
{
    e->by_text = map64_new(e->c, e->t.n_rows);
    e->topic = mem_alloc(e->c, e->t.n_rows, sizeof *e->topic);
    e->of = mem_alloc(e->c, e->t.n_rows, sizeof *e->of);
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
        find_compression(e, paths, n_paths);
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
    mem_free(e->c, e->of);
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
