/* weights: every tensor of a file is found, checked and used once, in both containers; what is missing, too many or of the
 * wrong shape is named. */
#include "support_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "model/weights.h"
#include "support_host.h"

static void names_shapes_and_no_copy(void **state)
{
    struct fixture *f = *state;
    struct model *m = tiny_open(f, &tiny_llama);
    const struct weight *w = &m->blocks[1].k;
    assert_string_equal(w->name, "model.layers.1.self_attn.k_proj.weight");
    assert_int_equal(w->rows, 20);
    assert_int_equal(w->cols, 24);
    assert_int_equal(w->row_bytes, 24 * 4);
    assert_null(w->row_map);
    assert_null(w->bias);
    assert_null(m->blocks[1].q_norm);
    assert_ptr_not_equal(m->head.data, m->embed.data);
    int64_t block = 24 * 40 * 2 + 24 * 20 * 2 + 3 * 24 * 40 + 2 * 24;
    assert_int_equal(model_weight_bytes(m), 4 * (2 * block + 2 * 50 * 24 + 24));
    assert_true(f->c->alloc_bytes < model_weight_bytes(m)); /* the weights themselves are not in memory of ours */
    assert_string_equal(m->name, fixture_path(f, "tiny"));
    assert_int_equal(model_check(m), OK);
    model_free(m);
}

static void tied_head_is_the_table(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    t.tied = true;
    struct model *m = tiny_open(f, &t);
    assert_ptr_equal(m->head.data, m->embed.data);
    assert_int_equal(m->head.rows, 50);
    model_free(m);
    /* a stored head that differs from the table contradicts the config */
    tiny_write_hf(f, &tiny_llama, "both", NULL);
    char from[512], to[512];
    snprintf(from, sizeof from, "%s/tiny/config.json", f->dir);
    snprintf(to, sizeof to, "%s/both/config.json", f->dir);
    assert_int_equal(rename(from, to), 0);
    assert_null(model_open(f->c, fixture_path(f, "both")));
    assert_failed(f->c, E_UNSUPPORTED, "lm_head.weight");
}

static void missing_unknown_and_misshapen(void **state)
{
    static const struct {
        struct tiny_edit edit;
        bool gguf;
        enum status status;
        const char *part;
    } cases[] = {
        {{.drop = "model.layers.1.mlp.up_proj.weight"}, false, E_INPUT, "model.layers.1.mlp.up_proj.weight"},
        {{.drop = "model.norm.weight"}, false, E_INPUT, "model.norm.weight"},
        {{.drop = "lm_head.weight"}, false, E_INPUT, "lm_head.weight"},
        {{.reshape = "model.layers.0.self_attn.o_proj.weight"}, false, E_INPUT, "23 x 40"},
        {{.reshape = "model.layers.0.input_layernorm.weight"}, false, E_INPUT, "input_layernorm"},
        {{.add = "model.layers.0.self_attn.q_proj.bias"}, false, E_UNSUPPORTED, "q_proj.bias"},
        {{.add = "model.layers.2.mlp.up_proj.weight"}, false, E_UNSUPPORTED, "layers.2"},
        {{.drop = "blk.1.ffn_up.weight"}, true, E_INPUT, "blk.1.ffn_up.weight"},
        {{.add = "blk.0.attn_q_norm.weight"}, true, E_UNSUPPORTED, "attn_q_norm"},
        {{.reshape = "token_embd.weight"}, true, E_INPUT, "49"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32];
        snprintf(name, sizeof name, cases[i].gguf ? "m%zu.gguf" : "m%zu", i);
        if (cases[i].gguf)
            tiny_write_gguf(f, &tiny_llama, name, &cases[i].edit);
        else
            tiny_write_hf(f, &tiny_llama, name, &cases[i].edit);
        assert_null(model_open(f->c, fixture_path(f, name)));
        if (i == 9) { /* without vocab_size the table itself says how large it is: then the head does not fit */
            assert_failed(f->c, E_INPUT, "output.weight");
            continue;
        }
        assert_failed(f->c, cases[i].status, cases[i].part);
    }
}

static void harmless_buffers_are_accepted(void **state)
{
    struct fixture *f = *state;
    struct tiny_edit edit = {.add = "model.layers.0.self_attn.rotary_emb.inv_freq"};
    tiny_write_hf(f, &tiny_llama, "old", &edit);
    struct model *m = model_open(f->c, fixture_path(f, "old"));
    assert_ok(f->c);
    model_free(m);
}

static void not_a_model(void **state)
{
    struct fixture *f = *state;
    assert_null(model_open(f->c, fixture_path(f, "nothing")));
    assert_failed(f->c, E_INPUT, "not a model");
    assert_null(model_open(f->c, fixture_path(f, "nothing.gguf")));
    assert_failed(f->c, E_INPUT, "nothing.gguf");
    assert_int_equal(dir_make(f->c, fixture_path(f, "empty")), OK);
    assert_null(model_open(f->c, fixture_path(f, "empty")));
    assert_failed(f->c, E_INPUT, "model.safetensors");
}

/* ---- GGUF is seen in Hugging Face order ------------------------------------------------------------------------------ */

static void assert_same_rows(const struct weight *a, const struct weight *b)
{
    float x[64], y[64];
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->cols, b->cols);
    for (int64_t i = 0; i < a->rows; i++) {
        weight_row_f32(a, i, x);
        weight_row_f32(b, i, y);
        assert_memory_equal(x, y, (size_t)a->cols * sizeof *x);
    }
    assert_int_equal(a->bias != NULL, b->bias != NULL);
    if (a->bias) assert_memory_equal(host_f32(a->bias), host_f32(b->bias), (size_t)a->rows * sizeof(float));
}

/* Of a document longer than every window and original context here. */
static void compare_logits(struct model *a, struct model *b)
{
    struct batch_data batch;
    float x[12 * 50], y[12 * 50];
    batch_make(&batch, 50, 1, (int[]){12}, 4);
    forward_logits(a, &batch.batch, &(struct forward_options){0}, x);
    forward_logits(b, &batch.batch, &(struct forward_options){0}, y);
    assert_true(relative_error_f32(x, y, 12 * 50) < 1e-6);
}

static void compare_formats(struct fixture *f, const struct tiny *t, bool permuted)
{
    tiny_write_gguf(f, t, "same.gguf", NULL);
    struct model *a = tiny_open(f, t), *b = model_open(f->c, fixture_path(f, "same.gguf"));
    assert_ok(f->c);
    for (int64_t i = 0; i < t->layers; i++) {
        for (int p = 0; p < LORA_SEPARATE_PLACES; p++)
            assert_same_rows(llama_block_linear(&a->blocks[i], (enum lora_place)p),
                             llama_block_linear(&b->blocks[i], (enum lora_place)p));
        for (int k = 0; k < BLOCK_NORMS; k++) {
            struct array *x = *llama_block_norm(&a->blocks[i], (enum block_norm)k);
            struct array *y = *llama_block_norm(&b->blocks[i], (enum block_norm)k);
            assert_true(!x == !y);
            if (x) assert_memory_equal(host_f32(x), host_f32(y), (size_t)array_size(x) * 4);
        }
        assert_int_equal(b->blocks[i].q.row_map != NULL, permuted);
        assert_int_equal(b->blocks[i].k.row_map != NULL, permuted);
        assert_null(b->blocks[i].v.row_map);
    }
    assert_same_rows(&a->embed, &b->embed);
    assert_same_rows(&a->head, &b->head);
    assert_memory_equal(host_f32(a->inv_freq), host_f32(b->inv_freq), (size_t)array_size(a->inv_freq) * 4);
    compare_logits(a, b);
    assert_int_equal(model_weight_bytes(a), model_weight_bytes(b));
    assert_string_equal(b->name, fixture_path(f, "same.gguf"));
    model_free(a);
    model_free(b);
}

static void gguf_llama_rows_are_put_right(void **state)
{
    struct tiny t = tiny_llama;
    t.qkv_bias = t.o_bias = t.mlp_bias = true;
    compare_formats(*state, &t, true);
}

static void gguf_qwen_rows_stay(void **state)
{
    struct tiny t = tiny_llama;
    t.family = FAMILY_QWEN2;
    t.qkv_bias = t.tied = true;
    compare_formats(*state, &t, false);
    t.family = FAMILY_QWEN3;
    t.qkv_bias = false;
    t.qk_norm = true;
    compare_formats(*state, &t, false);
}

/* SmolLM3, Granite, Phi-3, OLMo-2 and yarn: what folders say with fields, files say with keys, tensors and names. */
static void gguf_families_say_the_same(void **state)
{
    for (int i = 0; i < TINY_FAMILIES; i++)
        compare_formats(*state, &tiny_families[i], model_family_names(tiny_families[i].family)->gguf_permutes);
}

/* A file that shrinks under the mapping is an error, not a crash. */
static void truncation_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    t.vocab = 2000; /* several pages */
    struct model *m = tiny_open(f, &t);
    assert_int_equal(truncate(fixture_path(f, "tiny/model.safetensors"), 8192), 0);
    float row[24];
    weight_row_f32(&m->head, 1999, row);
    assert_int_equal(model_check(m), E_IO);
    assert_failed(f->c, E_IO, "model.safetensors");
    model_free(m);
}

/* What base_model_name_or_path becomes: a hub id or, where the file names none, a path that exists. */
static void assert_name(struct fixture *f, const char *file, const char *expected)
{
    struct model *m = model_open(f->c, fixture_path(f, file));
    assert_ok(f->c);
    if (expected)
        assert_string_equal(m->name, expected);
    else if (strncmp(m->name, f->dir, strlen(f->dir)) != 0 || (!file_exists(m->name) && !dir_exists(m->name)))
        fail_msg("%s is not the path of %s", m->name, file);
    assert_true(expected || m->name[strlen(m->name) - 1] != '/');
    model_free(m);
}

static void names_of_folders(void **state)
{
    static const struct {
        const char *extra, *name; /* NULL: the path */
    } cases[] = {
        {"\"_name_or_path\": \"org/model-1.2_x\",", "org/model-1.2_x"},
        {"\"_name_or_path\": \"/home/me/model\",", NULL},
        {"\"_name_or_path\": \"./model\",", NULL},
        {"\"_name_or_path\": \"../model\",", NULL},
        {"\"_name_or_path\": \"a/b/c\",", NULL},
        {"\"_name_or_path\": \"a b/c\",", NULL},
        {"\"_name_or_path\": \"a/\",", NULL},
        {"\"_name_or_path\": \"\",", NULL},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tiny t = tiny_llama;
        t.extra = cases[i].extra;
        tiny_write_hf(f, &t, "named", NULL);
        assert_name(f, "named/", cases[i].name);
    }
}

static void names_of_gguf_files(void **state)
{
#define GENERAL(name_, value_)                                                                                              \
    {                                                                                                                       \
        .key = "general." name_, .text = value_                                                                             \
    }
    static const struct {
        struct tiny_key keys[4];
        const char *name; /* NULL: the path */
    } cases[] = {
        {{GENERAL("name", "Tiny Model v1")}, NULL},
        {{GENERAL("name", "")}, NULL},
        {{GENERAL("name", "org/tiny")}, "org/tiny"},
        {{GENERAL("name", "org/ti ny")}, NULL},
        {{GENERAL("name", "\xff/a")}, NULL},
        {{GENERAL("name", "Tiny"), GENERAL("source.huggingface.repository", "org/tiny")}, "org/tiny"},
        {{GENERAL("name", "Tiny"), GENERAL("source.repo_url", "https://huggingface.co/org/tiny/")}, "org/tiny"},
        {{GENERAL("name", "Tiny"), GENERAL("source.url", "https://huggingface.co/org/tiny")}, "org/tiny"},
        {{GENERAL("name", "Tiny"), GENERAL("source.url", "https://example.org/org/tiny")}, NULL},
        {{GENERAL("name", "Tiny"), GENERAL("source.url", "https://huggingface.co/org/tiny/tree/main")}, NULL},
        {{GENERAL("name", "Tiny"), GENERAL("repo_url", "https://huggingface.co/me/tiny-gguf"),
          GENERAL("source.url", "https://huggingface.co/org/tiny")},
         "org/tiny"},
        {{GENERAL("name", "Tiny"), GENERAL("repo_url", "https://huggingface.co/me/tiny-gguf")}, "me/tiny-gguf"},
        /* what it was made from: other weights, unless it has the same name */
        {{GENERAL("name", "Tiny Instruct"), GENERAL("base_model.0.name", "Tiny"),
          GENERAL("base_model.0.repo_url", "https://huggingface.co/org/tiny")},
         NULL},
        {{GENERAL("name", "Tiny 1.5 Instruct"), GENERAL("base_model.0.name", "tiny-1.5-instruct"),
          GENERAL("base_model.0.repo_url", "https://huggingface.co/org/tiny-1.5-instruct")},
         "org/tiny-1.5-instruct"},
        {{GENERAL("name", "Tiny"), GENERAL("base_model.0.name", "Tiny"), GENERAL("base_model.0.organization", "org")},
         "org/Tiny"},
        {{GENERAL("name", "Tiny 1"), GENERAL("base_model.0.name", "Tiny 1"), GENERAL("base_model.0.organization", "org")},
         NULL},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tiny t = tiny_llama;
        t.keys = cases[i].keys;
        while (t.n_keys < 4 && cases[i].keys[t.n_keys].key) t.n_keys++;
        tiny_write_gguf(f, &t, "named.gguf", NULL);
        assert_name(f, "named.gguf", cases[i].name);
    }
}

/* A path that is given as relative is named as absolute. */
static void name_of_a_relative_path(void **state)
{
    struct fixture *f = *state;
    char here[1024];
    tiny_write_hf(f, &tiny_llama, "named", NULL);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(f->dir), 0);
    struct model *m = model_open(f->c, "./named");
    assert_int_equal(chdir(here), 0);
    assert_ok(f->c);
    assert_string_equal(m->name, fixture_path(f, "named"));
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_shapes_and_no_copy, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(tied_head_is_the_table, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(missing_unknown_and_misshapen, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(harmless_buffers_are_accepted, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(not_a_model, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_llama_rows_are_put_right, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_qwen_rows_stay, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_families_say_the_same, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(truncation_is_an_error, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(names_of_folders, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(names_of_gguf_files, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(name_of_a_relative_path, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
