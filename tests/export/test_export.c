/* Exports as a whole: every format on tiny models, the check that catches a wrong one, and what is left after a refusal, a
 * full disk and a kill. */
#include "model/support_model.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/export.h"
#include "export/formats.h"
#include "io/gguf.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "model/weights.h"
#include "support_host.h"

/* DIR/hf or DIR/m.gguf, and DIR/adapter, a PEFT folder with values that matter. */
static void make_source(struct fixture *f, const struct tiny *t)
{
    tiny_write_hf(f, t, "hf", NULL);
    tiny_write_gguf(f, t, "m.gguf", NULL);
    tiny_write_adapter(f, 0.1f);
}

static void open_source(struct fixture *f, struct export_source *s, const char *model)
{
    assert_int_equal(export_open(s, f->c, fixture_path(f, "adapter"), fixture_path(f, model)), OK);
}

/* Exports one format of the list to DIR/out. */
static enum status export_to(struct fixture *f, struct export_source *s, const char *format, const char *out,
                             struct export_result *result)
{
    struct export_job job;
    struct export_logits *wanted = NULL;
    enum status status = export_plan(s, format, fixture_path(f, out), &job);
    *result = (struct export_result){.verified = false};
    if (status == OK) status = export_write(s, &job.targets[0], true, &wanted, result);
    mem_free(f->c, result->opens);
    result->opens = NULL;
    export_logits_free(wanted);
    export_job_release(f->c, &job);
    return status;
}

static const char *stage(struct fixture *f, const char *out)
{
    char name[128];
    snprintf(name, sizeof name, "%s.your_ai-export", out);
    return fixture_path(f, name);
}

/* ---- every format ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *format;
    double limit;
} all_formats[] = {{"peft", 0},         {"safetensors:f32", 1e-5}, {"safetensors:f16", 1e-2}, {"safetensors:bf16", 5e-2},
                   {"gguf-lora", 0},    {"mlx-lora", 1e-6},        {"gguf:f32", 1e-5},        {"gguf:f16", 1e-2},
                   {"gguf:bf16", 5e-2}, {"gguf:q8_0", 5e-2},       {"gguf:q6_k", 0.1},        {"gguf:q5_1", 0.2},
                   {"gguf:q5_0", 0.2},  {"gguf:q5_k_m", 0.2},      {"gguf:q4_k_m", 0.4},      {"gguf:q4_1", 0.4},
                   {"gguf:q4_0", 0.4},  {"coreml:f16", 1e-2},      {"coreml:int8", 0.1},      {"coreml:lut4", 0.6},
                   {"coreml:ane", 1e-2}};
enum { N_FORMATS = sizeof all_formats / sizeof *all_formats };

static void each_format_of(struct fixture *f, const char *model)
{
    struct export_source s;
    struct export_result r;
    open_source(f, &s, model);
    for (int i = 0; i < N_FORMATS; i++) {
        char out[64];
        snprintf(out, sizeof out, "%s-%d", model, i);
        if (export_to(f, &s, all_formats[i].format, out, &r) != OK) fail_msg("%s: %s", all_formats[i].format, f->c->message);
        assert_true(r.verified && r.difference.tokens > 10);
        if (!(r.difference.relative <= all_formats[i].limit))
            fail_msg("%s of %s: relative difference %g", all_formats[i].format, model, r.difference.relative);
        if (all_formats[i].limit < 1e-2) assert_true(r.difference.same_top == r.difference.tokens);
        assert_false(dir_exists(stage(f, out)));
    }
    export_close(&s);
}

static void every_format(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    t.qkv_bias = t.o_bias = t.mlp_bias = true;
    make_source(f, &t);
    each_format_of(f, "hf");
    t.tied = true;
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    each_format_of(f, "m.gguf");
}

/* ||a - b|| / ||a|| over all matrices of the blocks. */
static double weights_differ(const struct model *a, const struct model *b)
{
    float x[512], y[512];
    double squares = 0, all = 0;
    for (int64_t layer = 0; layer < a->config.n_layers; layer++)
        for (int p = 0; p < LORA_SEPARATE_PLACES; p++) {
            const struct weight *u = llama_block_linear(&a->blocks[layer], (enum lora_place)p);
            const struct weight *v = llama_block_linear(&b->blocks[layer], (enum lora_place)p);
            for (int64_t i = 0; i < u->rows; i++) {
                weight_source_row_f32(&u->source, i, x);
                weight_source_row_f32(&v->source, i, y);
                for (int64_t k = 0; k < u->cols; k++) {
                    squares += ((double)x[k] - (double)y[k]) * ((double)x[k] - (double)y[k]);
                    all += (double)x[k] * (double)x[k];
                }
            }
        }
    return sqrt(squares / all);
}

static struct model *export_and_open(struct fixture *f, const struct export_source *s, const char *format, const char *out)
{
    struct export_job job;
    struct export_result r;
    assert_int_equal(export_plan(s, format, fixture_path(f, out), &job), OK);
    if (export_write(s, &job.targets[0], false, NULL, &r) != OK) fail_msg("%s: %s", format, f->c->message);
    struct model *m = model_open(f->c, r.opens);
    assert_ok(f->c);
    mem_free(f->c, r.opens);
    export_job_release(f->c, &job);
    return m;
}

/* Columns that blocks of 256 fill, so that every type is written and not what stands in for it. Random weights of this size
 * amplify every rounding, so the weights are compared and not the logits. */
static void every_block_type(void **state)
{
    static const struct {
        const char *format;
        double limit;
        enum tensor_type type, v, down, embed; /* of most matrices; of v and down where mixes give more; of the table */
    } cases[] = {
        {"gguf:q8_0", 0.01, TENSOR_Q8_0, TENSOR_Q8_0, TENSOR_Q8_0, TENSOR_Q8_0},
        {"gguf:q6_k", 0.02, TENSOR_Q6_K, TENSOR_Q6_K, TENSOR_Q6_K, TENSOR_Q6_K},
        {"gguf:q5_1", 0.05, TENSOR_Q5_1, TENSOR_Q5_1, TENSOR_Q5_1, TENSOR_Q6_K},
        {"gguf:q5_0", 0.06, TENSOR_Q5_0, TENSOR_Q5_0, TENSOR_Q5_0, TENSOR_Q6_K},
        {"gguf:q5_k_m", 0.05, TENSOR_Q5_K, TENSOR_Q6_K, TENSOR_Q6_K, TENSOR_Q6_K},
        {"gguf:q4_k_m", 0.1, TENSOR_Q4_K, TENSOR_Q6_K, TENSOR_Q6_K, TENSOR_Q6_K},
        {"gguf:q4_1", 0.12, TENSOR_Q4_1, TENSOR_Q4_1, TENSOR_Q4_1, TENSOR_Q6_K},
        {"gguf:q4_0", 0.12, TENSOR_Q4_0, TENSOR_Q4_0, TENSOR_Q4_0, TENSOR_Q6_K},
    };
    struct fixture *f = *state;
    struct export_source s;
    struct tiny t = {.family = FAMILY_LLAMA,
                     .layers = 4,
                     .hidden = 256,
                     .heads = 4,
                     .kv = 2,
                     .dim = 64,
                     .ffn = 512,
                     .vocab = 70,
                     .tied = true};
    make_source(f, &t);
    open_source(f, &s, "hf");
    struct model *exact = export_and_open(f, &s, "safetensors:f32", "exact");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[16];
        snprintf(out, sizeof out, "block-%zu", i);
        struct model *m = export_and_open(f, &s, cases[i].format, out);
        double error = weights_differ(exact, m);
        if (!(error > 1e-4 && error <= cases[i].limit)) fail_msg("%s: weights are off by %g", cases[i].format, error);
        assert_int_equal(m->blocks[0].q.type, cases[i].type);
        assert_int_equal(m->blocks[2].v.type, cases[i].v);
        assert_int_equal(m->blocks[3].down.type, cases[i].down);
        assert_int_equal(m->blocks[1].v.type, cases[i].type); /* neither at the end nor a third one */
        assert_int_equal(m->embed.type, cases[i].embed);
        model_free(m);
    }
    model_free(exact);
    export_close(&s);
}

/* Every family, from its folder to GGUF and read back: the same logits, or a refusal that says what the format lacks. */
static void families_in_gguf(void **state)
{
    static const struct {
        const char *folder, *refusal; /* NULL: written */
    } cases[] = {{"golden/llama2", NULL},
                 {"golden/llama32", NULL},
                 {"golden/mistral", NULL},
                 {"golden/qwen2", NULL},
                 {"golden/qwen3", NULL},
                 {"families/granite", NULL},
                 {"families/olmo2", NULL},
                 {"families/phi3_short", NULL},
                 {"families/phi3_long", NULL},
                 {"families/smollm3", "GGUF cannot say which layers"}, /* llama.cpp fixes every fourth */
                 {"families/llama_yarn", "GGUF cannot say the factor of its rotary embedding"},
                 {"families/llama_dynamic", NULL},
                 {"families/qwen2_windows_yarn", NULL},
                 {"families/ministral", "GGUF has no architecture for MinistralForCausalLM"},
                 {"families/ministral3", "GGUF has no architecture for Ministral3ForCausalLM"}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512], adapter[512], out[16];
        struct export_source s;
        struct export_result r;
        snprintf(path, sizeof path, TEST_DATA "/%s", cases[i].folder);
        snprintf(adapter, sizeof adapter, TEST_DATA "/%s/adapter", cases[i].folder);
        snprintf(out, sizeof out, "family-%zu", i);
        assert_int_equal(export_open(&s, f->c, adapter, path), OK);
        enum status status = export_to(f, &s, "gguf:f32", out, &r);
        if (cases[i].refusal) {
            assert_failed(f->c, E_UNSUPPORTED, cases[i].refusal);
        } else {
            if (status != OK) fail_msg("%s: %s", cases[i].folder, f->c->message);
            if (!(r.difference.relative < 1e-5)) fail_msg("%s: %g", cases[i].folder, r.difference.relative);
            snprintf(out, sizeof out, "lora-%zu", i);
            if (export_to(f, &s, "gguf-lora", out, &r) != OK) fail_msg("%s: %s", cases[i].folder, f->c->message);
            if (!(r.difference.relative < 1e-6)) fail_msg("%s: adapter: %g", cases[i].folder, r.difference.relative);
        }
        export_close(&s);
    }
}

/* MLX's packing, whose weights are compared: a writer that gets a scale wrong is caught. */
static void mlx_models(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    struct tiny t = {
        .family = FAMILY_LLAMA, .layers = 2, .hidden = 128, .heads = 4, .kv = 2, .dim = 32, .ffn = 192, .vocab = 70};
    make_source(f, &t);
    open_source(f, &s, "hf");
    assert_int_equal(export_to(f, &s, "mlx:8bit", "eight", &r), OK);
    assert_true(r.verified && r.difference.weights && r.difference.relative > 1e-4 && r.difference.relative < 0.01);
    assert_int_equal(export_to(f, &s, "mlx:4bit", "four", &r), OK);
    assert_true(r.difference.relative > 0.01 && r.difference.relative < 0.15);
    json_t *doc = json_parse_file(f->c, fixture_path(f, "four/config.json"), 1 << 20);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(doc, "quantization"), "bits")), 4);
    json_decref(doc);
    struct safetensors *file = safetensors_open(f->c, fixture_path(f, "four/model.safetensors"));
    const struct tensor_view *w = safetensors_find(file, "model.layers.1.mlp.down_proj.weight");
    assert_true(w && w->type == TENSOR_U32 && w->shape[0] == 128 && w->shape[1] == 192 / 8);
    w = safetensors_find(file, "model.layers.1.mlp.down_proj.scales");
    assert_true(w && w->type == TENSOR_BF16 && w->shape[1] == 3);
    assert_non_null(safetensors_find(file, "model.embed_tokens.biases"));
    assert_true(safetensors_find(file, "model.norm.weight")->type == TENSOR_BF16);
    safetensors_close(file);
    export_close(&s);
}

/* rsLoRA and modules with ranks and alphas of their own: llama.cpp knows one alpha, so B carries the rest. */
static void uneven_adapters_in_gguf(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    struct model *m = model_open(f->c, fixture_path(f, "hf"));
    struct lora *l =
        lora_empty(f->c, &m->config, &(struct lora_config){.rank = 4, .alpha = 6, .rslora = true, .targets = LORA_ALL});
    assert_int_equal(lora_add(l, &m->config, 0, LORA_Q, 4, 6), OK);
    assert_int_equal(lora_add(l, &m->config, 0, LORA_DOWN, 2, 1.5), OK);
    assert_int_equal(lora_add(l, &m->config, 1, LORA_K, 7, 6), OK);
    assert_int_equal(lora_make_values(l), OK);
    for (size_t i = 0; i < 2 * l->n_modules; i++) {
        struct array *a = i % 2 ? l->modules[i / 2].slot.b : l->modules[i / 2].slot.a;
        float *v = host_f32(a);
        for (int64_t k = 0; k < array_size(a); k++) v[k] = 0.1f * (float)((k * 5 + (int64_t)i) % 13 - 6);
        host_store(a, v);
    }
    assert_int_equal(dir_make(f->c, fixture_path(f, "uneven")), OK);
    assert_int_equal(lora_save_peft(f->c, l, fixture_path(f, "uneven"), m->name), OK);
    lora_free(l);
    model_free(m);
    assert_int_equal(export_open(&s, f->c, fixture_path(f, "uneven"), fixture_path(f, "hf")), OK);
    assert_int_equal(export_to(f, &s, "gguf-lora", "out", &r), OK);
    assert_true(r.difference.relative < 1e-6);
    assert_int_equal(export_to(f, &s, "mlx-lora", "mlx", &r), OK);
    assert_true(r.difference.relative < 1e-6);
    export_close(&s);
}

static bool same_value(const struct gguf_value *a, const struct gguf_value *b)
{
    if (a->kind != b->kind || a->item_kind != b->item_kind || a->n != b->n) return false;
    if (a->kind == GGUF_STRING) return memcmp(a->data, b->data, (size_t)a->n) == 0;
    if (a->kind != GGUF_ARRAY) return memcmp(a->data, b->data, a->kind == GGUF_BOOL || a->kind <= GGUF_I8 ? 1 : 2) == 0;
    for (uint64_t i = 0; i < a->n && a->item_kind == GGUF_STRING; i++) {
        struct gguf_string x = gguf_array_string(a, i), y = gguf_array_string(b, i);
        if (x.n != y.n || memcmp(x.data, y.data, x.n) != 0) return false;
    }
    return true;
}

/* What a GGUF base says of the model and its tokenizer stays, whatever the type of the new file. */
static void gguf_keeps_its_metadata(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    make_source(f, &tiny_llama);
    assert_int_equal(export_open(&s, f->c, NULL, fixture_path(f, "m.gguf")), OK);
    struct model *m = export_and_open(f, &s, "gguf:bf16", "out");
    const struct gguf *a = weights_gguf(s.model->files), *b = weights_gguf(m->files);
    assert_true(gguf_value_count(a) > 5);
    for (size_t i = 0; i < gguf_value_count(a); i++) {
        const struct gguf_value *v = gguf_value(a, i), *w = gguf_get(b, v->key);
        if (strcmp(v->key, "general.file_type") == 0) continue;
        if (!w || !same_value(v, w)) fail_msg("%s is not kept", v->key);
    }
    int64_t type = 0;
    assert_true(gguf_get_i64(f->c, b, "general.file_type", &type) && type == 32);
    model_free(m);
    export_close(&s);
}

static void modelfiles(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    size_t n;
    make_source(f, &tiny_llama);
    open_source(f, &s, "hf");
    s.system = "You are an owl.";
    assert_int_equal(export_to(f, &s, "gguf-lora", "lora", &r), OK);
    char *text = file_read(f->c, fixture_path(f, "lora/Modelfile"), 1 << 16, &n);
    assert_string_equal(text, "# ollama create NAME -f Modelfile\nFROM ./hf-F16.gguf\nADAPTER ./adapter.gguf\n"
                              "SYSTEM \"\"\"You are an owl.\"\"\"\n");
    mem_free(f->c, text);
    s.system = "\"\"\"";
    assert_int_equal(export_to(f, &s, "gguf-lora", "bad", &r), E_UNSUPPORTED);
    assert_failed(f->c, E_UNSUPPORTED, "three quotes");
    export_close(&s);
}

static void the_record_says_what_was_found(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    open_source(f, &s, "hf");
    s.base_name = "owner/base";
    assert_int_equal(export_to(f, &s, "peft", "out", &r), OK);
    json_t *doc = json_parse_file(f->c, fixture_path(f, "out/export.json"), 1 << 20);
    const json_t *check = json_object_get(doc, "check");
    assert_string_equal(json_string_value(json_object_get(doc, "base_model")), "owner/base");
    assert_int_equal(json_integer_value(json_object_get(check, "tokens")), r.difference.tokens);
    assert_true(json_is_number(json_object_get(check, "largest_logit_difference")));
    json_decref(doc);
    doc = json_parse_file(f->c, fixture_path(f, "out/adapter_config.json"), 1 << 20);
    assert_string_equal(json_string_value(json_object_get(doc, "base_model_name_or_path")), "owner/base");
    json_decref(doc);
    size_t n;
    char *card = file_read(f->c, fixture_path(f, "out/README.md"), 1 << 20, &n);
    assert_non_null(strstr(card, "base_model: \"owner/base\""));
    assert_non_null(strstr(card, "model.safetensors"));
    mem_free(f->c, card);
    export_close(&s);
}

/* PEFT loads folders and hub ids. A GGUF file that names no hub id is neither, and then the line to copy must not promise
 * it. */
static void peft_on_a_gguf_file_asks_for_a_base_name(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_job job;
    make_source(f, &tiny_llama);
    for (int folder = 0; folder < 2; folder++) {
        open_source(f, &s, folder ? "hf" : "m.gguf");
        assert_int_equal(export_plan(&s, "peft", fixture_path(f, "out"), &job), OK);
        const struct export_usage *other = job.targets[0].format->other_usage(&s);
        assert_true(folder
                        ? !other
                        : other && strstr(other->note, "cannot load the GGUF file") && strstr(other->note, "--base-name"));
        s.base_name = "owner/base";
        assert_null(job.targets[0].format->other_usage(&s));
        export_job_release(f->c, &job);
        export_close(&s);
    }
}

/* A model without an adapter goes to the formats of models. */
static void a_model_alone(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    assert_int_equal(export_open(&s, f->c, NULL, fixture_path(f, "hf")), OK);
    assert_int_equal(export_to(f, &s, "safetensors:f32", "out", &r), OK);
    assert_true(r.difference.largest < 1e-6);
    export_close(&s);
}

/* ---- what goes wrong -------------------------------------------------------------------------------------------------- */

/* The writer, and then one weight of what it wrote is another. */
static enum status write_wrongly(const struct export_source *s, const char *dir, const char *type)
{
    TRY(format_safetensors.write(s, dir, type));
    char *path = path_join(s->c, dir, "model.safetensors");
    struct safetensors *file = safetensors_open(s->c, path);
    const struct tensor_view *t = safetensors_find(file, "model.layers.1.mlp.down_proj.weight");
    int fd = open(path, O_RDWR);
    long at = (long)((const char *)t->data - (const char *)safetensors_tensor(file, 0)->data);
    for (size_t i = 1; i < safetensors_count(file); i++) { /* the first tensor of the file */
        long other = (long)((const char *)t->data - (const char *)safetensors_tensor(file, i)->data);
        if (other > at) at = other;
    }
    off_t end = lseek(fd, 0, SEEK_END);
    size_t all = 0;
    for (size_t i = 0; i < safetensors_count(file); i++) all += safetensors_tensor(file, i)->bytes;
    float wrong = 30;
    assert_int_equal(pwrite(fd, &wrong, sizeof wrong, end - (off_t)all + at), sizeof wrong);
    close(fd);
    safetensors_close(file);
    mem_free(s->c, path);
    return s->c->status;
}

static void a_wrong_export_is_not_published(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    struct export_job job;
    struct export_logits *wanted = NULL;
    make_source(f, &tiny_llama);
    open_source(f, &s, "hf");
    struct export_format wrong = format_safetensors;
    wrong.write = write_wrongly;
    assert_int_equal(export_plan(&s, "safetensors:f32", fixture_path(f, "out"), &job), OK);
    job.targets[0].format = &wrong;
    assert_int_equal(export_write(&s, &job.targets[0], true, &wanted, &r), E_NUMERIC);
    assert_failed(f->c, E_NUMERIC, "computes something else than what was trained");
    assert_false(dir_exists(fixture_path(f, "out")) || dir_exists(stage(f, "out")));
    assert_int_equal(export_write(&s, &job.targets[0], false, &wanted, &r), OK); /* as asked */
    assert_false(r.verified);
    mem_free(f->c, r.opens);
    export_logits_free(wanted);
    export_job_release(f->c, &job);
    export_close(&s);
}

static void nothing_is_overwritten(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    open_source(f, &s, "hf");
    assert_int_equal(dir_make(f->c, fixture_path(f, "mine")), OK);
    assert_int_equal(export_to(f, &s, "peft", "mine", &r), OK); /* empty: taken */
    assert_int_equal(export_to(f, &s, "peft", "mine", &r), E_INPUT);
    assert_failed(f->c, E_INPUT, "overwrite nothing");
    fixture_write(f, "file", "x");
    assert_int_equal(export_to(f, &s, "peft", "file", &r), E_INPUT);
    assert_failed(f->c, E_INPUT, "is a file");
    int lock = -1;
    assert_int_equal(dir_make(f->c, stage(f, "busy")), OK);
    lock = dir_lock(f->c, stage(f, "busy"));
    assert_int_equal(export_to(f, &s, "peft", "busy", &r), E_INPUT);
    assert_failed(f->c, E_INPUT, "another process is at work");
    assert_true(dir_exists(stage(f, "busy")));
    dir_unlock(lock);
    assert_int_equal(export_to(f, &s, "peft", "busy", &r), OK);
    export_close(&s);
}

/* A value that f16 cannot hold is refused by the tensor's name. */
static void values_beyond_f16(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    open_source(f, &s, "hf");
    float *b = host_f32(s.lora->modules[0].slot.b);
    b[0] = 1e7f;
    host_store(s.lora->modules[0].slot.b, b);
    assert_int_equal(export_to(f, &s, "safetensors:f16", "out", &r), E_NUMERIC);
    assert_failed(f->c, E_NUMERIC, "model.layers.0.self_attn.q_proj.weight: a merged value is not finite or above 65504");
    assert_false(dir_exists(fixture_path(f, "out")));
    export_close(&s);
}

/* ---- a full disk and a kill ------------------------------------------------------------------------------------------- */

static void kill_halfway(void *user, int64_t done, int64_t total)
{
    (void)user;
    if (2 * done > total) raise(SIGKILL);
}

/* Runs the export in a child that is killed in the middle (limit 0) or may write files of `limit` bytes only; returns how it
 * ended. */
static int in_child(struct fixture *f, const char *format, rlim_t limit)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct export_source s;
        struct export_result r;
        signal(SIGXFSZ, SIG_IGN);
        if (limit) setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
        if (export_open(&s, f->c, fixture_path(f, "adapter"), fixture_path(f, "hf")) != OK) _exit(99);
        if (!limit) s.report = kill_halfway;
        _exit((int)export_to(f, &s, format, "out", &r));
    }
    int ended;
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    return WIFSIGNALED(ended) ? -WTERMSIG(ended) : WEXITSTATUS(ended);
}

static void a_killed_export(void **state)
{
    static const char *const formats[] = {"safetensors:f32", "gguf:q8_0"};
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        assert_int_equal(in_child(f, formats[i], 0), -SIGKILL);
        assert_false(dir_exists(fixture_path(f, "out")));
        assert_true(dir_exists(stage(f, "out")));
        open_source(f, &s, "hf");
        assert_int_equal(export_to(f, &s, formats[i], "out", &r), OK); /* clears what was left */
        export_close(&s);
        assert_false(dir_exists(stage(f, "out")));
        assert_int_equal(dir_remove(f->c, fixture_path(f, "out")), OK);
    }
}

static void a_full_disk(void **state)
{
    struct fixture *f = *state;
    make_source(f, &tiny_llama);
    for (int i = 0; i < N_FORMATS; i++) {
        for (rlim_t limit = 64; limit <= 4096; limit *= 8) { /* the first file, or a later one, does not fit */
            int ended = in_child(f, all_formats[i].format, limit);
            if (ended != E_IO) fail_msg("%s with %d bytes: %d", all_formats[i].format, (int)limit, ended);
            assert_false(dir_exists(fixture_path(f, "out")));
            assert_false(dir_exists(stage(f, "out")));
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_format),
        TEST(every_block_type),
        TEST(families_in_gguf),
        TEST(mlx_models),
        TEST(uneven_adapters_in_gguf),
        TEST(gguf_keeps_its_metadata),
        TEST(modelfiles),
        TEST(the_record_says_what_was_found),
        TEST(peft_on_a_gguf_file_asks_for_a_base_name),
        TEST(a_model_alone),
        TEST(a_wrong_export_is_not_published),
        TEST(nothing_is_overwritten),
        TEST(values_beyond_f16),
        TEST(a_killed_export),
        TEST(a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
