/* row_loss: see row_loss.h. */
#include "eval/row_loss.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "data/pack.h"
#include "eval/generate.h"
#include "score/word.h"

enum { ANSWER_CAP_BYTES = 1 << 26, ANSWER_MORE = 16 };

/* Adds up the documents of a batch. */
static enum status add_documents(struct ctx *c, const struct dataset *d, const struct batch *b, const int64_t *documents,
                                 const float *logprobs, double *nll)
{
    for (int k = 0; k < b->n_seg; k++) {
        double sum = 0;
        for (int32_t i = b->cu[k]; i < b->cu[k + 1]; i++)
            if (b->weights[i] != 0) sum -= (double)logprobs[i];
        nll[documents[k]] = sum;
        const struct dataset_document *doc = dataset_document(d, documents[k]);
        if (!isfinite(sum))
            return ctx_fail(c, E_NUMERIC, "%s:%" PRId64 ": the loss is %g", dataset_file(d, (size_t)doc->file).path,
                            doc->row, sum);
    }
    return OK;
}

/* A document whose weight is below every f32 takes no part in packs: it cannot be measured, and is not passed over. */
static enum status check_all(struct ctx *c, const struct dataset *d, const double *nll)
{
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        const struct dataset_document *doc = dataset_document(d, i);
        if (isnan(nll[i]))
            return ctx_fail(c, E_INPUT, "%s:%" PRId64 ": loss_weight %g is 0 as an f32: give 0, or a larger one",
                            dataset_file(d, (size_t)doc->file).path, doc->row, doc->loss_weight);
    }
    return OK;
}

enum status row_loss_measure(struct engine *e, const struct dataset *d, int64_t batch, double *nll)
{
    struct ctx *c = e->c;
    struct objective off = {.options = objective_options_default()};
    int64_t longest = dataset_max_length(d);
    const struct pack_options o = {
        .max_length = batch > longest ? batch : longest, .batch = 1, .accumulation = 1, .packing = true};
    off.options.mode = DISTRUST_OFF;
    struct pack *p = pack_ordered_new(c, d, &off, &o);
    float *logprobs = p ? mem_alloc(c, (size_t)o.max_length, sizeof *logprobs) : NULL;
    for (int64_t i = 0; i < dataset_n_documents(d); i++) nll[i] = NAN;
    for (int64_t s = 0; logprobs && s < pack_steps(p) && ctx_ok(c); s++) {
        struct batch b;
        struct engine_loss loss;
        if (pack_batch(p, s, 0, &b) != OK || e->ops->evaluate(e, &b, &loss, logprobs) != OK) break;
        add_documents(c, d, &b, pack_documents(p), logprobs, nll);
    }
    mem_free(c, logprobs);
    pack_free(p);
    TRY(c->status);
    TRY(e->ops->check(e));
    TRY(dataset_check(c, d));
    return check_all(c, d, nll);
}

/* ---- answers ---------------------------------------------------------------------------------------------------------- */

/* The text of ids without white space at its ends, in `out`. */
static enum status answer_text(struct ctx *c, const struct tokenizer *t, const int32_t *ids, size_t n, struct buf *out)
{
    struct buf text;
    buf_init(&text, c, ANSWER_CAP_BYTES);
    buf_clear(out);
    enum status status = tokenizer_decode(c, t, ids, n, true, &text);
    const char *bytes = buf_str(&text);
    size_t start = word_skip(bytes, text.len, 0, WORD_SPACE), stop = word_skip_back(bytes, text.len, WORD_SPACE);
    if (status == OK && stop > start) buf_append(out, bytes + start, stop - start);
    buf_release(&text);
    return status == OK ? c->status : status;
}

/* One document: *right as in row_loss_answers. */
static enum status row_loss_ask(struct engine *e, const struct tokenizer *t, const struct dataset *d, int64_t i,
                                struct buf text[2], double *right)
{
    const struct dataset_document *doc = dataset_document(d, i);
    const int32_t *ids = dataset_tokens(d, i);
    const uint8_t *trained = dataset_trained(d, i);
    int32_t from = 0, to;
    while (from < doc->n && !trained[from]) from++;
    for (to = from; to < doc->n && trained[to];) to++;
    *right = NAN;
    if (from < 2) return OK;
    TRY(answer_text(e->c, t, ids + from, (size_t)(to - from), &text[0]));
    if (text[0].len == 0) return OK;
    struct ids new = {0};
    enum generate_end end;
    const struct generate_params p = {.max_tokens = 2 * (to - from) + ANSWER_MORE, .sample = {.top_p = 1}, .tokenizer = t};
    enum status status = generate_run(e, ids, (size_t)from, &p, &new, &end);
    if (status == OK) status = answer_text(e->c, t, new.data, new.n, &text[1]);
    if (status == OK) *right = strcmp(buf_str(&text[0]), buf_str(&text[1])) == 0;
    ids_release(e->c, &new);
    return status;
}

enum status row_loss_answers(struct engine *e, const struct tokenizer *t, const struct dataset *d, int64_t limit,
                             double *right)
{
    struct buf text[2];
    enum status status = OK;
    int64_t asked = 0;
    for (int k = 0; k < 2; k++) buf_init(&text[k], e->c, ANSWER_CAP_BYTES);
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        right[i] = NAN;
        if (status != OK || (limit > 0 && asked >= limit)) continue;
        status = row_loss_ask(e, t, d, i, text, &right[i]);
        asked += !isnan(right[i]);
    }
    for (int k = 0; k < 2; k++) buf_release(&text[k]);
    return status;
}
