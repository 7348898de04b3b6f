/* LINEAR_CROSS_ENTROPY of the tuned tables against the reference in f64. */
#include "support_cpu.h"

struct loss_case {
    int64_t n, width, vocab, pad;
    enum tensor_type type;
    bool mapped, odd, logprobs, dh;
    enum weight_form form;
    enum compute compute; /* an integer one of int8 only */
    int every;            /* rows whose index is a multiple of this count; 0: none */
    double scale;
};

/* As in test_cpu_linear; here the rounding of logits meets that of probabilities. */
static const double tolerance[COMPUTES] = {
    [COMPUTE_F32] = 3e-6, [COMPUTE_INT8X2] = 1 / 32767.0, [COMPUTE_INT8] = 1 / 127.0, [COMPUTE_BF16] = 1 / 256.0};

static void check(const struct loss_case *l, const char *what)
{
    struct cpu_fixture t;
    cpu_open(&t);
    t.tolerance = tolerance[l->compute] * (1 + l->scale);
    struct linear_cross_entropy_params p = {.want_logprobs = l->logprobs, .want_dh = l->dh};
    struct weight *w = cpu_weight(&t, l->type, l->vocab, l->width, l->mapped, l->odd);
    if (l->form != WEIGHT_STORED) cpu_weight_to_form(&t, w, l->form);
    w->compute = l->compute;
    p.w = w;
    int32_t *targets = calloc((size_t)l->n, sizeof *targets);
    assert_non_null(targets);
    for (int64_t i = 0; i < l->n; i++) targets[i] = (int32_t)(i * 7919 % l->vocab);
    /* weights are f32 in both calls */
    struct twin weights = cpu_noise(&t, 0, 1, 3, SHAPE(l->n));
    weights.twice = weights.single;
    for (int64_t i = 0; i < l->n; i++) {
        bool counts = l->every > 0 && i % l->every == 0;
        ref_set(weights.single, i, counts ? 1.5 + ref_get(weights.single, i) : 0.0);
        if (!counts) targets[i] = -100; /* anything, where the weight is 0 */
    }
    struct cpu_call call = {.op = OP_LINEAR_CROSS_ENTROPY, .params = &p};
    call.in[0] = cpu_noise(&t, l->pad, l->scale, 1, SHAPE(l->n, l->width));
    call.in[1] = cpu_ints(&t, l->n, targets);
    call.in[2] = weights;
    call.out[0] = cpu_empty(&t, 0, 0, NULL);
    call.out[1] = cpu_empty_f64(&t, 3);
    if (l->logprobs) {
        call.out[2].single = ref_empty(&t.f, DTYPE_F32, SHAPE(l->n));
        call.out[2].twice = ref_empty(&t.f, DTYPE_F32, SHAPE(l->n));
    }
    if (l->dh) call.out[3] = cpu_empty(&t, 0, SHAPE(l->n, l->width));
    cpu_check(&t, &call, what);
    free(targets);
    cpu_close(&t);
}

static void test_shapes(void **state)
{
    (void)state;
    static const int64_t odd[] = {1, 3, 17, 48, 97, 129};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++) {
            struct loss_case l = {.n = odd[i], .width = odd[j], .vocab = 2 + 83 * (int64_t)j, .every = 1, .scale = 1};
            l.logprobs = i % 2;
            l.dh = true;
            l.pad = (int64_t)(j % 3);
            check(&l, "odd shapes");
        }
}

/* The head is in int8 or stored, never in NF4 today; the row takes any weight all the same. */
static void test_made_forms(void **state)
{
    (void)state;
    for (int64_t width = 63; width < 200; width += 65) {
        struct loss_case l = {.n = 21, .width = width, .vocab = 77, .every = 1, .scale = 1, .dh = true};
        l.mapped = width == 128;
        l.form = WEIGHT_NF4;
        check(&l, "nf4");
        l.form = WEIGHT_INT8;
        check(&l, "int8");
    }
}

/* Widths of one run and of two, vocabularies of part of a tile, of tiles and a part, of several slices. */
static void test_int8(void **state)
{
    (void)state;
    static const int64_t widths[] = {5, 96, 577}, vocabularies[] = {3, 77, 5000};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            for (int compute = 0; compute < COMPUTES; compute++) {
                struct loss_case l = {.n = 101, .width = widths[i], .vocab = vocabularies[j], .every = 1 + j, .scale = 1};
                l.form = WEIGHT_INT8;
                l.dh = true;
                l.logprobs = i == j;
                l.compute = (enum compute)compute;
                l.mapped = i == 1;
                l.pad = j;
                check(&l, "int8");
            }
}

static void test_bf16(void **state)
{
    (void)state;
    static const int64_t widths[] = {5, 96, 577}, vocabularies[] = {3, 277, 5000};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            struct loss_case l = {.n = 101, .width = widths[i], .vocab = vocabularies[j], .every = 1 + j, .scale = 1};
            l.type = (i + j) % 2 ? TENSOR_BF16 : TENSOR_F32;
            l.compute = COMPUTE_BF16;
            l.dh = (i + j) % 3 != 2;
            l.logprobs = i == j;
            l.mapped = i == 1;
            l.odd = j == 2;
            l.pad = j;
            check(&l, "bf16");
        }
}

static void test_stored_types(void **state)
{
    (void)state;
    static const enum tensor_type types[] = {TENSOR_F32,  TENSOR_F16,  TENSOR_BF16, TENSOR_Q4_0, TENSOR_Q4_1,
                                             TENSOR_Q8_0, TENSOR_Q5_0, TENSOR_Q4_K, TENSOR_Q6_K};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct loss_case l = {.n = 60, .width = 64, .vocab = 500, .every = 1, .scale = 1, .logprobs = true, .dh = true};
        l.type = types[i];
        if (tensor_type_info(l.type)->block > l.width) l.width = tensor_type_info(l.type)->block;
        check(&l, tensor_type_info(types[i])->name);
        l.mapped = true;
        check(&l, "row map");
        l.mapped = false;
        l.odd = true;
        check(&l, "odd address");
    }
}

static void test_skipped_rows(void **state)
{
    (void)state;
    for (int every = 0; every < 9; every += 4) {
        struct loss_case l = {.n = 301, .width = 40, .vocab = 1000, .scale = 1, .logprobs = true, .dh = true};
        l.every = every;
        check(&l, "rows of weight 0");
        l.dh = false;
        check(&l, "no gradient");
        l.logprobs = false;
        check(&l, "loss alone");
    }
}

/* More row blocks than slices are cut for; large logits; rows of W that share cache sets. */
static void test_extremes(void **state)
{
    (void)state;
    struct loss_case l = {.n = 1000, .width = 16, .vocab = 300, .every = 1, .scale = 1, .logprobs = true, .dh = true};
    check(&l, "one slice");
    l.n = 70;
    l.scale = 60;
    check(&l, "large logits");
    l.width = 256;
    l.scale = 1;
    check(&l, "rows that share cache sets");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),   cmocka_unit_test(test_stored_types), cmocka_unit_test(test_made_forms),
        cmocka_unit_test(test_int8),     cmocka_unit_test(test_bf16),         cmocka_unit_test(test_skipped_rows),
        cmocka_unit_test(test_extremes),
    };
    cmocka_set_test_filter(getenv("YA_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
