/* ATTENTION and ATTENTION_BWD of the tuned tables against the reference in f64: segments (of length 1 too), grouped heads,
 * windows, queries that continue a cache, odd head sizes, views into wider arrays, scores large enough to overflow a plain
 * exponential. */
#include "support_cpu.h"

struct attention_case {
    int64_t heads, groups, d;
    int n_seg;
    int32_t cu_q[201], cu_k[201];
    int window;
    int64_t pad, spare_keys;
    double scale;
};

/* In bf16 each product rounds both operands, each by 0.58 of 2^-9 of itself on average, and one product follows another. */
static const double bf16_tolerance = 1.2 / 256;

/* Gives the bytes that the pool held at most. */
static size_t check_computed(const struct attention_case *a, enum compute compute, const char *what)
{
    struct cpu_fixture t;
    cpu_open(&t);
    if (compute == COMPUTE_BF16) t.tolerance = bf16_tolerance;
    t.tolerance *= 1 + a->scale; /* errors of scores are relative to scores */
    struct attention_params p = {.scale = a->scale, .window = a->window, .compute = compute};
    struct twin cu_q = cpu_ints(&t, a->n_seg + 1, a->cu_q), cu_k = cpu_ints(&t, a->n_seg + 1, a->cu_k);
    int64_t n = a->cu_q[a->n_seg], s = a->cu_k[a->n_seg] + a->spare_keys;
    struct twin q = cpu_noise(&t, a->pad, 1, 1, SHAPE(n, a->heads, a->d));
    struct twin k = cpu_noise(&t, a->pad, 1, 2, SHAPE(s, a->groups, a->d));
    struct twin v = cpu_noise(&t, a->pad, 1, 3, SHAPE(s, a->groups, a->d));
    struct twin o = cpu_empty(&t, 0, SHAPE(n, a->heads, a->d)), lse = cpu_empty(&t, 0, SHAPE(n, a->heads));
    cpu_check(&t, &(struct cpu_call){.op = OP_ATTENTION, .in = {q, k, v, cu_q, cu_k}, .out = {o, lse}, .params = &p}, what);
    struct cpu_call backward = {.op = OP_ATTENTION_BWD, .in = {q, k, v, o, lse}, .params = &p};
    backward.in[6] = cu_q;
    backward.in[7] = cu_k;
    backward.in[5] = cpu_noise(&t, a->pad, 1, 4, SHAPE(n, a->heads, a->d));
    backward.out[0] = cpu_empty(&t, 0, SHAPE(n, a->heads, a->d));
    backward.out[1] = cpu_empty(&t, 0, SHAPE(s, a->groups, a->d));
    backward.out[2] = cpu_empty(&t, 0, SHAPE(s, a->groups, a->d));
    t.floor = a->scale; /* with one key in sight dq and dk are differences of equal numbers */
    cpu_check(&t, &backward, what);
    size_t peak = array_pool_stats(t.f.c).peak_held_bytes;
    cpu_close(&t);
    return peak;
}

static void check(const struct attention_case *a, const char *what)
{
    char in_bf16[128];
    snprintf(in_bf16, sizeof in_bf16, "%s, bf16", what);
    check_computed(a, COMPUTE_F32, what);
    check_computed(a, COMPUTE_BF16, in_bf16);
}

static void test_one_segment(void **state)
{
    (void)state;
    static const int32_t lengths[] = {1, 2, 17, 95, 96, 97, 127, 129, 200};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct attention_case a = {.heads = 3, .groups = 1, .d = 16, .n_seg = 1, .scale = 0.25};
        a.cu_q[1] = a.cu_k[1] = lengths[i];
        check(&a, "one segment");
        a.groups = 3;
        a.d = (int64_t)i + 1; /* odd head sizes */
        check(&a, "own key heads");
    }
}

static void test_segments(void **state)
{
    (void)state;
    struct attention_case a = {.heads = 6, .groups = 2, .d = 64, .n_seg = 5, .scale = 0.125, .pad = 5};
    memcpy(a.cu_q, (int32_t[]){0, 1, 101, 101, 102, 250}, 6 * sizeof(int32_t));
    memcpy(a.cu_k, a.cu_q, sizeof a.cu_q);
    check(&a, "segments of length 1, 100, 0, 1, 148");
    a.pad = 0;
    a.groups = 6;
    check(&a, "as many key heads");
}

static void test_window(void **state)
{
    (void)state;
    for (int window = 1; window < 200; window = window * 3 + 1) {
        struct attention_case a = {.heads = 4, .groups = 2, .d = 24, .n_seg = 2, .scale = 0.2, .window = window};
        memcpy(a.cu_q, (int32_t[]){0, 150, 153}, 3 * sizeof(int32_t));
        memcpy(a.cu_k, a.cu_q, sizeof a.cu_q);
        check(&a, "window");
    }
}

/* Queries at the end of longer keys: decoding (one query) and a prompt in pieces; room in the cache past the last key. */
static void test_cache(void **state)
{
    (void)state;
    for (int32_t nq = 1; nq < 60; nq += 29)
        for (int window = 0; window < 100; window += 70) {
            struct attention_case a = {.heads = 9, .groups = 3, .d = 64, .n_seg = 1, .scale = 0.125, .window = window};
            a.cu_q[1] = nq;
            a.cu_k[1] = 230;
            a.spare_keys = 9;
            check(&a, "cache");
        }
    /* One query: slices of keys that are full, cut short and alone, head sizes that are no whole vectors. */
    static const int32_t keys[] = {1, 3, 127, 128, 129, 400};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (int64_t d = 16; d < 80; d += 27) {
            struct attention_case a = {.heads = 8, .groups = 2, .d = d, .n_seg = 1, .cu_q = {0, 1}, .scale = 0.3, .pad = 3};
            a.cu_k[1] = keys[i];
            a.spare_keys = 2;
            check(&a, "one query");
            a.window = 70;
            check(&a, "one query, window");
            a.scale = 40;
            check(&a, "one query, large scores");
        }
    struct attention_case two = {.heads = 2, .groups = 1, .d = 32, .n_seg = 2, .scale = 0.2};
    memcpy(two.cu_q, (int32_t[]){0, 5, 12}, 3 * sizeof(int32_t));
    memcpy(two.cu_k, (int32_t[]){0, 5, 200}, 3 * sizeof(int32_t));
    check(&two, "two caches");
}

/* Scores of hundreds, and rows a multiple of the page size apart. */
static void test_extremes(void **state)
{
    (void)state;
    struct attention_case a = {.heads = 2, .groups = 1, .d = 64, .n_seg = 1, .scale = 40};
    a.cu_q[1] = a.cu_k[1] = 130;
    check(&a, "large scores");
    struct attention_case b = {.heads = 16, .groups = 4, .d = 64, .n_seg = 1, .scale = 0.125};
    b.cu_q[1] = b.cu_k[1] = 100;
    check(&b, "rows that share cache sets");
}

/* Many short segments, as packing makes of short documents: each takes scratch for its keys, not for a tile of them. */
static void test_short_segments(void **state)
{
    (void)state;
    struct attention_case a = {.heads = 4, .groups = 2, .d = 20, .n_seg = 200, .scale = 0.2};
    for (int i = 0; i <= a.n_seg; i++) a.cu_q[i] = a.cu_k[i] = 2 * i + i / 7;
    check(&a, "short segments");
    struct attention_case one = a; /* the same tokens in one segment; how many tables run counts on both sides */
    one.n_seg = 1;
    one.cu_q[1] = one.cu_k[1] = a.cu_q[a.n_seg];
    size_t whole = check_computed(&one, COMPUTE_BF16, "the same in one segment, bf16");
    assert_true(check_computed(&a, COMPUTE_BF16, "memory of short segments, bf16") < whole + (4 << 20));
    a.window = 1;
    check(&a, "short segments, window of 1");
    for (int i = 0; i <= a.n_seg; i++) a.cu_q[i] = i / 3, a.cu_k[i] = i / 3 + 2 * i;
    a.window = 0;
    a.spare_keys = 5;
    check(&a, "short caches, some without a query");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_segment), cmocka_unit_test(test_segments), cmocka_unit_test(test_window),
        cmocka_unit_test(test_cache),       cmocka_unit_test(test_extremes), cmocka_unit_test(test_short_segments),
    };
    cmocka_set_test_filter(getenv("YA_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
