/* api_generate: what an open model says: logits, continuations, and how probable it finds texts. All run the engine that
 * ya_model_open made for the model, so calls with a callback mark the ctx as busy: a callback that ran, opened or freed
 * anything would change the engine under them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_model.h"
#include "base/mem.h"
#include "data/dataset_temporary.h"
#include "eval/generate.h"
#include "eval/loglik.h"
#include "eval/stop_text.h"

enum { PIECE_CAP_BYTES = 1 << 20 };

int ya_logits(ya_model *model, const int32_t *ids, size_t n, float *logits)
{
    if (!model || !api_enter(model->object.ctx, "ya_logits")) return -1;
    return generate_logits(model->engine, ids, n, logits) == OK ? 0 : -1;
}

/* ---- generation --------------------------------------------------------------------------------------------------- */

ya_generate_options ya_generate_defaults(void)
{
    return (ya_generate_options){
        .max_tokens = 256, .temperature = 0, .top_k = 0, .top_p = 1, .seed = 0, .repeat_penalty = 1};
}

/* Hands each new token to the host with its bytes. */
struct generate_listener {
    ya_model *model;
    ya_token_callback on_token; /* NULL: none */
    void *user;
    struct stop_text stop;
};

/* Passes the text on; true: the generation continues. */
static bool tell_host(const struct generate_listener *l, int32_t id, const struct buf *text)
{
    return buf_ok(text) && (!l->on_token || l->on_token(l->user, id, buf_str(text), text->len) == 0);
}

/* One token may be a part of a character, so its bytes need not be UTF-8. */
static bool generate_hear(void *user, int32_t id)
{
    struct generate_listener *l = user;
    struct ctx *c = l->model->object.ctx->c;
    struct buf piece, text;
    buf_init(&piece, c, PIECE_CAP_BYTES);
    buf_init(&text, c, PIECE_CAP_BYTES);
    bool go_on = tokenizer_decode(c, l->model->tokenizer, &id, 1, true, &piece) == OK && buf_ok(&piece) &&
                 stop_text_feed(&l->stop, buf_str(&piece), piece.len, &text) == OK && tell_host(l, id, &text);
    buf_release(&text);
    buf_release(&piece);
    return go_on && ctx_ok(c) && !l->stop.met;
}

/* What was held back as the possible beginning of a stop string and did not become one. */
static void hear_rest(struct generate_listener *l)
{
    struct buf text;
    buf_init(&text, l->model->object.ctx->c, PIECE_CAP_BYTES);
    if (stop_text_flush(&l->stop, &text) == OK && text.len) tell_host(l, -1, &text);
    buf_release(&text);
}

int64_t ya_generate(ya_model *model, const int32_t *prompt, size_t n, const ya_generate_options *options,
                    ya_token_callback on_token, void *user, int32_t *ids, size_t capacity, const char **end)
{
    if (!model || !api_enter(model->object.ctx, "ya_generate")) return -1;
    ya_ctx *ctx = model->object.ctx;
    ya_generate_options o = options ? *options : ya_generate_defaults();
    struct generate_listener listener = {.model = model, .on_token = on_token, .user = user};
    struct generate_params p = {
        .max_tokens = o.max_tokens,
        .sample = {.temperature = o.temperature, .top_k = o.top_k, .top_p = o.top_p, .seed = o.seed},
        .repeat_penalty = o.repeat_penalty,
        .tokenizer = model->tokenizer,
        .cache = o.keep ? &model->kept : NULL,
        .on_token = on_token || o.n_stop ? generate_hear : NULL,
        .user = &listener,
    };
    struct ids new = {0};
    enum generate_end why = GENERATE_LENGTH;
    ctx->busy = true;
    if (stop_text_init(&listener.stop, ctx->c, o.stop, o.n_stop) == OK &&
        generate_run(model->engine, prompt, n, &p, &new, &why) == OK) {
        if (listener.stop.met) why = GENERATE_STOP;
        hear_rest(&listener);
    }
    stop_text_release(&listener.stop);
    ctx->busy = false;
    int64_t count = api_give_ids(ctx, &new, ids, capacity);
    ids_release(ctx->c, &new);
    if (end) *end = count < 0 ? NULL : generate_end_name(why);
    return count;
}

/* ---- perplexity --------------------------------------------------------------------------------------------------- */

int ya_perplexity(ya_model *model, const int32_t *ids, size_t n, int64_t window, double *logprobs, double *perplexity)
{
    if (!model || !api_enter(model->object.ctx, "ya_perplexity")) return -1;
    struct ctx *c = model->object.ctx->c;
    if (n < 2) return ctx_fail(c, E_INPUT, "ya_perplexity: %zu tokens; at least 2 are needed to score one", n), -1;
    double *mine = logprobs ? NULL : mem_alloc(c, n, sizeof *mine), *out = logprobs ? logprobs : mine, sum = 0;
    if (out && loglik_ids(model->engine, ids, n, window, out) == OK) {
        for (size_t i = 1; i < n; i++) sum += out[i];
        if (perplexity) *perplexity = exp(-sum / (double)(n - 1));
    }
    mem_free(c, mine);
    return ctx_ok(c) ? 0 : -1;
}

/* A scoring of rows on its way. */
struct rows {
    ya_model *model;
    struct dataset *data;
    double *logprobs; /* (tokens of the longest document) */
    ya_row_callback on_row;
    void *user;
    ya_rows_score score;
};

/* Sum of -log p over the document's trained tokens, and the host's callback. */
static enum status api_score_document(struct rows *r, int64_t i)
{
    struct ctx *c = r->model->object.ctx->c;
    const struct dataset_document *d = dataset_document(r->data, i);
    const uint8_t *trained = dataset_trained(r->data, i);
    double nll = 0;
    TRY(loglik_ids(r->model->engine, dataset_tokens(r->data, i), (size_t)d->n, 0, r->logprobs));
    for (int32_t k = 0; k < d->n; k++) nll -= trained[k] ? r->logprobs[k] : 0;
    r->score.documents++;
    r->score.tokens += d->n_trained;
    r->score.nll += nll;
    if (!r->on_row || r->on_row(r->user, d->row, d->n_trained, nll) == 0) return c->status;
    return ctx_fail(c, E_INTERRUPTED, "ya_perplexity_rows: the callback stopped it at row %lld", (long long)d->row);
}

/* Document after document: each is one window, or several where it is longer than the context. */
static enum status score_rows(struct rows *r)
{
    struct ctx *c = r->model->object.ctx->c;
    r->logprobs = mem_alloc(c, (size_t)dataset_max_length(r->data), sizeof *r->logprobs);
    for (int64_t i = 0; ctx_ok(c) && i < dataset_n_documents(r->data); i++) api_score_document(r, i);
    mem_free(c, r->logprobs);
    r->score.perplexity = exp(r->score.nll / (double)r->score.tokens);
    return c->status;
}

/* The rows of a file, tokenised by the model's tokenizer. */
static struct dataset *api_generate_open_rows(ya_model *model, const char *path)
{
    struct dataset_options options = dataset_options_default(&path, 1);
    options.max_length = model->engine->context;
    if (options.max_length > DATASET_LENGTH_MAX) options.max_length = DATASET_LENGTH_MAX;
    return dataset_temporary_new(model->object.ctx->c, model->tokenizer, &options);
}

int ya_perplexity_rows(ya_model *model, const char *path, ya_row_callback on_row, void *user, ya_rows_score *score)
{
    if (!model || !api_enter(model->object.ctx, "ya_perplexity_rows")) return -1;
    struct rows r = {.model = model, .on_row = on_row, .user = user};
    if (!path) return ctx_fail(model->object.ctx->c, E_INPUT, "ya_perplexity_rows: no path"), -1;
    r.data = api_generate_open_rows(model, path);
    if (!r.data) return -1;
    model->object.ctx->busy = true;
    enum status status = score_rows(&r);
    model->object.ctx->busy = false;
    dataset_close(r.data);
    if (status == OK && score) *score = r.score;
    return status == OK ? 0 : -1;
}
