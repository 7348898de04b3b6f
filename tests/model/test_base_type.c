/* Models whose frozen matrices are put into another form at load: which of them, how many bytes, the row map of a GGUF, a
 * head that is the embedding table, logits against plain loops, files that cannot be, and options that go together or do
 * not. */
#include "support_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/backend.h"
#include "array/codec/int8.h"
#include "array/codec/nf4.h"
#include "base/threads.h"
#include "support_host.h"

/* What is asked of each form. */
static const struct base_case {
    enum base_type base;
    enum weight_form form;
    bool head;          /* made too */
    double least, most; /* relative change of logits */
} bases[] = {{BASE_NF4, WEIGHT_NF4, false, 1e-3, 0.5}, {BASE_INT8, WEIGHT_INT8, true, 1e-4, 0.05}};
enum { N_BASES = sizeof bases / sizeof *bases };

/* Wider than a block and no multiple of one, so that rows have short last blocks. */
static struct tiny wide_tiny(bool tied)
{
    struct tiny t = tiny_llama;
    t.hidden = 72;
    t.ffn = 130;
    t.tied = tied;
    t.qkv_bias = t.o_bias = t.mlp_bias = true;
    return t;
}

static struct model *open_as(struct fixture *f, const char *name, enum base_type base)
{
    struct model *m = model_open_with(f->c, fixture_path(f, name), &(struct model_options){.base = base});
    assert_ok(f->c);
    assert_int_equal(m->options.base, base);
    return m;
}

/* `made` holds what the quantiser makes of the rows of `stored`. Adds the bytes of both. */
static void check_made(const struct base_case *b, const struct weight *stored, const struct weight *made, size_t *before,
                       size_t *after)
{
    assert_true(stored->form == WEIGHT_STORED && made->form == b->form);
    size_t row_bytes = b->form == WEIGHT_NF4 ? nf4_row_bytes(made->cols) : int8_row_bytes(made->cols);
    assert_int_equal(made->row_bytes, row_bytes);
    *before += stored->row_bytes * (size_t)stored->rows;
    *after += row_bytes * (size_t)made->rows;
    for (int64_t r = 0; r < stored->rows; r++) {
        float x[256], expected[256], got[256];
        uint8_t row[512];
        weight_row_f32(stored, r, x);
        if (b->form == WEIGHT_NF4) {
            assert_true(nf4_quantise_row(x, stored->cols, row));
            nf4_to_f32(row, stored->cols, 0, stored->cols, expected);
        } else {
            assert_true(int8_quantise_row(x, stored->cols, row));
            int8_to_f32(row, 0, stored->cols, expected);
        }
        weight_row_f32(made, r, got);
        assert_memory_equal(got, expected, (size_t)stored->cols * sizeof *got);
    }
}

/* The linear layers of the blocks, the head in int8, and nothing else. */
static void which_are_made(void **state)
{
    struct fixture *f = *state;
    for (int k = 0; k < 2 * N_BASES; k++) {
        const struct base_case *b = &bases[k / 2];
        struct tiny t = wide_tiny(k % 2);
        struct model *plain = tiny_open(f, &t), *m = open_as(f, "tiny", b->base);
        size_t stored = 0, made = 0;
        assert_int_equal(plain->options.base, BASE_AS_IS);
        for (int64_t i = 0; i < t.layers; i++)
            for (int p = 0; p < LORA_SEPARATE_PLACES; p++) {
                const struct weight *x = llama_block_linear(&plain->blocks[i], (enum lora_place)p),
                                    *y = llama_block_linear(&m->blocks[i], (enum lora_place)p);
                check_made(b, x, y, &stored, &made);
                assert_memory_equal(host_f32(x->bias), host_f32(y->bias), (size_t)x->rows * sizeof(float));
            }
        if (b->head) check_made(b, &plain->head, &m->head, &stored, &made);
        assert_true((m->head.form == WEIGHT_STORED) == !b->head);
        assert_true((m->embed.form == WEIGHT_STORED) == !(b->head && t.tied));
        assert_true((m->embed.data == m->head.data) == t.tied); /* one table, or two */
        assert_int_equal(model_made_bytes(plain), 0);
        assert_int_equal(model_made_bytes(m), made);
        assert_int_equal(model_weight_bytes(m), model_weight_bytes(plain) - stored + made);
        model_free(plain);
        model_free(m);
    }
}

static void same_codes(const struct weight *x, const struct weight *y)
{
    for (int64_t r = 0; r < x->rows; r++) assert_memory_equal(weight_row(x, r), weight_row(y, r), x->row_bytes);
}

/* A GGUF has the rows of q and k in another order; the model made from it is the one made from the folder. */
static void gguf_rows_are_put_right(void **state)
{
    struct fixture *f = *state;
    struct tiny t = wide_tiny(true);
    tiny_write_hf(f, &t, "tiny", NULL);
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    for (int k = 0; k < N_BASES; k++) {
        struct model *a = open_as(f, "tiny", bases[k].base), *b = open_as(f, "m.gguf", bases[k].base);
        assert_non_null(b->blocks[0].q.row_map);
        for (int64_t i = 0; i < t.layers; i++)
            for (int p = 0; p < LORA_SEPARATE_PLACES; p++)
                same_codes(llama_block_linear(&a->blocks[i], (enum lora_place)p),
                           llama_block_linear(&b->blocks[i], (enum lora_place)p));
        same_codes(&a->head, &b->head);
        model_free(a);
        model_free(b);
    }
}

static void same_codes_for_any_threads(void **state)
{
    struct fixture *f = *state;
    struct tiny t = wide_tiny(true);
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    for (int k = 0; k < N_BASES; k++) {
        assert_int_equal(ctx_set_threads(f->c, 1), OK);
        struct model *one = open_as(f, "m.gguf", bases[k].base);
        for (int threads = 2; threads < 8; threads += 2) {
            assert_int_equal(ctx_set_threads(f->c, threads), OK);
            struct model *m = open_as(f, "m.gguf", bases[k].base);
            for (int p = 0; p < LORA_SEPARATE_PLACES; p++)
                same_codes(llama_block_linear(&one->blocks[1], (enum lora_place)p),
                           llama_block_linear(&m->blocks[1], (enum lora_place)p));
            same_codes(&one->head, &m->head);
            model_free(m);
        }
        model_free(one);
    }
    ctx_set_threads(f->c, 1);
}

/* Embeddings in int8 are looked up in it too: the reference reads every weight through weight_row_f64. */
static void logits_are_those_of_the_codes(void **state)
{
    struct fixture *f = *state;
    for (int k = 0; k < 2 * N_BASES; k++) {
        const struct base_case *b = &bases[k / 2];
        struct tiny t = wide_tiny(k % 2);
        tiny_write_gguf(f, &t, "m.gguf", NULL);
        struct model *m = open_as(f, "m.gguf", b->base);
        struct batch_data batch;
        float logits[12 * 50], plain_logits[12 * 50];
        double expected[12 * 50];
        batch_make(&batch, t.vocab, 2, (int[]){5, 7}, 3);
        forward_logits(m, &batch.batch, &(struct forward_options){0}, logits);
        reference_logits(m, &batch.batch, expected);
        double error = relative_error(logits, expected, 600);
        if (!(error < 2e-6)) fail_msg("logits differ by %g relative", error);
        model_free(m);
        m = model_open(f->c, fixture_path(f, "m.gguf"));
        forward_logits(m, &batch.batch, &(struct forward_options){0}, plain_logits);
        error = relative_error_f32(logits, plain_logits, 600);
        if (!(error > b->least && error < b->most))
            fail_msg("%s changes the logits by %g relative", base_type_name[b->base], error);
        model_free(m);
    }
}

/* An integer way of computing brings its base along, but does not overrule another that was asked for. */
static void computing_in_integers(void **state)
{
    struct fixture *f = *state;
    struct tiny t = wide_tiny(true);
    char text[128], expected[128];
    tiny_write_hf(f, &t, "tiny", NULL);
    for (int compute = 0; compute < COMPUTES; compute++)
        for (int base = 0; base < BASE_TYPES; base++) {
            const struct model_options o = {.base = (enum base_type)base, .compute = (enum compute)compute};
            struct model *m = model_open_with(f->c, fixture_path(f, "tiny"), &o);
            if (base == BASE_NF4 && compute_is_integer((enum compute)compute)) {
                assert_null(m);
                assert_failed(f->c, E_INPUT, "--base-type nf4");
                continue;
            }
            assert_ok(f->c);
            bool int8 = base == BASE_INT8 || compute_is_integer((enum compute)compute);
            int fine = compute == COMPUTE_INT8 ? COMPUTE_INT8X2 : compute; /* of what 8 bits cost most */
            assert_int_equal(m->options.base, int8 ? BASE_INT8 : base);
            assert_int_equal(m->options.compute, compute);
            for (int p = 0; p < LORA_SEPARATE_PLACES; p++) {
                const struct weight *w = llama_block_linear(&m->blocks[t.layers - 1], (enum lora_place)p);
                assert_true((w->form == WEIGHT_INT8) == int8 && (int)w->compute == (p <= LORA_V ? fine : compute));
            }
            assert_int_equal(m->head.compute, fine);
            snprintf(expected, sizeof expected, "%s on %s, %s", compute_name[compute],
                     int8               ? "int8 weights"
                     : base == BASE_NF4 ? "nf4 weights"
                                        : "weights as stored",
                     array_backend(f->c)->name);
            assert_string_equal(model_compute_text(m, text, sizeof text), expected);
            model_free(m);
        }
    assert_string_equal(model_options_text(&(struct model_options){.base = BASE_AS_IS, .compute = COMPUTE_F32}), "");
    assert_string_equal(model_options_text(&(struct model_options){.base = BASE_NF4, .compute = COMPUTE_F32}),
                        "--base-type nf4 ");
    assert_string_equal(model_options_text(&(struct model_options){.base = BASE_INT8, .compute = COMPUTE_F32}),
                        "--base-type int8 ");
    assert_string_equal(model_options_text(&(struct model_options){.base = BASE_AS_IS, .compute = COMPUTE_INT8X2}),
                        "--compute int8x2 ");
    assert_string_equal(model_options_text(&(struct model_options){.base = BASE_AS_IS, .compute = COMPUTE_BF16}),
                        "--compute bf16 ");
}

/* A number in a weight that no scale holds: named, with file and row; as it is, the file opens. */
static void weights_that_do_not_fit(void **state)
{
    struct fixture *f = *state;
    struct tiny t = wide_tiny(true);
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
    for (int k = 0; k < N_BASES; k++) {
        assert_null(model_open_with(f->c, fixture_path(f, "tiny"), &(struct model_options){.base = bases[k].base}));
        assert_non_null(strstr(f->c->message, fixture_path(f, "tiny")));
        assert_failed(f->c, E_INPUT, "model.layers.1.mlp.down_proj.weight: row 3 ");
    }
    m = model_open(f->c, fixture_path(f, "tiny"));
    assert_ok(f->c);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(which_are_made, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_rows_are_put_right, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(same_codes_for_any_threads, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(logits_are_those_of_the_codes, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(computing_in_integers, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(weights_that_do_not_fit, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
