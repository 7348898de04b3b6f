/* format_mlx_lora: the adapter as mlx-lm's folder. Its layers compute y += scale * x a b with one scale and one rank for
 * all: the scale is the first module's, b of a module with another is multiplied by the ratio, and a smaller rank is filled
 * up with zeros. A module that is not in the file keeps its b of zeros there, and changes nothing. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/formats.h"
#include "export/hf/hf_folder.h"
#include "io/safetensors.h"
#include "model/weights.h"

enum { NAME_BYTES = 128 };

/* "model.layers.3.self_attn.q_proj.lora_a" */
static void mlx_lora_half_name(const struct lora_module *m, char half, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "model.layers.%lld.%s.lora_%c", (long long)m->layer, lora_place_path[m->place], half);
}

static int64_t largest_rank(const struct lora *l)
{
    int64_t rank = 0;
    for (size_t i = 0; i < l->n_modules; i++) rank = l->modules[i].rank > rank ? l->modules[i].rank : rank;
    return rank;
}

/* A half turned round, its rank filled up to `rank`: a is (in, rank), b (rank, out). */
static enum status write_half(struct ctx *c, struct safetensors_writer *out, const struct lora_module *m, bool b,
                              int64_t rank, float factor)
{
    struct array *a = b ? m->slot.b : m->slot.a;
    int64_t rows = a->shape[0], cols = a->shape[1], wide = b ? rows : cols;
    float *values = mem_alloc(c, (size_t)(rows * cols), sizeof *values);
    float *turned = mem_alloc(c, (size_t)(wide * rank), sizeof *turned);
    if (ctx_ok(c) && parameter_read(a, values) == OK) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++)
                turned[b ? j * rows + i : j * rank + i] =
                    b && factor != 1 ? values[i * cols + j] * factor : values[i * cols + j];
        safetensors_write(out, turned, (size_t)(wide * rank) * sizeof *turned);
    }
    mem_free(c, turned);
    mem_free(c, values);
    return c->status;
}

static enum status write_modules(const struct lora *l, struct safetensors_writer *out, int64_t rank)
{
    for (size_t i = 0; i < l->n_modules; i++) {
        const struct lora_module *m = &l->modules[i];
        TRY(write_half(l->c, out, m, false, rank, 1));
        TRY(write_half(l->c, out, m, true, rank, m->slot.scale / l->modules[0].slot.scale));
    }
    return OK;
}

/* adapters.safetensors: lora_a and lora_b of each module in turn, entries 2 i and 2 i + 1. */
static enum status mlx_lora_write_tensors(const struct export_source *s, const char *path)
{
    const struct lora *l = s->lora;
    int64_t rank = largest_rank(l);
    char(*names)[NAME_BYTES] = mem_alloc(s->c, 2 * l->n_modules, sizeof *names);
    struct safetensors_entry *entries = mem_alloc(s->c, 2 * l->n_modules, sizeof *entries);
    for (size_t i = 0; names && entries && i < 2 * l->n_modules; i++) {
        const struct lora_module *m = &l->modules[i / 2];
        mlx_lora_half_name(m, i % 2 ? 'b' : 'a', names[i]);
        entries[i] = (struct safetensors_entry){.name = names[i], .type = TENSOR_F32, .ndim = 2};
        entries[i].shape[0] = i % 2 ? rank : m->slot.a->shape[1];
        entries[i].shape[1] = i % 2 ? m->slot.b->shape[0] : rank;
    }
    struct safetensors_writer *out =
        ctx_ok(s->c) ? safetensors_create(s->c, path, entries, 2 * l->n_modules, NULL, 0) : NULL;
    if (out && write_modules(l, out, rank) == OK)
        safetensors_commit(out);
    else
        safetensors_abort(out);
    mem_free(s->c, entries);
    mem_free(s->c, names);
    return s->c->status;
}

/* adapter_config.json. mlx-lm puts adapters on the last num_layers blocks, so that is how many there are from the first
 * adapted block on; this relies on modules being ordered by layer. */
static enum status mlx_lora_write_config(const struct export_source *s, const char *dir)
{
    const struct lora *l = s->lora;
    json_t *doc = json_object(), *p = json_object(), *keys = json_array();
    uint32_t places = 0;
    for (size_t i = 0; i < l->n_modules; i++) places |= 1u << l->modules[i].place;
    for (int place = 0; place < LORA_PLACES; place++)
        if (places >> place & 1) json_array_append_new(keys, json_string(lora_place_path[place]));
    json_object_set_new(p, "rank", json_integer(largest_rank(l)));
    json_object_set_new(p, "scale", json_real((double)l->modules[0].slot.scale));
    json_object_set_new(p, "dropout", json_real(l->config.dropout));
    json_object_set_new(p, "keys", keys);
    json_object_set_new(doc, "fine_tune_type", json_string("lora"));
    json_object_set_new(doc, "model", json_string(s->base_name ? s->base_name : s->model->name));
    json_object_set_new(doc, "num_layers", json_integer(l->n_layers - l->modules[0].layer));
    json_object_set_new(doc, "lora_parameters", p);
    enum status status = hf_folder_write_json(s->c, dir, "adapter_config.json", doc);
    json_decref(doc);
    return status;
}

static enum status format_mlx_lora_write(const struct export_source *s, const char *dir, const char *type)
{
    char *path = path_join(s->c, dir, "adapters.safetensors");
    (void)type;
    if (path && mlx_lora_write_tensors(s, path) == OK) mlx_lora_write_config(s, dir);
    mem_free(s->c, path);
    return s->c->status;
}

/* mlx-lm loads folders and hub ids, no GGUF file. */
static const struct export_usage *format_mlx_lora_other_usage(const struct export_source *s)
{
    static const struct export_usage usage = {
        .command = "mlx_lm.generate --model BASE --adapter-path %s -p Hello",
        .note = "BASE: the base as a folder, since mlx-lm loads no GGUF file: your_ai export -m MODEL.gguf --to "
                "safetensors -o BASE",
    };
    return s->base_name || !weights_gguf(s->model->files) ? NULL : &usage;
}

const struct export_format format_mlx_lora = {
    .name = "mlx-lora",
    .library = "mlx",
    .holds = "the adapter as mlx-lm loads it",
    .is_adapter = true,
    .bytes = format_adapter_bytes,
    .write = format_mlx_lora_write,
    .opens = format_opens_folder,
    .limit = format_limit_exact,
    .usage = {.command = "mlx_lm.generate --model BASE --adapter-path %s -p Hello",
              .note = "BASE: the base, as a folder or owner/name"},
    .other_usage = format_mlx_lora_other_usage,
};
