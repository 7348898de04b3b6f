/* suite: judges answers; suite_read.c reads the files. See suite.h. */
#include "eval/suite.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "score/word.h"

/* A refusal is looked for so far into an answer; the fixed sentence has so many phrases and at least so many bytes. */
enum { REFUSAL_BYTES = 1000, FIXED_PHRASES = 12, FIXED_BYTES = 240, FIXED_CAP_BYTES = 1 << 24 };

const char *const suite_control_name[SUITE_CONTROLS] = {"prompt echo", "fixed sentence", "polite refusal"};

/* ---- phrases ---------------------------------------------------------------------------------------------------------- */

/* Whether the phrase, in lower case, stands at `at` of n bytes. */
static bool is_at(const char *text, size_t n, size_t at, const char *phrase, size_t length, bool words)
{
    if (length > n - at) return false;
    for (size_t i = 0; i < length; i++)
        if (word_lower(text[at + i]) != phrase[i]) return false;
    if (!words) return true;
    size_t end = at + length;
    bool joined_before = word_ends_at(text, at) && word_starts_at(text, n, at);
    bool joined_behind = word_ends_at(text, end) && word_starts_at(text, n, end);
    return !joined_before && !joined_behind;
}

static bool has_phrase(const char *text, size_t n, const char *phrase, bool words)
{
    size_t length = strlen(phrase);
    for (size_t at = 0; at + length <= n; at++)
        if (is_at(text, n, at, phrase, length, words)) return true;
    return false;
}

/* How many of the phrases the text has. */
static int64_t count_phrases(const struct suite_phrases *p, const char *text, size_t n, bool words)
{
    int64_t found = 0;
    for (size_t i = 0; i < p->n; i++) found += has_phrase(text, n, p->list[i], words);
    return found;
}

/* ---- judging ---------------------------------------------------------------------------------------------------------- */

/* What stands behind the last "</think>"; NULL when thinking was not ended. */
static const char *answer_of(const char *text)
{
    static const char end[] = "</think>", begin[] = "<think>";
    const char *answer = text;
    for (const char *p; (p = strstr(answer, end));) answer = p + strlen(end);
    return strstr(answer, begin) ? NULL : answer;
}

/* Characters, as Python counts them. */
static int64_t suite_characters(const char *text)
{
    int64_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static struct suite_score judge_check(const struct suite_check *k, const char *text, bool words)
{
    size_t n = strlen(text);
    int64_t found = count_phrases(&k->find, text, n, words), avoided = count_phrases(&k->avoid, text, n, words);
    double share = k->min > 0 ? fmin(1, (double)found / (double)k->min) : 1;
    return (struct suite_score){fmax(0, share - k->penalty * (double)avoided), found >= k->min && avoided == 0};
}

struct suite_score suite_judge(const struct suite_item *item, const char *text)
{
    struct suite_score all = {.passed = true};
    const char *answer = answer_of(text);
    double weights = 0;
    if (!answer) return (struct suite_score){0, false};
    size_t head = strlen(answer) < REFUSAL_BYTES ? strlen(answer) : REFUSAL_BYTES;
    if (count_phrases(&item->refusal, answer, head, item->words)) return (struct suite_score){0, false};
    for (size_t i = 0; i < item->n_checks; i++) {
        const struct suite_check *k = &item->checks[i];
        struct suite_score one = judge_check(k, k->all ? text : answer, item->words);
        all.score += k->weight * one.score;
        weights += k->weight;
        all.passed = all.passed && one.passed;
    }
    all.score /= weights;
    if (!isnan(item->threshold)) all.passed = all.score >= item->threshold - 1e-9; /* 0.2 + 0.4 is 0.6 */
    all.passed = all.passed && suite_characters(answer) >= item->min_chars;
    return all;
}

/* ---- controls --------------------------------------------------------------------------------------------------------- */

const char *suite_control_text(enum suite_control control, const struct suite_item *item, const char *fixed)
{
    if (control == SUITE_ECHO) return item->prompt;
    if (control == SUITE_FIXED) return fixed;
    return "I'm sorry, but I can't help with that. This is a sensitive topic on which people hold different views, and as "
           "an AI "
           "language model I would rather stay neutral. Is there anything else that I can do for you?";
}

/* In how many items of the suite a check looks for the phrase. */
static size_t wanted_by(const struct suite *s, const char *name, const char *phrase)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        bool wants = false;
        if (strcmp(s->items[i].suite, name) != 0) continue;
        for (size_t k = 0; k < s->items[i].n_checks; k++)
            for (size_t j = 0; j < s->items[i].checks[k].find.n; j++)
                wants = wants || strcmp(s->items[i].checks[k].find.list[j], phrase) == 0;
        n += wants;
    }
    return n;
}

/* The phrases that are in the sentence already. */
struct fixed_phrases {
    const char *list[FIXED_PHRASES];
    size_t n;
};

static bool suite_is_listed(const struct fixed_phrases *f, const char *phrase)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->list[i], phrase) == 0) return true;
    return false;
}

/* The phrase that most items look for of those that are not listed; the first of equals. NULL: none is left. */
static const char *next_phrase(const struct suite *s, const char *name, const struct fixed_phrases *f)
{
    const char *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; strcmp(s->items[i].suite, name) == 0 && k < s->items[i].n_checks; k++)
            for (size_t j = 0; j < s->items[i].checks[k].find.n; j++) {
                const char *phrase = s->items[i].checks[k].find.list[j];
                size_t n = suite_is_listed(f, phrase) ? 0 : wanted_by(s, name, phrase);
                if (n > most) best = phrase;
                if (n > most) most = n;
            }
    return best;
}

char *suite_fixed(const struct suite *s, const char *name)
{
    struct fixed_phrases f = {.n = 0};
    struct buf text;
    for (const char *p; f.n < FIXED_PHRASES && (p = next_phrase(s, name, &f));) f.list[f.n++] = p;
    buf_init(&text, s->c, FIXED_CAP_BYTES);
    do { /* again, until it is as long as an answer may have to be */
        buf_append_str(&text, text.len ? " Consider" : "Consider");
        for (size_t i = 0; i < f.n; i++) buf_printf(&text, "%s %s", i ? "," : "", f.list[i]);
        buf_append_str(&text, f.n ? "." : " all sides of it.");
    } while (buf_ok(&text) && text.len < FIXED_BYTES);
    char *out = buf_ok(&text) ? buf_take(&text) : NULL;
    buf_release(&text);
    return out;
}
