/* Models whose linears are put into NF4 at load: which weights, how many bytes, the row map of a GGUF, logits against plain
 * loops, and files that cannot be. */
#include "support_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/nf4.h"
#include "base/threads.h"

static const struct model_options nf4 = {.base = BASE_NF4};

/* Wider than a block and no multiple of one, so that rows have short last blocks. */
static struct tiny wide_tiny(void)
{
    struct tiny t = tiny_llama;
    t.hidden = 72;
    t.ffn = 130;
    t.qkv_bias = t.o_bias = t.mlp_bias = true;
    return t;
}

static struct model *open_nf4(struct fixture *f, const char *name)
{
    struct model *m = model_open_with(f->c, fixture_path(f, name), &nf4);
    assert_ok(f->c);
    return m;
}

/* The linears of the blocks and nothing else; what they hold is what the quantiser makes of the file's rows. */
static void linears_only(void **state)
{
    struct fixture *f = *state;
    struct tiny t = wide_tiny();
    struct model *plain = tiny_open(f, &t), *m = open_nf4(f, "tiny");
    size_t stored = 0, made = 0;
    assert_int_equal(plain->options.base, BASE_AS_IS);
    assert_int_equal(m->options.base, BASE_NF4);
    for (int64_t i = 0; i < t.layers; i++)
        for (int p = 0; p < LORA_PLACES; p++) {
            const struct weight *a = llama_block_linear(&plain->blocks[i], (enum lora_place)p),
                                *b = llama_block_linear(&m->blocks[i], (enum lora_place)p);
            assert_true(a->form == WEIGHT_STORED && b->form == WEIGHT_NF4);
            stored += a->row_bytes * (size_t)a->rows;
            made += nf4_row_bytes(b->cols) * (size_t)b->rows;
            for (int64_t r = 0; r < a->rows; r++) {
                float x[256], expected[256], got[256];
                uint8_t row[256];
                weight_row_f32(a, r, x);
                assert_true(nf4_quantise_row(x, a->cols, row));
                nf4_to_f32(row, a->cols, 0, a->cols, expected);
                weight_row_f32(b, r, got);
                assert_memory_equal(got, expected, (size_t)a->cols * sizeof *got);
            }
            assert_memory_equal(a->bias->data, b->bias->data, (size_t)a->rows * sizeof(float));
        }
    assert_true(m->embed.form == WEIGHT_STORED && m->head.form == WEIGHT_STORED);
    assert_int_equal(model_made_bytes(plain), 0);
    assert_int_equal(model_made_bytes(m), made);
    assert_int_equal(model_weight_bytes(m), model_weight_bytes(plain) - stored + made);
    model_free(plain);
    model_free(m);
}

/* A GGUF has the rows of q and k in another order; the 4-bit model made from it is the one made from the folder. */
static void gguf_rows_are_put_right(void **state)
{
    struct fixture *f = *state;
    struct tiny t = wide_tiny();
    tiny_write_hf(f, &t, "tiny", NULL);
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    struct model *a = open_nf4(f, "tiny"), *b = open_nf4(f, "m.gguf");
    assert_non_null(b->blocks[0].q.row_map);
    for (int64_t i = 0; i < t.layers; i++)
        for (int p = 0; p < LORA_PLACES; p++) {
            const struct weight *x = llama_block_linear(&a->blocks[i], (enum lora_place)p),
                                *y = llama_block_linear(&b->blocks[i], (enum lora_place)p);
            for (int64_t r = 0; r < x->rows; r++) assert_memory_equal(weight_row(x, r), weight_row(y, r), x->row_bytes);
        }
    model_free(a);
    model_free(b);
}

static void same_codes_for_any_threads(void **state)
{
    struct fixture *f = *state;
    struct tiny t = wide_tiny();
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    struct model *one = open_nf4(f, "m.gguf");
    for (int threads = 2; threads < 8; threads += 2) {
        assert_int_equal(ctx_set_threads(f->c, threads), OK);
        struct model *m = open_nf4(f, "m.gguf");
        for (int p = 0; p < LORA_PLACES; p++) {
            const struct weight *x = llama_block_linear(&one->blocks[1], (enum lora_place)p),
                                *y = llama_block_linear(&m->blocks[1], (enum lora_place)p);
            assert_memory_equal(x->data, y->data, x->row_bytes * (size_t)x->rows);
        }
        model_free(m);
    }
    ctx_set_threads(f->c, 1);
    model_free(one);
}

static void logits_are_those_of_the_codes(void **state)
{
    struct fixture *f = *state;
    struct tiny t = wide_tiny();
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    struct model *m = open_nf4(f, "m.gguf");
    struct batch_data b;
    float logits[12 * 50], plain_logits[12 * 50];
    double expected[12 * 50];
    batch_make(&b, t.vocab, 2, (int[]){5, 7}, 3);
    forward_logits(m, &b.batch, &(struct forward_options){0}, logits);
    reference_logits(m, &b.batch, expected);
    double error = relative_error(logits, expected, 600);
    if (!(error < 2e-6)) fail_msg("logits differ by %g relative", error);
    model_free(m);
    m = model_open(f->c, fixture_path(f, "m.gguf"));
    forward_logits(m, &b.batch, &(struct forward_options){0}, plain_logits);
    error = relative_error_f32(logits, plain_logits, 600);
    if (!(error > 1e-3 && error < 0.5)) fail_msg("4 bits change the logits by %g relative", error);
    model_free(m);
}

/* A number in a weight that no scale holds: named, with file and row; as it is, the file opens. */
static void weights_that_do_not_fit(void **state)
{
    struct fixture *f = *state;
    struct tiny t = wide_tiny();
    struct model *m = tiny_open(f, &t);
    const struct weight *w = &m->blocks[1].down;
    float row[256]; /* its first two numbers are found in the file */
    enum { MARK_BYTES = 2 * sizeof row[0] };
    weight_row_f32(w, 3, row);
    model_free(m);
    char path[512];
    snprintf(path, sizeof path, "%s/model.safetensors", fixture_path(f, "tiny"));
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    uint8_t *bytes = malloc(1 << 22);
    assert_non_null(bytes);
    size_t n = fread(bytes, 1, 1 << 22, file), found = 0, at = 0;
    for (size_t i = 0; i + MARK_BYTES <= n; i++)
        if (memcmp(bytes + i, row, MARK_BYTES) == 0) found++, at = i;
    assert_int_equal(found, 1);
    const float inf = INFINITY;
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    assert_int_equal(fwrite(&inf, sizeof inf, 1, file), 1);
    assert_int_equal(fclose(file), 0);
    free(bytes);
    assert_null(model_open_with(f->c, fixture_path(f, "tiny"), &nf4));
    assert_non_null(strstr(f->c->message, fixture_path(f, "tiny")));
    assert_failed(f->c, E_INPUT, "model.layers.1.mlp.down_proj.weight: row 3 ");
    m = model_open(f->c, fixture_path(f, "tiny"));
    assert_ok(f->c);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(linears_only, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_rows_are_put_right, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(same_codes_for_any_threads, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(logits_are_those_of_the_codes, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(weights_that_do_not_fit, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
