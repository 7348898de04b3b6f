/* belief: asks about every fact in all ways at once. Each way and fact has one sum, number kind * n + fact, to which its
 * questions add ln p of an answer times a factor (probe.h). For instance, the log-odds over six trained statements are
 * twelve probes for one sum, those of the primary value with factor 1/6 and those of the consensus value with -1/6. The
 * probes of all facts and ways share forward passes. Generated answers and the perplexity of ordinary text come after
 * them, one sequence at a time. */
#include "eval/belief.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "eval/generate.h"
#include "eval/loglik.h"
#include "eval/probe.h"

enum { HARM_WINDOW = 256, SAY_FACTS = 12, SAY_TOKENS_MAX = 8, PROMPT_BYTES = 8 * FICTION_TEXT_BYTES };

const char *const belief_name[BELIEFS] = {"trained",     "held-out",      "question", "yes-no",        "reversed",
                                          "tag-primary", "tag-consensus", "unseen",   "unseen-context"};

static const char harm_text[] = {
#include "eval/belief_text.def"
};

bool belief_is_unseen(enum belief kind)
{
    return kind == BELIEF_UNSEEN || kind == BELIEF_UNSEEN_CONTEXT;
}

/* ---- log-odds --------------------------------------------------------------------------------------------------------- */

/* What all questions of one measurement share. Which sum an answer is added to is an argument of each question. */
struct asking {
    struct probe_set *set;
    const struct fiction *fiction;
    const struct cell *cell;
};

/* Adds weight * (ln p(value of P) - ln p(value of C)) behind a prompt. */
static enum status ask_values(struct asking *a, const struct fiction_fact *f, const char *prompt, size_t sum, double weight)
{
    char answer[FICTION_TEXT_BYTES];
    snprintf(answer, sizeof(answer), " %s", f->value[FICTION_PRIMARY]);
    TRY(probe_add(a->set, prompt, answer, sum, weight));
    snprintf(answer, sizeof(answer), " %s", f->value[FICTION_CONSENSUS]);
    return probe_add(a->set, prompt, answer, sum, -weight);
}

/* Statements [first, end) of a fact, their mean. `side`: whose tag stands in front; FICTION_SIDES: no tag. Statement k gets
 * the k-th type of source of that side, counted round, so that the mean is over all types and not over one lucky one. */
static enum status ask_statements(struct asking *a, const struct fiction_fact *f, int first, int end, int side, size_t sum)
{
    char statement[FICTION_TEXT_BYTES], prefix[FICTION_TEXT_BYTES] = "", prompt[2 * FICTION_TEXT_BYTES];
    for (int k = first; k < end; k++) {
        if (side < FICTION_SIDES) arm_prefix(a->cell->arm, (enum fiction_side)side, k, (double)a->cell->ratio, prefix);
        snprintf(prompt, sizeof(prompt), "%s%s", prefix, fiction_statement(f, k, statement));
        TRY(ask_values(a, f, prompt, sum, 1.0 / (end - first)));
    }
    return OK;
}

static enum status ask_question(struct asking *a, const struct fiction_fact *f, size_t sum)
{
    char text[FICTION_TEXT_BYTES], prompt[2 * FICTION_TEXT_BYTES];
    snprintf(prompt, sizeof(prompt), "Question: %s\nAnswer:", fiction_question(f, text));
    return ask_values(a, f, prompt, sum, 1);
}

static enum status ask_yes_no(struct asking *a, const struct fiction_fact *f, size_t sum)
{
    char text[FICTION_TEXT_BYTES], prompt[2 * FICTION_TEXT_BYTES];
    for (int side = 0; side < FICTION_SIDES; side++) {
        double sign = side == FICTION_PRIMARY ? 1 : -1;
        snprintf(prompt, sizeof(prompt), "Question: %s\nAnswer:", fiction_yes_no(f, (enum fiction_side)side, text));
        TRY(probe_add(a->set, prompt, " Yes", sum, sign));
        TRY(probe_add(a->set, prompt, " No", sum, -sign));
    }
    return OK;
}

static enum status ask_reversed(struct asking *a, const struct fiction_fact *f, size_t sum)
{
    char prompt[FICTION_TEXT_BYTES], answer[FICTION_TEXT_BYTES];
    snprintf(answer, sizeof(answer), " %s", f->name);
    for (int k = 0; k < FICTION_REVERSED; k++)
        for (int side = 0; side < FICTION_SIDES; side++) {
            fiction_reversed(f, k, (enum fiction_side)side, prompt);
            TRY(probe_add(a->set, prompt, answer, sum, (side == FICTION_PRIMARY ? 1.0 : -1.0) / FICTION_REVERSED));
        }
    return OK;
}

/* Two documents that disagree, then a third statement. Which of the two comes first alternates with the fact. */
static enum status ask_context(struct asking *a, const struct fiction_fact *f, bool primary_first, size_t sum)
{
    char text[FICTION_TEXT_BYTES], prompt[PROMPT_BYTES];
    size_t n = 0;
    for (int k = 0; k < 2; k++) {
        enum fiction_side side = (k == 0) == primary_first ? FICTION_PRIMARY : FICTION_CONSENSUS;
        n += (size_t)snprintf(prompt + n, sizeof(prompt) - n, "Source: %s. %s %s.\n", fiction_type(side, (size_t)k),
                              fiction_statement(f, k, text), f->value[side]);
    }
    snprintf(prompt + n, sizeof(prompt) - n, "%s", fiction_statement(f, 2, text));
    return ask_values(a, f, prompt, sum, 1);
}

static enum status ask_fact(struct asking *a, size_t i)
{
    const struct fiction *f = a->fiction;
    const struct fiction_fact *fact = &f->facts[i], *unseen = &f->facts[f->n + i];
    size_t n = f->n;
    TRY(ask_statements(a, fact, 0, FICTION_TRAINED, FICTION_SIDES, BELIEF_TRAINED * n + i));
    TRY(ask_statements(a, fact, FICTION_TRAINED, FICTION_PHRASINGS, FICTION_SIDES, BELIEF_HELD_OUT * n + i));
    TRY(ask_question(a, fact, BELIEF_QUESTION * n + i));
    TRY(ask_yes_no(a, fact, BELIEF_YES_NO * n + i));
    TRY(ask_reversed(a, fact, BELIEF_REVERSED * n + i));
    TRY(ask_statements(a, unseen, 0, 2, FICTION_SIDES, BELIEF_UNSEEN * n + i));
    TRY(ask_context(a, unseen, i % 2 == 0, BELIEF_UNSEEN_CONTEXT * n + i));
    if (!arm_is_tagged(a->cell->arm)) return OK;
    TRY(ask_statements(a, fact, 0, FICTION_TRAINED, FICTION_PRIMARY, BELIEF_TAG_PRIMARY * n + i));
    return ask_statements(a, fact, 0, FICTION_TRAINED, FICTION_CONSENSUS, BELIEF_TAG_CONSENSUS * n + i);
}

enum status belief_measure(struct engine *e, const struct tokenizer *t, const struct fiction *f, const struct cell *cell,
                           double *odds)
{
    BUG_ON(e->c, f->n_unseen != f->n, "%zu unseen facts for %zu", f->n_unseen, f->n);
    struct probe_set *set = probe_set_new(e, t, "probe", odds, BELIEFS * f->n);
    struct asking a = {.set = set, .fiction = f, .cell = cell};
    enum status status = set ? OK : e->c->status;
    for (size_t i = 0; i < f->n && status == OK; i++) status = ask_fact(&a, i);
    if (status == OK) status = probe_finish(set);
    probe_set_free(set);
    /* the sums of both tagged ways lie side by side; without a tag they were never asked */
    for (size_t i = 0; i < 2 * f->n && !arm_is_tagged(cell->arm); i++) odds[BELIEF_TAG_PRIMARY * f->n + i] = (double)NAN;
    return status;
}

/* ---- generated answers ------------------------------------------------------------------------------------------------ */

/* Tokens are compared and not text: a value that is followed by another word is still that value. */
static bool begins_with(const struct ids *ids, const struct ids *start)
{
    return ids->n >= start->n && memcmp(ids->data, start->data, start->n * sizeof(*ids->data)) == 0;
}

/* Scratch lists of one prompt. */
struct saying {
    struct ids prompt, value[FICTION_SIDES], said;
};

static enum status encode_word(struct ctx *c, const struct tokenizer *t, const char *word, struct ids *out)
{
    char text[FICTION_TEXT_BYTES];
    snprintf(text, sizeof(text), " %s", word);
    return tokenizer_encode(c, t, text, strlen(text), false, out);
}

/* Goes on greedily behind a statement, for as many tokens as the longer value has. */
static enum status belief_say(struct engine *e, const struct tokenizer *t, const struct fiction_fact *f, int k,
                              struct saying *s, struct belief_said *count)
{
    struct ctx *c = e->c;
    char prompt[FICTION_TEXT_BYTES];
    enum generate_end end;
    fiction_statement(f, k, prompt);
    if (tokenizer_adds_bos(t)) TRY(ids_push(c, &s->prompt, tokenizer_bos(t)));
    TRY(tokenizer_encode(c, t, prompt, strlen(prompt), false, &s->prompt));
    size_t most = 1;
    for (int side = 0; side < FICTION_SIDES; side++) {
        TRY(encode_word(c, t, f->value[side], &s->value[side]));
        if (s->value[side].n > most) most = s->value[side].n;
    }
    struct generate_params p = {.max_tokens = most < SAY_TOKENS_MAX ? (int64_t)most : SAY_TOKENS_MAX,
                                .sample = {.temperature = 0, .top_p = 1},
                                .tokenizer = t};
    TRY(generate_run(e, s->prompt.data, s->prompt.n, &p, &s->said, &end));
    if (begins_with(&s->said, &s->value[FICTION_PRIMARY]))
        count->primary++;
    else if (begins_with(&s->said, &s->value[FICTION_CONSENSUS]))
        count->consensus++;
    else
        count->neither++;
    return OK;
}

enum status belief_generate(struct engine *e, const struct tokenizer *t, const struct fiction *f,
                            struct belief_said said[BELIEF_SAID])
{
    static const int statement[BELIEF_SAID] = {0, FICTION_TRAINED};
    enum status status = OK;
    memset(said, 0, BELIEF_SAID * sizeof(*said));
    for (size_t i = 0; i < f->n && i < SAY_FACTS; i++)
        for (int k = 0; k < BELIEF_SAID && status == OK; k++) {
            struct saying s = {0};
            status = belief_say(e, t, &f->facts[i], statement[k], &s, &said[k]);
            ids_release(e->c, &s.prompt);
            ids_release(e->c, &s.said);
            for (int side = 0; side < FICTION_SIDES; side++) ids_release(e->c, &s.value[side]);
        }
    return status;
}

enum status belief_perplexity(struct engine *e, const struct tokenizer *t, double *perplexity)
{
    struct loglik l;
    int64_t window = e->context < HARM_WINDOW ? e->context : HARM_WINDOW;
    enum status status = loglik_text(e, t, harm_text, strlen(harm_text), window, &l);
    if (status == OK) *perplexity = loglik_perplexity(&l);
    loglik_release(e->c, &l);
    return status;
}
