/* model_norms: the fingerprint is the same for a folder and a GGUF file of one model and for copies that store gains in bf16
 * or f16, and differs where a gain does. */
#include "support_model.h"

#include <string.h>

#include "array/dtype.h"
#include "model/model_norms.h"

static void print(struct fixture *f, struct model *m, char out[MODEL_NORMS_BYTES])
{
    assert_non_null(m);
    assert_int_equal(model_norms_print(m, out), OK);
    assert_ok(f->c);
}

/* Rounds all gains as a file that stores them in this type does. */
static void round_gains(struct model *m, enum dtype type)
{
    for (int64_t i = 0; i <= m->config.n_layers; i++)
        for (int k = 0; k < (i < m->config.n_layers ? BLOCK_NORMS : 1); k++) {
            struct array *a = i < m->config.n_layers ? *llama_block_norm(&m->blocks[i], (enum block_norm)k) : m->final_norm;
            float *x = a ? a->data : NULL;
            for (int64_t j = 0; x && j < array_size(a); j++)
                x[j] = type == DTYPE_F16 ? f16_to_f32(f32_to_f16(x[j])) : bf16_to_f32(f32_to_bf16(x[j]));
        }
}

static void forms_of_a_model_share_it(void **state)
{
    struct fixture *f = *state;
    char folder[MODEL_NORMS_BYTES], gguf[MODEL_NORMS_BYTES], copy[MODEL_NORMS_BYTES];
    struct model *m = tiny_open(f, &tiny_llama);
    tiny_write_gguf(f, &tiny_llama, "other.gguf", NULL);
    struct model *g = model_open_with(f->c, fixture_path(f, "other.gguf"), &(struct model_options){.base = BASE_INT8});
    print(f, m, folder);
    print(f, g, gguf);
    assert_true(model_norms_is(folder));
    assert_string_equal(folder, gguf);
    static const enum dtype types[] = {DTYPE_F16, DTYPE_BF16, DTYPE_F16};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) { /* f16; that in bf16; the model itself in bf16 */
        if (i == 2) {
            model_free(g);
            g = model_open(f->c, fixture_path(f, "other.gguf"));
            round_gains(g, DTYPE_BF16);
        } else {
            round_gains(g, types[i]);
        }
        print(f, g, copy);
        assert_true(model_norms_match(folder, copy));
    }
    model_free(g);
    model_free(m);
}

static void another_model_has_another(void **state)
{
    struct fixture *f = *state;
    char one[MODEL_NORMS_BYTES], two[MODEL_NORMS_BYTES];
    struct model *m = tiny_open(f, &tiny_llama);
    print(f, m, one);
    float *gain = m->blocks[1].ffn_norm->data, kept = *gain;
    *gain *= 1.01f;
    print(f, m, two);
    assert_false(model_norms_match(one, two));
    *gain = kept;
    print(f, m, two);
    assert_string_equal(one, two);
    gain = m->final_norm->data; /* the order counts */
    kept = gain[0];
    gain[0] = gain[1];
    gain[1] = kept;
    print(f, m, two);
    assert_false(model_norms_match(one, two));
    model_free(m);
}

static void equal_gains_tell_nothing(void **state)
{
    struct fixture *f = *state;
    char text[MODEL_NORMS_BYTES];
    struct model *m = tiny_open(f, &tiny_llama);
    for (int64_t i = 0; i < m->config.n_layers; i++)
        for (int k = 0; k < BLOCK_NORMS; k++) {
            struct array *a = *llama_block_norm(&m->blocks[i], (enum block_norm)k);
            for (int64_t j = 0; a && j < array_size(a); j++) ((float *)a->data)[j] = 1;
        }
    for (int64_t j = 0; j < array_size(m->final_norm); j++) ((float *)m->final_norm->data)[j] = 1;
    print(f, m, text);
    assert_string_equal(text, "");
    model_free(m);
}

static void only_fingerprints_are_fingerprints(void **state)
{
    (void)state;
    assert_true(model_norms_is("0123456789abcdef-0123456789abcdef"));
    static const char *const others[] = {"",
                                         "0123456789abcdef",
                                         "0123456789abcdef_0123456789abcdef",
                                         "0123456789abcdeg-0123456789abcdef",
                                         "0123456789abcdef-0123456789abcdef0",
                                         "0123456789abcdef-0123456789ABCDEF"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_false(model_norms_is(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forms_of_a_model_share_it, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(another_model_has_another, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(equal_gains_tell_nothing, fixture_setup, fixture_teardown),
        cmocka_unit_test(only_fingerprints_are_fingerprints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
