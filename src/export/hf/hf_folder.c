/* hf_folder: writes what a Hugging Face folder holds beside tensors. A base that was a folder itself has these files
 * already, so they are copied, and only what changed is changed. A GGUF base has none of them; hf_config.c and
 * hf_tokenizer.c make them. */
#include "export/hf/hf_folder.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/tokenizer/tokenizer.h"

enum { FILE_MAX_BYTES = 512 << 20, CONFIG_MAX_BYTES = 4 << 20, TEXT_MAX_BYTES = 64 << 20, MAX_STOPS = 16 };

/* A tokenizer is any of these; those that are there are copied. */
static const char *const tokenizer_files[] = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",  "vocab.json",
    "merges.txt",     "tokenizer.model",       "chat_template.jinja",     "chat_template.json",
};

enum status hf_folder_write_json(struct ctx *c, const char *dir, const char *name, const json_t *doc)
{
    struct buf text;
    buf_init(&text, c, TEXT_MAX_BYTES); /* an index of shards has a line a tensor */
    char *path = path_join(c, dir, name);
    if (path && json_write(c, doc, true, &text) == OK) {
        buf_append_char(&text, '\n');
        if (buf_ok(&text)) file_write_atomic(c, path, buf_str(&text), text.len);
    }
    mem_free(c, path);
    buf_release(&text);
    return c->status;
}

/* The object in a file of the base folder, or NULL: absent (no error) or unreadable (an error). */
static json_t *base_json(const struct model *m, const char *name)
{
    char *path = path_join(m->c, m->path, name);
    json_t *doc = path && file_exists(path) ? json_parse_file(m->c, path, CONFIG_MAX_BYTES) : NULL;
    if (doc && !json_is_object(doc)) {
        ctx_fail(m->c, E_INPUT, "%s: must hold a JSON object", path);
        json_decref(doc);
        doc = NULL;
    }
    mem_free(m->c, path);
    return doc;
}

static enum status hf_folder_copy_file(const struct model *m, const char *dir, const char *name)
{
    struct ctx *c = m->c;
    size_t n = 0;
    char *from = path_join(c, m->path, name), *to = path_join(c, dir, name);
    char *bytes = from && to && file_exists(from) ? file_read(c, from, FILE_MAX_BYTES, &n) : NULL;
    if (bytes) file_write_atomic(c, to, bytes, n);
    mem_free(c, bytes);
    mem_free(c, from);
    mem_free(c, to);
    return c->status;
}

static enum status hf_folder_write_tokenizer(const struct model *m, const char *dir)
{
    const struct gguf *g = weights_gguf(m->files);
    if (g) {
        hf_tokenizer_write(m->c, g, dir);
        return m->c->status;
    }
    for (size_t i = 0; i < sizeof tokenizer_files / sizeof *tokenizer_files; i++)
        TRY(hf_folder_copy_file(m, dir, tokenizer_files[i]));
    return OK;
}

/* ---- generation_config.json ------------------------------------------------------------------------------------------- */

static void hf_folder_add_id(json_t *list, int64_t id)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_integer_value(json_array_get(list, i)) == id) return;
    if (id >= 0) json_array_append_new(list, json_integer(id));
}

/* The ids that end generation: those that the base lists, its EOS, and every end-of-turn token of the vocabulary. A model
 * tuned on chats ends its turns with one that a base model's config does not list. */
static json_t *stop_ids(const struct model *m, const json_t *listed)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(listed); i++)
        hf_folder_add_id(list, json_integer_value(json_array_get(listed, i)));
    if (json_is_integer(listed)) hf_folder_add_id(list, json_integer_value(listed));
    hf_folder_add_id(list, m->config.eos);
    struct tokenizer *t = tokenizer_open(m->c, m->path);
    for (int64_t id = 0; t && id < tokenizer_vocab_size(t) && json_array_size(list) < MAX_STOPS; id++)
        if (tokenizer_is_stop(t, (int32_t)id)) hf_folder_add_id(list, id);
    if (!t) { /* a tokenizer that is not known here does not make the weights wrong */
        ctx_log(m->c, LOG_WARN, "stop tokens are those of the config only: %s", m->c->message);
        ctx_clear(m->c);
    }
    tokenizer_free(t);
    return list;
}

/* The base's own file with more stop ids; of a GGUF base, which has none, a new one. One id is written as a number, several
 * as a list, as transformers does. */
static enum status write_generation_config(const struct model *m, const char *dir)
{
    json_t *doc = weights_gguf(m->files) ? NULL : base_json(m, "generation_config.json");
    if (!ctx_ok(m->c)) return m->c->status;
    if (!doc) doc = json_object();
    json_t *stops = stop_ids(m, json_object_get(doc, "eos_token_id"));
    if (m->config.bos >= 0 && !json_object_get(doc, "bos_token_id"))
        json_object_set_new(doc, "bos_token_id", json_integer(m->config.bos));
    if (json_array_size(stops) == 1)
        json_object_set(doc, "eos_token_id", json_array_get(stops, 0));
    else if (json_array_size(stops) > 1)
        json_object_set(doc, "eos_token_id", stops);
    json_decref(stops);
    enum status status = hf_folder_write_json(m->c, dir, "generation_config.json", doc);
    json_decref(doc);
    return status;
}

/* ---- config.json ------------------------------------------------------------------------------------------------------ */

static json_t *hf_folder_make_config(const struct model *m)
{
    if (weights_gguf(m->files)) return hf_config_make(m);
    json_t *doc = base_json(m, "config.json");
    if (!doc && ctx_ok(m->c)) ctx_fail(m->c, E_IO, "%s: config.json is gone", m->path);
    if (doc) json_object_del(doc, "quantization"); /* MLX's; what is written here is not packed as the base was */
    if (doc) json_object_del(doc, "quantization_config");
    return doc;
}

/* Version 5 of transformers writes "dtype" and reads both; version 4 reads "torch_dtype". */
static void set_dtype(json_t *doc, enum tensor_type type)
{
    const char *name = type == TENSOR_BF16 ? "bfloat16" : type == TENSOR_F16 ? "float16" : "float32";
    const char *key = json_object_get(doc, "dtype") ? "dtype" : "torch_dtype";
    if (json_object_get(doc, "torch_dtype")) json_object_set_new(doc, "torch_dtype", json_string(name));
    json_object_set_new(doc, key, json_string(name));
}

enum status hf_folder_check(const struct model *m)
{
    json_t *doc = hf_folder_make_config(m);
    json_decref(doc);
    return m->c->status;
}

enum status hf_folder_write(const struct model *m, const char *dir, enum tensor_type type)
{
    TRY(hf_folder_write_tokenizer(m, dir));
    TRY(write_generation_config(m, dir));
    json_t *doc = hf_folder_make_config(m);
    if (!doc) return m->c->status;
    set_dtype(doc, type);
    enum status status = hf_folder_write_json(m->c, dir, "config.json", doc);
    json_decref(doc);
    return status;
}
