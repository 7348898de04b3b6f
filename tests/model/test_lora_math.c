/* lora_math: every element of what the results do to a linear layer, against sums in double. */
#include "support_model.h"

#include <math.h>
#include <string.h>

#include "model/lora_math.h"
#include "support_host.h"

enum { SIDE_MAX = 64 };

static struct model_config math_model(void)
{
    const struct tiny *t = &tiny_llama;
    return (struct model_config){.n_layers = t->layers,
                                 .hidden = t->hidden,
                                 .n_heads = t->heads,
                                 .n_kv_heads = t->kv,
                                 .head_dim = t->dim,
                                 .ffn = t->ffn,
                                 .vocab = t->vocab};
}

/* An adapter with values everywhere; targets 0: all. */
static struct lora *make_lora(struct ctx *c, int64_t rank, double alpha, bool rslora, uint32_t targets, uint64_t seed)
{
    struct model_config m = math_model();
    struct lora_config config = {
        .rank = rank, .alpha = alpha, .rslora = rslora, .targets = targets ? targets : LORA_ALL, .seed = seed};
    struct lora *l = lora_new(c, &m, &config);
    assert_ok(c);
    for (size_t i = 0; i < l->n_modules; i++) {
        struct array *b = l->modules[i].slot.b;
        float *values = host_f32(b);
        for (int64_t k = 0; k < array_size(b); k++)
            values[k] = (float)((k * k * 31 + k * 17 + (int64_t)i * 5 + (int64_t)seed * 13) % 101 - 50) / 150;
        host_store(b, values);
    }
    return l;
}

/* D = s B A of a module at a place, zeros when the adapter has none. */
static void add_delta(const struct lora *l, int64_t layer, enum lora_place place, double weight, double *d)
{
    for (size_t i = 0; i < l->n_modules; i++) {
        const struct lora_module *m = &l->modules[i];
        if (m->layer != layer || m->place != place) continue;
        const float *a = host_f32(m->slot.a), *b = host_f32(m->slot.b);
        int64_t out = m->slot.b->shape[0], in = m->slot.a->shape[1], rank = m->rank;
        double scale = weight * m->alpha / (l->config.rslora ? sqrt((double)rank) : (double)rank);
        assert_true(fabs((double)m->slot.scale - scale / weight) < 1e-6 * fabs(scale / weight));
        for (int64_t y = 0; y < out; y++)
            for (int64_t x = 0; x < in; x++)
                for (int64_t k = 0; k < rank; k++)
                    d[y * SIDE_MAX + x] += scale * (double)b[y * rank + k] * (double)a[k * in + x];
    }
}

/* The largest difference between what `got` does and the weighted sum of the others does, anywhere. */
static double distance(const struct lora *got, const struct lora_part *parts, size_t n)
{
    double largest = 0;
    for (int64_t layer = 0; layer < tiny_llama.layers; layer++)
        for (int place = 0; place < LORA_PLACES; place++) {
            static double d[SIDE_MAX * SIDE_MAX];
            memset(d, 0, sizeof d);
            add_delta(got, layer, (enum lora_place)place, 1, d);
            for (size_t k = 0; k < n; k++) add_delta(parts[k].lora, layer, (enum lora_place)place, -parts[k].weight, d);
            for (int i = 0; i < SIDE_MAX * SIDE_MAX; i++) largest = fmax(largest, fabs(d[i]));
        }
    return largest;
}

static void a_factor_changes_alpha_alone(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        const double factor = i ? -0.75 : 2.5;
        struct lora *l = make_lora(f->c, 4, 6, i == 1, 0, 1), *was = make_lora(f->c, 4, 6, i == 1, 0, 1);
        struct lora_part part = {was, factor};
        assert_int_equal(lora_math_scale(l, factor), OK);
        assert_true(l->config.alpha == 6 * fabs(factor));
        assert_true(distance(l, &part, 1) < 1e-15);
        assert_memory_equal(host_f32(l->modules[3].slot.a), host_f32(was->modules[3].slot.a), 4 * 24 * sizeof(float));
        part.weight = 1;
        assert_true(distance(l, &part, 1) > 0.01); /* so the comparison sees it */
        lora_free(l);
        lora_free(was);
    }
}

/* Three adapters that differ in rank, in scale and in where they are. */
static void sums_are_exact(void **state)
{
    struct fixture *f = *state;
    struct model_config m = math_model();
    const uint32_t some = 1u << LORA_Q | 1u << LORA_DOWN;
    struct lora *a = make_lora(f->c, 4, 8, false, 0, 1), *b = make_lora(f->c, 3, 5, true, 0, 2),
                *few = make_lora(f->c, 2, 1, false, some, 3);
    const struct lora_part parts[] = {{a, 0.7}, {b, -1.25}, {few, 3}};
    struct lora *sum = lora_math_sum(f->c, &m, parts, 3), *two = lora_math_sum(f->c, &m, parts + 2, 1);
    assert_ok(f->c);
    assert_int_equal(sum->n_modules, 14);
    assert_int_equal(sum->modules[0].rank, 9);
    assert_int_equal(sum->modules[1].rank, 7);
    assert_int_equal(two->n_modules, 4);
    assert_true(distance(sum, parts, 3) < 1e-6); /* values to 3, B rounded to f32 once */
    assert_true(distance(two, parts + 2, 1) < 1e-7);
    assert_true(distance(sum, parts, 2) > 0.01);
    struct lora *lists[] = {a, b, few, sum, two};
    for (int i = 0; i < 5; i++) lora_free(lists[i]);
}

/* A sum of adapters in one another's span has the small rank again; of a smaller one the error is what was said. */
static void cut_to_a_rank(void **state)
{
    struct fixture *f = *state;
    struct model_config m = math_model();
    struct lora *a = make_lora(f->c, 4, 8, false, 0, 1), *b = make_lora(f->c, 2, 8, false, 1u << LORA_UP, 2);
    const struct lora_part twice[] = {{a, 2}, {a, -0.5}}, mixed[] = {{a, 1}, {b, 1}}, once = {a, 1.5};
    double least;
    struct lora *sum = lora_math_sum(f->c, &m, twice, 2), *cut = lora_math_truncate(f->c, &m, sum, 4, &least);
    assert_ok(f->c);
    assert_int_equal(sum->modules[0].rank, 8);
    assert_int_equal(cut->modules[0].rank, 4);
    assert_true(least > 1 - 1e-12 && distance(cut, &once, 1) < 1e-6);
    struct lora *both = lora_math_sum(f->c, &m, mixed, 2), *four = lora_math_truncate(f->c, &m, both, 4, &least);
    assert_ok(f->c);
    assert_true(least > 0.3 && least < 0.999);
    for (size_t i = 0; i < both->n_modules; i++) {
        struct low_rank r, s;
        assert_int_equal(lora_math_measure(both, i, &r), OK);
        assert_int_equal(lora_math_measure(four, i, &s), OK);
        for (int64_t k = 0; k < 4; k++) assert_true(fabs(r.sigma[k] - s.sigma[k]) < 1e-6 * r.sigma[0]);
        assert_int_equal(r.rank, both->modules[i].place == LORA_UP ? 6 : 4);
        low_rank_release(&r);
        low_rank_release(&s);
    }
    struct lora *lists[] = {a, b, sum, cut, both, four};
    for (int i = 0; i < 6; i++) lora_free(lists[i]);
}

static void refusals(void **state)
{
    struct fixture *f = *state;
    struct model_config m = math_model();
    struct lora *a = make_lora(f->c, 4, 8, false, 0, 1), *large = make_lora(f->c, 4000, 8, false, 1u << LORA_K, 2);
    static const double wrong[] = {0, NAN, INFINITY, 1e-7, -2e6};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct lora_part part = {a, wrong[i]};
        assert_null(lora_math_sum(f->c, &m, &part, 1));
        assert_failed(f->c, E_INPUT, "is no factor");
        assert_int_equal(lora_math_scale(a, wrong[i]), E_INPUT);
        assert_failed(f->c, E_INPUT, "is no factor");
    }
    assert_int_equal(lora_math_scale(a, 9e5), E_INPUT);
    assert_failed(f->c, E_INPUT, "makes an alpha of");
    const struct lora_part parts[] = {{large, 1}, {large, 1}};
    assert_null(lora_math_sum(f->c, &m, parts, 2));
    assert_failed(f->c, E_INPUT, "a rank of 8000 together");
    float *values = host_f32(a->modules[9].slot.b);
    double least;
    struct low_rank r;
    values[5] = NAN;
    host_store(a->modules[9].slot.b, values);
    assert_int_equal(lora_math_measure(a, 9, &r), E_NUMERIC);
    assert_failed(f->c, E_NUMERIC, "layers.1.self_attn.v_proj: a value is not finite");
    low_rank_release(&r);
    assert_null(lora_math_truncate(f->c, &m, a, 2, &least));
    assert_failed(f->c, E_NUMERIC, "layers.1.self_attn.v_proj");
    lora_free(a);
    lora_free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_factor_changes_alpha_alone, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(sums_are_exact, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(cut_to_a_rank, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(refusals, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
