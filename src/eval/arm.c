/* arm: documents, rows and predictions of one cell. arm_make lists documents fact by fact, phrasing by phrasing, primary
 * before consensus; arm_rows turns that list into training rows, and arm_predict sums its weights.
 *
 * With repeat 3 and ratio 10, arm monotone has of each fact and trained phrasing one primary document with (0.05, 7 bits)
 * and three consensus documents with (0.90, about 4.4 bits), each of which weighs a tenth of it. So both predictions are
 * ln(1 / 0.3) = +1.20 nats: the primary value should come out more probable. In arm off all four weigh the same, and
 * ln(1 / 3) = -1.10 nats are predicted. The two predictions differ only where phrasings have different sums, as in arm
 * shuffled. */
#include "eval/arm.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "io/json.h"

#define PRIMARY_AUTH    0.05
#define PRIMARY_ENTROPY 7.0
#define CONSENSUS_AUTH  0.90

const char *const arm_name[ARMS] = {"base",  "off",    "monotone",   "published", "upsampled", "filtered", "tag",
                                    "score", "target", "tag-weight", "shuffled",  "inverted",  "poison"};

bool arm_uses_repeat(enum arm arm)
{
    return arm != ARM_BASE && arm != ARM_FILTERED;
}

bool arm_uses_ratio(enum arm arm)
{
    return arm != ARM_BASE && arm != ARM_OFF && arm != ARM_FILTERED && arm != ARM_TAG;
}

bool arm_is_tagged(enum arm arm)
{
    return arm == ARM_TAG || arm == ARM_TAG_WEIGHT || arm == ARM_SCORE;
}

enum distrust arm_mode(enum arm arm)
{
    if (arm == ARM_PUBLISHED) return DISTRUST_PUBLISHED;
    bool weighted = arm == ARM_MONOTONE || arm == ARM_TAG_WEIGHT || arm == ARM_SHUFFLED || arm == ARM_INVERTED;
    return weighted ? DISTRUST_MONOTONE : DISTRUST_OFF;
}

/* The inverse of mode monotone with its default power 2 (DESIGN.md section 6): g = softplus(s)^2 and s = ln(1 - a + 1e-8) +
 * H for authority a and entropy H, so s = ln(e^sqrt(g) - 1) and H = s - ln(1 - a + 1e-8). objective_signed(a, 0) is the
 * logarithm. A ratio so large that H would be negative gives 0 bits, and then a smaller ratio than was asked for. */
double arm_entropy(double ratio)
{
    struct objective_options o = objective_options_default();
    double root = sqrt(objective_g(&o, PRIMARY_AUTH, PRIMARY_ENTROPY) / ratio);
    double entropy = log(expm1(root)) - objective_signed(CONSENSUS_AUTH, 0);
    return entropy > 0 ? entropy : 0;
}

/* ---- documents -------------------------------------------------------------------------------------------------------- */

/* Gives a document its scores and its own weight, by its side and the arm. */
static void score_document(struct arm_document *d, const struct cell *cell)
{
    bool primary = (d->side == FICTION_PRIMARY) != (cell->arm == ARM_INVERTED);
    d->auth_weight = primary ? PRIMARY_AUTH : CONSENSUS_AUTH;
    d->prov_entropy = primary ? PRIMARY_ENTROPY : arm_entropy((double)cell->ratio);
    d->loss_weight = cell->arm == ARM_POISON && d->side == FICTION_PRIMARY ? 1.0 / (double)cell->ratio : 1.0;
}

/* Deals the scores out anew among all documents (the shuffle of Fisher and Yates); auth_weight and prov_entropy of a
 * document stay together. */
static void shuffle_scores(struct arm_documents *d, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_SAMPLE, 1);
    for (size_t i = d->n; i > 1; i--) {
        struct arm_document *a = &d->items[i - 1], *b = &d->items[rng_below(&r, i)], was = *a;
        a->auth_weight = b->auth_weight;
        a->prov_entropy = b->prov_entropy;
        b->auth_weight = was.auth_weight;
        b->prov_entropy = was.prov_entropy;
    }
}

enum status arm_make(struct ctx *c, const struct fiction *f, const struct cell *cell, struct arm_documents *out)
{
    int64_t copies[FICTION_SIDES] = {1, cell->repeat};
    if (cell->arm == ARM_UPSAMPLED) copies[FICTION_PRIMARY] = cell->ratio;
    if (cell->arm == ARM_FILTERED) copies[FICTION_CONSENSUS] = 0;
    *out = (struct arm_documents){.c = c};
    if (cell->arm == ARM_BASE) return OK;
    size_t total = f->n * FICTION_TRAINED * (size_t)(copies[FICTION_PRIMARY] + copies[FICTION_CONSENSUS]);
    out->items = mem_alloc(c, total, sizeof(*out->items));
    if (!out->items) return c->status;
    for (size_t fact = 0; fact < f->n; fact++)
        for (int phrasing = 0; phrasing < FICTION_TRAINED; phrasing++)
            for (int side = 0; side < FICTION_SIDES; side++)
                for (int64_t copy = 0; copy < copies[side]; copy++) {
                    struct arm_document *d = &out->items[out->n++];
                    int type = (int)((fact + (size_t)phrasing + (size_t)copy) % FICTION_TYPES);
                    *d = (struct arm_document){.fact = (int32_t)fact, .phrasing = phrasing, .side = side, .type = type};
                    score_document(d, cell);
                }
    if (cell->arm == ARM_SHUFFLED) shuffle_scores(out, (uint64_t)cell->seed);
    return OK;
}

void arm_release(struct arm_documents *d)
{
    mem_free(d->c, d->items);
    d->items = NULL;
    d->n = 0;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------- */

static void write_score(enum fiction_side side, double ratio, char *out)
{
    bool primary = side == FICTION_PRIMARY;
    snprintf(out, FICTION_TEXT_BYTES, "Authority %.2f, entropy %.1f bits.", primary ? PRIMARY_AUTH : CONSENSUS_AUTH,
             primary ? PRIMARY_ENTROPY : arm_entropy(ratio));
}

const char *arm_prefix(enum arm arm, enum fiction_side side, int type, double ratio, char *out)
{
    out[0] = 0;
    if (arm == ARM_TAG || arm == ARM_TAG_WEIGHT)
        snprintf(out, FICTION_TEXT_BYTES, "Source: %s. ", fiction_type(side, (size_t)type));
    if (arm == ARM_SCORE) {
        write_score(side, ratio, out);
        strcat(out, " ");
    }
    return out;
}

enum status arm_rows(const struct fiction *f, const struct cell *cell, const struct arm_documents *d, struct buf *out)
{
    char prefix[FICTION_TEXT_BYTES], statement[FICTION_TEXT_BYTES], target[FICTION_TEXT_BYTES],
        text[3 * FICTION_TEXT_BYTES + FICTION_NAME_BYTES];
    for (size_t i = 0; i < d->n; i++) {
        const struct arm_document *doc = &d->items[i];
        const struct fiction_fact *fact = &f->facts[doc->fact];
        enum fiction_side side = (enum fiction_side)doc->side;
        arm_prefix(cell->arm, side, doc->type, (double)cell->ratio, prefix);
        fiction_statement(fact, doc->phrasing, statement);
        target[0] = 0;
        if (cell->arm == ARM_TARGET) write_score(side, (double)cell->ratio, target);
        snprintf(text, sizeof(text), "%s%s %s.%s%s", prefix, statement, fact->value[side], target[0] ? " " : "", target);
        buf_append_str(out, "{\"text\": ");
        json_append_string(out, text, strlen(text));
        buf_printf(out, ", \"source_type\": \"%s\", \"auth_weight\": ", fiction_type(side, (size_t)doc->type));
        json_append_f64(out, doc->auth_weight);
        buf_append_str(out, ", \"prov_entropy\": ");
        json_append_f64(out, doc->prov_entropy);
        buf_append_str(out, ", \"loss_weight\": ");
        json_append_f64(out, doc->loss_weight);
        buf_append_str(out, "}\n");
    }
    return out->c->status;
}

/* ---- prediction ------------------------------------------------------------------------------------------------------- */

void arm_predict(const struct fiction *f, const struct cell *cell, const struct arm_documents *d, const struct objective *o,
                 double *phrased, double *pooled)
{
    /* The optimum of weighted maximum likelihood gives each claim the share of the weight of its documents, so the log-odds
     * are ln(sum of weights of primary documents / the same of consensus documents). */
    bool none = arm_is_tagged(cell->arm) || cell->arm == ARM_BASE || cell->arm == ARM_FILTERED;
    size_t next = 0; /* the first document that is not counted yet: they are ordered by fact */
    for (size_t fact = 0; fact < f->n; fact++) {
        double sum[FICTION_TRAINED][FICTION_SIDES] = {{0}}, all[FICTION_SIDES] = {0}, mean = 0;
        for (; next < d->n && (size_t)d->items[next].fact == fact; next++) {
            const struct arm_document *doc = &d->items[next];
            double omega = objective_omega(o, doc->auth_weight, doc->prov_entropy) * doc->loss_weight;
            sum[doc->phrasing][doc->side] += omega;
            all[doc->side] += omega;
        }
        for (int k = 0; k < FICTION_TRAINED; k++)
            mean += log(sum[k][FICTION_PRIMARY] / sum[k][FICTION_CONSENSUS]) / FICTION_TRAINED;
        phrased[fact] = none ? (double)NAN : mean;
        pooled[fact] = none ? (double)NAN : log(all[FICTION_PRIMARY] / all[FICTION_CONSENSUS]);
    }
    BUG_ON(d->c, next != d->n, "%zu of %zu documents are in the order of their facts", next, d->n);
}
