/* tokenizer_config: opens a tokenizer together with what lies beside it (tokenizer_open_with, which is how tokenizer.json
 * and SentencePiece's models are opened). What an earlier file says goes before what a later one says, in this order:
 *
 *   chat_template.jinja       the chat template, where newer versions of the reference (transformers) keep it
 *   tokenizer_config.json     special tokens, whether BOS and EOS are added, the chat template
 *   special_tokens_map.json   special tokens
 *   generation_config.json    ids of BOS and EOS, and the full list of tokens that end a generation
 *   config.json               the same ids, only without a generation_config.json, which the reference then makes out of it
 */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "io/tokenizer/tokenizer_internal.h"

enum { CONFIG_MAX_BYTES = 64 << 20, TEMPLATE_MAX_BYTES = 1 << 20 };

/* A special token is a string or an object with "content". NULL when it is neither. */
static const char *tokenizer_config_token_text(const json_t *v)
{
    return json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
}

/* E_INPUT, naming file and key, unless the value is missing, null or of the kind that is wanted. */
static enum status tokenizer_config_expect(struct ctx *c, const struct tokenizer *t, const char *file, const char *key,
                                           const json_t *v, bool fits, const char *wanted)
{
    if (!v || json_is_null(v) || fits) return OK;
    return ctx_fail(c, E_INPUT, "%s: %s of %s is not %s", t->name, key, file, wanted);
}

/* Whether o[key] is true or false is read into *out; what is missing leaves it. */
static enum status tokenizer_config_read_bool(struct ctx *c, const struct tokenizer *t, const json_t *o, const char *file,
                                              const char *key, bool *out)
{
    const json_t *v = json_object_get(o, key);
    TRY(tokenizer_config_expect(c, t, file, key, v, json_is_boolean(v), "true or false"));
    if (json_is_boolean(v)) *out = json_is_true(v);
    return OK;
}

/* A special token that a file names under `key`, unless an earlier file did (*out >= 0). E_INPUT for a text that is no
 * token, and for what is no text. */
static enum status tokenizer_config_read_token(struct ctx *c, struct tokenizer *t, const json_t *o, const char *file,
                                               const char *key, int32_t *out)
{
    const json_t *v = json_object_get(o, key);
    const char *text = tokenizer_config_token_text(v);
    TRY(tokenizer_config_expect(c, t, file, key, v, text != NULL, "a text, nor an object with a text as \"content\""));
    if (!text || *out >= 0) return OK;
    int32_t id = tokenizer_vocab_find(t, text, strlen(text));
    if (id < 0) return ctx_fail(c, E_INPUT, "%s: %s of %s is \"%.80s\", which is not a token", t->name, key, file, text);
    *out = id;
    return OK;
}

/* The template of a list that has this name, or NULL. */
static const char *find_template(const json_t *list, const char *wanted)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, wanted) == 0) return json_string_value(json_object_get(item, "template"));
    }
    return NULL;
}

/* The template is a string, or a list of named ones: "default", and "tool_use" where the conversation has tools. A
 * chat_template.jinja that was read before stands for all of them. */
static enum status tokenizer_config_read_template(struct ctx *c, struct tokenizer *t, const json_t *v)
{
    const char *source = json_is_string(v) ? json_string_value(v) : find_template(v, "default");
    const char *tools = find_template(v, "tool_use");
    TRY(tokenizer_config_expect(c, t, "tokenizer_config.json", "chat_template", v, json_is_string(v) || json_is_array(v),
                                "a text, nor a list of named ones"));
    if (t->chat_template) return OK;
    if (source) t->chat_template = mem_strdup(c, source);
    if (source && tools) t->tool_template = mem_strdup(c, tools);
    return c->status;
}

/* The tokens that a chat template is given by name. They are kept apart from t->bos and t->eos, which an encoder adds and
 * other files may set. One that is no token is passed over here: a template may never ask for it. */
static enum status tokenizer_config_read_named(struct ctx *c, struct tokenizer *t, const json_t *o, const char *file)
{
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "pad_token"}; /* by enum tokenizer_name */
    for (int i = 0; i < 4; i++) {
        const char *text = tokenizer_config_token_text(json_object_get(o, keys[i]));
        if (text && t->named[i] < 0 && tokenizer_vocab_find(t, text, strlen(text)) >= 0)
            TRY(tokenizer_config_read_token(c, t, o, file, keys[i], &t->named[i]));
    }
    return OK;
}

/* tokenizer_config.json. */
static enum status read_tokenizer_config(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    int32_t bos = -1; /* the config's word goes before the post-processor's */
    TRY(tokenizer_config_read_token(c, t, o, "tokenizer_config.json", "bos_token", &bos));
    if (bos >= 0) t->bos = bos;
    TRY(tokenizer_config_read_token(c, t, o, "tokenizer_config.json", "eos_token", &t->eos));
    TRY(tokenizer_config_read_named(c, t, o, "tokenizer_config.json"));
    TRY(tokenizer_config_read_bool(c, t, o, "tokenizer_config.json", "add_bos_token", &t->adds_bos));
    TRY(tokenizer_config_read_bool(c, t, o, "tokenizer_config.json", "add_eos_token", &t->adds_eos));
    return tokenizer_config_read_template(c, t, json_object_get(o, "chat_template"));
}

/* Only for what tokenizer_config.json left open. */
static enum status read_special_map(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    TRY(tokenizer_config_read_named(c, t, o, "special_tokens_map.json"));
    TRY(tokenizer_config_read_token(c, t, o, "special_tokens_map.json", "bos_token", &t->bos));
    return tokenizer_config_read_token(c, t, o, "special_tokens_map.json", "eos_token", &t->eos);
}

/* One id of eos_token_id: it ends a generation, and the first is EOS where nothing else said so. */
static enum status read_stop(struct ctx *c, struct tokenizer *t, const json_t *v)
{
    int32_t id;
    if (!json_is_integer(v))
        return ctx_fail(c, E_INPUT,
                        "%s: an eos_token_id beside it (generation_config.json, else config.json) is not an integer",
                        t->name);
    TRY(tokenizer_vocab_set_id(c, t, "eos_token_id of generation_config.json or config.json", json_integer_value(v), &id));
    t->tokens[id].flags |= TOKEN_STOP;
    if (t->eos < 0) t->eos = id;
    return OK;
}

/* generation_config.json, or config.json in its place. */
static enum status read_ids(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    const json_t *bos = json_object_get(o, "bos_token_id"), *eos = json_object_get(o, "eos_token_id");
    if (t->bos < 0 && json_is_integer(bos))
        TRY(tokenizer_vocab_set_id(c, t, "bos_token_id of generation_config.json or config.json", json_integer_value(bos),
                                   &t->bos));
    if (json_is_array(eos)) {
        for (size_t i = 0; i < json_array_size(eos); i++) TRY(read_stop(c, t, json_array_get(eos, i)));
        return OK;
    }
    return eos && !json_is_null(eos) ? read_stop(c, t, eos) : OK;
}

typedef enum status (*read_fn)(struct ctx *c, struct tokenizer *t, const json_t *o);

/* Reads dir/name when it is there. */
static enum status config_read_beside(struct ctx *c, struct tokenizer *t, const char *dir, const char *name, read_fn read,
                                      bool *found)
{
    char *path = path_join(c, dir, name);
    if (!path) return c->status;
    enum status st = OK;
    *found = file_exists(path);
    if (*found) {
        json_t *o = json_parse_file(c, path, CONFIG_MAX_BYTES);
        if (o && !json_is_object(o))
            st = ctx_fail(c, E_INPUT, "%s: this is no JSON object", path);
        else
            st = o ? read(c, t, o) : c->status;
        json_decref(o);
    }
    mem_free(c, path);
    return st;
}

/* chat_template.jinja, where newer versions of the reference keep the chat template. */
static enum status read_template_file(struct ctx *c, struct tokenizer *t, const char *dir)
{
    char *path = path_join(c, dir, "chat_template.jinja");
    if (!path) return c->status;
    size_t n;
    if (file_exists(path)) t->chat_template = file_read(c, path, TEMPLATE_MAX_BYTES, &n);
    mem_free(c, path);
    return c->status;
}

enum status tokenizer_config_read(struct ctx *c, struct tokenizer *t, const char *dir)
{
    bool found;
    TRY(read_template_file(c, t, dir));
    TRY(config_read_beside(c, t, dir, "tokenizer_config.json", read_tokenizer_config, &found));
    TRY(config_read_beside(c, t, dir, "special_tokens_map.json", read_special_map, &found));
    TRY(config_read_beside(c, t, dir, "generation_config.json", read_ids, &found));
    return found ? OK : config_read_beside(c, t, dir, "config.json", read_ids, &found);
}

struct tokenizer *tokenizer_open_with(struct ctx *c, const char *path, tokenizer_read_fn read)
{
    struct tokenizer *t = tokenizer_vocab_new(c, path);
    enum status st = t ? read(c, t, path) : c->status;
    if (st == OK) {
        const char *slash = strrchr(path, '/');
        /* "/a/b" lies in "/a", "/b" in "/", "b" in "." */
        char *dir = slash ? mem_strndup(c, path, (size_t)(slash - path) + (slash == path)) : mem_strdup(c, ".");
        st = dir ? tokenizer_config_read(c, t, dir) : c->status;
        mem_free(c, dir);
    }
    if (st == OK) {
        tokenizer_vocab_mark_stops(t);
        return t;
    }
    tokenizer_free(t);
    return NULL;
}
