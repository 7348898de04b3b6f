/* api_model: opens models by the options of the command line, and turns text into tokens and back. Ids and text are written
 * into the host's arrays as far as they reach, and the whole count is returned, so a call with an array of 0 asks for the
 * size. */
#include <string.h>

#include "api/api_model.h"
#include "base/mem.h"
#include "io/hub_cache.h"
#include "io/template/chat_template.h"
#include "io/tokenizer/tokenizer.h"

enum { TEXT_CAP_BYTES = 1 << 30 };

/* Engine before weights: it holds arrays that refer to them. */
static void release_model(struct api_object *o)
{
    ya_model *model = (ya_model *)o;
    if (model->adapter) model->adapter->model = NULL;
    generate_cache_release(o->ctx->c, &model->kept);
    if (model->engine) model->engine->ops->free(model->engine);
    if (model->m) model_attach_lora(model->m, NULL);
    tokenizer_free(model->tokenizer);
    model_free(model->m);
}

/* Weights, engine, tokenizer; what was opened before a failure is released with the handle. */
static enum status api_model_open(ya_model *model, const char *path, const ya_option *options, size_t n)
{
    struct ctx *c = model->object.ctx->c;
    struct train_values values;
    TRY(api_options(model->object.ctx, "ya_model_open", "base-type compute", options, n, &values, NULL));
    values.config.engine = ENGINE_KIND_NATIVE;
    TRY(train_options_settle(c, &values));
    char *found = hub_cache_resolve(c, path);
    model->m = found ? model_open_with(c, found, &values.config.form) : NULL;
    if (model->m) model->engine = engine_native_new(c, model->m, NULL);
    if (model->engine) model->tokenizer = tokenizer_open(c, found);
    mem_free(c, found);
    return c->status;
}

ya_model *ya_model_open(ya_ctx *ctx, const char *path, const ya_option *options, size_t n_options)
{
    if (!api_enter(ctx, "ya_model_open")) return NULL;
    if (!path) return ctx_fail(ctx->c, E_INPUT, "ya_model_open: no path"), NULL;
    ya_model *model = api_object_new(ctx, sizeof *model, release_model);
    if (!model || api_model_open(model, path, options, n_options) == OK) return model;
    api_object_free(&model->object);
    return NULL;
}

void ya_model_free(ya_model *model)
{
    if (model) api_object_free(&model->object);
}

int64_t ya_model_vocab(const ya_model *model)
{
    return model && api_alive(model->object.ctx) ? model->m->config.vocab : -1;
}

int64_t ya_model_context(const ya_model *model)
{
    return model && api_alive(model->object.ctx) ? model->m->config.max_positions : -1;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------- */

/* Returns how many ids the text has, also when fewer fit into `capacity`. */
int64_t ya_tokenize(ya_model *model, const char *text, size_t n_bytes, int flags, int32_t *ids, size_t capacity)
{
    if (!model || !api_usable(model->object.ctx)) return -1;
    struct ctx *c = model->object.ctx->c;
    const struct tokenizer *t = model->tokenizer;
    struct ids all = {0};
    bool special = (flags & YA_SPECIAL) != 0;
    if (flags & YA_BOS)
        tokenizer_encode_text(c, t, text, n_bytes, special, &all);
    else
        tokenizer_encode(c, t, text, n_bytes, special, &all);
    int64_t n = api_give_ids(model->object.ctx, &all, ids, capacity);
    ids_release(c, &all);
    return n;
}

int64_t ya_detokenize(ya_model *model, const int32_t *ids, size_t n, int flags, char *text, size_t capacity)
{
    if (!model || !api_usable(model->object.ctx)) return -1;
    struct ctx *c = model->object.ctx->c;
    struct buf all;
    int64_t bytes = -1;
    buf_init(&all, c, TEXT_CAP_BYTES);
    if (ids_check(c, ids, n, model->m->config.vocab) == OK &&
        tokenizer_decode(c, model->tokenizer, ids, n, (flags & YA_SPECIAL) == 0, &all) == OK && buf_ok(&all)) {
        bytes = (int64_t)all.len;
        size_t copied = all.len < capacity ? all.len : capacity;
        if (copied > 0) memcpy(text, all.data, copied);
    }
    buf_release(&all);
    return bytes;
}

/* The model's own chat template, with the opening of an answer at its end. */
static enum status model_render_chat(ya_model *model, const ya_message *messages, size_t n, struct ids *ids)
{
    struct ctx *c = model->object.ctx->c;
    json_t *list = json_array();
    struct chat_template *ct = chat_template_open(c, model->tokenizer, CHAT_OWN, NULL);
    const struct chat_conversation talk = {.messages = list};
    if (!list) ctx_fail(c, E_MEMORY, "out of memory for messages");
    for (size_t i = 0; i < n && ctx_ok(c); i++) {
        if (!messages[i].role || !messages[i].content)
            ctx_fail(c, E_INPUT, "message %zu has no role or no content", i);
        else
            chat_template_add(c, list, messages[i].role, messages[i].content, strlen(messages[i].content));
    }
    if (ctx_ok(c)) chat_template_prompt(c, ct, &talk, ids);
    chat_template_close(ct);
    json_decref(list);
    return c->status;
}

int64_t ya_chat_prompt(ya_model *model, const ya_message *messages, size_t n_messages, int32_t *ids, size_t capacity)
{
    if (!model || !api_usable(model->object.ctx)) return -1;
    struct ids all = {0};
    model_render_chat(model, messages, n_messages, &all);
    int64_t n = api_give_ids(model->object.ctx, &all, ids, capacity);
    ids_release(model->object.ctx->c, &all);
    return n;
}
