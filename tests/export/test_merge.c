#include "model/support_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/dtype.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "export/hf/hf_folder.h"
#include "export/merge.h"
#include "export/peft.h"
#include "io/gguf.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "io/tokenizer/tokenizer.h"
#include "support_host.h"

/* An adapter on `places` with numbers that matter, attached. */
static struct lora *adapter_on(struct fixture *f, struct model *m, uint32_t places)
{
    struct lora_config config = {.rank = 3, .alpha = 5, .targets = places, .seed = 9};
    struct lora *l = lora_new(f->c, &m->config, &config);
    assert_ok(f->c);
    for (size_t i = 0; i < l->n_modules; i++) {
        float *b = host_f32(l->modules[i].slot.b);
        for (int64_t k = 0; k < array_size(l->modules[i].slot.b); k++) b[k] = 0.1f * (float)((k * 7 + (int64_t)i) % 11 - 5);
        host_store(l->modules[i].slot.b, b);
    }
    model_attach_lora(m, l);
    return l;
}

static struct model *merge_and_open(struct fixture *f, struct model *m, const char *name, struct merge_options options)
{
    assert_int_equal(merge_write(m, fixture_path(f, name), &options), OK);
    struct model *merged = model_open(f->c, fixture_path(f, name));
    assert_ok(f->c);
    return merged;
}

static double logits_differ(struct fixture *f, struct model *a, struct model *b)
{
    struct batch_data batch;
    size_t n = 12 * (size_t)a->config.vocab;
    float *x = calloc(n, sizeof *x), *y = calloc(n, sizeof *y);
    batch_make(&batch, a->config.vocab, 1, (int[]){12}, 4);
    forward_logits(a, &batch.batch, &(struct forward_options){0}, x);
    forward_logits(b, &batch.batch, &(struct forward_options){0}, y);
    double error = relative_error_f32(x, y, n);
    free(x);
    free(y);
    (void)f;
    return error;
}

/* Every element of a merged matrix against W + s B A in double, within half a unit in the last place of `type` (and the
 * rounding of the f32 sum). */
static void check_matrix(const struct weight *base, const struct weight *merged, enum tensor_type type)
{
    double row[64], half_ulp = type == TENSOR_BF16 ? 1.0 / 256 : 1e-6;
    float got[64], stored[64];
    const float *a = base->lora ? host_f32(base->lora->a) : NULL, *b = base->lora ? host_f32(base->lora->b) : NULL;
    for (int64_t i = 0; i < base->rows; i++) {
        weight_source_row_f32(&base->source, i, stored);
        weight_source_row_f32(&merged->source, i, got);
        for (int64_t j = 0; j < base->cols; j++) row[j] = (double)stored[j];
        const struct lora_slot *s = base->lora;
        for (int64_t j = 0; j < base->cols; j++) {
            double scale = fabs(row[j]);
            for (int64_t r = 0; s && r < s->a->shape[0]; r++) {
                double term = (double)s->scale * (double)b[i * s->a->shape[0] + r] * (double)a[r * base->cols + j];
                row[j] += term;
                scale += fabs(term);
            }
            double allowed = half_ulp * fabs(row[j]) + 1e-6 * scale;
            if (!(fabs((double)got[j] - row[j]) <= allowed))
                fail_msg("%s[%lld,%lld] is %.9g, not %.9g", base->name, (long long)i, (long long)j, (double)got[j], row[j]);
        }
    }
}

static void merge_all(struct fixture *f, struct model *m, enum tensor_type type, double tolerance)
{
    struct lora *l = adapter_on(f, m, LORA_ALL);
    struct model *merged = merge_and_open(f, m, type == TENSOR_BF16 ? "bf16" : "f32", (struct merge_options){.type = type});
    assert_int_equal(merged->blocks[0].q.type, type);
    for (int64_t i = 0; i < m->config.n_layers; i++)
        for (int p = 0; p < LORA_SEPARATE_PLACES; p++)
            check_matrix(llama_block_linear(&m->blocks[i], (enum lora_place)p),
                         llama_block_linear(&merged->blocks[i], (enum lora_place)p), type);
    double error = logits_differ(f, merged, m);
    if (!(error < tolerance)) fail_msg("merged logits differ by %g relative", error);
    model_attach_lora(m, NULL);
    assert_true(logits_differ(f, merged, m) > 0.05); /* the adapter did something */
    lora_free(l);
    model_free(merged);
}

static void folder_in_f32_and_bf16(void **state)
{
    struct fixture *f = *state;
    struct model *m = tiny_open(f, &tiny_llama);
    merge_all(f, m, TENSOR_F32, 2e-6);
    merge_all(f, m, TENSOR_BF16, 3e-2);
    model_free(m);
}

/* The base of an adapter that was trained on NF4 or int8 is merged as the file has it, not as it was rounded. */
static void the_source_is_merged_and_not_the_form(void **state)
{
    struct fixture *f = *state;
    tiny_write_gguf(f, &tiny_llama, "m.gguf", NULL);
    struct model *plain = model_open(f->c, fixture_path(f, "m.gguf"));
    struct model *made = model_open_with(f->c, fixture_path(f, "m.gguf"), &(struct model_options){.base = BASE_INT8});
    assert_ok(f->c);
    struct model *a = merge_and_open(f, plain, "a", (struct merge_options){.type = TENSOR_F32});
    struct model *b = merge_and_open(f, made, "b", (struct merge_options){.type = TENSOR_F32});
    assert_true(logits_differ(f, made, plain) > 1e-4);
    for (int p = 0; p < LORA_SEPARATE_PLACES; p++) {
        const struct weight *x = llama_block_linear(&a->blocks[1], (enum lora_place)p);
        const struct weight *y = llama_block_linear(&b->blocks[1], (enum lora_place)p);
        assert_memory_equal(x->source.data, y->source.data, weight_source_bytes(&x->source));
    }
    assert_memory_equal(a->head.source.data, b->head.source.data, weight_source_bytes(&a->head.source));
    struct model *const models[] = {plain, made, a, b};
    for (int i = 0; i < 4; i++) model_free(models[i]);
}

/* Permuted rows, biases, tied embeddings: the folder is in Hugging Face order and its generated config says the same. */
static void gguf_in_f32(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    t.qkv_bias = t.o_bias = t.mlp_bias = t.tied = true;
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    struct model *m = model_open(f->c, fixture_path(f, "m.gguf"));
    assert_ok(f->c);
    merge_all(f, m, TENSOR_F32, 2e-6);
    model_free(m);
}

static void generated_config(struct fixture *f, const struct tiny *t, enum model_family family)
{
    tiny_write_gguf(f, t, "g.gguf", NULL);
    struct model *m = model_open(f->c, fixture_path(f, "g.gguf"));
    assert_ok(f->c);
    char out[64]; /* a folder of its own, also for a family's second case */
    snprintf(out, sizeof out, "%s-%d", model_family_names(family)->model_type, t->n_keys);
    struct model *merged = merge_and_open(f, m, out, (struct merge_options){.type = TENSOR_F32});
    const struct model_config *a = &m->config, *b = &merged->config;
    assert_int_equal(b->family, family);
    assert_true(a->n_layers == b->n_layers && a->hidden == b->hidden && a->n_heads == b->n_heads);
    assert_true(a->n_kv_heads == b->n_kv_heads && a->head_dim == b->head_dim && a->ffn == b->ffn && a->vocab == b->vocab);
    assert_true(a->max_positions == b->max_positions && a->rope_theta == b->rope_theta);
    assert_true((float)a->rms_eps == (float)b->rms_eps && b->rms_eps == 1e-5); /* the decimal that was meant */
    assert_true(a->tied_embeddings == b->tied_embeddings && a->qkv_bias == b->qkv_bias && a->o_bias == b->o_bias);
    assert_true(a->mlp_bias == b->mlp_bias && a->qk_norm == b->qk_norm && a->sliding_window == b->sliding_window);
    assert_memory_equal(a->layer_flags, b->layer_flags, sizeof a->layer_flags);
    assert_true(logits_differ(f, merged, m) < 1e-6);
    model_free(m);
    model_free(merged);
}

static void gguf_configs_of_every_family(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    generated_config(f, &t, FAMILY_LLAMA);
    t.family = FAMILY_QWEN2;
    t.qkv_bias = true;
    generated_config(f, &t, FAMILY_QWEN2);
    t.family = FAMILY_QWEN3;
    t.qkv_bias = false;
    t.qk_norm = true;
    generated_config(f, &t, FAMILY_QWEN3);
    for (int i = 0; i < TINY_FAMILIES; i++) generated_config(f, &tiny_families[i], tiny_families[i].family);
}

/* Fused layers, norms behind and factors, from a folder: the merged model computes what the base with its adapter does. */
static void families_from_folders(void **state)
{
    static const char *const names[] = {"phi3_short", "olmo2", "granite", "smollm3"};
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++) {
        char path[512], adapter[512];
        snprintf(path, sizeof path, TEST_DATA "/families/%s", names[i]);
        snprintf(adapter, sizeof adapter, TEST_DATA "/families/%s/adapter", names[i]);
        struct model *m = model_open(f->c, path);
        struct lora *l = lora_load_peft(f->c, &m->config, adapter);
        assert_ok(f->c);
        struct model *plain = merge_and_open(f, m, "plain", (struct merge_options){.type = TENSOR_F32});
        assert_true(logits_differ(f, plain, m) == 0);
        model_attach_lora(m, l);
        assert_true(logits_differ(f, plain, m) > 1e-3);
        struct model *merged = merge_and_open(f, m, "merged", (struct merge_options){.type = TENSOR_F32});
        assert_true(logits_differ(f, merged, m) < 1e-5);
        struct model *const models[] = {m, plain, merged};
        for (int k = 0; k < 3; k++) model_free(models[k]);
        lora_free(l);
        dir_remove(f->c, fixture_path(f, "plain"));
        dir_remove(f->c, fixture_path(f, "merged"));
    }
}

/* A llama file with a window can only be said as the other architecture of that name. */
static void gguf_with_a_window_is_a_mistral(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    t.keys = &(struct tiny_key){.key = ".attention.sliding_window", .number = 4};
    t.n_keys = 1;
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    struct model *m = model_open(f->c, fixture_path(f, "m.gguf"));
    struct model *merged = merge_and_open(f, m, "out", (struct merge_options){.type = TENSOR_F32});
    assert_int_equal(merged->config.family, FAMILY_MISTRAL);
    assert_int_equal(merged->config.sliding_window, 4);
    assert_true(logits_differ(f, merged, m) < 1e-6);
    model_free(merged);
    model_free(m);
    t.qkv_bias = true; /* and Mistral has no biases */
    tiny_write_gguf(f, &t, "biased.gguf", NULL);
    m = model_open(f->c, fixture_path(f, "biased.gguf"));
    assert_int_equal(merge_write(m, fixture_path(f, "biased"), &(struct merge_options){.type = TENSOR_F32}), E_UNSUPPORTED);
    assert_failed(f->c, E_UNSUPPORTED, "biases");
    model_free(m);
}

/* Factors of Llama 3.2's kind become parameters again; factors that no parameters give are refused before anything is
 * written. */
static void gguf_rope_factors(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    float plain[5], factors[5];
    struct model_config config = {.rotary_dims = 10, .rope_theta = 10000};
    model_config_inv_freq(&config, false, plain);
    config.rope_scaling = ROPE_LLAMA3;
    config.rope_factor = 32;
    config.rope_low_freq_factor = 1;
    config.rope_high_freq_factor = 4;
    config.rope_original_positions = 64;
    model_config_inv_freq(&config, false, factors);
    for (int i = 0; i < 5; i++) factors[i] = plain[i] / factors[i];
    assert_true(factors[1] > 1.1f && factors[1] < 31); /* one of them is blended */
    t.rope_factors = factors;
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    struct model *m = model_open(f->c, fixture_path(f, "m.gguf"));
    struct model *merged = merge_and_open(f, m, "out", (struct merge_options){.type = TENSOR_F32});
    assert_int_equal(merged->config.rope_scaling, ROPE_LLAMA3);
    assert_true(merged->config.rope_factor == 32 && merged->config.rope_original_positions == 64);
    assert_true(logits_differ(f, merged, m) < 2e-6);
    model_free(m);
    model_free(merged);
    factors[1] = 90;
    tiny_write_gguf(f, &t, "odd.gguf", NULL);
    m = model_open(f->c, fixture_path(f, "odd.gguf"));
    assert_int_equal(merge_write(m, fixture_path(f, "odd"), &(struct merge_options){.type = TENSOR_F32}), E_UNSUPPORTED);
    assert_failed(f->c, E_UNSUPPORTED, "rope_freqs.weight");
    assert_false(file_exists(fixture_path(f, "odd/model.safetensors")));
    model_free(m);
}

static void shards_and_index(void **state)
{
    struct fixture *f = *state;
    struct model *m = tiny_open(f, &tiny_llama);
    struct model *one = merge_and_open(f, m, "one", (struct merge_options){.type = TENSOR_F32});
    struct model *many = merge_and_open(f, m, "many", (struct merge_options){.type = TENSOR_F32, .shard_bytes = 10000});
    assert_true(file_exists(fixture_path(f, "one/model.safetensors")));
    assert_false(file_exists(fixture_path(f, "one/model.safetensors.index.json")));
    assert_false(file_exists(fixture_path(f, "many/model.safetensors")));
    json_t *index = json_parse_file(f->c, fixture_path(f, "many/model.safetensors.index.json"), 1 << 20);
    json_t *total = json_object_get(json_object_get(index, "metadata"), "total_size");
    assert_int_equal(json_integer_value(total), model_weight_bytes(m));
    assert_true(logits_differ(f, one, many) == 0);
    char **names;
    size_t n, shards = 0;
    assert_int_equal(dir_list(f->c, fixture_path(f, "many"), &names, &n), OK);
    for (size_t i = 0; i < n; i++) {
        if (!strstr(names[i], "-of-")) continue;
        char path[300], hex[65];
        uint64_t bytes;
        snprintf(path, sizeof path, "many/%.200s", names[i]);
        assert_int_equal(file_sha256(f->c, fixture_path(f, path), hex, &bytes), OK);
        assert_true(bytes < 10000 + 4096); /* tensors and header */
        shards++;
    }
    assert_true(shards >= 4);
    dir_list_free(f->c, names, n);
    json_decref(index);
    model_free(one);
    model_free(many);
    model_free(m);
}

/* Rows are made by the pool; which thread made one must not show. */
static void threads_change_no_byte(void **state)
{
    struct fixture *f = *state;
    struct model *m = tiny_open(f, &tiny_llama);
    struct lora *l = adapter_on(f, m, LORA_ALL);
    char hex[3][65], name[32];
    uint64_t bytes;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ctx_set_threads(f->c, 2 * i + 1), OK);
        snprintf(name, sizeof name, "t%d", i);
        assert_int_equal(merge_write(m, fixture_path(f, name), &(struct merge_options){.type = TENSOR_BF16}), OK);
        strcat(name, "/model.safetensors");
        assert_int_equal(file_sha256(f->c, fixture_path(f, name), hex[i], &bytes), OK);
    }
    assert_string_equal(hex[0], hex[1]);
    assert_string_equal(hex[0], hex[2]);
    assert_int_equal(ctx_set_threads(f->c, 1), OK);
    lora_free(l);
    model_free(m);
}

static const char *string_in(json_t *doc, const char *key)
{
    const char *s = json_string_value(json_object_get(doc, key));
    return s ? s : "(absent)";
}

static void config_is_copied_with_its_dtype(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    t.extra = "\"dtype\": \"float16\", \"my_note\": [1, 2], \"initializer_range\": 0.02, \"eos_token_id\": [4, 7],";
    struct model *m = tiny_open(f, &t);
    fixture_write(f, "tiny/chat_template.jinja", "{{ x }}");
    fixture_write(f, "tiny/generation_config.json", "{\"temperature\": 0.5, \"eos_token_id\": 9}");
    model_free(merge_and_open(f, m, "out", (struct merge_options){.type = TENSOR_BF16}));
    json_t *doc = json_parse_file(f->c, fixture_path(f, "out/config.json"), 1 << 20);
    assert_string_equal(string_in(doc, "dtype"), "bfloat16");
    assert_string_equal(string_in(doc, "torch_dtype"), "(absent)");
    assert_int_equal(json_array_size(json_object_get(doc, "my_note")), 2);
    json_decref(doc);
    doc = json_parse_file(f->c, fixture_path(f, "out/generation_config.json"), 1 << 20);
    assert_true(json_real_value(json_object_get(doc, "temperature")) == 0.5);
    json_t *stops = json_object_get(doc, "eos_token_id");
    assert_int_equal(json_array_size(stops), 2); /* what the base listed, and the EOS of its config */
    assert_int_equal(json_integer_value(json_array_get(stops, 0)), 9);
    assert_int_equal(json_integer_value(json_array_get(stops, 1)), 4);
    json_decref(doc);
    size_t n;
    char *copied = file_read(f->c, fixture_path(f, "out/chat_template.jinja"), 100, &n);
    assert_string_equal(copied, "{{ x }}");
    mem_free(f->c, copied);
    model_free(m);
}

static void only_into_an_empty_folder(void **state)
{
    struct fixture *f = *state;
    struct model *m = tiny_open(f, &tiny_llama);
    assert_int_equal(merge_write(m, fixture_path(f, "tiny"), &(struct merge_options){.type = TENSOR_F32}), E_INPUT);
    assert_failed(f->c, E_INPUT, "not empty");
    model_free(m);
}

/* ---- tokenizer.json from GGUF ---------------------------------------------------------------------------------------- */

static void same_ids(struct fixture *f, const char *vocab)
{
    static const char text[] =
        "Hello, world! It's 12345 o'clock\n\n\tdef f(x):  return x\n caf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd "
        "\xf0\x9f\x98\x80 <|endoftext|> trailing   ";
    char path[300], out[64];
    snprintf(path, sizeof path, SHARED_DIR "/corpora/vocab/ggml-vocab-%s.gguf", vocab);
    struct gguf *g = gguf_open(f->c, path);
    if (!g) fail_msg("this test needs %s: %s", path, f->c->message);
    assert_int_equal(dir_make(f->c, fixture_path(f, vocab)), OK);
    assert_true(hf_tokenizer_write(f->c, g, fixture_path(f, vocab)));
    snprintf(out, sizeof out, "%s/tokenizer.json", vocab);
    struct tokenizer *a = tokenizer_open_gguf(f->c, g), *b = tokenizer_open_json(f->c, fixture_path(f, out));
    assert_ok(f->c);
    assert_int_equal(tokenizer_vocab_size(a), tokenizer_vocab_size(b));
    assert_int_equal(tokenizer_eos(a), tokenizer_eos(b));
    for (int special = 0; special < 2; special++) {
        struct ids x = {0}, y = {0};
        assert_int_equal(tokenizer_encode(f->c, a, text, strlen(text), special, &x), OK);
        assert_int_equal(tokenizer_encode(f->c, b, text, strlen(text), special, &y), OK);
        assert_true(x.n > 20);
        assert_int_equal(x.n, y.n);
        assert_memory_equal(x.data, y.data, x.n * sizeof *x.data);
        ids_release(f->c, &x);
        ids_release(f->c, &y);
    }
    tokenizer_free(a);
    tokenizer_free(b);
    gguf_close(g);
}

static void tokenizers_give_the_same_ids(void **state)
{
    same_ids(*state, "gpt-2");
    same_ids(*state, "starcoder");
    same_ids(*state, "deepseek-llm");
    same_ids(*state, "llama-spm");
}

/* ---- a vocabulary of the 256 bytes, two merges and three special tokens, as GGUF ------------------------------------- */

static void put(FILE *out, const void *bytes, size_t n)
{
    assert_int_equal(fwrite(bytes, 1, n, out), n);
}

static void put_text(FILE *out, const char *s)
{
    uint64_t n = strlen(s);
    put(out, &n, 8);
    put(out, s, n);
}

/* Key and kind of one metadata pair; arrays also get item kind and count. */
static void put_key(FILE *out, const char *key, uint32_t kind, uint32_t item, uint64_t n)
{
    put_text(out, key);
    put(out, &kind, 4);
    if (kind != 9) return;
    put(out, &item, 4);
    put(out, &n, 8);
}

/* The character that stands for a byte in byte-level BPE: itself when it is printable Latin-1, else the next free one from
 * U+0100 on (GPT-2). */
static void byte_token(int byte, char text[3])
{
    int code = 256;
    bool own = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 255 && byte != 173);
    for (int b = 0; !own && b < byte; b++) code += !((b >= 33 && b <= 126) || (b >= 161 && b != 173));
    if (own) code = byte;
    text[0] = (char)(code < 128 ? code : 0xc0 | code >> 6);
    text[1] = (char)(code < 128 ? 0 : 0x80 | (code & 63));
    text[2] = 0;
}

static void write_vocab(struct fixture *f, const char *name, const char *pre)
{
    static const char *const more[] = {"he", "\xc4\xa0he", "<|bos|>", "<|im_end|>", "<tool>"};
    FILE *out = fopen(fixture_path(f, name), "wb");
    char text[3];
    put(out, "GGUF\3\0\0", 8);
    put(out, (uint64_t[]){0, 9}, 16);
    put_key(out, "general.architecture", 8, 0, 0);
    put_text(out, "llama");
    put_key(out, "tokenizer.ggml.model", 8, 0, 0);
    put_text(out, "gpt2");
    put_key(out, "tokenizer.ggml.pre", 8, 0, 0);
    put_text(out, pre);
    put_key(out, "tokenizer.chat_template", 8, 0, 0);
    put_text(out, "{{ \"x\" }}");
    put_key(out, "tokenizer.ggml.tokens", 9, 8, 261);
    for (int b = 0; b < 256; b++) byte_token(b, text), put_text(out, text);
    for (int i = 0; i < 5; i++) put_text(out, more[i]);
    put_key(out, "tokenizer.ggml.token_type", 9, 5, 261);
    for (int i = 0; i < 261; i++) put(out, &(int32_t){i == 260 ? 4 : i >= 258 ? 3 : 1}, 4);
    put_key(out, "tokenizer.ggml.merges", 9, 8, 2);
    put_text(out, "h e");
    put_text(out, "\xc4\xa0 he");
    put_key(out, "tokenizer.ggml.bos_token_id", 4, 0, 0);
    put(out, &(uint32_t){258}, 4);
    put_key(out, "tokenizer.ggml.eos_token_id", 4, 0, 0);
    put(out, &(uint32_t){259}, 4);
    assert_int_equal(fclose(out), 0);
}

static void check_vocab(struct fixture *f, const char *pre, bool bos)
{
    static const char text[] = "he said: 'He's 12345'<tool>\n\n  the <|im_end|>e\xcc\x81 caf\xc3\xa9";
    write_vocab(f, "vocab.gguf", pre);
    struct gguf *g = gguf_open(f->c, fixture_path(f, "vocab.gguf"));
    assert_ok(f->c);
    assert_true(hf_tokenizer_write(f->c, g, f->dir));
    struct tokenizer *a = tokenizer_open_gguf(f->c, g), *b = tokenizer_open_json(f->c, fixture_path(f, "tokenizer.json"));
    assert_ok(f->c);
    struct ids x = {0}, y = {0};
    assert_int_equal(tokenizer_encode(f->c, a, text, strlen(text), true, &x), OK);
    assert_int_equal(tokenizer_encode(f->c, b, text, strlen(text), true, &y), OK);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.data, y.data, x.n * sizeof *x.data);
    assert_int_equal(tokenizer_adds_bos(a), bos);
    assert_int_equal(tokenizer_adds_bos(b), bos);
    assert_int_equal(tokenizer_bos(b), 258);
    assert_int_equal(tokenizer_eos(b), 259);
    assert_true(tokenizer_is_special(b, 259) && !tokenizer_is_special(b, 260));
    assert_string_equal(tokenizer_chat_template(b), "{{ \"x\" }}");
    ids_release(f->c, &x);
    ids_release(f->c, &y);
    tokenizer_free(a);
    tokenizer_free(b);
    gguf_close(g);
}

static void every_pretokenizer_that_can_be_said(void **state)
{
    check_vocab(*state, "gpt-2", false);
    check_vocab(*state, "smollm", false);
    check_vocab(*state, "llama-bpe", true);
    check_vocab(*state, "tekken", true);
    static const char *const names[] = {"qwen2",       "qwen35",   "gpt-4o",   "deepseek-llm", "deepseek-coder",
                                        "deepseek-v3", "superbpe", "tiny_aya", "bailingmoe",   "seed-coder",
                                        "exaone-moe",  "bloom",    "viking",   "default",      "smaug-bpe",
                                        "refact",      "olmo",     "dbrx"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) check_vocab(*state, names[i], false);
}

static void a_tokenizer_that_cannot_be_said(void **state)
{
    struct fixture *f = *state;
    write_vocab(f, "vocab.gguf", "kimi-k2");
    struct gguf *g = gguf_open(f->c, fixture_path(f, "vocab.gguf"));
    assert_ok(f->c);
    assert_false(hf_tokenizer_write(f->c, g, f->dir));
    assert_ok(f->c);
    assert_false(file_exists(fixture_path(f, "tokenizer.json")));
    gguf_close(g);
}

/* ---- the adapter's card ---------------------------------------------------------------------------------------------- */

static void card_names_the_base(void **state)
{
    struct fixture *f = *state;
    struct model *m = tiny_open(f, &tiny_llama);
    struct lora *l = adapter_on(f, m, 1u << LORA_Q);
    assert_int_equal(dir_make(f->c, fixture_path(f, "adapter")), OK);
    assert_int_equal(peft_write_card(m, l, fixture_path(f, "adapter")), OK);
    char hex[65];
    uint64_t bytes;
    size_t n;
    assert_int_equal(file_sha256(f->c, fixture_path(f, "tiny/model.safetensors"), hex, &bytes), OK);
    char *card = file_read(f->c, fixture_path(f, "adapter/README.md"), 1 << 20, &n);
    assert_non_null(strstr(card, hex));
    assert_null(strstr(card, "base_model:")); /* a path is no name that a hub takes */
    assert_non_null(strstr(card, "| `model.safetensors` | "));
    assert_null(strstr(card, "NF4"));
    mem_free(f->c, card);
    lora_free(l);
    model_free(m);
    m = model_open_with(f->c, fixture_path(f, "tiny"), &(struct model_options){.base = BASE_NF4});
    l = adapter_on(f, m, 1u << LORA_Q);
    assert_int_equal(peft_write_card(m, l, fixture_path(f, "adapter")), OK);
    card = file_read(f->c, fixture_path(f, "adapter/README.md"), 1 << 20, &n);
    assert_non_null(strstr(card, hex)); /* of the file that the codes were made from */
    assert_non_null(strstr(card, "--base-type nf4"));
    mem_free(f->c, card);
    lora_free(l);
    model_free(m);
    m = model_open_with(f->c, fixture_path(f, "tiny"), &(struct model_options){.compute = COMPUTE_INT8X2});
    l = adapter_on(f, m, 1u << LORA_Q);
    assert_int_equal(peft_write_card(m, l, fixture_path(f, "adapter")), OK);
    card = file_read(f->c, fixture_path(f, "adapter/README.md"), 1 << 20, &n);
    assert_non_null(strstr(card,
                           "the linear layers and the head were in int8 (one scale a row), made from these weights, and "
                           "products with them were computed in integers (int8x2)"));
    assert_non_null(strstr(card, "(`--compute int8x2`)"));
    mem_free(f->c, card);
    lora_free(l);
    model_free(m);
}

/* With the word "corpora": the tests that need ../shared/corpora, which CI has and a clone has not. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folder_in_f32_and_bf16, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_source_is_merged_and_not_the_form, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_in_f32, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_configs_of_every_family, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(families_from_folders, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_with_a_window_is_a_mistral, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_rope_factors, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(shards_and_index, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(threads_change_no_byte, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(config_is_copied_with_its_dtype, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(only_into_an_empty_folder, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_tokenizer_that_cannot_be_said, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(every_pretokenizer_that_can_be_said, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(card_names_the_base, fixture_setup, fixture_teardown),
    };
    const struct CMUnitTest corpora[] = {
        cmocka_unit_test_setup_teardown(tokenizers_give_the_same_ids, fixture_setup, fixture_teardown),
    };
    if (argc > 1 && strcmp(argv[1], "corpora") == 0) return cmocka_run_group_tests(corpora, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
