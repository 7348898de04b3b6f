/* peft_tokenizer: whether the tokenizer that lies in an adapter's folder is the model's. Trainers save one there. When
 * tokens were added for the adapter, rows of the embedding table belong to them that the base does not have; when it is
 * another model's, every id means something else. */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/peft.h"
#include "io/json.h"

enum { ADDED_MAX_BYTES = 16 << 20 };

/* E_INPUT unless the model has this token under this id. */
static enum status check_token(struct ctx *c, const struct tokenizer *model, const char *file, const char *token, int64_t id)
{
    const char *has = id >= 0 && id < tokenizer_vocab_size(model) ? tokenizer_token(model, (int32_t)id) : NULL;
    if (has && strcmp(has, token) == 0) return OK;
    if (!has)
        return ctx_fail(
            c, E_INPUT,
            "%s: token %lld is \"%.80s\", which the model does not have: the adapter was trained with additional "
            "tokens, whose embeddings are not in it",
            file, (long long)id, token);
    return ctx_fail(
        c, E_INPUT,
        "%s: token %lld is \"%.80s\", and \"%.80s\" in the model: the adapter was trained with another tokenizer", file,
        (long long)id, token, has);
}

/* Rendering is the model's: another template in the folder may be the one that the adapter was trained with. */
static void compare_templates(struct ctx *c, const struct tokenizer *model, const struct tokenizer *mine, const char *file)
{
    const char *a = tokenizer_chat_template(model), *b = tokenizer_chat_template(mine);
    if (b && (!a || strcmp(a, b) != 0))
        ctx_log(c, LOG_WARN,
                "%s: the adapter's folder has another chat template than the model. The model's is used: if the adapter was "
                "trained with its own, conversations look otherwise to it now",
                file);
}

static enum status check_whole(struct ctx *c, const struct tokenizer *model, const char *file)
{
    struct tokenizer *mine = tokenizer_open_json(c, file);
    if (!mine) return c->status;
    for (int64_t id = 0; id < tokenizer_vocab_size(mine) && ctx_ok(c); id++) {
        const char *token = tokenizer_token(mine, (int32_t)id);
        if (token) check_token(c, model, file, token, id);
    }
    if (ctx_ok(c)) compare_templates(c, model, mine, file);
    tokenizer_free(mine);
    return c->status;
}

static enum status check_added(struct ctx *c, const struct tokenizer *model, const char *file)
{
    const char *token;
    json_t *doc = json_parse_file(c, file, ADDED_MAX_BYTES), *id;
    json_object_foreach(doc, token, id)
    {
        if (ctx_ok(c)) check_token(c, model, file, token, json_is_integer(id) ? json_integer_value(id) : -1);
    }
    json_decref(doc);
    return c->status;
}

enum status peft_check_tokenizer(struct ctx *c, const struct tokenizer *model, const char *dir)
{
    char *whole = path_join(c, dir, "tokenizer.json"), *added = path_join(c, dir, "added_tokens.json");
    if (whole && added && file_exists(whole))
        check_whole(c, model, whole);
    else if (added && file_exists(added))
        check_added(c, model, added);
    mem_free(c, added);
    mem_free(c, whole);
    return c->status;
}
