/* suite: prompts whose answers are judged by phrases that they should and should not have, as data that the user supplies.
 * Such scoring is easily fooled: an answer that repeats the question, or one sentence full of the wanted words, may pass. So
 * every result stands beside those of answers that no model gave (enum suite_control), and says something only where it is
 * well above them.
 *
 * A file is JSON Lines (or anything that io/row_file.h reads), a prompt a row:
 *
 *   {"suite": "sources", "id": "ledger", "prompt": "...", "max_tokens": 400, "min_chars": 100, "match": "words",
 *    "refusal": ["i cannot"], "threshold": 0.6,
 *    "checks": [{"name": "doubt", "find": ["who paid", "first source"], "min": 2, "avoid": ["trust"], "penalty": 0.2,
 *                "weight": 1, "where": "answer"}]}
 *
 * Required are prompt and checks, and of a check find or avoid. Defaults: suite and name "", id the row's number, max_tokens
 * that of the command, min_chars 0, match "words", min 1 (0 without find), penalty 0.2, weight 1, where "answer".
 *
 * The rules. The answer is what stands behind the last "</think>"; with a "<think>" that is not closed there is none, and
 * the item fails with score 0. So it does when a phrase of `refusal` stands in the first 1,000 bytes of the answer. A phrase
 * is found where the text has it, in capital or small ASCII letters, as whole words, or with match "substrings" anywhere;
 * `where` "all" looks at the thinking too. With f of the phrases of `find` and a of those of `avoid` found, each counted
 * once, a check's score is max(0, min(1, f / min) - penalty * a), and it passes when f >= min and a = 0. The item's score is
 * the mean by weight. It passes when the answer has min_chars characters and every check passes, or, with a threshold, when
 * it has them and the score reaches it. */
#ifndef YA_EVAL_SUITE_H
#define YA_EVAL_SUITE_H

#include "base/ctx.h"

struct suite_phrases {
    char **list; /* (n) owned, ASCII letters in lower case */
    size_t n;
};

struct suite_check {
    char *name; /* owned */
    struct suite_phrases find, avoid;
    int64_t min;
    double penalty, weight;
    bool all; /* looks at the thinking, too */
};

struct suite_item {
    char *suite, *id, *prompt; /* owned */
    int64_t max_tokens;        /* 0: not said */
    int64_t min_chars;
    bool words;       /* phrases are whole words */
    double threshold; /* NaN: every check must pass */
    struct suite_phrases refusal;
    struct suite_check *checks; /* (n_checks) owned */
    size_t n_checks;
};

struct suite {
    struct ctx *c;
    struct suite_item *items; /* (n) owned */
    size_t n;
};

/* Reads files. NULL with E_INPUT naming file, row and member. Owner of the result: the caller. */
struct suite *suite_open(struct ctx *c, const char *const *paths, size_t n_paths);
void suite_close(struct suite *s); /* accepts NULL */

struct suite_score {
    double score;
    bool passed;
};
/* Judges a text, which is UTF-8 or not. */
struct suite_score suite_judge(const struct suite_item *item, const char *text);

/* Answers that no model gave: the prompt again; one sentence, the same for the whole suite, made of the phrases that most of
 * its items look for; and a polite refusal. */
enum suite_control { SUITE_ECHO, SUITE_FIXED, SUITE_REFUSAL, SUITE_CONTROLS };
extern const char *const suite_control_name[SUITE_CONTROLS];
/* The text of a control for an item. `fixed` is what suite_fixed made for the item's suite. */
const char *suite_control_text(enum suite_control control, const struct suite_item *item, const char *fixed);
/* The fixed sentence of a suite. Owner of the result: the caller (mem_free). NULL with E_MEMORY. */
char *suite_fixed(const struct suite *s, const char *name);

#endif
