/* lora: how adapters begin, and that what is saved in PEFT's format is loaded bit for bit; files that are damaged or ask
 * for what is not done are refused by name. */
#include "support_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "support_host.h"

static struct model_config config_of(const struct tiny *t)
{
    return (struct model_config){.n_layers = t->layers,
                                 .hidden = t->hidden,
                                 .n_heads = t->heads,
                                 .n_kv_heads = t->kv,
                                 .head_dim = t->dim,
                                 .ffn = t->ffn,
                                 .vocab = t->vocab};
}

static struct lora_config all_targets(int64_t rank)
{
    return (struct lora_config){.rank = rank, .alpha = 8, .targets = LORA_ALL, .seed = 3};
}

static void fill(struct array *a, float from)
{
    float *values = host_f32(a);
    for (int64_t i = 0; i < array_size(a); i++) values[i] = from + 0.001f * (float)i;
    host_store(a, values);
}

/* ---- making ---------------------------------------------------------------------------------------------------------- */

static void a_is_uniform_b_is_zero(void **state)
{
    struct fixture *f = *state;
    struct model_config m = config_of(&tiny_llama);
    struct lora_config config = all_targets(4);
    struct lora *l = lora_new(f->c, &m, &config);
    assert_ok(f->c);
    assert_int_equal(l->n_modules, 14);
    for (size_t i = 0; i < l->n_modules; i++) {
        const struct lora_module *module = &l->modules[i];
        int64_t out, in;
        lora_place_shape(&m, module->place, &out, &in);
        assert_int_equal(module->slot.a->shape[1], in);
        assert_int_equal(module->slot.b->shape[0], out);
        assert_int_equal(module->slot.id, module->layer * 8 + (int)module->place);
        double bound = 1 / sqrt((double)in), sum = 0, squares = 0, n = (double)(4 * in);
        const float *a = host_f32(module->slot.a), *b = host_f32(module->slot.b);
        for (int64_t k = 0; k < 4 * in; k++) {
            double v = (double)a[k];
            assert_true(fabs(v) <= bound);
            sum += v;
            squares += v * v;
        }
        assert_true(fabs(sum / n) < 0.25 * bound);                      /* mean 0 */
        assert_true(fabs(squares / n * 3 / (bound * bound) - 1) < 0.3); /* variance bound^2 / 3 */
        for (int64_t k = 0; k < out * 4; k++) assert_true(b[k] == 0);
    }
    int64_t q = 40, kv = 20, h = 24, ff = 40;
    assert_int_equal(lora_parameter_count(l), 2 * 4 * ((h + q) + 2 * (h + kv) + (q + h) + 2 * (h + ff) + (ff + h)));
    lora_free(l);
}

/* What a module starts from must not depend on which others there are. */
static void init_depends_on_seed_and_module_only(void **state)
{
    struct fixture *f = *state;
    struct model_config m = config_of(&tiny_llama);
    struct lora_config config = all_targets(4), one = all_targets(4), other = all_targets(4);
    one.targets = 1u << LORA_UP;
    one.last_layers = 1;
    other.seed = 4;
    struct lora *a = lora_new(f->c, &m, &config), *b = lora_new(f->c, &m, &one), *d = lora_new(f->c, &m, &other);
    assert_int_equal(b->n_modules, 1);
    assert_int_equal(b->modules[0].layer, 1);
    struct array *same = a->modules[LORA_SEPARATE_PLACES + LORA_UP].slot.a, *wanted = b->modules[0].slot.a;
    assert_memory_equal(host_f32(same), host_f32(wanted), 4 * 24 * sizeof(float));
    assert_memory_not_equal(host_f32(a->modules[0].slot.a), host_f32(d->modules[0].slot.a), 4 * 24 * sizeof(float));
    assert_memory_not_equal(host_f32(a->modules[0].slot.a), host_f32(a->modules[1].slot.a), 4 * 24 * sizeof(float));
    lora_free(a);
    lora_free(b);
    lora_free(d);
}

static void scales(void **state)
{
    struct fixture *f = *state;
    struct model_config m = config_of(&tiny_llama);
    struct lora_config config = all_targets(4);
    struct lora *plain = lora_new(f->c, &m, &config);
    config.rslora = true;
    struct lora *rs = lora_new(f->c, &m, &config);
    assert_true(plain->modules[0].slot.scale == 2 && rs->modules[0].slot.scale == 4);
    lora_free(plain);
    lora_free(rs);
}

static void wrong_configs(void **state)
{
    struct fixture *f = *state;
    struct model_config m = config_of(&tiny_llama);
    struct lora_config bad[6];
    const char *parts[] = {"rank", "alpha", "dropout", "target", "last", "dropout"};
    for (int i = 0; i < 6; i++) bad[i] = all_targets(4);
    bad[0].rank = 0;
    bad[1].alpha = NAN;
    bad[2].dropout = 1;
    bad[3].targets = 0;
    bad[4].last_layers = 3;
    bad[5].dropout = -0.1;
    for (int i = 0; i < 6; i++) {
        assert_null(lora_new(f->c, &m, &bad[i]));
        assert_failed(f->c, E_INPUT, parts[i]);
    }
}

/* ---- PEFT: there and back -------------------------------------------------------------------------------------------- */

static void assert_same(const struct lora *a, const struct lora *b)
{
    assert_int_equal(a->n_modules, b->n_modules);
    for (size_t i = 0; i < a->n_modules; i++) {
        const struct lora_module *x = &a->modules[i], *y = &b->modules[i];
        assert_true(x->layer == y->layer && x->place == y->place && x->rank == y->rank && x->alpha == y->alpha);
        assert_true(x->slot.scale == y->slot.scale && x->slot.id == y->slot.id && x->slot.dropout == y->slot.dropout);
        assert_true(array_same_shape(x->slot.a, y->slot.a) && array_same_shape(x->slot.b, y->slot.b));
        assert_memory_equal(host_f32(x->slot.a), host_f32(y->slot.a), (size_t)array_size(x->slot.a) * 4);
        assert_memory_equal(host_f32(x->slot.b), host_f32(y->slot.b), (size_t)array_size(x->slot.b) * 4);
    }
}

static void round_trip(struct fixture *f, struct lora *l, const struct model_config *m)
{
    for (size_t i = 0; i < l->n_modules; i++) {
        fill(l->modules[i].slot.a, (float)i);
        fill(l->modules[i].slot.b, (float)-i);
    }
    assert_int_equal(dir_make(f->c, fixture_path(f, "adapter")), OK);
    assert_int_equal(lora_save_peft(f->c, l, fixture_path(f, "adapter"), "org/base"), OK);
    struct lora *back = lora_load_peft(f->c, m, fixture_path(f, "adapter"));
    assert_ok(f->c);
    assert_same(l, back);
    lora_free(back);
}

static void saved_is_loaded_bit_for_bit(void **state)
{
    struct fixture *f = *state;
    struct model_config m = config_of(&tiny_llama);
    struct lora_config config = all_targets(3);
    config.dropout = 0.25;
    config.rslora = true;
    struct lora *l = lora_new(f->c, &m, &config);
    round_trip(f, l, &m);
    lora_free(l);
    config.last_layers = 1;
    config.targets = 1u << LORA_V | 1u << LORA_DOWN;
    l = lora_new(f->c, &m, &config);
    round_trip(f, l, &m);
    lora_free(l);
}

static void ranks_and_alphas_that_differ(void **state)
{
    struct fixture *f = *state;
    struct model_config m = config_of(&tiny_llama);
    struct lora_config config = all_targets(3);
    struct lora *l = lora_empty(f->c, &m, &config);
    assert_int_equal(lora_add(l, &m, 0, LORA_Q, 3, 8), OK);
    assert_int_equal(lora_add(l, &m, 0, LORA_UP, 5, 8), OK);
    assert_int_equal(lora_add(l, &m, 1, LORA_K, 2, 1.5), OK);
    assert_int_equal(lora_make_values(l), OK);
    round_trip(f, l, &m);
    lora_free(l);
}

static json_t *saved_config(struct fixture *f)
{
    json_t *doc = json_parse_file(f->c, fixture_path(f, "adapter/adapter_config.json"), 1 << 20);
    assert_ok(f->c);
    return doc;
}

static void config_is_pefts(void **state)
{
    /* Fields of LoraConfig that every PEFT since 0.5 reads without a warning. */
    static const char *const fields[] = {
        "alpha_pattern",  "auto_mapping",   "base_model_name_or_path", "bias",           "exclude_modules",
        "fan_in_fan_out", "inference_mode", "init_lora_weights",       "layers_pattern", "layers_to_transform",
        "lora_alpha",     "lora_dropout",   "modules_to_save",         "peft_type",      "r",
        "rank_pattern",   "revision",       "target_modules",          "task_type",      "use_dora",
        "use_rslora",
    };
    struct fixture *f = *state;
    struct model_config m = config_of(&tiny_llama);
    struct lora_config config = all_targets(3);
    config.last_layers = 1;
    config.targets = 1u << LORA_V | 1u << LORA_DOWN;
    struct lora *l = lora_new(f->c, &m, &config);
    round_trip(f, l, &m);
    json_t *doc = saved_config(f);
    assert_int_equal(json_object_size(doc), sizeof fields / sizeof *fields);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) assert_non_null(json_object_get(doc, fields[i]));
    assert_string_equal(json_string_value(json_object_get(doc, "base_model_name_or_path")), "org/base");
    assert_true(json_is_integer(json_object_get(doc, "lora_alpha")));
    json_t *targets = json_object_get(doc, "target_modules"), *layers = json_object_get(doc, "layers_to_transform");
    assert_int_equal(json_array_size(targets), 2);
    assert_string_equal(json_string_value(json_array_get(targets, 0)), "down_proj");
    assert_string_equal(json_string_value(json_array_get(targets, 1)), "v_proj");
    assert_int_equal(json_array_size(layers), 1);
    assert_int_equal(json_integer_value(json_array_get(layers, 0)), 1);
    json_decref(doc);
    struct safetensors *s = safetensors_open(f->c, fixture_path(f, "adapter/adapter_model.safetensors"));
    assert_int_equal(safetensors_count(s), 4);
    assert_non_null(safetensors_find(s, "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight"));
    assert_non_null(safetensors_find(s, "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"));
    safetensors_close(s);
    lora_free(l);
}

/* ---- PEFT: what must be refused -------------------------------------------------------------------------------------- */

/* Saves a sound adapter, changes one field of its config (value as JSON) and loads it. */
static struct lora *load_changed(struct fixture *f, const char *field, const char *value)
{
    struct model_config m = config_of(&tiny_llama);
    struct lora_config config = all_targets(3);
    struct lora *l = lora_new(f->c, &m, &config);
    round_trip(f, l, &m);
    lora_free(l);
    json_t *doc = saved_config(f);
    json_object_set_new(doc, field, json_loads(value, JSON_DECODE_ANY, NULL));
    char *text = json_dumps(doc, 0);
    fixture_write(f, "adapter/adapter_config.json", text);
    free(text);
    json_decref(doc);
    return lora_load_peft(f->c, &m, fixture_path(f, "adapter"));
}

static void features_are_refused_by_name(void **state)
{
    static const struct {
        const char *field, *value;
        enum status status;
        const char *part;
    } cases[] = {
        {"peft_type", "\"LOHA\"", E_UNSUPPORTED, "LOHA"},
        {"peft_type", "null", E_INPUT, "peft_type"},
        {"use_dora", "true", E_UNSUPPORTED, "use_dora"},
        {"bias", "\"all\"", E_UNSUPPORTED, "bias"},
        {"lora_bias", "true", E_UNSUPPORTED, "lora_bias"},
        {"modules_to_save", "[\"lm_head\"]", E_UNSUPPORTED, "modules_to_save"},
        {"fan_in_fan_out", "true", E_UNSUPPORTED, "fan_in_fan_out"},
        {"layer_replication", "[[0, 2]]", E_UNSUPPORTED, "layer_replication"},
        {"some_future_feature", "{\"x\": 1}", E_UNSUPPORTED, "some_future_feature"},
        {"init_lora_weights", "\"pissa_niter_4\"", E_UNSUPPORTED, "pissa_niter_4"},
        {"r", "4", E_INPUT, "rank 3 by its tensors and 4"},
        {"r", "0", E_INPUT, "\"r\""},
        {"r", "100000", E_INPUT, "\"r\""},
        {"lora_alpha", "0", E_INPUT, "alpha"},
        {"lora_dropout", "1", E_INPUT, "dropout"},
        {"target_modules", "[\"q_proj\"]", E_INPUT, "not in \"target_modules\""},
        {"target_modules", "[\"roj\", \"proj\", \"model.layers.0\"]", E_INPUT, "not in \"target_modules\""},
        {"target_modules", "[\"q_proj\", 1]", E_INPUT, "\"target_modules\" must be a list of names or a regular expression"},
        {"target_modules", "7", E_INPUT, "\"target_modules\" must be a list of names or a regular expression"},
        {"target_modules", "\".*\\\\.(q|k|v|o|gate|up)_proj\"", E_INPUT,
         "module model.layers.0.mlp.down_proj has tensors, but the regular expression of \"target_modules\""},
        {"target_modules", "\"(q|k|v|o|gate|up|down)_proj\"", E_INPUT,
         "model.layers.0.self_attn.q_proj has tensors, but the regular expression"},
        {"target_modules", "\"(_proj\"", E_INPUT, "pattern \"(_proj\" is malformed"},
        {"exclude_modules", "[\"1.mlp.up_proj\"]", E_INPUT,
         "module model.layers.1.mlp.up_proj has tensors, and \"exclude_modules\" leaves it out"},
        {"exclude_modules", "\".*1.*down_proj\"", E_INPUT,
         "model.layers.1.mlp.down_proj has tensors, and \"exclude_modules\""},
        {"layers_to_transform", "[7]", E_INPUT, "has tensors but its layer is not in \"layers_to_transform\""},
        {"layers_to_transform", "7", E_INPUT, "has tensors but its layer is not in \"layers_to_transform\""},
        {"rank_pattern", "{\"q_proj\": 2.5}", E_INPUT, "whole number"},
        {"rank_pattern", "{\"q_proj\": -1}", E_INPUT, "q_proj"},
        {"rank_pattern", "{\"(?=q)q_proj\": 2}", E_UNSUPPORTED, "(?=q)q_proj"},
        {"alpha_pattern", "[1]", E_INPUT, "alpha_pattern"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(load_changed(f, cases[i].field, cases[i].value));
        assert_failed(f->c, cases[i].status, cases[i].part);
    }
}

static void harmless_fields_are_accepted(void **state)
{
    static const char *const cases[][2] = {
        {"peft_version", "\"0.21.2\""},
        {"target_modules", "\"all-linear\""},
        {"target_modules", "\"All-Linear\""},
        {"target_modules", "null"},
        {"target_modules", "\".*_proj\""},
        {"target_modules", "\"(?:.*?(?:self_attn|mlp).*?(?:q|k|v|o|gate|up|down)_proj.*?)|(?:.*lm_head)\""},
        {"target_modules", "\"model\\\\.layers\\\\.[0-9]+\\\\.(mlp|self_attn)\\\\.\\\\w+\""},
        {"exclude_modules", "[\"lm_head\", \"model.layers.11.mlp.up_proj\"]"},
        {"exclude_modules", "\".*(vision|audio).*\""},
        {"layers_to_transform", "[]"},
        {"use_qalora", "false"},
        {"loftq_config", "{}"},
        {"init_lora_weights", "\"gaussian\""},
        {"base_model_name_or_path", "null"},
        {"qalora_group_size", "16"},
        {"megatron_core", "\"megatron.core\""},
        {"rank_pattern", "{\"k_proj|q_proj\": 3}"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lora *l = load_changed(f, cases[i][0], cases[i][1]);
        assert_ok(f->c);
        lora_free(l);
    }
}

/* What is said and not refused, from keep_warnings on. */
static char logged[2048];
static struct ctx_hooks saved;

static void keep_log(void *user, enum log_level level, const char *message)
{
    (void)user;
    size_t n = strlen(logged);
    if (level == LOG_WARN) snprintf(logged + n, sizeof logged - n, "%s\n", message);
}

static void keep_warnings(struct fixture *f)
{
    logged[0] = '\0';
    saved = f->c->hooks;
    f->c->hooks.log = keep_log;
}

/* An expression that is not read here, and modules that are named and have no tensors: used all the same, and said. */
static void what_cannot_be_compared_is_said(void **state)
{
    static const struct {
        const char *field, *value, *part;
    } cases[] = {
        {"target_modules", "\"(?=model).*_proj\"", "So \"target_modules\" is not compared with the tensors of the adapter"},
        {"exclude_modules", "\".{3}vision.*\"", "So \"exclude_modules\" is not compared with the tensors of the adapter"},
        {"target_modules", "\".*_proj\"", NULL},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        keep_warnings(f);
        struct lora *l = load_changed(f, cases[i].field, cases[i].value);
        f->c->hooks = saved;
        assert_ok(f->c);
        assert_int_equal(l->n_modules, 14);
        if (cases[i].part ? !strstr(logged, cases[i].part) : *logged) fail_msg("%s: %s", cases[i].value, logged);
        lora_free(l);
    }
}

/* Writes adapter tensors by hand over a saved adapter: names and shapes as given, all zero. */
static struct lora *load_tensors(struct fixture *f, const struct safetensors_entry *entries, size_t n)
{
    struct model_config m = config_of(&tiny_llama);
    static const float zeros[4096];
    struct lora *l = load_changed(f, "r", "3");
    lora_free(l);
    struct safetensors_writer *w =
        safetensors_create(f->c, fixture_path(f, "adapter/adapter_model.safetensors"), entries, n, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        assert_true(tensor_bytes(entries[i].type, entries[i].ndim, entries[i].shape, &bytes) && bytes <= sizeof zeros);
        safetensors_write(w, zeros, bytes);
    }
    assert_int_equal(safetensors_commit(w), OK);
    return lora_load_peft(f->c, &m, fixture_path(f, "adapter"));
}

#define Q "base_model.model.model.layers.0.self_attn.q_proj."

static void tensors_that_do_not_fit(void **state)
{
    static const struct {
        struct safetensors_entry entries[2];
        size_t n;
        enum status status;
        const char *part;
    } cases[] = {
        {{{Q "lora_A.weight", TENSOR_F32, 2, {3, 24}}}, 1, E_INPUT, "no lora_B"},
        {{{Q "lora_B.weight", TENSOR_F32, 2, {40, 3}}}, 1, E_INPUT, "no lora_A"},
        {{{Q "lora_A.weight", TENSOR_F32, 2, {3, 25}}, {Q "lora_B.weight", TENSOR_F32, 2, {40, 3}}}, 2, E_INPUT, "3 x 25"},
        {{{Q "lora_A.weight", TENSOR_F32, 2, {3, 24}}, {Q "lora_B.weight", TENSOR_F32, 2, {40, 4}}}, 2, E_INPUT, "40 x 4"},
        {{{Q "lora_A.weight", TENSOR_F32, 1, {72}}, {Q "lora_B.weight", TENSOR_F32, 2, {40, 3}}}, 2, E_INPUT, "matrix"},
        {{{Q "lora_A.weight", TENSOR_I32, 2, {3, 24}}, {Q "lora_B.weight", TENSOR_F32, 2, {40, 3}}}, 2, E_INPUT, "F32"},
        {{{Q "lora_magnitude_vector", TENSOR_F32, 2, {3, 24}}}, 1, E_UNSUPPORTED, "lora_magnitude_vector"},
        {{{"base_model.model.lm_head.lora_A.weight", TENSOR_F32, 2, {3, 24}}}, 1, E_UNSUPPORTED, "lm_head"},
        {{{"base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight", TENSOR_F32, 2, {3, 24}}},
         1,
         E_UNSUPPORTED,
         "layers.2."},
        {{{"base_model.model.model.layers.00.self_attn.q_proj.lora_A.weight", TENSOR_F32, 2, {3, 24}}},
         1,
         E_UNSUPPORTED,
         "layers.00."},
        {{{"base_model.model.model.layers.99999999999999999999.mlp.up_proj.lora_A.weight", TENSOR_F32, 2, {3, 24}}},
         1,
         E_UNSUPPORTED,
         "layers.9"},
        {{{0}}, 0, E_INPUT, "no LoRA tensors"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(load_tensors(f, cases[i].entries, cases[i].n));
        assert_failed(f->c, cases[i].status, cases[i].part);
    }
}

static void half_precision_is_read(void **state)
{
    static const struct safetensors_entry entries[] = {{Q "lora_A.weight", TENSOR_BF16, 2, {3, 24}},
                                                       {Q "lora_B.weight", TENSOR_F16, 2, {40, 3}}};
    struct fixture *f = *state;
    keep_warnings(f);
    struct lora *l = load_tensors(f, entries, 2);
    f->c->hooks = saved;
    assert_ok(f->c);
    assert_int_equal(l->n_modules, 1);
    assert_non_null(strstr(logged, "\"target_modules\" names 13 modules of which the file has no tensors "
                                   "(model.layers.0.self_attn.k_proj, ...)"));
    assert_int_equal(l->config.targets, 1u << LORA_Q);
    lora_free(l);
}

static void missing_files(void **state)
{
    struct fixture *f = *state;
    struct model_config m = config_of(&tiny_llama);
    assert_null(lora_load_peft(f->c, &m, fixture_path(f, "nowhere")));
    assert_failed(f->c, E_INPUT, "adapter_config.json");
    lora_free(load_changed(f, "r", "3"));
    assert_int_equal(remove(fixture_path(f, "adapter/adapter_model.safetensors")), 0);
    fixture_write(f, "adapter/adapter_model.bin", "pickle");
    assert_null(lora_load_peft(f->c, &m, fixture_path(f, "adapter")));
    assert_failed(f->c, E_INPUT, "adapter_model.bin can carry code");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_is_uniform_b_is_zero, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(init_depends_on_seed_and_module_only, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(scales, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(wrong_configs, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(saved_is_loaded_bit_for_bit, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(ranks_and_alphas_that_differ, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(config_is_pefts, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(features_are_refused_by_name, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(harmless_fields_are_accepted, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_compared_is_said, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(tensors_that_do_not_fit, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(half_precision_is_read, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(missing_files, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
