/* lora_import: adapters of other programs than PEFT: folders of mlx-lm (adapter_config.json with lora_parameters,
 * adapters.safetensors) and GGUF files of llama.cpp (general.type "adapter").
 *
 * mlx-lm: MODULE.lora_a (in, r) and MODULE.lora_b (r, out), transposed beside PEFT's, and the scale itself: y += scale * x
 * a b. GGUF: blk.N.NAME.weight.lora_a (r, in) and .lora_b (out, r), the rows of q and k permuted as the model's are, and
 * adapter.lora.alpha, whose scale is alpha / r. In both the modules are those that have tensors, and a tensor that is no
 * module's is refused. */
#include "model/lora.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "array/codec/quant.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/gguf.h"
#include "io/json.h"
#include "io/model_folder.h"
#include "io/safetensors.h"
#include "model/weights_names.h"

enum { CONFIG_MAX_BYTES = 4 << 20, NAME_BYTES = 128, MAX_RANK = 4096 };

struct import {
    struct ctx *c;
    const struct model_config *model;
    const char *path;            /* of the file with the tensors */
    struct safetensors *tensors; /* mlx-lm, or */
    struct gguf *gguf;
    struct map64 *used;  /* address of a tensor's view -> 1, once a module has taken it */
    int64_t rank;        /* mlx-lm: of the configuration; GGUF: 0, the tensors say */
    double scale, alpha; /* mlx-lm: scale; GGUF: alpha */
    double dropout;
    const char *config_path; /* mlx-lm: its configuration, */
    const json_t *keys;      /* the modules in it (NULL: all linear ones), borrowed, */
    int64_t first_layer;     /* and the first layer that has any */
};

/* ---- what each format says beside its tensors ------------------------------------------------------------------------ */

/* Which modules mlx-lm would give an adapter: the last num_layers layers (lora_layers in files of before; -1 and 0: all),
 * and in them those of "keys". */
static enum status read_mlx_modules(struct import *x, const char *path, const json_t *doc, const json_t *parameters)
{
    int64_t layers = 0;
    const char *name = json_object_get(doc, "num_layers") ? "num_layers" : "lora_layers";
    if (!json_member_i64(x->c, path, doc, name, false, -1, INT32_MAX, &layers)) return x->c->status;
    x->first_layer = layers > 0 && layers < x->model->n_layers ? x->model->n_layers - layers : 0;
    x->keys = json_object_get(parameters, "keys");
    if (json_is_null(x->keys)) x->keys = NULL;
    if (x->keys && !json_is_array(x->keys)) return ctx_fail(x->c, E_INPUT, "%s: \"keys\" must be a list", path);
    return x->c->status;
}

/* fine_tune_type "dora" and "full" are other things than LoRA; files of before that field are LoRA. */
static enum status read_mlx_config(struct import *x, const char *path, const json_t *doc)
{
    const char *type = "lora";
    const json_t *p = json_object_get(doc, "lora_parameters");
    if (!json_member_string(x->c, path, doc, "fine_tune_type", false, &type)) return x->c->status;
    if (strcmp(type, "lora") != 0)
        return ctx_fail(x->c, E_UNSUPPORTED, "%s: \"fine_tune_type\" is \"%.80s\"; only lora is supported", path, type);
    if (!json_is_object(p)) return ctx_fail(x->c, E_INPUT, "%s: \"lora_parameters\" must be an object", path);
    if (json_member_i64(x->c, path, p, "rank", true, 1, MAX_RANK, &x->rank) &&
        json_member_f64(x->c, path, p, "scale", true, 1e-9, 1e6, &x->scale))
        json_member_f64(x->c, path, p, "dropout", false, 0, 1, &x->dropout);
    if (!ctx_ok(x->c)) return x->c->status;
    return read_mlx_modules(x, path, doc, p);
}

/* E_UNSUPPORTED unless the metadata key has this value. */
static enum status require_text(struct import *x, const char *key, const char *wanted)
{
    struct gguf_string s = {"nothing", 7};
    gguf_get_string(x->c, x->gguf, key, &s);
    if (!ctx_ok(x->c) || (s.n == strlen(wanted) && memcmp(s.data, wanted, s.n) == 0)) return x->c->status;
    return ctx_fail(x->c, E_UNSUPPORTED, "%s: %s is \"%.*s\"; an adapter has \"%s\"", x->path, key, s.n > 80 ? 80 : (int)s.n,
                    s.data, wanted);
}

/* A GGUF adapter says that it is one, for which architecture, and its alpha. */
static enum status read_gguf_config(struct import *x)
{
    const char *architecture = model_family_names(x->model->family)->gguf;
    TRY(require_text(x, "general.type", "adapter"));
    TRY(require_text(x, "adapter.type", "lora"));
    if (!architecture)
        return ctx_fail(x->c, E_UNSUPPORTED, "%s: there are no GGUF adapters of %s", x->path, x->model->architecture);
    TRY(require_text(x, "general.architecture", architecture));
    if (!gguf_get_f64(x->c, x->gguf, "adapter.lora.alpha", &x->alpha) && ctx_ok(x->c))
        return ctx_fail(x->c, E_INPUT, "%s: metadata key adapter.lora.alpha is missing", x->path);
    if (ctx_ok(x->c) && !(x->alpha > 0 && x->alpha <= 1e6))
        return ctx_fail(x->c, E_INPUT, "%s: adapter.lora.alpha is %g; it must be in (0, 1e6]", x->path, x->alpha);
    return x->c->status;
}

/* ---- tensors --------------------------------------------------------------------------------------------------------- */

static size_t import_count_tensors(const struct import *x)
{
    return x->gguf ? gguf_tensor_count(x->gguf) : safetensors_count(x->tensors);
}

static const struct tensor_view *tensor_at(const struct import *x, size_t i)
{
    return x->gguf ? gguf_tensor(x->gguf, i) : safetensors_tensor(x->tensors, i);
}

/* half: 'a' or 'b'; NULL: not there. */
static const struct tensor_view *find_half(const struct import *x, int64_t layer, enum lora_place place, char half)
{
    const struct weights_names *names = weights_names_of(x->gguf ? CONTAINER_GGUF : CONTAINER_SAFETENSORS);
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s.%lld.%s%s.lora_%c", names->block, (long long)layer, names->linear[place],
             x->gguf ? ".weight" : "", half);
    return x->gguf ? gguf_find(x->gguf, name) : safetensors_find(x->tensors, name);
}

/* rows x cols in PEFT's orientation; counts the tensor as used. */
static enum status check_half(struct import *x, const struct tensor_view *t, int64_t rows, int64_t cols)
{
    bool transposed = !x->gguf, type = t->type == TENSOR_F32 || t->type == TENSOR_F16 || t->type == TENSOR_BF16;
    int64_t first = transposed ? cols : rows, second = transposed ? rows : cols;
    if (t->ndim != 2 || t->shape[0] != first || t->shape[1] != second || !type)
        return ctx_fail(
            x->c, E_INPUT,
            "%s: tensor \"%.200s\" must be %lld x %lld of F32, F16 or BF16 for this model and rank; it has %d axes "
            "and begins with %lld x %lld",
            x->path, t->name, (long long)first, (long long)second, t->ndim, (long long)(t->ndim > 0 ? t->shape[0] : 0),
            (long long)(t->ndim > 1 ? t->shape[1] : 0));
    return map64_put(x->used, (uint64_t)(uintptr_t)t, 1, NULL);
}

/* The rank that the tensors must have: mlx-lm's is in the configuration, GGUF's is the shape's. */
static int64_t lora_import_rank_of(const struct import *x, const struct tensor_view *a)
{
    return x->gguf ? (a->ndim == 2 ? a->shape[0] : 0) : x->rank;
}

/* mlx-lm makes the modules that the configuration names and passes over tensors of others, so that a file in which they
 * differ computes otherwise there and here. */
static enum status check_mlx_module(struct import *x, int64_t layer, enum lora_place place)
{
    const char *module = weights_names_of(CONTAINER_SAFETENSORS)->linear[place];
    bool listed = !x->keys;
    for (size_t i = 0; i < json_array_size(x->keys) && !listed; i++) {
        const char *key = json_string_value(json_array_get(x->keys, i));
        listed = key && strcmp(key, module) == 0;
    }
    if (layer < x->first_layer)
        return ctx_fail(
            x->c, E_INPUT,
            "%s: layer %lld has tensors, but \"num_layers\" names the last ones only, from %lld on: mlx-lm would pass "
            "over them. Correct the number, or take the adapter as it was saved",
            x->config_path, (long long)layer, (long long)x->first_layer);
    if (listed) return OK;
    return ctx_fail(
        x->c, E_INPUT,
        "%s: %s has tensors, but is not in \"keys\": mlx-lm would pass over them. Correct the list, or take the adapter "
        "as it was saved",
        x->config_path, module);
}

/* Adds the module at a place when it has tensors. */
static enum status import_add_module(struct import *x, struct lora *l, int64_t layer, enum lora_place place)
{
    const struct tensor_view *a = find_half(x, layer, place, 'a'), *b = find_half(x, layer, place, 'b');
    int64_t out, in;
    if (!a && !b) return OK;
    if (!a || !b)
        return ctx_fail(x->c, E_INPUT, "%s: layer %lld, %s has lora_%c but no lora_%c", x->path, (long long)layer,
                        lora_place_name[place], a ? 'a' : 'b', a ? 'b' : 'a');
    if (!x->gguf) TRY(check_mlx_module(x, layer, place));
    int64_t rank = lora_import_rank_of(x, a);
    if (rank < 1 || rank > MAX_RANK)
        return ctx_fail(x->c, E_INPUT, "%s: tensor \"%.200s\": rank %lld is not in 1..%d", x->path, a->name, (long long)rank,
                        MAX_RANK);
    lora_place_shape(x->model, place, &out, &in);
    TRY(check_half(x, a, rank, in));
    TRY(check_half(x, b, out, rank));
    /* lora_add takes alpha and makes the scale alpha / rank of it. */
    return lora_add(l, x->model, layer, place, rank, x->gguf ? x->alpha : x->scale * (double)rank);
}

/* E_UNSUPPORTED naming a tensor that belongs to no module: ignoring it would change what the adapter does. */
static enum status check_all_used(struct import *x)
{
    for (size_t i = 0; i < import_count_tensors(x); i++) {
        const struct tensor_view *t = tensor_at(x, i);
        uint64_t one;
        if (!map64_get(x->used, (uint64_t)(uintptr_t)t, &one))
            return ctx_fail(x->c, E_UNSUPPORTED,
                            "%s: tensor \"%.200s\" is not the lora_a or lora_b of a linear layer of the model's %lld layers",
                            x->path, t->name, (long long)x->model->n_layers);
    }
    return OK;
}

/* Where row `row` of B in Hugging Face order is stored: in files that permute q and k, element (s, j) of a head, s = 0, 1,
 * is at 2 j + s, where Hugging Face has it at s d / 2 + j. Example: heads of d = 4, rows 0 1 2 3 are stored at 0 2 1 3. */
static int64_t import_stored_row(const struct import *x, const struct lora_module *m, bool is_b, int64_t row)
{
    int64_t d = x->model->head_dim, in_head = row % d, half = d / 2;
    bool permuted =
        x->gguf && is_b && (m->place == LORA_Q || m->place == LORA_K) && model_family_names(x->model->family)->gguf_permutes;
    return permuted ? row - in_head + 2 * (in_head % half) + in_head / half : row;
}

/* The values of a half into its array (rows, cols), transposed and put into the order of Hugging Face. */
static enum status copy_half(struct import *x, const struct lora_module *m, char half, struct array *to)
{
    const struct tensor_view *t = find_half(x, m->layer, m->place, half);
    int64_t rows = to->shape[0], cols = to->shape[1];
    float *stored = mem_alloc(x->c, (size_t)(rows * cols), sizeof *stored);
    float *values = stored ? mem_alloc(x->c, (size_t)(rows * cols), sizeof *values) : NULL;
    if (values) {
        quant_to_f32(t->type, t->data, stored, rows * cols);
        for (int64_t i = 0; i < rows; i++) {
            int64_t from = import_stored_row(x, m, half == 'b', i);
            for (int64_t j = 0; j < cols; j++)
                values[i * cols + j] = x->gguf ? stored[from * cols + j] : stored[j * rows + i];
        }
        parameter_write(to, values);
    }
    mem_free(x->c, values);
    mem_free(x->c, stored);
    return x->c->status;
}

/* All modules that have tensors, then their values. */
static enum status import_fill(struct import *x, struct lora *l)
{
    for (int64_t layer = 0; layer < x->model->n_layers; layer++)
        for (int place = 0; place < LORA_PLACES; place++)
            if (lora_place_exists(x->model, (enum lora_place)place))
                TRY(import_add_module(x, l, layer, (enum lora_place)place));
    TRY(check_all_used(x));
    if (l->n_modules == 0) return ctx_fail(x->c, E_INPUT, "%s: the adapter holds no LoRA tensors", x->path);
    TRY(lora_make_values(l));
    for (size_t i = 0; i < l->n_modules; i++) {
        TRY(copy_half(x, &l->modules[i], 'a', l->modules[i].slot.a));
        TRY(copy_half(x, &l->modules[i], 'b', l->modules[i].slot.b));
    }
    return x->gguf ? file_check(x->c, gguf_file(x->gguf)) : safetensors_check(x->c, x->tensors);
}

/* The summary that a PEFT config would hold: places that have a module, last layers when the first layers have none, and
 * the rank and alpha of the first module. */
static struct lora_config import_summarise(const struct import *x)
{
    struct lora_config config = {.dropout = x->dropout};
    int64_t first = -1, n = x->model->n_layers * LORA_PLACES;
    for (int64_t i = 0; i < n; i++) {
        enum lora_place place = (enum lora_place)(i % LORA_PLACES);
        const struct tensor_view *a = lora_place_exists(x->model, place) ? find_half(x, i / LORA_PLACES, place, 'a') : NULL;
        if (!a) continue;
        config.targets |= 1u << place;
        if (first < 0) first = i / LORA_PLACES;
        if (config.rank == 0) config.rank = lora_import_rank_of(x, a);
    }
    if (config.targets == 0) config.targets = LORA_ALL; /* its tensors are then refused by name */
    if (config.rank < 1) config.rank = 1;
    config.alpha = x->gguf ? x->alpha : x->scale * (double)config.rank;
    config.last_layers = first > 0 ? x->model->n_layers - first : 0;
    return config;
}

/* The adapter from files that are open. */
static struct lora *import_load(struct import *x)
{
    struct lora_config config = import_summarise(x);
    struct lora *l = lora_empty(x->c, x->model, &config);
    x->used = l ? map64_new(x->c, 512) : NULL;
    if (l && (!x->used || import_fill(x, l) != OK)) {
        lora_free(l);
        l = NULL;
    }
    map64_free(x->used);
    return l;
}

/* ---- entries --------------------------------------------------------------------------------------------------------- */

struct lora *lora_load_mlx(struct ctx *c, const struct model_config *m, const char *dir)
{
    char *config_path = path_join(c, dir, "adapter_config.json"), *path = path_join(c, dir, "adapters.safetensors");
    struct import x = {.c = c, .model = m, .path = path, .config_path = config_path};
    json_t *doc = config_path && path ? json_parse_file(c, config_path, CONFIG_MAX_BYTES) : NULL;
    struct lora *l = NULL;
    if (doc && read_mlx_config(&x, config_path, doc) == OK) x.tensors = safetensors_open(c, path);
    if (x.tensors) l = import_load(&x);
    json_decref(doc);
    safetensors_close(x.tensors);
    mem_free(c, path);
    mem_free(c, config_path);
    return l;
}

struct lora *lora_load_gguf(struct ctx *c, const struct model_config *m, const char *path)
{
    struct import x = {.c = c, .model = m, .path = path, .gguf = gguf_open(c, path)};
    struct lora *l = x.gguf && read_gguf_config(&x) == OK ? import_load(&x) : NULL;
    gguf_close(x.gguf);
    return l;
}

static bool import_has_file(struct ctx *c, const char *dir, const char *name)
{
    char *path = path_join(c, dir, name);
    bool there = path && file_exists(path);
    mem_free(c, path);
    return there;
}

/* Why a path is no adapter, when it is neither a GGUF file nor a folder with adapter_config.json. */
static enum status refuse_path(struct ctx *c, const char *path)
{
    if (!dir_exists(path) && !file_exists(path))
        return ctx_fail(c, E_INPUT, "%s: not an adapter: there is no such file or folder", path);
    if (file_exists(path))
        return ctx_fail(c, E_INPUT,
                        "%s: not an adapter: give the folder of one (adapter_config.json with its tensors), or a GGUF file",
                        path);
    if (import_has_file(c, path, "config.json"))
        return ctx_fail(c, E_INPUT,
                        "%s: not an adapter: there is no adapter_config.json in the folder, but the config.json of a model, "
                        "which is given with -m",
                        path);
    return ctx_fail(c, E_INPUT,
                    "%s: not an adapter: there is no adapter_config.json in the folder. Programs that train write it into a "
                    "folder below, one for each checkpoint: name that",
                    path);
}

/* Whether a file begins as GGUF files do, or as a Git LFS pointer, which its reader names. */
static bool is_gguf_or_pointer(struct ctx *c, const char *path)
{
    char start[4];
    uint64_t bytes;
    int fd = file_open(c, path, &bytes);
    int64_t n = fd < 0 ? -1 : file_read_some(c, fd, path, start, sizeof start);
    if (fd >= 0) close(fd);
    return n == 4 && (memcmp(start, "GGUF", 4) == 0 || memcmp(start, "vers", 4) == 0);
}

struct lora *lora_load(struct ctx *c, const struct model_config *m, const char *path)
{
    if (file_exists(path) && is_gguf_or_pointer(c, path)) return lora_load_gguf(c, m, path);
    if (!ctx_ok(c)) return NULL;
    if (file_exists(path) || (!import_has_file(c, path, "adapter_config.json") &&
                              model_folder_check_link(c, path, "adapter_config.json") == OK)) {
        if (ctx_ok(c)) refuse_path(c, path);
        return NULL;
    }
    bool mlx = import_has_file(c, path, "adapters.safetensors") && !import_has_file(c, path, "adapter_model.safetensors");
    return mlx ? lora_load_mlx(c, m, path) : lora_load_peft(c, m, path);
}
