/* copy_sets: hashes of one text are gathered and sorted on the thread that has the text, in memory of its own, and appended
 * to the common array under a lock. Where a set lies there depends on the threads; what is in it does not. */
#include "prepare/copy_sets.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

enum { DIGIT = 256, DIGITS = 8, SORT_FEW = 64 };

struct copy_sets {
    struct ctx *c;
    struct spill *in;
    uint64_t *hashes; /* all sets, one behind the other */
    size_t used, capacity;
    struct copy_set {
        uint64_t at; /* index of its first hash */
        uint64_t n;
    } * sets;             /* (rows) */
    pthread_mutex_t lock; /* of all the above */
};

struct copy_sets *copy_sets_new(struct ctx *c, struct spill_budget *budget, size_t n)
{
    struct copy_sets *s = mem_alloc(c, 1, sizeof *s);
    if (!s) return NULL;
    s->c = c;
    pthread_mutex_init(&s->lock, NULL);
    s->sets = mem_alloc(c, n, sizeof *s->sets);
    s->in = spill_new(c, budget);
    if (s->sets && s->in) return s;
    copy_sets_free(s);
    return NULL;
}

void copy_sets_free(struct copy_sets *s)
{
    if (!s) return;
    spill_free(s->in);
    mem_free(s->c, s->sets);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->c, s);
}

/* ---- the hashes of one text ---- */

struct hash_list {
    struct ctx *c;
    uint64_t *hashes;
    size_t n, capacity;
};

/* For minhash_walk. */
static bool keep_hash(void *user, uint64_t hash)
{
    struct hash_list *l = user;
    if (l->n == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 1024;
        uint64_t *moved = mem_resize(l->c, l->hashes, l->capacity, capacity, sizeof *moved);
        if (!moved) return false;
        l->hashes = moved;
        l->capacity = capacity;
    }
    l->hashes[l->n++] = hash;
    return true;
}

/* Sorts n numbers in place, for few. */
static void sort_few(uint64_t *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t v = x[i];
        size_t k = i;
        for (; k > 0 && x[k - 1] > v; k--) x[k] = x[k - 1];
        x[k] = v;
    }
}

/* Sorts n numbers by their bytes, the lowest first; `other` (n) is scratch. An even number of passes ends in x again. */
static void sort_by_bytes(uint64_t *x, uint64_t *other, size_t n)
{
    static const size_t zero[DIGIT];
    for (int pass = 0; pass < DIGITS; pass++) {
        size_t at[DIGIT], sum = 0;
        memcpy(at, zero, sizeof at);
        for (size_t i = 0; i < n; i++) at[x[i] >> 8 * pass & 255]++;
        for (int d = 0; d < DIGIT; d++) {
            size_t count = at[d];
            at[d] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++) other[at[x[i] >> 8 * pass & 255]++] = x[i];
        uint64_t *swap = x;
        x = other;
        other = swap;
    }
}

/* Sorts the list and leaves each hash in it once. */
static enum status make_set(struct hash_list *l)
{
    if (l->n <= SORT_FEW) {
        sort_few(l->hashes, l->n);
    } else {
        uint64_t *other = mem_alloc(l->c, l->n, sizeof *other);
        if (!other) return l->c->status;
        sort_by_bytes(l->hashes, other, l->n);
        mem_free(l->c, other);
    }
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++)
        if (i == 0 || l->hashes[i] != l->hashes[kept - 1]) l->hashes[kept++] = l->hashes[i];
    l->n = kept;
    return OK;
}

/* Appends the set to the common array; the lock is held. */
static void append_set(struct copy_sets *s, size_t row, const struct hash_list *l)
{
    if (l->n > s->capacity - s->used) {
        size_t capacity = 2 * s->capacity > s->used + l->n ? 2 * s->capacity : s->used + l->n;
        uint64_t *hashes = ctx_ok(s->c) ? spill_resize(s->in, capacity, sizeof *hashes) : NULL;
        if (!hashes) return;
        s->hashes = hashes;
        s->capacity = capacity;
    }
    if (l->n > 0) memcpy(s->hashes + s->used, l->hashes, l->n * sizeof *l->hashes);
    s->sets[row] = (struct copy_set){s->used, l->n};
    s->used += l->n;
}

enum status copy_sets_add(struct copy_sets *s, struct ctx *c, const struct minhash *m, size_t row, const char *text,
                          size_t n)
{
    struct hash_list l = {.c = c};
    if (minhash_walk(m, text, n, keep_hash, &l) && make_set(&l) == OK) {
        pthread_mutex_lock(&s->lock);
        append_set(s, row, &l);
        if (!ctx_ok(s->c)) ctx_fail(c, s->c->status, "%s", s->c->message);
        pthread_mutex_unlock(&s->lock);
    }
    mem_free(c, l.hashes);
    return c->status;
}

double copy_sets_share(const struct copy_sets *s, size_t a, size_t b)
{
    const uint64_t *x = s->hashes + s->sets[a].at, *y = s->hashes + s->sets[b].at;
    size_t n = s->sets[a].n, m = s->sets[b].n, both = 0;
    if (n == 0 || m == 0) return 0;
    for (size_t i = 0, k = 0; i < n && k < m;) { /* without branches: which of the two is behind is chance */
        uint64_t p = x[i], q = y[k];
        both += p == q;
        i += p <= q;
        k += q <= p;
    }
    return (double)both / (double)(n + m - both);
}
