/* verdict: the rules by which a run is judged. See verdict.h. Each rule is one function that adds a finding or nothing; the
 * order is that in which a reader wants to hear them, and where one explains another the later one is left out. */
#include "runs/verdict.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "runs/watch.h"

enum { STEPS_FEW = 30, END_STEPS = 20 };

/* A new finding; the last place is kept when all are taken. */
static struct finding *verdict_add(struct verdict *v, enum finding_kind kind, bool bad)
{
    size_t i = v->n < FINDINGS_MAX ? v->n++ : FINDINGS_MAX - 1;
    v->findings[i] = (struct finding){.kind = kind, .bad = bad};
    v->bad |= bad;
    return &v->findings[i];
}

static bool verdict_has(const struct verdict *v, enum finding_kind kind)
{
    for (size_t i = 0; i < v->n; i++) {
        if (v->findings[i].kind == kind) return true;
    }
    return false;
}

const char *finding_name(enum finding_kind kind)
{
    static const char *const names[] = {"learnt", "empty", "unfinished", "early",   "diverged", "worse",
                                        "flat",   "short", "overfit",    "falling", "clipped",  "unchecked"};
    return names[kind];
}

#define SAY(F, ...)  snprintf((F)->text, sizeof(F)->text, __VA_ARGS__)
#define NEXT(F, ...) snprintf((F)->next, sizeof(F)->next, __VA_ARGS__)

/* ---- numbers --------------------------------------------------------------------------------------------------------- */

static void verdict_measure_training(struct verdict *v, const struct history *h)
{
    double first[WATCH_SHORT];
    size_t n = h->n_steps, k = n / 10 < 1 ? 1 : n / 10 > END_STEPS ? END_STEPS : n / 10;
    v->start_loss = v->end_loss = NAN;
    if (n == 0) return;
    for (size_t i = 0; i < WATCH_SHORT && i < n; i++) first[i] = h->steps[i].loss;
    v->start_loss = watch_start(first, (int64_t)(n < WATCH_SHORT ? n : WATCH_SHORT));
    v->end_loss = history_mean_loss(h, n - k, k);
    v->steps = h->steps[n - 1].step;
}

static void measure_validation(struct verdict *v, const struct history *h)
{
    v->start_valid = v->end_valid = v->best_valid = NAN;
    for (size_t i = 0; i < h->n_evals; i++) {
        const struct metrics_eval *e = &h->evals[i];
        v->end_valid = e->weighted_loss;
        if (e->step == 0) {
            v->start_valid = e->weighted_loss;
        } else if (!v->best_step || e->weighted_loss < v->best_valid) {
            v->best_step = e->step;
            v->best_valid = e->weighted_loss;
        }
    }
}

static void measure_speed(struct verdict *v, const struct history *h)
{
    double tokens = 0;
    for (size_t i = 0; i < h->n_timings; i++) {
        const struct metrics_timing *t = &h->timings[i];
        v->seconds += t->seconds;
        tokens += t->seconds * t->tokens_per_s;
        if (t->peak_bytes > v->peak_bytes) v->peak_bytes = t->peak_bytes;
    }
    v->tokens_per_s = v->seconds > 0 ? tokens / v->seconds : 0;
}

/* ---- rules ----------------------------------------------------------------------------------------------------------- */

/* Whether the run ended because its validation loss did not improve any more. */
static bool stopped_early(const struct verdict *v, const struct verdict_options *o)
{
    return o->patience > 0 && v->best_step > 0 && v->steps - v->best_step >= o->patience * o->eval_every;
}

static void judge_length(struct verdict *v, const struct verdict_options *o)
{
    if (v->steps == 0) {
        SAY(verdict_add(v, FINDING_EMPTY, true), "no step is done yet");
    } else if (o->total_steps && v->steps < o->total_steps && stopped_early(v, o)) {
        struct finding *f = verdict_add(v, FINDING_EARLY, false);
        SAY(f,
            "it was stopped after step %" PRId64 " of %" PRId64
            ": the validation loss did not improve any more (--patience)",
            v->steps, o->total_steps);
    } else if (o->total_steps && v->steps < o->total_steps && !o->finished) {
        struct finding *f = verdict_add(v, FINDING_UNFINISHED, false);
        SAY(f, "%" PRId64 " of %" PRId64 " steps are done", v->steps, o->total_steps);
        if (o->resume) NEXT(f, "continue with: %s", o->resume);
    }
}

static void judge_divergence(struct verdict *v, const struct verdict_options *o)
{
    if (!watch_is_diverged(v->start_loss, v->end_loss)) return;
    struct finding *f = verdict_add(v, FINDING_DIVERGED, true);
    SAY(f, "training diverged: the loss went from %.3f to %.3f", v->start_loss, v->end_loss);
    NEXT(f, "train again with a lower --lr (it was %g); your_ai find-lr looks for one. The adapter is worse than none",
         o->lr);
}

/* Of a run whose steps are not all done, how it ended is not known yet: it may be read while it trains. */
static bool is_under_way(const struct verdict *v)
{
    return verdict_has(v, FINDING_UNFINISHED);
}

static void judge_worse(struct verdict *v, const struct verdict_options *o)
{
    if (is_under_way(v)) return;
    bool valid = isfinite(v->start_valid) && v->best_step > 0;
    double start = valid ? v->start_valid : v->start_loss, end = valid ? v->best_valid : v->end_loss;
    if (verdict_has(v, FINDING_DIVERGED) || !(end > start) || v->steps == 0) return;
    if (!valid && v->steps < STEPS_FEW && end < 1.05 * start) return; /* single steps differ by more */
    struct finding *f = verdict_add(v, FINDING_WORSE, true);
    SAY(f,
        valid ? "it ended worse than it began: no validation came below the loss before training, %.4f (the best was %.4f)"
              : "it ended worse than it began: the training loss went from %.4f to %.4f",
        start, end);
    NEXT(f, "try a lower --lr (it was %g), or look at the rows with your_ai data doctor", o->lr);
}

static void judge_flat(struct verdict *v, const struct verdict_options *o)
{
    if (is_under_way(v) || v->bad || v->steps < STEPS_FEW || v->end_loss < 0.99 * v->start_loss) return;
    struct finding *f = verdict_add(v, FINDING_FLAT, true);
    SAY(f, "next to nothing was learnt: the loss went from %.4f to %.4f in %" PRId64 " steps", v->start_loss, v->end_loss,
        v->steps);
    NEXT(f,
         "try a higher --lr (it was %g; your_ai find-lr looks for one) or more --epochs, and look at what is trained: "
         "your_ai tokenize -d ROWS",
         o->lr);
}

static void judge_short(struct verdict *v)
{
    if (v->steps == 0 || v->steps >= STEPS_FEW || is_under_way(v) || verdict_has(v, FINDING_EARLY)) return;
    struct finding *f = verdict_add(v, FINDING_SHORT, false);
    SAY(f, "%" PRId64 " step%s are few to learn from", v->steps, v->steps == 1 ? "" : "s");
    NEXT(f, "more --epochs, a smaller --batch, or --no-packing make more steps");
}

static void judge_learnt(struct verdict *v)
{
    if (v->bad || !(v->end_loss < v->start_loss)) return;
    struct finding *f = verdict_add(v, FINDING_LEARNT, false);
    SAY(f, "the training loss went from %.4f to %.4f", v->start_loss, v->end_loss);
}

static void judge_validation(struct verdict *v, const struct history *h, const struct verdict_options *o)
{
    if (v->steps == 0) return;
    if (!v->best_step) {
        if (is_under_way(v)) return;
        struct finding *f = verdict_add(v, FINDING_UNCHECKED, false);
        SAY(f, "there was no validation, so nothing tells how well it does on other rows");
        NEXT(f, "--valid FILE, or --valid-share 0.1 of the training rows");
        return;
    }
    if (v->end_valid > 1.02 * v->best_valid) {
        struct finding *f = verdict_add(v, FINDING_OVERFIT, false);
        SAY(f,
            "the validation loss was best at step %" PRId64 " (%.4f) and ended at %.4f: what came after fits the training "
            "rows only, and the adapter is that of step %" PRId64,
            v->best_step, v->best_valid, v->end_valid, v->best_step);
        NEXT(f, "%sfewer --epochs, a lower --rank or more rows help", o->patience ? "" : "--patience 3 stops there; ");
        return;
    }
    const struct metrics_eval *last = &h->evals[h->n_evals - 1];
    bool falls = h->n_evals > 1 && last->step == v->best_step && last->weighted_loss < 0.99 * last[-1].weighted_loss;
    if (!falls || last[-1].step == 0 || is_under_way(v)) return;
    struct finding *f = verdict_add(v, FINDING_FALLING, false);
    SAY(f, "the validation loss was still falling at the end: %.4f, after %.4f", last->weighted_loss,
        last[-1].weighted_loss);
    NEXT(f, "more --epochs would probably help");
}

static void judge_clipping(struct verdict *v, const struct history *h)
{
    double share = h->n_steps ? h->steps[h->n_steps - 1].clip_share : 0;
    if (v->steps < STEPS_FEW || !(share > 0.5)) return;
    struct finding *f = verdict_add(v, FINDING_CLIPPED, false);
    SAY(f, "%.0f %% of the steps were clipped, which makes the learning rate smaller than it looks", 100 * share);
    NEXT(f, "a larger --clip, or --clip-mode relative");
}

struct verdict verdict_of(const struct history *h, const struct verdict_options *o)
{
    struct verdict v = {0};
    verdict_measure_training(&v, h);
    measure_validation(&v, h);
    measure_speed(&v, h);
    judge_length(&v, o);
    judge_divergence(&v, o);
    judge_worse(&v, o);
    judge_flat(&v, o);
    judge_short(&v);
    judge_learnt(&v);
    judge_validation(&v, h, o);
    judge_clipping(&v, h);
    return v;
}
