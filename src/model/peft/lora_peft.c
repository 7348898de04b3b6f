/* lora_peft: reads and writes adapters in the folder format of PEFT (adapter_config.json, adapter_model.safetensors).
 *
 * Tensor names are "base_model.model." + the module's path + ".lora_A.weight" (r, in) or ".lora_B.weight" (out, r). The
 * scale is lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora; rank_pattern and alpha_pattern override r and
 * lora_alpha for modules whose path matches a key, the first that matches (get_pattern_key of PEFT). The config is written
 * with the fields that every PEFT since 0.5 knows and no others: an unknown field makes its reader warn.
 *
 * Reading refuses rather than ignores: a field that is not listed below as harmless and is set to anything but null, false
 * or empty changes the result in some version of PEFT. */
#include "model/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/codec/quant.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "model/peft/pattern.h"
#include "model/peft/peft_targets.h"

/* MAX_RULES: one for each linear layer of the largest model. MAX_OPERATORS: rules that are more than a name, so that a
 * hostile file cannot buy much matching time. */
enum { CONFIG_MAX_BYTES = 4 << 20, NAME_BYTES = 128, MAX_RULES = 1024 * LORA_PLACES, MAX_OPERATORS = 128 };

static const char config_file[] = "adapter_config.json", tensors_file[] = "adapter_model.safetensors";
static const char *const half_suffix[2] = {"lora_A.weight", "lora_B.weight"};

/* "model.layers.3.self_attn.q_proj": the module's path in the base model, what PEFT matches patterns against. */
static const char *module_path(char *buf, int64_t layer, enum lora_place place)
{
    snprintf(buf, NAME_BYTES, "model.layers.%lld.%s", (long long)layer, lora_place_path[place]);
    return buf;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* PEFT writes whole numbers without a point. */
static json_t *json_number(double v)
{
    return v == floor(v) && fabs(v) < 1e15 ? json_integer((json_int_t)v) : json_real(v);
}

/* Whether the adapter has a module at this layer and place. */
static bool has_module(const struct lora *l, int64_t layer, enum lora_place place)
{
    for (size_t i = 0; i < l->n_modules; i++)
        if (l->modules[i].layer == layer && l->modules[i].place == place) return true;
    return false;
}

/* True when the modules are all combinations of some layers with some places, which target_modules and layers_to_transform
 * can say; otherwise each path has to be listed. */
static bool modules_are_grid(const struct lora *l, uint32_t places)
{
    for (size_t i = 0; i < l->n_modules; i++)
        for (int p = 0; p < LORA_PLACES; p++)
            if (places >> p & 1 && !has_module(l, l->modules[i].layer, (enum lora_place)p)) return false;
    return true;
}

/* The places that any layer has an adapter at, as bits. */
static uint32_t places_of(const struct lora *l)
{
    uint32_t places = 0;
    for (size_t i = 0; i < l->n_modules; i++) places |= 1u << l->modules[i].place;
    return places;
}

/* target_modules sorted as PEFT sorts them, and layers_to_transform when some layers have none. */
static void add_targets(const struct lora *l, json_t *doc)
{
    static const enum lora_place by_name[] = {LORA_DOWN, LORA_GATE, LORA_GATE_UP, LORA_K, LORA_O,
                                              LORA_Q,    LORA_QKV,  LORA_UP,      LORA_V};
    uint32_t places = places_of(l);
    json_t *targets = json_array(), *layers = json_array();
    bool grid = modules_are_grid(l, places);
    char path[NAME_BYTES];
    for (int i = 0; grid && i < LORA_PLACES; i++)
        if (places >> by_name[i] & 1) json_array_append_new(targets, json_string(lora_place_name[by_name[i]]));
    for (size_t i = 0; !grid && i < l->n_modules; i++)
        json_array_append_new(targets, json_string(module_path(path, l->modules[i].layer, l->modules[i].place)));
    for (size_t i = 0; grid && i < l->n_modules; i++)
        if (i == 0 || l->modules[i].layer != l->modules[i - 1].layer)
            json_array_append_new(layers, json_integer(l->modules[i].layer));
    bool all = !grid || (int64_t)json_array_size(layers) == l->n_layers;
    json_object_set_new(doc, "target_modules", targets);
    json_object_set_new(doc, "layers_to_transform", all ? json_null() : json_incref(layers));
    json_decref(layers);
}

/* rank_pattern and alpha_pattern: the modules that differ from r and lora_alpha, each by its whole path. */
static void lora_peft_add_patterns(const struct lora *l, json_t *doc)
{
    json_t *ranks = json_object(), *alphas = json_object();
    char path[NAME_BYTES];
    for (size_t i = 0; i < l->n_modules; i++) {
        const struct lora_module *m = &l->modules[i];
        module_path(path, m->layer, m->place);
        if (m->rank != l->config.rank) json_object_set_new(ranks, path, json_integer(m->rank));
        if (m->alpha != l->config.alpha) json_object_set_new(alphas, path, json_number(m->alpha));
    }
    json_object_set_new(doc, "rank_pattern", ranks);
    json_object_set_new(doc, "alpha_pattern", alphas);
}

/* adapter_config.json with every field that PEFT writes and needs for loading. */
static json_t *make_config(const struct lora *l, const char *base_name)
{
    static const char *const nulls[] = {"revision", "exclude_modules", "layers_pattern", "modules_to_save", "auto_mapping"};
    json_t *doc = json_object();
    json_object_set_new(doc, "peft_type", json_string("LORA"));
    json_object_set_new(doc, "task_type", json_string("CAUSAL_LM"));
    json_object_set_new(doc, "base_model_name_or_path", base_name ? json_string(base_name) : json_null());
    json_object_set_new(doc, "inference_mode", json_true());
    json_object_set_new(doc, "r", json_integer(l->config.rank));
    json_object_set_new(doc, "lora_alpha", json_number(l->config.alpha));
    json_object_set_new(doc, "lora_dropout", json_real(l->config.dropout));
    json_object_set_new(doc, "bias", json_string("none"));
    json_object_set_new(doc, "fan_in_fan_out", json_false());
    json_object_set_new(doc, "use_rslora", json_boolean(l->config.rslora));
    json_object_set_new(doc, "use_dora", json_false());
    json_object_set_new(doc, "init_lora_weights", json_true());
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++) json_object_set_new(doc, nulls[i], json_null());
    add_targets(l, doc);
    lora_peft_add_patterns(l, doc);
    return doc;
}

enum status lora_save_peft_config(struct ctx *c, const struct lora *l, const char *dir, const char *base_name)
{
    struct buf text;
    buf_init(&text, c, CONFIG_MAX_BYTES);
    char *path = path_join(c, dir, config_file);
    json_t *doc = make_config(l, base_name);
    if (path && json_write(c, doc, true, &text) == OK) file_write_atomic(c, path, buf_str(&text), text.len);
    json_decref(doc);
    mem_free(c, path);
    buf_release(&text);
    return c->status;
}

/* For parameters_save: the values of A and B, which alternate in the table. */
static enum status peft_read_value(void *user, int which, size_t i, float *out)
{
    const struct lora *l = user;
    (void)which;
    return parameter_read(i % 2 ? l->modules[i / 2].slot.b : l->modules[i / 2].slot.a, out);
}

enum status lora_save_peft(struct ctx *c, const struct lora *l, const char *dir, const char *base_name)
{
    static const struct parameter_set set = {.prefix = LORA_TENSOR_PREFIX, .suffix = LORA_TENSOR_SUFFIX};
    const struct parameters *p = &l->parameters;
    char *path = path_join(c, dir, tensors_file);
    if (path && parameters_save(c, path, p->list, p->n, &set, 1, peft_read_value, (void *)(uintptr_t)l) == OK)
        lora_save_peft_config(c, l, dir, base_name);
    mem_free(c, path);
    return c->status;
}

/* ---- reading: the config --------------------------------------------------------------------------------------------- */

struct rule {
    struct pattern *pattern;
    double value;
};

struct peft_rules {
    struct rule *items; /* owned */
    size_t n;
};

struct peft {
    struct ctx *c;
    const struct model_config *model;
    char *config_path;
    json_t *doc;
    struct safetensors *tensors;
    struct lora_config config;
    struct peft_rules ranks, alphas;
    struct peft_targets targets;
    const struct tensor_view **found; /* (n_layers * LORA_PLACES, 2): A and B of each linear layer */
};

/* Fields that describe the run or are read below; any other that is set is refused. */
static const char *const known_fields[] = {
    "alpha_pattern", "auto_mapping",        "base_model_name_or_path", "bias",
    "corda_config",  "eva_config",          "init_lora_weights",       "inference_mode",
    "lora_alpha",    "lora_dropout",        "layers_pattern",          "layers_to_transform",
    "loftq_config",  "lora_ga_config",      "megatron_core",           "peft_type",
    "peft_version",  "rank_pattern",        "qalora_group_size",       "r",
    "revision",      "target_modules",      "exclude_modules",         "task_type",
    "use_rslora",    "ensure_weight_tying",
};

#define MERGE_FIRST                                                                                                         \
    "PEFT can put such an adapter into its model: merge_and_unload() and save_pretrained() there, and give that model"

/* Whether a field is one that is read or changes nothing. */
static bool is_known(const char *key)
{
    for (size_t i = 0; i < sizeof known_fields / sizeof *known_fields; i++)
        if (strcmp(key, known_fields[i]) == 0) return true;
    return false;
}

static bool is_empty(const json_t *v)
{
    return json_is_null(v) || json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

static enum status refuse_unknown(struct peft *p)
{
    const char *key;
    json_t *value;
    json_object_foreach(p->doc, key, value)
    {
        if (!is_known(key) && !is_empty(value))
            return ctx_fail(p->c, E_UNSUPPORTED, "%s: \"%.80s\" is set; this feature of PEFT is not supported. " MERGE_FIRST,
                            p->config_path, key);
    }
    return OK;
}

/* Initialisations that change the base weights (PiSSA, OLoRA, ...) give adapters that only fit the changed base. PEFT can
 * save them converted, and then says "true". */
static enum status check_init(struct peft *p)
{
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    const char *init = json_string_value(json_object_get(p->doc, "init_lora_weights"));
    for (size_t i = 0; init && i < sizeof harmless / sizeof *harmless; i++)
        if (strcmp(init, harmless[i]) == 0) return OK;
    if (!init) return OK;
    return ctx_fail(p->c, E_UNSUPPORTED,
                    "%s: \"init_lora_weights\" is \"%.80s\", which changes the base model's weights: save the adapter with "
                    "PEFT's path_initial_model_for_weight_conversion first",
                    p->config_path, init);
}

/* rank_pattern or alpha_pattern: its members as rules in the order of the file, which decides where several match. */
static enum status peft_read_pattern(struct peft *p, const char *field, double max, struct peft_rules *rules)
{
    const json_t *map = json_object_get(p->doc, field);
    const char *key;
    json_t *value;
    int n_operators = 0;
    if (!map || is_empty(map)) return OK;
    if (!json_is_object(map) || json_object_size(map) > MAX_RULES)
        return ctx_fail(p->c, E_INPUT, "%s: \"%s\" must be an object of at most %d members", p->config_path, field,
                        MAX_RULES);
    rules->items = mem_alloc(p->c, json_object_size(map), sizeof *rules->items);
    if (!rules->items) return p->c->status;
    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        double v = json_is_number(value) ? json_number_value(value) : -1;
        if (!(v > 0 && v <= max))
            return ctx_fail(p->c, E_INPUT, "%s: \"%s\" of \"%.80s\" must be a number in (0, %g]", p->config_path, field, key,
                            max);
        struct pattern *pattern = pattern_new(p->c, p->config_path, key);
        if (!pattern) return p->c->status;
        rules->items[rules->n++] = (struct rule){pattern, v};
        n_operators += !pattern_is_plain(pattern);
        if (n_operators > MAX_OPERATORS)
            return ctx_fail(p->c, E_UNSUPPORTED, "%s: \"%s\" has more than %d regular expressions", p->config_path, field,
                            MAX_OPERATORS);
    }
    return OK;
}

static enum status read_config(struct peft *p)
{
    const char *type = NULL, *bias = "none";
    struct ctx *c = p->c;
    p->config = (struct lora_config){.rank = 8, .alpha = 8}; /* PEFT's defaults */
    if (!json_is_object(p->doc)) return ctx_fail(c, E_INPUT, "%s: must hold a JSON object", p->config_path);
    if (!json_member_string(c, p->config_path, p->doc, "peft_type", true, &type)) return c->status;
    if (strcmp(type, "LORA") != 0)
        return ctx_fail(c, E_UNSUPPORTED, "%s: \"peft_type\" is \"%.80s\"; only LORA is supported. " MERGE_FIRST,
                        p->config_path, type);
    TRY(refuse_unknown(p));
    TRY(check_init(p));
    if (!json_member_string(c, p->config_path, p->doc, "bias", false, &bias)) return c->status;
    if (strcmp(bias, "none") != 0)
        return ctx_fail(c, E_UNSUPPORTED, "%s: \"bias\" is \"%.80s\"; only none is supported. " MERGE_FIRST, p->config_path,
                        bias);
    if (!json_member_i64(c, p->config_path, p->doc, "r", false, 1, 4096, &p->config.rank) ||
        !json_member_f64(c, p->config_path, p->doc, "lora_alpha", false, 0, 1e6, &p->config.alpha) ||
        !json_member_f64(c, p->config_path, p->doc, "lora_dropout", false, 0, 1, &p->config.dropout) ||
        !json_member_bool(c, p->config_path, p->doc, "use_rslora", false, &p->config.rslora))
        return c->status;
    TRY(peft_read_pattern(p, "rank_pattern", 4096, &p->ranks));
    TRY(peft_read_pattern(p, "alpha_pattern", 1e6, &p->alphas));
    return peft_targets_read(c, p->config_path, p->doc, &p->targets);
}

/* ---- reading: the tensors -------------------------------------------------------------------------------------------- */

/* "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight" to layer, place and half. False for any
 * other name, and for a layer written with a leading 0, which would be a second name of the same tensor. */
static bool parse_name(const struct peft *p, const char *name, int64_t *layer, int *place, int *half)
{
    static const char head[] = "base_model.model.model.layers.";
    if (strncmp(name, head, sizeof head - 1) != 0) return false;
    const char *at = name + sizeof head - 1;
    if (*at < '0' || *at > '9' || (at[0] == '0' && at[1] != '.')) return false;
    for (*layer = 0; *at >= '0' && *at <= '9' && *layer < p->model->n_layers; at++) *layer = *layer * 10 + (*at - '0');
    if (*at++ != '.' || *layer >= p->model->n_layers) return false;
    for (*place = 0; *place < LORA_PLACES; ++*place) {
        if (!lora_place_exists(p->model, (enum lora_place) * place)) continue;
        size_t n = strlen(lora_place_path[*place]);
        if (strncmp(at, lora_place_path[*place], n) != 0 || at[n] != '.') continue;
        for (*half = 0; *half < 2; ++*half)
            if (strcmp(at + n + 1, half_suffix[*half]) == 0) return true;
    }
    return false;
}

/* Enters every tensor of the file in p->found at its layer, place and half. */
static enum status assign_tensors(struct peft *p, const char *path)
{
    for (size_t i = 0; i < safetensors_count(p->tensors); i++) {
        const struct tensor_view *t = safetensors_tensor(p->tensors, i);
        int64_t layer;
        int place, half;
        if (!parse_name(p, t->name, &layer, &place, &half))
            return ctx_fail(p->c, E_UNSUPPORTED,
                            "%s: tensor \"%.200s\" is not the lora_A or lora_B of a linear layer of the model: %s in %lld "
                            "layers. " MERGE_FIRST,
                            path, t->name,
                            p->model->fused_projections ? "qkv_proj, o_proj, gate_up_proj, down_proj" : "the seven",
                            (long long)p->model->n_layers);
        if (t->ndim != 2 || (t->type != TENSOR_F32 && t->type != TENSOR_F16 && t->type != TENSOR_BF16))
            return ctx_fail(p->c, E_INPUT, "%s: tensor \"%s\" must be a matrix of F32, F16 or BF16", path, t->name);
        p->found[(layer * LORA_PLACES + place) * 2 + half] = t;
    }
    return OK;
}

/* The value of the first rule that matches the module's path; `otherwise` when none does. */
static double rule_value(const struct peft_rules *rules, const char *module, double otherwise)
{
    for (size_t i = 0; i < rules->n; i++)
        if (pattern_match_tail(rules->items[i].pattern, module)) return rules->items[i].value;
    return otherwise;
}

/* Both halves have the shapes of the module: checked before memory of that size is asked for. */
static enum status check_shapes(struct peft *p, const struct tensor_view *const *half, enum lora_place place, int64_t rank)
{
    int64_t out, in;
    lora_place_shape(p->model, place, &out, &in);
    const int64_t wanted[2][2] = {{rank, in}, {out, rank}};
    for (int i = 0; i < 2; i++)
        if (half[i]->shape[0] != wanted[i][0] || half[i]->shape[1] != wanted[i][1])
            return ctx_fail(p->c, E_INPUT, "%s: tensor \"%s\" is %lld x %lld; model and config want %lld x %lld",
                            p->config_path, half[i]->name, (long long)half[i]->shape[0], (long long)half[i]->shape[1],
                            (long long)wanted[i][0], (long long)wanted[i][1]);
    return OK;
}

/* Values of a tensor, widened to f32. */
static enum status copy_tensor(struct ctx *c, const struct tensor_view *t, struct array *a)
{
    int64_t n = t->shape[0] * t->shape[1];
    float *values = mem_alloc(c, (size_t)n, sizeof *values);
    if (!values) return c->status;
    quant_to_f32(t->type, t->data, values, n);
    parameter_write(a, values);
    mem_free(c, values);
    return c->status;
}

/* One linear layer: nothing when the file has neither half, else both halves, whose rank must be what the config says. */
static enum status peft_add_module(struct peft *p, struct lora *l, int64_t layer, enum lora_place place)
{
    const struct tensor_view *const *half = &p->found[(layer * LORA_PLACES + place) * 2];
    char module[NAME_BYTES];
    if (!half[0] && !half[1]) return OK;
    module_path(module, layer, place);
    if (!half[0] || !half[1])
        return ctx_fail(p->c, E_INPUT, "%s: module %s has lora_%c but no lora_%c", p->config_path, module,
                        half[0] ? 'A' : 'B', half[0] ? 'B' : 'A');
    TRY(peft_targets_check(&p->targets, module, layer));
    double rank = rule_value(&p->ranks, module, (double)p->config.rank);
    if (rank != floor(rank)) return ctx_fail(p->c, E_INPUT, "%s: rank %g is not a whole number", p->config_path, rank);
    if (half[0]->shape[0] != (int64_t)rank)
        return ctx_fail(p->c, E_INPUT, "%s: module %s has rank %lld by its tensors and %g by the config", p->config_path,
                        module, (long long)half[0]->shape[0], rank);
    TRY(check_shapes(p, half, place, (int64_t)rank));
    return lora_add(l, p->model, layer, place, (int64_t)rank, rule_value(&p->alphas, module, p->config.alpha));
}

/* The config's own summary of what the tensors are: places, and last layers when the first layers have none. */
static void peft_summarise(struct peft *p)
{
    int64_t first = -1;
    for (int64_t i = 0; i < p->model->n_layers * LORA_PLACES; i++) {
        if (!p->found[2 * i] && !p->found[2 * i + 1]) continue;
        p->config.targets |= 1u << i % LORA_PLACES;
        if (first < 0) first = i / LORA_PLACES;
    }
    p->config.last_layers = first > 0 ? p->model->n_layers - first : 0;
}

static enum status fill_modules(struct peft *p, struct lora *l)
{
    for (int64_t i = 0; i < p->model->n_layers * LORA_PLACES; i++)
        TRY(peft_add_module(p, l, i / LORA_PLACES, (enum lora_place)(i % LORA_PLACES)));
    TRY(lora_make_values(l));
    for (size_t i = 0; i < l->n_modules; i++) {
        const struct lora_module *m = &l->modules[i];
        const struct tensor_view *const *half = &p->found[(m->layer * LORA_PLACES + m->place) * 2];
        TRY(copy_tensor(p->c, half[0], m->slot.a));
        TRY(copy_tensor(p->c, half[1], m->slot.b));
    }
    return OK;
}

/* Modules that the config names and the file has no tensors of: PEFT gives them a B of zeros, so they change nothing there
 * either, but a file that was cut short looks like that. */
static void warn_of_absent(const struct peft *p)
{
    const struct peft_names *names = &p->targets.targets;
    char module[NAME_BYTES], first[NAME_BYTES];
    int64_t absent = 0;
    if (!names->list && !names->pattern) return;
    for (int64_t i = 0; i < p->model->n_layers * LORA_PLACES; i++) {
        enum lora_place place = (enum lora_place)(i % LORA_PLACES);
        if (!lora_place_exists(p->model, place) || p->found[2 * i]) continue;
        if (!peft_targets_has(&p->targets, module_path(module, i / LORA_PLACES, place), i / LORA_PLACES)) continue;
        if (absent++ == 0) memcpy(first, module, sizeof first);
    }
    if (absent)
        ctx_log(p->c, LOG_WARN,
                "%s: \"target_modules\" names %lld module%s of which the file has no tensors (%s%s): they stay as the model "
                "has them. If the adapter was trained on them, the file is not whole",
                p->config_path, (long long)absent, absent == 1 ? "" : "s", first, absent == 1 ? "" : ", ...");
}

static struct lora *load_modules(struct peft *p, const char *dir)
{
    peft_summarise(p);
    if (p->config.targets == 0) {
        ctx_fail(p->c, E_INPUT, "%s: the adapter holds no LoRA tensors", dir);
        return NULL;
    }
    struct lora *l = lora_empty(p->c, p->model, &p->config);
    if (l && fill_modules(p, l) == OK) warn_of_absent(p);
    if (!l || ctx_ok(p->c)) return l;
    lora_free(l);
    return NULL;
}

/* The config before the tensors, so that what is not supported is refused before anything large is read; what is allocated
 * on the way is released by lora_load_peft, whatever happens. */
static struct lora *peft_load(struct peft *p, const char *dir, const char *tensors_path)
{
    p->doc = json_parse_file(p->c, p->config_path, CONFIG_MAX_BYTES);
    if (!p->doc || read_config(p) != OK) return NULL;
    if (!file_exists(tensors_path)) {
        ctx_fail(p->c, E_INPUT, "%s: no %s (an adapter_model.bin can carry code and is not read)", dir, tensors_file);
        return NULL;
    }
    p->tensors = safetensors_open(p->c, tensors_path);
    p->found = mem_alloc(p->c, (size_t)p->model->n_layers * LORA_PLACES * 2, sizeof(struct tensor_view *));
    if (!p->tensors || !p->found || assign_tensors(p, tensors_path) != OK) return NULL;
    struct lora *l = load_modules(p, dir);
    if (!l || safetensors_check(p->c, p->tensors) == OK) return l;
    lora_free(l);
    return NULL;
}

static void rules_release(struct ctx *c, struct peft_rules *rules)
{
    for (size_t i = 0; i < rules->n; i++) pattern_free(rules->items[i].pattern);
    mem_free(c, rules->items);
}

struct lora *lora_load_peft(struct ctx *c, const struct model_config *m, const char *dir)
{
    struct peft p = {.c = c, .model = m, .config_path = path_join(c, dir, config_file)};
    char *tensors_path = path_join(c, dir, tensors_file);
    struct lora *l = ctx_ok(c) ? peft_load(&p, dir, tensors_path) : NULL;
    rules_release(c, &p.ranks);
    rules_release(c, &p.alphas);
    peft_targets_release(&p.targets);
    if (p.doc) json_decref(p.doc);
    safetensors_close(p.tensors);
    mem_free(c, p.found);
    mem_free(c, tensors_path);
    mem_free(c, p.config_path);
    return l;
}
