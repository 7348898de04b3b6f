/* The two fast ways of merging against the definition: search the whole piece for the pair of lowest rank, merge the
 * leftmost, begin again. Random merges are used, not trained ones, so that results may be made in several ways and later
 * merges make pairs of lower rank, which trained vocabularies seldom do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "io/tokenizer/bpe.h"
#include "io/tokenizer/bpe_queue.h"

enum { LETTERS = 4, MAX_TOKENS = 400, MAX_TEXT = 600 };

/* A vocabulary of strings over a few letters. */
struct vocab {
    char text[MAX_TOKENS][40];
    int n;
};

static int find(const struct vocab *v, const char *text)
{
    for (int i = 0; i < v->n; i++)
        if (strcmp(v->text[i], text) == 0) return i;
    return -1;
}

/* Random merges in random order of rank: of two tokens whose joined text becomes a token when it is not yet one. */
static void random_merges(struct ctx *c, struct rng *r, struct vocab *v, struct bpe *b)
{
    /* Short texts of few letters are made in many ways, which is what takes positions out of order. */
    size_t longest = rng_below(r, 2) ? 6 : sizeof v->text[0] - 1;
    int letters = 1 + (int)rng_below(r, LETTERS);
    int n_merges = 5 + (int)rng_below(r, 200);
    assert_int_equal(bpe_init(c, b, 0), OK);
    v->n = letters;
    for (int i = 0; i < letters; i++) {
        memcpy(v->text[i], (char[]){(char)('a' + i), 0}, 2);
        b->byte_id['a' + i] = i;
    }
    for (int i = 0; i < n_merges && v->n < MAX_TOKENS; i++) {
        /* Short halves are likelier, so that merges apply. */
        int left = (int)rng_below(r, 1 + rng_below(r, (uint64_t)v->n)),
            right = (int)rng_below(r, 1 + rng_below(r, (uint64_t)v->n));
        char joined[80];
        strcpy(joined, v->text[left]);
        strcat(joined, v->text[right]);
        if (strlen(joined) > longest) continue;
        int result = find(v, joined);
        if (result < 0) strcpy(v->text[result = v->n++], joined);
        assert_int_equal(bpe_add_merge(b, left, right, result), OK);
    }
}

/* The definition. */
static size_t merge_slowly(const struct bpe *b, int32_t *symbols, size_t n)
{
    for (;;) {
        uint64_t best = BPE_NO_MERGE;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            uint64_t merge = bpe_merge(b, symbols[i], symbols[i + 1]);
            if (merge < best) {
                best = merge;
                at = i;
            }
        }
        if (best == BPE_NO_MERGE) return n;
        symbols[at] = (int32_t)(uint32_t)best;
        memmove(symbols + at + 1, symbols + at + 2, (n - at - 2) * sizeof *symbols);
        n--;
    }
}

static void compare(struct ctx *c, const struct bpe *b, const char *text, size_t n)
{
    int32_t slow[MAX_TEXT], fast[MAX_TEXT];
    struct ids queued = {0}, encoded = {0};
    struct bpe_work w;
    size_t symbols = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t id = b->byte_id[(uint8_t)text[i]];
        if (id < 0) continue;
        slow[symbols] = fast[symbols] = id;
        symbols++;
    }
    size_t want = merge_slowly(b, slow, symbols);
    assert_int_equal(bpe_queue_run(c, b, fast, symbols, &queued), OK);
    assert_int_equal(bpe_work_init(c, &w, 100000), OK);
    assert_int_equal(bpe_encode(c, b, &w, text, n, &encoded), OK);
    assert_int_equal(bpe_encode(c, b, &w, text, n, &encoded), OK); /* now out of the table of pieces */
    assert_int_equal(queued.n, want);
    assert_int_equal(encoded.n, 2 * want);
    if (want > 0) {
        assert_memory_equal(queued.data, slow, want * sizeof *slow);
        assert_memory_equal(encoded.data, slow, want * sizeof *slow);
        assert_memory_equal(encoded.data + want, slow, want * sizeof *slow);
    }
    bpe_work_release(c, &w);
    ids_release(c, &queued);
    ids_release(c, &encoded);
}

static void test_random_merges(void **state)
{
    (void)state;
    static struct vocab v;
    struct ctx *c = ctx_new(NULL);
    struct rng r;
    rng_init(&r, 3, RNG_TEST, 0);
    for (int round = 0; round < 400; round++) {
        struct bpe b;
        char text[MAX_TEXT];
        random_merges(c, &r, &v, &b);
        for (int i = 0; i < 10; i++) {
            size_t n = 1 + rng_below(&r, i < 5 ? 60 : MAX_TEXT);
            uint64_t letters = 1 + rng_below(&r, LETTERS);
            for (size_t k = 0; k < n; k++) text[k] = (char)('a' + rng_below(&r, letters)); /* some without a token */
            compare(c, &b, text, n);
        }
        bpe_release(&b);
    }
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* A pair that is listed twice counts where it stands last, as in the reference. */
static void test_repeated_merge(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct bpe b;
    assert_int_equal(bpe_init(c, &b, 4), OK);
    for (int i = 0; i < 3; i++) b.byte_id['a' + i] = i;
    assert_int_equal(bpe_add_merge(&b, 0, 1, 3), OK); /* ab */
    assert_int_equal(bpe_add_merge(&b, 1, 2, 4), OK); /* bc */
    assert_int_equal(bpe_add_merge(&b, 0, 1, 3), OK); /* ab again: now after bc */
    struct bpe_work w;
    struct ids ids = {0};
    assert_int_equal(bpe_work_init(c, &w, 3), OK);
    assert_int_equal(bpe_encode(c, &b, &w, "abc", 3, &ids), OK);
    assert_int_equal(ids.n, 2);
    assert_int_equal(ids.data[0], 0);
    assert_int_equal(ids.data[1], 4);
    ids_release(c, &ids);
    bpe_work_release(c, &w);
    bpe_release(&b);
    ctx_free(c);
}

/* Bytes without a token: left out and their neighbours merge; one unknown id a byte; or one a run. */
static void test_unknown_bytes(void **state)
{
    (void)state;
    static const struct {
        int32_t unknown;
        bool fuse;
        int32_t want[6];
        size_t n;
    } cases[] = {{-1, false, {2}, 1}, {9, false, {9, 0, 9, 9, 1, 9}, 6}, {9, true, {9, 0, 9, 1, 9}, 5}};
    struct ctx *c = ctx_new(NULL);
    for (int i = 0; i < 3; i++) {
        struct bpe b;
        struct bpe_work w;
        struct ids ids = {0};
        assert_int_equal(bpe_init(c, &b, 4), OK);
        b.byte_id['a'] = 0;
        b.byte_id['b'] = 1;
        b.unknown_id = cases[i].unknown;
        b.fuse_unknown = cases[i].fuse;
        assert_int_equal(bpe_add_merge(&b, 0, 1, 2), OK);
        assert_int_equal(bpe_work_init(c, &w, 6), OK);
        assert_int_equal(bpe_encode(c, &b, &w, "?a??b?", 6, &ids), OK);
        assert_int_equal(ids.n, cases[i].n);
        assert_memory_equal(ids.data, cases[i].want, ids.n * sizeof *ids.data);
        ids_release(c, &ids);
        bpe_work_release(c, &w);
        bpe_release(&b);
    }
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_merges),
        cmocka_unit_test(test_repeated_merge),
        cmocka_unit_test(test_unknown_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
