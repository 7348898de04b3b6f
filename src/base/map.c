/* map: linear probing over a power-of-two table that is at most two thirds full.
 *
 * Both hashes are keyed with bytes from the system, one key a table, so a file cannot choose keys that all land on one
 * slot. Nothing that a caller can see depends on the key: there is no iteration, only exact answers. String keys use
 * SipHash-1-3 (Aumasson and Bernstein, 2012); integer keys a 64x64->128-bit multiply folded in half. */
#include "base/map.h"

#include <string.h>

#include "base/mem.h"
#include "base/system.h"

enum { SLOTS_MIN = 16 };

/* Without entropy (early boot, no system call) the address of the table is the next best secret. */
static void key_init(uint64_t key[2], const void *table)
{
    if (system_random(key, 16)) return;
    key[0] = (uintptr_t)table * 0x9E3779B97F4A7C15u;
    key[1] = key[0] ^ 0xD1B54A32D192ED03u;
}

/* Slots for n keys at a load of at most 2/3; 0 when that overflows. */
static size_t slots_for(size_t n)
{
    size_t slots = SLOTS_MIN;
    while (slots / 3 * 2 < n) {
        if (slots > SIZE_MAX / 4) return 0;
        slots *= 2;
    }
    return slots;
}

/* slots_for, with an error in the ctx where it gives 0. */
static size_t slots_checked(struct ctx *c, size_t n)
{
    size_t slots = slots_for(n);
    if (slots == 0) ctx_fail(c, E_INPUT, "too large: a table of %zu keys", n);
    return slots;
}

static uint64_t rotl(uint64_t x, int b)
{
    return (x << b) | (x >> (64 - b));
}

/* One SipRound over the four words of state. */
static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

/* SipHash-1-3: one round for each 8 bytes of input, three at the end. */
static uint64_t sip_hash(const uint64_t key[2], const void *bytes, size_t n)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    const uint8_t *p = bytes;
    size_t whole = n / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t m;
        memcpy(&m, p + i, 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)n << 56;
    for (size_t i = whole; i < n; i++) last |= (uint64_t)p[i] << (8 * (i - whole));
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- byte strings ---- */

struct map_slot {
    const void *key; /* NULL: free */
    size_t key_bytes;
    uint64_t hash, value;
};

struct map {
    struct ctx *c;
    struct map_slot *slots;
    size_t n_slots, count;
    uint64_t key[2];
};

struct map *map_new(struct ctx *c, size_t expected)
{
    struct map *m = mem_alloc(c, 1, sizeof *m);
    if (!m) return NULL;
    m->c = c;
    key_init(m->key, m);
    m->n_slots = slots_checked(c, expected);
    m->slots = m->n_slots ? mem_alloc(c, m->n_slots, sizeof *m->slots) : NULL;
    if (m->slots) return m;
    mem_free(c, m);
    return NULL;
}

void map_free(struct map *m)
{
    if (!m) return;
    mem_free(m->c, m->slots);
    mem_free(m->c, m);
}

/* The slot of the key, or the free one where it belongs. */
static struct map_slot *map_find_slot(struct map_slot *slots, size_t n_slots, const void *key, size_t key_bytes,
                                      uint64_t hash)
{
    size_t at = hash & (n_slots - 1);
    for (;; at = (at + 1) & (n_slots - 1)) {
        struct map_slot *s = &slots[at];
        if (!s->key) return s;
        if (s->hash == hash && s->key_bytes == key_bytes && memcmp(s->key, key, key_bytes) == 0) return s;
    }
}

/* Makes sure that one more key fits: a larger table, filled again, when the load would pass 2/3. */
static enum status map_grow(struct map *m)
{
    size_t n_slots = slots_checked(m->c, m->count + 1);
    if (n_slots == 0) return m->c->status;
    if (n_slots <= m->n_slots) return OK;
    struct map_slot *slots = mem_alloc(m->c, n_slots, sizeof *slots);
    if (!slots) return m->c->status;
    for (size_t i = 0; i < m->n_slots; i++) {
        const struct map_slot *s = &m->slots[i];
        if (s->key) *map_find_slot(slots, n_slots, s->key, s->key_bytes, s->hash) = *s;
    }
    mem_free(m->c, m->slots);
    m->slots = slots;
    m->n_slots = n_slots;
    return OK;
}

enum status map_put(struct map *m, const void *key, size_t key_bytes, uint64_t value, bool *was_there)
{
    TRY(map_grow(m));
    if (!key) key = ""; /* the empty string may come without an address */
    uint64_t hash = sip_hash(m->key, key, key_bytes);
    struct map_slot *s = map_find_slot(m->slots, m->n_slots, key, key_bytes, hash);
    bool there = s->key != NULL;
    if (!there) {
        *s = (struct map_slot){key, key_bytes, hash, value};
        m->count++;
    }
    s->value = value;
    if (was_there) *was_there = there;
    return OK;
}

bool map_get(const struct map *m, const void *key, size_t key_bytes, uint64_t *value)
{
    if (!key) key = "";
    const struct map_slot *s = map_find_slot(m->slots, m->n_slots, key, key_bytes, sip_hash(m->key, key, key_bytes));
    if (!s->key) return false;
    *value = s->value;
    return true;
}

size_t map_count(const struct map *m)
{
    return m->count;
}

/* ---- integers ---- */

/* One entry; map64.used tells whether it is one. */
struct slot64 {
    uint64_t key, value;
};

struct map64 {
    struct ctx *c;
    struct slot64 *slots;
    uint8_t *used; /* apart from the slots: any 64-bit key is legal, so none can mean "free" */
    size_t n_slots, count;
    uint64_t key[2];
};

/* An empty table of n_slots; false leaves m as it was. */
static bool alloc64(struct map64 *m, size_t n_slots)
{
    if (n_slots == 0) return false;
    struct slot64 *slots = mem_alloc(m->c, n_slots, sizeof *slots);
    uint8_t *used = mem_alloc(m->c, n_slots, 1);
    if (!slots || !used) {
        mem_free(m->c, slots);
        mem_free(m->c, used);
        return false;
    }
    m->slots = slots;
    m->used = used;
    m->n_slots = n_slots;
    return true;
}

struct map64 *map64_new(struct ctx *c, size_t expected)
{
    struct map64 *m = mem_alloc(c, 1, sizeof *m);
    if (!m) return NULL;
    m->c = c;
    key_init(m->key, m);
    if (alloc64(m, slots_checked(c, expected))) return m;
    mem_free(c, m);
    return NULL;
}

void map64_free(struct map64 *m)
{
    if (!m) return;
    mem_free(m->c, m->slots);
    mem_free(m->c, m->used);
    mem_free(m->c, m);
}

/* The slot of the key, or the free one where it belongs. */
static size_t find64(const struct map64 *m, uint64_t key)
{
    unsigned __int128 wide = (unsigned __int128)(key ^ m->key[0]) * (m->key[1] | 1);
    size_t at = ((uint64_t)wide ^ (uint64_t)(wide >> 64)) & (m->n_slots - 1);
    while (m->used[at] && m->slots[at].key != key) at = (at + 1) & (m->n_slots - 1);
    return at;
}

/* As map_grow. */
static enum status grow64(struct map64 *m)
{
    size_t n_slots = slots_checked(m->c, m->count + 1);
    if (n_slots != 0 && n_slots <= m->n_slots) return OK;
    struct map64 old = *m;
    if (!alloc64(m, n_slots)) return m->c->status;
    for (size_t i = 0; i < old.n_slots; i++) {
        if (!old.used[i]) continue;
        size_t at = find64(m, old.slots[i].key);
        m->used[at] = 1;
        m->slots[at] = old.slots[i];
    }
    mem_free(m->c, old.slots);
    mem_free(m->c, old.used);
    return OK;
}

enum status map64_put(struct map64 *m, uint64_t key, uint64_t value, bool *was_there)
{
    TRY(grow64(m));
    size_t at = find64(m, key);
    bool there = m->used[at];
    if (!there) m->count++;
    m->used[at] = 1;
    m->slots[at] = (struct slot64){key, value};
    if (was_there) *was_there = there;
    return OK;
}

bool map64_get(const struct map64 *m, uint64_t key, uint64_t *value)
{
    size_t at = find64(m, key);
    if (!m->used[at]) return false;
    *value = m->slots[at].value;
    return true;
}

size_t map64_count(const struct map64 *m)
{
    return m->count;
}
