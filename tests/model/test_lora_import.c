/* Adapters of mlx-lm and of llama.cpp: PEFT's golden adapters written in their formats are the same adapters. */
#include "support_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "io/safetensors.h"
#include "model/weights_names.h"
#include "support_host.h"

enum { MOST = 64 };

struct written {
    char names[MOST][96];
    float *values[MOST];
    int64_t rows[MOST], cols[MOST];
    int n;
};

static void add(struct written *w, const char *name, int64_t rows, int64_t cols, float *values)
{
    assert_true(w->n < MOST);
    snprintf(w->names[w->n], sizeof w->names[0], "%s", name);
    w->rows[w->n] = rows;
    w->cols[w->n] = cols;
    w->values[w->n++] = values;
}

static void release(struct written *w)
{
    for (int i = 0; i < w->n; i++) free(w->values[i]);
}

/* Its transpose, or its rows as llama.cpp's converter orders those of q and k. */
static float *copy(const struct array *a, bool turned, int64_t permuted_dim)
{
    int64_t rows = a->shape[0], cols = a->shape[1], d = permuted_dim;
    const float *from = host_f32((struct array *)(uintptr_t)a);
    float *to = malloc((size_t)(rows * cols) * sizeof *to);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            int64_t row = d ? i / d * d + i % 2 * (d / 2) + i % d / 2 : i;
            to[turned ? j * rows + i : i * cols + j] = from[row * cols + j];
        }
    return to;
}

static void collect(struct written *w, const struct lora *l, const struct model_config *m, bool gguf)
{
    const struct weights_names *names = weights_names_of(gguf ? CONTAINER_GGUF : CONTAINER_SAFETENSORS);
    memset(w, 0, sizeof *w);
    for (size_t i = 0; i < l->n_modules; i++) {
        const struct lora_module *k = &l->modules[i];
        bool permuted = gguf && k->place <= LORA_K && model_family_names(m->family)->gguf_permutes;
        for (int half = 0; half < 2; half++) {
            struct array *a = half ? k->slot.b : k->slot.a;
            char name[96];
            snprintf(name, sizeof name, "%s.%lld.%s%s.lora_%c", names->block, (long long)k->layer, names->linear[k->place],
                     gguf ? ".weight" : "", "ab"[half]);
            add(w, name, a->shape[gguf ? 0 : 1], a->shape[gguf ? 1 : 0], copy(a, !gguf, half && permuted ? m->head_dim : 0));
        }
    }
}

static void write_mlx(struct fixture *f, const struct written *w, const char *dir, const char *config)
{
    struct safetensors_entry entries[MOST];
    char path[256];
    assert_int_equal(dir_make(f->c, fixture_path(f, dir)), OK);
    for (int i = 0; i < w->n; i++)
        entries[i] = (struct safetensors_entry){w->names[i], TENSOR_F32, 2, {w->rows[i], w->cols[i]}};
    snprintf(path, sizeof path, "%s/adapters.safetensors", dir);
    struct safetensors_writer *out = safetensors_create(f->c, fixture_path(f, path), entries, (size_t)w->n, NULL, 0);
    for (int i = 0; i < w->n; i++) safetensors_write(out, w->values[i], (size_t)(w->rows[i] * w->cols[i]) * sizeof(float));
    assert_int_equal(safetensors_commit(out), OK);
    snprintf(path, sizeof path, "%s/adapter_config.json", dir);
    fixture_write(f, path, config);
}

static void put(FILE *out, uint64_t v, size_t bytes)
{
    fwrite(&v, 1, bytes, out); /* little-endian, as every machine here */
}

static void put_text(FILE *out, const char *s)
{
    put(out, strlen(s), 8);
    fwrite(s, 1, strlen(s), out);
}

static void write_gguf(struct fixture *f, const struct written *w, const char *name, const char *architecture, float alpha)
{
    const char *const texts[3][2] = {
        {"general.architecture", architecture}, {"general.type", "adapter"}, {"adapter.type", "lora"}};
    uint64_t offset = 0;
    FILE *out = fopen(fixture_path(f, name), "wb");
    fwrite("GGUF", 1, 4, out);
    put(out, 3, 4);
    put(out, (uint64_t)w->n, 8);
    put(out, 4, 8);
    for (int i = 0; i < 3; i++) {
        put_text(out, texts[i][0]);
        put(out, 8, 4);
        put_text(out, texts[i][1]);
    }
    put_text(out, "adapter.lora.alpha");
    put(out, 6, 4);
    fwrite(&alpha, 4, 1, out);
    for (int i = 0; i < w->n; i++) {
        put_text(out, w->names[i]);
        put(out, 2, 4);
        put(out, (uint64_t)w->cols[i], 8);
        put(out, (uint64_t)w->rows[i], 8);
        put(out, 0, 4);
        put(out, offset, 8);
        offset += ((uint64_t)(w->rows[i] * w->cols[i]) * 4 + 31) / 32 * 32;
    }
    while (ftell(out) % 32) fputc(0, out);
    for (int i = 0; i < w->n; i++) {
        fwrite(w->values[i], 4, (size_t)(w->rows[i] * w->cols[i]), out);
        while (ftell(out) % 32) fputc(0, out);
    }
    assert_int_equal(fclose(out), 0);
}

static void assert_same_adapter(const struct lora *a, const struct lora *b)
{
    assert_non_null(b);
    assert_int_equal(a->n_modules, b->n_modules);
    for (size_t i = 0; i < a->n_modules; i++) {
        const struct lora_module *x = &a->modules[i], *y = &b->modules[i];
        assert_true(x->layer == y->layer && x->place == y->place && x->rank == y->rank);
        assert_true(x->slot.scale == y->slot.scale);
        assert_memory_equal(host_f32(x->slot.a), host_f32(y->slot.a), (size_t)array_size(x->slot.a) * sizeof(float));
        assert_memory_equal(host_f32(x->slot.b), host_f32(y->slot.b), (size_t)array_size(x->slot.b) * sizeof(float));
    }
}

struct source {
    struct model *model;
    struct lora *lora;
};

static struct source open_source(struct fixture *f, const char *family)
{
    struct source s;
    char path[512];
    snprintf(path, sizeof path, TEST_DATA "/%s", family);
    s.model = model_open(f->c, path);
    snprintf(path, sizeof path, TEST_DATA "/%s/adapter", family);
    s.lora = lora_load(f->c, &s.model->config, path);
    assert_ok(f->c);
    return s;
}

static void close_source(struct source *s)
{
    lora_free(s->lora);
    model_free(s->model);
}

static void mlx_folders(void **state)
{
    struct fixture *f = *state;
    struct source s = open_source(f, "golden/llama2");
    struct written w;
    collect(&w, s.lora, &s.model->config, false);
    write_mlx(
        f, &w, "mlx",
        "{\"fine_tune_type\": \"lora\", \"model\": \"owner/name\", \"num_layers\": 16, \"lora_parameters\": {\"rank\": 4, "
        "\"scale\": 2.0, \"dropout\": 0.25}}");
    struct lora *l = lora_load(f->c, &s.model->config, fixture_path(f, "mlx"));
    assert_ok(f->c);
    assert_same_adapter(s.lora, l);
    assert_true(l->config.alpha == 8 && l->config.rank == 4 && l->config.dropout == 0.25);
    lora_free(l);
    static const struct {
        const char *config;
        enum status status;
        const char *part;
    } cases[] = {
        {"{\"fine_tune_type\": \"dora\", \"lora_parameters\": {\"rank\": 4, \"scale\": 2.0}}", E_UNSUPPORTED, "\"dora\""},
        {"{\"fine_tune_type\": \"full\"}", E_UNSUPPORTED, "\"full\""},
        {"{\"lora_parameters\": {\"rank\": 4}}", E_INPUT, "scale"},
        {"{\"lora_parameters\": {\"rank\": 8, \"scale\": 2.0}}", E_INPUT, "lora_a\" must be 48 x 8"},
        {"{}", E_INPUT, "lora_parameters"},
        {"{\"num_layers\": 1, \"lora_parameters\": {\"rank\": 4, \"scale\": 2.0}}", E_INPUT,
         "layer 0 has tensors, but \"num_layers\""},
        {"{\"lora_layers\": 1, \"lora_parameters\": {\"rank\": 4, \"scale\": 2.0}}", E_INPUT, "layer 0 has tensors"},
        {"{\"lora_parameters\": {\"rank\": 4, \"scale\": 2.0, \"keys\": [\"self_attn.v_proj\"]}}", E_INPUT,
         "self_attn.q_proj has tensors, but is not in \"keys\""},
        {"{\"lora_parameters\": {\"rank\": 4, \"scale\": 2.0, \"keys\": \"q_proj\"}}", E_INPUT, "\"keys\" must be a list"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_write(f, "mlx/adapter_config.json", cases[i].config);
        assert_null(lora_load(f->c, &s.model->config, fixture_path(f, "mlx")));
        assert_failed(f->c, cases[i].status, cases[i].part);
    }
    release(&w);
    close_source(&s);
}

/* What people give for an adapter: a file of its folder, a model, the folder of a trainer with checkpoints in it. */
static void what_is_no_adapter_is_named(void **state)
{
    struct fixture *f = *state;
    struct source s = open_source(f, "golden/llama2");
    assert_int_equal(dir_make(f->c, fixture_path(f, "model")), OK);
    assert_int_equal(dir_make(f->c, fixture_path(f, "trainer")), OK);
    fixture_write(f, "model/config.json", "{}");
    fixture_write(f, "adapter_model.safetensors", "x");
    static const struct {
        const char *path, *part;
    } cases[] = {{"adapter_model.safetensors", "not an adapter: give the folder of one"},
                 {"model", "but the config.json of a model, which is given with -m"},
                 {"trainer", "one for each checkpoint: name that"},
                 {"absent", "there is no such file or folder"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(lora_load(f->c, &s.model->config, fixture_path(f, cases[i].path)));
        assert_failed(f->c, E_INPUT, cases[i].part);
    }
    assert_int_equal(symlink("/nowhere", fixture_path(f, "trainer/adapter_config.json")), 0);
    assert_null(lora_load(f->c, &s.model->config, fixture_path(f, "trainer")));
    assert_failed(f->c, E_INPUT, "trainer/adapter_config.json: is a link to /nowhere, which is not there");
    close_source(&s);
}

static void gguf_files(void **state)
{
    static const struct {
        const char *family, *architecture;
        float alpha; /* that gives PEFT's scale at rank 3 or 4 */
    } cases[] = {{"golden/llama2", "llama", 8}, {"families/smollm3", "smollm3", 6}, {"families/olmo2", "olmo2", 6}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source s = open_source(f, cases[i].family);
        struct written w;
        collect(&w, s.lora, &s.model->config, true);
        write_gguf(f, &w, "a.gguf", cases[i].architecture, cases[i].alpha);
        struct lora *l = lora_load(f->c, &s.model->config, fixture_path(f, "a.gguf"));
        assert_ok(f->c);
        assert_same_adapter(s.lora, l);
        lora_free(l);
        write_gguf(f, &w, "a.gguf", "qwen2", cases[i].alpha);
        assert_null(lora_load(f->c, &s.model->config, fixture_path(f, "a.gguf")));
        assert_failed(f->c, E_UNSUPPORTED, "general.architecture is \"qwen2\"");
        write_gguf(f, &w, "a.gguf", cases[i].architecture, 0);
        assert_null(lora_load(f->c, &s.model->config, fixture_path(f, "a.gguf")));
        assert_failed(f->c, E_INPUT, "adapter.lora.alpha");
        snprintf(w.names[1], sizeof w.names[0], "token_embd.weight.lora_b");
        write_gguf(f, &w, "a.gguf", cases[i].architecture, cases[i].alpha);
        assert_null(lora_load(f->c, &s.model->config, fixture_path(f, "a.gguf")));
        assert_failed(f->c, E_INPUT, "has lora_a but no lora_b");
        snprintf(w.names[0], sizeof w.names[0], "token_embd.weight.lora_a");
        write_gguf(f, &w, "a.gguf", cases[i].architecture, cases[i].alpha);
        assert_null(lora_load(f->c, &s.model->config, fixture_path(f, "a.gguf")));
        assert_failed(f->c, E_UNSUPPORTED, "token_embd.weight.lora_a");
        release(&w);
        close_source(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mlx_folders, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_adapter_is_named, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf_files, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
