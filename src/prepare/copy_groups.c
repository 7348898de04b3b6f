/* copy_groups: finds copies by sorting rows by a key and looking at neighbours. The key is half of the digest for exact
 * copies (find_exact), and for near ones the hash of one band of the signature, band after band (for_bands), once to find
 * the rows whose sets are needed and once to join them. Sorting, and not a hash table: the order of memory and of work is
 * then a function of the rows alone, and a file cannot choose keys that collide. */
#include "prepare/copy_groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { COMPARED_MAX = 256 }; /* rows before it that a row of one band is compared with */
enum { UNLIKE_ROOM = 1 << 20 };

struct copy_key {
    uint64_t key;
    uint32_t row;
};

struct copy_search {
    struct ctx *c;
    const struct minhash *m;
    const struct copy_texts *texts;
    double threshold, doubt; /* an estimate below `doubt` is far below the threshold */
    uint32_t *group;         /* a forest: each row's parent, never behind it */
    struct copy_key *keys;   /* (n) */
    size_t n_keys;
    uint8_t *meets;   /* (n) while rows that meet are looked for; else NULL */
    uint64_t *unlike; /* (UNLIKE_ROOM) pairs whose share was computed and is too small, by their hash: a pair often meets in
                       * several bands. A later pair takes the place of an earlier one, which is then computed again */
    struct copy_counts *counts;
};

/* Two signatures that agree in a share t of their positions agree in a whole band of r with probability t^r, and in at least
 * one of b = permutations / r bands with 1 - (1 - t^r)^b (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4). */
void copy_bands(double threshold, int permutations, int *bands, int *positions)
{
    *positions = 1;
    for (int r = 2; r <= permutations; r++)
        if (1 - pow(1 - pow(threshold, r), permutations / r) >= COPY_MEET) *positions = r;
    *bands = permutations / *positions;
}

/* ---- groups ---- */

/* The first row of i's group; halves the path to it on the way. */
static uint32_t find(uint32_t *group, uint32_t i)
{
    while (group[i] != i) i = group[i] = group[group[i]];
    return i;
}

/* Makes one group of two; the smaller first row is the first row of both. */
static void copy_groups_join(struct copy_search *s, uint32_t i, uint32_t k)
{
    uint32_t x = find(s->group, i), y = find(s->group, k);
    if (x == y) return;
    s->group[x < y ? y : x] = x < y ? x : y;
}

/* For qsort: rows of one key stand in their order. */
static int copy_groups_by_key(const void *a, const void *b)
{
    const struct copy_key *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Whether row i may be in a group with others. */
static bool copy_groups_takes_part(const struct copy_search *s, size_t i)
{
    return !s->texts->left_out || !s->texts->left_out[i];
}

/* Joins rows of equal digest to the first of them. Rows are sorted by the first half of the digest, and the second half is
 * compared with that of the first row of the run. 128 bits that agree are taken for equal texts. */
static void find_exact(struct copy_search *s)
{
    const uint64_t(*digest)[2] = s->texts->digest;
    s->n_keys = 0;
    for (size_t i = 0; i < s->texts->n; i++)
        if (copy_groups_takes_part(s, i)) s->keys[s->n_keys++] = (struct copy_key){digest[i][0], (uint32_t)i};
    qsort(s->keys, s->n_keys, sizeof *s->keys, copy_groups_by_key);
    for (size_t i = 1, first = 0; i < s->n_keys; i++) {
        uint32_t row = s->keys[i].row, before = s->keys[first].row;
        if (s->keys[i].key != s->keys[first].key) {
            first = i;
        } else if (digest[row][1] == digest[before][1]) {
            copy_groups_join(s, row, before);
            s->counts->exact++;
        }
    }
}

/* ---- near copies ---- */

/* The signature of a row. */
static const int32_t *signature(const struct copy_search *s, uint32_t row)
{
    return s->texts->signatures + (size_t)row * (size_t)s->m->permutations;
}

/* Keys of one band, of the first of each exact text that has words. */
static void find_keys(struct copy_search *s, int from, int positions)
{
    s->n_keys = 0;
    for (size_t i = 0; i < s->texts->n; i++) {
        const int32_t *sig = signature(s, (uint32_t)i) + from;
        if (!copy_groups_takes_part(s, i) || (s->texts->meets && !s->texts->meets[i]) ||
            (s->group[i] != i && s->texts->digest[i][0] == s->texts->digest[s->group[i]][0]) || sig[0] == INT32_MAX)
            continue;
        uint64_t h = (uint64_t)from;
        for (int k = 0; k < positions; k++) {
            h = (h ^ (uint32_t)sig[k]) * UINT64_C(0x9e3779b97f4a7c15);
            h ^= h >> 32;
        }
        s->keys[s->n_keys++] = (struct copy_key){h, (uint32_t)i};
    }
    qsort(s->keys, s->n_keys, sizeof *s->keys, copy_groups_by_key);
}

/* Whether the pair's share of shingles reaches the threshold. */
static bool are_alike(struct copy_search *s, uint32_t row, uint32_t other)
{
    uint64_t pair = (uint64_t)row << 32 | other, *unlike = &s->unlike[pair * UINT64_C(0x9e3779b97f4a7c15) >> 44];
    if (*unlike == pair) return false;
    s->counts->computed++;
    if (copy_sets_share(s->texts->sets, row, other) >= s->threshold) return true;
    *unlike = pair;
    return false;
}

/* The row at keys[i] against those before it that share its band, the nearest first. */
static void compare_with(struct copy_search *s, size_t first, size_t i)
{
    size_t stop = i - first > COMPARED_MAX ? i - COMPARED_MAX : first;
    uint32_t row = s->keys[i].row;
    for (size_t k = i; k-- > stop;) {
        uint32_t other = s->keys[k].row;
        if (s->meets ? s->meets[row] && s->meets[other] : find(s->group, row) == find(s->group, other)) continue;
        s->counts->compared++;
        if (minhash_similarity(s->m, signature(s, row), signature(s, other)) < s->doubt) continue;
        if (s->meets)
            s->meets[row] = s->meets[other] = 1;
        else if (are_alike(s, row, other))
            copy_groups_join(s, row, other);
    }
}

/* Compares the rows that agree in some band. */
static void for_bands(struct copy_search *s)
{
    int bands = 1, positions = 1;
    copy_bands(s->threshold, s->m->permutations, &bands, &positions);
    for (int band = 0; band < bands; band++) {
        find_keys(s, band * positions, positions);
        for (size_t i = 1, first = 0; i < s->n_keys; i++) {
            if (s->keys[i].key != s->keys[first].key) first = i;
            compare_with(s, first, i);
        }
    }
}

/* Makes every row point at its group's first one, and counts. */
static void count_groups(struct copy_search *s)
{
    size_t n = s->texts->n, later = 0;
    memset(s->keys, 0, n * sizeof *s->keys); /* now: whether a later row is in the group of this one */
    for (size_t i = 0; i < n; i++) {
        uint32_t first = s->group[i] = find(s->group, (uint32_t)i);
        if (first == i) continue;
        later++;
        s->counts->groups += s->keys[first].row++ == 0;
    }
    s->counts->near_rows = later - s->counts->exact;
}

/* Memory for a search, and the groups of equal texts. */
static enum status open_search(struct copy_search *s, struct ctx *c, const struct minhash *m, double threshold,
                               const struct copy_texts *texts, uint32_t *group, struct copy_counts *counts)
{
    *s = (struct copy_search){.c = c, .m = m, .texts = texts, .threshold = threshold, .group = group, .counts = counts};
    s->doubt = threshold - COPY_DOUBT * sqrt(threshold * (1 - threshold) / m->permutations);
    *counts = (struct copy_counts){0};
    if (texts->n >= UINT32_MAX) return ctx_fail(c, E_INPUT, "%zu rows: more than can be compared", texts->n);
    s->keys = mem_alloc(c, texts->n, sizeof *s->keys);
    if (!s->keys) return c->status;
    for (size_t i = 0; i < texts->n; i++) group[i] = (uint32_t)i;
    find_exact(s);
    return OK;
}

enum status copy_groups_meet(struct ctx *c, const struct minhash *m, double threshold, const struct copy_texts *texts,
                             uint8_t *meets)
{
    struct copy_search s = {0};
    struct copy_counts counts;
    uint32_t *group = mem_alloc(c, texts->n, sizeof *group);
    memset(meets, 0, texts->n);
    if (group && open_search(&s, c, m, threshold, texts, group, &counts) == OK) {
        s.meets = meets;
        for_bands(&s);
    }
    mem_free(c, s.keys);
    mem_free(c, group);
    return c->status;
}

enum status copy_groups_find(struct ctx *c, const struct minhash *m, double threshold, const struct copy_texts *texts,
                             uint32_t *group, struct copy_counts *counts)
{
    struct copy_search s;
    if (open_search(&s, c, m, threshold, texts, group, counts) == OK && texts->signatures)
        s.unlike = mem_alloc(c, UNLIKE_ROOM, sizeof *s.unlike);
    if (s.unlike) for_bands(&s);
    if (ctx_ok(c)) count_groups(&s);
    mem_free(c, s.unlike);
    mem_free(c, s.keys);
    return c->status;
}
