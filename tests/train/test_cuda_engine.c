/* The whole engine on a card against the CPU's f32: losses, norms, gradients, log-probabilities, generation; the same
 * bytes on a rerun; memory as it was counted; faults and refusals by name.
 *
 * Without a card the card is the emulator of tests/cuda/emulator. YA_TEST_CUDA=card takes a real one (skipped without). */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "array/backend.h"
#include "array/op.h"
#include "backend/backend_open.h"
#include "base/rng.h"
#include "base/threads.h"
#include "engine/engine.h"
#include "model/llama.h"
#include "train/support_tiny.h"
#include "support_cuda_card.h"

enum { N = 61, SEGMENTS = 3, MOST = 1 << 16 };

static const char *folder;
static struct model_options opened; /* how sides open the model */
static int32_t tokens[N], positions[N], targets[N], cu[SEGMENTS + 1] = {0, 5, 24, N};
static float weights[N];

struct side {
    struct ctx *c;
    struct model *model;
    struct lora *lora;
    struct engine *engine;
};

static struct ctx *open_ctx(const char *device)
{
    struct ctx *c = ctx_new(NULL);
    assert_non_null(c);
    assert_int_equal(ctx_set_threads(c, 2), OK);
    if (array_env_new(c, backend_open(c, device)) != OK) fail_msg("%s: %s", device, c->message);
    return c;
}

static void close_ctx(struct ctx *c)
{
    if (!ctx_ok(c)) fail_msg("%s", c->message);
    array_env_free(c);
    ctx_free(c);
}

/* The same adapter on every device: B from a stream of its own, since at 0 the gradients of A would be 0. */
static void open_side(struct side *s, const char *device, int64_t rank, double dropout)
{
    s->c = open_ctx(device);
    s->model = model_open_with(s->c, folder, &opened);
    if (!s->model) fail_msg("%s", s->c->message);
    const struct lora_config config = {
        .rank = rank, .alpha = 2.0 * (double)rank, .dropout = dropout, .targets = (1u << LORA_PLACES) - 1, .seed = 11};
    s->lora = lora_new(s->c, &s->model->config, &config);
    assert_non_null(s->lora);
    struct rng r;
    rng_init(&r, 3, RNG_TEST, 0);
    for (size_t i = 0; i < s->lora->n_modules; i++) {
        float values[4096];
        int64_t n = array_size(s->lora->modules[i].slot.b);
        assert_true(n <= 4096);
        for (int64_t k = 0; k < n; k++) values[k] = (float)(0.05 * rng_normal(&r));
        assert_int_equal(parameter_write(s->lora->modules[i].slot.b, values), OK);
    }
    model_attach_lora(s->model, s->lora);
    s->engine = engine_native_new(s->c, s->model, s->lora);
    assert_non_null(s->engine);
}

static void close_side(struct side *s)
{
    s->engine->ops->free(s->engine);
    model_free(s->model);
    lora_free(s->lora);
    close_ctx(s->c);
}

/* every: of how many tokens one is trained. */
static struct batch make_batch(int every)
{
    for (int i = 0, s = 0; i < N; i++) {
        while (i >= cu[s + 1]) s++;
        bool last = i == cu[s + 1] - 1;
        tokens[i] = i * 37 % 251;
        positions[i] = i - cu[s];
        weights[i] = !last && i % every == 0 ? 0.5f + 0.25f * (float)(i % 4) : 0;
        targets[i] = weights[i] > 0 ? i * 53 % 251 : -7;
    }
    return (struct batch){.n = N,
                          .tokens = tokens,
                          .positions = positions,
                          .n_seg = SEGMENTS,
                          .cu = cu,
                          .targets = targets,
                          .weights = weights,
                          .first_token = 17};
}

/* ---- a training step ------------------------------------------------------------------------------------------------- */

struct outcome {
    struct engine_result result[2];
    size_t n;
    float gradients[MOST], values[MOST]; /* of the first step; after the second */
    float logprobs[17 + N];              /* of the second step's tokens */
};

static size_t read_all(struct side *s, enum engine_values which, float *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s->engine->parameters->n; i++) {
        assert_true(n + (size_t)tiny_size(s->engine, i) <= MOST);
        assert_int_equal(s->engine->ops->read(s->engine, which, i, out + n), OK);
        n += (size_t)tiny_size(s->engine, i);
    }
    return n;
}

static void train_with(struct side *s, const struct batch *b, int64_t recomputed, int64_t offloaded, struct outcome *o)
{
    for (int64_t step = 1; step <= 2; step++) {
        const struct engine_update update = {.step = step,
                                             .threshold = 1,
                                             .lr = 1e-3,
                                             .beta1 = 0.9,
                                             .beta2 = 0.999,
                                             .eps = 1e-8,
                                             .correction1 = 1 - pow(0.9, (double)step),
                                             .correction2 = 1 - pow(0.999, (double)step)};
        for (int64_t micro = 0; micro < 2; micro++) {
            const struct engine_micro m = {.step = step,
                                           .index = micro,
                                           .count = 2,
                                           .inv_n = 1.0 / 80,
                                           .seed = 5,
                                           .recomputed_blocks = recomputed,
                                           .offloaded_blocks = offloaded,
                                           .step_tokens = 2 * (17 + N)}; /* both micro-batches are at 17 */
            if (s->engine->ops->step(s->engine, b, &m) != OK) fail_msg("%s", s->c->message);
        }
        if (step == 1) o->n = read_all(s, ENGINE_GRADIENTS, o->gradients);
        assert_int_equal(s->engine->ops->update(s->engine, &update), OK);
        static float logprobs[2 * (17 + N)];
        assert_int_equal(s->engine->ops->result(s->engine, step, &o->result[step - 1], logprobs), OK);
        memcpy(o->logprobs, logprobs, sizeof(o->logprobs));
    }
    read_all(s, ENGINE_PARAMETERS, o->values);
}

static void train(struct side *s, const struct batch *b, int64_t recomputed, struct outcome *o)
{
    train_with(s, b, recomputed, 0, o);
}

/* 1 - cosine, and |a - b| / |b|. */
static void compare(const float *a, const float *b, size_t n, double *turn, double *error)
{
    double ab = 0, aa = 0, bb = 0, dd = 0;
    for (size_t i = 0; i < n; i++) {
        double x = (double)a[i], y = (double)b[i];
        ab += x * y, aa += x * x, bb += y * y, dd += (x - y) * (x - y);
    }
    *turn = 1 - ab / sqrt(aa * bb);
    *error = sqrt(dd / bb);
}

/* bf16 holds 8 bits. The tiny model's logits are large (a loss of 10 a token), so their roundings are most of the
 * difference: what is allowed is twice what was seen, and a wrong mask or term is far outside. */
static void expect_near(const struct side *s, const struct outcome *card, const struct outcome *cpu)
{
    double turn, error;
    for (int i = 0; i < 2; i++) {
        const struct engine_result *a = &card->result[i], *b = &cpu->result[i];
        assert_int_equal(a->loss.count, b->loss.count);
        assert_true(fabs(a->loss.weighted / b->loss.weighted - 1) < 3e-3);
        assert_true(fabs(a->loss.unweighted / b->loss.unweighted - 1) < 3e-3);
        assert_true(fabs(a->norm / b->norm - 1) < 1e-2);
    }
    assert_int_equal(card->n, cpu->n);
    double off = 0;
    for (int i = 0; i < 17 + N; i++) {
        assert_true((card->logprobs[i] == 0) == (cpu->logprobs[i] == 0));
        off = fmax(off, fabs((double)card->logprobs[i] - (double)cpu->logprobs[i]));
    }
    if (!(off < 0.3)) fail_msg("log-probabilities: off by %g", off);
    compare(card->gradients, cpu->gradients, cpu->n, &turn, &error);
    if (!(turn < 1e-3 && error < 4e-2)) fail_msg("gradient: 1 - cosine %g, error %g", turn, error);
    for (size_t i = 0, at = 0; i < s->engine->parameters->n; at += (size_t)tiny_size(s->engine, i++)) {
        compare(card->gradients + at, cpu->gradients + at, (size_t)tiny_size(s->engine, i), &turn, &error);
        if (!(turn < 4e-3)) fail_msg("%s: 1 - cosine %g", s->engine->parameters->list[i].name, turn);
    }
    compare(card->values, cpu->values, cpu->n, &turn, &error);
    if (!(error < 2e-2)) fail_msg("adapter after two updates: error %g", error);
}

static void expect_same(const struct outcome *a, const struct outcome *b)
{
    assert_memory_equal(a->gradients, b->gradients, a->n * sizeof(float));
    assert_memory_equal(a->values, b->values, a->n * sizeof(float));
    for (int i = 0; i < 2; i++) {
        assert_true(a->result[i].norm == b->result[i].norm);
        assert_true(a->result[i].loss.weighted == b->result[i].loss.weighted);
    }
}

/* Two steps near the CPU's, and the same bits with a block recomputed; all_ways: also once more as they were, with its input
 * in the host's memory, and with nothing recomputed at all. */
static void steps_agree(int64_t rank, double dropout, int every, bool all_ways)
{
    static struct outcome cpu, card, other;
    struct side s;
    struct batch b = make_batch(every);
    open_side(&s, "cpu", rank, dropout);
    train(&s, &b, 0, &cpu);
    close_side(&s);
    open_side(&s, "cuda", rank, dropout);
    train(&s, &b, 0, &card);
    expect_near(&s, &card, &cpu);
    close_side(&s);
    static const struct {
        int64_t recomputed, offloaded;
    } ways[] = {{1, 0}, {0, 0}, {1, 1}, {-1, 0}};
    for (int i = 0; i < (all_ways ? 4 : 1); i++) {
        open_side(&s, "cuda", rank, dropout);
        train_with(&s, &b, ways[i].recomputed, ways[i].offloaded, &other);
        expect_same(&other, &card);
        close_side(&s);
    }
}

static void a_step_is_the_cpus(void **state)
{
    (void)state;
    steps_agree(16, 0, 1, true);
}

/* Products of a rank without a kernel of its own; masks that must be the CPU's, or the gradient would be another one. */
static void dropout_is_the_cpus(void **state)
{
    (void)state;
    steps_agree(4, 0.3, 1, true);
}

/* Most rows are left out of the last block and come back as zeros in backward. */
static void rows_without_weight_are_left_out(void **state)
{
    (void)state;
    steps_agree(32, 0, 4, true);
}

/* The same codes on both sides: what differs is bf16, as before. */
static void a_compressed_base_is_the_cpus(void **state)
{
    (void)state;
    for (enum base_type base = BASE_NF4; base < BASE_TYPES; base++) {
        opened.base = base;
        steps_agree(16, 0, 1, false);
    }
    opened.base = BASE_AS_IS;
}

/* How many graphs the emulator has launched; 0 on a card, which does not count them. */
static size_t graph_launches(void)
{
    size_t (*count)(void) = NULL;
    *(void **)&count = card_emulated("emulated_graph_launches");
    return count ? count() : 0;
}

/* Graphs of recorded calls (the default; the second step's take over the first's) against calls that are queued one by one.
 */
static void graphs_change_no_bit(void **state)
{
    (void)state;
    static struct outcome recorded, single;
    struct batch b = make_batch(1);
    struct side s;
    open_side(&s, "cuda", 16, 0.3);
    size_t none = graph_launches();
    train(&s, &b, 1, &recorded);
    assert_true(getenv("YA_TEST_CUDA") || graph_launches() > none);
    close_side(&s);
    setenv("YA_CUDA_GRAPHS", "0", 1);
    open_side(&s, "cuda", 16, 0.3);
    size_t before = graph_launches();
    train(&s, &b, 1, &single);
    assert_int_equal(graph_launches(), before);
    close_side(&s);
    unsetenv("YA_CUDA_GRAPHS");
    expect_same(&recorded, &single);
}

/* A step whose result is never read: the next train() begins anew. */
static void begin_step(struct side *s, const struct batch *b)
{
    const struct engine_micro m = {.step = 1, .count = 1, .inv_n = 1};
    assert_int_equal(s->engine->ops->step(s->engine, b, &m), OK);
}

/* A second backend that is opened and closed while the first is in the middle of a step; nothing is recorded from then on
 * until it is alone again. */
static void two_backends_do_not_disturb_each_other(void **state)
{
    (void)state;
    static struct outcome alone, first, second;
    struct batch b = make_batch(1);
    struct side s, other;
    open_side(&s, "cuda", 16, 0);
    train(&s, &b, 0, &alone);
    close_side(&s);
    open_side(&s, "cuda", 16, 0);
    begin_step(&s, &b);
    open_side(&other, "cuda", 16, 0);
    train(&other, &b, 0, &second);
    train(&s, &b, 0, &first);
    close_side(&other);
    expect_same(&first, &alone);
    expect_same(&second, &alone);
    close_side(&s);
}

struct elsewhere {
    struct side *side;
    struct batch batch;
    struct outcome *out;
};

static void *train_elsewhere(void *arg)
{
    struct elsewhere *e = arg;
    train(e->side, &e->batch, 0, e->out);
    return NULL;
}

/* The driver keeps a context for each thread; the one that opened the card need not be the one that uses it. */
static void another_thread_may_go_on(void **state)
{
    (void)state;
    static struct outcome here, there;
    struct side s;
    pthread_t thread;
    open_side(&s, "cuda", 16, 0);
    struct elsewhere e = {&s, make_batch(1), &here};
    train_elsewhere(&e);
    close_side(&s);
    open_side(&s, "cuda", 16, 0);
    e.out = &there;
    assert_int_equal(pthread_create(&thread, NULL, train_elsewhere, &e), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_same(&here, &there);
    close_side(&s);
}

/* ---- evaluation and generation --------------------------------------------------------------------------------------- */

static void log_probabilities_are_the_cpus(void **state)
{
    (void)state;
    const char *const devices[2] = {"cpu", "cuda"};
    static float logprobs[2][N];
    struct engine_loss loss[2];
    struct batch b = make_batch(2);
    for (int i = 0; i < 2; i++) {
        struct side s;
        open_side(&s, devices[i], 8, 0);
        assert_int_equal(s.engine->ops->evaluate(s.engine, &b, &loss[i], logprobs[i]), OK);
        close_side(&s);
    }
    for (int i = 0; i < N; i++) {
        assert_true(weights[i] > 0 ? fabsf(logprobs[1][i] - logprobs[0][i]) < 0.15f : logprobs[1][i] == 0);
    }
    assert_true(fabs(loss[1].weighted / loss[0].weighted - 1) < 3e-3);
}

static void a_cache_gives_what_one_pass_gives(void **state)
{
    (void)state;
    static float whole[3][TINY_VOCAB], parts[TINY_VOCAB], cpu[3][TINY_VOCAB];
    struct side s;
    double turn, error;
    make_batch(1);
    open_side(&s, "cpu", 8, 0);
    struct engine_sequence *q = s.engine->ops->sequence_new(s.engine, 32);
    assert_int_equal(s.engine->ops->extend(q, tokens, 20, 3, &cpu[0][0]), OK);
    s.engine->ops->sequence_free(q);
    close_side(&s);
    open_side(&s, "cuda", 8, 0);
    q = s.engine->ops->sequence_new(s.engine, 32);
    assert_int_equal(s.engine->ops->extend(q, tokens, 20, 3, &whole[0][0]), OK);
    s.engine->ops->sequence_free(q);
    compare(&whole[0][0], &cpu[0][0], 3 * TINY_VOCAB, &turn, &error);
    if (!(error < 3e-2)) fail_msg("logits: error %g", error);
    q = s.engine->ops->sequence_new(s.engine, 32);
    assert_int_equal(s.engine->ops->extend(q, tokens, 17, 1, parts), OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s.engine->ops->extend(q, tokens + 17 + i, 1, 1, parts), OK);
        compare(parts, whole[i], TINY_VOCAB, &turn, &error);
        if (!(error < 1e-2)) fail_msg("token %d: error %g", 17 + i, error);
    }
    s.engine->ops->sequence_free(q);
    close_side(&s);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

/* What the planner counts without a card is what the step then takes on it. */
static void memory_is_as_counted(void **state)
{
    (void)state;
    static struct outcome o;
    for (int i = 0; i < 4; i++) {
        const int64_t recomputed = (const int64_t[]){-1, 0, 1, 1}[i], offloaded = i == 3;
        struct engine_need need;
        struct side s;
        struct batch b = make_batch(1);
        open_side(&s, "cuda", 16, 0);
        assert_int_equal(s.engine->ops->count(s.engine, &b, recomputed, offloaded, &need), OK);
        train_with(&s, &b, recomputed, offloaded, &o);
        assert_int_equal(array_aside_bytes(s.c), need.aside_bytes);
        assert_true((need.aside_bytes > 0) == (offloaded > 0));
        size_t held = array_pool_stats(s.c).peak_held_bytes;
        size_t kept = array_backend(s.c)->stats(array_backend(s.c)).kept_bytes;
        assert_true(need.held_bytes > 100000 && kept > 0 && need.touched_bytes == need.held_bytes + kept);
        if (held > need.held_bytes || held < need.held_bytes / 10 * 9)
            fail_msg("counted %zu bytes, took %zu", need.held_bytes, held);
        assert_true(s.engine->ops->memory(s.engine).free_bytes > 0);
        close_side(&s);
    }
}

/* ---- adapters that are kept packed ------------------------------------------------------------------------------------ */

static size_t kept_bytes(const struct side *s)
{
    struct backend *b = array_backend(s->c);
    return b->stats(b).kept_bytes;
}

/* Leaves the emulated card less memory than packed adapters are kept in (2 MiB), which is enough for a step. */
static void leave_little_memory(struct side *s)
{
    char text[32];
    size_t taken = ((size_t)4 << 30) - s->engine->ops->memory(s->engine).free_bytes;
    snprintf(text, sizeof text, "%zu", taken + (2 << 20) - 1);
    setenv("YA_EMULATED_BYTES", text, 1);
}

/* Steps, and between them evaluation, generation, and an adapter that is written by the host: everything that is computed,
 * one behind the other. Returns how many numbers that are. */
static size_t live(struct side *s, bool little, float *out)
{
    const struct engine_ops *ops = s->engine->ops;
    const struct batch b = make_batch(1);
    size_t n = 0;
    if (little) leave_little_memory(s);
    for (int64_t step = 1; step <= 3; step++) {
        const struct engine_micro m = {.step = step, .count = 1, .inv_n = 1.0 / 40, .recomputed_blocks = step - 2};
        const struct engine_update u = {
            .step = step, .threshold = 1, .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .correction1 = 0.5, .correction2 = 0.5};
        struct engine_result result;
        struct engine_loss loss;
        static float values[MOST];
        assert_int_equal(ops->step(s->engine, &b, &m), OK);
        n += read_all(s, ENGINE_GRADIENTS, out + n);
        assert_int_equal(ops->update(s->engine, &u), OK);
        for (int pass = 0; pass < 2; pass++) { /* behind the update, and behind the host's writing */
            assert_int_equal(ops->evaluate(s->engine, &b, &loss, out + n), OK);
            out[n + N] = (float)loss.weighted;
            n += N + 1;
            struct engine_sequence *q = ops->sequence_new(s->engine, 32);
            for (int i = 0; i < 2; i++, n += TINY_VOCAB) assert_int_equal(ops->extend(q, tokens + i, 1, 1, out + n), OK);
            ops->sequence_free(q);
            size_t which = (size_t)step; /* another matrix each time */
            for (int64_t i = 0; i < tiny_size(s->engine, which); i++) values[i] = (float)(i % 13 - 6) / 64;
            assert_int_equal(ops->write(s->engine, ENGINE_PARAMETERS, which, values), OK);
        }
        assert_int_equal(ops->result(s->engine, step, &result, NULL), OK);
        out[n++] = (float)result.loss.weighted;
        out[n++] = (float)result.norm;
    }
    n += read_all(s, ENGINE_PARAMETERS, out + n);
    unsetenv("YA_EMULATED_BYTES");
    return n;
}

/* Against a card that has no memory to keep them, so that every call packs its own: the same bits. */
static void kept_adapters_change_no_bit(void **state)
{
    (void)state;
    static float kept[8 * MOST], scratch[8 * MOST];
    struct side s;
    for (int64_t rank = 16; rank <= 32; rank += 16) {
        open_side(&s, "cuda", rank, 0);
        size_t n = live(&s, false, kept);
        assert_true(n <= 8 * MOST && kept_bytes(&s) > 0);
        close_side(&s);
        if (getenv("YA_TEST_CUDA")) continue; /* a card's memory is as large as it is */
        open_side(&s, "cuda", rank, 0);
        assert_int_equal(live(&s, true, scratch), n);
        assert_int_equal(kept_bytes(&s), 0);
        close_side(&s);
        assert_memory_equal(kept, scratch, n * sizeof(float));
    }
}

/* Each group is packed when it is met, and all together behind each update. */
static void adapters_are_packed_once_a_step(void **state)
{
    (void)state;
    static struct outcome kept, scratch;
    const struct batch b = make_batch(1);
    struct side s;
    if (getenv("YA_TEST_CUDA")) skip(); /* which counts no launches */
    open_side(&s, "cuda", 16, 0);
    size_t one = card_launches("adapter_pack"), all = card_launches("adapter_pack_all"), before = card_launches(NULL);
    train(&s, &b, 0, &kept);
    size_t groups = 4 * (size_t)s.model->config.n_layers, launches = card_launches(NULL) - before;
    assert_int_equal(card_launches("adapter_pack") - one, groups);
    assert_int_equal(card_launches("adapter_pack_all") - all, 1);
    close_side(&s);
    open_side(&s, "cuda", 16, 0);
    leave_little_memory(&s);
    one = card_launches("adapter_pack"), before = card_launches(NULL);
    train(&s, &b, 0, &scratch);
    unsetenv("YA_EMULATED_BYTES");
    print_message("two steps of two micro-batches: %zu launches, %zu where every call packs\n", launches,
                  card_launches(NULL) - before);
    assert_true(card_launches("adapter_pack") - one >= 4 * groups);
    assert_int_equal(card_launches("adapter_pack_all") - all, 1);
    close_side(&s);
    expect_same(&kept, &scratch);
}

/* What an array needs, packed adapters give back: steps go on as before. */
static void packed_adapters_give_way(void **state)
{
    (void)state;
    static struct outcome alone, squeezed;
    const struct batch b = make_batch(1);
    struct side s;
    if (getenv("YA_TEST_CUDA")) skip(); /* a card's memory is as large as it is */
    open_side(&s, "cuda", 16, 0);
    train(&s, &b, 0, &alone);
    close_side(&s);
    open_side(&s, "cuda", 16, 0);
    begin_step(&s, &b);
    assert_true(kept_bytes(&s) > 0);
    leave_little_memory(&s);
    struct array *large = array_persistent(s.c, DTYPE_F32, 1, (int64_t[]){3 << 18}); /* 3 MiB */
    assert_non_null(large);
    assert_int_equal(kept_bytes(&s), 0);
    train(&s, &b, 0, &squeezed);
    assert_int_equal(kept_bytes(&s), 0);
    unsetenv("YA_EMULATED_BYTES");
    array_release(large);
    close_side(&s);
    expect_same(&squeezed, &alone);
}

/* ---- faults and refusals --------------------------------------------------------------------------------------------- */

static void expect_failed(struct ctx *c, enum status status, const char *part)
{
    assert_int_equal(c->status, status);
    if (!strstr(c->message, part)) fail_msg("%s", c->message);
    ctx_clear(c);
}

static void ids_out_of_range_are_named(void **state)
{
    (void)state;
    struct side s;
    struct engine_loss loss;
    struct batch b = make_batch(1);
    open_side(&s, "cuda", 8, 0);
    tokens[9] = 700;
    s.engine->ops->evaluate(s.engine, &b, &loss, NULL);
    expect_failed(s.c, E_SHAPE, "embed: ids[9] = 700 is not in [0, 257)");
    b = make_batch(1);
    targets[3] = 257;
    s.engine->ops->evaluate(s.engine, &b, &loss, NULL);
    expect_failed(s.c, E_SHAPE, "linear_cross_entropy: ids[3] = 257 is not in [0, 257)");
    b = make_batch(1);
    assert_int_equal(s.engine->ops->evaluate(s.engine, &b, &loss, NULL), OK); /* and it goes on */
    close_side(&s);
}

static void what_is_not_done_is_named(void **state)
{
    (void)state;
    struct ctx *c = open_ctx("cuda");
    int mark = scope_open(c);
    struct array *a = array_scalar(c, DTYPE_F32, 1);
    assert_null(op_exp(c, a));
    expect_failed(c, E_UNSUPPORTED, "does not do exp");
    assert_null(
        op_rms_norm(c, array_zeros(c, DTYPE_F32, 2, (int64_t[]){2, 8}), array_zeros(c, DTYPE_F32, 1, (int64_t[]){8}), 1));
    expect_failed(c, E_UNSUPPORTED, "rms_norm of f32 is not done on cuda:0");
    scope_close(c, mark);
    assert_null(backend_open(c, "cuda:99"));
    expect_failed(c, E_UNSUPPORTED, "there is no card 99");
    assert_null(backend_open(c, "cuda:x"));
    expect_failed(c, E_INPUT, "there is no device 'cuda:x'");
    close_ctx(c);
}

static int setup(void **state)
{
    (void)state;
    struct ctx *c = open_ctx("cpu");
    folder = tiny_folder();
    tiny_model(c, folder, false);
    close_ctx(c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tiny_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_the_cpus),
        cmocka_unit_test(a_compressed_base_is_the_cpus),
        cmocka_unit_test(another_thread_may_go_on),
        cmocka_unit_test(graphs_change_no_bit),
        cmocka_unit_test(two_backends_do_not_disturb_each_other),
        cmocka_unit_test(dropout_is_the_cpus),
        cmocka_unit_test(rows_without_weight_are_left_out),
        cmocka_unit_test(log_probabilities_are_the_cpus),
        cmocka_unit_test(a_cache_gives_what_one_pass_gives),
        cmocka_unit_test(memory_is_as_counted),
        cmocka_unit_test(kept_adapters_change_no_bit),
        cmocka_unit_test(adapters_are_packed_once_a_step),
        cmocka_unit_test(packed_adapters_give_way),
        cmocka_unit_test(ids_out_of_range_are_named),
        cmocka_unit_test(what_is_not_done_is_named),
    };
    if (!card_find()) return CARD_SKIPPED;
    return cmocka_run_group_tests(tests, setup, teardown);
}
