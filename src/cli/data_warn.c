/* data_warn: what the page before step 1 warns of. See data_page.h. Each warning says what was found, and what helps. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "cli/data_page.h"
#include "score/rules.h"
#include "train/train_choice.h"

static const double LOST_SHARE = 0.05, SPREAD = 0.5, SPREAD_BITS = 4; /* of the scores of a source type */

/* ---- the bound ---- */

/* Documents whose weight was held at the bound. */
static void warn_bound(const struct trainer *t)
{
    const struct objective *o = &t->objective;
    double least = o->q / o->options.ratio, lowest = INFINITY, highest = -INFINITY;
    int64_t tokens = 0, documents = 0;
    if (!objective_has_weights(o->options.mode)) return;
    for (int64_t i = 0; i < dataset_n_documents(t->data); i++) {
        const struct dataset_document *d = dataset_document(t->data, i);
        double g = objective_g(&o->options, d->auth_weight, d->prov_entropy);
        if (!(g < least)) continue;
        lowest = fmin(lowest, g);
        highest = fmax(highest, g);
        tokens += d->n_trained;
        documents++;
    }
    if (documents == 0 || lowest == highest) return; /* equal ones are told apart by nothing anyway */
    ctx_log(t->c, LOG_WARN,
            "omega meets its bound: %lld documents (%.0f %% of the trained tokens) would weigh less than 1/%g of the "
            "heaviest and are "
            "held there, so their scores no longer tell them apart; --distrust-ratio raises the bound, a smaller "
            "--distrust-power "
            "or --lambda flattens the weights",
            (long long)documents, 100.0 * (double)tokens / (double)o->tokens, o->options.ratio);
}

/* ---- the length of the run ---- */

/* Steps of an epoch if every document were a sequence of its own. */
static int64_t unpacked_steps(const struct trainer *t)
{
    int64_t each = t->config.packs.batch * t->config.packs.accumulation;
    return (dataset_n_documents(t->data) + each - 1) / each;
}

/* A run of few steps, with the option that makes it longer. */
static void warn_short(const struct trainer *t)
{
    const struct train_config *k = &t->config;
    int64_t total = t->schedule.total, documents = dataset_n_documents(t->data), epoch = pack_steps(t->pack);
    char help[200];
    if (total >= CHOICE_STEPS_MIN || total < 1) return;
    int64_t unpacked = unpacked_steps(t) * k->epochs;
    if (k->max_steps)
        snprintf(help, sizeof help, "raise --max-steps");
    else if (k->packs.packing && unpacked >= 2 * total)
        snprintf(help, sizeof help, "--no-packing makes %lld steps of the same rows%s", (long long)unpacked,
                 unpacked < CHOICE_STEPS_MIN ? ", and more --epochs more" : "");
    else
        snprintf(help, sizeof help, "--epochs %lld makes %lld steps", (long long)((CHOICE_STEPS_MIN + epoch - 1) / epoch),
                 (long long)((CHOICE_STEPS_MIN + epoch - 1) / epoch * epoch));
    ctx_log(t->c, LOG_WARN,
            "the run has %lld steps, which is little to learn from: %lld documents make %lld sequences an epoch, %lld a "
            "step; %s",
            (long long)total, (long long)documents, (long long)pack_sequences(t->pack),
            (long long)(k->packs.batch * k->packs.accumulation), help);
}

/* A batch that no epoch can fill: the rows were packed into too few sequences. */
static void warn_unfilled(const struct trainer *t)
{
    const struct train_config *k = &t->config;
    int64_t sequences = pack_sequences(t->pack), each = k->packs.batch * k->packs.accumulation;
    if (!k->packs.packing || sequences >= each || dataset_n_documents(t->data) <= sequences) return;
    ctx_log(t->c, LOG_WARN,
            "an epoch is one step: all %lld documents fit into %lld packed sequences, and a step takes up to %lld; "
            "--no-packing or a "
            "smaller --max-length makes more steps",
            (long long)dataset_n_documents(t->data), (long long)sequences, (long long)each);
}

/* ---- lost tokens ---- */

/* Rows longer than a sequence, when much of the data is in what is cut off. */
static void warn_lost(const struct trainer *t)
{
    const struct dataset_counts *n = dataset_counts(t->data);
    double all = (double)n->tokens + (double)n->left_out_tokens;
    if ((double)n->left_out_tokens <= LOST_SHARE * all) return;
    ctx_log(t->c, LOG_WARN,
            "%lld of %.0f tokens (%.0f %%) are left out, in %lld rows that are longer than %lld tokens; raise --max-length "
            "(and see "
            "--long)",
            (long long)n->left_out_tokens, all, 100 * (double)n->left_out_tokens / all,
            (long long)(n->split_rows + n->truncated_rows), (long long)t->config.rows.max_length);
}

/* ---- equal documents ---- */

/* 64 bits of the SHA-256 of a document's tokens and mask: equal documents have equal keys. */
static uint64_t content_key(const struct dataset *d, int64_t i)
{
    const size_t n = (size_t)dataset_document(d, i)->n;
    struct sha256 s;
    uint8_t digest[32];
    uint64_t key;
    sha256_init(&s);
    sha256_update(&s, dataset_tokens(d, i), n * sizeof(int32_t));
    sha256_update(&s, dataset_trained(d, i), n);
    sha256_final(&s, digest);
    memcpy(&key, digest, sizeof key);
    return key;
}

/* Names the first pair. */
static void say_equal(const struct trainer *t, int64_t count, int64_t first, int64_t again)
{
    const struct dataset_document *a = dataset_document(t->data, first), *b = dataset_document(t->data, again);
    ctx_log(t->c, LOG_WARN,
            "%lld documents are the same as one before them (%s:%lld and %s:%lld, for example): they count as often "
            "as they stand there",
            (long long)count, dataset_file(t->data, (size_t)a->file).path, (long long)a->row,
            dataset_file(t->data, (size_t)b->file).path, (long long)b->row);
}

/* Validation rows that are trained on. */
static void say_trained(const struct trainer *t, int64_t count)
{
    int64_t n = dataset_n_documents(t->valid);
    ctx_log(t->c, LOG_WARN,
            "%lld of %lld validation documents are trained on as well: their loss says nothing about other texts%s",
            (long long)count, (long long)n,
            count == n ? " (is --valid the same as -d?); --valid-share keeps some rows apart" : "");
}

/* One pass over all documents with a table of their keys. */
static enum status warn_equal(const struct trainer *t)
{
    int64_t n = dataset_n_documents(t->data), equal = 0, first = 0, again = 0, trained = 0;
    struct map64 *seen = map64_new(t->c, (size_t)n);
    uint64_t found;
    for (int64_t i = 0; seen && i < n && ctx_ok(t->c); i++) {
        uint64_t key = content_key(t->data, i);
        if (!map64_get(seen, key, &found)) {
            map64_put(seen, key, (uint64_t)i, NULL);
        } else if (equal++ == 0) {
            first = (int64_t)found;
            again = i;
        }
    }
    for (int64_t i = 0; seen && t->valid && i < dataset_n_documents(t->valid); i++)
        trained += map64_get(seen, content_key(t->valid, i), &found);
    map64_free(seen);
    if (!ctx_ok(t->c)) return t->c->status;
    if (equal) say_equal(t, equal, first, again);
    if (trained) say_trained(t, trained);
    return OK;
}

/* ---- scores ---- */

/* Range of the auth_weight of the rows of a source type. */
struct range {
    double least, most;
    int64_t least_at, most_at;
};

/* Takes one more score into the range. */
static void data_warn_widen(struct range *r, double w, int64_t i)
{
    if (isnan(w)) return;
    if (w < r->least) {
        r->least = w;
        r->least_at = i;
    }
    if (w > r->most) {
        r->most = w;
        r->most_at = i;
    }
}

/* Sums over the rows of a source type. */
struct mean {
    double auth_weight, prov_entropy, n;
};

/* What is said of scores that are far from those that the kind of source usually has. */
static void warn_prior(const struct trainer *t, const char *type, const struct mean *sum, const struct rules_kind *usual)
{
    double w = sum->auth_weight / sum->n, h = sum->prov_entropy / sum->n;
    if (fabs(w - usual->auth_weight) <= SPREAD && fabs(h - usual->prov_entropy) <= SPREAD_BITS) return;
    ctx_log(t->c, LOG_WARN,
            "rows of source_type '%s' have auth_weight %.2f and prov_entropy %.1f on average, where this kind of source "
            "usually has %.2f and %.1f (your_ai data sources). A high auth_weight means that a text rests on authority "
            "alone, and is trained less; source_type itself changes nothing in training",
            type, w, h, usual->auth_weight, usual->prov_entropy);
}

/* Mean scores of each source type against the usual ones of its kind. Types that the rules do not know have none. */
static enum status warn_priors(const struct trainer *t, size_t n)
{
    struct rules *r = rules_open(t->c, NULL, false, SCORER_CITATION);
    struct mean *sums = r ? mem_alloc(t->c, n, sizeof *sums) : NULL;
    for (int64_t i = 0; sums && i < dataset_n_documents(t->data); i++) {
        const struct dataset_document *d = dataset_document(t->data, i);
        if (d->source_type < 0 || isnan(d->auth_weight) || isnan(d->prov_entropy)) continue;
        struct mean *m = &sums[d->source_type];
        m->auth_weight += d->auth_weight;
        m->prov_entropy += d->prov_entropy;
        m->n++;
    }
    for (size_t i = 0; sums && i < n; i++) {
        const char *type = dataset_type(t->data, i);
        const struct rules_kind *usual = rules_kind(r, type, strlen(type));
        if (sums[i].n > 0 && strcmp(usual->source_type, type) == 0) warn_prior(t, type, &sums[i], usual);
    }
    mem_free(t->c, sums);
    rules_free(t->c, r);
    return t->c->status;
}

/* Rows of one kind of source differ a little in how far they rest on authority, and not by half of the scale: then either a
 * score is turned round or the kind is too wide. */
static enum status warn_scores(const struct trainer *t)
{
    size_t n = dataset_n_types(t->data);
    if (n == 0 || !objective_has_weights(t->objective.options.mode)) return OK;
    struct range *ranges = mem_alloc(t->c, n, sizeof *ranges);
    if (!ranges) return t->c->status;
    for (size_t i = 0; i < n; i++) ranges[i] = (struct range){.least = 2, .most = -1};
    for (int64_t i = 0; i < dataset_n_documents(t->data); i++) {
        const struct dataset_document *d = dataset_document(t->data, i);
        if (d->source_type >= 0) data_warn_widen(&ranges[d->source_type], d->auth_weight, i);
    }
    for (size_t i = 0; i < n; i++) {
        const struct range *r = &ranges[i];
        if (!(r->most - r->least > SPREAD)) continue;
        ctx_log(t->c, LOG_WARN,
                "rows of source_type '%s' have auth_weight from %g (row %lld) to %g (row %lld): one kind of source, "
                "opposite scores. A "
                "high auth_weight means that a text rests on authority alone, and is trained less",
                dataset_type(t->data, i), r->least, (long long)dataset_document(t->data, r->least_at)->row, r->most,
                (long long)dataset_document(t->data, r->most_at)->row);
    }
    mem_free(t->c, ranges);
    return warn_priors(t, n);
}

enum status data_page_warn(const struct trainer *t)
{
    warn_bound(t);
    warn_short(t);
    if (t->schedule.total >= CHOICE_STEPS_MIN) warn_unfilled(t);
    warn_lost(t);
    TRY(warn_equal(t));
    return warn_scores(t);
}
