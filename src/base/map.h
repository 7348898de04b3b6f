/* map: open-addressing hash tables. `map` goes from byte strings (any bytes, NUL included) to uint64; `map64` from uint64
 * to uint64. Keys of `map` are not copied: they must outlive it. Each table has its own random hash key, so a file cannot
 * choose keys that collide; no answer depends on it. There is no removal and no iteration. */
#ifndef YA_BASE_MAP_H
#define YA_BASE_MAP_H

#include "base/ctx.h"

struct map;
struct map64;

/* A table that holds `expected` keys before it grows; 0 is allowed. Owner of the result: the caller. NULL with E_MEMORY,
 * or with E_INPUT when so many keys cannot be addressed. map_free accepts NULL. */
struct map *map_new(struct ctx *c, size_t expected);
void map_free(struct map *m);
/* Adds or replaces. *was_there (may be NULL) tells which. E_MEMORY or E_INPUT as above when the table has to grow and
 * cannot; it is then unchanged. */
enum status map_put(struct map *m, const void *key, size_t key_bytes, uint64_t value, bool *was_there);
/* True when the key is there: *value is then its value, else untouched. */
bool map_get(const struct map *m, const void *key, size_t key_bytes, uint64_t *value);
/* Number of keys. */
size_t map_count(const struct map *m);

/* The same for integer keys; every 64-bit key is legal. */
struct map64 *map64_new(struct ctx *c, size_t expected);
void map64_free(struct map64 *m);
enum status map64_put(struct map64 *m, uint64_t key, uint64_t value, bool *was_there);
bool map64_get(const struct map64 *m, uint64_t key, uint64_t *value);
size_t map64_count(const struct map64 *m);

#endif
