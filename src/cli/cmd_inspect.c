/* cmd_inspect: what is in a file or folder. It opens it with the same readers that training uses, so a file that inspects
 * well is a file that loads, and a bad one gives the reader's message and exit code. */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/inspect_page.h"
#include "cli/inspect_run.h"
#include "io/template/chat_template.h"
#include "io/gguf.h"
#include "io/hub_cache.h"
#include "io/safetensors.h"
#include "io/tokenizer/tokenizer.h"
#include "train/checkpoint.h"

struct inspect_values {
    bool json;
};

static const struct option_spec specs[] = {
    FLAG_ROW(struct inspect_values, json, "json", 0, "false", "Output", "print one JSON document instead of tables"),
};

static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

enum { JSON_CAP_BYTES = 16 << 20, MAX_OPEN = 3, SHORT_ARRAY = 16 };

/* What is open while the page is collected and printed. */
struct inspection {
    struct ctx *c;
    bool json;
    struct inspect_page page;
    struct gguf *gguf;
    struct safetensors *files[MAX_OPEN];
    int n_files;
    struct tokenizer *tokenizer;
    struct run_read *run; /* the folder is that of a run */
};

/* ---- tensors ---- */

static const struct tensor_view *gguf_at(const void *g, size_t i)
{
    return gguf_tensor(g, i);
}

static const struct tensor_view *safetensors_at(const void *s, size_t i)
{
    return safetensors_tensor(s, i);
}

/* Takes over an opened set (NULL: opening failed) and lists its tensors and metadata. */
static enum status add_safetensors(struct inspection *x, struct safetensors *s, const char *title)
{
    const char *value;
    if (!s) return x->c->status;
    x->files[x->n_files++] = s;
    for (size_t i = 0; i < safetensors_metadata_count(s); i++) {
        const char *key = safetensors_metadata_at(s, i, &value);
        char *name = mem_printf(x->c, "%s%smetadata.%s", title, title[0] ? ": " : "", key);
        if (name) inspect_page_string(&x->page, name, value, strlen(value));
        mem_free(x->c, name);
    }
    x->page.lists[x->page.n_lists++] = (struct inspect_tensors){title, safetensors_count(s), safetensors_at, s};
    return x->c->status;
}

/* One safetensors file of the folder. */
static enum status add_file_in(struct inspection *x, const char *dir, const char *name)
{
    char *path = path_join(x->c, dir, name);
    if (path) add_safetensors(x, safetensors_open(x->c, path), name);
    mem_free(x->c, path);
    return x->c->status;
}

/* ---- JSON files of a folder ---- */

/* Every member of the file's object becomes a fact, its name behind `prefix`; nested ones are shown as they are. */
static enum status add_json_in(struct inspection *x, const char *dir, const char *name, const char *prefix)
{
    const char *key;
    json_t *value, *doc = NULL;
    char *path = path_join(x->c, dir, name);
    if (path) doc = json_parse_file(x->c, path, JSON_CAP_BYTES);
    if (doc && !json_is_object(doc)) ctx_fail(x->c, E_INPUT, "%s: is not a JSON object", path);
    json_object_foreach(doc, key, value)
    {
        char *fact = mem_printf(x->c, "%s%s", prefix, key);
        if (fact) inspect_page_json(&x->page, fact, value);
        mem_free(x->c, fact);
    }
    json_decref(doc);
    mem_free(x->c, path);
    return x->c->status;
}

/* Whether the folder has a file of this name. */
static bool inspect_has_file(struct ctx *c, const char *dir, const char *name)
{
    char *path = path_join(c, dir, name);
    bool there = path && file_exists(path);
    mem_free(c, path);
    return there;
}

/* ---- GGUF ---- */

static const char *inspect_kind_name(enum gguf_kind kind)
{
    static const char *const names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
    return names[kind];
}

/* Element i of a GGUF array, as JSON. */
static void append_item(struct buf *b, const struct gguf_value *v, uint64_t i)
{
    switch (v->item_kind) {
    case GGUF_STRING:
        json_append_string(b, gguf_array_string(v, i).data, gguf_array_string(v, i).n);
        return;
    case GGUF_BOOL:
        buf_append_str(b, ((const uint8_t *)v->data)[i] ? "true" : "false");
        return;
    case GGUF_F32:
    case GGUF_F64:
        json_append_f64(b, gguf_array_f64(v, i));
        return;
    default:
        buf_printf(b, "%lld", (long long)gguf_array_i64(v, i));
        return;
    }
}

/* Short arrays in full, vocabularies as a count. */
static void add_array(struct inspect_page *page, const struct gguf_value *v)
{
    struct buf b;
    buf_init(&b, page->c, JSON_CAP_BYTES);
    if (v->n > SHORT_ARRAY) {
        buf_printf(&b, "{\"items\":%llu,\"of\":\"%s\"}", (unsigned long long)v->n, inspect_kind_name(v->item_kind));
    } else {
        buf_append_char(&b, '[');
        for (uint64_t i = 0; i < v->n; i++) {
            if (i) buf_append_char(&b, ',');
            append_item(&b, v, i);
        }
        buf_append_char(&b, ']');
    }
    if (buf_ok(&b)) inspect_page_literal(page, v->key, buf_str(&b));
    buf_release(&b);
}

/* One key of a GGUF file as a fact. */
static void add_value(struct inspect_page *page, const struct gguf *g, const struct gguf_value *v)
{
    double f = 0;
    bool b = false;
    struct gguf_value one = *v; /* a scalar reads as an array of one item; u64 beyond 2^63 saturates */
    one.kind = GGUF_ARRAY;
    switch (v->kind) {
    case GGUF_ARRAY:
        add_array(page, v);
        return;
    case GGUF_STRING:
        inspect_page_string(page, v->key, v->data, (size_t)v->n);
        return;
    case GGUF_BOOL:
        gguf_get_bool(page->c, g, v->key, &b);
        inspect_page_literal(page, v->key, b ? "true" : "false");
        return;
    case GGUF_F32:
    case GGUF_F64:
        gguf_get_f64(page->c, g, v->key, &f);
        inspect_page_f64(page, v->key, f);
        return;
    default:
        inspect_page_i64(page, v->key, gguf_array_i64(&one, 0));
        return;
    }
}

/* Version, keys and tensors of a GGUF file. */
static enum status inspect_gguf(struct inspection *x, const char *path)
{
    x->gguf = gguf_open(x->c, path);
    if (!x->gguf) return x->c->status;
    x->page.kind = gguf_version(x->gguf) == 2 ? "GGUF v2" : "GGUF v3";
    for (size_t i = 0; i < gguf_value_count(x->gguf); i++) add_value(&x->page, x->gguf, gguf_value(x->gguf, i));
    x->page.lists[x->page.n_lists++] = (struct inspect_tensors){"", gguf_tensor_count(x->gguf), gguf_at, x->gguf};
    return x->c->status;
}

/* ---- tokenizer ---- */

/* A special token as its text and id. */
static void inspect_add_token(struct inspection *x, const char *name, int32_t id)
{
    const char *text = id >= 0 ? tokenizer_token(x->tokenizer, id) : NULL;
    if (!text) {
        inspect_page_literal(&x->page, name, "null");
        return;
    }
    struct buf b;
    buf_init(&b, x->c, JSON_CAP_BYTES);
    buf_printf(&b, "{\"id\":%d,\"text\":", id);
    json_append_string(&b, text, strlen(text));
    buf_append_char(&b, '}');
    if (buf_ok(&b)) inspect_page_literal(&x->page, name, buf_str(&b));
    buf_release(&b);
}

/* "supported", "none", or why the template cannot be run, into `text`. */
static const char *template_state(struct inspection *x, char text[CTX_MESSAGE_BYTES])
{
    if (!tokenizer_chat_template(x->tokenizer)) return "none";
    struct chat_template *ct = chat_template_open(x->c, x->tokenizer, CHAT_OWN, NULL);
    bool fine = ct != NULL;
    chat_template_close(ct);
    if (fine || (x->c->status != E_UNSUPPORTED && x->c->status != E_INPUT)) return "supported";
    snprintf(text, CTX_MESSAGE_BYTES, "%s", x->c->message);
    ctx_clear(x->c);
    return text;
}

/* Size, special tokens and chat template. A tokenizer that this program cannot read fails the whole page. */
static enum status add_tokenizer(struct inspection *x, const char *path)
{
    x->tokenizer = tokenizer_open_json(x->c, path);
    if (!x->tokenizer) return x->c->status;
    int64_t n = tokenizer_vocab_size(x->tokenizer), special = 0;
    for (int64_t id = 0; id < n; id++) special += tokenizer_is_special(x->tokenizer, (int32_t)id);
    char text[CTX_MESSAGE_BYTES];
    const char *chat = template_state(x, text);
    inspect_page_i64(&x->page, "tokenizer.vocab_size", n);
    inspect_page_i64(&x->page, "tokenizer.special_tokens", special);
    inspect_add_token(x, "tokenizer.bos", tokenizer_bos(x->tokenizer));
    inspect_add_token(x, "tokenizer.eos", tokenizer_eos(x->tokenizer));
    inspect_page_literal(&x->page, "tokenizer.adds_bos", tokenizer_adds_bos(x->tokenizer) ? "true" : "false");
    inspect_page_string(&x->page, "tokenizer.chat_template", chat, strlen(chat));
    return x->c->status;
}

/* ---- folders ---- */

/* A Hugging Face folder: config.json, tensors, tokenizer. */
static enum status inspect_model(struct inspection *x, const char *dir)
{
    x->page.kind = "model folder";
    TRY(add_json_in(x, dir, "config.json", ""));
    TRY(add_safetensors(x, safetensors_open_dir(x->c, dir), ""));
    if (!inspect_has_file(x->c, dir, "tokenizer.json")) return x->c->status;
    char *path = path_join(x->c, dir, "tokenizer.json");
    if (path) add_tokenizer(x, path);
    mem_free(x->c, path);
    return x->c->status;
}

/* A checkpoint of a run: its state, adapter and moments. */
static enum status inspect_checkpoint(struct inspection *x, const char *dir)
{
    x->page.kind = "checkpoint";
    TRY(checkpoint_verify(x->c, dir));
    inspect_page_literal(&x->page, "manifest", "\"every file has the size and SHA-256 that it lists\"");
    TRY(add_json_in(x, dir, "state.json", "state."));
    TRY(add_json_in(x, dir, "adapter_config.json", "adapter."));
    TRY(add_file_in(x, dir, "adapter_model.safetensors"));
    return add_file_in(x, dir, "adapter_optimizer.safetensors");
}

/* A PEFT adapter: its configuration and tensors. */
static enum status inspect_adapter(struct inspection *x, const char *dir)
{
    x->page.kind = "PEFT adapter";
    TRY(add_json_in(x, dir, "adapter_config.json", ""));
    return add_file_in(x, dir, "adapter_model.safetensors");
}

/* Facts of a run; what stands below them is printed after the page. */
static enum status inspect_training(struct inspection *x, const char *dir)
{
    x->run = mem_alloc(x->c, 1, sizeof *x->run);
    if (!x->run) return x->c->status;
    TRY(run_read_open(x->c, dir, system_program(), x->run));
    return inspect_run_fill(&x->page, x->run, x->json);
}

/* Which kind of folder it is shows in the names of its files. */
static enum status inspect_folder(struct inspection *x, const char *dir)
{
    if (inspect_has_file(x->c, dir, "state.json") || inspect_has_file(x->c, dir, "manifest.json"))
        return inspect_checkpoint(x, dir);
    if (inspect_has_file(x->c, dir, "adapter_config.json")) return inspect_adapter(x, dir);
    if (run_is_run(x->c, dir)) return inspect_training(x, dir);
    if (inspect_has_file(x->c, dir, "config.json")) return inspect_model(x, dir);
    TRY(x->c->status);
    return ctx_fail(x->c, E_INPUT,
                    "%s: neither a model folder (config.json), nor an adapter (adapter_config.json), nor a checkpoint "
                    "(state.json, manifest.json), nor a run (config.json, data_manifest.json)",
                    dir);
}

/* ---- the command ---- */

/* A file is known by its first bytes: GGUF by its magic, tokenizer.json by its brace, safetensors by what is left. */
static enum status inspect_file(struct inspection *x, const char *path)
{
    struct file_map *map = file_map_open(x->c, path);
    if (!map) return x->c->status;
    const uint8_t *p = file_map_data(map);
    size_t n = file_map_size(map);
    bool gguf = n >= 4 && memcmp(p, "GGUF", 4) == 0;
    /* A safetensors file begins with the length of its header in 8 bytes, of which the last is 0; text has no zero bytes. */
    bool text = n > 0 && memchr("{ \t\r\n", p[0], 5) && (n < 8 || p[7] != 0);
    file_map_close(map);
    if (gguf) return inspect_gguf(x, path);
    x->page.kind = text ? "tokenizer" : "safetensors";
    return text ? add_tokenizer(x, path) : add_safetensors(x, safetensors_open(x->c, path), "");
}

static enum status cmd_inspect_run(const struct command_call *call)
{
    const struct inspect_values *v = call->values;
    char *path = hub_cache_resolve(call->c, call->parse->operands[0]);
    struct inspection x = {.c = call->c, .json = v->json};
    if (!path) return call->c->status;
    inspect_page_init(&x.page, call->c, path);
    enum status status = dir_exists(path) ? inspect_folder(&x, path) : inspect_file(&x, path);
    if (status == OK) status = inspect_page_print(&x.page, v->json);
    if (status == OK && x.run && !v->json) status = inspect_run_print(x.run);
    inspect_page_release(&x.page);
    if (x.run) run_read_release(x.run);
    mem_free(x.c, x.run);
    gguf_close(x.gguf);
    for (int i = 0; i < x.n_files; i++) safetensors_close(x.files[i]);
    tokenizer_free(x.tokenizer);
    mem_free(x.c, path);
    return status;
}

const struct command command_inspect = {
    .name = "inspect",
    .summary = "shows how a run went, or what is in a model, adapter, checkpoint or tokenizer",
    .usage = "FILE [--json]",
    .about =
        "FILE is the folder of a run (what it was started with, how it went, what to do next), a .safetensors, .gguf or\n"
        "tokenizer.json file, a folder (a model, a PEFT adapter or a checkpoint of a run), or owner/name, the name of a "
        "model\n"
        "in the local Hugging Face cache. The files are validated as training validates them, and those of a checkpoint "
        "are\n"
        "compared with the sizes and digests in its manifest.",
    .table = &table,
    .values_bytes = sizeof(struct inspect_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = cmd_inspect_run,
};
