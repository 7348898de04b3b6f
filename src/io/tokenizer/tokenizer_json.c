/* tokenizer.json of Hugging Face, as far as byte-level BPE goes. What is not understood is refused by name, never skipped: a
 * normaliser that is ignored gives ids that look right and are not.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "io/tokenizer/tokenizer_internal.h"

enum { JSON_MAX_BYTES = 512 << 20 };

static enum status unsupported(struct ctx *c, const struct tokenizer *t, const char *field, const char *value)
{
    return ctx_fail(c, E_UNSUPPORTED, "%s: %s \"%s\" is not supported (this program reads byte-level BPE)", t->name, field,
                    value);
}

/* The "type" of an object, or "" when it has none. */
static const char *type_of(const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return type ? type : "";
}

static bool is_true(const json_t *o, const char *key, bool absent)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : absent;
}

static enum status read_normalizer(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    if (!o || json_is_null(o)) return OK;
    if (strcmp(type_of(o), "NFC") == 0) {
        t->nfc = true;
        return OK;
    }
    const json_t *list = json_object_get(o, "normalizers");
    if (strcmp(type_of(o), "Sequence") != 0 || !json_is_array(list)) return unsupported(c, t, "normalizer", type_of(o));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (strcmp(type_of(item), "NFC") != 0) return unsupported(c, t, "normalizer", type_of(item));
        t->nfc = true;
    }
    return OK;
}

static enum status push_stage(struct ctx *c, struct tokenizer *t, enum pretokenizer_stage stage)
{
    if (t->pre.n == PRE_STAGES)
        return ctx_fail(c, E_UNSUPPORTED, "%s: pre_tokenizer has more than %d stages", t->name, PRE_STAGES);
    t->pre.stages[t->pre.n++] = stage;
    return OK;
}

/* Split: a known expression whose matches become pieces, either beside what lies between them ("Isolated") or, which is the
 * same for an expression that matches everything, as what is kept of it ("Removed", inverted). */
static enum status read_split(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    const char *pattern = json_string_value(json_object_get(json_object_get(o, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(o, "behavior"));
    enum pretokenizer_stage stage;
    if (!pattern || !pretokenizer_from_pattern(pattern, &stage))
        return unsupported(c, t, "pre_tokenizer Split pattern", pattern ? pattern : "");
    bool invert = is_true(o, "invert", false), whole = stage <= PRE_QWEN2;
    bool isolated = behavior && strcmp(behavior, "Isolated") == 0 && !invert;
    bool kept = behavior && strcmp(behavior, "Removed") == 0 && invert && whole;
    if (!isolated && !kept) return unsupported(c, t, "pre_tokenizer Split behavior", behavior ? behavior : "");
    return push_stage(c, t, stage);
}

static enum status read_pre_tokenizer(struct ctx *c, struct tokenizer *t, const json_t *o, bool last)
{
    const char *type = type_of(o);
    if (strcmp(type, "Split") == 0 && !last) return read_split(c, t, o);
    if (strcmp(type, "Digits") == 0 && !last)
        return push_stage(c, t, is_true(o, "individual_digits", false) ? PRE_DIGIT_EACH : PRE_DIGIT_RUN);
    if (strcmp(type, "ByteLevel") == 0 && last) {
        if (is_true(o, "add_prefix_space", true)) return unsupported(c, t, "pre_tokenizer ByteLevel", "add_prefix_space");
        return is_true(o, "use_regex", true) ? push_stage(c, t, PRE_GPT2) : OK;
    }
    return unsupported(c, t, last ? "last pre_tokenizer" : "pre_tokenizer", type);
}

static enum status read_pre_tokenizers(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    const json_t *list = json_object_get(o, "pretokenizers");
    if (strcmp(type_of(o), "Sequence") != 0 || !json_is_array(list)) return read_pre_tokenizer(c, t, o, true);
    size_t n = json_array_size(list);
    if (n == 0) return unsupported(c, t, "pre_tokenizer", "empty Sequence");
    for (size_t i = 0; i < n; i++) TRY(read_pre_tokenizer(c, t, json_array_get(list, i), i + 1 == n));
    return OK;
}

/* Flags of the model that would change the ids. */
static enum status check_model(struct ctx *c, struct tokenizer *t, const json_t *m)
{
    const json_t *type = json_object_get(m, "type");
    if (!json_is_object(m)) return ctx_fail(c, E_INPUT, "%s: no \"model\" object", t->name);
    if (type && strcmp(type_of(m), "BPE") != 0) return unsupported(c, t, "model type", type_of(m));
    if (!json_is_object(json_object_get(m, "vocab")))
        return ctx_fail(c, E_INPUT, "%s: model.vocab is not an object", t->name);
    if (!json_is_array(json_object_get(m, "merges"))) return ctx_fail(c, E_INPUT, "%s: model.merges is not a list", t->name);
    if (is_true(m, "byte_fallback", false)) return unsupported(c, t, "model", "byte_fallback");
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (int i = 0; i < 2; i++) {
        const char *value = json_string_value(json_object_get(m, affixes[i]));
        if (value && *value) return unsupported(c, t, affixes[i], value);
    }
    const json_t *dropout = json_object_get(m, "dropout");
    if (json_is_number(dropout) && json_number_value(dropout) != 0) return unsupported(c, t, "model", "dropout");
    return OK;
}

/* The id of a vocabulary entry or added token, in [0, 2^31). */
static enum status read_id(struct ctx *c, const struct tokenizer *t, const json_t *v, const char *token, int64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
        return ctx_fail(c, E_INPUT, "%s: the id of token \"%.80s\" is not an integer in [0, 2147483647]", t->name, token);
    *out = json_integer_value(v);
    return OK;
}

/* Looks over vocabulary and added tokens for the sizes that the table needs. */
static enum status reserve(struct ctx *c, struct tokenizer *t, json_t *vocab, const json_t *added)
{
    int64_t max_id = -1, id;
    size_t bytes = 0;
    const char *text;
    json_t *v;
    json_object_foreach(vocab, text, v)
    {
        TRY(read_id(c, t, v, text, &id));
        if (id > max_id) max_id = id;
        bytes += strlen(text);
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *o = json_array_get(added, i);
        text = json_string_value(json_object_get(o, "content"));
        if (!text) return ctx_fail(c, E_INPUT, "%s: added_tokens[%zu] has no content", t->name, i);
        TRY(read_id(c, t, json_object_get(o, "id"), text, &id));
        if (id > max_id) max_id = id;
        bytes += strlen(text);
    }
    TRY(tokenizer_added_reserve(c, t, json_array_size(added)));
    return tokenizer_vocab_reserve(c, t, max_id, json_object_size(vocab) + json_array_size(added), bytes);
}

/* An added token may repeat one of the vocabulary (then with its id) or bring a new one. */
static enum status read_added(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    const char *text = json_string_value(json_object_get(o, "content"));
    int64_t id = json_integer_value(json_object_get(o, "id"));
    bool special = is_true(o, "special", false);
    int32_t known = tokenizer_vocab_find(t, text, strlen(text));
    if (known < 0) {
        TRY(tokenizer_vocab_add(c, t, id, text, strlen(text), 0));
    } else if (known != id || (t->tokens[known].flags & TOKEN_ADDED)) {
        return ctx_fail(c, E_INPUT, "%s: added token \"%.80s\" has id %lld but is already token %d", t->name, text,
                        (long long)id, known);
    }
    struct added a = {.id = (int32_t)id,
                      .lstrip = is_true(o, "lstrip", false),
                      .rstrip = is_true(o, "rstrip", false),
                      .single_word = is_true(o, "single_word", false),
                      .normalized = is_true(o, "normalized", !special)};
    tokenizer_added_add(t, &a, special);
    return OK;
}

static enum status read_vocab(struct ctx *c, struct tokenizer *t, json_t *vocab, const json_t *added)
{
    const char *text;
    json_t *v;
    TRY(reserve(c, t, vocab, added));
    json_object_foreach(vocab, text, v) TRY(tokenizer_vocab_add(c, t, json_integer_value(v), text, strlen(text), 0));
    for (size_t i = 0; i < json_array_size(added); i++) TRY(read_added(c, t, json_array_get(added, i)));
    return OK;
}

/* A merge is "left right" or ["left", "right"]. */
static enum status read_merges(struct ctx *c, struct tokenizer *t, const json_t *merges)
{
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *v = json_array_get(merges, i);
        const json_t *left = json_array_get(v, 0), *right = json_array_get(v, 1);
        if (json_is_string(v))
            TRY(tokenizer_vocab_merge_line(c, t, i, json_string_value(v), json_string_length(v)));
        else if (json_array_size(v) == 2 && json_is_string(left) && json_is_string(right))
            TRY(tokenizer_vocab_merge(c, t, i, json_string_value(left), json_string_length(left), json_string_value(right),
                                      json_string_length(right)));
        else
            return ctx_fail(c, E_INPUT, "%s: merge %zu is neither a string nor a pair of strings", t->name, i);
    }
    return OK;
}

static enum status read_unknown(struct ctx *c, struct tokenizer *t, const json_t *model)
{
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));
    if (!unknown || !*unknown) return OK;
    int32_t id = tokenizer_vocab_find(t, unknown, strlen(unknown));
    if (id < 0) return ctx_fail(c, E_INPUT, "%s: unk_token \"%.80s\" is not in the vocabulary", t->name, unknown);
    t->bpe.unknown_id = id;
    t->bpe.fuse_unknown = is_true(model, "fuse_unk", false);
    return OK;
}

/* The template of a post-processor: which tokens it puts before a text. One is a BOS; the rest of the template (EOS, second
 * texts) is the business of whoever lays out documents. */
static enum status read_template(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    const json_t *first = json_array_get(json_object_get(o, "single"), 0);
    const char *name = json_string_value(json_object_get(json_object_get(first, "SpecialToken"), "id"));
    if (!name) return OK;
    if (json_object_get(json_array_get(json_object_get(o, "single"), 1), "SpecialToken"))
        return unsupported(c, t, "post_processor", "more than one token before a text");
    const json_t *ids = json_object_get(json_object_get(json_object_get(o, "special_tokens"), name), "ids");
    const json_t *id = json_array_get(ids, 0);
    if (json_array_size(ids) != 1 || !json_is_integer(id))
        return ctx_fail(c, E_INPUT, "%s: post_processor token \"%.80s\" does not have one id", t->name, name);
    t->adds_bos = true;
    return tokenizer_vocab_set_id(c, t, "the post_processor's first token", json_integer_value(id), &t->bos);
}

static enum status read_post_processor(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    if (!o || json_is_null(o) || strcmp(type_of(o), "ByteLevel") == 0) return OK;
    if (strcmp(type_of(o), "TemplateProcessing") == 0) return read_template(c, t, o);
    const json_t *list = json_object_get(o, "processors");
    if (strcmp(type_of(o), "Sequence") != 0 || !json_is_array(list)) return unsupported(c, t, "post_processor", type_of(o));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (strcmp(type_of(item), "TemplateProcessing") == 0)
            TRY(read_template(c, t, item));
        else if (strcmp(type_of(item), "ByteLevel") != 0)
            return unsupported(c, t, "post_processor", type_of(item));
    }
    return OK;
}

static enum status read_document(struct ctx *c, struct tokenizer *t, const json_t *doc)
{
    const json_t *model = json_object_get(doc, "model"), *added = json_object_get(doc, "added_tokens");
    const json_t *decoder = json_object_get(doc, "decoder");
    TRY(check_model(c, t, model));
    if (added && !json_is_null(added) && !json_is_array(added))
        return ctx_fail(c, E_INPUT, "%s: added_tokens is not a list", t->name);
    TRY(read_normalizer(c, t, json_object_get(doc, "normalizer")));
    TRY(read_pre_tokenizers(c, t, json_object_get(doc, "pre_tokenizer")));
    if (json_is_object(decoder) && strcmp(type_of(decoder), "ByteLevel") != 0)
        return unsupported(c, t, "decoder", type_of(decoder));
    TRY(read_vocab(c, t, json_object_get(model, "vocab"), added));
    TRY(read_unknown(c, t, model));
    TRY(tokenizer_vocab_finish(c, t, is_true(model, "ignore_merges", false)));
    TRY(read_merges(c, t, json_object_get(model, "merges")));
    TRY(tokenizer_added_finish(c, t));
    return read_post_processor(c, t, json_object_get(doc, "post_processor"));
}

struct tokenizer *tokenizer_open_json(struct ctx *c, const char *path)
{
    json_t *doc = json_parse_file(c, path, JSON_MAX_BYTES);
    if (!doc) return NULL;
    struct tokenizer *t = tokenizer_vocab_new(c, path);
    enum status st = t ? read_document(c, t, doc) : c->status;
    json_decref(doc);
    if (st == OK) {
        const char *slash = strrchr(path, '/');
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
