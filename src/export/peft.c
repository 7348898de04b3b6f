/* peft: see peft.h. The card begins with the YAML head that hubs read. */
#include "export/peft.h"

#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash_cache.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/gguf_set.h"
#include "io/json.h"
#include "model/model_norms.h"

enum { CARD_MAX_BYTES = 1 << 20 };

static enum status append_hash(struct ctx *c, struct buf *b, const char *path, const char *name)
{
    char hex[65];
    uint64_t bytes;
    TRY(hash_cache_sha256(c, path, hex, &bytes));
    buf_printf(b, "| `%s` | %llu | `%s` |\n", name, (unsigned long long)bytes, hex);
    return c->status;
}

enum status peft_weight_files(const struct model *m, char ***paths, size_t *n)
{
    struct ctx *c = m->c;
    char **names = NULL;
    size_t n_names = 0;
    if (!dir_exists(m->path)) return gguf_set_paths(c, m->path, paths, n);
    *n = 0;
    *paths = NULL;
    TRY(dir_list(c, m->path, &names, &n_names));
    *paths = mem_alloc(c, n_names + 1, sizeof **paths);
    for (size_t i = 0; *paths && i < n_names; i++)
        if (str_has_suffix(names[i], ".safetensors")) (*paths)[(*n)++] = path_join(c, m->path, names[i]);
    dir_list_free(c, names, n_names);
    if (ctx_ok(c)) return OK;
    dir_list_free(c, *paths, *n);
    *paths = NULL;
    *n = 0;
    return c->status;
}

/* A row for each weight file of the base. */
static enum status append_hashes(const struct model *m, struct buf *b)
{
    struct ctx *c = m->c;
    char **paths;
    size_t n;
    buf_append_str(b, "| file | bytes | SHA-256 |\n|---|---|---|\n");
    TRY(peft_weight_files(m, &paths, &n));
    for (size_t i = 0; i < n && ctx_ok(c); i++) {
        const char *slash = strrchr(paths[i], '/');
        append_hash(c, b, paths[i], slash ? slash + 1 : paths[i]);
    }
    dir_list_free(c, paths, n);
    return c->status;
}

/* The fingerprint that other forms of the base share. */
static enum status append_norms(struct model *m, struct buf *b)
{
    char norms[MODEL_NORMS_BYTES];
    TRY(model_norms_print(m, norms));
    if (*norms) buf_printf(b, "\n" PEFT_NORMS_START "%s`\n", norms);
    return m->c->status;
}

/* In what form the base was while this adapter was trained, when it was not the file's. */
static void append_base(const struct model *m, struct buf *b)
{
    static const char *const form[BASE_TYPES] = {
        [BASE_NF4] = "the linear layers of the blocks were in NF4 (4 bits, blocks of 64)",
        [BASE_INT8] = "the linear layers and the head were in int8 (one scale a row)",
    };
    const char *options = model_options_text(&m->options);
    if (!form[m->options.base]) return;
    buf_printf(b, "While training, %s, made from these weights", form[m->options.base]);
    if (m->options.compute != COMPUTE_F32)
        buf_printf(b, ", and products with them were computed in %s (%s)",
                   compute_is_integer(m->options.compute) ? "integers" : "bf16", compute_name[m->options.compute]);
    buf_printf(b, "; the adapter fits the same form best (`%.*s`).\n\n", (int)strlen(options) - 1, options);
}

/* The card; `name` is what it calls the base. made_of and `run`, the folder of the training, may be NULL. */
static enum status write_card(struct model *m, const struct lora *l, const char *dir, const char *name, const char *made_of,
                              const char *run)
{
    struct ctx *c = m->c;
    struct buf b;
    buf_init(&b, c, CARD_MAX_BYTES);
    buf_append_str(&b, "---\nbase_model: ");
    json_append_string(&b, name, strlen(name)); /* a JSON string is a YAML string */
    buf_append_str(&b, "\nlibrary_name: peft\ntags:\n- lora\n- your_ai\n---\n\n# LoRA adapter\n\n");
    buf_printf(
        &b,
        "Rank %lld, alpha %g, dropout %g%s; %zu modules, %lld parameters. Load it with PEFT on the base model below.\n\n",
        (long long)l->config.rank, l->config.alpha, l->config.dropout, l->config.rslora ? ", rsLoRA" : "", l->n_modules,
        (long long)lora_parameter_count(l));
    append_base(m, &b);
    if (made_of) buf_append_str(&b, made_of);
    buf_append_str(&b, "Trained on exactly these weights:\n\n");
    char *path = path_join(c, dir, "README.md");
    if (path && append_hashes(m, &b) == OK && append_norms(m, &b) == OK && run) peft_append_run(c, run, &b);
    if (ctx_ok(c) && buf_ok(&b)) file_write_atomic(c, path, buf_str(&b), b.len);
    mem_free(c, path);
    buf_release(&b);
    return c->status;
}

enum status peft_write_card(struct model *m, const struct lora *l, const char *dir)
{
    return write_card(m, l, dir, m->name, NULL, NULL);
}

enum status peft_write_export_card(struct model *m, const struct lora *l, const char *dir, const char *name,
                                   const char *made_of, const char *run)
{
    return write_card(m, l, dir, name, made_of, run);
}

enum status peft_write_run_card(struct model *m, const struct lora *l, const char *run)
{
    char *dir = path_join(m->c, run, "adapter");
    if (dir) peft_write_card(m, l, dir);
    mem_free(m->c, dir);
    return m->c->status;
}
