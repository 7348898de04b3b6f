#include "support_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "data/pack.h"

enum { LENGTH = 64, ROWS = 150 };

/* Rows of 2 to 200 tokens (long ones are split at 64), prompts among them, scores and weights of all kinds, some 0. */
static struct dataset *mixed(struct ctx *c)
{
    static char rows[ROWS * 512];
    size_t at = 0;
    struct rng r;
    rng_init(&r, 9, RNG_TEST, 0);
    for (int i = 0; i < ROWS; i++) {
        char text[256];
        int n = (int)rng_below(&r, i % 10 == 0 ? 200 : 60) + 1;
        for (int k = 0; k < n; k++) text[k] = (char)('a' + rng_below(&r, 26));
        text[n] = '\0';
        if (i % 3) {
            at += (size_t)sprintf(rows + at, "{\"text\":\"%s\"", text);
        } else {
            at += (size_t)sprintf(rows + at, "{\"prompt\":\"question %d\",\"completion\":\"%s\"", i, text);
        }
        at += (size_t)sprintf(rows + at, ",\"auth_weight\":%.3f,\"prov_entropy\":%.3f,\"loss_weight\":%d}\n",
                              rng_uniform(&r) * 0.99, rng_uniform(&r) * 8, (int)rng_below(&r, 4));
    }
    struct dataset_options o = dataset_options_default(NULL, 0);
    o.raw = true;
    o.max_length = LENGTH;
    return make_dataset(c, rows, &o);
}

struct fixture {
    struct ctx *c;
    struct dataset *d;
    struct objective o;
};

static void open_fixture(struct fixture *f, struct ctx *c)
{
    struct objective_options options = objective_options_default();
    f->c = c;
    f->d = mixed(c);
    assert_int_equal(objective_fit(c, &options, f->d, &f->o), OK);
}

static struct pack_options options_of(int64_t batch, int64_t accumulation, bool packing)
{
    return (struct pack_options){
        .max_length = LENGTH, .batch = batch, .accumulation = accumulation, .packing = packing, .seed = 42};
}

static struct pack *open_pack(const struct fixture *f, struct pack_options options, int64_t epoch)
{
    struct pack *p = pack_epoch_new(f->c, f->d, &f->o, &options, epoch);
    if (!p) fail_msg("%s", f->c->message);
    return p;
}

/* A batch holds what batch.h and pack.h promise, document by document, checked against the dataset. */
static void check_batch(const struct fixture *f, const struct pack *p, const struct batch *b, int64_t *times)
{
    const int64_t *documents = pack_documents(p);
    assert_int_equal(b->cu[0], 0);
    assert_int_equal(b->cu[b->n_seg], b->n);
    for (int s = 0; s < b->n_seg; s++) {
        const struct dataset_document *e = dataset_document(f->d, documents[s]);
        const int32_t *tokens = dataset_tokens(f->d, documents[s]);
        const uint8_t *trained = dataset_trained(f->d, documents[s]);
        float weight = (float)(objective_omega(&f->o, e->auth_weight, e->prov_entropy) * e->loss_weight);
        times[documents[s]]++;
        assert_int_equal(b->cu[s + 1] - b->cu[s], e->n);
        for (int32_t t = 0; t < e->n; t++) {
            int32_t at = b->cu[s] + t;
            bool target = t + 1 < e->n && trained[t + 1];
            assert_int_equal(b->tokens[at], tokens[t]);
            assert_int_equal(b->positions[at], t);
            assert_true(b->weights[at] == (target ? weight : 0));
            if (target) assert_int_equal(b->targets[at], tokens[t + 1]);
        }
    }
}

static void check_epoch(const struct fixture *f, struct pack *p, const struct pack_options *o)
{
    int64_t n = dataset_n_documents(f->d), sequences = 0, trained_all = 0;
    int64_t *times = calloc((size_t)n, sizeof *times);
    for (int64_t step = 0; step < pack_steps(p); step++) {
        int64_t tokens = 0, trained = 0, micros = pack_micro_batches(p, step);
        double weight = 0;
        assert_in_range(micros, 1, o->accumulation);
        if (step + 1 < pack_steps(p)) assert_int_equal(micros, o->accumulation);
        for (int64_t m = 0; m < micros; m++) {
            struct batch b;
            assert_int_equal(pack_batch(p, step, m, &b), OK);
            assert_int_equal(b.first_token, tokens);
            assert_true(b.n >= 2 && b.n <= pack_longest_batch(p, NULL, NULL) && b.n <= o->batch * o->max_length);
            check_batch(f, p, &b, times);
            tokens += b.n;
            for (int64_t t = 0; t < b.n; t++) {
                trained += b.weights[t] != 0;
                weight += b.weights[t];
            }
            if (!o->packing) sequences += b.n_seg;
        }
        assert_int_equal(pack_step_tokens(p, step), tokens);
        assert_int_equal(pack_step_trained_tokens(p, step), trained);
        assert_true(trained >= 1);
        assert_true(fabs(pack_step_mean_weight(p, step) - weight / (double)trained) < 1e-9);
        trained_all += trained;
    }
    for (int64_t i = 0; i < n; i++) assert_int_equal(times[i], 1); /* every document, so every target, exactly once */
    assert_int_equal(trained_all, dataset_counts(f->d)->trained);
    if (!o->packing) assert_int_equal(sequences, n);
    int64_t a_step = o->batch * o->accumulation;
    assert_int_equal(pack_steps(p), (pack_sequences(p) + a_step - 1) / a_step);
    free(times);
}

static void every_trained_token_once_an_epoch(void **state)
{
    struct fixture f;
    open_fixture(&f, *state);
    static const int64_t layouts[][2] = {{1, 1}, {8, 1}, {1, 8}, {3, 5}, {1000, 1}, {2, 1000}};
    for (int packing = 0; packing < 2; packing++) {
        for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
            struct pack_options o = options_of(layouts[i][0], layouts[i][1], packing);
            struct pack *p = open_pack(&f, o, (int64_t)i);
            check_epoch(&f, p, &o);
            pack_free(p);
            p = pack_ordered_new(f.c, f.d, &f.o, &o);
            check_epoch(&f, p, &o);
            pack_free(p);
        }
    }
    dataset_close(f.d);
    pack_free(NULL);
}

/* The tokens, weights and offsets of a step, one after the other. */
struct stream {
    int32_t tokens[8 * LENGTH], positions[8 * LENGTH], targets[8 * LENGTH];
    float weights[8 * LENGTH];
    int64_t index[8 * LENGTH]; /* first_token + row: the dropout key */
    int64_t n;
};

static void read_step(struct pack *p, int64_t step, struct stream *s)
{
    memset(s, 0, sizeof *s);
    for (int64_t m = 0; m < pack_micro_batches(p, step); m++) {
        struct batch b;
        assert_int_equal(pack_batch(p, step, m, &b), OK);
        for (int64_t t = 0; t < b.n; t++, s->n++) {
            s->tokens[s->n] = b.tokens[t];
            s->positions[s->n] = b.positions[t];
            s->targets[s->n] = b.targets[t];
            s->weights[s->n] = b.weights[t];
            s->index[s->n] = b.first_token + t;
        }
    }
}

static void layouts_hold_the_same_stream(void **state)
{
    struct fixture f;
    open_fixture(&f, *state);
    static const int64_t layouts[][2] = {{1, 8}, {8, 1}, {2, 4}, {4, 2}};
    static struct stream reference, other;
    for (int packing = 0; packing < 2; packing++) {
        struct pack *p = open_pack(&f, options_of(1, 8, packing), 3);
        for (size_t i = 1; i < 4; i++) {
            struct pack *q = open_pack(&f, options_of(layouts[i][0], layouts[i][1], packing), 3);
            assert_int_equal(pack_steps(q), pack_steps(p));
            for (int64_t step = 0; step < pack_steps(p); step++) {
                read_step(p, step, &reference);
                read_step(q, step, &other);
                assert_memory_equal(&other, &reference, sizeof reference);
                assert_int_equal(pack_step_trained_tokens(q, step), pack_step_trained_tokens(p, step));
                for (int64_t t = 0; t < reference.n; t++) assert_int_equal(reference.index[t], t);
            }
            pack_free(q);
        }
        pack_free(p);
    }
    dataset_close(f.d);
}

static bool same_packs(struct pack *p, struct pack *q)
{
    static struct stream a, b;
    if (pack_steps(p) != pack_steps(q)) return false;
    for (int64_t step = 0; step < pack_steps(p); step++) {
        read_step(p, step, &a);
        read_step(q, step, &b);
        if (memcmp(&a, &b, sizeof a) != 0) return false;
    }
    return true;
}

static void seed_and_epoch_decide(void **state)
{
    struct fixture f;
    open_fixture(&f, *state);
    for (int packing = 0; packing < 2; packing++) {
        struct pack_options o = options_of(2, 4, packing), other_seed = o;
        other_seed.seed++;
        struct pack *p = open_pack(&f, o, 5), *again = open_pack(&f, o, 5), *next = open_pack(&f, o, 6),
                    *seed = open_pack(&f, other_seed, 5);
        assert_true(same_packs(p, again));
        assert_false(same_packs(p, next));
        assert_false(same_packs(p, seed));
        struct pack *ordered = pack_ordered_new(f.c, f.d, &f.o, &o),
                    *ordered2 = pack_ordered_new(f.c, f.d, &f.o, &other_seed);
        assert_true(same_packs(ordered, ordered2)); /* validation does not depend on the seed */
        struct pack *all[] = {p, again, next, seed, ordered, ordered2};
        for (int i = 0; i < 6; i++) pack_free(all[i]);
    }
    dataset_close(f.d);
}

static void ordered_packs_keep_the_order(void **state)
{
    struct fixture f;
    open_fixture(&f, *state);
    for (int packing = 0; packing < 2; packing++) {
        struct pack_options o = options_of(1, 1, packing);
        struct pack *p = pack_ordered_new(f.c, f.d, &f.o, &o);
        int64_t next = 0;
        for (int64_t step = 0; step < pack_steps(p); step++) {
            struct batch b;
            assert_int_equal(pack_batch(p, step, 0, &b), OK);
            for (int s = 0; s < b.n_seg; s++) assert_int_equal(pack_documents(p)[s], next++);
        }
        assert_int_equal(next, dataset_n_documents(f.d));
        pack_free(p);
    }
    dataset_close(f.d);
}

/* Packing is worth its name: close to the fewest sequences that could hold the tokens, none above max_length. */
static void packing_fills_sequences(void **state)
{
    struct fixture f;
    open_fixture(&f, *state);
    struct pack *p = open_pack(&f, options_of(1, 1, true), 0);
    int64_t fewest = (dataset_counts(f.d)->tokens + LENGTH - 1) / LENGTH;
    assert_in_range(pack_sequences(p), fewest, fewest + fewest / 20 + 1);
    int64_t step, micro;
    struct batch longest;
    assert_true(pack_longest_batch(p, &step, &micro) <= LENGTH);
    assert_int_equal(pack_batch(p, step, micro, &longest), OK);
    assert_int_equal(longest.n, pack_longest_batch(p, NULL, NULL));
    pack_free(p);
    dataset_close(f.d);
}

/* The shuffle is uniform: over many epochs each document comes first equally often. */
static void shuffle_is_fair(void **state)
{
    struct fixture f = {.c = *state};
    struct objective_options options = objective_options_default();
    f.d = make_dataset(f.c, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"c\"}\n{\"text\":\"d\"}\n", NULL);
    assert_int_equal(objective_fit(f.c, &options, f.d, &f.o), OK);
    struct pack_options o = {.max_length = 2048, .batch = 1, .accumulation = 1, .seed = 1};
    enum { EPOCHS = 6000 };
    int count[4][4] = {0};
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        struct pack *p = open_pack(&f, o, epoch);
        for (int64_t step = 0; step < 4; step++) {
            struct batch b;
            assert_int_equal(pack_batch(p, step, 0, &b), OK);
            count[step][pack_documents(p)[0]]++;
        }
        pack_free(p);
    }
    for (int place = 0; place < 4; place++) {
        double chi2 = 0;
        for (int doc = 0; doc < 4; doc++) chi2 += pow(count[place][doc] - EPOCHS / 4.0, 2) / (EPOCHS / 4.0);
        assert_true(chi2 < 16.3); /* 3 degrees of freedom: p = 0.001 */
    }
    dataset_close(f.d);
}

/* A weight too small for a float takes its document out of the packs: it could never be the whole of a step. */
static void vanishing_weights(void **state)
{
    struct fixture f = {.c = *state};
    struct objective_options options = objective_options_default();
    f.d = make_dataset(f.c, "{\"text\":\"a\",\"weight\":1e-60}\n{\"text\":\"b\"}\n", NULL);
    assert_int_equal(objective_fit(f.c, &options, f.d, &f.o), OK);
    struct pack_options o = {.max_length = 2048, .batch = 1, .accumulation = 1, .seed = 1};
    struct pack *p = open_pack(&f, o, 0);
    struct batch b;
    assert_int_equal(pack_steps(p), 1);
    assert_int_equal(pack_batch(p, 0, 0, &b), OK);
    assert_int_equal(b.n_seg, 1);
    assert_int_equal(pack_documents(p)[0], 1);
    pack_free(p);
    dataset_close(f.d);
    f.d = make_dataset(f.c, "{\"text\":\"a\",\"weight\":1e-60}\n", NULL);
    assert_null(pack_epoch_new(f.c, f.d, &f.o, &o, 0));
    assert_failed(f.c, E_INPUT, "every document's weight is 0");
    dataset_close(f.d);
}

static void options_and_scores_are_checked(void **state)
{
    struct fixture f;
    open_fixture(&f, *state);
    struct pack_options bad[4];
    for (int i = 0; i < 4; i++) bad[i] = options_of(1, 1, true);
    bad[0].batch = 0;
    bad[1].accumulation = 0;
    bad[2].max_length = LENGTH - 1;
    bad[3].max_length = 1;
    static const char *const messages[] = {"batch 0", "accumulation 0", "does not fit into sequences of 63",
                                           "maximal length 1"};
    for (int i = 0; i < 4; i++) {
        assert_null(pack_epoch_new(f.c, f.d, &f.o, &bad[i], 0));
        assert_failed(f.c, E_INPUT, messages[i]);
    }
    bad[0] = options_of(1, 1, true);
    assert_null(pack_epoch_new(f.c, f.d, &f.o, &bad[0], -1));
    assert_failed(f.c, E_INPUT, "epoch -1");
    dataset_close(f.d);
    /* validation rows without scores under an objective that needs them */
    f.d = make_dataset(f.c, "{\"text\":\"a\"}\n", NULL);
    bad[0].max_length = 2048;
    assert_null(pack_ordered_new(f.c, f.d, &f.o, &bad[0]));
    assert_failed(f.c, E_INPUT, "rows.jsonl:1: no auth_weight");
    dataset_close(f.d);
}

static void a_truncated_cache_is_noticed(void **state)
{
    struct fixture f;
    open_fixture(&f, *state);
    struct pack *p = open_pack(&f, options_of(1, 1, true), 0);
    struct batch b;
    assert_int_equal(truncate(scratch_path("cache"), 64), 0);
    assert_int_equal(pack_batch(p, 0, 0, &b), E_IO);
    assert_failed(f.c, E_IO, "truncated");
    pack_free(p);
    dataset_close(f.d);
}

static void every_allocation_may_fail(void **state)
{
    struct fixture f;
    open_fixture(&f, *state);
    for (long n = 1;; n++) {
        struct oom oom = {.fail_at = n};
        struct ctx *c = oom_ctx(&oom);
        struct pack_options o = options_of(2, 2, true);
        struct pack *p = pack_epoch_new(c, f.d, &f.o, &o, 0);
        bool done = p != NULL;
        if (!done) assert_int_equal(c->status, E_MEMORY);
        pack_free(p);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
        assert_true(n < 100);
        if (done) break;
    }
    dataset_close(f.d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(every_trained_token_once_an_epoch),
        DATA_TEST(layouts_hold_the_same_stream),
        DATA_TEST(seed_and_epoch_decide),
        DATA_TEST(ordered_packs_keep_the_order),
        DATA_TEST(packing_fills_sequences),
        DATA_TEST(shuffle_is_fair),
        DATA_TEST(vanishing_weights),
        DATA_TEST(options_and_scores_are_checked),
        DATA_TEST(a_truncated_cache_is_noticed),
        DATA_TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
