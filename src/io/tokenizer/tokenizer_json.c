/* tokenizer_json: tokenizer.json of Hugging Face, as far as its BPE model goes: vocabulary, merges, added tokens and the
 * tokens that frame a text; tokenizer_text.c reads what is done to the text before. What is not understood is refused by
 * name, never skipped: a normaliser that is ignored gives ids that look right and are not.
 */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "io/tokenizer/tokenizer_internal.h"

enum { JSON_MAX_BYTES = 512 << 20 };

/* Flags of the model that would change the ids. */
static enum status json_check_model(struct ctx *c, struct tokenizer *t, const json_t *m)
{
    const json_t *type = json_object_get(m, "type");
    if (!json_is_object(m)) return ctx_fail(c, E_INPUT, "%s: no \"model\" object", t->name);
    if (type && strcmp(tokenizer_member_type(m), "BPE") != 0)
        return tokenizer_refuse(c, t, "model type", tokenizer_member_type(m));
    if (!json_is_object(json_object_get(m, "vocab")))
        return ctx_fail(c, E_INPUT, "%s: model.vocab is not an object", t->name);
    if (!json_is_array(json_object_get(m, "merges"))) return ctx_fail(c, E_INPUT, "%s: model.merges is not a list", t->name);
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (int i = 0; i < 2; i++) {
        const char *value = json_string_value(json_object_get(m, affixes[i]));
        if (value && *value) return tokenizer_refuse(c, t, affixes[i], value);
    }
    const json_t *dropout = json_object_get(m, "dropout");
    if (json_is_number(dropout) && json_number_value(dropout) != 0) return tokenizer_refuse(c, t, "model", "dropout");
    return OK;
}

/* The id of a vocabulary entry or added token, in [0, 2^31). */
static enum status tokenizer_json_read_id(struct ctx *c, const struct tokenizer *t, const json_t *v, const char *token,
                                          int64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
        return ctx_fail(c, E_INPUT, "%s: the id of token \"%.80s\" is not an integer in [0, 2147483647]", t->name, token);
    *out = json_integer_value(v);
    return OK;
}

/* Looks over vocabulary and added tokens for the sizes that the table needs. */
static enum status tokenizer_json_reserve(struct ctx *c, struct tokenizer *t, json_t *vocab, const json_t *added)
{
    int64_t max_id = -1, id;
    size_t bytes = 0;
    const char *text;
    json_t *v;
    json_object_foreach(vocab, text, v)
    {
        TRY(tokenizer_json_read_id(c, t, v, text, &id));
        if (id > max_id) max_id = id;
        bytes += strlen(text);
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *o = json_array_get(added, i);
        text = json_string_value(json_object_get(o, "content"));
        if (!text) return ctx_fail(c, E_INPUT, "%s: added_tokens[%zu] has no content", t->name, i);
        TRY(tokenizer_json_read_id(c, t, json_object_get(o, "id"), text, &id));
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
    bool special = tokenizer_member_true(o, "special", false);
    int32_t known = tokenizer_vocab_find(t, text, strlen(text));
    if (known < 0) {
        TRY(tokenizer_vocab_add(c, t, id, text, strlen(text), 0));
    } else if (known != id || (t->tokens[known].flags & TOKEN_ADDED)) {
        return ctx_fail(c, E_INPUT, "%s: added token \"%.80s\" has id %lld but is already token %d", t->name, text,
                        (long long)id, known);
    }
    struct added a = {.id = (int32_t)id,
                      .lstrip = tokenizer_member_true(o, "lstrip", false),
                      .rstrip = tokenizer_member_true(o, "rstrip", false),
                      .single_word = tokenizer_member_true(o, "single_word", false),
                      .normalized = tokenizer_member_true(o, "normalized", !special)};
    tokenizer_added_add(t, &a, special);
    return OK;
}

/* Sizes first, then the tokens, then the added ones. */
static enum status read_vocab(struct ctx *c, struct tokenizer *t, json_t *vocab, const json_t *added)
{
    const char *text;
    json_t *v;
    TRY(tokenizer_json_reserve(c, t, vocab, added));
    json_object_foreach(vocab, text, v) TRY(tokenizer_vocab_add(c, t, json_integer_value(v), text, strlen(text), 0));
    for (size_t i = 0; i < json_array_size(added); i++) TRY(read_added(c, t, json_array_get(added, i)));
    return OK;
}

/* A merge is "left right" or ["left", "right"]. */
static enum status tokenizer_json_read_merges(struct ctx *c, struct tokenizer *t, const json_t *merges)
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

/* unk_token and fuse_unk: what becomes of characters that no token stands for. */
static enum status read_unknown(struct ctx *c, struct tokenizer *t, const json_t *model)
{
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));
    if (!unknown || !*unknown) return OK;
    int32_t id = tokenizer_vocab_find(t, unknown, strlen(unknown));
    if (id < 0) return ctx_fail(c, E_INPUT, "%s: unk_token \"%.80s\" is not in the vocabulary", t->name, unknown);
    t->bpe.unknown_id = id;
    t->bpe.fuse_unknown = tokenizer_member_true(model, "fuse_unk", false);
    return OK;
}

/* A token of a post-processor's template: its one id; -1 when the item is a place for text. */
static enum status template_token(struct ctx *c, struct tokenizer *t, const json_t *o, const json_t *item, int32_t *out)
{
    const char *name = json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));
    *out = -1;
    if (!name) return OK;
    const json_t *ids = json_object_get(json_object_get(json_object_get(o, "special_tokens"), name), "ids");
    const json_t *id = json_array_get(ids, 0);
    if (json_array_size(ids) != 1 || !json_is_integer(id))
        return ctx_fail(c, E_INPUT, "%s: post_processor token \"%.80s\" does not have one id", t->name, name);
    return tokenizer_vocab_set_id(c, t, "a token of the post_processor", json_integer_value(id), out);
}

/* The template of a post-processor: which tokens it puts around a text. One before is the BOS, one behind the EOS. */
static enum status tokenizer_json_read_template(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    const json_t *single = json_object_get(o, "single");
    size_t n = json_array_size(single), texts = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(single, i);
        int32_t id;
        TRY(template_token(c, t, o, item, &id));
        texts += json_is_object(json_object_get(item, "Sequence"));
        if (id < 0) continue;
        bool before = texts == 0;
        if (before ? t->adds_bos : t->adds_eos)
            return tokenizer_refuse(c, t, "post_processor",
                                    before ? "more than one token before a text" : "more than one token behind a text");
        *(before ? &t->adds_bos : &t->adds_eos) = true;
        *(before ? &t->bos : &t->eos) = id;
    }
    return OK;
}

/* What is put around a text: templates count, ByteLevel (which only trims offsets) does not. */
static enum status read_post_processor(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    if (!o || json_is_null(o) || strcmp(tokenizer_member_type(o), "ByteLevel") == 0) return OK;
    if (strcmp(tokenizer_member_type(o), "TemplateProcessing") == 0) return tokenizer_json_read_template(c, t, o);
    const json_t *list = json_object_get(o, "processors");
    if (strcmp(tokenizer_member_type(o), "Sequence") != 0 || !json_is_array(list))
        return tokenizer_refuse(c, t, "post_processor", tokenizer_member_type(o));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (strcmp(tokenizer_member_type(item), "TemplateProcessing") == 0)
            TRY(tokenizer_json_read_template(c, t, item));
        else if (strcmp(tokenizer_member_type(item), "ByteLevel") != 0)
            return tokenizer_refuse(c, t, "post_processor", tokenizer_member_type(item));
    }
    return OK;
}

/* The members in the order in which later ones need earlier ones. */
static enum status tokenizer_json_read_document(struct ctx *c, struct tokenizer *t, const json_t *doc)
{
    const json_t *model = json_object_get(doc, "model"), *added = json_object_get(doc, "added_tokens");
    TRY(json_check_model(c, t, model));
    if (added && !json_is_null(added) && !json_is_array(added))
        return ctx_fail(c, E_INPUT, "%s: added_tokens is not a list", t->name);
    t->bpe.byte_fallback = tokenizer_member_true(model, "byte_fallback", false);
    TRY(tokenizer_text_read(c, t, doc));
    TRY(read_vocab(c, t, json_object_get(model, "vocab"), added));
    TRY(read_unknown(c, t, model));
    TRY(tokenizer_vocab_finish(c, t, tokenizer_member_true(model, "ignore_merges", false)));
    TRY(tokenizer_json_read_merges(c, t, json_object_get(model, "merges")));
    TRY(tokenizer_added_finish(c, t));
    return read_post_processor(c, t, json_object_get(doc, "post_processor"));
}

/* A whole file; what lies beside it is tokenizer_config.c's. */
static enum status tokenizer_json_read_file(struct ctx *c, struct tokenizer *t, const char *path)
{
    json_t *doc = json_parse_file(c, path, JSON_MAX_BYTES);
    if (!doc) return c->status;
    enum status st = tokenizer_json_read_document(c, t, doc);
    json_decref(doc);
    return st;
}

struct tokenizer *tokenizer_open_json(struct ctx *c, const char *path)
{
    return tokenizer_open_with(c, path, tokenizer_json_read_file);
}
