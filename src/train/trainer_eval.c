/* trainer_eval: validation loss, and the message for a value that is no number. */
#include <inttypes.h>
#include <math.h>

#include "base/buf.h"
#include "train/trainer_parts.h"

/* A message names so many rows, and counts the rest. */
enum { ROWS_NAMED = 8, ROWS_CAP_BYTES = 1 << 16 };

/* Appends the source rows of the last micro-batch of a pack, "train.jsonl:3, train.jsonl:17", as long as *named is below the
 * limit. */
static void name_rows(const struct pack *pack, const struct dataset *data, int n, int *named, struct buf *out)
{
    const int64_t *documents = pack_documents(pack);
    for (int i = 0; i < n; i++, ++*named) {
        const struct dataset_document *d = dataset_document(data, documents[i]);
        if (*named >= ROWS_NAMED) continue;
        buf_printf(out, "%s%s:%" PRId64, *named ? ", " : "", dataset_file(data, (size_t)d->file).path, d->row);
    }
}

/* The rows of micro-batch `micro` of a step of the running epoch, or of all its micro-batches for -1. */
static void name_step(struct trainer *t, int64_t epoch_step, int64_t micro, struct buf *out)
{
    struct batch b;
    int named = 0;
    for (int64_t m = 0; m < pack_micro_batches(t->pack, epoch_step); m++) {
        if (micro >= 0 && m != micro) continue;
        if (pack_batch(t->pack, epoch_step, m, &b) != OK) return;
        name_rows(t->pack, t->data, b.n_seg, &named, out);
    }
    if (micro < 0 && named > ROWS_NAMED) buf_printf(out, " and %d more", named - ROWS_NAMED);
}

static const char lower_rate[] = "A lower --lr may help";

/* Takes over `rows`. */
static enum status fail_numeric(struct trainer *t, int64_t step, const char *what, double value, struct buf *rows,
                                const char *advice)
{
    ctx_fail(t->c, E_NUMERIC, "step %" PRId64 ": the %s is %g. Nothing of this step was saved. Rows: %s. %s", step, what,
             isnan(value) ? (double)NAN : value, buf_str(rows), advice);
    buf_release(rows);
    return t->c->status;
}

enum status trainer_numeric_step(struct trainer *t, const struct train_pending *p, int64_t micro, const char *what,
                                 double value)
{
    struct buf rows;
    buf_init(&rows, t->c, ROWS_CAP_BYTES);
    name_step(t, p->epoch_step, micro, &rows);
    /* no learning rate has had an effect before the first update */
    return fail_numeric(t, p->metrics.step, what, value, &rows,
                        p->metrics.step > 1
                            ? lower_rate
                            : "No weight has been changed yet: those of the model or of --adapter, or --base-type "
                              "and --compute, are at fault");
}

/* The rows of one validation micro-batch. */
static enum status numeric_validation(struct trainer *t, const struct batch *b, double value)
{
    struct buf rows;
    int named = 0;
    buf_init(&rows, t->c, ROWS_CAP_BYTES);
    name_rows(t->valid_pack, t->valid, b->n_seg, &named, &rows);
    if (t->state.step == 0) {
        ctx_fail(t->c, E_NUMERIC,
                 "before step 1: the validation loss is %g, with the base model as it is. Its weights, or --base-type and "
                 "--compute, are at fault. Rows: %s",
                 isnan(value) ? (double)NAN : value, buf_str(&rows));
        buf_release(&rows);
        return t->c->status;
    }
    return fail_numeric(t, t->state.step, "validation loss", value, &rows, lower_rate);
}

/* Evaluates one batch of validation rows and adds it to the sums and, with its log-probabilities, to its sources. */
static enum status add_batch(struct trainer *t, int64_t step, struct engine_loss *sum)
{
    struct batch b;
    struct engine_loss loss = {0};
    TRY(pack_batch(t->valid_pack, step, 0, &b));
    TRY(trainer_hold_logprobs(t, t->valid_sources, b.n));
    float *logprobs = t->valid_sources->n_rows ? t->logprobs : NULL;
    TRY(t->engine->ops->evaluate(t->engine, &b, &loss, logprobs));
    if (!isfinite(loss.weighted)) return numeric_validation(t, &b, loss.weighted);
    if (logprobs) source_loss_add(t->valid_sources, &b, pack_documents(t->valid_pack), logprobs);
    sum->weighted += loss.weighted;
    sum->unweighted += loss.unweighted;
    sum->count += loss.count;
    return OK;
}

/* Means over all trained tokens of the validation rows, not over micro-batches: their sizes differ. */
enum status trainer_evaluate(struct trainer *t, struct metrics_eval *eval)
{
    struct engine_loss sum = {0};
    source_loss_clear(t->valid_sources);
    for (int64_t s = 0; s < pack_steps(t->valid_pack); s++) TRY(add_batch(t, s, &sum));
    BUG_ON(t->c, sum.count < 1, "no target in %" PRId64 " steps of validation", pack_steps(t->valid_pack));
    eval->sources = t->valid_sources;
    eval->trained_tokens = sum.count;
    eval->loss = sum.unweighted / (double)sum.count;
    eval->weighted_loss = sum.weighted / (double)sum.count;
    TRY(t->engine->ops->check(t->engine));
    return dataset_check(t->c, t->valid);
}
