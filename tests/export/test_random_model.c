/* A random model opens as any other, has the distribution that it promises, and is the same bytes for any number of threads.
 */
#include "model/support_model.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "model/random_model.h"
#include "io/safetensors.h"
#include "io/tokenizer/tokenizer.h"

static const struct known_model *tiny_shape(void)
{
    return &known_models[known_model_find("tiny")];
}

static double bf16_value(const struct tensor_view *t, int64_t i)
{
    uint16_t half;
    memcpy(&half, (const char *)t->data + 2 * i, 2);
    uint32_t word = (uint32_t)half << 16;
    float f;
    memcpy(&f, &word, 4);
    return (double)f;
}

static void make(struct fixture *f, const char *name, uint64_t seed)
{
    random_model_write(f->c, fixture_path(f, name), &(struct random_model){.shape = tiny_shape(), .seed = seed});
    assert_ok(f->c);
}

static void opens(void **state)
{
    struct fixture *f = *state;
    make(f, "random", 1);
    struct model *m = model_open(f->c, fixture_path(f, "random"));
    assert_ok(f->c);
    assert_int_equal(m->config.hidden, 64);
    assert_int_equal(m->config.n_kv_heads, 2);
    model_free(m);
    struct tokenizer *t = tokenizer_open(f->c, fixture_path(f, "random"));
    assert_ok(f->c);
    assert_int_equal(tokenizer_vocab_size(t), 258);
    tokenizer_free(t);
}

static void has_the_distribution(void **state)
{
    struct fixture *f = *state;
    make(f, "spread", 3);
    struct safetensors *s = safetensors_open_dir(f->c, fixture_path(f, "spread"));
    assert_ok(f->c);
    uint64_t bytes = 0;
    for (size_t i = 0; i < safetensors_count(s); i++) bytes += safetensors_tensor(s, i)->bytes;
    assert_int_equal(bytes, known_model_bytes(tiny_shape()));
    const struct tensor_view *t = safetensors_find(s, "model.layers.1.mlp.gate_proj.weight");
    double sum = 0, squares = 0, beyond = 0, n = 176 * 64;
    for (int64_t i = 0; i < 176 * 64; i++) {
        double x = bf16_value(t, i) / 0.02;
        sum += x, squares += x * x, beyond += fabs(x) > 1.96;
    }
    assert_true(fabs(sum / n) < 0.04);
    assert_true(fabs(squares / n - 1) < 0.05);
    assert_true(fabs(beyond / n - 0.05) < 0.01);
    assert_true(bf16_value(safetensors_find(s, "model.norm.weight"), 63) == 1.0);
    const struct tensor_view *other = safetensors_find(s, "model.layers.0.mlp.gate_proj.weight");
    assert_memory_not_equal(t->data, other->data, 128);
    safetensors_close(s);
}

static char *whole(struct fixture *f, const char *name, size_t *n)
{
    char *bytes = file_read(f->c, fixture_path(f, name), 1 << 24, n);
    assert_ok(f->c);
    return bytes;
}

static void same_bytes(void **state)
{
    struct fixture *f = *state;
    size_t n[3];
    assert_int_equal(ctx_set_threads(f->c, 1), OK);
    make(f, "one", 5);
    assert_int_equal(ctx_set_threads(f->c, 3), OK);
    make(f, "three", 5);
    make(f, "other", 6);
    char *one = whole(f, "one/model.safetensors", &n[0]), *three = whole(f, "three/model.safetensors", &n[1]);
    char *other = whole(f, "other/model.safetensors", &n[2]);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(one, three, n[0]);
    assert_int_equal(n[0], n[2]);
    assert_memory_not_equal(one, other, n[0]);
    mem_free(f->c, one);
    mem_free(f->c, three);
    mem_free(f->c, other);
    ctx_set_threads(f->c, 1);
}

static void refuses_a_full_folder(void **state)
{
    struct fixture *f = *state;
    make(f, "full", 1);
    assert_int_equal(random_model_write(f->c, fixture_path(f, "full"), &(struct random_model){.shape = tiny_shape()}),
                     E_INPUT);
    assert_non_null(strstr(f->c->message, "not empty"));
    ctx_clear(f->c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opens, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(has_the_distribution, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(same_bytes, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(refuses_a_full_folder, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
