/* Any bytes as a text: words and shingles, signatures and the walk over them. Both see the same shingles, a text is entirely
 * like itself, and white space around it changes nothing. */
/* mutations: 8000 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"
#include "prepare/minhash.h"

enum { PERMUTATIONS = 16, SHINGLES = 3 };

static bool count(void *user, uint64_t hash)
{
    (void)hash;
    ++*(size_t *)user;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int shingles[SHINGLES] = {1, 5, MINHASH_SHINGLE_MAX};
    struct ctx *c = ctx_new(NULL);
    char *wide = malloc(size + 2);
    if (!c || !wide) abort();
    wide[0] = wide[size + 1] = '\n';
    if (size > 0) memcpy(wide + 1, data, size);
    for (int i = 0; i < SHINGLES; i++) {
        struct minhash m;
        int32_t signature[PERMUTATIONS], again[PERMUTATIONS];
        size_t walked = 0;
        if (minhash_init(&m, c, PERMUTATIONS, shingles[i], 3) != OK) __builtin_trap();
        size_t n = minhash_sign(&m, (const char *)data, size, signature);
        if (!minhash_walk(&m, (const char *)data, size, count, &walked) || walked != n || n > size) __builtin_trap();
        if (minhash_sign(&m, wide, size + 2, again) != n || minhash_similarity(&m, signature, again) != 1) __builtin_trap();
        if ((n == 0) != (signature[0] == INT32_MAX && signature[1] == INT32_MAX)) __builtin_trap();
        minhash_release(&m, c);
    }
    free(wide);
    if (c->alloc_bytes != 0) __builtin_trap();
    ctx_free(c);
    return 0;
}
