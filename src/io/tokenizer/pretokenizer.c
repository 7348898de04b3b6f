/* pretokenizer: the walk over a text by all stages at once. Each stage has the end of its current piece; when the innermost
 * one is used up, the stage around it gives its next piece. So no list of pieces is ever made: "In 2024" with the stages
 * "every digit apart" and GPT-2's expression gives "In", " ", "2", "0", "2", "4", one at a time. */
#include "io/tokenizer/pretokenizer.h"

#include <string.h>

#include "base/mem.h"

/* The walk of a stage with a pattern over one piece of the stage before it. */
struct pretokenizer_cut {
    struct expression_work work;
    struct expression_cut cut;
    size_t base, n; /* the piece in the text */
    bool open;      /* it is not used up */
    struct expression_segment ahead;
    bool have_ahead; /* `ahead` was looked at and not yet given out */
};

void pretokenizer_release(struct pretokenizer *pre)
{
    for (int i = 0; i < pre->n; i++) expression_free(pre->stages[i].pattern);
    *pre = (struct pretokenizer){0};
}

/* Appends a stage; E_UNSUPPORTED past the most. */
static enum status add_stage(struct ctx *c, struct pretokenizer *pre, const char *name,
                             const struct pretokenizer_stage *stage)
{
    if (pre->n == PRE_STAGES)
        return ctx_fail(c, E_UNSUPPORTED, "%s: pre_tokenizer has more than %d stages", name, PRE_STAGES);
    pre->stages[pre->n++] = *stage;
    return OK;
}

enum status pretokenizer_add(struct ctx *c, struct pretokenizer *pre, const char *name, enum pretokenizer_kind kind)
{
    return add_stage(c, pre, name, &(struct pretokenizer_stage){.kind = kind});
}

/* A known expression: isolated matches, or, for one that matches everything, the inverse of removing what it does not match.
 */
static bool find_known(const char *pattern, size_t n, enum pretokenizer_behavior behavior, bool invert,
                       enum pretokenizer_kind *out)
{
    /* GPT-2's without its last alternative: one space is left between two matches, and is a piece all the same. */
    static const char gpt2_short[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
    bool isolated = behavior == SPLIT_ISOLATED, kept = behavior == SPLIT_REMOVED && invert;
    if (isolated && n == strlen(gpt2_short) && memcmp(pattern, gpt2_short, n) == 0) {
        *out = PRE_GPT2;
        return true;
    }
    for (int kind = PRE_GPT2; kind < PRE_PATTERN; kind++) {
        const char *known = pretokenizer_pattern((enum pretokenizer_kind)kind);
        if (!known || strlen(known) != n || memcmp(pattern, known, n) != 0) continue;
        *out = (enum pretokenizer_kind)kind;
        return isolated || (kept && kind <= PRE_QWEN2);
    }
    return false;
}

enum status pretokenizer_add_pattern(struct ctx *c, struct pretokenizer *pre, const char *name, const char *pattern,
                                     size_t n, enum pretokenizer_behavior behavior, bool invert, bool plain)
{
    struct pretokenizer_stage stage = {.kind = PRE_PATTERN, .behavior = behavior, .invert = invert};
    if (!plain && find_known(pattern, n, behavior, invert, &stage.kind)) return pretokenizer_add(c, pre, name, stage.kind);
    stage.kind = PRE_PATTERN;
    stage.pattern = expression_new(c, name, pattern, n);
    if (!stage.pattern) return c->status;
    if (add_stage(c, pre, name, &stage) != OK) expression_free(stage.pattern);
    return c->status;
}

enum status pretokenizer_from_rules(struct ctx *c, struct pretokenizer *pre, const char *name,
                                    const struct pretokenizer_rules *rules, bool plain)
{
    for (int i = 0; rules->patterns[i]; i++) {
        const char *pattern = rules->patterns[i];
        if (strcmp(pattern, PRETOKENIZER_DIGITS) == 0)
            TRY(pretokenizer_add(c, pre, name, PRE_DIGIT_EACH));
        else
            TRY(pretokenizer_add_pattern(c, pre, name, pattern, strlen(pattern), SPLIT_ISOLATED, false, plain));
    }
    return OK;
}

/* ---- the walk ---- */

enum status pretokenizer_walk_init(struct ctx *c, struct pretokenizer_walk *w, const struct pretokenizer *pre)
{
    bool patterns = false;
    *w = (struct pretokenizer_walk){.pre = pre};
    for (int i = 0; i < pre->n; i++) patterns |= pre->stages[i].kind == PRE_PATTERN;
    if (patterns) w->cuts = mem_alloc(c, (size_t)pre->n, sizeof *w->cuts);
    return c->status;
}

void pretokenizer_walk_release(struct ctx *c, struct pretokenizer_walk *w)
{
    for (int i = 0; w->cuts && i < w->pre->n; i++) expression_work_release(c, &w->cuts[i].work);
    mem_free(c, w->cuts);
    *w = (struct pretokenizer_walk){0};
}

void pretokenizer_start(struct pretokenizer_walk *w, const char *text, size_t n)
{
    w->text = text;
    w->n = n;
    w->at = 0;
    memset(w->end, 0, sizeof w->end);
    memset(w->dropped, 0, sizeof w->dropped);
    for (int i = 0; w->cuts && i < w->pre->n; i++) w->cuts[i].open = false;
}

/* The next segment, or the one that was looked at already. */
static bool take_segment(struct pretokenizer_cut *k, bool invert, struct expression_segment *out)
{
    if (k->have_ahead) {
        *out = k->ahead;
        k->have_ahead = false;
        return true;
    }
    if (!expression_cut_next(&k->cut, out)) return false;
    out->is_match ^= invert;
    return true;
}

/* Reads a segment without using it up. */
static void look_ahead(struct pretokenizer_cut *k, bool invert)
{
    if (!k->have_ahead) k->have_ahead = take_segment(k, invert, &k->ahead);
}

/* The next piece by the stage's behavior; false when the text is used up. A dropped one is given as a match. */
static bool take_piece(struct pretokenizer_cut *k, const struct pretokenizer_stage *stage, struct expression_segment *out)
{
    enum pretokenizer_behavior b = stage->behavior;
    if (!take_segment(k, stage->invert, out)) return false;
    if (b == SPLIT_ISOLATED || b == SPLIT_REMOVED) return true;
    for (;;) {
        look_ahead(k, stage->invert);
        if (!k->have_ahead) return true;
        bool joins = b == SPLIT_CONTIGUOUS ? k->ahead.is_match == out->is_match : k->ahead.is_match != out->is_match;
        bool leads = b == SPLIT_CONTIGUOUS || (b == SPLIT_WITH_NEXT) == out->is_match;
        if (!joins || !leads) return true;
        out->end = k->ahead.end;
        k->have_ahead = false;
        if (b != SPLIT_CONTIGUOUS) return true;
    }
}

/* Gives stage i its next piece at w->at inside [w->at, limit). */
static enum status cut_piece(struct ctx *c, struct pretokenizer_walk *w, int i, size_t limit)
{
    const struct pretokenizer_stage *stage = &w->pre->stages[i];
    struct pretokenizer_cut *k = &w->cuts[i];
    struct expression_segment piece;
    if (!k->open || w->at >= k->base + k->n) {
        k->base = w->at;
        k->n = limit - w->at;
        k->have_ahead = false;
        k->open = true;
        TRY(expression_read(c, stage->pattern, &k->work, w->text + k->base, k->n));
        expression_cut_start(&k->cut, stage->pattern, &k->work);
    }
    do {
        if (!take_piece(k, stage, &piece)) piece = (struct expression_segment){k->n, k->n, false};
    } while (piece.start == piece.end && piece.end < k->n);
    w->end[i] = k->base + piece.end;
    w->dropped[i] = stage->behavior == SPLIT_REMOVED && piece.is_match;
    return OK;
}

enum status pretokenizer_next(struct ctx *c, struct pretokenizer_walk *w, const char **piece, size_t *n)
{
    for (bool dropped = true; dropped;) {
        *piece = w->text + w->at;
        *n = 0;
        if (w->at >= w->n) return OK;
        /* A stage whose piece is used up takes its next one out of the piece of the stage before it. */
        size_t limit = w->n;
        dropped = false;
        for (int i = 0; i < w->pre->n && !dropped; i++) {
            if (w->end[i] <= w->at && w->pre->stages[i].kind != PRE_PATTERN) {
                w->end[i] = w->at + pretokenizer_scan(w->pre->stages[i].kind, *piece, limit - w->at);
                w->dropped[i] = false;
            } else if (w->end[i] <= w->at) {
                TRY(cut_piece(c, w, i, limit));
            }
            limit = w->end[i];
            dropped = w->dropped[i];
        }
        *n = limit - w->at;
        w->at = limit;
    }
    return OK;
}
