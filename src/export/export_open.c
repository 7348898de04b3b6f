/* export_open: which adapter and which model a command line means. */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/shell_word.h"
#include "export/export.h"
#include "export/peft.h"
#include "io/hub_cache.h"
#include "io/json.h"

enum { CONFIG_MAX_BYTES = 4 << 20 };

static bool has_file(struct ctx *c, const char *dir, const char *name)
{
    char *path = path_join(c, dir, name);
    bool there = path && file_exists(path);
    mem_free(c, path);
    return there;
}

/* A folder that training writes has both; a model's folder has the first only. */
static bool is_run(struct ctx *c, const char *dir)
{
    return has_file(c, dir, "config.json") && has_file(c, dir, "data_manifest.json");
}

static bool is_adapter(struct ctx *c, const char *dir)
{
    return has_file(c, dir, "adapter_config.json");
}

/* A text member of a JSON file of a folder; NULL: the file or the member is not there. Owner: the caller. */
static char *member_of(struct ctx *c, const char *dir, const char *file, const char *key)
{
    char *path = path_join(c, dir, file);
    json_t *doc = path && file_exists(path) ? json_parse_file(c, path, CONFIG_MAX_BYTES) : NULL;
    const char *text = json_string_value(json_object_get(doc, key));
    char *copy = text ? mem_strdup(c, text) : NULL;
    json_decref(doc);
    mem_free(c, path);
    return copy;
}

/* The run that an adapter's folder lies in: RUN/adapter or RUN/checkpoints/step-000100. */
static void find_run(struct export_source *s)
{
    static const char *const up[] = {"..", "../.."};
    for (int i = 0; i < 2 && !s->run && ctx_ok(s->c); i++) {
        char *dir = path_join(s->c, s->adapter, up[i]);
        if (dir && is_run(s->c, dir)) {
            s->run = dir;
        } else {
            mem_free(s->c, dir);
        }
    }
}

static enum status find_adapter(struct export_source *s, const char *operand)
{
    struct ctx *c = s->c;
    char *path = hub_cache_resolve(c, operand);
    if (!path) return c->status;
    if (is_run(c, path)) {
        s->run = path;
        s->adapter = path_join(c, path, "adapter");
        if (!s->adapter || is_adapter(c, s->adapter)) return c->status;
        char *word = shell_word_new(c, path);
        if (!word) return c->status;
        ctx_fail(c, E_INPUT,
                 "%s: has no finished adapter yet. Export a checkpoint (%s/checkpoints/step-...), or finish the run: "
                 "your_ai resume %s",
                 path, path, word);
        mem_free(c, word);
        return c->status;
    }
    s->adapter = path;
    if (file_exists(path)) return OK;
    if (is_adapter(c, path)) find_run(s);
    if (is_adapter(c, path) || !ctx_ok(c)) return c->status;
    return ctx_fail(c, E_INPUT,
                    "%s: is neither a run nor an adapter. To export a model without an adapter, name it with -m only", path);
}

/* The model that -m, the run or the adapter names. */
static enum status find_model(struct export_source *s, const char *model)
{
    char *name = model ? mem_strdup(s->c, model) : NULL;
    if (!name && ctx_ok(s->c) && s->run) name = member_of(s->c, s->run, "config.json", "model");
    if (!name && ctx_ok(s->c) && s->adapter && dir_exists(s->adapter))
        name = member_of(s->c, s->adapter, "adapter_config.json", "base_model_name_or_path");
    if (name) s->model_path = hub_cache_resolve(s->c, name);
    mem_free(s->c, name);
    if (s->model_path || !ctx_ok(s->c)) return s->c->status;
    if (!s->adapter) return ctx_fail(s->c, E_INPUT, "nothing to export: name a run or an adapter, or a model with -m");
    return ctx_fail(s->c, E_INPUT, "%s: does not say which model it belongs to; name it with -m MODEL", s->adapter);
}

/* The adapter at s->adapter, held against model and tokenizer. */
static enum status open_lora(struct export_source *s, bool force)
{
    s->lora = lora_load(s->c, &s->model->config, s->adapter);
    if (!s->lora) return s->c->status;
    TRY(peft_check_base(s->model, s->adapter, true, force));
    return s->tokenizer ? peft_check_tokenizer(s->c, s->tokenizer, s->adapter) : OK;
}

static enum status open_all(struct export_source *s, bool force)
{
    struct ctx *c = s->c;
    s->model = model_open(c, s->model_path);
    if (!s->model) return c->status;
    s->tokenizer = tokenizer_open(c, s->model_path);
    if (!s->tokenizer) { /* weights can be right without it; what needs it says so */
        if (c->status != E_INPUT && c->status != E_UNSUPPORTED && c->status != E_IO) return c->status;
        ctx_log(c, LOG_WARN, "the tokenizer cannot be read: %s", c->message);
        ctx_clear(c);
    }
    if (!s->adapter) return OK;
    open_lora(s, force);
    if (s->lora) model_attach_lora(s->model, s->lora);
    return c->status;
}

enum status export_open_with(struct export_source *s, struct ctx *c, const char *operand, const char *model, bool force)
{
    *s = (struct export_source){.c = c};
    if (operand) TRY(find_adapter(s, operand));
    TRY(find_model(s, model));
    return open_all(s, force);
}

struct lora *export_open_adapter(struct export_source *s, const char *operand, bool force, char **path)
{
    struct export_source one = {.c = s->c, .model = s->model, .tokenizer = s->tokenizer};
    *path = NULL;
    if (find_adapter(&one, operand) == OK && open_lora(&one, force) == OK) {
        *path = one.adapter;
        one.adapter = NULL;
    } else {
        lora_free(one.lora);
        one.lora = NULL;
    }
    mem_free(s->c, one.run);
    mem_free(s->c, one.adapter);
    return one.lora;
}

void export_close(struct export_source *s)
{
    if (s->model) model_attach_lora(s->model, NULL);
    lora_free(s->lora);
    tokenizer_free(s->tokenizer);
    model_free(s->model);
    mem_free(s->c, s->run);
    mem_free(s->c, s->adapter);
    mem_free(s->c, s->model_path);
    mem_free(s->c, s->made_of);
    *s = (struct export_source){.c = s->c};
}
