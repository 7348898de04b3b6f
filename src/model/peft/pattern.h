/* pattern: small regular expressions in time linear in pattern x text, for the keys of PEFT's rank_pattern and
 * alpha_pattern and for its target_modules, which come from files of strangers (a backtracking matcher could be made to
 * hang).
 *
 * Syntax: literals, . \d \w \. (any escaped punctuation), [a-z0-9] and [^...], ( ) and (?: ), |, * + ? and their lazy
 * forms, which match the same texts, ^ $. Everything else of Python's syntax (look-around, back references, {m,n},
 * possessive quantifiers, flags) is refused by name. */
#ifndef YA_MODEL_PATTERN_H
#define YA_MODEL_PATTERN_H

#include "base/ctx.h"

struct pattern; /* owner: the caller */

/* Compiles; `what` names the source in messages. NULL with E_UNSUPPORTED (the construct is named, or the source is too long
 * or nested too deeply), or with E_INPUT for what Python refuses, too. */
struct pattern *pattern_new(struct ctx *c, const char *what, const char *source);
/* Frees the program; accepts NULL. */
void pattern_free(struct pattern *p);

/* True when '.' is the source's only operator: matching such a one costs no more than comparing. */
bool pattern_is_plain(const struct pattern *p);

/* True when the whole text matches: Python's re.fullmatch(PATTERN, text). */
bool pattern_match(const struct pattern *p, const char *text);
/* True when the whole text matches, or a tail of it that follows a '.': Python's re.match(r"(.*\.)?(PATTERN)$", text). */
bool pattern_match_tail(const struct pattern *p, const char *text);

#endif
